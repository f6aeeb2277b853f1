"""Summary products as files: values, headers, samples; left alone if nothing changed; whole or not there."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
from dataclasses import replace

import astropy.io.fits
import numpy as np
import pytest
from astropy.units import Unit
from sqlalchemy import select, update

from astra_assets.database.database import Database
from astra_assets.files import sha256sums
from astra_assets.fits.writer import FitsWriteError, WidthError
from astra_assets.models.base import layout, table_of
from astra_assets.models.boss import BossVisitSpectrum
from astra_assets.models.source import Source
from astra_assets.products import make as module
from astra_assets.products.headers import Provenance, written_rows
from astra_assets.products.make import CreateError, InputsChangedError
from astra_assets.products.summary import MWM_ALL_STAR, MWM_ALL_VISIT, MWM_PRODUCTS, MWM_TARGETS
from astra_assets.registry.columns import info
from astra_assets.registry.kinds import Kind
from astra_assets_tests.products.samples import LISTED, STAR, V_ASTRA, VISIT, SampleResult, fill, write

PRODUCTS = [*MWM_PRODUCTS, STAR, VISIT]


def stored_values(database, product, number: int) -> dict[str, list]:
    """The values of a table by column of the file, from models and joins written out here."""
    table = product.tables[number]
    source, spectrum = table_of(Source), table_of(table.spectrum) if table.spectrum is not None else None
    query = select(source)
    if spectrum is not None:
        query = select(source, spectrum).join_from(spectrum, source, spectrum.c.source_pk == source.c.pk)
    if product.result is not None:
        result = table_of(product.result)
        query = query.add_columns(*result.c).join(result, result.c.spectrum_pk == spectrum.c.spectrum_pk)
        query = query.where(result.c.v_astra_major_minor == 8)
    names = []
    for model in (Source, table.spectrum, product.result):
        names += [info(column).summary_name for column in (table_of(model).c if model is not None else ())]
    with database.connect() as connection:
        rows = connection.execute(query).all()
    found: dict[str, list] = {}
    for position, name in enumerate(names):
        found.setdefault(name, [row[position] for row in rows])
    return found


def as_read(kind: Kind, value, width: int, fill_value):
    """What a reader of the file sees of a stored value."""
    if kind in (Kind.float32, Kind.float64):
        number = np.nan if value is None else value
        return np.float32(number) if kind is Kind.float32 else number
    if kind is Kind.datetime:
        return "" if value is None else value.isoformat(timespec="microseconds")
    if kind is Kind.bytes:
        return list((value or b"").ljust(width, b"\0"))
    if kind is Kind.floats:
        return [np.float32(x) for x in (value or [])] + [np.nan] * (width - len(value or []))
    return fill_value if value is None else value


@pytest.mark.parametrize(
    "product", [MWM_TARGETS, MWM_ALL_VISIT, STAR, VISIT], ids=lambda product: product.name
)
def test_values_are_those_of_the_database(filled, tmp_path, product):
    report = write(product, filled, tmp_path)
    definitions = {
        info(entry.column).summary_name: info(entry.column).definition
        for model in (Source, product.tables[0].spectrum, product.result)
        if model is not None
        for entry in layout(model)
        if entry.column is not None
    }
    stored = stored_values(filled, product, 0)
    key = product.tables[0].key
    with astropy.io.fits.open(report.path, checksum=True) as hdus:
        data, columns = hdus[1].data, hdus[1].columns
        at = {value: position for position, value in enumerate(stored[key])}
        rows = [at[value] for value in data[key].tolist()]
        assert len(rows) == report.rows[0] > 10
        for name in columns.names:
            kind = definitions[name].kind if name != "v_astra" or product is not STAR else Kind.text
            width = data[name].shape[1] if data[name].ndim > 1 else 1
            null = definitions[name].null_value
            expected = [as_read(kind, stored[name][row], width, null) for row in rows]
            np.testing.assert_array_equal(data[name], np.array(expected), err_msg=name)


@pytest.mark.parametrize("rows", [True, False])
def test_fitsverify_and_astropy_find_nothing_wrong(tmp_path, rows):
    program = shutil.which("fitsverify")
    if program is None:
        pytest.skip("no fitsverify: install Debian's package fitsverify")
    database = Database(f"sqlite:///{tmp_path / 'astra.db'}")
    database.create_tables()
    if rows:
        fill(database)
    paths = [write(product, database, tmp_path).path for product in PRODUCTS]
    found = subprocess.run([program, "-l", *paths], capture_output=True, text=True, check=False).stdout
    assert found.count("found 0 warning(s) and 0 error(s)") == len(PRODUCTS), found[-3000:]
    for path in paths:
        with astropy.io.fits.open(path) as hdus:
            assert all(hdu.verify_checksum() == hdu.verify_datasum() == 1 for hdu in hdus)
            hdus.verify("exception")


def test_headers_say_what_the_file_is_and_where_it_comes_from(sqlite, tmp_path):
    report = write(VISIT, sqlite, tmp_path)
    assert report.path == tmp_path / f"mwm/{V_ASTRA}/summary/astraAllVisitSample-{V_ASTRA}.fits.gz"
    with astropy.io.fits.open(report.path) as hdus:
        primary, boss, apogee = (hdu.header for hdu in hdus)
        assert [
            primary[name] for name in ("PIPELINE", "V_ASTRA", "RELEASE", "RUN2D", "APRED", "GITREV", "RUNID")
        ] == [
            "Sample",
            V_ASTRA,
            "dr20",
            "v6_1_3, v6_2_1",
            "1.6",
            "0123abc",
            "run-1",
        ]
        assert primary["FPRINT"] == report.fingerprint
        assert (primary["NROWS1"], primary["NROWS2"]) == report.rows
        assert "EXTNAME" not in boss
        assert [header["INSTRMNT"] for header in (boss, apogee)] == ["BOSS", "APOGEE"]
        assert all(
            header["PIPELINE"] == "Sample" and header["V_ASTRA"] == V_ASTRA for header in (boss, apogee)
        )
        assert list(primary["COMMENT"]) == [
            "HDU 0: Summary information only",
            "HDU 1: BOSS results",
            "HDU 2: APOGEE results",
        ]
        for header in (boss, apogee):
            numbers = range(1, header["TFIELDS"] + 1)
            assert all(header[f"TCOMM{n}"] for n in numbers)
            units = {header[f"TTYPE{n}"]: header.get(f"TUNIT{n}") for n in numbers}
            assert (units["ra"], Unit(units["pmra"]), units["teff"]) == ("deg", Unit("mas/yr"), "K")
            assert "See https://catalog.unwise.me/catalogs.html" in list(header["COMMENT"])


def test_a_header_has_no_cards_for_what_is_not_known(sqlite, tmp_path):
    report = write(MWM_TARGETS, sqlite, tmp_path, provenance=Provenance(V_ASTRA, "dr20"))
    with astropy.io.fits.open(report.path) as hdus:
        assert not {"RUN2D", "APRED", "GITREV", "RUNID", "PIPELINE", "SAMPLE"} & set(hdus[0].header)
        assert len(hdus) == 2


def test_a_file_that_was_damaged_after_it_was_written_is_written_again(sqlite, tmp_path):
    first = write(MWM_TARGETS, sqlite, tmp_path)
    content = first.path.read_bytes()
    first.path.write_bytes(content[:-100] + bytes(100))
    second = write(MWM_TARGETS, sqlite, tmp_path)
    assert (second.written, second.reason) == (True, "the file is not what was written")
    with astropy.io.fits.open(second.path, checksum=True) as hdus:
        assert len(hdus[1].data) == second.rows[0]


def test_a_file_whose_writer_was_killed_before_the_checksum_is_written_again(sqlite, tmp_path):
    first = write(MWM_TARGETS, sqlite, tmp_path)
    (first.path.parent / sha256sums.NAME).unlink()
    second = write(MWM_TARGETS, sqlite, tmp_path)
    assert second.written
    assert sha256sums.recorded(second.path) == second.sha256


def test_unchanged_inputs_leave_the_file_alone(filled, tmp_path):
    for product in PRODUCTS:
        first = write(product, filled, tmp_path)
        before = first.path.stat()
        other = Provenance(V_ASTRA, "main", ("v6_2_1",), ("dr17",), "other", "run-2")
        second = write(product, filled, tmp_path, provenance=other)
        assert (first.written, second.written) == (True, False)
        assert second.reason == "inputs unchanged"
        assert written_rows(product, first.path) == first.rows
        assert "left alone (inputs unchanged)" in second.summary
        assert (second.rows, second.sha256, second.fingerprint) == (
            first.rows,
            first.sha256,
            first.fingerprint,
        )
        after = first.path.stat()
        assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)


def test_changed_inputs_give_a_new_file(filled, tmp_path):
    first = write(MWM_TARGETS, filled, tmp_path)
    source = table_of(Source)
    with filled.begin() as connection:
        changed = connection.execute(
            update(source).where(source.c.sdss_id == 1000).values(ra=12.5, modified=source.c.created)
        )
        assert changed.rowcount == 1
    second = write(MWM_TARGETS, filled, tmp_path)
    assert (second.written, second.reason) == (True, "inputs changed")
    assert second.sha256 != first.sha256
    assert astropy.io.fits.getdata(second.path)["ra"][-1] == 12.5


def test_force_writes_the_same_rows_again(sqlite, tmp_path):
    first = write(MWM_ALL_VISIT, sqlite, tmp_path)
    with astropy.io.fits.open(first.path) as hdus:
        sums = [hdu.header["DATASUM"] for hdu in hdus]
    second = write(MWM_ALL_VISIT, sqlite, tmp_path, force=True)
    assert (second.written, second.reason) == (True, "asked for")
    with astropy.io.fits.open(second.path) as hdus:
        assert [hdu.header["DATASUM"] for hdu in hdus] == sums


def test_sqlite_and_postgresql_give_the_same_product(sqlite, postgresql_url, tmp_path):
    other = Database(postgresql_url, schema="astra_081")
    other.create_tables()
    fill(other)
    for product in PRODUCTS:
        here = write(product, sqlite, tmp_path / "sqlite")
        there = write(product, other, tmp_path / "postgresql")
        assert here.rows == there.rows
        with astropy.io.fits.open(here.path) as ours, astropy.io.fits.open(there.path) as theirs:
            assert [hdu.header["DATASUM"] for hdu in ours] == [hdu.header["DATASUM"] for hdu in theirs]
            assert ours[1].header["TFORM*"] == theirs[1].header["TFORM*"]
    other.engine.dispose()


def test_a_sample_is_a_file_of_its_own(sqlite, tmp_path):
    sample = write(MWM_ALL_VISIT, sqlite, tmp_path, limit=5)
    assert sample.path.name == f"mwmAllVisit-{V_ASTRA}-sample-5.fits.gz"
    assert sample.rows == (5, 5)
    assert astropy.io.fits.getheader(sample.path)["SAMPLE"] == 5
    whole = write(MWM_ALL_VISIT, sqlite, tmp_path)
    assert (whole.written, whole.reason) == (True, "new")
    assert whole.rows == (2 * len(LISTED), 2 * len(LISTED))
    assert astropy.io.fits.getdata(whole.path)[:5].tobytes() != b""
    np.testing.assert_array_equal(
        astropy.io.fits.getdata(sample.path)["spectrum_pk"],
        astropy.io.fits.getdata(whole.path)["spectrum_pk"][:5],
    )
    assert write(MWM_ALL_VISIT, sqlite, tmp_path, limit=6).written
    with pytest.raises(ValueError, match="at least one row, found limit=0"):
        write(MWM_ALL_VISIT, sqlite, tmp_path, limit=0)


def test_the_folder_has_one_manifest_of_all_products(sqlite, tmp_path):
    reports = [write(product, sqlite, tmp_path) for product in PRODUCTS]
    folder = reports[0].path.parent
    files = [path for report in reports for path in report.files]
    assert len(files) == 5 + 5 + 5 + 1 + 4 * 2
    assert sha256sums.read(folder) == {path.name: sha256sums.sha256(path) for path in files}
    assert {path.name for path in folder.iterdir()} == {path.name for path in files} | {
        sha256sums.NAME, f".{sha256sums.NAME}.lock"
    }  # fmt: skip
    assert all(report.sha256 == sha256sums.read(folder)[report.path.name] for report in reports)


def test_a_file_that_is_no_product_is_written_over(sqlite, tmp_path):
    first = write(MWM_TARGETS, sqlite, tmp_path)
    first.path.write_bytes(b"rubbish")
    assert write(MWM_TARGETS, sqlite, tmp_path).rows == first.rows


def left_behind(folder) -> list[str]:
    return [path.name for path in folder.rglob("*partial*")]


def test_a_value_that_does_not_fit_names_product_column_and_key_and_the_old_file_stays(filled, tmp_path):
    first = write(VISIT, filled, tmp_path)
    result = table_of(SampleResult)
    with filled.begin() as connection:
        key = connection.scalar(select(result.c.spectrum_pk).where(result.c.v_astra == 8001).limit(1))
        chosen = (result.c.spectrum_pk == key) & (result.c.v_astra == 8001)
        connection.execute(update(result).where(chosen).values(colour="bleuâtre", modified=result.c.created))
    message = rf"astraAllVisitSample: column colour: 'bleuâtre' has characters .* \(spectrum_pk {key}\)"
    with pytest.raises(FitsWriteError, match=message):
        write(VISIT, filled, tmp_path)
    assert sha256sums.sha256(first.path) == first.sha256
    assert left_behind(tmp_path) == []


def test_a_connection_lost_in_the_middle_leaves_the_old_file(sqlite, tmp_path, monkeypatch):
    first = write(MWM_ALL_VISIT, sqlite, tmp_path)
    whole = Database.arrow_batches

    def broken(self, query, *, batch_rows):
        yield next(whole(self, query, batch_rows=3))
        raise ConnectionError("server closed the connection unexpectedly")

    monkeypatch.setattr(Database, "arrow_batches", broken)
    with pytest.raises(
        CreateError, match=r"mwmAllVisit: .*could not be written.*ConnectionError: server closed"
    ):
        write(MWM_ALL_VISIT, sqlite, tmp_path, force=True)
    assert sha256sums.sha256(first.path) == first.sha256
    assert left_behind(tmp_path) == []


@pytest.mark.parametrize("place", ["write", "fsync"])
def test_a_full_disk_leaves_the_old_file(sqlite, tmp_path, monkeypatch, place):
    first = write(MWM_TARGETS, sqlite, tmp_path)

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, place, full)
        with pytest.raises(CreateError, match=r"mwmTargets: .*mwmTargets-0\.8\.1.*No space left on device"):
            write(MWM_TARGETS, sqlite, tmp_path, force=True)
    assert sha256sums.sha256(first.path) == first.sha256
    assert left_behind(tmp_path) == []


def test_rows_that_change_while_they_are_read_are_read_again(sqlite, tmp_path, monkeypatch):
    honest, calls = module.measure, []  # type: ignore[attr-defined]

    def too_few(*args, **kwargs):
        calls.append(1)
        measured = honest(*args, **kwargs)
        return measured if len(calls) > 2 else replace(measured, rows=measured.rows - 1)

    monkeypatch.setattr(module, "measure", too_few)
    assert write(MWM_ALL_STAR, sqlite, tmp_path).written
    assert len(calls) == 4


def test_rows_that_never_stop_changing_are_an_error(sqlite, tmp_path, monkeypatch):
    honest = module.measure  # type: ignore[attr-defined]

    def too_narrow(*args, **kwargs):
        measured = honest(*args, **kwargs)
        return replace(measured, columns=tuple(replace(column, width=1) for column in measured.columns))

    monkeypatch.setattr(module, "measure", too_narrow)
    with pytest.raises(
        InputsChangedError, match=r"mwmAllVisit: the tables changed .* 3 times in a row"
    ) as caught:
        write(MWM_ALL_VISIT, sqlite, tmp_path)
    assert isinstance(caught.value.__cause__, WidthError)
    assert left_behind(tmp_path) == []


def test_progress_is_told_and_ends_with_all_rows(sqlite, tmp_path):
    seen = []
    report = write(MWM_ALL_VISIT, sqlite, tmp_path, progress=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (sum(report.rows), sum(report.rows))
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)


def test_visits_without_a_key_are_published_with_the_fill(sqlite, tmp_path):
    visit = table_of(BossVisitSpectrum)
    with sqlite.begin() as connection:
        connection.execute(update(visit).where(visit.c.source_pk == 1).values(spectrum_pk=None))
    report = write(MWM_ALL_VISIT, sqlite, tmp_path)
    assert astropy.io.fits.getdata(report.path)["spectrum_pk"][-2:].tolist() == [-1, -1]
