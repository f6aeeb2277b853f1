"""What is asked of a cluster, by whom, and who wins."""

from __future__ import annotations

import re
from dataclasses import fields

import pytest

from astra_assets.config.profile import Asked, SlurmProfile
from astra_assets.config.settings import SettingsError, load_settings
from astra_assets.models.boss import BossCombinedSpectrum, BossVisitSpectrum
from astra_assets.pipelines.base import Pipeline, Requirement, Step
from astra_assets.pipelines.options import AS_DECLARED, OPTIONS, ResourceRequest, SlurmOptions
from astra_assets.pipelines.snow_white.table import SnowWhite
from astra_assets_tests.project import PROJECT

ANY = (Requirement("any", "Any.", ("snr",), lambda columns: columns["snr"] > 0),)
STAR = Step(
    "star", BossCombinedSpectrum, requires=ANY, slurm=SlurmOptions(nodes=2, mem="8000", qos="declared")
)
VISIT = Step("visit", BossVisitSpectrum, requires=ANY)
NET = Pipeline("BOSSNet", SnowWhite, (STAR, VISIT), key="bossnet")


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch, tmp_path):
    import os

    for name in [*os.environ]:
        if name.startswith(("ASTRA_", "SBATCH_", "SLURM_")) or name in {"SAS_BASE_DIR", "MWM_ASTRA"}:
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def profile_of(tmp_path, text: str) -> SlurmProfile:
    (tmp_path / "astra.toml").write_text(text)
    return load_settings().slurm


def test_the_names_are_those_of_the_options():
    assert list(Asked.model_fields) == list(OPTIONS) == [each.name for each in fields(SlurmOptions)]
    with pytest.raises(TypeError, match="there is no option speed; there are nodes, procs, "):
        ResourceRequest(speed=3)
    assert all(field.description for field in Asked.model_fields.values())


def test_the_more_particular_wins_from_the_declaration_to_the_command_line(tmp_path):
    profile = profile_of(
        tmp_path,
        """
[slurm]
qos = "site"
account = "sdss-np"
partition = "sdss-np"
time = "10:00:00"
[slurm.steps.bossnet]
time = "20:00:00"
procs = 16
[slurm.steps."bossnet/star"]
procs = 1
gres = "gpu:v100:1"
""",
    )
    star = profile.options(NET, STAR, ResourceRequest(time="48:00:00"))
    assert (star.nodes, star.mem, star.qos) == (2, "8000", "site")
    assert (star.time, star.procs, star.gres) == ("48:00:00", 1, "gpu:v100:1")
    visit = profile.options(NET, VISIT, AS_DECLARED)
    assert (visit.time, visit.procs, visit.gres, visit.partition) == ("20:00:00", 16, None, "sdss-np")


def test_what_the_environment_asks_of_sbatch_wins_over_the_declaration_and_nothing_else(
    tmp_path, monkeypatch
):
    asked = {
        "SBATCH_ACCOUNT": "mine",
        "SBATCH_QOS": "long",
        "SBATCH_TIMELIMIT": "2-0",
        "SLURM_CLUSTERS": "notchpeak",
    }
    for name, value in asked.items():
        monkeypatch.setenv(name, value)
    plain = profile_of(tmp_path, "").options(NET, STAR, AS_DECLARED)
    assert (plain.account, plain.qos, plain.time, plain.cluster) == ("mine", "long", "2-0", "notchpeak")
    profile = profile_of(tmp_path, '[slurm]\nqos = "site"\ncluster = "kingspeak"\n')
    found = profile.options(NET, STAR, ResourceRequest(time="1:00:00"))
    assert (found.account, found.qos, found.time, found.cluster) == ("mine", "site", "1:00:00", "kingspeak")


def test_without_a_profile_a_step_gets_what_it_declares(tmp_path):
    profile = profile_of(tmp_path, "")
    assert not profile.is_set
    assert profile.options(NET, STAR, AS_DECLARED) == STAR.slurm


PRODUCTION: dict[str, dict[str, str | int]] = {
    "dr20 bossnet star": {"mem": "16000", "gres": "gpu:v100", "account": "notchpeak-gpu", "time": "48:00:00"},
    "dr20 bossnet visit": {"nodes": 1, "procs": 64, "mem": "0", "time": "48:00:00"},
    "dr20 slam": {"nodes": 1, "mem": "0", "time": "96:00:00"},
    "dr21 aspcap": {
        "nodes": 4,
        "time": "48:00:00",
        "qos": "sdss-np",
        "partition": "sdss-np",
        "account": "sdss-np",
    },
    "dr21 products": {"nodes": 4, "procs": 8, "mem": "0", "time": "48:00:00"},
    "main aspcap": {"nodes": 10, "time": "96:00:00", "qos": "sdss-np-urgent", "account": "sdss-np"},
}


@pytest.mark.parametrize("name", PRODUCTION)
def test_the_options_of_the_production_runs_can_be_written_as_they_are(tmp_path, name):
    from astra_assets.pipelines.options import problems

    asked = PRODUCTION[name]
    lines = [f"{key} = {value!r}".replace("'", '"') for key, value in asked.items()]
    profile = profile_of(tmp_path, "\n".join(["[slurm.steps.bossnet]", *lines]))
    options = profile.options(NET, VISIT, AS_DECLARED)
    assert {key: getattr(options, key) for key in asked} == asked
    assert problems(options) == []


def test_a_partition_of_the_account_s_name_is_taken_where_there_is_one(tmp_path):
    profile = profile_of(tmp_path, '[slurm]\naccount = "sdss-np"\npartition = "sdss-np"\n')
    gpu = ResourceRequest(account="notchpeak-gpu")
    assert profile.options(NET, STAR, gpu).partition == "sdss-np"

    def is_partition(cluster: str | None, name: str) -> bool:
        return (cluster, name) == (None, "notchpeak-gpu")

    assert profile.options(NET, STAR, gpu, is_partition).partition == "notchpeak-gpu"
    elsewhere = ResourceRequest(account="notchpeak-gpu", cluster="kingspeak")
    assert profile.options(NET, STAR, elsewhere, is_partition).partition == "sdss-np"
    named = ResourceRequest(account="notchpeak-gpu", partition="other")
    assert profile.options(NET, STAR, named, is_partition).partition == "other"
    never = profile_of(tmp_path, "[slurm]\npartition_like_account = false\n")
    assert never.options(NET, STAR, gpu, is_partition).partition is None
    always = profile_of(tmp_path, "[slurm]\npartition_like_account = true\n")
    assert always.options(NET, STAR, gpu).partition == "notchpeak-gpu"


def test_all_problems_are_told_at_once_each_with_its_table(tmp_path):
    with pytest.raises(SettingsError) as caught:
        profile_of(
            tmp_path,
            """
compute = "slrm"
[slurm]
acount = "sdss-np"
mem = "lots"
memory_cap = "more"
poll_seconds = 0
[slurm.steps."bossnet/star"]
nodes = 0
extra = ["--array=3"]
time = "soon"
""",
        )
    text = str(caught.value)
    for part in (
        "ASTRA_COMPUTE (or compute in astra.toml): Input should be 'local' or 'slurm'",
        "acount in [slurm] of astra.toml: Extra inputs are not permitted",
        "mem in [slurm] of astra.toml: expected a size such as 16000",
        "memory_cap in [slurm] of astra.toml: 'more' is no size of memory",
        "poll_seconds in [slurm] of astra.toml: Input should be greater than 0",
        "nodes in [slurm.steps.bossnet/star] of astra.toml: must be at least 1, found 0",
        "extra in [slurm.steps.bossnet/star] of astra.toml: --array=3 sets --array",
        "time in [slurm.steps.bossnet/star] of astra.toml: expected [days-]hours:minutes:seconds",
    ):
        assert part in text


def test_a_table_of_no_step_is_told_with_those_that_there_are(tmp_path):
    profile = profile_of(
        tmp_path, '[slurm.steps."bossnet/stars"]\nnodes = 1\n[slurm.steps.bosnet]\nnodes = 1\n'
    )
    first, second = profile.unknown_steps((NET,))
    assert '[slurm.steps."bossnet/stars"]' in first
    assert "there are: bossnet, bossnet/star, bossnet/visit" in first
    assert "bosnet" in second


def test_numbers_and_texts_are_both_memory(tmp_path):
    profile = profile_of(tmp_path, '[slurm]\nmem = 0\nmemory_cap = "180G"\n')
    assert profile.resources.asked["mem"] == "0"
    assert profile.memory_cap_mb == 180 * 1024


def test_the_profile_that_the_documentation_shows_can_be_used(tmp_path):
    page = (PROJECT / "docs" / "deploy.md").read_text()
    (shown,) = (text for text in re.findall(r"```toml\n(.*?)```", page, re.DOTALL) if "[slurm]" in text)
    profile = profile_of(tmp_path, shown)
    star = profile.options(NET, STAR, AS_DECLARED)
    assert (star.account, star.gres, star.mem, star.setup) == (
        "notchpeak-gpu",
        "gpu:v100",
        "16000",
        ("module load gcc",),
    )
