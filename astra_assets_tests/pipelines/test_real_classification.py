"""Classes of real spectra, none of which anything was trained on."""

from __future__ import annotations

import csv

import numpy as np
import pytest

from astra_assets.pipelines.snow_white.classifier import load_classifier
from astra_assets.pipelines.snow_white.features import extract
from astra_assets.pipelines.snow_white.table import named
from astra_assets.spectra.read import read_file
from astra_assets.synthesis.faults import FAULTS

WHITE_DWARFS = {
    "boss_wd/spec-4455-55539-0692.fits": 0.95,
    "boss_wd/dawd_1237656495115010166.spec": 0.95,
    "wd_standards/esohst_fhz2.dat.gz": 0.9,
    "wd_standards/oke90_fgrw70d5824.dat.gz": 0.9,
    "wd_standards/oke90_fhz4.dat.gz": 0.9,
}
"""DA, and the least probability that they must get."""

OTHERS = {
    "boss_other/spec-3586-55181-0500.fits": "STAR",
    "boss_other/spec-0266-51602-0107.fits": "GALAXY",
    "boss_other/NGC3522_SDSS_DR18.fits": "GALAXY",
    "boss_other/spec-0332-52367-0639.fits": "QSO",
    "wd_standards/oke90_fg193_74.dat.gz": "DC",
    "wd_standards/oke90_fhz21.dat.gz": "DO",
    "wd_standards/oke90_ffeige67.dat.gz": "SDB",
    "wd_standards/oke90_fhz44.dat.gz": "SDB",
    "wd_standards/oke90_fg158_100.dat.gz": "STAR",
}


@pytest.fixture(scope="module")
def classifier():
    return load_classifier()


def probabilities(classifier, folder, name):
    return classifier.probabilities(extract(read_file(folder / name, air="wd_standards" in name)))


@pytest.mark.parametrize("name", WHITE_DWARFS)
def test_a_real_da_is_a_da(classifier, real_spectra, name):
    found = probabilities(classifier, real_spectra, name)
    assert named(found) == "DA"
    assert found["DA"] > WHITE_DWARFS[name]


@pytest.mark.parametrize("name", OTHERS)
def test_what_is_no_da_is_none(classifier, real_spectra, name):
    found = probabilities(classifier, real_spectra, name)
    assert found["DA"] < (0.45 if OTHERS[name] == "SDB" else 0.3)  # Feige 67, a sdO, has 0.41
    assert named(found) == OTHERS[name]


@pytest.mark.parametrize("fault", [name for name in FAULTS if name != "blue_arm_dead"])
def test_a_real_da_stays_one_with_every_fault(classifier, real_spectra, fault):
    for number, name in enumerate(WHITE_DWARFS):
        spectrum = read_file(real_spectra / name, air="wd_standards" in name)
        spoiled = FAULTS[fault](spectrum, np.random.default_rng(number))
        assert named(classifier.probabilities(extract(spoiled))) == "DA"


def test_real_stars_of_all_types_are_stars(classifier, real_spectra):
    with (real_spectra / "stars" / "truth.csv").open(newline="") as table:
        rows = list(csv.DictReader(table))
    assert len(rows) > 60
    called = {
        row["path"]: named(probabilities(classifier, real_spectra / "stars", row["path"])) for row in rows
    }
    expected = {row["path"]: "DA" if row["type"] == "DA" else "STAR" for row in rows}
    assert called == expected
