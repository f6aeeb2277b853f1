"""Real apStar and apVisit files as rows of mwmVisit and mwmStar files."""

from __future__ import annotations

import shutil
import subprocess

import numpy as np
import pytest
from astropy.io import fits

from astra_assets.files.paths import ap_star_path, ap_visit_path
from astra_assets.models.apogee import ApogeeRestFrameVisitSpectrum
from astra_assets.spectra.grid import APOGEE_GRID

REAL_STAR = {"release": "dr17", "apred": "r6", "obj": "2M19535443+4424541", "field": "N6819"}
REAL_VISIT = {
    "release": "dr17",
    "apred": "r13",
    "plate": "9518",
    "mjd": 57729,
    "fiber": 104,
    "field": "118+06",
}


def test_real_files_become_rows_of_both_kinds(sqlite_survey, real_spectra):
    survey = sqlite_survey
    source = survey.source(7)
    stacked = [
        survey.apogee_visit(source, mjd, file=False, plate="7018", fiber=fiber, **REAL_STAR)
        for mjd, fiber in ((56465, 214), (56470, 219))
    ]
    other = survey.apogee_visit(source, file=False, **REAL_VISIT)
    coadd = survey.apogee_coadd(source, stacked, file=False, **REAL_STAR)
    star = real_spectra / "apogee" / "apStar-r6-2M19535443+4424541.fits"
    visit = real_spectra / "apogee" / "apVisit-r13-9518-57729-104.fits"
    for file, path in ((star, ap_star_path(coadd)), (visit, ap_visit_path(other))):
        target = survey.roots.sas_base_dir / path
        target.parent.mkdir(parents=True)
        shutil.copyfile(file, target)
    products = survey.made(source)
    assert products.problems == []
    assert [row["in_stack"] for row in products.rows[ApogeeRestFrameVisitSpectrum]] == [True, True, False]
    with fits.open(survey.path("visit", 7)) as made, fits.open(visit) as raw, fits.open(star) as stars:
        flux, ivar = made[3].data["flux"], made[3].data["ivar"]
        np.testing.assert_array_equal(flux[:2], stars[1].data[2:])
        seen = ivar[2] > 0
        assert 0.8 < seen.mean() < 0.95
        assert np.median(flux[2][seen]) == pytest.approx(np.median(raw[1].data), rel=0.02)
        # A kernel of half a resolution element averages over as many pixels; 4.25 is that of the middle chip.
        snr = np.median(flux[2][seen] * np.sqrt(ivar[2][seen]))
        assert snr == pytest.approx(np.median(raw[1].data / raw[2].data) * np.sqrt(4.25 / 2), rel=0.1)
        _assert_lines_stay(flux[2], seen, raw)
    if shutil.which("fitsverify"):
        for kind in ("star", "visit"):
            done = subprocess.run(
                ["fitsverify", survey.path(kind, 7)], capture_output=True, text=True, check=False
            )
            assert "Verification found 0 warning(s) and 0 error(s)" in done.stdout


def _assert_lines_stay(flux, seen, raw) -> None:
    """The resampled visit correlates best with the file's own pixels where it is not shifted."""
    wavelength, own = (raw[number].data[:, ::-1].astype(float) for number in (4, 1))
    for chip in range(3):
        inside = (
            seen
            & (APOGEE_GRID.wavelength > wavelength[chip, 10])
            & (APOGEE_GRID.wavelength < wavelength[chip, -10])
        )
        shifts = np.arange(-3, 4) * 0.25
        agreement = [
            np.corrcoef(
                np.interp(
                    APOGEE_GRID.wavelength[inside] * (1 + shift * 6e-6 * np.log(10)),
                    wavelength[chip],
                    own[chip],
                ),
                flux[inside],
            )[0, 1]
            for shift in shifts
        ]
        assert abs(shifts[int(np.argmax(agreement))]) <= 0.25
        assert max(agreement) > 0.95
