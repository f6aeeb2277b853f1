"""Frozen versions: nothing of them is written any more, and what changed all the same is found."""

from __future__ import annotations

import errno
import os
import re
import socket
import stat
import subprocess
import sys
from datetime import UTC, datetime

import pyarrow as pa
import pytest
from sqlalchemy import update

from astra_assets.files import sha256sums
from astra_assets.files.atomic import atomic_write
from astra_assets.fits.formats import FitsColumn
from astra_assets.fits.writer import FitsWriter
from astra_assets.models.base import table_of
from astra_assets.models.source import Source
from astra_assets.operations.deployment import expected_text
from astra_assets.products.headers import Provenance
from astra_assets.products.make import make_product
from astra_assets.products.release import frozen
from astra_assets.products.release.audit import audit_others, audit_product, audit_sources
from astra_assets.products.release.freezing import FreezeError, freeze_version
from astra_assets.products.release.frozen import FrozenError, read_marker
from astra_assets.products.summary import MWM_ALL_VISIT, MWM_TARGETS
from astra_assets.registry.kinds import Definition, Kind
from astra_assets_tests.products.samples import filled_sqlite
from astra_assets_tests.project import PROJECT

V_ASTRA = "0.8.1"


@pytest.fixture(scope="module")
def filled(tmp_path_factory):
    return filled_sqlite(tmp_path_factory.mktemp("database"))


@pytest.fixture
def root(tmp_path):
    yield tmp_path / "mwm"
    for folder, _, _ in os.walk(tmp_path):  # pytest removes the folders itself
        os.chmod(folder, 0o755)  # noqa: PTH101


def write(database, root, product=MWM_TARGETS, **options):
    return make_product(product, database, root, Provenance(V_ASTRA, "dr20"), **options)


def spectra(root, count: int = 3, of: str = "spectra") -> list:
    """Per-source files in two folders of each kind."""
    paths = []
    for kind in ("star", "visit"):
        for number in range(count):
            path = root / V_ASTRA / of / kind / f"{number % 2:02d}" / "07" / f"mwm-{number}.fits"
            path.parent.mkdir(parents=True, exist_ok=True)
            with FitsWriter(path, created=datetime.now(UTC)) as out:
                out.primary()
                with out.table([FitsColumn("flux", Definition(Kind.float32, "Flux"))]) as table:
                    table.write(pa.record_batch({"flux": [1.0, float(number)]}))
            paths.append(path)
    return paths


def freeze_all(root, parts=("summary", "spectra"), **options):
    settings = {"release": "dr20", "git_revision": "0123abc", "say": lambda _: None}
    return freeze_version(root, V_ASTRA, parts=parts, **{**settings, **options})


def is_writable(path) -> bool:
    return bool(path.stat().st_mode & (stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH))


def test_a_frozen_version_is_read_only_and_lists_its_checksums(filled, root):
    report = write(filled, root)
    files = spectra(root)
    done = freeze_all(root)
    assert done.files == len(report.files) + 1 + len(files)
    folder = root / V_ASTRA
    for path in [*report.files, *files, folder, folder / "summary", files[0].parent, folder / "FROZEN"]:
        assert not is_writable(path), path
    marker = read_marker(folder)
    assert (marker.v_astra, marker.release, marker.git_revision) == (V_ASTRA, "dr20", "0123abc")
    assert marker.complete
    assert marker.parts == ("summary", "spectra")
    listed = sha256sums.read_lines(folder / frozen.NAME)
    assert listed["summary/mwmTargets-0.8.1.fits.gz"] == report.sha256
    assert "spectra/star/00/SHA256SUMS" in listed
    assert sha256sums.read(folder / "spectra/star/00") == {
        f"07/mwm-{n}.fits": sha256sums.sha256(folder / f"spectra/star/00/07/mwm-{n}.fits") for n in (0, 2)
    }
    for place in (folder, folder / "spectra/visit/01"):
        name = frozen.NAME if place == folder else sha256sums.NAME
        subprocess.run(["sha256sum", "--check", "--strict", name], cwd=place, check=True, capture_output=True)


def test_unchanged_products_are_left_alone_and_changed_ones_refused(filled, root):
    first = write(filled, root)
    freeze_all(root, ("summary",))
    assert write(filled, root).reason == "inputs unchanged"
    told = r"mwmTargets \(asked for\) belongs to version 0\.8\.1, which was frozen on .* for release dr20"
    with pytest.raises(FrozenError, match=told) as caught:
        write(filled, root, force=True)
    assert "give the release a new v_astra (such as 0.8.2) in astra_assets/config/releases.py" in str(
        caught.value
    )
    with pytest.raises(FrozenError, match=r"mwmAllVisit \(new\)"):
        write(filled, root, MWM_ALL_VISIT)
    with pytest.raises(FrozenError):
        write(filled, root, limit=3)
    with filled.begin() as connection:
        source = table_of(Source)
        changed = update(source).where(source.c.sdss_id == 990).values(modified=source.c.created, tic_v8_id=1)
        connection.execute(changed)
    with pytest.raises(FrozenError, match=r"\(inputs changed\)"):
        write(filled, root)
    assert sha256sums.sha256(first.path) == first.sha256


def test_freezing_that_was_killed_protects_at_once_and_goes_on(filled, root, monkeypatch):
    write(filled, root)
    spectra(root)
    with monkeypatch.context() as patched:
        patched.setattr("astra_assets.products.release.freezing._make_read_only", lambda _: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            freeze_all(root)
    with monkeypatch.context() as patched:
        patched.setattr("astra_assets.products.release.freezing._Taking.spectra", lambda _: 1 / 0)
        (root / V_ASTRA / "FROZEN").unlink()
        with pytest.raises(ZeroDivisionError):
            freeze_all(root)
    assert not read_marker(root / V_ASTRA).complete
    with pytest.raises(FrozenError):
        write(filled, root, force=True)
    freeze_all(root)
    assert read_marker(root / V_ASTRA).complete
    assert freeze_all(root).already


def test_files_of_results_are_frozen_and_checked_with_those_of_spectra(filled, root):
    write(filled, root)
    spectra(root)
    files = spectra(root, of="results")
    assert audit_sources("results", "star", V_ASTRA, root).rows == (3,)
    freeze_all(root)
    assert not is_writable(files[0])
    assert "results/star/00/SHA256SUMS" in sha256sums.read_lines(root / V_ASTRA / frozen.NAME)
    assert not audit_sources("results", "star", V_ASTRA, root).problems
    for path in (files[0].parent, files[0]):
        os.chmod(path, 0o755)  # noqa: PTH101
    spoil(files[0], b"Flux", b"flux")
    (told,) = audit_sources("results", "star", V_ASTRA, root).problems
    assert "mwm-0.fits: its checksum is not the one in SHA256SUMS" in told


def test_the_summary_can_be_frozen_first(filled, root):
    write(filled, root)
    files = spectra(root)
    freeze_all(root, ("summary",))
    assert is_writable(files[0])
    assert not audit_sources("spectra", "star", V_ASTRA, root).problems
    done = freeze_all(root, ("spectra",))
    assert done.parts == ("summary", "spectra")
    assert not is_writable(files[0])
    assert not audit_product(MWM_TARGETS, V_ASTRA, root).problems


def test_what_is_not_there_or_is_being_written_is_not_frozen(filled, root):
    with pytest.raises(FreezeError, match="has no folder summary: there is nothing to freeze"):
        freeze_all(root, ("summary",))
    report = write(filled, root)
    with atomic_write(report.path.parent / "x.fits") as partial:
        partial.touch()
        with pytest.raises(
            FreezeError, match=f"process {os.getpid()} of this host is writing {partial}: wait"
        ):
            freeze_all(root, ("summary",))
    freeze_all(root, ("summary",))


def left_by(path, host: str, pid: int):
    """A temporary file as a process leaves it that was killed."""
    left = path.with_name(f".partial-{host}-{pid}-0123abcd-{path.name}")
    left.write_bytes(b"half")
    return left


def test_leftovers_of_dead_processes_are_removed_and_those_of_other_hosts_never_block(filled, root):
    report = write(filled, root)
    files = spectra(root)
    here = re.sub(r"[^A-Za-z0-9]", "_", socket.gethostname())
    folder = root / V_ASTRA
    dead = [left_by(place, here, 999_999_999) for place in (report.path, files[0], folder / "FROZEN")]
    # As in a container, in which every process gets the same number.
    dead.append(left_by(files[1].parents[1] / "SHA256SUMS", here, os.getpid()))
    old = left_by(files[2], "node007", 12)
    os.utime(old, (1, 1))
    young = left_by(files[3], "node007", 12)
    said: list[str] = []
    freeze_all(root, say=said.append)
    assert not any(path.exists() for path in (*dead, old))
    told = "\n".join(said)
    assert all(
        f"{path} was left behind by a process that is gone: removed" in told for path in (*dead[:2], old)
    )
    assert f"{young} is a temporary file of another host: no part of the release, left alone" in told
    assert young.exists()
    assert young.name not in (files[3].parents[1] / sha256sums.NAME).read_text()
    assert not audit_sources("spectra", "visit", V_ASTRA, root).problems
    assert not audit_product(MWM_TARGETS, V_ASTRA, root).problems


def test_a_freeze_that_was_killed_before_its_last_mode_ends_read_only(filled, root):
    write(filled, root)
    spectra(root)
    freeze_all(root)
    folder = root / V_ASTRA
    for path in (folder, folder / "FROZEN"):
        path.chmod(path.stat().st_mode | stat.S_IWUSR)
    assert freeze_all(root).already
    assert not is_writable(folder)
    assert not is_writable(folder / "FROZEN")


@pytest.mark.processes
def test_freezing_goes_on_from_every_moment_at_which_it_can_be_killed(tmp_path):
    ran = subprocess.run(
        [sys.executable, "-m", "astra_assets_tests.products.release.killed_freeze", str(tmp_path)],
        cwd=PROJECT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stdout + ran.stderr
    moments, failed = map(int, ran.stdout.split())
    assert failed == 0
    assert moments > 50


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO])
def test_a_disk_that_fails_while_freezing_is_told_with_the_file_and_freezing_goes_on(
    filled, root, monkeypatch, code
):
    write(filled, root)
    files = spectra(root)
    group = files[0].parents[1]
    fsync, calls = os.fsync, []

    def fail(descriptor):
        calls.append(1)
        if len(calls) == 5:
            raise OSError(code, os.strerror(code))
        fsync(descriptor)

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", fail)
        with pytest.raises(OSError, match="Errno") as caught:
            freeze_all(root)
    assert expected_text(caught.value).startswith(f"{group / sha256sums.NAME}: the disk ")
    assert "type the same again" in expected_text(caught.value)
    freeze_all(root)
    assert read_marker(root / V_ASTRA).complete
    assert not audit_sources("spectra", "star", V_ASTRA, root).problems


def test_a_sound_version_has_no_problem(filled, root):
    write(filled, root, MWM_ALL_VISIT, formats=["plain"])
    files = spectra(root)
    found = audit_product(MWM_ALL_VISIT, V_ASTRA, root)
    assert (found.files, found.problems) == (6, ())
    assert found.rows == (66, 66)
    assert audit_sources("spectra", "star", V_ASTRA, root).rows == (len(files) // 2,)
    assert audit_product(MWM_TARGETS, V_ASTRA, root).problems[0] == "mwmTargets-0.8.1.fits.gz is not there"


def spoil(path, old: bytes, new: bytes) -> None:
    path.write_bytes(path.read_bytes().replace(old, new, 1))


def test_each_kind_of_damage_is_told(filled, root):
    report = write(filled, root, MWM_ALL_VISIT, formats=["plain"])
    folder, names = report.path.parent, [path.name for path in report.files]
    spoil(folder / names[5], b"BOSS visits", b"boss visits")
    (folder / names[3]).unlink()
    other = write(filled, root / "other", MWM_ALL_VISIT, limit=2)
    (folder / names[1]).write_bytes((root / "other/0.8.1/summary" / other.path.name).read_bytes())
    spoil(folder / names[4], b"Sample", b"sample")
    told = "\n".join(audit_product(MWM_ALL_VISIT, V_ASTRA, root).problems)
    assert f"{names[3]} is not there" in told
    assert f"{names[4]}: its checksum is not the one in SHA256SUMS" in told
    assert f"{names[5]}: its checksum is not the one in SHA256SUMS" in told
    assert f"{names[1]} is no Parquet file" in told
    assert f"{names[0]}:" not in told


def test_a_damaged_fits_file_is_told_with_its_hdu(filled, root):
    report = write(filled, root)
    report.path.write_bytes(b"no gzip")
    told = audit_product(MWM_TARGETS, V_ASTRA, root).problems
    assert told[0] == f"{report.path.name}, HDU 0: the file ends early"
    assert told[-1].startswith(f"{report.path.name}: its checksum is not the one in SHA256SUMS")
    path = spectra(root, 1)[0]
    spoil(path, b"Flux", b"flux")
    (found,) = audit_sources("spectra", "star", V_ASTRA, root).problems
    assert found == f"{path.parent}/mwm-0.fits, HDU 1: CHECKSUM does not match header and data"


def test_a_frozen_spectrum_that_changed_is_gone_or_new_is_told(filled, root):
    write(filled, root)
    files = spectra(root, 6)
    freeze_all(root)
    assert not audit_sources("spectra", "star", V_ASTRA, root).problems
    for path in files[:3]:
        os.chmod(path.parent, 0o755)  # noqa: PTH101
    os.chmod(files[0], 0o644)  # noqa: PTH101
    spoil(files[0], b"Flux", b"flux")
    files[1].unlink()
    files[2].with_name("mwm-new.fits").write_bytes(b"new")
    told = "\n".join(audit_sources("spectra", "star", V_ASTRA, root).problems)
    assert "mwm-0.fits: its checksum is not the one in SHA256SUMS" in told
    assert "mwm-1.fits is not there" in told
    assert "mwm-new.fits is not in SHA256SUMS" in told
    own = root / V_ASTRA / "spectra/star/01" / sha256sums.NAME
    os.chmod(own, 0o644)  # noqa: PTH101
    own.write_text("")
    assert "is not the one that FROZEN lists" in "\n".join(
        audit_sources("spectra", "star", V_ASTRA, root).problems
    )


def test_files_of_no_product_that_is_looked_at_are_checked_too(filled, root):
    report = write(filled, root, MWM_ALL_VISIT, formats=["plain"])
    sample = write(filled, root, limit=3).path
    folder = report.path.parent
    gone = write(filled, root, limit=2).path
    gone.unlink()
    assert audit_others([MWM_ALL_VISIT], V_ASTRA, root).problems == ()
    freeze_all(root, ("summary",))
    found = audit_others([MWM_ALL_VISIT], V_ASTRA, root)
    assert (found.files, found.problems) == (
        2,
        (),
    )  # the sample and SHA256SUMS, which lists nothing that is gone
    assert audit_others([], V_ASTRA, root).problems == ()
    for path in (folder, *folder.iterdir()):
        path.chmod(0o755)
    spoil(sample, b"\x1f", b"\x1e")
    (folder / "new.txt").touch()
    (folder / "mwmAllVisit-0.8.1.fits").unlink()
    (folder / "mwmAllVisit-0.8.1.md").unlink()
    told = audit_others([MWM_ALL_VISIT], V_ASTRA, root).problems
    changed = "it was changed or damaged after it was written"
    assert sorted(told) == sorted(
        (
            f"{sample.name}: its checksum is not the one in SHA256SUMS: {changed}",
            f"{sample.name}: its checksum is not the one in FROZEN: {changed}",
            "new.txt is not in FROZEN",
            "mwmAllVisit-0.8.1.fits is not there",
        )
    )
    told = audit_others([], V_ASTRA, root).problems
    assert {"mwmAllVisit-0.8.1.fits is not there", "mwmAllVisit-0.8.1.md is not there"} <= set(told)
