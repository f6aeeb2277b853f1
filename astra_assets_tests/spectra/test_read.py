"""Reading spectrum files: what comes out, and what is said of files that cannot be read."""

from __future__ import annotations

import gzip
import logging
import pickle
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from astra_assets.astronomy.constants import SPEED_OF_LIGHT
from astra_assets.files.paths import READ_COLUMNS, SPEC_FULL_COLUMNS, spec_full_path
from astra_assets.models.base import table_of
from astra_assets.models.boss import BossVisitSpectrum
from astra_assets.models.source import Source
from astra_assets.spectra.base import Roots, Spectrum, SpectrumError
from astra_assets.spectra.read import FILES, READERS, load, read_file, read_spec_full, read_text


def refused(read, *arguments, match: str | None = None) -> SpectrumError:
    with pytest.raises(SpectrumError, match=match) as caught:
        read(*arguments)
    return caught.value


def test_spec_full_gives_vacuum_wavelengths_flux_ivar_flags_and_resolution(spec_full, wavelength):
    mask = np.zeros(4600, dtype=np.int32)
    mask[7] = 1 << 22
    spectrum = read_spec_full(spec_full(OR_MASK=mask))
    np.testing.assert_allclose(spectrum.wavelength, wavelength, rtol=1e-12)
    assert spectrum.flux.dtype == np.float64
    assert set(spectrum.ivar) == {4.0}
    assert spectrum.pixel_flags[7] == 1 << 22
    assert spectrum.wresl[0] == pytest.approx(1.2)
    assert spectrum.snr == pytest.approx(2.0)


def test_column_names_may_have_any_case_and_optional_columns_may_be_absent(spec_full):
    path = spec_full(
        FLUX=None, IVAR=None, OR_MASK=None, WRESL=None, flux=np.full(4600, 3.0), Ivar=np.ones(4600)
    )
    spectrum = read_spec_full(path)
    assert spectrum.flux[0] == 3.0
    assert spectrum.pixel_flags is None
    assert spectrum.wresl is None


def test_pixels_that_are_not_numbers_have_no_weight(spec_full):
    flux = np.ones(4600)
    ivar = np.full(4600, 4.0)
    flux[:3] = np.nan, np.inf, -1.0
    ivar[3:6] = np.nan, np.inf, -1.0
    spectrum = read_spec_full(spec_full(FLUX=flux, IVAR=ivar))
    assert list(spectrum.ivar[:6]) == [0, 0, 4, 0, 0, 0]
    assert list(spectrum.flux[:3]) == [0, 0, -1]
    assert np.all(np.isfinite(spectrum.flux))


def test_the_snr_of_the_row_comes_before_that_of_the_pixels(spec_full):
    path = spec_full()
    assert read_spec_full(path, {"snr": 12.5}).snr == 12.5
    assert read_spec_full(path, {"snr": None}).snr == pytest.approx(2.0)


@pytest.mark.parametrize(
    ("columns", "code", "said"),
    [
        ({"IVAR": np.zeros(4600)}, "no_flux", "0 have ivar > 0"),
        ({"FLUX": np.full(4600, np.nan)}, "no_flux", "0 have finite flux"),
        ({"FLUX": None, "FLUKS": np.ones(4600)}, "missing_column", "no column flux.*FLUKS"),
        ({"IVAR": np.full(4600, "many")}, "missing_column", "ivar.*expected numbers"),
        ({"LOGLAM": np.full(4600, 3.6)}, "unreadable_file", "do not ascend"),
    ],
)
def test_a_file_without_usable_pixels_is_refused_by_name(spec_full, columns, code, said):
    path = spec_full(**columns)
    error = refused(read_spec_full, path, match=said)
    assert error.code == code
    assert str(path) in error.message


@pytest.mark.parametrize("size", [0, 100, 2880, 20_000, 86_400])
def test_a_file_cut_short_is_refused(spec_full, size):
    path = spec_full()
    path.write_bytes(path.read_bytes()[:size])
    error = refused(read_spec_full, path)
    assert error.code == "unreadable_file"
    assert str(path) in error.message


def test_a_missing_file_a_folder_and_a_file_of_another_kind_are_refused(tmp_path):
    assert refused(read_spec_full, tmp_path / "none.fits").code == "missing_file"
    assert refused(read_spec_full, tmp_path).code == "unreadable_file"
    image = tmp_path / "image.fits"
    fits.HDUList([fits.PrimaryHDU(), fits.ImageHDU(np.ones(3))]).writeto(image)
    assert refused(read_spec_full, image, match="HDU 1 is IMAGE").code == "unreadable_file"
    alone = tmp_path / "primary.fits"
    fits.PrimaryHDU().writeto(alone)
    assert refused(read_spec_full, alone, match="no HDU 1").code == "unreadable_file"


def test_an_error_survives_the_way_between_processes(tmp_path):
    error = refused(read_spec_full, tmp_path / "none.fits")
    again = pickle.loads(pickle.dumps(error))
    assert (again.code, str(again)) == (error.code, str(error))


def test_text_in_air_comes_out_in_vacuum_and_sorted(tmp_path):
    path = tmp_path / "star.txt.gz"
    with gzip.open(path, "wt") as stream:
        stream.write("# wavelength flux ivar\n6562.801,2,9\n4861.323,1,4\n")
    spectrum = read_text(path, air=True)
    # H beta and H alpha in the line list of SDSS, which is in vacuum.
    np.testing.assert_allclose(spectrum.wavelength, [4862.683, 6564.614], atol=2e-3)
    assert list(spectrum.flux) == [1, 2]
    assert list(spectrum.ivar) == [4, 9]
    np.testing.assert_allclose(read_text(path).wavelength, [4861.323, 6562.801])


def test_text_without_ivar_gets_two_percent_errors_and_says_so(tmp_path, caplog):
    path = tmp_path / "star.dat"
    path.write_text("4000 1.0\n4001 0.0\n4002 -4.0\n")
    with caplog.at_level(logging.INFO):
        spectrum = read_text(path)
    np.testing.assert_allclose(spectrum.ivar, [2500.0, 0.0, 2500.0 / 16])
    assert "2 %" in caplog.text


def test_flux_per_frequency_is_not_taken_for_ivar(tmp_path):
    path = tmp_path / "standard.dat"
    wavelength = np.linspace(3000.0, 9000.0, 50)
    flux = 1.0 + wavelength / 1e4
    np.savetxt(path, np.column_stack([wavelength, flux, flux * wavelength**2 * 3.3e-7, np.full(50, 7.0)]))
    np.testing.assert_allclose(read_text(path).ivar, (0.02 * flux) ** -2)


@pytest.mark.parametrize(
    "text", ["", "# nothing\n", "4000 1 2 3.5\n4001 1 2 4\n", "a b\n", "4000 1\n4000 2\n"]
)
def test_text_that_is_no_spectrum_is_refused(tmp_path, text):
    path = tmp_path / "notes.txt"
    path.write_text(text)
    assert refused(read_text, path).code == "unreadable_file"


def test_a_file_is_read_by_what_it_holds(spec_full, tmp_path):
    assert len(read_file(spec_full()).flux) == 4600
    text = tmp_path / "misnamed.spec"
    text.write_text("4000 1 1\n4001 2 1\n")
    assert list(read_file(text).flux) == [1, 2]
    broken = tmp_path / "broken.txt.gz"
    broken.write_bytes(gzip.compress(b"4000 1 1\n4001 2 1\n" * 100)[:-9])
    assert refused(read_file, broken).code == "unreadable_file"


def visit_row(**changes) -> dict:
    row = {"run2d": "v6_2_1", "fieldid": 15000, "mjd": 59146, "catalogid": 4375924413, "spec_file": ""}
    return row | {"spectrum_pk": 17} | changes


def test_a_visit_row_leads_to_its_file(spec_full, tmp_path):
    row = visit_row()
    path = tmp_path / spec_full_path(*(row[name] for name in SPEC_FULL_COLUMNS))
    path.parent.mkdir(parents=True)
    spec_full().rename(path)
    spectrum = load(BossVisitSpectrum, row, Roots(tmp_path, tmp_path))
    assert spectrum.row["spectrum_pk"] == 17
    assert len(spectrum.flux) == 4600


@pytest.mark.parametrize(
    ("row", "code"),
    [
        (visit_row(), "missing_file"),
        (visit_row(spec_file="../../etc/passwd"), "outside_root"),
        (visit_row(run2d="../" * 9), "outside_root"),
        ({"spectrum_pk": 17, "run2d": "v6_2_1"}, "wrong_row"),
    ],
)
def test_a_row_without_a_readable_file_is_named(tmp_path, row, code):
    error = refused(load, BossVisitSpectrum, row, Roots(tmp_path, tmp_path))
    assert error.code == code
    assert "boss_visit_spectrum, spectrum_pk 17" in error.message


def test_only_models_with_files_can_be_loaded(tmp_path):
    with pytest.raises(TypeError, match="Source"):
        load(Source, {}, Roots(tmp_path, tmp_path))


def test_arrays_of_a_spectrum_have_one_shape():
    with pytest.raises(ValueError, match="ivar has shape"):
        Spectrum(wavelength=np.arange(3.0), flux=np.ones(3), ivar=np.ones(2))


def test_every_real_boss_spectrum_can_be_read(real_spectra):
    paths = sorted(real_spectra.glob("boss_*/*")) + sorted(real_spectra.glob("wd_standards/*.gz"))
    assert len(paths) >= 6
    for path in paths:
        spectrum = read_file(path, air="wd_standards" in path.parts)
        assert len(spectrum.wavelength) > 3000, path
        assert spectrum.snr > 10, path


def test_h_alpha_of_the_real_white_dwarf_lies_where_its_velocity_puts_it(real_spectra):
    spectrum = read_spec_full(real_spectra / "boss_wd" / "spec-4455-55539-0692.fits")
    core = np.abs(spectrum.wavelength - 6564.61) < 12
    depth = np.max(spectrum.flux[core]) - spectrum.flux[core]
    centroid = np.average(spectrum.wavelength[core], weights=depth**2)
    assert (centroid / 6564.61 - 1) * SPEED_OF_LIGHT == pytest.approx(39, abs=40)


@pytest.mark.parametrize("model", READERS, ids=lambda model: model.__name__)
def test_the_columns_that_manifests_have_are_what_the_path_of_a_spectrum_needs(model):
    table = table_of(model)
    known = {"sdss_id": 4} | {
        name: 4 if table.c[name].type.python_type is int else "text" for name in READ_COLUMNS[table.name]
    }
    path = FILES[model](known, Roots(Path("/sas"), Path("/mwm")))
    assert path.suffix == ".fits"
    assert set(READ_COLUMNS) == {table_of(each).name for each in READERS}
