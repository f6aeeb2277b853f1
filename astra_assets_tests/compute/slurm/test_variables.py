"""Variables of sbatch: each is honoured, or refused in words."""

from __future__ import annotations

import pytest

from astra_assets.compute.slurm.variables import honoured, refused, request_of, unused
from astra_assets.pipelines.options import OPTIONS, ResourceRequest, SlurmOptions, problems


def test_variables_that_have_an_option_are_heeded():
    environment = {
        "SBATCH_ACCOUNT": "sdss-np", "SBATCH_PARTITION": "sdss-np,sdss-kp", "SBATCH_QOS": "long", "SBATCH_GRES": "gpu:1",
        "SBATCH_TIMELIMIT": "2-0", "SBATCH_MEM_PER_NODE": "16G", "SBATCH_CONSTRAINT": "skl", "SBATCH_EXCLUSIVE": "yes",
        "SLURM_CLUSTERS": "notchpeak", "SLURM_JOB_ID": "7", "HOME": "/home/a",
    }  # fmt: skip
    assert request_of(environment) == ResourceRequest(
        account="sdss-np", partition="sdss-np,sdss-kp", qos="long", gres="gpu:1", time="2-0", mem="16G", constraint="skl",
        exclusive=True, cluster="notchpeak",
    )  # fmt: skip
    assert len(honoured(environment)) == 9
    assert refused(environment, SlurmOptions()) == unused(environment) == []


def test_an_empty_variable_asks_for_nothing():
    assert request_of({"SBATCH_ACCOUNT": "", "SLURM_CLUSTERS": ""}) == ResourceRequest()


@pytest.mark.parametrize(
    ("variable", "value", "instead"),
    [
        ("SBATCH_RESERVATION", "night", 'set extra = ["--reservation=night"]'),
        ("SBATCH_WCKEY", "dr20", 'set extra = ["--wckey=dr20"]'),
        ("SBATCH_REQ_SWITCH", "1", 'set extra = ["--switches=1"]'),
        ("SBATCH_OVERCOMMIT", "1", 'set extra = ["--overcommit"]'),
        ("SBATCH_MEM_PER_CPU", "4G", "set mem"),
    ],
)
def test_what_would_be_dropped_is_refused_with_what_to_write(variable, value, instead):
    (text,) = refused({variable: value}, SlurmOptions())
    assert (
        text
        == f"{variable}={value} is not passed on to sbatch: {instead} in [slurm] of astra.toml, or unset it"
    )


def test_what_the_site_asks_for_in_extra_needs_no_variable():
    assert refused({"SBATCH_RESERVATION": "day"}, SlurmOptions(extra=("--reservation=night",))) == []


def test_what_the_engine_decides_is_only_told():
    environment = {"SBATCH_EXPORT": "NONE", "SBATCH_OUTPUT": "/srv/x"}
    assert refused(environment, SlurmOptions()) == []
    assert [text.partition(" ")[0] for text in unused(environment)] == [
        "SBATCH_EXPORT=NONE",
        "SBATCH_OUTPUT=/srv/x",
    ]


def test_variables_that_slurm_sets_in_every_job_are_nothing_that_is_asked_for():
    inside = {
        "SLURM_JOB_ID": "1",
        "SBATCH_MEM_BIND": "none",
        "SBATCH_CPU_BIND_TYPE": "mask_cpu",
        "SLURM_JOB_PARTITION": "a",
    }
    assert request_of(inside) == ResourceRequest()
    assert refused(inside, SlurmOptions()) == unused(inside) == []


def test_a_value_that_an_option_cannot_have_is_named():
    options = request_of({"SBATCH_EXCLUSIVE": "mcs", "SLURM_CLUSTERS": "a,b"}).over(SlurmOptions())
    assert problems(options) == [
        "exclusive: expected true or false, found 'mcs'",
        "cluster: expected the name of one cluster, found 'a,b'",
    ]
    assert all(option.variables == () or option.replaces for option in OPTIONS.values())
