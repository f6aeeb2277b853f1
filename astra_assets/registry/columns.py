"""Columns: definitions by name, what a column of ours knows about itself, and makers for result tables.

The definitions are in `glossary/`, kinds in `kinds.py`; whole tables are built in `base.py`.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, overload

from sqlalchemy import BigInteger, Column, Double, Integer
from sqlalchemy.orm import MappedColumn, mapped_column
from sqlalchemy.types import TypeEngine

from astra_assets.registry.flags import FLAGS, Flag, Rule, Verdict, flag_tuple, verdict
from astra_assets.registry.glossary import GLOSSARY
from astra_assets.registry.kinds import INFO_KEY, TRAITS, Definition, Kind

if TYPE_CHECKING:
    import numpy as np

__all__ = [
    "GLOSSARY",
    "ColumnInfo",
    "Definition",
    "Kind",
    "Virtual",
    "column",
    "definition",
    "flags",
    "info",
    "kind_of",
    "known",
    "known_columns",
    "own_columns",
    "virtual",
]

PROPER_NOUNS = ("Gaia", "Doppler", "Galactic", "Julian", "Modified")
"""Words that keep their capital letter inside a sentence."""


SUFFIXES = (
    ("_flags", Kind.bits, "Flags of", "meta.code.qual"),
    ("_rchi2", Kind.float32, "Reduced chi-square of the fit of", "stat.fit.chi2"),
)
"""Endings of names of columns that say how well another column is known: kind, words and UCD."""

LAST_COLUMNS = (
    "source_pk",
    "spectrum_pk",
    "v_astra",
    "created",
    "modified",
    "t_elapsed",
    "t_overhead",
    "tag",
    "v_astra_major_minor",
)
"""Columns that every result table has after the pipeline's own, in the order of files; `task_pk` comes before
them."""

COMMON_COLUMNS = ("task_pk", *LAST_COLUMNS)
"""Columns that every result table has, in the order of the database."""

HIDDEN_COLUMNS = ("v_astra_major_minor",)
"""Columns of result tables that are never published."""


@dataclass(frozen=True)
class ColumnInfo:
    """What a column knows beyond SQL.

    `category` is the heading it stands under; `summary_name` its name in summary files; `hidden` columns are
    never published; `virtual` fields have no column in the database. `note` is a comment for files, after the
    last field of the category. `verdicts` are booleans that follow from a column of flags: files show them
    right after it, the database does not hold them.
    """

    definition: Definition
    category: str = ""
    summary_name: str = ""
    virtual: bool = False
    hidden: bool = False
    flags: tuple[Flag, ...] = ()
    note: str | None = None
    verdicts: tuple[Verdict, ...] = ()


@dataclass(frozen=True)
class Virtual:
    """A field of a result table that is an array of pixels: in files, never in the database.

    A row takes the array like the value of any column (`row.model_flux = flux`); a worker keeps it next to the
    row, for the files of the source.
    """

    name: str
    definition: Definition
    category: str | None = None

    @overload
    def __get__(self, row: None, table: type) -> Virtual: ...

    @overload
    def __get__(self, row: object, table: type) -> np.ndarray[Any, Any] | None: ...

    def __get__(self, row: object | None, table: type) -> Virtual | np.ndarray[Any, Any] | None:
        """The field itself, or the array that a row has been given."""
        return self if row is None else vars(row).get(self.name)

    def __set__(self, row: object, pixels: np.ndarray[Any, Any] | None) -> None:
        """Give a row its array."""
        vars(row)[self.name] = pixels


def info(column: Column[Any]) -> ColumnInfo:
    """What a column of one of our tables knows about itself.

    Raises KeyError for a column that is not in the registry.
    """
    try:
        found: ColumnInfo = column.info[INFO_KEY]
    except KeyError:
        raise KeyError(
            f"{column} is not a column of the registry; declare it with known(), column() or flags()"
        ) from None
    return found


@cache
def definition(name: str) -> Definition:
    """The definition of a column by its name.

    `e_x` (also inside a name: `zgr_e_teff`), `raw_x`, `initial_x`, `coarse_x`, `x_flags`, `x_rchi2` and
    `rho_x_y` follow from the definitions of x and y. Raises KeyError when the name is not in the glossary
    and follows from nothing in it.
    """
    if name in GLOSSARY:
        return GLOSSARY[name]
    for prefix, words in (("raw_", "Raw"), ("initial_", "Initial"), ("coarse_", "Coarse")):
        if name.startswith(prefix):
            base = definition(name.removeprefix(prefix))
            return dataclasses.replace(base, description=f"{words} {in_sentence(base.description)}")
    for position in (match.start() for match in re.finditer(r"(?<![^_])e_", name)):
        base_name = name[:position] + name[position + 2 :]
        if base_name in GLOSSARY:
            return error_of(GLOSSARY[base_name])
    if name.endswith("_e") and name[:-2] in GLOSSARY:
        return error_of(GLOSSARY[name[:-2]])
    for suffix, kind, words, ucd in SUFFIXES:
        if name.endswith(suffix) and name.removesuffix(suffix) in GLOSSARY:
            what = in_sentence(GLOSSARY[name.removesuffix(suffix)].description).removesuffix(", dex")
            return Definition(kind, f"{words} {what}", None, ucd)
    if name.startswith("rho_"):
        return _correlation(name)
    raise KeyError(
        f"no column named {name!r} in the glossary; add it to a file of astra_assets/registry/glossary, or "
        "give it a unit and a description with column()"
    )


def _correlation(name: str) -> Definition:
    parts = name.removeprefix("rho_").split("_")
    for cut in range(1, len(parts)):
        first, second = "_".join(parts[:cut]), "_".join(parts[cut:])
        if first in GLOSSARY and second in GLOSSARY:
            return Definition(
                Kind.float32, f"Correlation of the errors of {first} and {second}", None, "stat.correlation"
            )
    raise KeyError(
        f"{name!r} names no two columns of the glossary, expected rho_ and two names, like rho_teff_logg"
    )


def in_sentence(description: str) -> str:
    """A description as it reads in the middle of a sentence: "Surface gravity" -> "surface gravity".

    Proper nouns and abbreviations keep their capital letters.
    """
    first = re.split(r"[\s,]", description, maxsplit=1)[0]
    if first in PROPER_NOUNS or not first[1:].islower():
        return description
    return description[0].lower() + description[1:]


def error_of(base: Definition) -> Definition:
    """The definition of the error on a quantity, in the same unit."""
    ucd = None if base.ucd is None else f"stat.error;{base.ucd.replace(';meta.main', '')}"
    kind = Kind.float32 if base.kind is Kind.float64 else base.kind
    return Definition(kind, f"Error on {in_sentence(base.description)}", base.unit, ucd)


def kind_of(sql_type: TypeEngine[Any]) -> Kind:
    """The kind that a column of this SQL type holds, unless it is said to hold another one."""
    if isinstance(sql_type, Double):
        return Kind.float32
    if isinstance(sql_type, BigInteger):
        return Kind.int64
    if isinstance(sql_type, Integer):
        return Kind.int32
    for kind in (Kind.boolean, Kind.datetime, Kind.bytes, Kind.floats, Kind.text):
        if isinstance(sql_type, type(TRAITS[kind].sql_type())):
            return kind
    raise TypeError(f"no kind of column holds the SQL type {sql_type!r}")


@dataclass(frozen=True)
class Pending:
    """A result column whose name, and perhaps kind, is known only once its table is complete."""

    build: Definition | None
    unit: str | None = None
    description: str = ""
    ucd: str | None = None
    fill: Any = None
    category: str | None = None
    flags: tuple[Flag, ...] = ()
    verdicts: tuple[Verdict, ...] = ()


def column(
    unit: str | None,
    description: str,
    *,
    ucd: str | None = None,
    kind: Kind | None = None,
    fill: Any = None,
    category: str | None = None,
    **options: Any,
) -> MappedColumn[Any]:
    """A column of a result table, described where it is declared.

    `unit` parses as a FITS unit or is None, `description` has at most 68 characters, `ucd` is a UCD1+. The
    kind follows from the annotation (`Mapped[float | None]`) unless given. `category` starts a heading that
    holds until the next one. Further options go to SQLAlchemy's `mapped_column`.
    """
    Definition(kind or Kind.text, description, unit, ucd, fill)
    pending = Pending(
        None if kind is None else Definition(kind, description, unit, ucd, fill),
        unit,
        description,
        ucd,
        fill,
        category,
    )
    types = () if kind is None else (kind.sql_type,)
    return mapped_column(*types, info={INFO_KEY: pending}, **options)


def known(name: str, *, category: str | None = None, **options: Any) -> MappedColumn[Any]:
    """A column of a result table that is in the glossary: unit, description, UCD and kind come from there."""
    found = definition(name)
    if found.kind is Kind.bits:
        options = {"default": 0, "nullable": False} | options
    pending = Pending(found, category=category, flags=FLAGS.get(name, ()))
    return mapped_column(found.kind.sql_type, info={INFO_KEY: pending}, **options)


def known_columns(*names: str, category: str | None = None) -> dict[str, MappedColumn[Any]]:
    """Columns of the glossary by name, all under one heading, for tables with many columns of a kind."""
    return {
        name: known(name, category=category if number == 0 else None) for number, name in enumerate(names)
    }


def flags(
    bits: Mapping[int, tuple[str, str]] | None = None,
    *,
    category: str | None = None,
    description: str = "Flags of the result",
    warn: Rule | None = None,
    bad: Rule | None = None,
    **texts: str,
) -> MappedColumn[Any]:
    """A column of flags: `flags(low_snr="S/N is too low", ...)`, bits in the order given.

    With gaps between the bits: `flags({0: ("low_snr", "S/N is too low"), 11: ("no_result", "No result")})`.
    Never NULL, 0 by default. With `warn` and `bad` files have booleans `flag_warn` and `flag_bad` right after
    the column, which follow from it: `flags(..., warn=("low_snr",), bad=AllOf("low_snr", "no_result"))`.
    """
    found = Definition(Kind.bits, description, None, "meta.code.qual")
    made = flag_tuple(bits, **texts)
    rules = {"flag_warn": warn, "flag_bad": bad}
    verdicts = tuple(verdict(name, rule, made) for name, rule in rules.items() if rule is not None)
    pending = Pending(found, category=category, flags=made, verdicts=verdicts)
    return mapped_column(BigInteger, info={INFO_KEY: pending}, default=0, nullable=False)


def virtual(name: str, *, category: str | None = None) -> Virtual:
    """A pixel array of a result, by its name in the glossary.

    It is in the files of the source, not in the database.
    """
    found = definition(name)
    if found.kind is not Kind.pixels:
        raise ValueError(f"{name!r} holds {found.kind.value}, only pixels are virtual; use known({name!r})")
    return Virtual(name, found, category)


def complete(target: Column[Any], category: str, *, hidden: bool = False) -> ColumnInfo:
    """The ColumnInfo of a column whose table is complete, made of what was said at its declaration.

    It is kept with the column.
    """
    pending = target.info.get(INFO_KEY)
    if isinstance(pending, ColumnInfo):
        return pending
    if pending is None:
        raise TypeError(f"{target} has no description; declare it with known(), column() or flags()")
    found = pending.build or Definition(
        kind_of(target.type), pending.description, pending.unit, pending.ucd, pending.fill
    )
    done = ColumnInfo(
        found, category, target.name, hidden=hidden, flags=pending.flags, verdicts=pending.verdicts
    )
    target.info[INFO_KEY] = done
    return done


def own_columns(model: Any) -> list[Column[Any]]:
    """The columns that a pipeline's result table has besides those that all result tables have, in order."""
    return [column for key, column in model.__table__.columns.items() if key not in COMMON_COLUMNS]
