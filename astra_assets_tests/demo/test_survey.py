"""Making a demo survey: what is made when, and never half of it."""

from __future__ import annotations

import hashlib
import json
import shutil

import pytest

from astra_assets.demo import survey, write
from astra_assets.demo.layout import PARTS
from astra_assets.demo.survey import MANIFEST, STAGING, DemoError, make_demo

TINY = 12


def contents(root):
    """Relative path and checksum of every file but the lock."""
    return {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.rglob("*"))
        if path.is_file() and path.name != survey.LOCK
    }


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return make_demo(tmp_path_factory.mktemp("tiny"), sources=TINY, seed=1)


@pytest.fixture
def copy(tiny, tmp_path):
    root = tmp_path / "copy"
    shutil.copytree(tiny.root, root)
    return root


def test_the_same_seed_makes_the_same_bytes_and_another_seed_others(tiny, tmp_path):
    again = make_demo(tmp_path / "again", sources=TINY, seed=1)
    other = make_demo(tmp_path / "other", sources=TINY, seed=2)
    assert contents(again.root) == contents(tiny.root)
    assert not set(contents(other.root).values()) & set(contents(tiny.root).values())


def test_a_second_call_finds_the_demo_and_writes_nothing(copy):
    before = {path: path.stat().st_mtime_ns for path in copy.rglob("*") if path.name != survey.LOCK}
    found = make_demo(copy, sources=TINY, seed=1)
    assert not found.made
    assert "already there, nothing done" in str(found)
    assert found.visits == json.loads(found.manifest.read_text())["visits"]
    assert {path: path.stat().st_mtime_ns for path in before} == before


@pytest.mark.parametrize("asked", [{"seed": 2}, {"sources": TINY + 1}])
def test_other_parameters_are_refused_and_the_message_says_what_to_type(copy, asked):
    before = contents(copy)
    with pytest.raises(DemoError, match=rf"rm -r .*{MANIFEST}"):
        make_demo(copy, **({"sources": TINY, "seed": 1} | asked))
    assert contents(copy) == before


def test_a_demo_of_another_layout_is_refused(copy, monkeypatch):
    monkeypatch.setattr(survey, "LAYOUT", survey.LAYOUT + 1)
    with pytest.raises(DemoError, match=rf"layout {survey.LAYOUT - 1}, not {survey.LAYOUT}"):
        make_demo(copy, sources=TINY, seed=1)


@pytest.mark.parametrize("asked", [{}, {"seed": 1}, {"sources": TINY}])
def test_what_is_not_asked_for_may_be_anything(copy, asked):
    found = make_demo(copy, **asked)
    assert (found.sources, found.seed, found.made) == (TINY, 1, False)


def test_a_demo_of_another_layout_will_do_where_nothing_is_asked_for(copy, monkeypatch):
    monkeypatch.setattr(survey, "LAYOUT", survey.LAYOUT + 1)
    assert not make_demo(copy).made


def test_a_demo_that_lost_a_part_is_refused(copy):
    (copy / "truth.fits").unlink()
    with pytest.raises(DemoError, match=r"without truth\.fits"):
        make_demo(copy, sources=TINY, seed=1)


@pytest.mark.parametrize("text", ["", "[]", '{"seed": "x"}'])
def test_a_manifest_that_is_none_is_refused(copy, text):
    (copy / MANIFEST).write_text(text)
    with pytest.raises(DemoError, match="not the manifest"):
        make_demo(copy, sources=TINY, seed=1)


def test_files_of_somebody_else_are_left_alone(tmp_path):
    theirs = tmp_path / "ipl-4" / "data"
    theirs.mkdir(parents=True)
    with pytest.raises(DemoError, match=r"ipl-4 but no demo\.json"):
        make_demo(tmp_path, sources=TINY, seed=1)
    assert theirs.is_dir()


def test_a_demo_interrupted_while_writing_does_not_look_complete_and_is_made_anew(tiny, tmp_path):
    root = tmp_path / "interrupted"

    def stop(text):
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(write, "SAY_EVERY", 5)
        with pytest.raises(KeyboardInterrupt):
            make_demo(root, sources=TINY, seed=1, progress=stop)
    assert any((root / STAGING).rglob("spec-*.fits"))
    assert not (root / MANIFEST).exists()
    assert not any((root / part).exists() for part in PARTS)
    assert make_demo(root, sources=TINY, seed=1).made
    assert contents(root) == contents(tiny.root)


@pytest.mark.parametrize("moved", range(len(PARTS) + 1))
def test_a_demo_interrupted_while_its_parts_were_moved_is_completed(copy, tiny, moved):
    staging = copy / STAGING
    staging.mkdir()
    for part in [*PARTS, MANIFEST][moved:]:
        (copy / part).rename(staging / part)
    found = make_demo(copy, sources=TINY, seed=1)
    assert not found.made
    assert contents(copy) == contents(tiny.root)
    assert not staging.exists()


def test_two_at_a_time_do_not_work_in_the_same_folder(tmp_path):
    with survey._only_one(tmp_path), pytest.raises(DemoError, match="another process"):
        make_demo(tmp_path, sources=TINY, seed=1)


def test_too_few_sources_and_a_negative_seed_are_refused(tmp_path):
    with pytest.raises(ValueError, match="at least 12"):
        make_demo(tmp_path, sources=11)
    with pytest.raises(ValueError, match="negative"):
        make_demo(tmp_path, sources=TINY, seed=-1)
    assert not (tmp_path / MANIFEST).exists()


def test_progress_is_reported(tmp_path, monkeypatch):
    monkeypatch.setattr(write, "SAY_EVERY", 10)
    said = []
    made = make_demo(tmp_path, sources=TINY, seed=1, progress=said.append)
    assert said[0] == f"10 of {json.loads(made.manifest.read_text())['spectra']} spectra written"
