"""What SnowWhite and Corv say of a fit of Balmer lines is one decision."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from astra_assets.models.base import bit
from astra_assets.pipelines.corv import Corv
from astra_assets.pipelines.snow_white import SnowWhite
from astra_assets.pipelines.white_dwarf.balmer import BalmerFit
from astra_assets.pipelines.white_dwarf.quality import finite, fit_flags, low_snr

GOOD = BalmerFit(
    teff=15_000.0, e_teff=100.0, logg=8.0, e_logg=0.05, v_rad=30.0, e_v_rad=5.0, chi2=900.0, rchi2=1.0,
    n_pixels=900, lines=("h_alpha", "h_beta"), initial_teff=16_000.0, initial_logg=8.0, initial_v_rad=0.0,
    converged=True, teff_at_edge=False, logg_at_edge=False, other=None,
)  # fmt: skip
BAD = replace(GOOD, converged=False, teff_at_edge=True, logg_at_edge=True)


def test_a_good_fit_to_a_good_spectrum_has_no_flag():
    assert fit_flags(GOOD, 20.0) == ()


def test_each_thing_that_is_wrong_has_its_flag():
    assert fit_flags(BAD, 2.0) == ("low_snr", "unconverged", "teff_grid_edge_bad", "logg_grid_edge_bad")


@pytest.mark.parametrize(("snr", "low"), [(8.0, True), (8.01, False), (np.nan, True)])
def test_the_limit_of_snr_and_an_unknown_one_count_as_low(snr, low):
    assert low_snr(snr) == (("low_snr",) if low else ())


@pytest.mark.parametrize("name", fit_flags(BAD, 2.0))
def test_both_tables_have_the_flags_at_the_same_bit(name):
    assert bit(SnowWhite, "result_flags", name) == bit(Corv, "result_flags", name)


def test_what_is_not_finite_is_not_stored():
    assert [finite(value) for value in (1.5, float("nan"), float("inf"))] == [1.5, None, None]
