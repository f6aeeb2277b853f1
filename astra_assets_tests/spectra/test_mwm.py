"""mwmVisit and mwmStar files: layout, headers, values, and that they can be read back."""

from __future__ import annotations

import shutil
import subprocess
from datetime import datetime
from typing import Any

import numpy as np
import pytest
from astropy.io import fits

from astra_assets.files.paths import mwm_path
from astra_assets.models.boss import BossCombinedSpectrum
from astra_assets.spectra.base import Roots, SpectrumError
from astra_assets.spectra.grid import APOGEE_GRID, BOSS_GRID
from astra_assets.spectra.mwm import write_mwm_star, write_mwm_visit
from astra_assets.spectra.mwm_header import SOURCE_COLUMNS, SOURCE_KEYWORDS
from astra_assets.spectra.read import load, read_file, read_mwm_star

CREATED = datetime.fromisoformat("2026-02-03T04:05:06")
SDSS_ID = 99560000
SOURCE = dict.fromkeys(SOURCE_COLUMNS) | {
    "sdss_id": SDSS_ID,
    "sdss4_apogee_id": "2M07324240-3124147",
    "ra": 113.17667,
    "dec": -31.404102,
    "g_mag": float("nan"),
    "healpix": 7,
    "gaia_dr3_source_id": 5589000000000000001,
    "boss_max_mjd": 60000,
}
STAR_NAMES = """
spectrum_pk_id release filetype v_astra healpix sdss_id run2d telescope min_mjd max_mjd n_visits
n_good_visits n_good_rvs v_rad e_v_rad std_v_rad median_e_v_rad xcsao_teff xcsao_e_teff xcsao_logg
xcsao_e_logg xcsao_fe_h xcsao_e_fe_h xcsao_meanrxc snr gri_gaia_transform_flags zwarning_flags wavelength
flux ivar pixel_flags continuum nmf_rectified_model_flux nmf_rchi2 nmf_flags
"""
STAR_COLUMNS = STAR_NAMES.split()
VISIT_NAMES = """
spectrum_pk_id drp_spectrum_pk_id release filetype v_astra healpix sdss_id run2d mjd fieldid catalogid n_exp
exptime plateid cartid mapid slitid psfsky preject n_std n_gal lowrej highrej scatpoly proftype nfitpoly
skychi2 schi2min schi2max alt az telescope seeing airmass airtemp dewpoint humidity pressure dust_a dust_b
gust_direction gust_speed wind_direction wind_speed moon_dist_mean moon_phase_mean n_guide tai_beg tai_end
fiber_offset f_night_time delta_ra delta_dec snr in_stack gri_gaia_transform_flags zwarning_flags
xcsao_v_rad xcsao_e_v_rad xcsao_teff xcsao_e_teff xcsao_logg xcsao_e_logg xcsao_fe_h xcsao_e_fe_h xcsao_rxc
flux ivar wresl pixel_flags continuum nmf_rchi2 nmf_flags
"""
VISIT_COLUMNS = VISIT_NAMES.split()
APOGEE_STAR_NAMES = """
spectrum_pk release filetype v_astra healpix sdss_id apred obj telescope min_mjd max_mjd n_entries n_visits
n_good_visits n_good_rvs snr mean_fiber std_fiber spectrum_flags v_rad e_v_rad std_v_rad median_e_v_rad
doppler_teff doppler_e_teff doppler_logg doppler_e_logg doppler_fe_h doppler_e_fe_h doppler_rchi2
doppler_flags xcorr_v_rad xcorr_v_rel xcorr_e_v_rel ccfwhm autofwhm n_components wavelength flux ivar
pixel_flags continuum nmf_rectified_model_flux nmf_rchi2 nmf_flags
"""
APOGEE_VISIT_NAMES = """
spectrum_pk catalogid star_pk visit_pk rv_visit_pk release filetype v_astra healpix sdss_id apred plate
telescope fiber mjd field prefix reduction obj date_obs jd exptime dithered f_night_time input_ra input_dec
n_frames assigned on_target valid fps snr in_stack spectrum_flags v_rad v_rel e_v_rel bc doppler_teff
doppler_e_teff doppler_logg doppler_e_logg doppler_fe_h doppler_e_fe_h doppler_rchi2 doppler_flags
xcorr_v_rad xcorr_v_rel xcorr_e_v_rel ccfwhm autofwhm n_components flux ivar pixel_flags continuum nmf_rchi2
nmf_flags
"""
KEYWORDS = {"release": "sdss5", "v_astra": "0.8.1", "sdss_id": SDSS_ID, "run2d": "v6_2_1"}


def coadd_row(telescope="apo25m", **changes) -> dict:
    flux = np.linspace(1.0, 2.0, 4648)
    flux[:100] = np.nan
    pixels = {
        "wavelength": BOSS_GRID.wavelength,
        "flux": flux,
        "ivar": np.where(np.isnan(flux), 0.0, 16.0),
        "pixel_flags": np.full(4648, 5, dtype=np.int64),
    }
    row = {"spectrum_pk": 41, "filetype": "mwmStar", "telescope": telescope, "snr": 6.5, "v_rad": None}
    return KEYWORDS | row | pixels | changes


def visit_row(mjd, telescope="apo25m", **changes) -> dict:
    row = {
        "spectrum_pk": mjd,
        "drp_spectrum_pk": 3,
        "filetype": "mwmVisit",
        "telescope": telescope,
        "mjd": mjd,
    }
    pixels = {"flux": np.full(4648, mjd / 1e4), "ivar": np.ones(4648), "pixel_flags": np.zeros(4648)}
    more = {"in_stack": True, "delta_ra": [0.5] * (mjd % 4), "zwarning_flags": 0, "fiber_offset": None}
    return KEYWORDS | row | pixels | more | changes


def apogee_row(telescope, mjd=59001, **changes) -> dict:
    pixels = {
        "wavelength": APOGEE_GRID.wavelength,
        "flux": np.full(8575, mjd / 1e4),
        "ivar": np.ones(8575),
        "pixel_flags": np.full(8575, 1 << 14),
    }
    names = {
        "telescope": telescope,
        "apred": "1.5",
        "obj": "2M00000000+0000000",
        "field": "20916",
        "prefix": "ap",
    }
    numbers = {
        "spectrum_pk": mjd,
        "mjd": mjd,
        "fiber": 12,
        "plate": "15001",
        "reduction": "",
        "in_stack": False,
    }
    observed = {
        "date_obs": datetime.fromisoformat("2022-01-20T06:00:00.5"),
        "jd": 2_459_600.75,
        "dithered": True,
    }
    row = {"release": "sdss5", "v_astra": "0.8.1", "sdss_id": SDSS_ID, "filetype": "mwmStar"}
    return row | pixels | names | numbers | observed | changes


@pytest.fixture
def star(tmp_path):
    path = tmp_path / mwm_path("star", "0.8.1", SDSS_ID)
    write_mwm_star(path, SOURCE, [coadd_row()], v_astra="0.8.1", created=CREATED)
    return path


@pytest.fixture
def visit(tmp_path):
    path = tmp_path / mwm_path("visit", "0.8.1", SDSS_ID)
    rows = [visit_row(59003), visit_row(59001), visit_row(59002, telescope="lco25m")]
    write_mwm_visit(path, SOURCE, rows, v_astra="0.8.1", created=CREATED)
    return path


def test_a_file_has_five_hdus_by_instrument_and_observatory(star, visit):
    for path in (star, visit):
        with fits.open(path) as hdus:
            names = [hdu.name for hdu in hdus]
            assert names == ["PRIMARY", "BOSS/APO", "BOSS/LCO", "APOGEE/APO", "APOGEE/LCO"]
            assert [hdu.header["OBSRVTRY"] for hdu in hdus[1:]] == ["APO", "LCO", "APO", "LCO"]
            assert [hdu.header["INSTRMNT"] for hdu in hdus[1:]] == ["BOSS", "BOSS", "APOGEE", "APOGEE"]
    assert sorted(path.name for path in star.parent.iterdir()) == [f"mwmStar-0.8.1-{SDSS_ID}.fits"]


def test_columns_are_those_of_the_published_files_in_their_order(star, visit):
    with fits.open(star) as hdus:
        assert hdus[1].columns.names == STAR_COLUMNS
        assert hdus[2].columns.names == STAR_COLUMNS
        assert len(hdus[3].columns) == len(hdus[4].columns) == 45
        assert [len(hdu.data) for hdu in hdus[1:]] == [1, 0, 0, 0]
    with fits.open(visit) as hdus:
        assert hdus[1].columns.names == VISIT_COLUMNS
        assert len(hdus[3].columns) == len(hdus[4].columns) == 58
        assert [len(hdu.data) for hdu in hdus[1:]] == [2, 1, 0, 0]


@pytest.fixture
def full_files(tmp_path):
    """mwmStar and mwmVisit with rows in all four tables."""
    both = [apogee_row("lco25m"), apogee_row("apo1m", 59002)]
    star, visit = tmp_path / "mwmStar-0.8.1-1.fits", tmp_path / "mwmVisit-0.8.1-1.fits"
    given: dict[str, Any] = {"v_astra": "0.8.1", "created": CREATED}
    write_mwm_star(star, SOURCE, [coadd_row(), coadd_row("lco25m")], both, **given)
    visits = [visit_row(59001), visit_row(59002, telescope="lco25m")]
    write_mwm_visit(visit, SOURCE, visits, [*both, apogee_row("apo25m", 59000, in_stack=True)], **given)
    return star, visit


def test_apogee_spectra_are_in_the_tables_of_their_observatories(full_files):
    star, visit = full_files
    with fits.open(star) as hdus:
        assert [len(hdu.data) for hdu in hdus[1:]] == [1, 1, 1, 1]
        assert hdus[3].columns.names == hdus[4].columns.names == APOGEE_STAR_NAMES.split()
        assert (hdus[3].data["telescope"][0], hdus[4].data["telescope"][0]) == ("apo1m", "lco25m")
        np.testing.assert_allclose(hdus[3].data["wavelength"][0], APOGEE_GRID.wavelength, rtol=1e-7)
        assert set(hdus[3].data["pixel_flags"][0]) == {1 << 14}
    with fits.open(visit) as hdus:
        assert [len(hdu.data) for hdu in hdus[1:]] == [1, 1, 2, 1]
        assert hdus[3].columns.names == hdus[4].columns.names == APOGEE_VISIT_NAMES.split()
        data = hdus[3].data
        assert list(data["mjd"]) == [59000, 59002]
        assert data["in_stack"].tolist() == [True, False]
        assert data["flux"].shape == (2, 8575)
        assert (data["date_obs"][0], data["jd"][0]) == ("2022-01-20T06:00:00.500000", 2_459_600.75)
        assert np.isnan(data["continuum"]).all()


def test_values_and_pixels_come_back_and_null_is_filled(star, visit):
    with fits.open(star) as hdus:
        row = hdus[1].data[0]
        assert (row["spectrum_pk_id"], row["telescope"], row["filetype"]) == (41, "apo25m", "mwmStar")
        assert np.isnan(row["v_rad"])
        assert row["n_visits"] == -1
        assert row["flux"].shape == (4648,)
        assert row["flux"].dtype == np.dtype(">f4")
        assert np.isnan(row["flux"][:100]).all()
        assert np.isnan(row["continuum"]).all()
        assert row["nmf_flags"] == 0
        assert set(row["pixel_flags"]) == {5}
    with fits.open(visit) as hdus:
        data = hdus[1].data
        assert list(data["mjd"]) == [59001, 59003]
        assert data["flux"][1][0] == pytest.approx(5.9003)
        np.testing.assert_array_equal(data["delta_ra"], [[0.5, np.nan, np.nan], [0.5] * 3])
        assert data["in_stack"].tolist() == [True, True]
        assert hdus[2].data["mjd"][0] == 59002


def test_units_and_descriptions_are_in_the_table_header(star):
    header = fits.getheader(star, 1)
    number = STAR_COLUMNS.index("v_rad") + 1
    assert header[f"TUNIT{number}"] == "km s-1"
    assert header.comments[f"TTYPE{number}"]
    assert header[f"TFORM{STAR_COLUMNS.index('flux') + 1}"] == "4648E"


def test_the_primary_header_describes_the_source(star):
    header = fits.getheader(star)
    assert (header["V_ASTRA"], header["CREATED"]) == ("0.8.1", "2026-02-03 04:05:06")
    assert header["SDSS_ID"] == SDSS_ID
    assert header["APOGEEID"] == "2M07324240-3124147"
    assert header["GAIA3_ID"] == 5589000000000000001
    assert header["RA"] == 113.17667
    assert header["N_MAXMJD"] == header["B_MAXMJD"] == 60000
    cards = [str(card).strip() for card in header.cards]
    for heading in SOURCE_KEYWORDS:
        assert heading in cards
    assert "HDU 1: BOSS" in str(header["COMMENT"])


def test_what_is_not_known_of_the_source_is_said_without_undefined_cards(star):
    header = fits.getheader(star)
    assert header["G_MAG"] == "NaN"
    assert header["PLX"] == "NaN"
    assert header["TIC_ID"] == -1
    assert header["W1UFLAGS"] == 0
    assert "LEAD" not in header
    assert not any(isinstance(card.value, fits.card.Undefined) for card in header.cards)


def test_the_wavelengths_follow_from_the_header(star, visit):
    for path in (star, visit):
        for hdu, (start, step, number) in zip(
            (1, 3), ((3.5523, 1e-4, 4648), (4.179, 6e-6, 8575)), strict=True
        ):
            header = fits.getheader(path, hdu)
            assert (header["CRVAL"], header["CDELT"], header["NPIXELS"]) == (start, step, number)
            assert (header["CTYPE"], header["CUNIT"]) == ("LOG-LINEAR", "Angstrom (Vacuum)")
            assert (header["CRPIX"], header["DC-FLAG"]) == (1, 1)
    data = fits.getdata(star, 1)
    header = fits.getheader(star, 1)
    computed = 10 ** (header["CRVAL"] + header["CDELT"] * np.arange(header["NPIXELS"]))
    np.testing.assert_allclose(data["wavelength"][0], computed, rtol=1e-7)


def test_checksums_hold(star, visit):
    for path in (star, visit):
        with fits.open(path, checksum=True) as hdus:
            for hdu in hdus:
                assert hdu.verify_checksum() == 1
                assert hdu.verify_datasum() == 1


@pytest.mark.skipif(
    not shutil.which("fitsverify"), reason="fitsverify is not installed (Debian package fitsverify)"
)
def test_fitsverify_finds_nothing_to_say(star, visit, full_files):
    for path in (star, visit, *full_files):
        done = subprocess.run(["fitsverify", path], capture_output=True, text=True, check=False)
        assert "Verification found 0 warning(s) and 0 error(s)" in done.stdout


def test_the_same_rows_give_the_same_bytes(tmp_path):
    contents = set()
    for number in range(2):
        path = tmp_path / f"{number}" / "mwmStar-0.8.1-1.fits"
        write_mwm_star(path, SOURCE, [coadd_row()], v_astra="0.8.1", created=CREATED)
        contents.add(path.read_bytes())
    assert len(contents) == 1


def test_a_coadd_is_read_back_by_its_row(star, tmp_path):
    row = {"v_astra": "0.8.1", "sdss_id": SDSS_ID, "telescope": "apo25m", "spectrum_pk": 41, "snr": 6.5}
    spectrum = load(BossCombinedSpectrum, row, Roots(tmp_path, tmp_path))
    np.testing.assert_allclose(spectrum.wavelength, BOSS_GRID.wavelength, rtol=1e-7)
    assert np.all(np.diff(spectrum.wavelength) > 0)
    assert np.all(spectrum.ivar[:100] == 0)
    assert np.all(spectrum.flux[:100] == 0)
    assert spectrum.flux[-1] == 2
    assert spectrum.pixel_flags[0] == 5
    assert spectrum.snr == 6.5
    assert len(read_file(star).flux) == 4648


@pytest.mark.parametrize(
    ("telescope", "spectrum_pk", "said"),
    [("apo25m", 42, "spectrum_pk 41"), ("lco25m", 41, "0 BOSS coadds"), ("apo1m", 41, "apo1m")],
)
def test_a_file_that_does_not_belong_to_the_row_is_refused(star, telescope, spectrum_pk, said):
    with pytest.raises(SpectrumError, match=said) as caught:
        read_mwm_star(star, telescope, {"spectrum_pk": spectrum_pk})
    assert caught.value.code == "wrong_row"
    assert str(star) in caught.value.message


def test_a_value_that_does_not_fit_leaves_the_old_file_alone(star):
    before = star.read_bytes()
    with pytest.raises(ValueError, match=r"mwmStar.*single precision"):
        write_mwm_star(star, SOURCE, [coadd_row(snr=1e300)], v_astra="0.8.1", created=CREATED)
    assert star.read_bytes() == before
    assert len(list(star.parent.iterdir())) == 1
