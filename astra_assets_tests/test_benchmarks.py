"""The benchmarks run and say what they measured; how fast anything is, is no business of tests."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from astra_assets_tests.project import PROJECT

pytestmark = pytest.mark.processes

RUN = PROJECT / "benchmarks" / "run.py"


def bench(*options):
    command = [
        sys.executable,
        RUN,
        "--rows",
        "200",
        "--fits-rows",
        "200",
        "--repeats",
        "1",
        "--no-postgresql",
        *options,
    ]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_results_name_ours_and_peers(tmp_path):
    done = bench("--only", "fits-sqlite", "--only", "load", "--output", tmp_path / "results.json")
    assert done.returncode == 0, done.stderr
    results = json.loads((tmp_path / "results.json").read_text())
    assert {row["name"] for row in results} == {
        "fits-sqlite-200",
        "fits-sqlite-gz-200",
        "fits-sqlite-parquet-200",
        "fits-sqlite-create-200",
        "load-definitions",
    }
    assert {row["peer"] for row in results} >= {"rows into lists", "ADBC scan", "import dagster"}
    for row in results:
        assert list(row) == ["name", "ours_s", "peer", "peer_s", "ratio", "peak_mib"]
        assert row["ratio"] == pytest.approx(row["peer_s"] / row["ours_s"], rel=0.05, abs=0.0006)
        assert row["peak_mib"] > 10
        assert f"{row['name']:34}" in done.stdout


def test_an_unknown_name_is_refused(tmp_path):
    done = bench("--only", "fast", "--output", tmp_path / "results.json")
    assert done.returncode == 2
    assert "fits-sqlite" in done.stderr
    assert not (tmp_path / "results.json").exists()


def test_each_of_several_sizes_must_be_a_size():
    done = bench("--fits-rows", "0", "--only", "fits")
    assert done.returncode == 2
    assert "--fits-rows must be at least 1, found 0" in done.stderr


@pytest.mark.slurm
def test_an_array_on_a_cluster_is_measured_against_sbatch(tmp_path):
    done = bench("--only", "slurm-array", "--tasks", "2", "--output", tmp_path / "results.json")
    assert done.returncode == 0, done.stderr
    without = [line for line in done.stdout.splitlines() if line.startswith("without Slurm")]
    if without:
        pytest.skip(without[0])
    (row,) = json.loads((tmp_path / "results.json").read_text())
    assert (row["name"], row["peer"]) == ("slurm-array-2", "sbatch, squeue")
    assert row["ours_s"] > 1
