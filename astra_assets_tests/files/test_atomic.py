"""A file under its final name is whole or not there: what atomic_write leaves behind in good and bad ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from astra_assets.files.atomic import PARTIAL_PREFIX, atomic_write
from astra_assets_tests.project import PROJECT


def names(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


@pytest.mark.parametrize("sync", [True, False])
def test_the_file_appears_under_its_name_and_nothing_else_stays(tmp_path, sync):
    final = tmp_path / "summary" / "mwmTargets-0.8.1.fits.gz"
    with atomic_write(final, sync=sync) as partial:
        partial.write_bytes(b"whole")
        assert not final.exists()
        assert partial.parent == final.parent
        assert partial.name.endswith(".fits.gz")
    assert names(final.parent) == [final.name]
    assert final.read_bytes() == b"whole"


def test_a_failure_leaves_the_old_file(tmp_path):
    final = tmp_path / "a.fits"
    final.write_bytes(b"old")

    def write_half():
        with atomic_write(final) as partial:
            partial.write_bytes(b"half")
            raise RuntimeError("the disk is full")

    with pytest.raises(RuntimeError, match="disk is full"):
        write_half()
    assert names(tmp_path) == ["a.fits"]
    assert final.read_bytes() == b"old"


def test_a_block_that_writes_nothing_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError), atomic_write(tmp_path / "a.fits"):
        pass
    assert names(tmp_path) == []


def test_permissions_follow_the_umask(tmp_path):
    before = os.umask(0o027)
    try:
        with atomic_write(tmp_path / "a.fits") as partial:
            partial.write_bytes(b"x")
    finally:
        os.umask(before)
    assert (tmp_path / "a.fits").stat().st_mode & 0o777 == 0o640


def test_leftovers_of_a_killed_writer_go_and_those_of_a_live_one_stay(tmp_path):
    final = tmp_path / "a.fits"
    final.write_bytes(b"old")
    script = (
        "import os, sys, time\n"
        "from astra_assets.files.atomic import atomic_write\n"
        "with atomic_write(sys.argv[1]) as partial:\n"
        "    partial.write_bytes(b'half')\n"
        "    print('writing', flush=True)\n"
        "    time.sleep(60)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, str(final)],
        stdout=subprocess.PIPE,
        cwd=PROJECT,
    ) as killed:
        assert killed.stdout is not None
        assert killed.stdout.readline() == b"writing\n"
        with atomic_write(tmp_path / "other.fits") as partial:
            partial.write_bytes(b"x")
        assert len([name for name in names(tmp_path) if name.startswith(PARTIAL_PREFIX)]) == 1
        os.kill(killed.pid, signal.SIGKILL)
    assert final.read_bytes() == b"old"
    with atomic_write(final) as partial:
        partial.write_bytes(b"new")
    assert names(tmp_path) == ["a.fits", "other.fits"]
    assert final.read_bytes() == b"new"
