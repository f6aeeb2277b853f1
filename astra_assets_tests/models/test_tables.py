"""Our tables against those of Astra 0.8.0, and the order of fields in files."""

from __future__ import annotations

import gzip
import re

import pytest
from sqlalchemy.dialects import postgresql

from astra_assets.models import apogee, boss, mwm, source, spectrum
from astra_assets.models.base import layout, table_of
from astra_assets.registry.columns import info
from astra_assets.registry.kinds import Kind
from astra_assets.text import snake_case
from astra_assets_tests.project import SHARED

DUMP = SHARED / "astra-database" / "astra-0.8.0.sql.gz"

MODELS = {
    table_of(model).name: model
    for model in (
        source.Source,
        spectrum.SpectrumKey,
        boss.BossVisitSpectrum,
        boss.BossRestFrameVisitSpectrum,
        boss.BossCombinedSpectrum,
        apogee.ApogeeVisitSpectrum,
        apogee.ApogeeCoaddedSpectrumInApStar,
        apogee.ApogeeVisitSpectrumInApStar,
    )
}

SPECTRA = [model for model in MODELS.values() if model not in (source.Source, spectrum.SpectrumKey)]

NEWER_COLUMNS = {"source": {"crossmatch_flags", "sdss5_dr19_apogee_flag"}}
"""Columns that Astra got after 0.8.0."""


@pytest.fixture(scope="module")
def astra_tables():
    """Name, type and NOT NULL of every column of the tables that Astra 0.8.0 made."""
    if not DUMP.is_file():
        pytest.skip(f"no dump of an Astra database: {DUMP} is not there")
    with gzip.open(DUMP, "rt") as lines:
        ddl = re.findall(r"CREATE TABLE public\.(\w+) \((.*?)\n\);", lines.read(), re.DOTALL)
    return {name: [_column(line) for line in body.strip().split("\n")] for name, body in ddl}


def _column(line):
    name, sql = re.fullmatch(r'\s*"?(\w+)"? (.*?),?', line).groups()
    not_null = sql.endswith(" NOT NULL")
    kind = sql.removesuffix(" NOT NULL").split(" GENERATED")[0]
    return name, kind.replace("real", "double precision"), not_null


@pytest.mark.parametrize("name", sorted(MODELS))
def test_names_order_types_and_nulls_are_those_of_astra(name, astra_tables):
    dialect = postgresql.dialect()
    ours = [
        (column.name, column.type.compile(dialect).lower(), not column.nullable)
        for column in table_of(MODELS[name]).columns
        if column.name not in NEWER_COLUMNS.get(name, ())
    ]
    assert ours == astra_tables[name]


def test_common_columns_of_results_are_those_of_astra(astra_tables):
    from astra_assets.models.compute import ComputeBatch
    from astra_assets.registry.columns import COMMON_COLUMNS

    assert ComputeBatch.c.v_astra_major_minor.name == COMMON_COLUMNS[-1]
    assert tuple(name for name, _, _ in astra_tables["snow_white"][:10]) == (
        *(
            "task_pk",
            "source_pk",
            "spectrum_pk",
            "v_astra",
            "created",
            "modified",
            "t_elapsed",
            "t_overhead",
            "tag",
        ),
        "v_astra_major_minor",
    )


def test_source_has_the_columns_of_dr20():
    published = [
        entry for entry in layout(source.Source) if entry.column is not None and not info(entry.column).hidden
    ]
    assert len(published) == 137


@pytest.mark.parametrize(
    "model", [*SPECTRA, apogee.ApogeeCombinedSpectrum, apogee.ApogeeRestFrameVisitSpectrum]
)
def test_access_keys_are_the_same_in_all_spectrum_tables(model):
    assert info(model.c.source_pk).summary_name == "source"
    assert info(model.c.spectrum_pk).summary_name == "spectrum_pk"
    assert [info(column).hidden for column in model.c if column.key == "pk"] == [True]


def test_mwm_tables_keep_the_database_names_of_their_keys():
    assert boss.BossCombinedSpectrum.c.spectrum_pk.name == "spectrum_pk_id"
    assert boss.BossRestFrameVisitSpectrum.c.drp_spectrum_pk.name == "drp_spectrum_pk_id"
    assert apogee.ApogeeCombinedSpectrum.c.spectrum_pk.name == "spectrum_pk"


@pytest.mark.parametrize(
    ("model", "number"), [(boss.BossCombinedSpectrum, 35), (boss.BossRestFrameVisitSpectrum, 73),
                          (apogee.ApogeeCombinedSpectrum, 45), (apogee.ApogeeRestFrameVisitSpectrum, 58)],
)  # fmt: skip
def test_layout_of_mwm_files_has_as_many_columns_as_those_of_dr20(model, number):
    left_out = {"pk", "source_pk", "created", "modified"}
    if model is boss.BossRestFrameVisitSpectrum:
        left_out.add("wavelength")
    assert len([entry for entry in layout(model) if entry.name not in left_out]) == number


def test_layout_has_virtual_fields_in_their_place_and_headings():
    entries = layout(boss.BossCombinedSpectrum)
    names = [entry.name for entry in entries]
    assert names[names.index("zwarning_flags") + 1 :] == [
        *(
            "wavelength",
            "flux",
            "ivar",
            "pixel_flags",
            "continuum",
            "nmf_rectified_model_flux",
            "nmf_rchi2",
            "nmf_flags",
        ),
        *("created", "modified"),
    ]
    flux = entries[names.index("flux")]
    assert (flux.heading, flux.column, flux.definition.kind) == ("Spectral Data", None, Kind.pixels)
    assert entries[names.index("created")].heading == "NMF Continuum Model"


def test_version_is_text_in_spectra_and_integer_in_results():
    assert info(boss.BossCombinedSpectrum.c.v_astra).definition.kind is Kind.text
    assert info(mwm.MWMSpectrumProductStatus.c.v_astra).definition.kind is Kind.int32


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("SnowWhite", "snow_white"),
        ("Corv", "corv"),
        ("MWMBest", "mwm_best"),
        ("APOGEENet", "apogee_net"),
        ("BossNet", "boss_net"),
    ],
)
def test_table_names_follow_from_class_names(name, expected):
    assert snake_case(name) == expected
