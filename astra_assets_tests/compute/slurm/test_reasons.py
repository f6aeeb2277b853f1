"""Which reasons never pass, and which option they say to change."""

from __future__ import annotations

import pytest

from astra_assets.compute.slurm.reasons import PATIENCE_SECONDS, impossible, meaning, refusal


@pytest.mark.parametrize(
    ("reason", "options"),
    [
        ("PartitionTimeLimit", ("time", "partition")),
        ("(PartitionTimeLimit)", ("time", "partition")),
        ("PartitionConfig", ("time", "procs", "mem", "gres", "partition")),
        ("BadConstraints", ("constraint", "procs", "mem", "gres", "partition")),
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
    ("answer", "option"),
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
        ("Job violates accounting/QOS policy (job submit limit, user's size and/or time limits)", "time"),
        ("sbatch: unrecognized option '--foo'", "extra"),
        ("Requested reservation is invalid", "extra"),
    ],
)
def test_what_sbatch_says_names_the_option(answer, option):
    found = refusal(f"sbatch: error: Batch job submission failed: {answer}")
    assert found is not None
    assert found.options[0] == option


def test_words_of_sbatch_that_are_not_known_are_not_guessed_at():
    assert refusal("sbatch: error: the moon is full") is None
