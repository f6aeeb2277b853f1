"""The outline of the assets between two loads: the same, as long as nothing that it was made from has changed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace

import pytest

from astra_assets.defs.assets import kept
from astra_assets.defs.assets.kept import keep, kept_file, made_from, outline, read_kept
from astra_assets.defs.assets.outlining import make_outline
from astra_assets_tests.pipelines.offered import install

HEAVY = ("sqlalchemy", "numpy", "pyarrow", "astropy", "scipy", "matplotlib", "adbc_driver_manager", "onnxruntime",
         "psycopg", "rich")  # fmt: skip
"""What takes its time to import and is not needed to show the graph."""


@pytest.fixture
def source(tmp_path):
    """A file that an outline was made from."""
    file = tmp_path / "rocket.py"
    file.write_text("# one\n")
    return file


def test_what_is_read_is_what_was_kept(tmp_path, source):
    made = make_outline()
    keep(tmp_path / "outline.json", made, [str(source)])
    assert read_kept(tmp_path / "outline.json") == made
    assert len(made.steps) > 15
    assert all(step.outputs and step.upstream for step in made.steps)


def test_a_changed_or_missing_source_makes_it_anew(tmp_path, source):
    file = tmp_path / "outline.json"
    keep(file, make_outline(), [str(source)])
    os.utime(source, ns=(1, 1))
    assert read_kept(file) is None
    keep(file, make_outline(), [str(source)])
    assert read_kept(file) is not None
    source.unlink()
    assert read_kept(file) is None


def test_a_file_that_is_added_to_a_folder_makes_it_anew(tmp_path):
    folder = tmp_path / "pipelines"
    folder.mkdir()
    os.utime(folder, ns=(1, 1))
    file = tmp_path / "outline.json"
    keep(file, make_outline(), [str(folder)])
    assert read_kept(file) is not None
    (folder / "rocket.py").touch()
    assert read_kept(file) is None


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"format": 1}', "null"])
def test_what_cannot_be_read_counts_as_absent(tmp_path, damage):
    file = tmp_path / "outline.json"
    assert read_kept(file) is None
    file.write_text(damage)
    assert read_kept(file) is None


def test_that_of_another_copy_of_the_package_or_another_format_is_not_read(tmp_path, source):
    file = tmp_path / "outline.json"
    keep(file, make_outline(), [str(source)])
    content = json.loads(file.read_text())
    for changes in ({"package": "/elsewhere"}, {"format": 0}):
        file.write_text(json.dumps(content | changes))
        assert read_kept(file) is None


def test_all_files_of_pipelines_and_tables_decide_about_it():
    make_outline()
    names = {path.removeprefix(str(kept.PACKAGE)) for path in made_from()}
    assert {
        "/pipelines",
        "/pipelines/corv.py",
        "/models/source.py",
        "/config/declared.py",
        "/products/summary.py",
    } <= names


def test_each_set_of_other_distributions_has_its_own(tmp_path, monkeypatch):
    before = kept_file()
    install(tmp_path, "moonlab", {"moonlab.py": ""}, {"moon": "moonlab"})
    monkeypatch.syspath_prepend(str(tmp_path))
    assert kept_file() != before
    assert kept_file().parent == before.parent


def test_where_nothing_can_be_written_it_is_made_each_time(tmp_path, monkeypatch):
    (tmp_path / "a file").touch()
    monkeypatch.setattr(kept, "kept_file", lambda: tmp_path / "a file" / "outline.json")
    assert outline.__wrapped__() == replace(make_outline())


def test_definitions_load_without_database_numerical_and_drawing_libraries():
    """They are imported by what needs them; the first load may, which keeps the outline for this one."""
    outline()
    code = f"import sys, astra_assets.definitions; print([name for name in {HEAVY} if name in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
