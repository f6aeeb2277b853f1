"""The pixel arrays beside results: what comes back, and which of several belong to a result."""

from __future__ import annotations

import shutil
import subprocess
from datetime import datetime, timedelta

import numpy as np
import pytest
from astropy.io import fits

from astra_assets.spectra.base import SpectrumError
from astra_assets.spectra.model_spectra import ModelSpectra

MADE = datetime.fromisoformat("2026-02-03T04:05:06.000789")
LATER = MADE + timedelta(microseconds=1)
ARRAYS = {
    "model_flux": np.array([1.5, np.nan, -3e-20], dtype=np.float32),
    "continuum": np.arange(3, dtype=np.float32),
}


@pytest.fixture
def models(tmp_path):
    return ModelSpectra(tmp_path, "corv", "0.8.1")


def test_arrays_come_back_as_they_were(models):
    path = models.write(1299, MADE, ARRAYS)
    assert path.relative_to(models.mwm_astra).as_posix() == (
        "0.8.1/pipelines/corv/12/99/1299-20260203T040506000789.fits"
    )
    found = models.read(1299, MADE)
    assert list(found) == list(ARRAYS)
    for name, array in ARRAYS.items():
        assert found[name].dtype == np.float32
        np.testing.assert_array_equal(found[name], array)


def test_others_can_read_them(models):
    path = models.write(7, MADE, ARRAYS)
    with fits.open(path, checksum=True) as hdus:
        assert hdus[0].header["ROW2"] == "continuum"
        assert (hdus[0].header["SPEC_PK"], hdus[0].header["PIPELINE"]) == (7, "corv")
        np.testing.assert_array_equal(hdus[0].data[1], [0, 1, 2])
    if shutil.which("fitsverify"):
        done = subprocess.run(["fitsverify", path], capture_output=True, text=True, check=False)
        assert "Verification found 0 warning(s) and 0 error(s)" in done.stdout


def test_a_result_made_again_has_its_own_and_replaces_the_older_only_when_told(models):
    models.write(7, MADE, ARRAYS)
    models.write(7, LATER, {"model_flux": np.ones(3, dtype=np.float32)})
    other = models.write(71, MADE, ARRAYS)
    assert models.read(7, MADE)["model_flux"][0] == 1.5
    assert models.read(7, LATER)["model_flux"][0] == 1
    models.forget_before(7, MADE)
    assert models.read(7, MADE) is not None
    models.forget_before(7, LATER)
    assert models.read(7, MADE) is None
    assert models.read(7, LATER) is not None
    assert other.exists()


def test_a_damaged_file_is_told_by_its_name(models):
    path = models.write(7, MADE, ARRAYS)
    path.write_bytes(path.read_bytes().replace(b"ROW2    ", b"LINE2   "))
    with pytest.raises(SpectrumError, match=rf"{path.name}: no card 'ROW2'"):
        models.read(7, MADE)
    path.write_bytes(path.read_bytes()[:3000])
    with pytest.raises(SpectrumError, match=path.name) as caught:
        models.read(7, MADE)
    assert caught.value.code == "unreadable_file"
