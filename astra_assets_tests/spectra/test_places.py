"""Where spectra are, for programs that read them without us: file, HDU and row."""

from __future__ import annotations

import numpy as np
import pytest

from astra_assets.files.paths import ap_star_path, ap_visit_path, mwm_path, spec_full_path
from astra_assets.models.apogee import (
    ApogeeCoaddedSpectrumInApStar,
    ApogeeVisitSpectrum,
    ApogeeVisitSpectrumInApStar,
)
from astra_assets.models.boss import BossCombinedSpectrum, BossVisitSpectrum
from astra_assets.spectra.base import Roots, SpectrumError
from astra_assets.spectra.places import WHOLE, place_of
from astra_assets_tests.spectra.apogee_files import write_images
from astra_assets_tests.spectra.placed import VISIT, made
from astra_assets_tests.spectra.test_apogee import KEYS


@pytest.fixture
def roots(tmp_path):
    return Roots(tmp_path / "sas", tmp_path / "mwm")


def test_a_boss_visit_is_a_whole_hdu(roots):
    path = made(roots.sas_base_dir / spec_full_path(**VISIT))
    place = place_of(BossVisitSpectrum, VISIT, roots)
    assert (place.path, place.hdu, place.row) == (path, 1, WHOLE)


def test_a_boss_coadd_is_a_row_of_the_hdu_of_its_telescope(roots):
    path = made(roots.mwm_astra / mwm_path("star", "0.8.1", 12345))
    row = {"v_astra": "0.8.1", "sdss_id": 12345, "telescope": "lco25m"}
    place = place_of(BossCombinedSpectrum, row, roots)
    assert (place.path, place.hdu, place.row) == (path, 2, 0)
    with pytest.raises(SpectrumError, match="no BOSS coadd for telescope 'apo1m'"):
        place_of(BossCombinedSpectrum, row | {"telescope": "apo1m"}, roots)


def test_apogee_spectra_are_rows_of_images(roots):
    path = roots.sas_base_dir / ap_star_path(KEYS)
    write_images(
        path,
        [np.ones((4, 8575), dtype=np.float32)],
        SFILE1="other.fits",
        SFILE2="apVisit-1.5-apo25m-5095-55844-028.fits",
    )
    assert place_of(ApogeeCoaddedSpectrumInApStar, KEYS, roots).row == 0
    place = place_of(ApogeeVisitSpectrumInApStar, KEYS, roots)
    assert (place.path, place.hdu, place.row) == (path, 1, 3)
    visit = made(roots.sas_base_dir / ap_visit_path(KEYS))
    assert place_of(ApogeeVisitSpectrum, KEYS, roots).path == visit


def test_a_file_that_is_missing_is_told_with_the_row(roots):
    with pytest.raises(SpectrumError, match=r"there is no such file \(boss_visit_spectrum, spectrum_pk 3\)"):
        place_of(BossVisitSpectrum, VISIT | {"spectrum_pk": 3}, roots)
