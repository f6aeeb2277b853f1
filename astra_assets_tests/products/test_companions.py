"""What stands beside a FITS file: made with it, from the same rows, and never of another run."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import astropy.io.fits
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sqlalchemy import update

from astra_assets.files import sha256sums, staged
from astra_assets.models.base import table_of
from astra_assets.models.boss import BossVisitSpectrum
from astra_assets.models.source import Source
from astra_assets.products import make as create
from astra_assets.products.bundle import bundle_of, older_versions, product_path
from astra_assets.products.compare.previous import filled_in_fits, filled_in_parquet
from astra_assets.products.findings import FILLED, POSITIONS, TWIN, VerificationError
from astra_assets.products.make import CreateError
from astra_assets.products.summary import MWM_ALL_VISIT, MWM_TARGETS
from astra_assets.products.write import one_pass
from astra_assets.products.write.excerpt import Excerpt
from astra_assets.products.write.parquet import ParquetTwin
from astra_assets_tests.products.samples import LISTED, VISIT, SampleResult, write


def stamps(folder: Path) -> dict[str, tuple[int, int]]:
    return {path.name: (path.stat().st_ino, path.stat().st_mtime_ns) for path in folder.iterdir()}


def mark_in(parquet: Path, fingerprint: str) -> bool:
    return fingerprint.encode() in b"".join(pq.read_metadata(parquet).metadata.values())


def changed_rows(database, **values) -> None:
    source = table_of(Source)
    with database.begin() as connection:
        connection.execute(update(source).values(modified=source.c.created, **values))


def test_a_product_has_parquet_files_a_sample_and_a_page(sqlite, tmp_path):
    report = write(VISIT, sqlite, tmp_path)
    assert [path.name for path in report.files] == [
        "astraAllVisitSample-0.8.1.fits.gz",
        "astraAllVisitSample-0.8.1-boss.parquet",
        "astraAllVisitSample-0.8.1-apogee.parquet",
        "astraAllVisitSample-0.8.1-sample.fits.gz",
        "astraAllVisitSample-0.8.1.md",
    ]
    with astropy.io.fits.open(report.path) as whole, astropy.io.fits.open(report.files[3]) as sample:
        assert sample[0].header["FPRINT"] == whole[0].header["FPRINT"] == report.fingerprint
        assert sample[0].header["SAMPLE"] == 1000
        for number in (1, 2):
            assert sample[number].columns.dtype == whole[number].columns.dtype
            assert len(sample[number].data) == len(whole[number].data) == report.rows[number - 1]
            twin = pq.read_table(report.files[number])
            assert twin.column_names == whole[number].columns.names
            np.testing.assert_array_equal(twin["teff"].to_numpy(), whole[number].data["teff"])
    page = report.files[4].read_text()
    assert "| teff | E | K | phys.temperature.effective |" in page
    assert "| 0 | low_snr | S/N is too low |" in page
    assert f"| 1 | {report.rows[0]:,} |" in page
    assert "`$MWM_ASTRA/{v_astra}/summary/astraAllVisitSample-{v_astra}.fits.gz`" in page
    assert report.fingerprint in page


def test_a_sample_file_has_a_thousand_rows_of_a_longer_table(sqlite, tmp_path, monkeypatch):
    for module in (create, one_pass):
        monkeypatch.setattr(module, "SAMPLE_ROWS", 7)
    monkeypatch.setattr(one_pass, "Excerpt", lambda key: Excerpt(key, 7))
    report = write(MWM_TARGETS, sqlite, tmp_path)
    sample = astropy.io.fits.getdata(report.files[2])
    whole = astropy.io.fits.getdata(report.path)
    assert len(sample) == 7 < len(whole)
    positions = np.searchsorted(whole["sdss_id"], sample["sdss_id"])
    np.testing.assert_array_equal(whole[positions].tobytes(), sample.tobytes())


@pytest.mark.parametrize(
    ("number", "damage"), [(1, "removed"), (2, "changed"), (3, "changed"), (4, "removed")]
)
def test_a_companion_that_is_missing_or_damaged_is_made_anew_and_nothing_else(
    sqlite, tmp_path, number, damage
):
    first = write(MWM_ALL_VISIT, sqlite, tmp_path)
    before = stamps(first.path.parent)
    target = first.files[number]
    if damage == "removed":
        target.unlink()
    else:
        target.write_bytes(target.read_bytes()[:-3])
    second = write(MWM_ALL_VISIT, sqlite, tmp_path)
    assert (second.written, second.reason) == (True, f"made anew: {target.name}")
    after = stamps(first.path.parent)
    assert {name for name in after if after[name] != before.get(name)} == {target.name, sha256sums.NAME}
    assert sha256sums.read(first.path.parent) == {path.name: sha256sums.sha256(path) for path in first.files}
    assert not write(MWM_ALL_VISIT, sqlite, tmp_path).written


def test_a_plain_copy_is_made_when_asked_for_and_kept_up_to_date(sqlite, tmp_path):
    first = write(MWM_TARGETS, sqlite, tmp_path)
    second = write(MWM_TARGETS, sqlite, tmp_path, formats=["plain"])
    plain = first.path.with_suffix("")
    assert second.reason == "made anew: mwmTargets-0.8.1.fits"
    assert second.sha256 == first.sha256
    changed_rows(sqlite, ra=12.5)
    assert plain in write(MWM_TARGETS, sqlite, tmp_path).files
    assert astropy.io.fits.getdata(plain)["ra"].tolist() == [12.5] * len(LISTED)
    assert astropy.io.fits.getheader(plain)["FPRINT"] == astropy.io.fits.getheader(first.path)["FPRINT"]


def test_a_tile_compressed_copy_is_made_when_asked_for_and_kept_up_to_date(sqlite, tmp_path):
    first = write(MWM_TARGETS, sqlite, tmp_path)
    tiles = first.path.with_name("mwmTargets-0.8.1.fits.fz")
    assert tiles in write(MWM_TARGETS, sqlite, tmp_path, formats=["tiles"]).files
    changed_rows(sqlite, ra=12.5)
    again = write(MWM_TARGETS, sqlite, tmp_path)
    assert tiles in again.files
    assert astropy.io.fits.getheader(tiles)["FPRINT"] == again.fingerprint
    with astropy.io.fits.open(tiles, checksum=True) as hdus:
        assert [hdu.verify_checksum() for hdu in hdus] == [1, 1]
        assert hdus[1].header["ZNAXIS2"] == len(LISTED)


def test_no_file_of_one_run_stands_beside_one_of_another(sqlite, tmp_path, monkeypatch):
    first = write(MWM_ALL_VISIT, sqlite, tmp_path)
    changed_rows(sqlite, ra=12.5)
    seen = []
    replace, unlink = Path.replace, Path.unlink

    def is_first(path: Path) -> bool:
        if path.suffix == ".parquet":
            return mark_in(path, first.fingerprint)
        return astropy.io.fits.getheader(path)["FPRINT"] == first.fingerprint

    def look() -> None:
        there = {is_first(path) for path in first.files if path.exists() and path.suffix != ".md"}
        seen.append((first.path.exists(), there))

    def replacing(self, target):
        done = replace(self, target)
        look()
        return done

    def unlinking(self, *, missing_ok=False):
        unlink(self, missing_ok=missing_ok)
        look()

    monkeypatch.setattr(Path, "replace", replacing)
    monkeypatch.setattr(Path, "unlink", unlinking)
    write(MWM_ALL_VISIT, sqlite, tmp_path)
    assert len(seen) >= 9
    assert all(there for there, _ in seen), "the product itself is never missing"
    assert all(len(marks) == 1 for _, marks in seen), "all files are of one run"


KILLED = """
import os, signal, sys
from pathlib import Path
from astra_assets.database.database import Database
from astra_assets.products.make import make_product
from astra_assets.products.headers import Provenance
from astra_assets.products.summary import MWM_ALL_VISIT
database, folder, after = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
replace = Path.replace
count = 0
def replacing(self, target):
    global count
    if count == after:
        os.kill(os.getpid(), signal.SIGKILL)
    count += 1
    return replace(self, target)
Path.replace = replacing
make_product(MWM_ALL_VISIT, Database(database), folder, Provenance("0.8.1", "dr20"), force=True)
"""


@pytest.mark.processes
@pytest.mark.parametrize("after", [0, 1, 3])
def test_a_writer_killed_between_two_renames_is_made_good_by_the_next(sqlite, tmp_path, after):
    first = write(MWM_ALL_VISIT, sqlite, tmp_path)
    done = subprocess.run(
        [sys.executable, "-c", KILLED, sqlite.url, str(tmp_path / "mwm"), str(after)], check=False
    )
    assert done.returncode == -signal.SIGKILL
    with astropy.io.fits.open(first.path, checksum=True) as hdus:
        assert len(hdus[1].data) == first.rows[0]
    second = write(MWM_ALL_VISIT, sqlite, tmp_path)
    assert second.written
    folder = first.path.parent
    assert sha256sums.read(folder) == {path.name: sha256sums.sha256(path) for path in first.files}
    assert not [path for path in folder.iterdir() if "partial" in path.name]
    assert not write(MWM_ALL_VISIT, sqlite, tmp_path).written


def test_a_failure_while_names_are_given_leaves_no_temporary_file(sqlite, tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError("no")

    monkeypatch.setattr(staged, "flush", refuse)
    with pytest.raises(CreateError, match="an older version of it stays"):
        write(MWM_TARGETS, sqlite, tmp_path)
    assert [path.name for path in (tmp_path / "mwm/0.8.1/summary").iterdir()] == [f".{sha256sums.NAME}.lock"]


def without_values(database) -> None:
    with database.begin() as connection:
        visit = table_of(BossVisitSpectrum)
        connection.execute(update(visit).values(airmass=None, seeing=None, modified=visit.c.created))


@pytest.mark.parametrize(
    ("older", "twins"), [(False, True), (True, False)], ids=["replaced", "older version, FITS only"]
)
def test_a_column_that_lost_all_values_blocks_and_can_be_accepted(sqlite, tmp_path, older, twins):
    first = write(MWM_ALL_VISIT, sqlite, tmp_path, v_astra="0.8.0" if older else "0.8.1")
    if not twins:
        for path in first.files[1:3]:
            path.unlink()
    before = sha256sums.sha256(first.path)
    without_values(sqlite)
    with pytest.raises(VerificationError) as caught:
        write(MWM_ALL_VISIT, sqlite, tmp_path)
    assert caught.value.check == FILLED
    assert "HDU 1 has no value at all in seeing, airmass, where" in str(caught.value)
    assert f"{first.path} has values; when that is as it should be, pass --accept-empty all" in str(
        caught.value
    )
    assert sha256sums.sha256(first.path) == before
    with pytest.raises(VerificationError, match=r"no value at all in seeing, .*--accept-empty seeing"):
        write(MWM_ALL_VISIT, sqlite, tmp_path, accept_empty=["airmass"])
    done = write(MWM_ALL_VISIT, sqlite, tmp_path, accept_empty=["airmass", "seeing"])
    finding = next(each for each in done.findings if each.check == FILLED)
    assert "accepted although" in finding.text
    assert "HDU 1: seeing, airmass" in finding.text
    assert write(MWM_ALL_VISIT, sqlite, tmp_path, force=True).written, "the version before has none either"


def test_a_table_that_lost_all_rows_blocks(sqlite, tmp_path):
    write(VISIT, sqlite, tmp_path)
    with sqlite.begin() as connection:
        connection.execute(table_of(SampleResult).delete())
    with pytest.raises(VerificationError, match=r"HDU 1 has no rows.*--accept-empty all"):
        write(VISIT, sqlite, tmp_path)
    assert write(VISIT, sqlite, tmp_path, accept_empty=["all"]).rows == (0, 0)


def test_a_sample_says_nothing_about_columns(sqlite, tmp_path):
    write(MWM_ALL_VISIT, sqlite, tmp_path)
    without_values(sqlite)
    report = write(MWM_ALL_VISIT, sqlite, tmp_path, limit=3)
    assert next(each for each in report.findings if each.check == FILLED).text == (
        "not judged: a sample of at most 3 rows"
    )
    assert [path.name for path in report.files] == ["mwmAllVisit-0.8.1-sample-3.fits.gz"]
    again = write(MWM_ALL_VISIT, sqlite, tmp_path, limit=3)
    assert not again.written
    assert {each.check for each in again.findings if "not judged" in each.text} == {FILLED, TWIN}


@pytest.mark.parametrize(("column", "value"), [("ra", 360.5), ("dec", -90.1)])
def test_a_position_off_the_sky_blocks_and_is_named(sqlite, tmp_path, column, value):
    source = table_of(Source)
    with sqlite.begin() as connection:
        connection.execute(update(source).where(source.c.sdss_id == 990).values({column: value}))
    with pytest.raises(
        VerificationError, match=rf"HDU 1: column {column}: {value} is outside .* \(sdss_id 990\)"
    ) as caught:
        write(MWM_TARGETS, sqlite, tmp_path)
    assert caught.value.check == POSITIONS
    assert not product_path(MWM_TARGETS, v_astra="0.8.1", mwm_astra=tmp_path / "mwm").exists()


def test_positions_that_are_not_known_are_no_problem(sqlite, tmp_path):
    changed_rows(sqlite, ra=None, dec=None)
    assert write(MWM_TARGETS, sqlite, tmp_path).written


def test_a_parquet_file_with_another_value_blocks(sqlite, tmp_path, monkeypatch):
    honest = ParquetTwin.write

    def wrong(self, batch):
        changed = pa.array([1.0] * batch.num_rows)
        honest(self, batch.set_column(batch.schema.get_field_index("g_mag"), "g_mag", changed))

    monkeypatch.setattr(ParquetTwin, "write", wrong)
    with pytest.raises(
        VerificationError, match=r"column g_mag, row 1: the FITS file has .*, .* 1\.0"
    ) as caught:
        write(MWM_TARGETS, sqlite, tmp_path)
    assert caught.value.check == TWIN


def test_parquet_and_fits_agree_on_which_columns_have_values(sqlite, tmp_path):
    without_values(sqlite)
    report = write(MWM_ALL_VISIT, sqlite, tmp_path)
    files = bundle_of(MWM_ALL_VISIT, report.path)
    found = filled_in_fits(report.path)
    assert found == tuple(filled_in_parquet(path) for path in files.parquet)
    assert "airmass" not in found[0]
    assert {"ra", "mjd", "telescope", "sdss5_target_flags"} <= found[0]


def test_older_versions_are_found_newest_first(tmp_path):
    for version in ("0.8.1", "0.8.0", "0.10.0", "0.6.0"):
        path = product_path(MWM_TARGETS, v_astra=version, mwm_astra=tmp_path)
        path.parent.mkdir(parents=True)
        path.touch()
        path.with_name(path.name.replace(".fits", "-sample.fits")).touch()
    here = product_path(MWM_TARGETS, v_astra="0.8.1", mwm_astra=tmp_path)
    assert [path.parts[-3] for path in older_versions(MWM_TARGETS, here, tmp_path)] == ["0.8.0", "0.6.0"]
    newest = product_path(MWM_TARGETS, v_astra="0.11.0", mwm_astra=tmp_path)
    assert next(older_versions(MWM_TARGETS, newest, tmp_path)).parts[-3] == "0.10.0"
