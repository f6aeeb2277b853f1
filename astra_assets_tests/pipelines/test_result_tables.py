"""The result tables of all pipelines: names, order and flags that people and other programs rely on."""

from __future__ import annotations

import json
import re

import pytest
from astropy import units
from astropy.io.votable.ucd import parse_ucd

from astra_assets.config.declared import all_products
from astra_assets.models.base import PipelineResult, layout, table_of
from astra_assets.pipelines import PIPELINES, pipeline
from astra_assets.registry.columns import info, own_columns
from astra_assets.registry.flags import flag_definitions
from astra_assets_tests.project import DATA

ASTRA_COLUMNS = {
    name: columns.split() for name, columns in json.loads((DATA / "result_columns.json").read_text()).items()
}
"""Columns of tables that Astra 0.8.0 created, in its order."""

RESULTS = {each.name: each for each in PIPELINES if issubclass(each.table, PipelineResult)}


@pytest.mark.parametrize("name", sorted(ASTRA_COLUMNS))
def test_tables_have_the_columns_of_astra_in_its_order(name):
    tables = {table_of(each.table).name: table_of(each.table) for each in RESULTS.values()}
    assert [column.name for column in tables[name].columns] == ASTRA_COLUMNS[name]


@pytest.mark.parametrize(
    ("name", "key", "group", "table", "products"),
    [
        ("ApogeeNet", "apogeenet", "ApogeeNet", "apogee_net", "astraAllStarAPOGEENet astraAllVisitAPOGEENet"),
        ("ASPCAP", "aspcap", "ASPCAP", "aspcap", "astraAllStarASPCAP"),
        ("AstroNN", "astronn", "AstroNN", "astro_nn", "astraAllStarAstroNN astraAllVisitAstroNN"),
        ("AstroNNdist", "astronn_dist", "AstroNN_Dist", "astro_nn_dist", "astraAllStarAstroNNDist"),
        ("BossNet", "bossnet", "BOSSNet", "boss_net", "astraAllStarBOSSNet astraAllVisitBOSSNet"),
        ("Corv", "corv", "CORV", "corv", "astraAllVisitCorv"),
        (
            "LineForest",
            "line_forest",
            "LineForest",
            "line_forest",
            "astraAllStarLineForest astraAllVisitLineForest",
        ),
        (
            "MDwarfType",
            "mdwarftype",
            "MDwarfType",
            "m_dwarf_type",
            "astraAllStarMDwarfType astraAllVisitMDwarfType",
        ),
        ("Slam", "slam", "Slam", "slam", "astraAllStarSlam"),
        ("SnowWhite", "snow_white", "SnowWhite", "snow_white", "astraAllStarSnowWhite"),
        ("ThePayne", "the_payne", "ThePayne", "the_payne", "astraAllStarThePayne"),
    ],
)
def test_names_are_those_that_people_rely_on(name, key, group, table, products):
    found = RESULTS[name]
    assert (found.key, found.group, table_of(found.table).name) == (key, group, table)
    assert pipeline(key) is found
    own = [each.name for each in all_products().values() if each.pipeline is found]
    assert own == products.split()


BITS = {
    "SnowWhite": {
        0: "low_snr",
        1: "unconverged",
        2: "teff_grid_edge_bad",
        3: "logg_grid_edge_bad",
        4: "no_flux",
    },
    "Corv": {5: "not_mwm_wd", 6: "no_wd_classification", 7: "not_da_type"},
    "ApogeeNet": {0: "runtime_exception", 1: "unreliable_teff", 2: "unreliable_logg", 3: "unreliable_fe_h"},
    "BossNet": {0: "runtime_exception", 1: "unreliable_teff", 3: "unreliable_fe_h", 4: "suspicious_fe_h"},
    "AstroNN": {0: "uncertain_logg", 1: "uncertain_teff", 2: "uncertain_fe_h", 11: "no_result"},
    "AstroNNdist": {
        0: "fakemag_unreliable",
        1: "missing_photometry",
        2: "missing_extinction",
        11: "no_result",
    },
    "Slam": {0: "bad_optimizer_status", 1: "teff_outside_bounds", 2: "fe_h_outside_bounds"}
    | {3: "outside_photometry_range", 4: "not_magnitude_cut", 5: "not_carton_match"},
    "MDwarfType": {0: "suspicious", 1: "exception"},
    "ThePayne": {0: "fitting_failure", 1: "warn_teff", 2: "warn_logg", 3: "warn_fe_h", 4: "low_snr"},
    "ASPCAP": {0: "ferre_fail", 4: "spectrum_io_error", 5: "teff_grid_edge_warn", 8: "logg_grid_edge_bad"}
    | {10: "v_micro_grid_edge_bad", 12: "v_sini_grid_edge_bad", 13: "m_h_atm_grid_edge_warn"}
    | {16: "alpha_m_grid_edge_bad", 18: "c_m_atm_grid_edge_bad", 20: "n_m_atm_grid_edge_bad"}
    | {21: "suspicious_parameters", 22: "high_v_sini", 23: "high_v_micro", 24: "unphysical_parameters"}
    | {25: "high_rchi2", 26: "low_snr", 27: "high_std_v_rad"},
}


@pytest.mark.parametrize("name", sorted(BITS))
def test_bits_of_results_are_those_of_astra(name):
    found = {flag.bit: flag.name for flag in flag_definitions(RESULTS[name].table, "result_flags")}
    assert BITS[name].items() <= found.items()


ANY = -1
"""Stands for any bit."""


@pytest.mark.parametrize(
    ("name", "warn", "bad"),
    [
        ("SnowWhite", None, None),
        ("Corv", None, None),
        ("ApogeeNet", {3}, {0, 1, 2, 3}),
        ("BossNet", {3, 4}, {0, 1, 2, 3}),
        ("AstroNN", ANY, {0, 1, 2}),
        ("AstroNNdist", {2}, {0, 1, 11}),
        ("Slam", {0, 3}, {0, 1, 2, 3}),
        ("MDwarfType", None, ANY),
        ("ThePayne", ANY, {0}),
        ("ASPCAP", ANY, {*range(5), 6, 8, *range(21, 28)}),
    ],
)
def test_warnings_and_bad_results_follow_from_the_bits_of_astra(name, warn, bad):
    found = {each.name: each for each in info(table_of(RESULTS[name].table).c.result_flags).verdicts}
    for verdict, bits in (("flag_warn", warn), ("flag_bad", bad)):
        if bits is None:
            assert verdict not in found
            continue
        mask = None if bits == ANY else sum(1 << bit for bit in bits)
        assert found[verdict].mask == mask
        assert found[verdict].every == (name == "AstroNN" and verdict == "flag_bad")


def test_a_line_forest_has_no_flags():
    assert not [each.key for each in own_columns(RESULTS["LineForest"].table) if each.key.endswith("flags")]


def test_species_of_aspcap_have_their_columns_and_bits():
    aspcap = RESULTS["ASPCAP"].table
    names = [each.key for each in own_columns(aspcap)]
    species = [name.removesuffix("_rchi2") for name in names if re.search(r"(_h|_13)_rchi2$", name)]
    assert len(species) == 22
    for name in species:
        at = names.index(name)
        assert names[at : at + 4] == [name, f"e_{name}", f"{name}_flags", f"{name}_rchi2"]
        assert {f"raw_{name}", f"raw_e_{name}"} <= set(names)
        bits = {flag.bit: flag.name for flag in flag_definitions(aspcap, f"{name}_flags")}
        assert (bits[5], bits[11]) == ("censored_high_teff", "warn_m_h")
        limits = {"ce", "c", "cu", "na", "nd", "n", "o", "p", "s", "v"}
        assert (0 in bits) == (name.removesuffix("_h") in limits)
    pixels = [entry.name for entry in layout(aspcap) if entry.column is None]
    assert pixels == ["wavelength", "model_flux", "continuum", *(f"model_flux_{name}" for name in species)]


def test_columns_of_the_other_tables_are_those_of_astra_in_its_order():
    columns = {name: [each.key for each in own_columns(found.table)] for name, found in RESULTS.items()}
    assert columns["AstroNN"][:6] == ["teff", "e_teff", "logg", "e_logg", "c_h", "e_c_h"]
    assert columns["AstroNN"][43:46] == ["e_ni_h", "raw_teff", "raw_e_teff"]
    assert columns["AstroNN"][-1] == "result_flags"
    assert len(columns["AstroNN"]) == 4 * 22 + 1
    assert columns["AstroNNdist"] == [
        *("k_mag", "ebv", "A_k_mag", "L_fakemag", "e_L_fakemag", "dist", "e_dist", "result_flags"),
    ]
    assert columns["MDwarfType"] == ["spectral_type", "sub_type", "rchi2", "continuum", "result_flags"]
    assert columns["Slam"][9:11] == ["e_alpha_fe", "rho_teff_logg"]
    assert columns["Slam"][-6:] == ["success", "status", "optimality", "result_flags", "chi2", "rchi2"]
    assert columns["ThePayne"][:5] == ["v_rel", "teff", "e_teff", "logg", "e_logg"]
    assert len([name for name in columns["ThePayne"] if name.startswith("rho_")]) == 25 * 24 // 2
    assert columns["ThePayne"].index("reduced_chi2") + 1 == columns["ThePayne"].index("result_flags")


@pytest.mark.parametrize("name", sorted(RESULTS))
def test_every_column_and_bit_can_be_read_by_others(name):
    for entry in layout(RESULTS[name].table):
        found = entry.definition
        assert found.unit is None or units.Unit(found.unit, format="fits")
        assert found.ucd is None or parse_ucd(found.ucd, check_controlled_vocabulary=True)
        assert "'" not in found.description
        assert found.description.isascii()
    for column in own_columns(RESULTS[name].table):
        assert all(flag.text.isascii() and flag.text for flag in info(column).flags)


@pytest.mark.parametrize(
    "name", [each.name for each in RESULTS.values() if any(step.program for step in each.steps)]
)
def test_an_external_program_says_how_one_gets_it_and_names_no_site(name):
    for step in RESULTS[name].steps:
        if step.program is None:
            assert step.is_filter
            continue
        assert step.program.command[0] in step.program.install
        assert {"{manifest}", "{results}"} <= set(step.program.command)
        assert re.search(step.program.progress, "... 120 of 500 spectra").group("done") == "120"
        assert (step.slurm.account, step.slurm.partition, step.slurm.qos) == (None, None, None)
        assert set(step.program.columns) <= set(step.columns)
    assert RESULTS[name].derive is not None


def test_real_dependencies_are_declared():
    after = {name: found.after for name, found in RESULTS.items() if found.after}
    assert after == {"Corv": ("SnowWhite",), "ASPCAP": ("ApogeeNet",), "AstroNNdist": ("AstroNN",)}
