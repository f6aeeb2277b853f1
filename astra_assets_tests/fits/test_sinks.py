"""Where the bytes of a FITS file go: the same bytes give the same file, however they were cut."""

from __future__ import annotations

import gzip

import numpy as np
import pytest

from astra_assets.fits.sinks import open_sink

HEADER = b"h" * 2880
DATA = np.random.default_rng(3).integers(0, 8, 9_500_000, dtype=np.uint8).tobytes()
"""Much more than is compressed at a time."""


def written(path, piece: int) -> bytes:
    """A file of a header and DATA, written from one piece of memory that is used again and again."""
    room = bytearray(piece)
    sink = open_sink(path, compress=path.suffix == ".gz", threads=2)
    slot = sink.reserve(len(HEADER))
    for start in range(0, len(DATA), piece):
        part = DATA[start : start + piece]
        room[: len(part)] = part
        sink.write(memoryview(room)[: len(part)])
    sink.fill(slot, HEADER)
    sink.close()
    return path.read_bytes()


@pytest.mark.parametrize("name", ["a.fits", "a.fits.gz"])
def test_cuts_and_memory_that_is_used_again_do_not_show_in_the_file(tmp_path, name):
    found = [
        written(tmp_path / f"{piece}-{name}", piece) for piece in (100_003, 4 << 20, len(DATA), 5_000_000)
    ]
    assert found.count(found[0]) == len(found)
    assert (gzip.decompress(found[0]) if name.endswith(".gz") else found[0]) == HEADER + DATA


def test_a_header_after_data_stays_behind_them(tmp_path):
    sink = open_sink(tmp_path / "a.gz", compress=True, threads=2)
    sink.write(b"first")
    slot = sink.reserve(4)
    sink.write(b"second")
    sink.fill(slot, b"head")
    sink.close()
    assert gzip.decompress((tmp_path / "a.gz").read_bytes()) == b"firstheadsecond"
