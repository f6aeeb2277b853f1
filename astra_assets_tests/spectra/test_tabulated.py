"""Spectra in tables: text as people write it, ECSV, Parquet and FITS; names and units of columns."""

from __future__ import annotations

import bz2
import gzip
import lzma

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from astropy import units
from astropy.io import fits
from astropy.table import Table

from astra_assets.spectra.airvac import air_to_vacuum
from astra_assets.spectra.base import SpectrumError
from astra_assets.spectra.read import read_file, read_spec_full

WAVELENGTH = np.linspace(3600.0, 10_000.0, 40)
FLUX = 1.0 + np.arange(40) / 10
IVAR = np.full(40, 4.0)
BODY = "".join(f"{x:.4f},{y},4.0\n" for x, y in zip(WAVELENGTH, FLUX, strict=True))


def text(head="", factor=1.0, last="4.0", delimiter=","):
    rows = zip(WAVELENGTH * factor, FLUX, strict=True)
    return head + "".join(delimiter.join((f"{x:.9g}", str(y), last)) + "\n" for x, y in rows)


def read(path, content, **options):
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_file(path, **options)


def check(spectrum, ivar=4.0):
    np.testing.assert_allclose(spectrum.wavelength, WAVELENGTH, rtol=1e-7)
    np.testing.assert_allclose(spectrum.flux, FLUX)
    np.testing.assert_allclose(spectrum.ivar, ivar, rtol=1e-6)


@pytest.mark.parametrize(
    "content",
    [
        text(),
        text("wavelength,flux,ivar\n"),
        text("\ufeffwavelength,flux,ivar\n"),
        "\ufeff" + text(),
        text("# wavelength flux ivar\n", delimiter=" "),
        text("#wave(AA) flux ivar\n", delimiter=" "),
        text(delimiter=";"),
        text("Wavelength;Flux;IVAR\n", delimiter=";"),
        text(delimiter="\t"),
        text(delimiter="   "),
        text("wavelength [Angstrom], flux, ivar\n", delimiter=", "),
        text('"wave","flux","ivar"\n'),
        text("# made by hand\n# from two plates\n\n"),
        text().replace("\n", "\r\n"),
        text().replace("\n", "  # a remark\n"),
        text("wavelength,flux,error\n", last="0.5"),
        text("wavelength,flux,sigma\n", last="0.5"),
        text("# lambda flux e_flux\n", last="0.5", delimiter=" "),
        text("wavelength,flux,variance\n", last="0.25"),
        text("wave_nm,flux,ivar\n", factor=0.1),
        text("wavelength (nm),flux,ivar\n", factor=0.1),
        text("lambda[um],flux,ivar\n", factor=1e-4),
    ],
)
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_text_is_read_as_people_write_it(tmp_path, content, pack):
    check(read(tmp_path / "spectrum.csv", pack(content.encode())))


def test_columns_are_found_by_name_in_any_order_and_others_are_left(tmp_path):
    rows = "".join(f"{n},0.5,{y},9,{x:.4f}\n" for n, (x, y) in enumerate(zip(WAVELENGTH, FLUX, strict=True)))
    spectrum = read(tmp_path / "a.csv", "pixel,err,flux,mask,lambda\n" + rows)
    check(spectrum)
    assert set(spectrum.pixel_flags) == {9}


def test_a_fourth_column_of_whole_numbers_is_a_mask(tmp_path):
    rows = "".join(f"{x:.4f} {y} 4 {n}\n" for n, (x, y) in enumerate(zip(WAVELENGTH, FLUX, strict=True)))
    spectrum = read(tmp_path / "a.txt", rows)
    check(spectrum)
    assert list(spectrum.pixel_flags) == list(range(40))


def test_log_wavelengths_are_known_by_their_name(tmp_path):
    rows = "".join(f"{x:.12f} {y} 4\n" for x, y in zip(np.log10(WAVELENGTH), FLUX, strict=True))
    check(read(tmp_path / "a.txt", "loglam flux ivar\n" + rows))


def test_values_that_mean_nothing_have_no_weight(tmp_path):
    lines = text("wavelength,flux,ivar\n").splitlines()
    lines[3], lines[4] = lines[3].replace("1.2", "NaN"), lines[4].replace(",4.0", ",")
    spectrum = read(tmp_path / "a.csv", "\n".join(lines))
    assert list(spectrum.ivar[:5]) == [4, 4, 0, 0, 4]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (
            text(factor=0.1),
            "wavelengths go from 360 to 1000, which looks like nm, .* name the column wavelength_nm",
        ),
        (text(factor=1e-4), "from 0.36 to 1, which looks like micron, .* wavelength_um"),
        (
            "".join(f"{x:.12f} 1 4\n" for x in np.log10(WAVELENGTH)),
            "from 3.5563 to 4, which looks like log10 of Angstrom, .* loglam",
        ),
        (
            text("wavelength (furlong),flux,ivar\n"),
            "wavelengths are in 'furlong', expected Angstrom, nm, um or log10",
        ),
        (text("loglam,flux,ivar\n"), "loglam is at most 10000, expected log10 of wavelengths"),
        (text("x,y,z\n"), "its columns are x, y, z; expected wavelength .or loglam., flux"),
        (text("wavelength,flux\n"), "2 names of columns, but 3 values in a row"),
        (text() + "9999,1\n", "line 41 has 2 values, those before have 3"),
        (text() + "9999,one,4\n", "'one' in line 41 is no number"),
        (
            text(last="4,0.5"),
            "4 columns, expected wavelength, flux and optionally ivar and a mask of whole numbers",
        ),
        (text(last="4,0,0"), "5 columns, expected"),
        ("1,2,3\n", "1 rows, 3 columns, expected at least 2 of each"),
        (b"\x80\x81\x82" * 100, "the byte 0x80 in line 1 is no UTF-8 text"),
        (gzip.compress(text().encode(), mtime=0)[:-9], "end too early"),
        (b"", "the file is empty"),
        (b"PAR1 nothing", "is no complete Parquet file"),
        ("# %ECSV 1.0\nx\n", "is no ECSV file"),
    ],
)
def test_what_is_not_clear_is_refused_by_name(tmp_path, content, told):
    with pytest.raises(SpectrumError, match=rf"a\.txt: .*{told}") as caught:
        read(tmp_path / "a.txt", content)
    assert caught.value.code == "unreadable_file"


def table(**changes):
    return Table({"wave": WAVELENGTH, "flux": FLUX, "error": np.full(40, 0.5)} | changes)


def test_ecsv_is_read_with_its_units(tmp_path):
    made = table(wave=WAVELENGTH / 10)
    made["wave"].unit = units.nm
    made.write(tmp_path / "a.ecsv", format="ascii.ecsv")
    check(read_file(tmp_path / "a.ecsv"))
    made["wave"].unit = units.K
    made.write(tmp_path / "b.ecsv", format="ascii.ecsv")
    with pytest.raises(SpectrumError, match="wavelengths are in 'k', expected Angstrom"):
        read_file(tmp_path / "b.ecsv")


def test_parquet_is_read_with_its_units(tmp_path):
    fields = [
        pa.field("wave", pa.float64(), metadata={"unit": "um"}),
        pa.field("flux", pa.float32()),
        pa.field("ivar", pa.float64()),
        pa.field("note", pa.string()),
    ]
    columns = [WAVELENGTH / 1e4, FLUX.astype(np.float32), IVAR, ["x"] * 40]
    pq.write_table(pa.table(columns, schema=pa.schema(fields)), tmp_path / "a.dat")
    spectrum = read_file(tmp_path / "a.dat")
    np.testing.assert_allclose(spectrum.wavelength, WAVELENGTH)
    np.testing.assert_allclose(spectrum.ivar, 4.0)


@pytest.mark.parametrize("cells", [False, True])
def test_a_fits_table_is_read_by_its_names_and_units(tmp_path, cells):
    """Also as archives of large surveys have it: one row of arrays."""
    form, columns = (
        ("40D", [[WAVELENGTH / 10], [FLUX], [IVAR]]) if cells else ("D", [WAVELENGTH / 10, FLUX, IVAR])
    )
    made = [
        fits.Column("WAVE", form, unit="nm", array=columns[0]),
        fits.Column("FLUX", form, array=columns[1]),
        fits.Column("IVAR", form, array=columns[2]),
        fits.Column("NAME", "4A", array=["a"] * len(columns[0])),
    ]
    fits.BinTableHDU.from_columns(made).writeto(tmp_path / "a.fits")
    check(read_file(tmp_path / "a.fits"))


def test_air_wavelengths_become_vacuum_wavelengths_whatever_the_file(tmp_path, spec_full):
    expected = air_to_vacuum(WAVELENGTH)
    np.testing.assert_allclose(read(tmp_path / "a.csv", text(), air=True).wavelength, expected, rtol=1e-7)
    made = table()
    made["wave"].unit = units.AA
    made.write(tmp_path / "a.ecsv", format="ascii.ecsv")
    made.write(tmp_path / "a.fits")
    for name in ("a.ecsv", "a.fits"):
        np.testing.assert_allclose(read_file(tmp_path / name, air=True).wavelength, expected)
    path = spec_full()
    np.testing.assert_allclose(
        read_file(path, air=True).wavelength, air_to_vacuum(read_spec_full(path).wavelength)
    )


def test_an_mwm_star_file_is_never_in_air(tmp_path):
    path = tmp_path / "a.fits"
    made = fits.BinTableHDU.from_columns(
        [fits.Column("flux", "3E", array=[[1.0, 2.0, 3.0]])], name="BOSS/APO"
    )
    made.writeto(path)
    with pytest.raises(SpectrumError, match="whose wavelengths are in vacuum; repeat without --air"):
        read_file(path, air=True)


@pytest.mark.parametrize("name", ["a.fits", "a.fits.gz", "A.FITS.GZ", "a.txt", "a"])
@pytest.mark.parametrize("pack", [bytes, gzip.compress, bz2.compress, lzma.compress])
def test_a_file_is_what_its_content_says(tmp_path, spec_full, name, pack):
    content = spec_full("made.fits").read_bytes()
    assert len(read(tmp_path / name, pack(content)).flux) == 4600
    check(read(tmp_path / name, pack(text().encode())))
