"""Flags and errors that follow from values of results, and which coadds Slam looks at."""

from __future__ import annotations

import math

import numpy as np
import pytest
from sqlalchemy import insert, select

from astra_assets.models.apogee import ApogeeCoaddedSpectrumInApStar
from astra_assets.models.base import table_of
from astra_assets.models.cartons import cartons, pack
from astra_assets.models.source import Source
from astra_assets.models.spectrum import SpectrumKey
from astra_assets.pipelines import pipeline
from astra_assets.pipelines.apogeenet import ApogeeNet
from astra_assets.pipelines.aspcap import COLUMNS
from astra_assets.pipelines.base import VERSION_PARAMETER
from astra_assets.pipelines.rules import Limits
from astra_assets.pipelines.slam import SLAM, is_candidate
from astra_assets.registry.flags import flag_definitions

STAR = {"teff": 5000.0, "logg": 4.4, "fe_h": 0.0}
PHOTOMETRY = {"g_mag": 12.0, "bp_mag": 13.2, "rp_mag": 10.7, "plx": 50.0}


def raised_by(key: str, row: dict[str, object]) -> set[str]:
    found = pipeline(key)
    value = found.derive(row)["result_flags"]
    return {flag.name for flag in flag_definitions(found.table, "result_flags") if flag.value & value}


@pytest.mark.parametrize(
    ("key", "row", "names"),
    [
        ("bossnet", STAR, set()),
        ("bossnet", {}, {"runtime_exception"}),
        ("bossnet", {"teff": math.nan, "logg": None}, {"runtime_exception"}),
        ("bossnet", STAR | {"teff": 1699.0}, {"unreliable_teff", "unreliable_fe_h", "suspicious_fe_h"}),
        ("bossnet", STAR | {"teff": 100_001.0}, {"unreliable_teff"}),
        ("bossnet", STAR | {"teff": 3899.0}, {"suspicious_fe_h"}),
        ("bossnet", STAR | {"teff": 3899.0, "logg": 3.0}, set()),
        ("bossnet", STAR | {"teff": 3899.0, "logg": 6.0}, {"unreliable_fe_h"}),
        ("apogeenet", STAR | {"teff": 3899.0}, set()),
        ("apogeenet", STAR | {"logg": 10.0}, {"unreliable_fe_h"}),
        ("apogeenet", STAR | {"logg": 10.1}, {"unreliable_logg", "unreliable_fe_h"}),
        ("apogeenet", STAR | {"fe_h": -4.1}, {"unreliable_fe_h"}),
        ("astronn", {"raw_teff": 5000.0, "raw_e_teff": 300.0}, set()),
        ("astronn", {"raw_teff": 5000.0, "raw_e_teff": 300.1}, {"uncertain_teff"}),
        ("astronn", {"raw_teff": 5000.0, "raw_logg": 2.0, "raw_e_logg": 0.21}, {"uncertain_logg"}),
        ("astronn", {"raw_teff": 5000.0, "raw_logg": 4.0, "raw_e_logg": 0.21}, set()),
        ("astronn", {"raw_teff": 5000.0, "raw_fe_h": -1.0, "raw_e_fe_h": 0.13}, {"uncertain_fe_h"}),
        ("astronn", {"raw_teff": 5000.0, "raw_fe_h": 0.0, "raw_e_fe_h": 0.01}, {"uncertain_fe_h"}),
        ("astronn", {}, {"no_result"}),
        ("astronn_dist", {"L_fakemag": 10.0, "e_L_fakemag": 1.9, "k_mag": 8.0, "ebv": 0.1}, set()),
        (
            "astronn_dist",
            {"L_fakemag": 10.0, "e_L_fakemag": 2.0, "k_mag": 8.0, "ebv": 0.1},
            {"fakemag_unreliable"},
        ),
        ("astronn_dist", {"ebv": 0.1}, {"missing_photometry", "no_result"}),
        (
            "astronn_dist",
            {"L_fakemag": 10.0, "e_L_fakemag": 1.0, "k_mag": 8.0},
            {"missing_extinction"},
        ),
        ("the_payne", STAR, set()),
        (
            "the_payne",
            STAR | {"teff": 3099.0, "logg": 5.3, "fe_h": 0.5},
            {"warn_teff", "warn_logg", "warn_fe_h"},
        ),
        ("the_payne", STAR | {"snr": 5.0}, set()),
        ("the_payne", {}, {"fitting_failure"}),
        ("mdwarftype", {"spectral_type": "M4.5"}, set()),
        ("mdwarftype", {"spectral_type": "K5.0"}, {"suspicious"}),
        ("mdwarftype", {"spectral_type": ""}, {"exception"}),
        ("aspcap", STAR | {"v_micro": 1.0, "rchi2": 5.0, "snr": 100.0, "std_v_rad": 0.1}, set()),
        ("aspcap", {"v_micro": 3.1}, {"high_v_micro"}),
        ("aspcap", {"rchi2": 1001.0}, {"high_rchi2"}),
        ("aspcap", {"snr": 19.9, "std_v_rad": 1.1}, {"low_snr", "high_std_v_rad"}),
        ("slam", PHOTOMETRY | {"teff": 3500.0, "fe_h": 0.0, "status": 2}, set()),
        ("slam", {"teff": 3500.0, "fe_h": 0.0}, set()),
        ("slam", PHOTOMETRY | {"teff": 4501.0, "fe_h": -1.1}, {"teff_outside_bounds", "fe_h_outside_bounds"}),
        ("slam", PHOTOMETRY | {"status": 1}, {"bad_optimizer_status"}),
        ("slam", PHOTOMETRY | {"bp_mag": 12.2}, {"outside_photometry_range"}),
        ("slam", PHOTOMETRY | {"plx": 1.0}, {"outside_photometry_range"}),
        ("slam", PHOTOMETRY | {"plx": -1.0}, set()),
    ],
)
def test_flags_follow_from_values_as_in_astra(key, row, names):
    assert raised_by(key, row) == names


def test_flags_that_a_program_gives_are_kept():
    assert raised_by("aspcap", {"result_flags": 1 << 24, "snr": 5.0}) == {"unphysical_parameters", "low_snr"}


def test_apogeenet_scales_formal_errors_and_leaves_given_ones_alone():
    derived = pipeline("apogeenet").derive(STAR | {"raw_e_teff": 40.0, "raw_e_logg": 0.1, "e_logg": 0.3})
    assert derived["e_teff"] == pytest.approx(60.0)
    assert not {"e_logg", "e_fe_h"} & derived.keys()


@pytest.mark.parametrize(
    ("limits", "text"),
    [
        (Limits("teff", 1700, 100_000, "K"), "outside 1700 to 100000 K"),
        (Limits("fe_h", -1.4, 0.4), "outside -1.4 to 0.4"),
        (Limits("snr", low=70), "below 70"),
        (Limits("v_micro", high=3, unit="km/s"), "above 3 km/s"),
    ],
)
def test_the_text_of_a_flag_says_its_limit(limits, text):
    assert str(limits) == text


def program_bits(program: str) -> bytes:
    return pack([next(one.label for one in cartons() if one.program == program)])


@pytest.mark.parametrize(
    ("g_mag", "rp_mag", "plx", "program", "kept"),
    [
        (12.0, 11.0, 50.0, None, True),
        (12.0, 11.45, 50.0, None, False),
        (12.0, 11.0, 5.0, None, False),
        (12.0, 11.0, 0.0, None, False),
        (12.0, 11.0, -3.0, None, False),
        (None, 11.0, 50.0, None, False),
        (12.0, None, 50.0, None, False),
        (12.0, 11.0, None, None, False),
        (None, None, None, "mwm_yso", True),
        (12.0, 12.0, 0.1, "mwm_snc", True),
        (12.0, 12.0, 0.1, "mwm_wd", False),
        (12.0, 11.0, 50.0, "mwm_wd", True),
    ],
)
def test_slam_looks_at_red_faint_stars_and_at_two_programs(g_mag, rp_mag, plx, program, kept):
    columns = {
        name: np.array([math.nan if value is None else value])
        for name, value in (("g_mag", g_mag), ("rp_mag", rp_mag), ("plx", plx))
    }
    columns["sdss5_target_flags"] = np.array([program_bits(program) if program else None], dtype=object)
    assert is_candidate(columns).tolist() == [kept]


def test_the_magnitude_limit_of_slam_is_absolute():
    requirement = SLAM.step("star_filter").requires[0]
    assert requirement.code == "not_magnitude_cut"
    plx = 10 ** ((5.553 - 12 + 10) / 5)
    columns = {
        "g_mag": np.full(2, 12.0),
        "rp_mag": np.full(2, 11.0),
        "plx": np.array([plx * 1.001, plx * 0.999]),
        "sdss5_target_flags": np.array([None, None], dtype=object),
    }
    assert requirement.test(columns).tolist() == [True, False]


def test_aspcap_is_given_the_result_of_apogeenet_of_this_version(database):
    coadd = table_of(ApogeeCoaddedSpectrumInApStar)
    with database.begin() as connection:
        connection.execute(insert(table_of(Source)), [{"pk": 1, "sdss_id": 1, "zgr_teff": 4900.0}])
        connection.execute(insert(table_of(SpectrumKey)), [{"pk": pk, "spectrum_flags": 0} for pk in (1, 2)])
        common = {
            "source_pk": 1,
            "release": "sdss5",
            "apred": "1.5",
            "apstar": "stars",
            "telescope": "apo25m",
        }
        connection.execute(
            insert(coadd),
            [
                common | {"spectrum_pk": pk, "star_pk": pk, "obj": f"2M{pk}", "std_v_rad": 0.5 * pk}
                for pk in (1, 2)
            ],
        )
        connection.execute(
            insert(table_of(ApogeeNet)),
            [
                {"spectrum_pk": 1, "v_astra": version, "teff": teff, "result_flags": 0}
                for version, teff in ((8001, 5000.0), (7001, 6000.0))
            ],
        )
    query = (
        select(*(COLUMNS[name].label(name) for name in ("apogeenet_teff", "std_v_rad", "zgr_teff")))
        .select_from(coadd.join(table_of(Source), coadd.c.source_pk == Source.c.pk))
        .order_by(coadd.c.spectrum_pk)
    )
    with database.connect() as connection:
        found = connection.execute(query, {VERSION_PARAMETER: 8}).all()
    assert found == [(5000.0, 0.5, 4900.0), (None, 1.0, 4900.0)]
