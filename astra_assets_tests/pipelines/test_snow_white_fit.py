"""What SnowWhite reports of the fit of a DA's coadd: errors by its noise model, and flags."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter1d

from astra_assets.pipelines.snow_white.fit import fit_da
from astra_assets.pipelines.white_dwarf.errors import total_logg, total_teff
from astra_assets.pipelines.white_dwarf.grid import LOG_STEP, load_grid
from astra_assets.spectra.base import Spectrum

WAVELENGTH = np.power(10.0, 3.5523 + 1e-4 * np.arange(4648))
COLUMNS = {"teff", "e_teff", "logg", "e_logg", "raw_e_teff", "raw_e_logg", "v_rel", "rchi2", "flags"}


def coadd(teff, logg, snr, *, seed=0):
    grid = load_grid()
    smooth = gaussian_filter1d(grid.flux(teff, logg), 1 / (2000 * 2.3548 * np.log(10) * LOG_STEP))
    flux = np.interp(WAVELENGTH, grid.wavelength, smooth)
    flux /= np.median(flux)
    error = np.sqrt(flux) / snr
    noise = np.random.default_rng(seed).standard_normal(len(flux))
    return Spectrum(WAVELENGTH, flux + error * noise, error**-2, row={"snr": float(snr), "spectrum_pk": 12})


def test_parameters_and_errors_of_a_good_coadd():
    fit = fit_da(coadd(16_000, 8.2, 40))
    assert set(fit) == COLUMNS
    assert fit["teff"] == pytest.approx(16_000, abs=4 * fit["raw_e_teff"])
    assert fit["logg"] == pytest.approx(8.2, abs=4 * fit["raw_e_logg"])
    assert fit["v_rel"] == pytest.approx(0, abs=10)
    assert fit["rchi2"] == pytest.approx(1, abs=0.2)
    assert fit["flags"] == ()


def test_errors_follow_the_noise_model():
    fit = fit_da(coadd(9000, 8.0, 30))
    assert fit["e_teff"] == pytest.approx(total_teff(fit["teff"], fit["raw_e_teff"]))
    assert fit["e_logg"] == pytest.approx(total_logg(fit["raw_e_logg"]))
    assert fit["e_teff"] > 0.015 * fit["teff"]


@pytest.mark.parametrize(("snr", "flagged"), [(7.0, True), (8.0, True), (8.1, False)])
def test_low_snr_is_flagged_up_to_eight(snr, flagged):
    assert ("low_snr" in fit_da(coadd(14_000, 8.0, snr))["flags"]) == flagged


def test_edges_of_the_grid_are_flagged():
    assert fit_da(coadd(12_000, 9.0, 2000))["flags"] == ("logg_grid_edge_bad",)
    assert fit_da(coadd(120_000, 8.0, 2000))["flags"] == ("teff_grid_edge_bad",)


def test_coadd_without_lines_has_no_numbers_and_is_flagged():
    spectrum = coadd(14_000, 8.0, 5)
    spectrum.ivar[WAVELENGTH < 6000] = 0
    fit = fit_da(spectrum)
    assert fit["flags"] == ("low_snr", "unconverged")
    assert all(value is None for name, value in fit.items() if name != "flags")


def test_given_grid_is_used():
    class AskedError(Exception):
        pass

    class Grid:
        def __getattr__(self, name):
            raise AskedError

    with pytest.raises(AskedError):
        fit_da(coadd(14_000, 8.0, 20), Grid())  # type: ignore[arg-type]
