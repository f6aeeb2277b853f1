"""The columns of astraStar and astraVisit files, and that the files are sound."""

from __future__ import annotations

import shutil
import subprocess
from datetime import datetime

import numpy as np
import pytest
from astropy.io import fits

from astra_assets.files.paths import astra_path
from astra_assets.pipelines.corv import Corv
from astra_assets.pipelines.snow_white import SnowWhite
from astra_assets.pipelines.snow_white.table import PROBABILITIES
from astra_assets.spectra.astra_files import astra_table
from astra_assets.spectra.grid import BOSS_GRID
from astra_assets.spectra.mwm import write_source_file
from astra_assets.spectra.mwm_header import SOURCE_COLUMNS

CREATED = datetime.fromisoformat("2026-02-03T04:05:06")
LAST = "spectrum_pk v_astra created modified t_elapsed t_overhead tag v_astra_major_minor task_pk"
STAR = f"""
release filetype healpix sdss_id run2d telescope min_mjd max_mjd n_visits n_good_visits n_good_rvs v_rad e_v_rad
std_v_rad median_e_v_rad xcsao_teff xcsao_e_teff xcsao_logg xcsao_e_logg xcsao_fe_h xcsao_e_fe_h xcsao_meanrxc snr
gri_gaia_transform_flags zwarning_flags continuum nmf_rectified_model_flux nmf_rchi2 nmf_flags classification
{" ".join(PROBABILITIES)} teff e_teff logg e_logg v_rel raw_e_teff raw_e_logg result_flags wavelength model_flux {LAST}
""".split()
"""The 76 columns of astraStarSnowWhite files of DR20."""


def names(kind, instrument, result):
    return [column.fits.name for column in astra_table(kind, instrument, result).columns]


def test_columns_of_coadds_are_those_of_the_published_files_in_their_order():
    found = names("star", "BOSS", SnowWhite)
    assert found == STAR
    assert len(found) == 76


def test_of_names_that_spectrum_and_pipeline_have_the_last_one_counts():
    visit = names("visit", "BOSS", Corv)
    assert visit[-9:] == LAST.split()
    assert visit.index("xcsao_rxc") < visit.index("v_rad") < visit.index("model_flux")
    assert len(set(visit)) == len(visit)
    star = {column.key: column for column in astra_table("star", "BOSS", Corv).columns}
    assert star["v_rad"].fits.heading == "Radial Velocity (corv)"
    dropped = {"pk", "source", "source_pk", "wresl", "flux", "ivar", "pixel_flags", "wavelength"}
    assert not dropped & {*visit, *names("visit", "APOGEE", Corv)}


@pytest.fixture
def star(tmp_path):
    made = {"telescope": "lco25m", "spectrum_pk": 4, "classification": "DA", "teff": 12000.5, "v_astra": 8001}
    more = {
        "v_rad": None,
        "p_da": 0.9,
        "result_flags": 5,
        "created": CREATED,
        "modified": CREATED,
        "task_pk": 9,
    }
    pixels = {"wavelength": BOSS_GRID.wavelength, "model_flux": np.linspace(0, 1, 4648, dtype=np.float32)}
    path = tmp_path / astra_path("star", "SnowWhite", "0.8.1", 103020123)
    write_source_file(
        path,
        {name: astra_table("star", name, SnowWhite) for name in ("BOSS", "APOGEE")},
        {"BOSS": [made | more | pixels]},
        source=dict.fromkeys(SOURCE_COLUMNS) | {"sdss_id": 103020123},
        v_astra="0.8.1",
        created=CREATED,
        pipeline="SnowWhite",
    )
    return path


def test_a_file_has_five_hdus_that_name_the_pipeline(star, tmp_path):
    place = "0.8.1/results/star/01/23/astraStarSnowWhite-0.8.1-103020123.fits"
    assert star.relative_to(tmp_path).as_posix() == place
    with fits.open(star, checksum=True) as hdus:
        assert [hdu.name for hdu in hdus] == ["PRIMARY", "BOSS/APO", "BOSS/LCO", "APOGEE/APO", "APOGEE/LCO"]
        assert {hdu.header["PIPELINE"] for hdu in hdus} == {"SnowWhite"}
        assert [len(hdu.data) for hdu in hdus[1:]] == [0, 1, 0, 0]
        assert hdus[1].columns.names == hdus[2].columns.names == STAR
        assert hdus[3].columns["model_flux"].format == "0E"
        row, header = hdus[2].data[0], hdus[2].header
        assert (row["classification"], row["teff"], row["task_pk"]) == ("DA", 12000.5, 9)
        assert row["modified"] == "2026-02-03T04:05:06.000000"
        assert np.isnan(row["v_rad"])
        assert np.isnan(row["continuum"]).all()
        assert row["model_flux"].dtype == np.dtype(">f4")
        computed = 10 ** (header["CRVAL"] + header["CDELT"] * np.arange(header["NPIXELS"]))
        np.testing.assert_allclose(row["wavelength"], computed, rtol=1e-7)


@pytest.mark.skipif(
    not shutil.which("fitsverify"), reason="fitsverify is not installed (Debian package fitsverify)"
)
def test_fitsverify_finds_nothing_to_say(star):
    done = subprocess.run(["fitsverify", star], capture_output=True, text=True, check=False)
    assert "Verification found 0 warning(s) and 0 error(s)" in done.stdout
