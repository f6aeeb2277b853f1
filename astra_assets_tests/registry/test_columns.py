"""The registry: definitions, what follows from them, and the makers of result columns."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from datetime import datetime

import pytest
from astropy import units
from astropy.io.votable.ucd import parse_ucd
from sqlalchemy import Column, Integer
from sqlalchemy.orm import Mapped

from astra_assets.models.apogee import ApogeeCombinedSpectrum
from astra_assets.models.base import PipelineResult, bit, layout, table_of
from astra_assets.models.boss import BossCombinedSpectrum, BossVisitSpectrum
from astra_assets.models.source import Source
from astra_assets.registry.columns import (
    GLOSSARY,
    Definition,
    Kind,
    column,
    definition,
    flags,
    info,
    known,
    own_columns,
    virtual,
)
from astra_assets.registry.glossary import merge


class ColumnMakers(PipelineResult):
    """A result table with one column of each maker."""

    classification: Mapped[str | None] = known("classification", category="Class")
    teff: Mapped[float | None] = known("teff", category="Stellar Parameters")
    e_teff: Mapped[float | None] = known("e_teff")
    n_lines: Mapped[int | None] = column(None, "Number of lines", ucd="meta.number")
    width: Mapped[float | None] = column("Angstrom", "Width of a line", fill=-9.0)
    is_fit: Mapped[bool | None] = column(None, "A fit was made")
    percentiles: Mapped[list[float] | None] = column(None, "Percentiles of the width")
    seen: Mapped[datetime | None] = column(None, "When it was seen")
    model_flux = virtual("model_flux", category="Spectral Data")
    result_flags: Mapped[int] = flags(low_snr="S/N is too low", no_flux="No flux", category="Metadata")
    other_flags: Mapped[int] = flags({0: ("a", "First"), 11: ("b", "Last")}, description="Other flags")


def unreadable(found: Definition) -> Iterator[str]:
    """What others cannot read of a definition."""
    if found.unit is not None:
        try:
            units.Unit(found.unit, format="fits")
        except (ValueError, units.UnitsWarning) as error:
            yield f"unit: {error}"
    if found.ucd is not None:
        try:
            parse_ucd(found.ucd, check_controlled_vocabulary=True, has_colon=False)
        except ValueError as error:
            yield f"UCD {found.ucd}: {error}"
    text = found.description
    if not 0 < len(text) <= 68:
        yield f"{len(text)} letters do not fit into a card"
    if not text.isascii() or "'" in text:
        yield "not ASCII, or with a quote"
    if f"[{found.unit}]" in text:
        yield "the unit stands in the description again"


def test_units_ucds_and_descriptions_can_be_read_by_others():
    assert len(GLOSSARY) > 300
    assert [
        f"{name}: {problem}" for name, found in sorted(GLOSSARY.items()) for problem in unreadable(found)
    ] == []


def test_what_others_cannot_read_is_told():
    definition = Definition(Kind.float32, "Ångström’s 'length' [parsecs]", unit="parsecs", ucd="pos.length")
    told = "\n".join(unreadable(definition))
    assert re.findall("^(unit|UCD|not ASCII|the unit)", told, re.MULTILINE) == [
        "unit",
        "UCD",
        "not ASCII",
        "the unit",
    ]


@pytest.mark.parametrize(
    ("name", "kind", "unit", "ucd", "description"),
    [
        (
            "e_teff",
            Kind.float32,
            "K",
            "stat.error;phys.temperature.effective",
            "Error on effective temperature",
        ),
        ("e_ra", Kind.float32, "deg", "stat.error;pos.eq.ra", "Error on right ascension (ICRS)"),
        (
            "gaia_e_v_rad",
            Kind.float32,
            "km s-1",
            "stat.error;spect.dopplerVeloc.opt",
            "Error on Gaia radial velocity",
        ),
        (
            "zgr_e_e",
            Kind.float32,
            "mag",
            "stat.error;phot.color.excess",
            "Error on extinction parameter E from Gaia XP",
        ),
        ("e_ebv_sfd", Kind.float32, "mag", None, "Error on E(B-V) of Schlegel, Finkbeiner & Davis (1998)"),
        (
            "raw_e_logg",
            Kind.float32,
            None,
            "stat.error;phys.gravity",
            "Raw error on surface gravity, log10 of cm/s2",
        ),
        (
            "initial_v_rad",
            Kind.float32,
            "km s-1",
            "spect.dopplerVeloc",
            "Initial barycentric radial velocity",
        ),
        ("teff_flags", Kind.bits, None, "meta.code.qual", "Flags of effective temperature"),
        ("al_h_flags", Kind.bits, None, "meta.code.qual", "Flags of [Al/H]"),
        ("al_h_rchi2", Kind.float32, None, "stat.fit.chi2", "Reduced chi-square of the fit of [Al/H]"),
        ("coarse_m_h_atm", Kind.float32, None, "phys.abund.Z", "Coarse [M/H] of the atmosphere, dex"),
        (
            "rho_teff_fe_h",
            Kind.float32,
            None,
            "stat.correlation",
            "Correlation of the errors of teff and fe_h",
        ),
    ],
)
def test_derived_columns_follow_from_their_base(name, kind, unit, ucd, description):
    found = definition(name)
    assert (found.kind, found.unit, found.description) == (kind, unit, description)
    assert ucd in (None, found.ucd)


def test_errors_of_all_columns_of_our_tables_fit_a_card_and_have_a_valid_ucd():
    errors = [
        definition(name)
        for model in (Source, BossVisitSpectrum, BossCombinedSpectrum, ApogeeCombinedSpectrum)
        for name, _ in model.c.items() if name.startswith("e_") or "_e_" in name or name.endswith("_e_e")
    ]  # fmt: skip
    assert len(errors) > 30
    assert all(
        found.ucd is None or parse_ucd(found.ucd, check_controlled_vocabulary=True) for found in errors
    )
    assert all(
        "rror on " in found.description or found.description.startswith("Median error") for found in errors
    )


def test_unknown_column_is_refused_with_what_to_do():
    with pytest.raises(KeyError, match="glossary"):
        definition("no_such_thing")
    with pytest.raises(KeyError, match="rho_teff_logg"):
        definition("rho_teff_nothing")


def test_a_column_is_defined_once():
    with pytest.raises(ValueError, match="defined twice: snr"):
        merge({"snr": GLOSSARY["snr"]}, {"snr": GLOSSARY["snr"]})


@pytest.mark.parametrize("description", ["", "  ", "x" * 69])
def test_description_must_be_there_and_fit(description):
    with pytest.raises(ValueError, match="description"):
        Definition(Kind.text, description)


def test_fill_values_are_those_of_the_kind_unless_given():
    fills = {kind: kind.fill for kind in Kind}
    assert (fills[Kind.text], fills[Kind.boolean], fills[Kind.int32], fills[Kind.int64]) == (
        "",
        False,
        -1,
        -1,
    )
    assert (fills[Kind.bits], fills[Kind.bytes]) == (0, b"")
    assert math.isnan(fills[Kind.float32])
    assert definition("teff").null_value is fills[Kind.float32]
    assert info(ColumnMakers.c.width).definition.null_value == -9.0


def test_letters_of_fits_formats():
    letters = {kind: kind.fits_letter for kind in Kind}
    assert letters == {
        Kind.text: "A", Kind.boolean: "L", Kind.int32: "J", Kind.int64: "K", Kind.float32: "E",
        Kind.float64: "D",
        Kind.bits: "K", Kind.datetime: "A", Kind.bytes: "B", Kind.floats: "E", Kind.pixels: "E",
    }  # fmt: skip


def test_only_positions_and_julian_dates_are_double_precision_in_files():
    double = {name for name, found in GLOSSARY.items() if found.kind is Kind.float64}
    assert double == {
        "ra",
        "dec",
        "l",
        "b",
        "jd",
    }


def test_kind_follows_from_the_annotation():
    kinds = {own.key: info(own).definition.kind for own in own_columns(ColumnMakers)}
    assert kinds == {
        "classification": Kind.text,
        "teff": Kind.float32,
        "e_teff": Kind.float32,
        "n_lines": Kind.int32,
        "width": Kind.float32,
        "is_fit": Kind.boolean,
        "percentiles": Kind.floats,
        "seen": Kind.datetime,
        "result_flags": Kind.bits,
        "other_flags": Kind.bits,
    }


def test_order_of_a_result_in_files_is_key_own_fields_run():
    names = [entry.name for entry in layout(ColumnMakers)]
    assert names[0] == "task_pk"
    assert names[9:12] == ["model_flux", "result_flags", "other_flags"]
    assert names[-9:] == [
        *("source_pk", "spectrum_pk", "v_astra", "created", "modified", "t_elapsed", "t_overhead", "tag"),
        "v_astra_major_minor",
    ]
    headings = {entry.name: entry.heading for entry in layout(ColumnMakers)}
    assert (headings["e_teff"], headings["model_flux"], headings["tag"]) == (
        "Stellar Parameters",
        "Spectral Data",
        "Astra Metadata",
    )


def test_order_of_a_result_in_the_database_is_run_then_own_fields():
    assert list(ColumnMakers.c.keys())[:11] == [
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
        *("v_astra_major_minor", "classification"),
    ]
    assert table_of(ColumnMakers).name == "column_makers"
    assert "model_flux" not in ColumnMakers.c


def test_only_the_minor_version_of_a_result_is_hidden():
    assert [name for name, found in ColumnMakers.c.items() if info(found).hidden] == ["v_astra_major_minor"]


def test_bits_of_flags_are_positions_or_as_given():
    assert bit(ColumnMakers, "result_flags", "low_snr") == 1
    assert bit(ColumnMakers, "result_flags", "no_flux") == 2
    assert bit(ColumnMakers, "other_flags", "b") == 2048
    with pytest.raises(KeyError, match="it has low_snr, no_flux"):
        bit(ColumnMakers, "result_flags", "absent")


def test_column_that_is_not_ours_is_refused():
    with pytest.raises(KeyError, match="not a column of the registry"):
        info(Column("x", Integer))


def test_result_column_without_description_is_refused():
    with pytest.raises(TypeError, match="no description"):

        class Undescribed(PipelineResult):
            __tablename__ = "undescribed"
            value: Mapped[float | None]


def test_only_pixels_are_virtual():
    with pytest.raises(ValueError, match="known"):
        virtual("teff")


def test_a_result_is_made_by_keyword():
    made = ColumnMakers(teff=12000.0, result_flags=bit(ColumnMakers, "result_flags", "no_flux"))
    assert (made.teff, made.result_flags, made.e_teff) == (12000.0, 2, None)
