"""A file that is not what the query said is found before it gets its name."""

from __future__ import annotations

import gzip
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pytest

from astra_assets.files.sha256sums import sha256
from astra_assets.fits.formats import FitsColumn
from astra_assets.fits.writer import FitsWriter
from astra_assets.products.check.check_fits import ExpectedTable, check_fits
from astra_assets.products.findings import VerificationError
from astra_assets.registry.kinds import Definition, Kind

COLUMNS = [
    FitsColumn("spectrum_pk", Definition(Kind.int64, "Key")),
    FitsColumn("teff", Definition(Kind.float32, "Effective temperature", "K")),
    FitsColumn("tag", Definition(Kind.text, "Tag"), 3),
]
ROWS = 150_000


def write(path, keys, columns=COLUMNS):
    count = len(keys)
    batch = pa.record_batch(
        {
            "spectrum_pk": pa.array(keys, pa.int64()),
            "teff": np.arange(count) * 1.0,
            "tag": pa.array(["abc"] * count),
        }
    )
    with FitsWriter(path, created=datetime.now(UTC), compress=path.suffix == ".gz") as out:
        out.primary()
        with out.table(columns) as table:
            table.write(batch)
        with out.table(columns):
            pass
    return path


def expected(rows: int, **options) -> list[ExpectedTable]:
    return [ExpectedTable(COLUMNS, rows, "spectrum_pk", **options), ExpectedTable(COLUMNS, 0, "spectrum_pk")]


@pytest.mark.parametrize("name", ["a.fits", "a.fits.gz"])
@pytest.mark.parametrize("count", [0, 1, ROWS])
def test_a_right_file_is_right(tmp_path, name, count):
    path = write(tmp_path / name, np.arange(count))
    found = check_fits(path, expected(count), label="mwmAllStar")
    assert found.rows == (count, 0)
    assert found.sha256 == sha256(path)
    assert found.size_bytes == path.stat().st_size


def test_another_number_of_rows(tmp_path):
    path = write(tmp_path / "a.fits", np.arange(5))
    with pytest.raises(
        VerificationError, match=r"mwmAllStar: .* HDU 1: 5 rows of 15 bytes, expected 6 of 15"
    ):
        check_fits(path, expected(6), label="mwmAllStar")


@pytest.mark.parametrize(
    ("keys", "reason"),
    [
        ([1, 2, 2, 3], "column spectrum_pk: 2 follows 2; keys are to be unique and to ascend"),
        ([1, 3, 2], "2 follows 3"),
        ([1, -1, 2], "2 follows -1"),
        ([-1, 5, -1, -1, 7], "7 follows -1"),
        (np.r_[np.arange(ROWS), ROWS - 1], f"{ROWS - 1} follows {ROWS - 1}"),
    ],
)
def test_keys_that_do_not_ascend(tmp_path, keys, reason):
    path = write(tmp_path / "a.fits", keys)
    with pytest.raises(VerificationError, match=reason):
        check_fits(path, expected(len(keys)), label="x")


@pytest.mark.parametrize("keys", [[1, 5, -1, -1], [-1, -1], [-1, 0, 3], [-7, -1, 2]])
def test_missing_keys_may_come_last(tmp_path, keys):
    path = write(tmp_path / "a.fits", keys)
    assert check_fits(path, expected(len(keys)), label="x").rows == (len(keys), 0)


def test_keys_in_no_order_are_unique_all_the_same(tmp_path):
    assert check_fits(write(tmp_path / "a.fits", [3, 1, -1, 2, -1]), expected(5, ordered=False), label="x")
    with pytest.raises(VerificationError, match="HDU 1: column spectrum_pk: 3 occurs 2 times as key"):
        check_fits(write(tmp_path / "b.fits", [3, 1, 3]), expected(3, ordered=False), label="x")


@pytest.mark.parametrize(
    ("text", "changed", "reason"),
    [(b"abc", b"abd", "HDU 1: DATASUM is"), (b"Effective", b"Infective", "HDU 1: CHECKSUM does not match")],
)
def test_changed_bytes(tmp_path, text, changed, reason):
    path = write(tmp_path / "a.fits", np.arange(100))
    path.write_bytes(path.read_bytes().replace(text, changed, 1))
    with pytest.raises(VerificationError, match=reason):
        check_fits(path, expected(100), label="x")


@pytest.mark.parametrize("name", ["a.fits", "a.fits.gz"])
def test_a_file_that_is_cut_short_or_too_long(tmp_path, name):
    path = write(tmp_path / name, np.arange(5000))
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(VerificationError, match=r"the file ends early|does not end where the file does"):
        check_fits(path, expected(5000), label="x")
    more = b"\0" * 2880
    path.write_bytes(whole + (gzip.compress(more) if path.suffix == ".gz" else more))
    with pytest.raises(
        VerificationError, match=r"something after the last HDU|does not end where the file does"
    ):
        check_fits(path, expected(5000), label="x")


def test_a_broken_gzip_stream(tmp_path):
    path = write(tmp_path / "a.fits.gz", np.arange(5000))
    content = bytearray(path.read_bytes())
    content[-6] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(VerificationError, match="gzip stream is broken"):
        check_fits(path, expected(5000), label="x")


def with_teff(**changes) -> list[FitsColumn]:
    return [COLUMNS[0], replace(COLUMNS[1], **changes), COLUMNS[2]]


@pytest.mark.parametrize(
    ("columns", "reason"),
    [
        (with_teff(name="temperature"), "column 2 is"),
        (with_teff(definition=Definition(Kind.float64, "Effective temperature")), "column 2 is .*'D'"),
        (
            with_teff(definition=Definition(Kind.float32, "Effective temperature", "furlongs")),
            "'furlongs' is no FITS unit",
        ),
        ([*COLUMNS, FitsColumn("x", Definition(Kind.float32, "X"))], "4 columns, expected 3"),
    ],
)
def test_other_columns(tmp_path, columns, reason):
    path = tmp_path / "a.fits"
    with FitsWriter(path, created=datetime.now(UTC)) as out:
        out.primary()
        with out.table(columns):
            pass
        with out.table(COLUMNS):
            pass
    with pytest.raises(VerificationError, match=reason):
        check_fits(path, expected(0), label="x")


def test_names_that_differ_in_case_only(tmp_path):
    columns = [COLUMNS[0], replace(COLUMNS[1], name="Spectrum_PK")]
    path = tmp_path / "a.fits"
    with FitsWriter(path, created=datetime.now(UTC)) as out:
        out.primary()
        with out.table(columns):
            pass
    with pytest.raises(VerificationError, match="differ at most in case"):
        check_fits(path, [ExpectedTable(columns, 0, "spectrum_pk")], label="x")
