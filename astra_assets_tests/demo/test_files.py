"""The files of the survey: real formats, and one story told by all of them."""

from __future__ import annotations

import shutil
import subprocess

import numpy as np
import pytest
from astropy.io import fits

from astra_assets.demo.pixels import MASK_BITS
from astra_assets.demo.spall_columns import SPALL_COLUMNS
from astra_assets.files.paths import spec_full_path
from astra_assets.models import cartons
from astra_assets.spectra.read import read_spec_full
from astra_assets.synthesis.templates import KINDS

SCRAPED = (
    "PLATEID", "CARTID", "MAPID", "SLITID", "PSFSKY", "PREJECT", "NSTD", "NGAL", "LOWREJ",
    "HIGHREJ", "SCATPOLY", "PROFTYPE", "NFITPOLY", "ALT", "AZ", "AIRMASS", "DUSTA", "DUSTB",
    "GUSTS", "GUSTD", "HUMIDITY", "PRESSURE", "WINDD", "WINDS", "TAI-BEG", "TAI-END", "SKYCHI2",
    "SCHI2MIN", "SCHI2MAX",
)  # fmt: skip
SPECTRUM = ["FLUX", "LOGLAM", "IVAR", "AND_MASK", "OR_MASK", "WDISP", "SKY", "MODEL", "WRESL"]


def path_of(demo, row):
    return demo.root / spec_full_path("v6_2_1", row["FIELD"], row["MJD"], row["CATALOGID"], row["SPEC_FILE"])


@pytest.fixture(scope="module")
def spectra(demo, spall):
    """Header and table of each spectrum, by row of spAll."""
    opened = []
    for row in spall:
        with fits.open(path_of(demo, row), memmap=False) as hdus:
            opened.append((hdus[0].header, hdus[1].data))
    return opened


def key(row):
    return (int(row["FIELD"]), int(row["MJD"]), int(row["CATALOGID"]))


def test_spall_has_the_columns_of_the_real_file(spall, demo):
    assert spall.names == [name for name, _, _ in SPALL_COLUMNS]
    assert len(spall.names) == 147
    formats = {column.name: column.format for column in spall.columns}
    for name, form, _ in SPALL_COLUMNS:
        assert formats[name].endswith(form[-1])
        assert form in {"A", "B"} or formats[name] == form, name
    assert demo.spall.name == "spAll-v6_2_1.fits.gz"


def test_every_row_of_spall_has_its_file_and_no_file_is_left_over(demo, spall):
    paths = {path_of(demo, row) for row in spall}
    assert paths == set(demo.root.rglob("spec-*.fits"))
    assert len(paths) == len(spall)


def test_lists_of_spall_have_one_value_per_exposure(spall):
    for name in ("MOON_DIST", "MOON_PHASE", "DELTA_RA_LIST", "DELTA_DEC_LIST", "MJD_LIST"):
        assert [len(text.split()) for text in spall[name]] == spall["NEXP"].tolist()
        assert np.all(np.isfinite([float(number) for text in spall[name] for number in text.split()]))


def test_headers_have_what_ingestion_reads(spectra):
    for header, _ in spectra:
        assert [name for name in SCRAPED if name not in header] == []
        assert header["TAI-END"] > header["TAI-BEG"]
        assert abs(header["TAI-BEG"] / 86400 - header["MJD"] - 0.25) < 0.3
    assert {"AIRTEMP" in header for header, _ in spectra} == {True, False}
    assert {str(header["PLATEID"]).isdigit() for header, _ in spectra} == {True, False}


def test_spectra_lie_on_the_native_grid_and_have_bad_pixels(spectra):
    for _, table in spectra:
        assert table.names == SPECTRUM
        assert 4580 <= len(table) <= 4648
        pixels = (table["LOGLAM"].astype(float) - 3.5523) / 1e-4
        assert np.max(np.abs(pixels - np.round(pixels))) < 0.01
        assert np.allclose(np.diff(pixels), 1, atol=0.01)
        assert np.all(np.isfinite(table["FLUX"]))
        assert np.all(table["IVAR"] >= 0)
        assert 0 < np.mean(table["IVAR"] == 0) < 0.15
        assert np.all(table["OR_MASK"] | ~table["AND_MASK"] == -1)
        assert np.all(table["OR_MASK"][table["IVAR"] == 0] != 0)
        resolving_power = 10.0 ** table["LOGLAM"] / table["WRESL"]
        assert np.all((resolving_power > 1300) & (resolving_power < 3200))
    seen = np.bitwise_or.reduce([np.bitwise_or.reduce(table["OR_MASK"]) for _, table in spectra])
    assert all(seen >> bit & 1 for bit in MASK_BITS.values())


def test_errors_describe_the_scatter(spectra, spall):
    """Neighbouring pixels of a smooth part of the continuum differ by their errors."""
    row = int(np.argmax(np.where(spall["CLASS"] == "STAR", spall["SN_MEDIAN_ALL"], 0)))
    table = spectra[row][1]
    wavelength = 10.0 ** table["LOGLAM"].astype(float)
    part = (wavelength > 5100) & (wavelength < 5500) & (table["IVAR"] > 0) & (table["OR_MASK"] == 0)
    flux, ivar = table["FLUX"][part].astype(float), table["IVAR"][part].astype(float)
    curvature = flux[1:-1] - (flux[:-2] + flux[2:]) / 2
    expected = 1 / ivar[1:-1] + (1 / ivar[:-2] + 1 / ivar[2:]) / 4
    assert np.std(curvature / np.sqrt(expected)) == pytest.approx(1.0, abs=0.2)


def test_snr_of_spall_is_that_of_the_pixels(spectra, spall):
    for row, (_, table) in zip(spall, spectra, strict=True):
        good = table["IVAR"] > 0
        measured = np.median(table["FLUX"][good] * np.sqrt(table["IVAR"][good]))
        assert row["SN_MEDIAN_ALL"] == pytest.approx(measured, rel=1e-4)
        assert 2.5 < measured < 62


def test_the_package_reads_them(demo, spall):
    spectrum = read_spec_full(path_of(demo, spall[0]))
    assert spectrum.snr > 2
    assert spectrum.pixel_flags is not None
    assert spectrum.wresl is not None


def test_spall_row_in_the_file_is_the_one_of_spall(demo, spall):
    with fits.open(path_of(demo, spall[3])) as hdus:
        assert [hdu.name for hdu in hdus] == ["PRIMARY", "COADD", "SPALL", "ZALL", "ZLINE"]
        inner = hdus["SPALL"].data[0]
        for name in ("CATALOGID", "SN_MEDIAN_ALL", "MOON_DIST", "SDSS5_TARGET_FLAGS", "SN_MEDIAN"):
            assert np.array_equal(inner[name], spall[3][name])


def test_truth_has_the_promised_columns(truth):
    names = ["sdss_id", "kind", "teff", "logg", "v_rad", "mwm_wd", "fe_h"]
    counts = ["has_boss", "has_apogee", "n_boss_visits", "n_apogee_visits"]
    assert truth["SOURCES"].names == names + counts
    assert truth["VISITS"].names == ["sdss_id", "fieldid", "mjd", "catalogid", "v_rad", "snr", "instrument"]
    assert set(truth["VISITS"]["instrument"]) == {"BOSS"}
    assert set(truth["APOGEE_VISITS"]["instrument"]) == {"APOGEE"}
    assert set(truth["SOURCES"]["kind"]) == set(KINDS)
    da = truth["SOURCES"][truth["SOURCES"]["kind"] == "DA"]
    assert np.all(np.isfinite(da["teff"]) & np.isfinite(da["logg"]) & np.isfinite(da["v_rad"]))


def test_truth_says_what_the_stars_with_apogee_spectra_are(truth):
    sources = truth["SOURCES"]
    stars = sources[sources["has_apogee"]]
    assert np.all(stars["kind"] == "STAR")
    assert np.all(np.isfinite(stars["teff"]) & np.isfinite(stars["logg"]) & np.isfinite(stars["fe_h"]))
    assert {(bool(row["has_boss"]), bool(row["has_apogee"])) for row in sources} == {
        (True, True),
        (True, False),
        (False, True),
    }
    for name, table in (("n_boss_visits", "VISITS"), ("n_apogee_visits", "APOGEE_VISITS")):
        ids, counts = np.unique(truth[table]["sdss_id"], return_counts=True)
        assert dict(zip(ids, counts, strict=True)) == {
            row["sdss_id"]: row[name] for row in sources if row[name]
        }


def test_truth_catalogue_and_spall_agree(truth, catalog, spall, demo):
    sources = truth["SOURCES"]
    assert sources["sdss_id"].tolist() == catalog["sdss_id"].tolist()
    in_program = cartons.in_program([bytes(bits) for bits in catalog["sdss5_target_flags"]], "mwm_wd")
    assert in_program.tolist() == sources["mwm_wd"].tolist()
    rows = {key(row): row for row in spall}
    listed = {
        sdss_id: set(ids)
        for sdss_id, *ids in zip(
            *(
                catalog[name]
                for name in ("sdss_id", "catalogid", "catalogid21", "catalogid25", "catalogid31")
            ),
            strict=True,
        )
    }
    assert len(truth["VISITS"]) == demo.visits
    for visit in truth["VISITS"]:
        row = rows.pop((visit["fieldid"], visit["mjd"], visit["catalogid"]))
        assert visit["snr"] == pytest.approx(row["SN_MEDIAN_ALL"], rel=1e-6)
        assert visit["catalogid"] in listed[visit["sdss_id"]]
        assert row["SDSS_ID"] in {visit["sdss_id"], -999}
    everyone = set().union(*listed.values()) - {-1}
    assert rows
    assert not everyone & {row["CATALOGID"] for row in rows.values()}


def test_the_velocity_is_in_the_pixels(truth, spall, spectra):
    """H-alpha of the normal stars lies where the true velocity puts it; in cool ones it is one of many lines."""
    rows = {key(row): number for number, row in enumerate(spall)}
    sources = truth["SOURCES"]
    stars = sources["sdss_id"][(sources["kind"] == "STAR") & (sources["teff"] > 5200)]
    visits = [visit for visit in truth["VISITS"] if visit["sdss_id"] in stars and visit["snr"] > 15]
    assert visits
    for visit in visits:
        table = spectra[rows[(visit["fieldid"], visit["mjd"], visit["catalogid"])]][1]
        velocity = (10.0 ** table["LOGLAM"].astype(float) / 6564.61 - 1) * 299792.458
        near = (np.abs(velocity - visit["v_rad"]) < 700) & (table["IVAR"] > 0)
        edges = np.quantile(table["FLUX"][near], 0.85)
        depth = np.clip(edges - table["FLUX"][near], 0, None)
        assert np.sum(depth * velocity[near]) / np.sum(depth) == pytest.approx(visit["v_rad"], abs=60)


def test_xcsao_velocities_scatter_by_their_errors(spall, truth):
    true = {(v["fieldid"], v["mjd"], v["catalogid"]): v["v_rad"] for v in truth["VISITS"]}
    kinds = dict(zip(truth["SOURCES"]["sdss_id"], truth["SOURCES"]["kind"], strict=True))
    rows = [
        row for row in spall if kinds.get(row["SDSS_ID"]) in {"DA", "STAR", "SDB"} and row["XCSAO_ERV"] > 0
    ]
    pulls = [(row["XCSAO_RV"] - true[key(row)]) / row["XCSAO_ERV"] for row in rows]
    assert len(pulls) > 10
    assert 0.5 < np.median(np.abs(pulls)) / 0.6745 < 1.6


def test_catalogue_has_the_layout_of_a_public_file(catalog, demo):
    assert catalog.names[:3] == ["sdss_id", "sdss4_apogee_id", "gaia_dr2_source_id"]
    assert len(catalog.names) == 137
    assert all(name == name.lower() for name in catalog.names)
    formats = {column.name: column.format for column in catalog.columns}
    assert formats["ra"] == formats["plx"] == "E"
    assert formats["catalogid31"] == "K"
    assert formats["sdss5_target_flags"] == f"{catalog['sdss5_target_flags'].shape[1]}B"
    with fits.open(demo.catalog) as hdus:
        assert len(hdus) == 2
        assert hdus[1].header["V_ASTRA"] == "0.8.1"
    assert len(set(catalog["sdss_id"])) == len(catalog)
    assert np.all(catalog["n_boss_visits"] == -1)
    assert {bool(value) for value in np.isnan(catalog["w1_mag"]) & np.isfinite(catalog["w1_flux"])} == {
        True,
        False,
    }


def test_white_dwarfs_are_below_the_main_sequence(catalog, truth):
    kinds = truth["SOURCES"]["kind"]
    distance = 5 * np.log10(np.clip(catalog["plx"], 1e-3, None) / 100)
    absolute = catalog["g_mag"] + distance
    good = catalog["plx"] > 5 * catalog["e_plx"]
    assert np.all(absolute[good & (kinds == "DA")] > 6)
    assert np.all(absolute[kinds == "STAR"] < 11)  # M dwarfs are among them


@pytest.mark.skipif(
    shutil.which("fitsverify") is None, reason="fitsverify (Debian package libcfitsio-bin) is missing"
)
def test_fitsverify_finds_nothing(demo, spall):
    files = [demo.spall, demo.catalog, demo.truth, path_of(demo, spall[0]), path_of(demo, spall[-1])]
    done = subprocess.run(["fitsverify", "-q", *files], capture_output=True, text=True, check=False)
    assert done.stdout.count("verification OK") == len(files), done.stdout
