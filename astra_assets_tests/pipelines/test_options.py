"""Options of Slurm: what is wrong is told by name, what is right is not refused, and all that follows from one declaration."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from astra_assets.pipelines.options import (
    OPTIONS,
    ResourceRequest,
    SlurmOptions,
    megabytes_of,
    problems,
    seconds_of,
)


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
        ("--clusters=notchpeak", "use cluster instead"),
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


ONE_MORE = """    licenses: str | None = option(
        None, "Licences that a task needs, e.g. idl:2.", argument="licenses", variables=("SBATCH_LICENSES",),
        reasons=("Licenses",),
    )
    nice: int"""

WITH_ONE_MORE = """
import json, os, sys, types
from pathlib import Path

name, home, licences = sys.argv[1:]
module = types.ModuleType("astra_assets.pipelines.options")
sys.modules[module.__name__] = module
exec(compile(Path(name).read_text(), name, "exec"), module.__dict__)

from astra_assets.cli import main_group
from astra_assets.compute.slurm.spec import JobSpec, script
from astra_assets.config.settings import load_settings
from astra_assets.defs.assets.steps import StepOptions, options_schema
from astra_assets.pipelines import PIPELINES

pipeline = PIPELINES[0]
options = load_settings().slurm.options(pipeline, pipeline.steps[0], module.AS_DECLARED)
text = script(JobSpec("a", "b", (0,), options, ("true",), "/log", Path("/")))
launched = StepOptions(licenses="gdl").resources.over(options)
command = {each.name: each.help for each in main_group.commands["srun"].params if each.name == "licenses"}
print(json.dumps({
    "file": options.licenses,
    "script": [line for line in text.splitlines() if "licenses" in line],
    "launchpad": launched.licenses,
    "schema": options_schema().config_type.fields["licenses"].description,
    "command line": command,
    "differences": launched.differences(options),
    "wrong": [each for each in module.problems(module.SlurmOptions(extra=("--licenses=x",)))],
}))
"""


def test_an_option_is_declared_once_and_known_everywhere(tmp_path):
    declared = Path(sys.modules[SlurmOptions.__module__].__file__).read_text()
    (tmp_path / "options.py").write_text(declared.replace("    nice: int", ONE_MORE, 1))
    (tmp_path / "astra.toml").write_text('[slurm]\nlicenses = "idl:2"\n')
    done = subprocess.run(
        [sys.executable, "-c", WITH_ONE_MORE, str(tmp_path / "options.py"), str(tmp_path), "idl:2"],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    text = "Licences that a task needs, e.g. idl:2."
    assert json.loads(done.stdout) == {
        "file": "idl:2",
        "script": ["#SBATCH --licenses=idl:2"],
        "launchpad": "gdl",
        "schema": text,
        "command line": {"licenses": text},
        "differences": "licenses = gdl",
        "wrong": ["extra: --licenses=x sets --licenses: use licenses instead"],
    }


def test_the_pages_list_the_options_that_there_are():
    docs = Path(__file__).resolve().parents[2] / "docs"
    table = (docs / "deploy.md").read_text().partition("| option | meaning |")[2].partition("\n\n")[0]
    rows = [row for row in table.splitlines() if row.startswith("| `") and "only in `[slurm]`" not in row]
    assert sorted(name for row in rows for name in re.findall(r"`(\w+)`", row.split("|")[1])) == sorted(
        OPTIONS
    )
    known = (docs / "run.md").read_text().partition("what is asked of a cluster:")[2].partition(". ")[0]
    assert sorted(re.findall(r"`(\w+)`", known)) == sorted(OPTIONS)


def test_a_request_is_split_into_what_a_batch_cannot_change_and_the_rest():
    fixed, rest = ResourceRequest(nodes=3, cluster="kp", time="1", extra=["--wckey=x"]).split()
    assert fixed == ResourceRequest(nodes=3, cluster="kp")
    assert rest == ResourceRequest(time="1", extra=("--wckey=x",))
    assert rest.over(SlurmOptions(nodes=2)) == SlurmOptions(nodes=2, time="1", extra=("--wckey=x",))


@pytest.mark.parametrize("name", ["a,b", "all", "../x", ""])
def test_a_batch_is_on_one_cluster(name):
    assert problems(SlurmOptions(cluster=name)) == [
        f"cluster: expected the name of one cluster, found {name!r}"
    ]
