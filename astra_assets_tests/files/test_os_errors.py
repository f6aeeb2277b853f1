"""Errors of the operating system as sentences, and the names of the files that they belong to."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from astra_assets.files.atomic import atomic_write, naming, write_new
from astra_assets.files.json_files import write_json
from astra_assets.files.os_errors import os_error_text


def error(code, path=None):
    return OSError(code, os.strerror(code), *([str(path)] if path else []))


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_told_with_the_file_the_free_space_and_what_to_do(tmp_path, code):
    text = os_error_text(error(code, tmp_path / "not" / "there" / "FROZEN"))
    assert text.startswith(f"{tmp_path}/not/there/FROZEN: ")
    assert " are free on its file system" in text
    assert text.endswith("then type the same again: what was done is kept, and it goes on")


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (errno.EIO, "reports an I/O error"),
        (errno.EROFS, "is mounted read-only"),
        (errno.EACCES, "access is denied to "),
        (errno.ENAMETOOLONG, "the path is too long"),
        (errno.ENOENT, "it does not exist"),
        (errno.ENOTDIR, "is a file, not a folder"),
        (errno.EMFILE, "ulimit -n"),
    ],
)
def test_each_error_that_a_person_can_fix_names_file_and_cause(tmp_path, code, said):
    text = os_error_text(error(code, tmp_path / "x"))
    assert text.startswith(f"{tmp_path / 'x'}: ")
    assert said in text


def test_what_nobody_could_look_for_is_no_sentence():
    assert os_error_text(error(errno.ENOENT)) is None
    assert os_error_text(OSError("no code")) is None
    assert os_error_text(error(errno.EINVAL, "x")) is None
    assert os_error_text(error(errno.ENOSPC)).startswith(
        "a file could not be read or written: the disk is full"
    )


def test_a_path_of_thousands_of_letters_and_odd_bytes_is_shown_in_a_line(tmp_path):
    with pytest.raises(OSError, match="too long") as caught:
        (tmp_path / ("x" * 5000)).touch()
    assert len(os_error_text(caught.value)) < 400
    assert "\\udcff" in os_error_text(OSError(errno.EIO, "it fails", b"a\xff"))


def name_of_error(error, path):
    """The name that an error has after it went through `naming`."""

    def fail() -> None:
        raise error

    with pytest.raises(OSError, match=error.strerror), naming(path):
        fail()
    return error.filename


def test_errors_of_others_keep_their_names(tmp_path):
    mine, other = tmp_path / "mine", tmp_path / "other"
    assert name_of_error(error(errno.EIO), mine) == str(mine)
    assert name_of_error(error(errno.EIO, other), mine) == str(other)
    assert name_of_error(error(errno.ECONNRESET), mine) is None


def write_text(path):
    with atomic_write(path) as partial:
        partial.write_text("new")


WRITERS = {
    "atomic_write": write_text,
    "write_new": lambda path: write_new(path, Path.touch),
    "write_json": lambda path: write_json(path, {"new": 1}),
}


@pytest.mark.parametrize("writer", sorted(WRITERS))
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO])
def test_a_failing_flush_is_told_under_the_final_name_and_leaves_nothing(tmp_path, monkeypatch, writer, code):
    final = tmp_path / "a.txt"
    monkeypatch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(error(code)))
    with pytest.raises(OSError, match=r"Errno") as caught:
        WRITERS[writer](final)
    assert os_error_text(caught.value).startswith(f"{final}: ")
    assert list(tmp_path.iterdir()) == []


def test_why_a_file_was_given_up_is_not_hidden_by_a_disk_that_allows_no_removal(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(error(errno.ENOSPC)))
    monkeypatch.setattr("pathlib.Path.unlink", lambda *_, **__: (_ for _ in ()).throw(error(errno.EIO)))
    with pytest.raises(OSError, match="No space"):
        write_text(tmp_path / "a.txt")
