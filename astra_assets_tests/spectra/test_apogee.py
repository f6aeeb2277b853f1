"""apVisit and apStar files: which pixels belong to which row, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
from astropy.io import fits

from astra_assets.files.paths import ap_star_path, ap_visit_name, ap_visit_path
from astra_assets.fits import read_images as images
from astra_assets.models.apogee import (
    ApogeeCoaddedSpectrumInApStar,
    ApogeeVisitSpectrum,
    ApogeeVisitSpectrumInApStar,
)
from astra_assets.spectra.apogee import chip_n_res, open_ap_star, read_ap_star, read_ap_visit
from astra_assets.spectra.base import Roots, SpectrumError
from astra_assets.spectra.grid import APOGEE_GRID
from astra_assets.spectra.read import load
from astra_assets_tests.spectra.apogee_files import ap_star, ap_visit, write_images

KEYS = {
    "release": "sdss5", "apred": "1.5", "apstar": "stars", "telescope": "apo25m", "obj": "2M01183798+8403419",
    "healpix": 12345, "field": "N188", "plate": "5095", "mjd": 55844, "fiber": 28, "prefix": "ap", "reduction": "",
    "spectrum_pk": 7,
}  # fmt: skip


def test_the_pixels_of_a_visit_run_from_blue_to_red_over_the_chips(tmp_path):
    spectrum = read_ap_visit(ap_visit(tmp_path / "apVisit.fits"))
    assert spectrum.wavelength.shape == (6144,)
    assert np.all(np.diff(spectrum.wavelength) > 0)
    np.testing.assert_allclose(spectrum.flux, spectrum.wavelength / 1000, rtol=1e-6)
    np.testing.assert_allclose(spectrum.ivar[:-1], 100, rtol=1e-6)
    assert spectrum.ivar[-1] == 0  # the reddest pixel has an infinite error


def test_a_visit_whose_wavelengths_do_not_ascend_is_refused(tmp_path):
    path = ap_visit(tmp_path / "apVisit.fits", wavelength=np.linspace(15_100, 17_000, 6144).reshape(3, 2048))
    with pytest.raises(SpectrumError, match="do not ascend") as caught:
        read_ap_visit(path)
    assert caught.value.code == "unreadable_file"


def test_a_file_with_another_number_of_chips_is_no_visit(tmp_path):
    path = write_images(tmp_path / "apVisit.fits", [np.ones((2, 2048), np.float32)] * 4)
    with pytest.raises(SpectrumError, match="expected 3 chips"):
        read_ap_visit(path)


@pytest.mark.parametrize("n_rows", [1, 4])
def test_the_first_row_is_the_coadd(tmp_path, n_rows):
    spectrum = read_ap_star(ap_star(tmp_path / "apStar.fits", n_rows))
    assert set(spectrum.flux) == {1.0}
    assert set(spectrum.ivar) == {4.0}
    assert set(spectrum.pixel_flags) == {4}
    np.testing.assert_allclose(spectrum.wavelength[[0, -1]], [10**4.179, 10 ** (4.179 + 6e-6 * 8574)])


def test_visits_come_after_two_coadds_in_the_order_of_the_header(tmp_path):
    path = ap_star(tmp_path / "apStar.fits", 4, SFILE1="first.fits", SFILE2="second.fits", NVISITS=2)
    assert set(read_ap_star(path, visit="first.fits").flux) == {3.0}
    assert set(read_ap_star(path, visit="second.fits").flux) == {4.0}


def test_a_file_that_is_opened_once_gives_the_same_spectra(tmp_path):
    path = ap_star(tmp_path / "apStar.fits", 4, SFILE1="first.fits", SFILE2="second.fits", NVISITS=2)
    star = open_ap_star(path)
    path.unlink()
    assert [set(star.spectrum(visit=name).flux) for name in ("", "first.fits", "second.fits")] == [
        {1.0}, {3.0}, {4.0},
    ]  # fmt: skip
    assert star.spectrum({"snr": 7.0}).snr == 7.0
    with pytest.raises(SpectrumError, match=r"no visit third\.fits"):
        star.spectrum(visit="third.fits")


def test_the_chips_of_undithered_visits_have_half_as_many_pixels_per_resolution_element():
    assert chip_n_res(3 * 4096) == (3.5, 4.25, 5.0)
    assert chip_n_res(3 * 2048) == (2.0, 2.125, 2.5)  # 1.75 in the blue is less than a kernel needs


def test_the_highest_bit_of_a_mask_of_16_bits_sets_no_other(tmp_path):
    mask = np.full((3, 2048), -(1 << 15), dtype=np.int16)
    assert set(read_ap_visit(ap_visit(tmp_path / "apVisit.fits", mask=mask)).pixel_flags) == {1 << 15}


def test_an_error_that_is_too_small_to_be_one_makes_a_pixel_unusable(tmp_path):
    error = np.full(APOGEE_GRID.n_pixels, 0.5, dtype=np.float32)
    error[10] = 1e-30
    spectrum = read_ap_star(ap_star(tmp_path / "apStar.fits", 1, error=error))
    assert spectrum.ivar[10] == 0
    assert spectrum.ivar[11] == 4


def test_a_single_visit_is_its_own_coadd(tmp_path):
    path = ap_star(tmp_path / "apStar.fits", 1, SFILE1="first.fits", NVISITS=1)
    assert set(read_ap_star(path, visit="first.fits").flux) == {1.0}


def test_a_visit_that_the_star_lacks_is_refused_with_those_that_it_has(tmp_path):
    path = ap_star(tmp_path / "apStar.fits", 4, SFILE1="first.fits", SFILE2="second.fits")
    with pytest.raises(SpectrumError, match=r"no visit third.fits; it has first.fits, second.fits") as caught:
        read_ap_star(path, visit="third.fits")
    assert caught.value.code == "wrong_row"


def test_a_header_that_lists_more_visits_than_there_are_rows_is_refused(tmp_path):
    path = ap_star(tmp_path / "apStar.fits", 3, SFILE1="first.fits", SFILE2="second.fits")
    with pytest.raises(SpectrumError, match="not among the 3 rows"):
        read_ap_star(path, visit="second.fits")


def test_a_star_on_another_grid_is_refused(tmp_path):
    path = write_images(tmp_path / "apStar.fits", [np.ones((1, 100), np.float32)] * 3)
    with pytest.raises(SpectrumError, match="100 pixels, expected the 8575"):
        read_ap_star(path)


def test_without_a_usable_pixel_there_is_no_flux(tmp_path):
    error = np.full(APOGEE_GRID.n_pixels, np.inf, dtype=np.float32)
    with pytest.raises(SpectrumError, match="none of 8575 pixels is usable") as caught:
        read_ap_star(ap_star(tmp_path / "apStar.fits", 1, error=error))
    assert caught.value.code == "no_flux"


def test_images_of_different_shapes_are_refused(tmp_path):
    path = write_images(
        tmp_path / "apStar.fits", [np.ones((1, 8575), np.float32), np.ones((2, 8575), np.float32)] * 2
    )
    with pytest.raises(SpectrumError, match="expected images of one shape"):
        read_ap_star(path)


def test_a_file_cut_short_is_refused(tmp_path):
    whole = ap_star(tmp_path / "whole.fits", 4)
    cut = tmp_path / "apStar.fits"
    cut.write_bytes(whole.read_bytes()[: 2880 * 20])
    with pytest.raises(SpectrumError, match=r"breaks off in HDU 1") as caught:
        read_ap_star(cut)
    assert caught.value.code == "unreadable_file"


def test_rows_of_all_three_tables_find_their_pixels(tmp_path):
    roots = Roots(tmp_path, tmp_path / "mwm")
    ap_visit(tmp_path / ap_visit_path(KEYS))
    ap_star(tmp_path / ap_star_path(KEYS), 4, SFILE1="other.fits", SFILE2=ap_visit_name(KEYS))
    assert load(ApogeeVisitSpectrum, KEYS, roots).wavelength.size == 6144
    assert load(ApogeeCoaddedSpectrumInApStar, KEYS, roots).flux[0] == 1.0
    assert load(ApogeeVisitSpectrumInApStar, KEYS, roots).flux[0] == 4.0
    with pytest.raises(SpectrumError, match=r"apogee_visit_spectrum_in_ap_star, spectrum_pk 7"):
        load(ApogeeVisitSpectrumInApStar, KEYS | {"mjd": 1}, roots)


def test_real_visits_and_stars_can_be_read(real_spectra):
    for path in sorted((real_spectra / "apogee").glob("apVisit*")):
        header = fits.getheader(path)
        spectrum = read_ap_visit(path)
        assert spectrum.wavelength.size == 3 * 4096
        assert spectrum.snr == pytest.approx(header["SNR"], rel=0.15)
    for path in sorted((real_spectra / "apogee").glob("apStar*")):
        header = fits.getheader(path)
        assert read_ap_star(path).snr == pytest.approx(header["SNR"], rel=0.2)
        for number in range(1, header["NVISITS"] + 1):
            visit = read_ap_star(path, visit=header[f"SFILE{number}"])
            assert visit.snr == pytest.approx(header[f"SNRVIS{number}"], rel=0.3)


def test_the_flux_of_a_real_visit_scatters_around_its_median(real_spectra):
    """Telluric and stellar lines leave the flux of a real visit within a factor of its median."""
    spectrum = read_ap_visit(real_spectra / "apogee" / "apVisit-r13-9518-57729-104.fits")
    good = spectrum.ivar > 0
    assert np.quantile(spectrum.flux[good], 0.05) > 0.3 * np.median(spectrum.flux[good])


@pytest.mark.parametrize("visit", ["", ap_visit_name(KEYS)])
def test_an_unusual_file_is_read_as_a_plain_one(tmp_path, visit):
    names = {f"SFILE{n}": ap_visit_name(KEYS | {"fiber": 27 + n}) for n in (1, 2)}
    plain = ap_star(tmp_path / "plain.fits", 4, **names)
    unusual = tmp_path / "unusual.fits"
    with fits.open(plain) as hdus:
        hdus[1].scale("int32", bscale=0.001)
        hdus.writeto(unusual)
    expected, found = (read_ap_star(path, visit=visit) for path in (plain, unusual))
    assert expected.flux.max() == (3 if visit else 1)
    np.testing.assert_allclose(found.flux, expected.flux, atol=1e-6)
    assert np.array_equal(found.ivar, expected.ivar)
    assert np.array_equal(found.pixel_flags, expected.pixel_flags)


def test_real_files_read_as_with_astropy(real_spectra, monkeypatch):
    folder = real_spectra / "apogee"
    stars = {path: read_ap_star(path) for path in folder.glob("apStar-*.fits")}
    visits = {path: read_ap_visit(path) for path in folder.glob("apVisit-*.fits")}
    assert (len(stars), len(visits)) == (2, 2)
    monkeypatch.setattr(images, "_plain", lambda *_arguments: None)
    for reader, read in ((read_ap_star, stars), (read_ap_visit, visits)):
        for path, spectrum in read.items():
            again = reader(path)
            for name in ("wavelength", "flux", "ivar", "pixel_flags"):
                assert np.array_equal(getattr(again, name), getattr(spectrum, name)), f"{path}: {name}"
