"""Tables of FITS files as streams."""

from __future__ import annotations

import gzip
from typing import Any

import numpy as np
import pytest
from astropy.io import fits

from astra_assets.fits.errors import FitsReadError
from astra_assets.fits.read_table import open_table
from astra_assets_tests.ingest.samples import write_table

COLUMNS: dict[str, Any] = {
    "A": np.arange(7, dtype=np.int64),
    "b": np.linspace(0, 1, 7).astype(np.float32),
    "TEXT": np.array([b"ab", b"  c ", b"", b"\xe9", b"e", b"f", b"g"], dtype="S4"),
    "BYTES": np.arange(21, dtype=np.uint8).reshape(7, 3),
    "FLOATS": np.arange(14, dtype=np.float32).reshape(7, 2),
    "YES": np.array([True, False] * 3 + [True]),
    "U4": np.array([0, 1, 2**31, 2**32 - 1, 5, 6, 7], dtype=np.uint32),
}


def write_columns(path):
    made = [
        fits.Column("A", "K", array=COLUMNS["A"], null=3),
        fits.Column("b", "E", array=COLUMNS["b"]),
        fits.Column("TEXT", "4A", array=COLUMNS["TEXT"]),
        fits.Column("BYTES", "3B", array=COLUMNS["BYTES"]),
        fits.Column("FLOATS", "2E", array=COLUMNS["FLOATS"]),
        fits.Column("YES", "L", array=COLUMNS["YES"]),
        fits.Column("U4", "J", bzero=2**31, array=COLUMNS["U4"]),
        fits.Column("EMPTY", "0E", array=np.zeros((7, 0))),
        fits.Column("SCALED", "I", array=np.arange(7)),
    ]
    first = fits.BinTableHDU.from_columns([fits.Column("other", "J", array=np.arange(3000))])
    image = fits.ImageHDU(np.zeros((30, 30), dtype=np.float32))
    last = fits.BinTableHDU.from_columns(made)
    last.header["TSCAL9"], last.header["TZERO9"] = 0.5, 1.0
    hdus = fits.HDUList([fits.PrimaryHDU(), first, image, last])
    with gzip.open(path, "wb") if path.suffix == ".gz" else path.open("wb") as opened:
        hdus.writeto(opened)
    return path


def read(path, names, chunk_rows=3, **options):
    with open_table(path, lambda found: "a" in found, "a column a") as table:
        chunks = list(table.chunks(names, chunk_rows, **options))
        return table, chunks, table.finish()


@pytest.mark.parametrize("name", ["table.fits", "table.fits.gz"])
def test_every_type_of_column_is_read_in_chunks(tmp_path, name):
    names = ["A", "b", "TEXT", "BYTES", "FLOATS", "YES", "U4", "EMPTY", "SCALED"]
    table, chunks, _ = read(write_columns(tmp_path / name), names)
    assert (table.rows, table.hdu) == (7, 3)
    assert [chunk.first for chunk in chunks] == [1, 4, 7]
    rows = {key: [value for chunk in chunks for value in chunk.columns[key].to_pylist()] for key in names}
    assert rows["A"] == [0, 1, 2, None, 4, 5, 6]
    assert rows["b"] == COLUMNS["b"].tolist()
    assert rows["TEXT"] == ["ab", "  c", "", "é", "e", "f", "g"]
    assert rows["BYTES"] == [value.tobytes() for value in COLUMNS["BYTES"]]
    assert rows["FLOATS"] == COLUMNS["FLOATS"].tolist()
    assert rows["YES"] == COLUMNS["YES"].tolist()
    assert rows["U4"] == COLUMNS["U4"].tolist()
    assert rows["EMPTY"] == [None] * 7
    assert rows["SCALED"] == [1 + 0.5 * n for n in range(7)]


def test_the_checksum_is_that_of_the_whole_file_on_disk(tmp_path):
    import hashlib

    for name in ("table.fits", "table.fits.gz"):
        path = write_columns(tmp_path / name)
        _, _, checksum = read(path, ["A"])
        assert checksum == hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_limit_ends_reading_early(tmp_path):
    _, chunks, _ = read(write_columns(tmp_path / "t.fits"), ["A"], limit=4)
    assert [len(chunk.columns) for chunk in chunks] == [3, 1]


@pytest.mark.parametrize("name", ["big.fits", "big.fits.gz"])
def test_a_truncated_file_gives_its_complete_rows_then_an_error_with_file_and_row(tmp_path, name):
    rng = np.random.default_rng(1)
    path = write_table(tmp_path / name, {"A": np.arange(40_000), "noise": rng.normal(size=40_000)})
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 2 // 3])
    got = []
    with (
        pytest.raises(FitsReadError, match=rf"{name}: breaks off after row [\d,]+ of 40,000") as caught,
        open_table(path, lambda found: "a" in found, "a column a") as table,
    ):
        got.extend(chunk.columns["A"] for chunk in table.chunks(["A"], 10_000))
    rows = np.concatenate([np.asarray(part) for part in got])
    assert 10_000 < len(rows) < 40_000
    assert (rows == np.arange(len(rows))).all()
    assert f"after row {len(rows):,} of" in str(caught.value)


def test_damage_that_only_gzip_notices_is_an_error(tmp_path):
    path = write_table(tmp_path / "t.fits.gz", {"A": np.arange(100)})
    data = bytearray(path.read_bytes())
    data[-8] ^= 0xFF  # the stored CRC
    path.write_bytes(bytes(data))
    with pytest.raises(FitsReadError, match=r"t\.fits\.gz.*[Cc]hecksum"):
        read(path, ["A"])


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "no FITS header"),
        (b"hello" * 1000, "no FITS header"),
        (gzip.compress(b"x" * 10_000, mtime=0), "no FITS header"),
        (gzip.compress(b"x" * 10_000, mtime=0)[:20], r"cannot be read in the header|no FITS header"),
    ],
)
def test_what_is_no_fits_file_is_an_error_that_names_it(tmp_path, data, message):
    path = tmp_path / "wrong.fits"
    path.write_bytes(data)
    with pytest.raises(FitsReadError, match=rf"wrong\.fits.*({message})"), open_table(path, bool, "anything"):
        pass


def test_without_the_table_the_error_lists_what_there_is(tmp_path):
    path = write_columns(tmp_path / "t.fits")
    with (
        pytest.raises(
            FitsReadError, match=r"no table with a column zzz; found HDU 1: other; HDU 3: A, b, TEXT"
        ),
        open_table(path, lambda found: "zzz" in found, "a column zzz"),
    ):
        pass


def test_columns_of_variable_length_are_refused_by_name(tmp_path):
    path = tmp_path / "t.fits"
    made = fits.Column("A", "PJ()", array=np.array([np.arange(2), np.arange(3)], dtype=object))
    fits.BinTableHDU.from_columns([made]).writeto(path)
    with (
        pytest.raises(FitsReadError, match="column A has the format P"),
        open_table(path, lambda found: "a" in found, "a column a") as table,
    ):
        list(table.chunks(["A"], 10))


def test_gzip_files_of_several_members_and_padding_are_read_whole(tmp_path):
    plain = write_table(tmp_path / "t.fits", {"A": np.arange(50_000)}).read_bytes()
    path = tmp_path / "t.fits.gz"
    cut = 100_001
    path.write_bytes(gzip.compress(plain[:cut]) + gzip.compress(plain[cut:]) + b"\0" * 700)
    _, chunks, _ = read(path, ["A"], 50_000)
    assert np.asarray(chunks[0].columns["A"]).tolist() == list(range(50_000))
