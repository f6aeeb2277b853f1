"""Files as streams: what they are compressed with is told by their content, and damage is an error in words."""

from __future__ import annotations

import bz2
import gzip
import hashlib
import lzma

import pytest

from astra_assets.files.streams import (
    ByteStream,
    StreamError,
    copy_content,
    is_compressed,
    open_content,
    open_stream,
    read_content,
)

CONTENT = bytes(range(256)) * 20_000
PACKED = {
    "plain": CONTENT,
    "gzip": gzip.compress(CONTENT, 1),
    "bzip2": bz2.compress(CONTENT),
    "xz": lzma.compress(CONTENT),
}


@pytest.fixture(params=PACKED)
def kind(request):
    return request.param


@pytest.mark.parametrize("name", ["a.fits", "a.fits.gz", "A.FITS.GZ", "a.bz2", "a"])
def test_content_decides_and_not_the_name(tmp_path, kind, name):
    path = tmp_path / name
    path.write_bytes(PACKED[kind])
    assert is_compressed(path) is (kind != "plain")
    assert read_content(path) == CONTENT
    copy_content(path, tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == CONTENT
    with open_stream(path) as stream:
        assert stream.read(1000) == CONTENT[:1000]
        assert stream.skip(5000) == 5000
        assert stream.read(10) == CONTENT[6000:6010]
        assert stream.finish() == hashlib.sha256(PACKED[kind]).hexdigest()
    with open_stream(path, hashed=False) as stream:
        assert stream.skip(1_000_003) == 1_000_003
        assert stream.read(10) == CONTENT[1_000_003:1_000_013]
        assert stream.skip(10**12) == len(CONTENT) - 1_000_013
        assert stream.read(10) == b""


@pytest.mark.parametrize("kind", ["gzip", "bzip2", "xz"])
def test_every_byte_before_a_cut_is_delivered_then_an_error(tmp_path, kind):
    path = tmp_path / "a"
    path.write_bytes(PACKED[kind][:-20])
    with open_content(path, buffer_bytes=1000) as opened:
        assert opened.read(1000) == CONTENT[:1000]
    with pytest.raises(StreamError, match="end too early"):
        read_content(path)
    with open_stream(path) as stream:
        assert CONTENT.startswith(stream.read(10**9))
        assert stream.problem == "the compressed data end too early"
        with pytest.raises(StreamError, match="end too early"):
            stream.read(1)


@pytest.mark.parametrize("kind", ["gzip", "bzip2", "xz"])
def test_damage_is_an_error_that_names_the_compression(tmp_path, kind):
    path = tmp_path / "a"
    damaged = bytearray(PACKED[kind])
    damaged[len(damaged) // 2 : len(damaged) // 2 + 40] = b"\xff" * 40
    path.write_bytes(damaged)
    with pytest.raises(StreamError, match=rf"the {kind} stream is broken|end too early"):
        read_content(path)


@pytest.mark.parametrize("kind", ["gzip", "bzip2", "xz"])
def test_several_members_are_one_file_unless_there_must_be_one(tmp_path, kind):
    path = tmp_path / "a"
    path.write_bytes(2 * PACKED[kind])
    assert read_content(path) == 2 * CONTENT
    stream = ByteStream(path, alone=True)
    try:
        assert CONTENT.startswith(stream.read(10**9))
        with pytest.raises(StreamError, match=f"the {kind} stream does not end where the file does"):
            stream.finish()
    finally:
        stream.close()


def test_a_file_claims_no_more_than_it_can_hold(tmp_path, kind):
    path = tmp_path / "a"
    path.write_bytes(PACKED[kind])
    with open_stream(path) as stream:
        before = stream.most_left
        assert before >= len(CONTENT)
        stream.read(1000)
        assert stream.most_left == before - 1000
    assert kind != "plain" or before == len(CONTENT)


def test_a_size_that_nobody_has_costs_no_memory(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"x" * 100)
    with open_stream(path) as stream:
        assert stream.read(10**15) == b"x" * 100
