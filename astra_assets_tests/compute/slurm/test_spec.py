"""All errors of what is asked for are told at once, and nothing that is right is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from astra_assets.compute.slurm.spec import (
    JobSpec,
    SlurmSpecError,
    checked,
    megabytes_of,
    output_in,
    problems,
    ranges_of,
    seconds_of,
)
from astra_assets.pipelines.options import SlurmOptions


def test_defaults_are_right():
    assert problems(SlurmOptions()) == []


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"time": "two days"}, "time: expected [days-]hours:minutes:seconds such as 48:00:00, found 'two days'"),
        ({"time": "00:00:00"}, "time: must be longer than nothing"),
        ({"mem": "16 GB"}, "mem: expected a size such as 16000, 16G or 0"),
        ({"mem": "-1"}, "mem: expected"),
        ({"gres": "gpu v100"}, "gres: expected name[:type][:number]"),
        ({"gres": "gpu:v100,"}, "gres: expected"),
        ({"nodes": 0}, "nodes: must be at least 1, found 0"),
        ({"procs": -2}, "procs: must be at least 1, found -2"),
        ({"throttle": 0}, "throttle: must be at least 1, found 0"),
        ({"nice": 3_000_000_000}, "nice: must be between"),
        ({"partition": "a b"}, "partition: expected a name"),
        ({"partition": "sdss-np,"}, "partition: expected a name"),
        ({"account": ""}, "account: expected a name"),
        ({"qos": "x\n#SBATCH --uid=0"}, "qos: expected a name"),
        ({"constraint": "a\nb"}, "constraint: expected features"),
        ({"setup": ("module load a\nrm -r /",)}, "setup: each must be one line"),
        ({"extra": ("--reservation", "night")}, "extra: expected --option or --option=value in one piece, found 'night'"),
        ({"extra": ("-w np001",)}, "extra: expected --option"),
        ({"extra": ("--mail-user=a\nb",)}, "extra: has a control character"),
    ],
)  # fmt: skip
def test_a_wrong_option_is_named(options, told):
    (problem,) = problems(SlurmOptions(**options))
    assert problem.startswith(told)


@pytest.mark.parametrize(
    ("argument", "instead"),
    [
        ("--array=0-9", "it is set by the program itself"),
        ("--job-name=mine", "it is set by the program itself"),
        ("--comment=mine", "it is set by the program itself"),
        ("--output=/dev/null", "it is set by the program itself"),
        ("--wrap=hostname", "it is set by the program itself"),
        ("--job=abbreviated", "it is set by the program itself"),
        ("--wait", "it is set by the program itself"),
        ("--mem-per-cpu=4G", "use mem instead"),
        ("--part=sdss-np", "use partition instead"),
        ("--time=1", "use time instead"),
    ],
)
def test_further_arguments_may_not_set_what_is_set_already(argument, instead):
    (problem,) = problems(SlurmOptions(extra=(argument,)))
    assert problem.startswith(f"extra: {argument} sets --")
    assert problem.endswith(instead)


@pytest.mark.parametrize(
    "options",
    [
        {"time": "90"}, {"time": "1-12"}, {"time": "96:00:00"}, {"time": "UNLIMITED"}, {"mem": "0"}, {"mem": "16G"},
        {"mem": "2T"}, {"gres": "gpu"}, {"gres": "gpu:2"}, {"gres": "gpu:v100:1,lscratch:100G"},
        {"constraint": "[rack1|rack2]&!old"}, {"nice": -5},
        {"extra": ("--reservation=night", "--mail-type=END,FAIL", "--exclude=np[001-004]", "--gpus-per-node=1")},
        {"setup": ("module load cuda\t# comment", "")}, {"partition": "sdss-np,sdss-kp"}, {"account": "owner-guest@x+y"},
    ],
    ids=str,
)  # fmt: skip
def test_what_clusters_understand_is_not_refused(options):
    assert problems(SlurmOptions(**options)) == []


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


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("30", 1800), ("2:30", 150), ("48:00:00", 172_800), ("1-12", 129_600), ("1-02:03", 93_780), ("2-00:00:01", 172_801),
     ("UNLIMITED", None)],
)  # fmt: skip
def test_wall_times_are_read_as_sbatch_reads_them(text, seconds):
    assert seconds_of(text) == seconds


@pytest.mark.parametrize(
    ("text", "megabytes"), [("16000", 16000), ("16G", 16384), ("512k", 0.5), ("1TB", 1048576), ("0", 0)]
)
def test_sizes_of_memory_are_read_as_sbatch_reads_them(text, megabytes):
    assert megabytes_of(text) == megabytes


def test_numbers_of_tasks_are_written_briefly():
    assert ranges_of([5, 0, 3, 4, 4, 9]) == "0,3-5,9"
    assert ranges_of(range(1000)) == "0-999"
