"""The packaged DA grid: where it comes from, what it is made of, how it is interpolated."""

from __future__ import annotations

import time
from importlib.resources import files

import numpy as np
import pytest

from astra_assets.pipelines.white_dwarf.balmer_lines import H_ALPHA, H_BETA, H_DELTA, H_GAMMA
from astra_assets.pipelines.white_dwarf.convert import read_models
from astra_assets.pipelines.white_dwarf.grid import LOG_STEP, load_grid

STEFAN_BOLTZMANN = 5.670374e-5  # erg s-1 cm-2 K-4


@pytest.fixture(scope="module")
def grid():
    return load_grid()


def test_grid_is_loaded_once_and_read_only(grid):
    assert load_grid() is grid
    with pytest.raises(ValueError, match="read-only"):
        grid.log_flux[0, 0, 0] = 1.0


def test_wavelengths_are_even_in_the_logarithm_and_cover_boss(grid):
    assert np.allclose(np.diff(np.log10(grid.wavelength)), LOG_STEP, rtol=1e-6)
    assert grid.wavelength[0] <= 3550
    assert grid.wavelength[-1] >= 10_400
    assert grid.teff_range == (4000.0, 120_000.0)
    assert grid.logg_range == (7.0, 9.0)
    assert grid.log_flux.shape == (len(grid.teff), len(grid.logg), len(grid.wavelength))


@pytest.mark.parametrize("line", [H_ALPHA, H_BETA, H_GAMMA, H_DELTA], ids=lambda line: line.name)
def test_lines_are_at_vacuum_wavelengths(grid, line):
    flux = grid.flux(20_000, 8.0)
    near = np.abs(grid.wavelength - line.centre) < 5
    depth = flux[near].max() - flux[near]
    centre = np.average(grid.wavelength[near], weights=depth**4)
    assert centre == pytest.approx(line.centre, abs=0.05)  # 1.1 to 1.8 A off if they were in air


def test_flux_is_that_of_a_surface_of_that_temperature(grid):
    # of the light of a 6000 K star 55 % falls between 3500 and 10,500 A (Planck's law: 0.60 of a black body)
    share = np.trapezoid(grid.flux(6000, 8.0), grid.wavelength) / (STEFAN_BOLTZMANN * 6000**4)
    assert 0.5 < share < 0.75


def test_interpolation_is_exact_on_nodes(grid):
    for i, j in ((0, 0), (10, 2), (len(grid.teff) - 1, len(grid.logg) - 1)):
        found = grid.interpolate(grid.teff[i], grid.logg[j])
        assert np.allclose(found, grid.log_flux[i, j], atol=1e-5)


@pytest.mark.parametrize("teff", [4000.0, 4100.0, 11_730.0, 17_500.0, 24_000.0, 118_000.0, 120_000.0])
def test_interpolation_has_no_steps(grid, teff):
    step = 1e-4 * teff
    low, high = max(teff - step, 4000.0), min(teff + step, 120_000.0)
    one, two = grid.interpolate(low, 7.8), grid.interpolate(high, 7.8)
    assert np.abs(one - two).max() < 0.01
    assert np.abs(one - two).max() > 0


def test_interpolation_predicts_a_node_that_is_left_out(grid):
    from astra_assets.pipelines.white_dwarf.grid import DAGrid

    optical = (grid.wavelength > 3800) & (grid.wavelength < 7000)
    for left_out in (8, 16, 38):
        kept = np.arange(len(grid.teff)) != left_out
        fewer = DAGrid(grid.wavelength, grid.teff[kept], grid.logg, grid.log_flux[kept])
        error = fewer.interpolate(grid.teff[left_out], 8.0) - grid.log_flux[left_out, 2]
        assert error[optical].std() < 0.005


def test_interpolation_is_local_so_that_a_slice_is_the_same(grid):
    part = slice(4000, 4100)
    whole = grid.interpolate(12_345, 7.77)
    assert np.allclose(grid.interpolate(12_345, 7.77, part), whole[part], atol=2e-5)  # single precision


@pytest.mark.parametrize(
    ("teff", "logg", "named"), [(3999, 8, "teff"), (121_000, 8, "teff"), (9000, 9.01, "logg")]
)
def test_outside_of_the_grid_is_an_error_that_names_the_range(grid, teff, logg, named):
    with pytest.raises(ValueError, match=f"{named} = .* outside the DA grid"):
        grid.flux(teff, logg)


def test_a_model_takes_less_than_a_millisecond(grid):
    pixels = np.searchsorted(grid.wavelength, (3600, 10_400))
    grid.interpolate(10_000, 8.0)
    times = []
    for number in range(20):
        start = time.perf_counter()
        grid.interpolate(10_000 + number, 8.0, slice(*pixels))
        times.append(time.perf_counter() - start)
    assert min(times) < 1e-3


def test_origin_and_licence_lie_beside_the_data():
    data = files("astra_assets.pipelines.white_dwarf") / "data"
    assert "Copyright (c) 2023 Vedant Chandra" in (data / "LICENSE.corv").read_text()
    origin = (data / "ORIGIN.md").read_text()
    assert "corv" in origin
    assert "Tremblay" in origin
    assert len((data / "warwick_da.npz").read_bytes()) < 3_000_000


TEXT = """ 3
 1000.00 1001.00
 1002.00
 Effective temperature =     5000.0  gravity =  1.000E+08  y =  0.000E+00
 1.5E-05 2.5-100 3.0E-05
 Effective temperature =     6000.0  gravity =  1.000E+08  y =  0.000E+00
 1.0E-05 2.0E-05
 3.0+001
"""


def test_text_format_is_read_with_numbers_that_lack_their_e():
    wavelength, models = read_models(TEXT, "800_3D")
    assert wavelength.tolist() == [1000.0, 1001.0, 1002.0]
    assert models[5000.0, 1e8].tolist() == [1.5e-5, 2.5e-100, 3e-5]
    assert models[6000.0, 1e8].tolist() == [1e-5, 2e-5, 30.0]


def test_text_that_lacks_a_number_is_an_error_that_names_the_file():
    with pytest.raises(ValueError, match=r"800_3D: 3 numbers expected after \(6000.0, .*, 2 found"):
        read_models(TEXT.replace(" 3.0+001\n", ""), "800_3D")
