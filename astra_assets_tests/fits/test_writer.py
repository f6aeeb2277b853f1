"""Streamed FITS files: astropy and fitsio read them back equal, checksums hold, same rows give same bytes."""

from __future__ import annotations

import gzip
import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import astropy.io.fits
import fitsio
import numpy as np
import pyarrow as pa
import pytest

from astra_assets.fits.checksum import WordSum
from astra_assets.fits.formats import FitsColumn
from astra_assets.fits.header import Card, section
from astra_assets.fits.writer import FitsWriteError, FitsWriter, WidthError
from astra_assets.registry.kinds import Definition, Kind

CREATED = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
ROWS = 9001  # more than are converted at a time, and neither they nor the bytes of a row a multiple of four


def fits_column(
    name: str, kind: Kind, width: int = 1, unit: str | None = None, heading: str | None = None
) -> FitsColumn:
    return FitsColumn(name, Definition(kind, f"About {name}", unit, "meta.id"), width, heading)


COLUMNS = [
    fits_column("spectrum_pk", Kind.int64, heading="Identifiers"),
    fits_column("name", Kind.text, 5),
    fits_column("ra", Kind.float64, unit="deg", heading="Astrometry"),
    fits_column("v_rad", Kind.float32, unit="km s-1"),
    fits_column("n_exp", Kind.int32),
    fits_column("flags", Kind.bits),
    fits_column("dithered", Kind.boolean),
    fits_column("created", Kind.datetime),
    fits_column("cartons", Kind.bytes, 7),
    fits_column("delta_ra", Kind.floats, 3, unit="arcsec"),
]


def rows(count: int = ROWS) -> pa.RecordBatch:
    rng = np.random.default_rng(7)
    missing = rng.random(count) < 0.2
    numbers = np.arange(count)
    return pa.record_batch(
        {
            "spectrum_pk": numbers,
            "name": pa.array(["abcde"[: i % 6] for i in range(count)], mask=missing),
            "ra": rng.uniform(0, 360, count),
            "v_rad": pa.array(rng.normal(size=count), mask=missing),
            "n_exp": pa.array(numbers.astype("i4"), mask=missing),
            "flags": pa.array(numbers << 30, mask=missing),
            "dithered": pa.array(numbers % 3 == 0, mask=missing),
            "created": pa.array((numbers * 1_234_567).astype("M8[us]"), mask=missing),
            "cartons": pa.array([bytes(range(i % 8)) for i in range(count)], mask=missing),
            "delta_ra": pa.array(
                [[0.5 * i] * (i % 4) for i in range(count)], pa.list_(pa.float64()), mask=missing
            ),
            "unused": numbers,
        }
    )


def write(path: Path, *batches: pa.RecordBatch, compress: bool | None = None, threads: int = 2) -> Path:
    compressed = path.suffix == ".gz" if compress is None else compress
    with FitsWriter(path, created=CREATED, compress=compressed, threads=threads) as out:
        out.primary([*section("Metadata"), Card("V_ASTRA", "0.8.1")], ["HDU 1: BOSS results"])
        with out.table(COLUMNS, [Card("INSTRMNT", "BOSS")], key="spectrum_pk") as table:
            for batch in batches:
                table.write(batch)
        assert table.rows == sum(batch.num_rows for batch in batches)
        with out.table(COLUMNS, [Card("INSTRMNT", "APOGEE")]):
            pass
    return path


@pytest.mark.parametrize("name", ["a.fits", "a.fits.gz"])
def test_astropy_reads_back_what_was_written(tmp_path, name):
    batch = rows()
    with astropy.io.fits.open(write(tmp_path / name, batch), checksum=True) as hdus:
        assert [hdu.verify_checksum() for hdu in hdus] == [1, 1, 1]
        assert [hdu.verify_datasum() for hdu in hdus] == [1, 1, 1]
        assert [len(hdus[1].data), len(hdus[2].data)] == [ROWS, 0]
        assert hdus[1].columns.names == hdus[2].columns.names == [column.name for column in COLUMNS]
        assert hdus[1].header["INSTRMNT"] == "BOSS"
        assert hdus[1].columns["v_rad"].unit == "km s-1"
        data = hdus[1].data
        texts = [text or "" for text in batch["name"].to_pylist()]
        assert data["name"].tolist() == texts
        np.testing.assert_array_equal(data["spectrum_pk"], batch["spectrum_pk"])
        np.testing.assert_array_equal(data["ra"], batch["ra"])
        expected = batch["v_rad"].to_numpy(zero_copy_only=False).astype("f4")
        np.testing.assert_array_equal(data["v_rad"], expected)
        assert data["n_exp"].tolist() == [-1 if x is None else x for x in batch["n_exp"].to_pylist()]
        assert data["flags"].tolist() == [x or 0 for x in batch["flags"].to_pylist()]
        assert data["dithered"].tolist() == [bool(x) for x in batch["dithered"].to_pylist()]
        times = [x.isoformat(timespec="microseconds") if x else "" for x in batch["created"].to_pylist()]
        assert data["created"].tolist() == times
        assert data["cartons"].shape == (ROWS, 7)
        cartons = [(x or b"").ljust(7, b"\0") for x in batch["cartons"].to_pylist()]
        assert [bytes(row) for row in data["cartons"]] == cartons
        offsets = [((x or []) + [np.nan] * 3)[:3] for x in batch["delta_ra"].to_pylist()]
        np.testing.assert_array_equal(data["delta_ra"], np.array(offsets, dtype="f4"))


@pytest.mark.parametrize("name", ["a.fits", "a.fits.gz"])
def test_fitsio_reads_back_what_was_written(tmp_path, name):
    batch = rows()
    data = fitsio.read(str(write(tmp_path / name, batch)), ext=1)
    assert [text.strip() for text in data["name"].tolist()] == [
        text or "" for text in batch["name"].to_pylist()
    ]
    np.testing.assert_array_equal(data["ra"], batch["ra"])
    assert data["dithered"].tolist() == [bool(x) for x in batch["dithered"].to_pylist()]
    assert data["delta_ra"].shape == (ROWS, 3)


@pytest.mark.parametrize("name", ["a.fits", "a.fits.gz"])
@pytest.mark.parametrize("count", [0, 1, 4096, ROWS])
def test_fitsverify_finds_nothing(tmp_path, name, count):
    program = shutil.which("fitsverify")
    if program is None:
        pytest.skip("no fitsverify: install Debian's package fitsverify")
    found = subprocess.run(
        [program, "-l", str(write(tmp_path / name, rows(count)))], capture_output=True, text=True, check=False
    )
    assert "found 0 warning(s) and 0 error(s)" in found.stdout, found.stdout[-3000:]


@pytest.mark.parametrize("name", ["a.fits", "a.fits.gz"])
def test_the_same_rows_give_the_same_bytes_however_they_come(tmp_path, name):
    batch = rows()
    pieces = [batch.slice(start, 700) for start in range(0, ROWS, 700)]
    (tmp_path / "one").mkdir()
    whole = write(tmp_path / "one" / name, batch, threads=1).read_bytes()
    assert write(tmp_path / name, *pieces, threads=3).read_bytes() == whole


def test_the_compressed_file_is_one_gzip_member_with_the_plain_file_in_it(tmp_path):
    batch = rows()
    plain = write(tmp_path / "a.fits", batch).read_bytes()
    packed = write(tmp_path / "a.fits.gz", batch).read_bytes()
    assert gzip.decompress(packed) == plain
    assert packed[4:8] == bytes(4), "the time stamp is zero"
    assert len(packed) < len(plain)


def test_an_arrow_table_of_several_chunks_is_written_too(tmp_path):
    batch = rows(100)
    chunked = pa.Table.from_batches([batch.slice(0, 30), batch.slice(30)])
    (tmp_path / "one").mkdir()
    assert (
        write(tmp_path / "a.fits", chunked).read_bytes() == write(tmp_path / "one/a.fits", batch).read_bytes()
    )


def changed(batch: pa.RecordBatch, name: str, values: pa.Array) -> pa.RecordBatch:
    return batch.set_column(batch.schema.get_field_index(name), name, values)


@pytest.mark.parametrize(
    ("name", "values", "error", "reason"),
    [
        (
            "name",
            pa.array(["a", "b", "abcdef"]),
            WidthError,
            "6 characters do not fit the column's width of 5",
        ),
        ("name", pa.array(["a", "b", "ß"]), FitsWriteError, "'ß' has characters"),
        ("n_exp", pa.array([1, 2, 2**40]), FitsWriteError, "1099511627776 does not fit a 32-bit integer"),
        ("delta_ra", pa.array([[1.0], [], [1.0] * 4]), WidthError, "4 elements do not fit"),
    ],
)
def test_a_value_that_does_not_fit_names_product_column_and_key(tmp_path, name, values, error, reason):
    def write_batches():
        with (
            FitsWriter(tmp_path / "a.fits", created=CREATED, label="mwmAllStar") as out,
            out.table(COLUMNS, key="spectrum_pk") as table,
        ):
            table.write(rows(2))
            table.write(changed(rows(3), name, values))

    with pytest.raises(error, match=rf"mwmAllStar: column {name}: {reason}.*row 5 \(spectrum_pk 2\)"):
        write_batches()


def test_rows_without_a_column_are_refused(tmp_path):
    with (
        pytest.raises(FitsWriteError, match=r"a\.fits: the rows lack the columns ra, v_rad"),
        FitsWriter(tmp_path / "a.fits", created=CREATED) as out,
        out.table(COLUMNS) as table,
    ):
        table.write(rows(3).drop_columns(["ra", "v_rad"]))


def test_a_thousand_columns_are_refused(tmp_path):
    columns = [fits_column(f"c{i}", Kind.int32) for i in range(1000)]
    with (
        pytest.raises(FitsWriteError, match="1000 columns, a FITS table has at most 999"),
        FitsWriter(tmp_path / "a.fits", created=CREATED) as out,
    ):
        out.table(columns)


def test_an_existing_file_is_not_written_over(tmp_path):
    (tmp_path / "a.fits").write_bytes(b"old")
    with pytest.raises(FileExistsError):
        FitsWriter(tmp_path / "a.fits", created=CREATED)
    assert (tmp_path / "a.fits").read_bytes() == b"old"


def test_pixels_without_rows_have_no_width(tmp_path):
    with FitsWriter(tmp_path / "a.fits", created=CREATED) as out:
        out.primary()
        with out.table([fits_column("mjd", Kind.int32), fits_column("flux", Kind.pixels, 0)]):
            pass
        with out.table([fits_column("flux", Kind.pixels, 4648)]) as table:
            table.write(pa.record_batch({"flux": pa.array([np.ones(4648)], pa.list_(pa.float64(), 4648))}))
    with astropy.io.fits.open(tmp_path / "a.fits") as hdus:
        assert hdus[1].columns["flux"].format == "0E"
        assert hdus[2].data["flux"].sum() == 4648


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([], 0),
        ([0, 0], 0),
        ([0xFFFFFFFF], 0xFFFFFFFF),
        ([0xFFFFFFFF, 1], 1),
        ([0x80000000, 0x80000000], 1),
        ([1, 2, 3], 6),
    ],
)
def test_sums_of_words_carry_around(words, expected):
    total = WordSum()
    for word in words:
        total.add(word.to_bytes(4, "big"))
    assert total.value == expected


def test_a_sum_over_much_is_that_of_its_words():
    words = np.random.default_rng(5).integers(0, 2**32, 100_003, dtype=np.uint32)
    total = WordSum()
    total.add(words.astype(">u4").tobytes())
    assert total.value == sum(words.tolist()) % 0xFFFFFFFF
