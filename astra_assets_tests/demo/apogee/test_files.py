"""apVisit and apStar files of the demo: the layout of real ones, and what the package reads from them."""

from __future__ import annotations

import shutil
import subprocess

import numpy as np
import pytest
from astropy.io import fits

from astra_assets.astronomy.constants import SPEED_OF_LIGHT
from astra_assets.files.paths import ap_visit_path
from astra_assets.ingest.apogee.ap_star_headers import NUMBERS
from astra_assets.spectra.apogee import read_ap_star, read_ap_visit

VISIT_SHAPES = [(), *[(3, 4096)] * 4, *[()] * 4, (3, 14), (3, 26)]
REAL = ("apVisit-r13-9518-57729-104.fits", "apStar-r6-2M19535443+4424541.fits")


@pytest.fixture(scope="module")
def visits(demo, truth):
    """Path and truth of each apVisit file."""
    found = []
    for row in truth["APOGEE_VISITS"]:
        names = {name: row[name] for name in ("release", "telescope", "field", "plate", "mjd", "fiber")}
        south = row["telescope"].startswith("lco")
        more = {
            "apred": "dr17" if row["release"] == "dr17" else "1.5",
            "prefix": "as" if south else "ap",
            "reduction": "",
        }
        found.append((demo.root / ap_visit_path(names | more), row))
    return found


@pytest.fixture(scope="module")
def stars(demo):
    return sorted(demo.root.rglob("a[ps]Star-*.fits"))


def layout(path):
    with fits.open(path, memmap=False) as hdus:
        return [(type(hdu).__name__, hdu.header.get("BUNIT", "")) for hdu in hdus]


def test_there_is_a_file_of_each_visit_but_those_that_are_said_to_be_missing(visits, demo):
    assert [path.exists() for path, _ in visits] == [bool(row["has_file"]) for _, row in visits]
    unlinked = set(demo.root.rglob("a[ps]Visit-*.fits")) - {path for path, _ in visits}
    assert 0 < len(unlinked) < 5


def test_hdus_are_those_of_real_files(visits, stars, real_spectra):
    for path, real in zip((visits[0][0], stars[0]), REAL, strict=True):
        ours, theirs = layout(path), layout(real_spectra / "apogee" / real)
        assert [kind for kind, _ in ours] == [kind for kind, _ in theirs]
        assert [unit for _, unit in ours][1:4] == [unit for _, unit in theirs][1:4]


def test_apvisit_files_have_the_shapes_and_headers_of_real_ones(visits):
    sizes = set()
    for path, row in visits:
        if not row["has_file"]:
            continue
        with fits.open(path, memmap=False) as hdus:
            assert len(hdus) == 12
            pixels = hdus[1].header["NAXIS1"]
            sizes.add(pixels)
            shapes = [hdu.shape for hdu in hdus[:11]]
            assert shapes == [(3, pixels) if shape == (3, 4096) else shape for shape in VISIT_SHAPES]
            assert [hdu.header["BITPIX"] for hdu in hdus[1:5]] == [-32, -32, 16, -64]
            header = hdus[0].header
            assert header["MJD5"] == row["mjd"]
            assert header["FIBERID"] == row["fiber"]
            assert header["NCOMBINE"] >= 2
            assert header["EXPTIME"] >= 500
            assert header["SNR"] == pytest.approx(row["snr"], rel=1e-6)
            assert ("VRAD" in header) == row["in_stack"]
            assert hdus[11].data["FILE"][0] == path.name
    assert sizes == {2048, 4096}


def test_visits_read_back_have_the_put_in_snr(visits):
    for path, row in visits:
        if row["has_file"]:
            spectrum = read_ap_visit(path)
            green = (spectrum.wavelength > 15_860) & (spectrum.wavelength < 16_430) & (spectrum.ivar > 1e-15)
            assert np.median(spectrum.flux[green] * np.sqrt(spectrum.ivar[green])) == pytest.approx(
                row["snr"], rel=0.01
            )


def test_apstar_files_list_their_visits(stars):
    rows = set()
    for path in stars:
        with fits.open(path, memmap=False) as hdus:
            assert len(hdus) == 10
            header, images = hdus[0].header, [np.atleast_2d(hdus[number].data) for number in (1, 2, 3)]
            count = header["NVISITS"]
            rows.add(count)
            assert [image.shape for image in images] == [(count + 2 if count > 1 else 1, 8575)] * 3
            assert images[2].dtype.itemsize == (2 if "dr17" in path.name else 8)
            assert (hdus[1].header["CRVAL1"], hdus[1].header["CDELT1"]) == (4.179, 6e-6)
            assert all(any(key in header for key in keys) for keys in NUMBERS.values())
            for number in range(1, count + 1):
                assert f"-{header[f'FIBER{number}']:03d}.fits" in header[f"SFILE{number}"]
            assert f"SFILE{count + 1}" not in header
            assert len(hdus[9].data) == count
    assert 1 in rows
    assert max(rows) > 2


def test_a_visit_without_velocity_is_in_no_coadd(visits, stars):
    listed = set()
    for path in stars:
        header = fits.getheader(path)
        listed |= {header[f"SFILE{number}"] for number in range(1, header["NVISITS"] + 1)}
    assert {path.name: path.name in listed for path, _ in visits} == {
        path.name: bool(row["in_stack"]) for path, row in visits
    }


def test_visits_in_apstar_files_are_those_of_apvisit_files_at_rest(visits, stars):
    files = {path.name: path for path, row in visits if row["has_file"]}
    checked = 0
    for path in stars:
        header = fits.getheader(path)
        for number in range(1, header["NVISITS"] + 1):
            name = header[f"SFILE{number}"]
            if name not in files or header[f"SNRVIS{number}"] < 30:
                continue
            inside, outside = read_ap_star(path, visit=name), read_ap_visit(files[name])
            at_rest = outside.wavelength / (1 + header[f"VRAD{number}"] / SPEED_OF_LIGHT)
            expected = np.interp(inside.wavelength, at_rest, outside.flux)
            good = inside.pixel_flags == 0
            assert good.sum() > 4000
            assert np.median(np.abs(inside.flux[good] / expected[good] - 1)) < 1e-4
            checked += 1
    assert checked > 5


@pytest.mark.skipif(
    shutil.which("fitsverify") is None, reason="fitsverify (Debian package libcfitsio-bin) is missing"
)
def test_fitsverify_finds_nothing(demo, visits, stars):
    files = (
        [path for path, row in visits if row["has_file"]][::4]
        + stars[::3]
        + sorted(demo.root.rglob("all*.fits"))
    )
    done = subprocess.run(["fitsverify", "-q", *files], capture_output=True, text=True, check=False)
    assert done.stdout.count("verification OK") == len(files), done.stdout
