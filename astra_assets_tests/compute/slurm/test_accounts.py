"""Where the cluster keeps accounts: memory used, who cancelled, jobs that the queue has forgotten, and the doctor."""

from __future__ import annotations

import pytest

from astra_assets.compute.slurm.client import SubmissionDeferredError, SubmissionRefusedError
from astra_assets.compute.slurm.command_line import CommandLineClient
from astra_assets.compute.slurm.diagnose import examine
from astra_assets.compute.slurm.job_states import SlurmState
from astra_assets.compute.slurm.spec import JobSpec, output_in, script
from astra_assets.pipelines.options import SlurmOptions

pytestmark = pytest.mark.slurm

SLURM_OPTIONS = ["--accounting"]
SLURM_SETTINGS = {"SLURM_TEST_MIN_JOB_AGE": "5", "SLURM_TEST_ACCT_ENFORCE": "associations,limits,qos"}

HUNGRY = "x=$(head -c 60M /dev/zero | tr '\\0' x); sleep 3"


@pytest.fixture
def client():
    return CommandLineClient()


def submit(client, folder, command, tasks=(0, 1), **options):
    asked = SlurmOptions(**{"time": "00:10:00", "mem": "500", **options})
    spec = JobSpec(
        "astra-acc-1", "b", tuple(tasks), asked, ("/bin/bash", "-c", command, "x"), output_in(folder), folder
    )
    return client.submit(script(spec))


def test_memory_and_end_are_told_also_when_the_queue_has_forgotten_the_job(slurm, client, tmp_path):
    job_id = submit(client, tmp_path, f"{HUNGRY}; exit 4")
    slurm.wait_until(lambda: slurm.states(job_id) == ["FAILED"] * 2)
    detail = slurm.wait_until(
        lambda: (found := client.detail(job_id, 1)).memory_used_mb and found, 20, "an account"
    )
    assert (detail.state, detail.exit_code, detail.memory_asked_mb) == (SlurmState.FAILED, 4, 500)
    assert 60 < detail.memory_used_mb < 500

    slurm.wait_until(lambda: not slurm.squeue(), 90, "a forgotten job")
    assert client.find("astra-acc-1") == [job_id]
    later = client.detail(job_id, 1)
    assert (later.state, later.exit_code, later.memory_used_mb) == (
        SlurmState.FAILED,
        4,
        detail.memory_used_mb,
    )
    assert client.detail("98765", 0) is None


def test_who_cancelled_a_task_is_told(slurm, client, tmp_path):
    job_id = submit(client, tmp_path, "sleep 60")
    slurm.wait_until(lambda: slurm.states(job_id) == ["RUNNING"] * 2)
    client.cancel(job_id, [1])
    slurm.wait_until(lambda: slurm.states(job_id)[1] == "CANCELLED")
    detail = slurm.wait_until(
        lambda: (found := client.detail(job_id, 1)).cancelled_by and found, 20, "an account"
    )
    assert (detail.state, detail.cancelled_by) == (SlurmState.CANCELLED, "root")


@pytest.mark.parametrize(
    ("options", "told"), [({"account": "nobody"}, "account = nobody"), ({"qos": "best"}, "qos = best")]
)
def test_an_account_or_quality_of_service_that_is_not_there_is_named(slurm, client, tmp_path, options, told):
    with pytest.raises(SubmissionRefusedError, match=told):
        submit(client, tmp_path, "exit", **options)


def levels(found):
    return {level for level, _ in found}


def test_the_doctor_finds_nothing_wrong_with_the_options_of_the_survey(slurm, client):
    asked = SlurmOptions(
        time="48:00:00",
        mem="16000",
        gres="gpu:v100:1",
        account="notchpeak-gpu",
        partition="notchpeak-gpu",
        qos="notchpeak-gpu",
    )
    assert levels(examine(client, asked)) == {"ok"}
    assert levels(examine(client, SlurmOptions())) == {"ok"}


def test_the_doctor_tells_everything_at_once(slurm, client):
    asked = SlurmOptions(
        time="96:00:00",
        procs=64,
        mem="100G",
        gres="gpu:v100",
        constraint="skylake",
        account="nobody",
        qos="best",
    )
    found = examine(client, asked)
    errors = [text for level, text in found if level == "error"]
    assert [text.split(": ")[1] for text in errors] == [
        "time",
        "procs",
        "mem",
        "gres",
        "constraint",
        "account",
        "qos",
    ]
    assert "3-00:00:00" in errors[0]
    assert "sdss-kp" in errors[5]


def test_the_doctor_names_the_partitions_that_there_are(slurm, client):
    found = examine(client, SlurmOptions(partition="sdss-np,nope"))
    assert ("error", "Slurm: partition: there is no nope; there are sdss-np, sdss-kp, notchpeak-gpu") in found


def test_the_doctor_tells_of_wrong_texts_before_it_asks(slurm, client):
    found = examine(client, SlurmOptions(time="soon", mem="much"))
    assert [text for level, text in found if level == "error"] == [
        "Slurm: time: expected [days-]hours:minutes:seconds such as 48:00:00, found 'soon'",
        "Slurm: mem: expected a size such as 16000, 16G or 0 (all of a node), found 'much'",
    ]


def test_the_doctor_tells_of_a_controller_that_is_away(slurm, client):
    slurm.stop_controller()
    ((level, text),) = examine(client, SlurmOptions())
    assert level == "error"
    assert "the controller does not answer" in text


def test_the_doctor_tells_of_programs_that_are_missing(client, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    ((level, text),) = examine(client, SlurmOptions())
    assert level == "error"
    assert "sbatch, squeue, scontrol, scancel, sinfo" in text


def test_the_doctor_tells_of_a_configuration_that_is_not_there(slurm, client, monkeypatch, tmp_path):
    monkeypatch.setenv("SLURM_CONF", str(tmp_path / "slurm.conf"))
    ((level, text),) = examine(client, SlurmOptions())
    assert level == "error"
    assert "slurm.conf: there is no such file; correct the path or unset SLURM_CONF" in text


@pytest.fixture
def limit(slurm):
    """Sets limits in the accounts, and takes them away again."""
    undo = []

    def made(what: str, name: str, value: str):
        slurm.run("sacctmgr", "-i", "modify", what, name, "set", f"{value}=3")
        undo.append((what, name, f"{value}=-1"))

    yield made
    for what, name, value in undo:
        slurm.run("sacctmgr", "-i", "modify", what, name, "set", value)


@pytest.mark.parametrize(
    "limited", [("user", "root", "MaxSubmitJobs"), ("qos", "sdss-np", "MaxSubmitJobsPerUser")]
)
def test_a_limit_on_jobs_is_waited_for_and_an_array_beyond_it_is_refused(
    slurm, client, tmp_path, limit, limited
):
    limit(*limited)
    submit(client, tmp_path, "sleep 60", qos="sdss-np")
    with pytest.raises(SubmissionDeferredError, match="As many jobs are queued as the"):
        submit(client, tmp_path, "exit", qos="sdss-np")
    with pytest.raises(SubmissionRefusedError, match=r"queued at once \(3\) .*change nodes"):
        submit(client, tmp_path, "exit", tasks=range(4), qos="sdss-np")


def test_a_partition_that_takes_no_jobs_now_is_waited_for_and_the_doctor_warns(slurm, client, tmp_path):
    slurm.run("scontrol", "update", "PartitionName=sdss-kp", "State=INACTIVE")
    try:
        with pytest.raises(SubmissionDeferredError, match="The partition is inactive or drained"):
            submit(client, tmp_path, "exit", partition="sdss-kp")
        found = examine(client, SlurmOptions(partition="sdss-kp"))
    finally:
        slurm.run("scontrol", "update", "PartitionName=sdss-kp", "State=UP")
    (warning,) = [text for level, text in found if level == "warning"]
    assert warning.startswith("Slurm: partition sdss-kp is inact")
    assert submit(client, tmp_path, "exit", partition="sdss-kp")


def test_a_cluster_is_chosen_by_its_name_in_every_question(slurm, monkeypatch, tmp_path):
    monkeypatch.setenv("SLURM_CLUSTERS", "test")
    client = CommandLineClient()
    job_id = submit(client, tmp_path, "sleep 60", cluster="test")
    assert job_id in client.find("astra-acc-1")
    assert {task.job_id for task in client.queue()} >= {job_id}
    slurm.wait_until(lambda: client.detail(job_id, 0).state is SlurmState.RUNNING)
    client.cancel(job_id)
    slurm.wait_until(lambda: client.detail(job_id, 0).state is SlurmState.CANCELLED)
    with pytest.raises(SubmissionRefusedError, match=r"cluster = nowhere.*change cluster"):
        submit(client.on("nowhere"), tmp_path, "exit", cluster="nowhere")


def test_while_the_server_of_the_accounts_is_away_no_account_is_taken_for_missing(slurm, client, tmp_path):
    slurm.stop_accounts()
    try:
        with pytest.raises(SubmissionDeferredError, match="The server of the accounts does not answer"):
            submit(client, tmp_path, "exit", account="nobody")
    finally:
        slurm.start_controller()
