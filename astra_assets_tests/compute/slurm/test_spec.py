"""The text of jobs: golden scripts, and the options with which the survey's pipelines are run."""

from __future__ import annotations

import re
import shlex
import subprocess
from pathlib import Path

import pytest

from astra_assets.compute.slurm.spec import (
    EXIT_SETUP,
    JobSpec,
    SlurmSpecError,
    checked,
    output_in,
    ranges_of,
    script,
)
from astra_assets.pipelines.options import SlurmOptions

WORKER = ("/opt/venv/bin/python", "-m", "astra_assets.compute.worker", "/scratch/batches/snow_white-star/b1")


def job(tasks=(0,), command=WORKER, folder="/scratch/batches/b1", environment=None, **options):
    return JobSpec(
        name="astra-snow_white-star-b1-1",
        comment="b1",
        tasks=tuple(tasks),
        options=SlurmOptions(**options),
        command=command,
        output=output_in(Path(folder) / "logs"),
        directory=Path(folder),
        environment=environment or {},
    )


def asked(text):
    """What a script asks sbatch for, by option, without what is the same in all of them."""
    lines = [shlex.split(line)[0] for line in re.findall(r"^#SBATCH (.*)$", text, re.MULTILINE)]
    pairs = dict(line.removeprefix("--").partition("=")[::2] for line in lines)
    same = ("job-name", "comment", "output", "open-mode", "chdir", "requeue", "signal", "nodes", "ntasks")
    return {name: value for name, value in pairs.items() if name not in same}


def test_the_script_of_an_undemanding_step():
    assert script(job(time="48:00:00")) == (
        "#!/bin/bash\n"
        "#SBATCH --job-name=astra-snow_white-star-b1-1\n"
        "#SBATCH --comment=b1\n"
        "#SBATCH --array=0\n"
        "#SBATCH --output=/scratch/batches/b1/logs/task-%a.log\n"
        "#SBATCH --open-mode=append\n"
        "#SBATCH --chdir=/scratch/batches/b1\n"
        "#SBATCH --requeue\n"
        "#SBATCH --signal=B:USR1@90\n"
        "#SBATCH --nodes=1\n"
        "#SBATCH --ntasks=1\n"
        "#SBATCH --cpus-per-task=1\n"
        "#SBATCH --time=48:00:00\n"
        "trap '' USR1\n"
        "exec /opt/venv/bin/python -m astra_assets.compute.worker /scratch/batches/snow_white-star/b1 "
        '"$SLURM_ARRAY_TASK_ID"\n'
    )


def test_the_script_of_a_step_that_asks_for_everything():
    text = script(
        job(
            tasks=(0, 3, 4, 5, 6, 7, 9),
            procs=64,
            time="2-00:00:00",
            mem="16000",
            gres="gpu:v100:1",
            qos="sdss-np-urgent",
            account="sdss-np",
            partition="sdss-np,sdss-kp",
            cluster="notchpeak",
            constraint="skylake&intel",
            exclusive=True,
            throttle=4,
            nice=100,
            extra=("--reservation=night", "--mail-user=a b@example.org"),
            setup=("module load cuda", "export A='b'"),
            environment={"OMP_NUM_THREADS": "1", "PYTHONPATH": "/my code"},
        )
    )
    assert text.splitlines()[1:] == [
        "#SBATCH --job-name=astra-snow_white-star-b1-1",
        "#SBATCH --comment=b1",
        "#SBATCH --array=0,3-7,9%4",
        "#SBATCH --output=/scratch/batches/b1/logs/task-%a.log",
        "#SBATCH --open-mode=append",
        "#SBATCH --chdir=/scratch/batches/b1",
        "#SBATCH --requeue",
        "#SBATCH --signal=B:USR1@90",
        "#SBATCH --nodes=1",
        "#SBATCH --ntasks=1",
        "#SBATCH --cpus-per-task=64",
        "#SBATCH --time=2-00:00:00",
        "#SBATCH --mem=16000",
        "#SBATCH --gres=gpu:v100:1",
        "#SBATCH --constraint=skylake&intel",
        "#SBATCH --exclusive",
        "#SBATCH --qos=sdss-np-urgent",
        "#SBATCH --account=sdss-np",
        "#SBATCH --partition=sdss-np,sdss-kp",
        "#SBATCH --clusters=notchpeak",
        "#SBATCH --nice=100",
        "#SBATCH --reservation=night",
        "#SBATCH '--mail-user=a b@example.org'",
        "trap '' USR1",
        "export OMP_NUM_THREADS=1",
        "export PYTHONPATH='/my code'",
        "trap 'echo \"astra-assets: a set-up line failed with status $?: $BASH_COMMAND\" >&2; exit 78' ERR",
        "module load cuda",
        "export A='b'",
        "trap - ERR",
        f'exec {" ".join(WORKER)} "$SLURM_ARRAY_TASK_ID"',
    ]


GPU = {"mem": "16000", "gres": "gpu:v100", "account": "notchpeak-gpu", "partition": "notchpeak-gpu"}
SDSS = {"qos": "sdss-np", "partition": "sdss-np", "account": "sdss-np"}
CAMPAIGNS = {
    "spectrum products of DR20 and DR21": {"nodes": 4, "procs": 8, "mem": "0", "time": "48:00:00"},
    "spectrum products of main": {"nodes": 10, "procs": 4, "time": "96:00:00"},
    "ApogeeNet, AstroNN, BOSSNet star": {**GPU, "time": "48:00:00"},
    "BOSSNet visit": {**GPU, "procs": 64, "time": "48:00:00"},
    "ASPCAP of DR20 and DR21": {**SDSS, "nodes": 4, "time": "48:00:00"},
    "ASPCAP of main": {**SDSS, "nodes": 10, "time": "96:00:00", "qos": "sdss-np-urgent"},
    "AstroNN_Dist": {"time": "48:00:00"},
    "LineForest of DR20": {"procs": 64, "time": "48:00:00"},
    "Slam": {"mem": "0", "time": "96:00:00"},
    "MDwarfType": {"procs": 64, "mem": "0", "time": "48:00:00"},
    "SnowWhite, CORV": {"mem": "0", "time": "48:00:00"},
    "ThePayne": {"procs": 8, "mem": "0", "time": "48:00:00"},
}


@pytest.mark.parametrize("options", CAMPAIGNS.values(), ids=CAMPAIGNS)
def test_the_options_of_the_survey_are_expressed_as_they_are(options):
    nodes = options.get("nodes", 1)
    named = {name: str(value) for name, value in options.items() if name not in ("nodes", "procs")}
    assert asked(script(job(tasks=range(nodes), **options))) == {
        **named,
        "array": "0" if nodes == 1 else f"0-{nodes - 1}",
        "cpus-per-task": str(options.get("procs", 1)),
    }


@pytest.mark.parametrize(
    ("time", "seconds"), [("UNLIMITED", 90), ("24:00:00", 90), ("00:10:00", 60), ("1", 6)]
)
def test_the_warning_of_a_short_task_does_not_come_at_its_beginning(time, seconds):
    assert f"#SBATCH --signal=B:USR1@{seconds}\n" in script(job(time=time))


def test_what_is_not_asked_for_is_left_to_the_cluster():
    text = script(job(exclusive=False))
    for name in ("mem", "gres", "qos", "account", "partition", "constraint", "nice", "exclusive"):
        assert f"--{name}" not in text


def test_a_wrong_spec_makes_no_script():
    with pytest.raises(SlurmSpecError, match="time: expected"):
        script(job(time="tomorrow"))


def run(spec, task="3"):
    done = subprocess.run(
        ["bash"], input=script(spec), env={"SLURM_ARRAY_TASK_ID": task, "PATH": "/bin:/usr/bin"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    return done.returncode, done.stdout, done.stderr


def test_strange_paths_and_values_reach_the_program_as_they_are():
    strange = 'it\'s; $HOME `id` "x" #1 %a\n*'
    command = ("/bin/sh", "-c", 'printf "%s|" "$@" "$STRANGE"', "sh", strange)
    assert run(job(command=command, environment={"STRANGE": strange})) == (0, f"{strange}|3|{strange}|", "")


def test_a_percent_sign_in_a_path_is_no_pattern():
    assert "#SBATCH --output=/a%%a/logs/task-%a.log" in script(job(folder="/a%a"))


def test_the_program_replaces_the_shell_and_is_not_ended_by_the_warning():
    command = ("/bin/sh", "-c", "kill -USR1 $$; ps -o comm= -p $PPID; echo on", "sh")
    status, said, _ = run(job(command=command))
    assert status == 0
    assert said.splitlines()[-1] == "on"
    assert "bash" not in said


def test_a_set_up_line_that_fails_ends_the_task_and_is_named():
    status, said, errors = run(job(setup=("echo first", "false || true", "ls /not/there", "echo not this")))
    assert status == EXIT_SETUP
    assert said == "first\n"
    assert "a set-up line failed with status 2: ls /not/there" in errors


def test_set_up_lines_prepare_the_program():
    command = ("/bin/sh", "-c", "echo $MODULE", "sh")
    assert run(job(command=command, setup=("load() { export MODULE=$1; }", "load cuda"))) == (0, "cuda\n", "")


def test_all_errors_are_told_at_once():
    spec = JobSpec(
        name="",
        comment="a\nb",
        tasks=(),
        options=SlurmOptions(nodes=0, time="x", mem="y", gres=":", extra=("--wrap=x", "junk")),
        command=(),
        output="/a\\b",
        directory=Path("/"),
        environment={"1x": ""},
    )
    with pytest.raises(SlurmSpecError) as caught:
        checked(spec)
    beginnings = [problem.partition(":")[0] for problem in caught.value.problems]
    assert beginnings == [
        "name", "comment", "output", "tasks", "command", "environment", "nodes", "time", "mem", "gres", "extra", "extra",
    ]  # fmt: skip
    assert str(caught.value).startswith("the job '' cannot be submitted:\n  name: must not be empty\n")


def test_a_spec_that_is_right_is_handed_back():
    spec = JobSpec("a", "b", (1, 2), SlurmOptions(), ("x",), output_in(Path("/l")), Path("/"))
    assert checked(spec) is spec


def test_numbers_of_tasks_are_written_briefly():
    assert ranges_of([5, 0, 3, 4, 4, 9]) == "0,3-5,9"
    assert ranges_of(range(1000)) == "0-999"
