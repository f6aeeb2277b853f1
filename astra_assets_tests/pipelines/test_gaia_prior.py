"""What Gaia says decides what a spectrum leaves open, and nothing else."""

from __future__ import annotations

import numpy as np
import pytest

from astra_assets.pipelines.snow_white.prior import LIMIT, LOCI, likelihoods, updated
from astra_assets.pipelines.white_dwarf.gaia import Gaia, da_colour, da_magnitude
from astra_assets.synthesis.templates import FURTHER_KINDS, KINDS


def star(absolute, colour, *, parallax=5.0, error=0.1):
    return Gaia(absolute - 5 * np.log10(parallax) + 10, colour, parallax, error)


WHITE_DWARF = star(11.0, -0.2)
QUASAR = Gaia(19.5, 0.3, 0.02, 0.3)


def test_every_class_has_a_place_in_the_diagram():
    assert set(LOCI) == {*KINDS, *FURTHER_KINDS}


@pytest.mark.parametrize(
    ("gaia", "open_question", "answer"),
    [
        (WHITE_DWARF, {"DA": 0.4, "QSO": 0.6}, "DA"),
        (QUASAR, {"DA": 0.6, "QSO": 0.4}, "QSO"),
        (star(4.3, -0.3, parallax=1.0), {"DA": 0.6, "SDB": 0.4}, "SDB"),
        (star(10.5, -0.25), {"DA": 0.4, "SDB": 0.6}, "DA"),
        (star(11.0, 2.7), {"DA_MS": 0.6, "STAR": 0.4}, "STAR"),
        (star(9.5, 0.8), {"DA_MS": 0.4, "STAR": 0.6}, "DA_MS"),
    ],
)
def test_an_open_question_is_decided(gaia, open_question, answer):
    found = updated(open_question, gaia)
    assert max(found, key=found.get) == answer
    assert sum(found.values()) == pytest.approx(1)


def test_a_clear_spectrum_is_believed_against_gaia():
    found = updated({"DA": 0.9999, "QSO": 0.0001}, QUASAR)
    assert found["DA"] > 0.9


def test_no_class_gains_more_than_the_limit():
    values = likelihoods(tuple(LOCI), WHITE_DWARF)
    assert values.max() == 1
    assert values.min() == pytest.approx(1 / LIMIT)


@pytest.mark.parametrize(
    "row", [{}, {"g_mag": 17.0, "bp_mag": None, "rp_mag": 16.0}, {"bp_mag": -999.0, "rp_mag": 17.0}]
)
def test_without_colours_nothing_changes(row):
    gaia = Gaia.of(row)
    assert gaia.bp_rp is None
    assert updated({"DA": 0.6, "QSO": 0.4}, gaia) == {"DA": 0.6, "QSO": 0.4}


def test_a_row_without_numbers_is_not_known():
    gaia = Gaia.of({"g_mag": float("nan"), "bp_mag": 17.2, "rp_mag": 17.0, "plx": 3.0, "e_plx": 0.0})
    assert gaia.bp_rp == pytest.approx(0.2)
    assert gaia.plx == 3.0
    assert gaia.g_mag is None
    assert gaia.e_plx is None
    assert gaia.absolute is None


def test_colour_and_magnitude_tell_hot_from_cold():
    teff, logg = 11_245.0, 8.0
    seen = star(da_magnitude(teff, logg), da_colour(teff) + 0.03)
    assert seen.misfit(teff, logg) < 1
    assert seen.misfit(19_400.0, 8.0) > 9


def test_dust_makes_redder_and_not_bluer():
    assert Gaia(bp_rp=da_colour(20_000) + 0.15).misfit(20_000, 8) < 2
    assert Gaia(bp_rp=da_colour(20_000) - 0.15).misfit(20_000, 8) > 5


def test_nothing_known_is_no_misfit():
    assert Gaia().misfit(9000.0, 8.0) == 0
