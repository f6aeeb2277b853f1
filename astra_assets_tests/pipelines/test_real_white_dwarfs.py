"""Fits of spectra of real white dwarfs against what is published about them."""

from __future__ import annotations

import pytest

from astra_assets.models.base import bit
from astra_assets.pipelines.corv import Corv, fit_visit
from astra_assets.pipelines.snow_white.fit import fit_da
from astra_assets.pipelines.white_dwarf.grid import load_grid
from astra_assets.spectra.read import read_file


@pytest.fixture
def spectrum(real_spectra):
    return lambda name, air=False: read_file(real_spectra / name, air=air)


@pytest.fixture
def corv(spectrum):
    return lambda name, air=False: fit_visit(spectrum(name, air), load_grid())


def test_boss_spectrum_of_a_da_gives_its_published_velocity(corv):
    fit = corv("boss_wd/spec-4455-55539-0692.fits")
    assert fit.v_rad == pytest.approx(39, abs=3 * 6)  # Kepler et al. 2019
    assert 2 < fit.e_v_rad < 10
    assert fit.rchi2 == pytest.approx(0.8, abs=0.2)
    assert fit.result_flags == 0


def test_boss_spectrum_of_a_da_gives_its_published_parameters(corv, spectrum):
    name = "boss_wd/spec-4455-55539-0692.fits"
    visit, star = corv(name), fit_da(spectrum(name))
    for teff, logg in ((visit.teff, visit.logg), (star["teff"], star["logg"])):
        assert teff == pytest.approx(13_738, rel=0.06)
        assert logg == pytest.approx(7.998, abs=0.2)
    assert star["flags"] == ()
    assert star["v_rel"] == pytest.approx(visit.v_rad, abs=5)


def test_sdss_spectrum_of_a_da_is_found_on_the_cold_side(corv, spectrum):
    name = "boss_wd/dawd_1237656495115010166.spec"
    visit, star = corv(name), fit_da(spectrum(name))
    assert visit.v_rad == pytest.approx(-45, abs=3 * 15)
    for teff, logg in ((visit.teff, visit.logg), (star["teff"], star["logg"])):
        assert teff == pytest.approx(10_972, rel=0.06)
        assert logg == pytest.approx(7.816, abs=0.3)
    assert visit.result_flags == bit(Corv, "result_flags", "hot_or_cold")


@pytest.mark.parametrize(
    ("name", "teff", "logg"),
    # Gianninas, Bergeron & Ruiz 2011 (ApJ 743, 138): HZ 4, GRW +70 5824, HZ 2
    [("oke90_fhz4", 14_670, 8.30), ("oke90_fgrw70d5824", 21_290, 8.0), ("esohst_fhz2", 21_340, 8.0)],
)
def test_standard_stars_in_air_have_plausible_parameters(corv, name, teff, logg):
    # low, unknown resolution and no errors: the models' limits do not matter here, gross mistakes do
    fit = corv(f"wd_standards/{name}.dat.gz", air=True)
    assert fit.teff == pytest.approx(teff, rel=0.2)
    assert fit.logg == pytest.approx(logg, abs=0.5)
    assert abs(fit.v_rad) < 300


def test_white_dwarf_without_hydrogen_is_flagged_at_an_edge_of_the_grid(corv):
    fit = corv("wd_standards/oke90_fg193_74.dat.gz", air=True)  # DC
    edges = [bit(Corv, "result_flags", f"{name}_grid_edge_bad") for name in ("teff", "logg")]
    assert fit.result_flags & sum(edges)
