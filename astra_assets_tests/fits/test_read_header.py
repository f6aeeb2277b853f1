"""Headers of FITS files: what they say, and what they claim without reason."""

from __future__ import annotations

import bz2
import gzip
import lzma
import time
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from astra_assets.fits.errors import FitsReadError
from astra_assets.fits.read_header import (
    FitsHeader,
    check_file,
    parse_number,
    read_headers,
    read_primary_header,
)
from astra_assets.fits.read_images import read_image, read_images
from astra_assets.fits.read_table import open_table, read_table


def card(key, value):
    return f"{key:8}= {value:>20}".ljust(80).encode()


def header_of(*cards):
    text = b"".join(cards) + b"END".ljust(80)
    return text + b" " * (-len(text) % 2880)


PRIMARY = header_of(card("SIMPLE", "T"), card("BITPIX", 8), card("NAXIS", 0))


def table_with(rows=3, **changes):
    """A file with a table of two columns some of whose cards are changed; None leaves one out."""
    cards = {
        "XTENSION": "'BINTABLE'", "BITPIX": 8, "NAXIS": 2, "NAXIS1": 12, "NAXIS2": rows, "PCOUNT": 0, "GCOUNT": 1,
        "TFIELDS": 2, "TTYPE1": "'A       '", "TFORM1": "'J       '", "TTYPE2": "'B       '", "TFORM2": "'D       '",
    } | changes  # fmt: skip
    data = b"\0" * (12 * rows)
    text = header_of(*(card(key, value) for key, value in cards.items() if value is not None))
    return PRIMARY + text + data + b"\0" * (-len(data) % 2880)


def image_with(**changes):
    cards = {
        "XTENSION": "'IMAGE   '", "BITPIX": -32, "NAXIS": 2, "NAXIS1": 10, "NAXIS2": 2, "PCOUNT": 0, "GCOUNT": 1,
    } | changes  # fmt: skip
    return PRIMARY + header_of(*(card(key, value) for key, value in cards.items())) + b"\0" * 2880


def read_rows(path):
    with open_table(path, lambda names: "a" in names, "a column A") as table:
        chunks = list(table.chunks(["A"], 50_000))
        table.finish()
    return chunks


def read_pixels(path):
    return read_table(path, 1).numbers("A")


def read_pictures(path):
    return read_images(path, [1])


def read_any_picture(path):
    return read_image(path, 1)


def read_both_headers(path):
    return read_headers(path, 3)


NONSENSE = [
    (table_with(NAXIS1="'abc'"), r"HDU 1: NAXIS1 is 'abc'"),
    (table_with(NAXIS1=200_000_000_000), r"NAXIS1 is 200000000000|the columns need 12 bytes per row"),
    (table_with(NAXIS1=-12), r"HDU 1: NAXIS1 is -12"),
    (table_with(NAXIS2=None), r"HDU 1: NAXIS2 is missing"),
    (table_with(NAXIS2="NaN"), r"HDU 1: NAXIS2 is nan"),
    (table_with(NAXIS2=-1), r"HDU 1: NAXIS2 is -1"),
    (table_with(NAXIS2=10**12), r"breaks off|claims"),
    (table_with(NAXIS2=10**30), r"HDU 1: NAXIS2 is 10{30}"),
    (table_with(NAXIS=10**9), r"HDU 1: NAXIS is 1000000000"),
    (table_with(PCOUNT=-5), r"HDU 1: PCOUNT is -5"),
    (table_with(BITPIX=7), r"HDU 1: BITPIX is 7"),
    (table_with(TFIELDS=2.5), r"HDU 1: TFIELDS is 2\.5"),
    (table_with(TFIELDS="'x'"), r"HDU 1: TFIELDS is 'x'"),
    (table_with(TFIELDS=10**9), r"HDU 1: TFIELDS is 1000000000, expected 0 to 999"),
    (table_with(TFIELDS=-1), r"HDU 1: TFIELDS is -1"),
    (table_with(TFORM1="'999999999999A'"), r"HDU 1: the columns need \d+ bytes per row, NAXIS1 says 12"),
    (table_with(TFORM1="'Z'"), r"HDU 1: TFORM1 is 'Z'"),
    (table_with(TZERO1="'abc'"), r"HDU 1: TZERO1 is 'abc', expected a number"),
    (table_with(TZERO1="1E300"), r"HDU 1: TZERO1 is 1e\+300"),
    (table_with(TSCAL1="NaN"), r"HDU 1: TSCAL1 is nan, expected a number"),
    (table_with()[:-2881], r"no END|breaks off"),
    (table_with()[: 2880 + 1000], r"the header of HDU 1 has no END within 1,000 bytes"),
    (PRIMARY + header_of(card("XTENSION", "'BINTABLE'")), r"NAXIS is missing"),
    (PRIMARY + b"x" * 2880, r"no FITS header where HDU 1 should start: found b'xxxxxxxxx'"),
    (PRIMARY[:-2880], r"the file is empty"),
    (b"not FITS " * 1000, r"no FITS header where HDU 0 should start"),
    (b"SIMPLE  =" + b" " * 58_000_000, r"has no END within 11,796,480 bytes"),
    (gzip.compress(table_with(NAXIS2=2**31) + bytes(40_000_000)), r"breaks off|claims"),
    (bz2.compress(table_with(NAXIS2=10**12)), r"breaks off|claims"),
    (lzma.compress(table_with(NAXIS1=10**11, TFORM1=f"'{10**11 - 8}A'")), r"NAXIS1 is|claims"),
    (
        gzip.compress(table_with())[:60],
        r"header of HDU 0.*the compressed data end too early",
    ),
]


@pytest.mark.parametrize(("content", "told"), NONSENSE, ids=range(len(NONSENSE)))
@pytest.mark.parametrize("read", [read_rows, read_pixels])
def test_a_table_that_claims_nonsense_is_an_error_in_words_and_costs_nothing(tmp_path, content, told, read):
    _refused(tmp_path, content, told, read)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (image_with(NAXIS1=10**12), r"HDU 1: claims an image of [\d,]+ bytes, expected at most 256 MB"),
        (image_with(NAXIS1=10**6), "breaks off in HDU 1"),
        (image_with(NAXIS1=-10), "HDU 1: NAXIS1 is -10"),
        (image_with(NAXIS="'two'"), "HDU 1: NAXIS is 'two'"),
        (image_with(BITPIX=33), "HDU 1: BITPIX is 33"),
        (image_with()[: 2 * 2880 + 10], "breaks off in HDU 1"),
        (gzip.compress(image_with(NAXIS1=10**7), mtime=0), "breaks off in HDU 1"),
        (table_with(ZIMAGE="T", ZNAXIS=2, ZNAXIS1=10**9, ZNAXIS2=10**9), "HDU 1: claims an image of"),
    ],
)
@pytest.mark.parametrize("read", [read_pictures, read_any_picture])
def test_an_image_that_claims_nonsense_is_an_error_in_words_and_costs_nothing(tmp_path, content, told, read):
    _refused(tmp_path, content, f"{told}|HDU 1 cannot be read", read)


def _refused(tmp_path, content, told, read):
    path = tmp_path / "wrong.fits"
    path.write_bytes(content)
    tracemalloc.start()
    before = time.monotonic()
    try:
        with pytest.raises(FitsReadError, match=rf"wrong\.fits.*({told})") as caught:
            read(path)
        assert tracemalloc.get_traced_memory()[1] < 64 << 20
    finally:
        tracemalloc.stop()
    assert time.monotonic() - before < 20
    assert caught.value.code == "unreadable_file"


@pytest.mark.parametrize("name", ["a.fits", "a.fits.gz", "A.FITS.GZ", "a"])
@pytest.mark.parametrize("pack", [bytes, gzip.compress, bz2.compress, lzma.compress])
def test_a_file_is_what_its_content_says_for_every_reader(tmp_path, name, pack):
    path = tmp_path / name
    path.write_bytes(pack(table_with()))
    assert [len(chunk.columns) for chunk in read_rows(path)] == [3]
    assert read_pixels(path).tolist() == [0, 0, 0]
    assert [header.number for header in read_headers(path, 2)] == [0, 1]
    assert read_primary_header(path)["SIMPLE"] is True
    check_file(path)
    path.write_bytes(pack(table_with(PCOUNT=10**15)))  # a heap that nobody asks for
    assert [len(chunk.columns) for chunk in read_rows(path)] == [3]
    path.write_bytes(pack(image_with()))
    assert read_pictures(path).arrays[1].shape == (2, 10)
    assert read_any_picture(path)[0].shape == (2, 10)


def test_a_missing_file_and_a_folder_are_told_apart(tmp_path):
    for read in (read_rows, read_pixels, read_pictures, read_any_picture, read_both_headers, check_file):
        with pytest.raises(FitsReadError, match="there is no such file") as caught:
            read(tmp_path / "none.fits")
        assert caught.value.code == "missing_file"
        with pytest.raises(FitsReadError, match=r"cannot be read: Is a directory|is a folder"):
            read(tmp_path)
    assert read_primary_header(tmp_path / "none.fits") is None


def test_a_file_that_lacks_an_hdu_says_how_many_it_has(tmp_path):
    path = tmp_path / "a.fits"
    path.write_bytes(table_with())
    with pytest.raises(FitsReadError, match="no HDU 2, it has 2"):
        read_both_headers(path)
    with pytest.raises(FitsReadError, match="has not all of the HDUs 1, 2: it ends after HDU 1"):
        read_images(path.with_name(image(path.with_name("b.fits"))), [1, 2])


def image(path):
    path.write_bytes(image_with())
    return path.name


def test_a_file_cut_short_is_seen_by_its_size(tmp_path):
    path = tmp_path / "a.fits"
    path.write_bytes(PRIMARY + b"x")
    with pytest.raises(FitsReadError, match="2881 bytes is not a multiple of 2880"):
        check_file(path)
    path.write_bytes(b"")
    with pytest.raises(FitsReadError, match="the file is empty"):
        check_file(path)


def test_values_are_those_that_astropy_reads(tmp_path):
    given = {
        "A": 3, "B": -2.5, "C": True, "D": False, "E": "text", "F": "it's / so", "G": 1e-300, "H": "", "I": 2**62,
    }  # fmt: skip
    path = tmp_path / "a.fits"
    written = fits.Header()
    for key, value in given.items():
        written[key] = (value, "a comment / with a slash")
    fits.PrimaryHDU(header=written).writeto(path)
    (header,) = read_headers(path)
    expected = fits.getheader(path)
    assert {key: header[key] for key in given} == {key: expected[key] for key in given} == given
    assert len(header.raw) % 2880 == 0


def test_of_a_keyword_that_occurs_twice_the_first_card_counts():
    header = FitsHeader(header_of(card("A", 1), card("A", 2)), Path("x.fits"), 0)
    assert header["A"] == 1


@pytest.mark.parametrize(
    ("field", "largest", "expected"),
    [
        (b"                 3.5 / a comment", None, 3.5),
        (b"'12      '           / text", 100, 12),
        (b"'it''s'", None, None),
        (b"                 1.5D2", None, 150.0),
        (b"             4.98E+09 /", 2**53, 4_980_000_000),
        (b"             4.98E+09 /", 2**31 - 1, None),
        (b"                 3.9", 100, 3),
        (b"'NaN     '", None, None),
        (b"                   T", None, None),
        (b"", None, None),
    ],
)
def test_values_of_cards_are_read_as_numbers(field, largest, expected):
    assert parse_number(field.ljust(70), largest) == expected


def test_logical_bytes_are_truth_values_or_say_what_they_are(tmp_path):
    def logical(values):
        content = table_with(3, TFORM1="'4L      '")
        start = content.index(b"END".ljust(80), 2880) + 80
        start += -start % 2880
        path = tmp_path / "a.fits"
        path.write_bytes(content[:start] + values + content[start + 4 :])
        return read_rows(path)[0].columns["A"].to_pylist()[0]

    assert logical(b"TFtf") == [True, False, True, False]
    assert logical(b"\x01\x00T\x01") == [True, None, True, True]
    assert logical(b"T\x02xF") == ["T", "\x02", "x", "F"]


def test_columns_with_values_in_the_heap_are_read_by_astropy(tmp_path):
    from astra_assets.fits.read_table import read_with_astropy

    path = tmp_path / "heap.fits"
    made = fits.Column("A", "PJ()", array=np.array([np.arange(2), np.arange(3)], dtype=object))
    fits.BinTableHDU.from_columns([made]).writeto(path)
    assert [list(row) for row in read_with_astropy(path, 1)["A"]] == [[0, 1], [0, 1, 2]]
    path.write_bytes(path.read_bytes()[: 2880 * 2])
    with pytest.raises(FitsReadError, match="breaks off in HDU 1"):
        read_with_astropy(path, 1)
