"""The client of the real programs, with programs in their place that misbehave on purpose."""

from __future__ import annotations

import json
import os
import time

import pytest

from astra_assets.compute.slurm.client import (
    SlurmError,
    SlurmMissingError,
    SlurmUnavailableError,
    SubmissionDeferredError,
    SubmissionRefusedError,
    SubmissionUnclearError,
)
from astra_assets.compute.slurm.command_line import CommandLineClient, environment
from astra_assets.compute.slurm.job_states import SlurmState

SCRIPT = "#!/bin/bash\n#SBATCH --job-name=astra-x\n#SBATCH --partition=nope\n#SBATCH --cpus-per-task=64\n"
CONNECT = "Unable to contact slurm controller (connect failure)"
TIMED_OUT = "Socket timed out on send/recv operation"


@pytest.fixture
def programs(tmp_path, monkeypatch):
    """Makes programs that print, end or hang as told, and keep what they were given."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    for name in ("SLURM_CLUSTERS", "SBATCH_CLUSTERS"):
        monkeypatch.delenv(name, raising=False)
    for name in ("sbatch", "squeue", "scontrol", "scancel", "sacct", "sinfo", "sacctmgr"):
        made = folder / name
        made.write_text("#!/bin/sh\nexit 1\n")
        made.chmod(0o755)

    def make(name, out="", errors="", status=0, action=""):
        (folder / f"{name}.out").write_text(out)
        (folder / f"{name}.err").write_text(errors)
        (folder / name).write_text(
            f"#!/bin/sh\nprintf '%s\\n' \"$@\" > {folder}/{name}.args\nenv > {folder}/{name}.env\n"
            f"echo x >> {folder}/{name}.calls\n{action}\ncat {folder}/{name}.out\ncat {folder}/{name}.err >&2\nexit {status}\n"
        )
        return folder

    return make


def arguments(folder, name):
    return (folder / f"{name}.args").read_text().splitlines()


def test_a_submission_hands_over_the_text_and_returns_the_id(programs):
    folder = programs("sbatch", out="4711\n", action="cat > $0.script")
    assert CommandLineClient().submit(SCRIPT) == "4711"
    assert (folder / "sbatch.script").read_text() == SCRIPT
    assert arguments(folder, "sbatch") == ["--parsable"]


def test_the_name_of_a_cluster_beside_the_id_is_left_out(programs):
    programs("sbatch", out="4711;notchpeak\n")
    assert CommandLineClient().submit(SCRIPT) == "4711"


@pytest.mark.parametrize(
    "fault",
    [
        {"action": "sleep 30"},
        {"errors": f"sbatch: error: Batch job submission failed: {TIMED_OUT}", "status": 1},
        {"errors": "sbatch: error: Zero Bytes were transmitted or received", "status": 1},
        {"action": "kill -9 $$"},
        {"out": "what?\n"},
    ],
    ids=["hangs", "time-out", "broken off", "killed", "no id"],
)
def test_a_lost_answer_is_neither_a_failure_nor_a_success(programs, fault):
    programs("sbatch", **fault)
    began = time.monotonic()
    with pytest.raises(SubmissionUnclearError):
        CommandLineClient(timeout_seconds=0.5).submit(SCRIPT)
    assert time.monotonic() - began < 25


def test_a_controller_that_is_not_reached_has_accepted_nothing(programs):
    programs("sbatch", errors=f"sbatch: error: Batch job submission failed: {CONNECT}", status=1)
    with pytest.raises(SlurmUnavailableError, match="connect failure"):
        CommandLineClient().submit(SCRIPT)


def test_a_refusal_says_what_to_change_and_what_there_is(programs):
    programs("sbatch", errors="sbatch: error: invalid partition specified: nope", status=1)
    programs("sinfo", out="sdss-np\nsdss-kp\nsdss-np\n")
    with pytest.raises(SubmissionRefusedError) as caught:
        CommandLineClient().submit(SCRIPT)
    assert str(caught.value) == (
        "Slurm does not accept the job astra-x: sbatch: error: invalid partition specified: nope. There is no such "
        "partition (partition = nope); there are sdss-np, sdss-kp; change partition (--partition on the command line, or "
        "partition in [slurm] of astra.toml)"
    )


def test_a_refusal_in_unknown_words_is_told_as_it_is(programs):
    programs("sbatch", errors="sbatch: error: cli_filter: ask the help desk", status=1)
    with pytest.raises(SubmissionRefusedError, match=r"ask the help desk\. Mend the options"):
        CommandLineClient().submit(SCRIPT)


def test_processes_are_asked_for_under_the_name_that_people_know(programs):
    programs("sbatch", errors="Requested node configuration is not available", status=1)
    with pytest.raises(SubmissionRefusedError, match=r"procs = 64, partition = nope.*--procs"):
        CommandLineClient().submit(SCRIPT)


ASKS = {
    "queue": ("squeue", lambda client: client.queue()),
    "find": ("squeue", lambda client: client.find("a")),
    "detail": ("scontrol", lambda client: client.detail("1", 2)),
    "cancel": ("scancel", lambda client: client.cancel("1")),
}


@pytest.mark.parametrize(("program", "ask"), ASKS.values(), ids=ASKS)
@pytest.mark.parametrize(
    "fault",
    [
        {"action": "sleep 30"},
        {"errors": f"slurm_load_jobs error: {CONNECT}", "status": 1},
        {"errors": f"slurm_load_jobs error: {TIMED_OUT}", "status": 1},
        {"errors": "error: Munge encode failed: Failed to access socket", "status": 1},
        {"errors": "fatal: Unable to process configuration file", "status": 1},
        {"action": "kill -9 $$"},
    ],
    ids=["hangs", "down", "time-out", "munge", "configuration", "killed"],
)
def test_a_controller_that_is_away_says_nothing_about_jobs(programs, program, ask, fault):
    programs(program, **fault)
    client = CommandLineClient(timeout_seconds=0.5)
    with pytest.raises(SlurmUnavailableError, match=program):
        ask(client)


@pytest.mark.parametrize("ask", [*(ask for _, ask in ASKS.values()), lambda client: client.submit(SCRIPT)])
def test_programs_that_are_not_installed_are_named(monkeypatch, tmp_path, ask):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SlurmMissingError, match="is not installed here, or not on PATH"):
        ask(CommandLineClient())
    assert "is not installed" in CommandLineClient().ping()


def test_a_queue_that_fails_for_an_unknown_reason_is_not_an_empty_one(programs):
    programs("squeue", errors="squeue: error: something new", status=1)
    with pytest.raises(SlurmUnavailableError, match="something new"):
        CommandLineClient().queue()


def test_the_queue_is_one_call(programs):
    folder = programs("squeue", out="7\x1f0-499%4\x1fPENDING\x1fResources\x1f\x1f0:00\x1fa\x1fb\n")
    assert len(CommandLineClient().queue()) == 500
    assert (folder / "squeue.calls").read_text() == "x\n"
    assert arguments(folder, "squeue")[:3] == ["--me", "--noheader", "--states=all"]


def test_a_name_is_found_exactly_and_without_what_was_refused(programs):
    rows = [
        ("9", "0", "RUNNING", "None", "n", "0:01", "astra-x", "b"),
        ("9", "1", "RUNNING", "None", "n", "0:01", "astra-x", "b"),
        ("8", "0", "FAILED", "BadConstraints", "", "0:00", "astra-x", "b"),
        ("7", "0", "RUNNING", "None", "n", "0:01", "astra-x2", "b"),
        ("10", "0", "FAILED", "NonZeroExitCode", "n", "0:01", "astra-x", "b"),
    ]
    folder = programs("squeue", out="".join("\x1f".join(row) + "\n" for row in rows))
    assert CommandLineClient().find("astra-x") == ["9", "10"]
    assert "--name=astra-x" in arguments(folder, "squeue")


def test_a_job_that_the_queue_has_forgotten_is_found_in_the_accounts(programs):
    programs("squeue")
    folder = programs("sacct", out="12_0|astra-x\n12_1|astra-x\n13|astra-x|y\n")
    assert CommandLineClient().find("astra-x") == ["12"]
    assert "--name=astra-x" in arguments(folder, "sacct")


def test_a_cluster_without_accounts_is_asked_for_them_once(programs):
    programs("squeue")
    folder = programs("sacct", errors="Slurm accounting storage is disabled", status=1)
    client = CommandLineClient()
    assert client.find("a") == client.find("b") == []
    assert (folder / "sacct.calls").read_text() == "x\n"


def test_accounts_that_do_not_answer_are_done_without(programs):
    programs("scontrol", out="JobId=3 JobState=COMPLETED Reason=None ExitCode=0:0 RunTime=00:00:01 \n")
    programs("sacct", errors="sacct: error: slurm_persist_conn_open_without_init: failed to open", status=1)
    detail = CommandLineClient().detail("3", None)
    assert (detail.state, detail.memory_used_mb) == (SlurmState.COMPLETED, None)


@pytest.mark.parametrize("said", ["slurm_load_jobs error: Invalid job id specified", "Job 1_2 not found"])
def test_a_task_that_slurm_does_not_know(programs, said):
    programs("scontrol", errors=said, status=1)
    assert CommandLineClient().detail("1", 2) is None


def test_scontrol_that_fails_for_an_unknown_reason_does_not_forget_the_task(programs):
    programs("scontrol", errors="scontrol: error: something new", status=1)
    with pytest.raises(SlurmError, match="something new"):
        CommandLineClient().detail("1", 2)


def test_tasks_are_cancelled_in_one_call(programs):
    folder = programs("scancel")
    CommandLineClient().cancel("12", [7, 3, 4, 5])
    assert arguments(folder, "scancel") == ["12_[3-5,7]"]
    CommandLineClient().cancel("12")
    assert arguments(folder, "scancel") == ["12"]
    CommandLineClient().cancel("12", [])
    assert (folder / "scancel.calls").read_text() == "x\nx\n"


def test_cancelling_what_is_gone_is_no_error_and_what_may_not_be_cancelled_is(programs):
    gone = "scancel: error: Kill job error on job id 3: Invalid job id specified"
    programs("scancel", errors=gone, status=1)
    CommandLineClient().cancel("3")
    programs("scancel", errors=f"{gone}\nscancel: error: Access/permission denied", status=1)
    with pytest.raises(SlurmError, match="Access/permission denied"):
        CommandLineClient().cancel("3")


@pytest.mark.parametrize(
    ("answer", "up"),
    [
        ("Slurmctld(primary) at a is UP", True),
        ("Slurmctld(primary) at a is DOWN\nSlurmctld(backup) at b is UP", True),
        ("Slurmctld(primary) at a is DOWN", False),
        ("", False),
    ],
)
def test_ping_tells_whether_a_controller_is_up(programs, answer, up):
    programs("scontrol", out=answer)
    assert (CommandLineClient().ping() is None) is up


def test_no_password_reaches_the_cluster(programs, monkeypatch):
    secrets = {
        "ASTRA_DATABASE_URL": "postgresql://a:hidden@db/astra",
        "PGPASSWORD": "hidden",
        "AWS_SECRET_ACCESS_KEY": "hidden",
        "GITHUB_TOKEN": "hidden",
        "OTHER_URL": "https://me:hidden@example.org",
    }
    others = {
        "SLURM_JOB_ID": "1",
        "SBATCH_PARTITION": "other",
        "SQUEUE_FORMAT": "%i",
        "DAGSTER_HOME": "/d",
        "LANG": "de_DE.UTF-8",
        "SLURM_CONF": "/etc/slurm.conf",
        "SAS_BASE_DIR": "/sas",
        "HTTP_PROXY": "http://proxy:3128",
    }
    for name, value in (secrets | others).items():
        monkeypatch.setenv(name, value)
    folder = programs("sbatch", out="1\n")
    CommandLineClient().submit(SCRIPT)
    passed = dict(line.partition("=")[::2] for line in (folder / "sbatch.env").read_text().splitlines())
    assert "hidden" not in json.dumps(passed)
    kept = {name: passed[name] for name in others if name in passed}
    assert kept == {name: others[name] for name in ("LANG", "SLURM_CONF", "SAS_BASE_DIR", "HTTP_PROXY")}
    assert (passed["LC_ALL"], passed["SLURM_BITSTR_LEN"]) == ("C.UTF-8", "0")


def test_a_cluster_found_without_slurm_conf_stays_so():
    assert "SLURM_CONF" not in environment({"PATH": os.defpath})


@pytest.mark.parametrize(
    "chosen", [{"SLURM_CLUSTERS": "notchpeak"}, {"SBATCH_CLUSTERS": "notchpeak"}, {}], ids=str
)
def test_the_cluster_that_is_chosen_is_asked_by_every_program(programs, monkeypatch, chosen):
    for name, value in chosen.items():
        monkeypatch.setenv(name, value)
    client = CommandLineClient() if chosen else CommandLineClient(cluster=None).on("notchpeak")
    folder = programs("sbatch", out="4711;notchpeak\n")
    for name in ("squeue", "scontrol", "scancel", "sacct", "sinfo"):
        programs(name, out="JobId=3 JobState=COMPLETED Reason=None ExitCode=0:0 RunTime=00:00:01 \n")
    assert client.submit(SCRIPT) == "4711"
    client.queue()
    client.detail("3", None)
    client.cancel("3")
    client.show(["sinfo"])
    for name in ("sbatch", "squeue", "scontrol", "scancel", "sacct", "sinfo"):
        assert arguments(folder, name)[0] == "--clusters=notchpeak"
        assert "SLURM_CLUSTERS=notchpeak" in (folder / f"{name}.env").read_text().splitlines()


def test_a_batch_of_the_default_cluster_stays_there_whatever_the_environment_chooses(programs, monkeypatch):
    monkeypatch.setenv("SLURM_CLUSTERS", "notchpeak")
    folder = programs("squeue")
    CommandLineClient().on(None).queue()
    assert "--me" in arguments(folder, "squeue")[0]
    assert "SLURM_CLUSTERS" not in (folder / "squeue.env").read_text()


POLICY = "Batch job submission failed: Job violates accounting/QOS policy (job submit limit, user's size and/or time limits)"
ARRAY = SCRIPT + "#SBATCH --array=0-9,12%4\n"


@pytest.mark.parametrize(
    "said",
    [
        "Batch job submission failed: Required partition not available (inactive or drain)",
        "Batch job submission failed: Requested partition configuration not available now",
        "Batch job submission failed: I/O error writing script/environment to file",
        f"QOSMaxSubmitJobPerUserLimit\nsbatch: error: {POLICY}",
    ],
)
def test_what_passes_by_waiting_is_no_refusal(programs, said):
    programs("sbatch", errors=f"sbatch: error: {said}", status=1)
    with pytest.raises(
        SubmissionDeferredError, match=r"^Slurm does not accept the job astra-x now: sbatch: error: "
    ):
        CommandLineClient().submit(ARRAY)


def limits(programs, association, qos):
    """What sacctmgr says: it is asked about associations, then about qualities of service."""
    programs(
        "sacctmgr", action=f"case \"$*\" in *associations*) echo '{association}' ;; *) echo '{qos}' ;; esac"
    )


@pytest.mark.parametrize("code", ["QOSMaxSubmitJobPerUserLimit\nsbatch: error: ", ""])
def test_an_array_that_is_larger_than_the_limit_is_the_user_s_to_change(programs, code):
    programs("sbatch", errors=f"sbatch: error: {code}{POLICY}", status=1)
    limits(programs, "sdss|||normal|normal", "normal|10||")
    with pytest.raises(
        SubmissionRefusedError, match=r"queued at once \(10\) \(nodes = 0-9,12%4\); change nodes \(--nodes"
    ):
        CommandLineClient().submit(ARRAY)
    limits(programs, "sdss|||normal|normal", "normal|11||")
    with pytest.raises(SubmissionDeferredError):
        CommandLineClient().submit(ARRAY)


def test_a_limit_that_is_not_on_the_number_of_jobs_is_the_user_s_to_change(programs):
    programs("sbatch", errors=f"sbatch: error: {POLICY}", status=1)
    limits(programs, "sdss|||normal|normal", "normal|||")
    with pytest.raises(
        SubmissionRefusedError, match="It asks for more than the account or the quality of service allows"
    ):
        CommandLineClient().submit(ARRAY)


def test_an_account_is_believed_to_be_missing_only_while_the_server_of_the_accounts_answers(programs):
    programs("sbatch", errors="sbatch: error: Batch job submission failed: Invalid account or account/partition "
             "combination specified", status=1)  # fmt: skip
    programs(
        "sacctmgr", errors="sacctmgr: error: Problem talking to the database: Connection refused", status=1
    )
    with pytest.raises(SubmissionDeferredError, match="The server of the accounts does not answer"):
        CommandLineClient().submit(ARRAY)
    programs("sacctmgr", out="notchpeak\n")
    with pytest.raises(SubmissionRefusedError, match="change account or partition"):
        CommandLineClient().submit(ARRAY)
