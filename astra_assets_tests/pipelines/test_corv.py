"""Corv: which visits it takes, and the row that it makes of one."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from scipy.ndimage import gaussian_filter1d
from sqlalchemy import insert

from astra_assets.astronomy.constants import SPEED_OF_LIGHT
from astra_assets.compute.lookups import Lookup, LookupQuery
from astra_assets.models.base import bit, layout, table_of, utcnow
from astra_assets.models.boss import BossCombinedSpectrum, BossVisitSpectrum
from astra_assets.models.cartons import cartons, pack
from astra_assets.models.source import Source
from astra_assets.models.spectrum import SpectrumKey
from astra_assets.pipelines.base import VERSION_PARAMETER, Unusable, WorkContext, reference_of
from astra_assets.pipelines.corv import CORV, Corv, fit_visit
from astra_assets.pipelines.snow_white import SnowWhite
from astra_assets.pipelines.white_dwarf.grid import LOG_STEP, load_grid
from astra_assets.registry.columns import own_columns
from astra_assets.spectra.base import Roots, Spectrum
from astra_assets_tests.project import PROJECT

STEP = CORV.step("visit")
WAVELENGTH = np.power(10.0, 3.5523 + 1e-4 * np.arange(4648))


def visit(teff=14_000, logg=8.0, v_rad=60.0, snr=30.0):
    grid = load_grid()
    smooth = gaussian_filter1d(grid.flux(teff, logg), 1 / (2000 * 2.3548 * np.log(10) * LOG_STEP))
    flux = np.interp(WAVELENGTH / (1 + v_rad / SPEED_OF_LIGHT), grid.wavelength, smooth)
    flux /= np.median(flux)
    error = np.sqrt(flux) / snr
    noise = np.random.default_rng(1).standard_normal(len(flux))
    return Spectrum(WAVELENGTH, flux + error * noise, error**-2)


def test_declaration_follows_the_names_that_people_rely_on():
    assert (CORV.name, CORV.key, CORV.group, CORV.product) == ("Corv", "corv", "CORV", "Corv")
    assert CORV.after == ("SnowWhite",)
    assert STEP.inputs is BossVisitSpectrum
    assert STEP.level == "visit"
    assert [one.code for one in STEP.requires] == ["not_mwm_wd", "no_wd_classification", "not_da_type"]
    assert reference_of(CORV) == "astra_assets.pipelines.corv:CORV"


def test_columns_and_headings_are_those_of_astra():
    assert table_of(Corv).name == "corv"
    assert [column.key for column in own_columns(Corv)] == [
        *("v_rad", "e_v_rad", "teff", "e_teff", "logg", "e_logg"),
        *("initial_teff", "initial_logg", "initial_v_rad", "rchi2", "result_flags"),
    ]
    headings = {entry.name: entry.heading for entry in layout(Corv)}
    assert headings["v_rad"] == "Radial Velocity (corv)"
    assert headings["e_logg"] == "Stellar Parameters"
    assert headings["initial_v_rad"] == "Initial values"
    assert headings["result_flags"] == "Summary Statistics"
    bits = [bit(Corv, "result_flags", one.code) for one in STEP.requires]
    assert bits == [1 << 5, 1 << 6, 1 << 7]


def test_importing_the_declaration_loads_no_numerical_library():
    code = (
        "import sys, astra_assets.pipelines.corv\n"
        "print([name for name in ('scipy', 'onnxruntime', 'astropy.io') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_row_of_a_visit():
    context = WorkContext(Roots(PROJECT, PROJECT), "0.8.1", utcnow())
    spectrum = visit()
    row = fit_visit(spectrum, STEP.resources(context))
    assert isinstance(row, Corv)
    assert np.std((spectrum.flux - row.model_flux) * np.sqrt(spectrum.ivar)) == pytest.approx(1, abs=0.1)
    assert row.v_rad == pytest.approx(60, abs=4 * row.e_v_rad)
    assert row.teff == pytest.approx(14_000, abs=4 * row.e_teff)
    assert row.logg == pytest.approx(8.0, abs=4 * row.e_logg)
    assert 1 < row.e_v_rad < 10
    assert row.rchi2 == pytest.approx(1, abs=0.2)
    assert row.initial_teff in load_grid().teff
    assert row.initial_logg in load_grid().logg
    assert abs(row.initial_v_rad - 60) <= 60
    assert row.result_flags == 0
    numbers = [getattr(row, column.key) for column in own_columns(Corv)]
    assert all(type(number) in {float, int} for number in numbers)


def test_row_is_flagged():
    assert fit_visit(visit(snr=6.0), load_grid()).result_flags & bit(Corv, "result_flags", "low_snr")
    faint = replace(visit(), row={"snr": 7.9})
    assert fit_visit(faint, load_grid()).result_flags == bit(Corv, "result_flags", "low_snr")
    dense = fit_visit(visit(logg=9.0, snr=1000), load_grid())
    assert dense.result_flags == bit(Corv, "result_flags", "logg_grid_edge_bad")


def test_featureless_visit_has_no_error_that_is_not_a_number():
    flat = Spectrum(WAVELENGTH, np.ones_like(WAVELENGTH), np.full_like(WAVELENGTH, 100.0))
    row = fit_visit(flat, load_grid())
    assert row.e_v_rad is None or row.e_v_rad > 20
    assert row.result_flags != 0
    assert all(np.isfinite(v) for c in own_columns(Corv) if (v := getattr(row, c.key)) is not None)


def test_visit_without_lines_is_unusable_with_a_code():
    spectrum = visit()
    spectrum.ivar[WAVELENGTH < 7000] = 0
    with pytest.raises(Unusable, match=r"two Balmer lines .* needed, 0 found") as raised:
        fit_visit(spectrum, load_grid())
    assert raised.value.code == "no_usable_lines"


def test_requirements_take_white_dwarfs_of_class_da_only():
    white_dwarf = next(one for one in cartons() if one.program == "mwm_wd")
    other = next(one for one in cartons() if one.program != "mwm_wd")
    columns = {
        "sdss5_target_flags": np.array(
            [pack([white_dwarf.label])] * 5 + [pack([other.label]), None], dtype=object
        ),
        "classification": np.array(["DA", "DA:", "DA/DAH", None, "", "DA", "DA"], dtype=object),
    }
    codes = np.full(7, "", dtype=object)
    for one in reversed(STEP.requires):
        codes[~np.asarray(one.test(columns), dtype=bool)] = one.code
    assert codes.tolist() == ["", *["not_da_type"] * 2, *["no_wd_classification"] * 2, *["not_mwm_wd"] * 2]


def test_class_is_that_of_the_best_coadd_of_this_version(database):
    source, key = table_of(Source), table_of(SpectrumKey)
    with database.begin() as connection:
        connection.execute(insert(source), [{"pk": pk, "sdss_id": pk} for pk in (1, 2, 3)])
        connection.execute(insert(key), [{"pk": pk, "spectrum_flags": 0} for pk in range(1, 20)])
        connection.execute(insert(table_of(BossVisitSpectrum)), [visit_row(pk, pk) for pk in (1, 2, 3)])
        coadds = [
            coadd_row(11, 1, "apo25m", 30),
            coadd_row(12, 1, "lco25m", 50),
            coadd_row(13, 2, "apo25m", 9),
        ]
        connection.execute(insert(table_of(BossCombinedSpectrum)), coadds)
        results = [(11, 8001, "DB"), (12, 8001, "DA"), (12, 7001, "DZ"), (13, 7002, "DA")]
        connection.execute(
            insert(table_of(SnowWhite)),
            [
                {"spectrum_pk": pk, "v_astra": version, "classification": name, "result_flags": 0}
                for pk, version, name in results
            ],
        )
    query = STEP.lookups["classification"].params(**{VERSION_PARAMETER: 8})
    found = Lookup.read(database, LookupQuery(query, ("classification",)))
    classes = found.add_to(pa.table({"source_pk": [1, 2, 3]}))
    assert classes["classification"].to_pylist() == ["DA", None, None]


def visit_row(pk, source_pk):
    row = {"spectrum_pk": pk, "source_pk": source_pk, "release": "sdss5", "filetype": "specFull"}
    row |= {"run2d": "v6_2_1", "mjd": 60_000, "fieldid": 1, "catalogid": pk, "healpix": 1, "spec_file": "x"}
    return row


def coadd_row(pk, source_pk, telescope, snr):
    row = {"spectrum_pk": pk, "source_pk": source_pk, "release": "sdss5", "filetype": "mwmStar", "snr": snr}
    row |= {"v_astra": "0.8.1", "sdss_id": source_pk, "run2d": "v6_2_1", "telescope": telescope}
    return row
