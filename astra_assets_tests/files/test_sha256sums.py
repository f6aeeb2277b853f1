"""SHA256SUMS: what stands in it, and that several writers do not lose each other's lines."""

from __future__ import annotations

import hashlib
import subprocess
from concurrent.futures import ThreadPoolExecutor

import pytest

from astra_assets.files import sha256sums


def put(folder, name: str, content: bytes = b"x"):
    path = folder / name
    path.write_bytes(content)
    return path


def test_sha256sum_accepts_the_manifest(tmp_path):
    for name in ("b.fits.gz", "a.fits.gz"):
        path = put(tmp_path, name, name.encode())
        sha256sums.record(path, sha256sums.sha256(path))
    assert list(sha256sums.read(tmp_path)) == ["a.fits.gz", "b.fits.gz"]
    assert sha256sums.read(tmp_path)["a.fits.gz"] == hashlib.sha256(b"a.fits.gz").hexdigest()
    subprocess.run(
        ["sha256sum", "--check", "--strict", sha256sums.NAME], cwd=tmp_path, check=True, capture_output=True
    )


def test_a_new_version_replaces_its_line_and_files_that_are_gone_leave(tmp_path):
    first, second = put(tmp_path, "a"), put(tmp_path, "b")
    sha256sums.record(first, "1" * 64)
    sha256sums.record(second, "2" * 64)
    second.unlink()
    sha256sums.record(first, "3" * 64)
    assert sha256sums.read(tmp_path) == {"a": "3" * 64}


def test_writers_at_the_same_time_lose_nothing(tmp_path):
    paths = [put(tmp_path, f"{number:02d}") for number in range(24)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda path: sha256sums.record(path, "a" * 64), paths))
    assert len(sha256sums.read(tmp_path)) == 24


def test_a_checksum_is_known_once_it_is_recorded(tmp_path):
    path = put(tmp_path, "a")
    assert sha256sums.recorded(path) is None
    sha256sums.record(path, "1" * 64)
    assert sha256sums.recorded(path) == "1" * 64


def test_a_line_that_is_no_checksum_is_an_error(tmp_path):
    put(tmp_path, sha256sums.NAME, b"1" * 64 + b"  a\nnonsense\n")
    with pytest.raises(
        ValueError, match="SHA256SUMS:2: expected a checksum, two blanks and a name, found 'nonsense'"
    ):
        sha256sums.read(tmp_path)
