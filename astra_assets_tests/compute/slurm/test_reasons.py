"""Which reasons never pass, and which option they say to change."""

from __future__ import annotations

import pytest

from astra_assets.compute.slurm.reasons import ANSWERS, PATIENCE_SECONDS, Outlook, answer, impossible, meaning
from astra_assets.pipelines.options import OPTIONS


@pytest.mark.parametrize(
    ("reason", "options"),
    [
        ("PartitionTimeLimit", ("time", "partition")),
        ("(PartitionTimeLimit)", ("time", "partition")),
        ("PartitionConfig", ("procs", "time", "mem", "gres", "partition")),
        ("BadConstraints", ("procs", "mem", "gres", "constraint", "partition")),
        ("InvalidAccount", ("account",)),
        ("InvalidQOS", ("qos",)),
        ("MaxMemPerLimit", ("mem",)),
        ("QOSMaxWallDurationPerJobLimit", ("time", "qos")),
        ("QOSMaxCpuPerJobLimit", ("procs", "qos")),
        ("QOSMaxMemoryPerJob", ("mem", "qos")),
        ("QOSMaxGRESPerNode", ("gres", "qos")),
        ("QOSMinGRES", ("gres", "qos")),
        ("QOSMinCpuNotSatisfied", ("procs", "qos")),
        ("AssocMaxWallDurationPerJobLimit", ("time", "account")),
        ("AssocMaxCpuMinutesPerJobLimit", ("procs", "time", "account")),
        ("AssocMaxMemPerNode", ("mem", "account")),
    ],
)
def test_a_reason_that_never_passes_names_the_options(reason, options):
    found = impossible(reason)
    assert found is not None
    assert found.options == options
    assert f"--{options[0]} on the command line" in str(found)
    assert meaning(reason) == str(found)


@pytest.mark.parametrize(
    "reason",
    [
        "", "None", "Resources", "Priority", "BeginTime", "JobArrayTaskLimit", "JobHeldUser", "PartitionDown",
        "ReqNodeNotAvail, UnavailableNodes:np001", "Nodes required for job are DOWN, DRAINED or reserved",
        "QOSMaxCpuPerUserLimit", "QOSMaxJobsPerUserLimit", "QOSGrpCpuLimit", "AssocGrpCPUMinutesLimit", "AssocMaxJobsLimit",
        "a word of a newer version",
    ],
)  # fmt: skip
def test_what_may_pass_is_waited_for(reason):
    assert impossible(reason) is None


def test_nodes_that_are_down_are_waited_for_longer():
    found = impossible("PartitionNodeLimit")
    assert found is not None
    assert found.patience_seconds > 10 * PATIENCE_SECONDS


def test_reasons_that_pass_are_put_into_words():
    assert meaning("JobHeldUser") == "JobHeldUser: its user holds it; scontrol release lets it go"
    assert meaning("ReqNodeNotAvail, UnavailableNodes:np001").endswith(
        "nodes that it needs are not available now"
    )
    assert meaning("Unheard") == "Unheard"


@pytest.mark.parametrize(
    ("said", "option"),
    [
        ("sbatch: error: invalid partition specified: nope", "partition"),
        ("Invalid account or account/partition combination specified", "account"),
        ("Invalid qos specification", "qos"),
        ("Requested time limit is invalid (missing or exceeds some limit)", "time"),
        ("Invalid generic resource (gres) specification", "gres"),
        ("Memory specification can not be satisfied", "mem"),
        ("Invalid feature specification", "constraint"),
        ("Requested node configuration is not available", "procs"),
        ("Invalid job array specification", "nodes"),
        ("sbatch: unrecognized option '--foo'", "extra"),
        ("Requested reservation is invalid", "extra"),
    ],
)
def test_what_sbatch_says_names_the_option(said, option):
    found = answer(f"sbatch: error: Batch job submission failed: {said}")
    assert found is not None
    assert found.outlook is Outlook.NEVER
    assert found.options[0] == option


POLICY = "Batch job submission failed: Job violates accounting/QOS policy (job submit limit, user's size and/or time limits)"


@pytest.mark.parametrize(
    "said",
    [
        "Requested partition configuration not available now",
        "Required partition not available (inactive or drain)",
        "Required node not available (down, drained or reserved)",
        "Requested nodes are busy",
        "Requested account has breached requested QOS usage threshold",
        "I/O error writing script/environment to file",
        "Disk quota exceeded",
        f"QOSMaxSubmitJobPerUserLimit sbatch: error: {POLICY}",
        f"AssocMaxSubmitJobLimit sbatch: error: {POLICY}",
        f"AssocGrpCPUMinutesLimit sbatch: error: {POLICY}",
        POLICY,
    ],
)
def test_what_passes_by_waiting_names_no_option(said):
    found = answer(f"sbatch: error: {said}")
    assert found is not None
    assert (found.outlook, found.options) == (Outlook.NOT_NOW, ())


def test_the_code_of_a_limit_says_more_than_the_sentence_after_it():
    found = answer(f"sbatch: error: QOSMaxWallDurationPerJobLimit sbatch: error: {POLICY}")
    assert found is not None
    assert (found.outlook, found.options) == (Outlook.NEVER, ("time", "qos"))


@pytest.mark.parametrize(
    ("said", "outlook"),
    [
        ("Unable to contact slurm controller (connect failure)", Outlook.AWAY),
        ("There is a problem talking to the database: Connection refused.", Outlook.AWAY),
        ("slurm_persist_conn_open_without_init: failed to open persistent connection", Outlook.AWAY),
        ("Socket timed out on send/recv operation", Outlook.LOST),
        ("slurm_load_jobs error: Invalid job id specified", Outlook.NO_JOB),
    ],
)
def test_who_is_away_says_nothing_about_jobs(said, outlook):
    found = answer(said)
    assert found is not None
    assert found.outlook is outlook


def test_every_answer_that_waiting_does_not_help_names_an_option_and_every_option_names_answers_that_there_are():
    assert [each.name for each in ANSWERS if each.outlook is Outlook.NEVER and not each.options] == []
    names = {each.name for each in ANSWERS} | {"SubmitLimit"}
    named = {reason for option in OPTIONS.values() for reason in option.reasons if reason.isidentifier()}
    assert named <= names


def test_a_reason_means_the_same_in_the_queue_and_in_the_words_of_sbatch():
    queued, said = (
        impossible("PartitionTimeLimit"),
        answer("Requested time limit is invalid (missing or exceeds some limit)"),
    )
    assert queued == said


def test_words_of_sbatch_that_are_not_known_are_not_guessed_at():
    assert answer("sbatch: error: the moon is full") is None
