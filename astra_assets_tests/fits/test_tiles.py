"""Tile-compressed tables: cfitsio restores the very bytes that were packed."""

from __future__ import annotations

import gzip
import shutil
import subprocess
from datetime import UTC, datetime

import astropy.io.fits
import numpy as np
import pyarrow as pa
import pytest

from astra_assets.fits import tiles
from astra_assets.fits.formats import FitsColumn
from astra_assets.fits.header import Card, section
from astra_assets.fits.tiles import PackError, pack
from astra_assets.fits.writer import FitsWriter
from astra_assets.registry.kinds import Definition, Kind

ROWS = 2501
WIDTHS = {Kind.text: 5, Kind.bytes: 7, Kind.floats: 3}
COLUMNS = [
    FitsColumn(kind.value, Definition(kind, f"About {kind.value}", "s" if kind is Kind.float32 else None),
               WIDTHS.get(kind, 1), "Everything")
    for kind in Kind if kind is not Kind.pixels
]  # fmt: skip


def rows(count: int) -> pa.RecordBatch:
    numbers = np.arange(count)
    rng = np.random.default_rng(1)
    arrays = {
        Kind.text: pa.array(["abcde"[: i % 6] for i in range(count)]),
        Kind.boolean: pa.array(numbers % 3 == 0),
        Kind.int32: pa.array(numbers.astype("i4")),
        Kind.int64: pa.array(numbers << 33),
        Kind.bits: pa.array(numbers % 4),
        Kind.float32: pa.array(rng.normal(size=count)),
        Kind.float64: pa.array(rng.normal(size=count)),
        Kind.datetime: pa.array((numbers * 1_234_567).astype("M8[us]")),
        Kind.bytes: pa.array([bytes(range(i % 8)) for i in range(count)]),
        Kind.floats: pa.array([[0.5 * i] * (i % 4) for i in range(count)], pa.list_(pa.float64())),
    }
    return pa.record_batch({kind.value: array for kind, array in arrays.items()})


@pytest.fixture(params=[".fits", ".fits.gz"])
def source(request, tmp_path):
    """A file with a table of several tiles and one without rows."""
    path = tmp_path / f"a{request.param}"
    with FitsWriter(path, created=datetime(2026, 1, 2, tzinfo=UTC), compress=path.suffix == ".gz") as out:
        out.primary([*section("Metadata"), Card("V_ASTRA", "0.8.1")], ["HDU 1: results"])
        with out.table(COLUMNS, [Card("INSTRMNT", "BOSS")]) as table:
            table.write(rows(ROWS))
        with out.table(COLUMNS, [Card("INSTRMNT", "APOGEE")]):
            pass
    return path


@pytest.mark.parametrize("tile_rows", [1000, 8192])
def test_funpack_restores_the_bytes(source, tmp_path, monkeypatch, tile_rows):
    if shutil.which("funpack") is None:
        pytest.skip("no funpack: install Debian's package libcfitsio-bin")
    monkeypatch.setattr(tiles, "TILE_ROWS", tile_rows)
    packed, restored = tmp_path / "a.fits.fz", tmp_path / "restored.fits"
    pack(source, packed)
    subprocess.run(["funpack", "-O", restored, packed], check=True)
    original = source.read_bytes()
    assert restored.read_bytes() == (gzip.decompress(original) if source.suffix == ".gz" else original)
    assert packed.stat().st_size < restored.stat().st_size / 2


def test_the_packed_file_is_valid_fits(source, tmp_path, monkeypatch):
    monkeypatch.setattr(tiles, "TILE_ROWS", 1000)
    packed = tmp_path / "a.fits.fz"
    pack(source, packed)
    with astropy.io.fits.open(packed, checksum=True) as hdus:
        assert [hdu.verify_checksum() for hdu in hdus] == [1, 1, 1]
        assert [hdu.verify_datasum() for hdu in hdus] == [1, 1, 1]
        assert (hdus[1].header["ZNAXIS2"], hdus[1].header["NAXIS2"]) == (ROWS, 3)
        assert hdus[2].header["NAXIS2"] == 0
    if shutil.which("fitsverify") is None:
        pytest.skip("no fitsverify: install Debian's package fitsverify")
    done = subprocess.run(["fitsverify", "-q", packed], capture_output=True, text=True, check=False)
    assert done.stdout.startswith("verification OK"), done.stdout


def test_the_same_file_gives_the_same_bytes(source, tmp_path):
    for name in ("b.fits.fz", "c.fits.fz"):
        pack(source, tmp_path / name)
    assert (tmp_path / "b.fits.fz").read_bytes() == (tmp_path / "c.fits.fz").read_bytes()


def test_what_cannot_be_packed_is_refused_with_its_name(tmp_path):
    image, heap = tmp_path / "image.fits", tmp_path / "heap.fits"
    astropy.io.fits.PrimaryHDU(np.zeros((2, 2))).writeto(image)
    ragged = np.empty(2, dtype=object)
    ragged[:] = [[1.0], [2.0, 3.0]]
    column = astropy.io.fits.Column("x", "PE()", array=ragged)
    astropy.io.fits.BinTableHDU.from_columns([column]).writeto(heap)
    for path, reason in ((image, "found an image"), (heap, "with a heap")):
        with pytest.raises(PackError, match=rf"{path.name}: .*{reason}"):
            pack(path, tmp_path / f"{path.stem}.fz")


def test_a_file_that_ends_early_is_refused(source, tmp_path):
    data = source.read_bytes()
    whole = gzip.decompress(data) if source.suffix == ".gz" else data
    for number, size in enumerate((20_000, 4000)):
        short = tmp_path / f"short{number}.fits"
        short.write_bytes(whole[:size])
        with pytest.raises(
            PackError, match=rf"{short.name}: (breaks off in HDU 1|the header of HDU 1 has no END)"
        ):
            pack(short, tmp_path / f"{number}.fz")
