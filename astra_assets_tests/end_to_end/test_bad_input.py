"""Bad spectra and bad paths: each is an outcome with a reason, and everything else goes through."""

from __future__ import annotations

import json
import sqlite3

import numpy as np
import pytest
from astropy.io import fits


def spectra(place) -> list:
    return sorted((place.home / "demo").rglob("spec-*.fits"))


def rewrite(path, change) -> None:
    with fits.open(path, memmap=False) as hdus:
        change(hdus)
        hdus.writeto(path, overwrite=True)


def no_information(hdus) -> None:
    hdus[1].data["IVAR"] = 0


def no_numbers(hdus) -> None:
    hdus[1].data["FLUX"] = np.nan


def other_names(hdus) -> None:
    hdus[1].columns["FLUX"].name = "FLOX"


@pytest.fixture(scope="module")
def spoiled(small_demo, tmp_path_factory):
    """The demo with six bad spectra, each of another object, after a run; and what each must be called."""
    place = small_demo.copy(tmp_path_factory.mktemp("spoiled"), "demo")
    by_object: dict[str, list] = {}
    for path in spectra(place):
        by_object.setdefault(path.stem.split("-")[-1], []).append(path)
    chosen = [paths[0] for paths in by_object.values() if len(paths) > 1][:6]
    assert len(chosen) == 6
    chosen[0].unlink()
    chosen[1].write_bytes(chosen[1].read_bytes()[:50_000])
    chosen[2].write_bytes(b"")
    rewrite(chosen[3], no_information)
    rewrite(chosen[4], no_numbers)
    rewrite(chosen[5], other_names)
    codes = ["missing_file", "unreadable_file", "unreadable_file", "no_flux", "no_flux", "missing_column"]
    place.run("dagster", "job", "execute", "-j", "dr20")
    return place, dict(zip((path.name for path in chosen), codes, strict=True))


def test_each_bad_spectrum_has_its_reason_and_the_others_go_through(spoiled):
    place, expected = spoiled
    with sqlite3.connect(place.home / "astra.db") as database:
        query = """
            select v.spec_file, o.code, o.message from compute_outcome o
            join boss_visit_spectrum v on v.spectrum_pk = o.spectrum_pk
            where o.pipeline = 'MWM' and o.step = 'star/visit'"""
        found = {name: (code, message) for name, code, message in database.execute(query)}
        results = database.execute("select count(*) from mwm_spectrum_product_status").fetchone()[0]
    database.close()
    assert {name: code for name, (code, _) in found.items()} == expected
    for name, (_, message) in found.items():
        assert name in message, "the message names the file"
    assert results > 15
    for account in json.loads(place.run("astra-assets", "status", "--json").stdout):
        assert account["balanced"]
        assert account["backlog"] == 0 or account["unavailable"]


def test_why_tells_the_reasons_and_a_bad_visit_costs_no_object_that_has_a_good_one(spoiled):
    place, expected = spoiled
    failed = {
        each["step"]: each["failed"]
        for each in json.loads(place.run("astra-assets", "status", "--json").stdout)
        if each["pipeline"] == "MWM"
    }
    why = place.run("astra-assets", "why", "MWM").stdout
    assert all(code in why for code in set(expected.values()))
    assert failed["star"] == 0, "an object with one good visit has a result"


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"SAS_BASE_DIR": "/nowhere"}, "SAS_BASE_DIR: /nowhere is no folder"),
        ({"ASTRA_DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none"}, "the database does not answer"),
        ({"ASTRA_CONFIG": "/nowhere/astra.toml"}, "ASTRA_CONFIG=/nowhere/astra.toml: there is no such file"),
    ],
)
def test_a_wrong_setting_is_a_message_and_not_a_traceback(small, settings, told):
    for command in (["astra-assets", "migrate"], ["dagster", "job", "execute", "-j", "few"]):
        done = small.run(*command, rc=None, **settings)
        assert done.returncode != 0
        text = done.stdout + done.stderr
        assert told in text
        assert "Traceback" not in text


def test_a_catalogue_with_duplicates_and_a_missing_one_are_told(small, tmp_path):
    small.run("astra-assets", "init")
    done = small.run("astra-assets", "migrate", "--catalog", str(tmp_path / "absent.fits"), rc=2)
    assert str(tmp_path / "absent.fits") in done.stderr
    catalogue = next((small.home / "demo" / "catalogs").glob("*.fits*"))
    with fits.open(catalogue, memmap=False) as hdus:
        rows = hdus[1].data
        doubled = np.concatenate([rows[:5], rows[:1]])
        doubled["g_mag"][-1] = 3.0
        fits.BinTableHDU(doubled).writeto(tmp_path / "doubled.fits")
    files = [str(tmp_path / "doubled.fits"), str(catalogue)]
    told = small.run("astra-assets", "migrate", "--catalog", *files).stdout
    assert catalogue.name in told, "several catalogues may follow one option"
    assert "doubled.fits" in told
    assert "4 " in told
    assert str(rows["sdss_id"][0]) in told, "the object that is there twice is named"
