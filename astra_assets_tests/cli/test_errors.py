"""How the command line ends: in words for what a person can fix, and with a file of the traceback for our mistakes."""

from __future__ import annotations

import errno
import sys

import click
import pytest

from astra_assets import cli


@pytest.fixture
def ends(monkeypatch, tmp_path, capsys):
    """Run a verb that raises; returns exit code and what was said."""
    monkeypatch.setenv("ASTRA_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)

    def run(error):
        @click.command("fail")
        def fail():
            raise error

        monkeypatch.setitem(cli.main_group.commands, "fail", fail)
        monkeypatch.setattr(sys, "argv", ["astra-assets", "fail"])
        with pytest.raises(SystemExit) as caught:
            cli.main()
        return caught.value.code, capsys.readouterr().err

    return run


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO, errno.EACCES])
def test_a_disk_that_fails_ends_a_verb_as_one_sentence(ends, tmp_path, code):
    status, said = ends(OSError(code, "it fails", str(tmp_path / "FROZEN")))
    assert status == 2
    assert said.startswith(f"Error: {tmp_path}/FROZEN: ")
    assert said.count("\n") == 1
    assert "type the same again" in said


def test_a_mistake_of_ours_says_so_and_where_its_traceback_is(ends, tmp_path):
    status, said = ends(KeyError("teff"))
    assert status == 1
    assert said.startswith(
        "Error: this is a mistake of astra-assets, not of your data or settings: KeyError: 'teff'\n"
    )
    (file,) = (tmp_path / "home" / "errors").iterdir()
    assert f"Its traceback is in {file}" in said
    assert "Traceback (most recent call last)" in file.read_text()
    assert "Traceback" not in said


def test_a_mistake_that_no_file_can_be_written_of_shows_its_traceback(ends, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setattr(cli, "_error_folders", lambda: [tmp_path / "file" / "errors"])
    status, said = ends(KeyError("teff"))
    assert status == 1
    assert "Traceback (most recent call last)" in said
    assert "report it with the traceback above" in said
