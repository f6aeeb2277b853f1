"""SDSS-V cartons: which bit of `sdss5_target_flags` is which, and which sources count as stellar.

The list of cartons is the one of the package sdss-semaphore; it only ever grows at its end. Bit n is in byte
n // 8, at position n % 8 from the least significant bit. Nothing here reads files of a survey.
"""

from __future__ import annotations

import csv
import importlib.resources
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import pyarrow as pa
from sqlalchemy import ColumnElement, Text, and_, case, false, func, literal, not_, or_

from astra_assets.models.source import Source

CARTON_TABLE = "sdss5_target_4_with_groups.csv"
"""The list of cartons in sdss-semaphore (its version 4, 578 bits; versions 1 to 3 are beginnings of it)."""

BoolArray = np.ndarray[Any, np.dtype[np.bool_]]

STELLAR_MAPPER = "mwm"
"""The mapper all of whose cartons are stellar."""

OPEN_FIBER_NUMBERS = (
    *(
        "10",
        "1000",
        "1001a",
        "1001b",
        "12",
        "14",
        "15",
        "17",
        "19a",
        "19b",
        "19c",
        "22",
        "24",
        "25",
        "28a",
        "28b",
        "28c",
    ),
    *(
        "29",
        "3",
        "31",
        "32",
        "34a",
        "34b",
        "35a",
        "35b",
        "35c",
        "46",
        "47a",
        "47b",
        "47c",
        "47d",
        "47e",
        "5",
        "6a",
        "6b",
    ),
    *("6c", "8", "9"),
)
"""Numbers of the open-fibre programs of November 2020 that are stellar."""

STELLAR_NAMES: frozenset[str] = frozenset(
    [
        "bhm_csc_apogee",
        "bhm_csc_boss",
        "bhm_csc_boss-bright",
        "bhm_csc_boss-dark",
        "bhm_csc_boss_bright",
        "bhm_csc_boss_dark",
        "manual_bright_target_offsets_1",
        "manual_bright_target_offsets_1_g13",
        "manual_bright_target_offsets_3",
        "manual_bright_targets_g13",
        *(f"manual_bright_targets_g13_offset_fixed_{number}" for number in (1, 3, 5, 7)),
        "manual_fps_position_stars",
        "manual_fps_position_stars_10",
        "manual_fps_position_stars_apogee_10",
        *(f"manual_offset_mwmhalo_off{offset}" for offset in ("00", "05", "10", "20", "30", "a", "b")),
        *(f"openfibertargets_nov2020_{number}" for number in OPEN_FIBER_NUMBERS),
        "ops_apogee_stds",
        "ops_std_apogee",
        "ops_std_boss",
        "ops_std_boss-red",
        "ops_std_boss_gdr2",
        "ops_std_boss_lsdr8",
        "ops_std_boss_ps1dr2",
        "ops_std_boss_red",
        "ops_std_boss_tic",
        "ops_std_eboss",
    ]
)
"""Cartons that count as stellar though their mapper is not mwm, as in Astra's default selection."""


@dataclass(frozen=True)
class Carton:
    """One bit of `sdss5_target_flags`. `label` is unique (name and version), `name` is not."""

    bit: int
    label: str
    name: str
    program: str
    mapper: str


@cache
def cartons() -> tuple[Carton, ...]:
    """All cartons in the order of bits."""
    table = importlib.resources.files("sdss_semaphore") / "etc" / CARTON_TABLE
    with table.open(encoding="utf-8") as lines:
        rows = list(csv.DictReader(lines))
    made = [Carton(int(row["bit"]), row["label"], row["name"], row["program"], row["mapper"]) for row in rows]
    return tuple(sorted(made, key=lambda carton: carton.bit))


@cache
def _bits_by_label() -> dict[str, int]:
    return {carton.label: carton.bit for carton in cartons()}


def pack(chosen: Iterable[str | int]) -> bytes:
    """The byte string of one source's cartons, given as labels or bits; empty for none.

    Raises KeyError for a label that no carton has, ValueError for a negative bit.
    """
    value = 0
    for item in chosen:
        if isinstance(item, str):
            if item not in _bits_by_label():
                raise KeyError(
                    f"no carton is labelled {item!r}; a label is a name and a version, like "
                    f"{cartons()[1].label!r} (all are in astra_assets.models.cartons.cartons())"
                )
            bit = _bits_by_label()[item]
        else:
            bit = int(item)
        if bit < 0:
            raise ValueError(f"a carton's bit is not negative, found {bit}")
        value |= 1 << bit
    return value.to_bytes((value.bit_length() + 7) // 8, "little")


def unpack(bits: bytes | None) -> list[int]:
    """The bits that are set, ascending."""
    value = int.from_bytes(bits or b"", "little")
    return [bit for bit in range(value.bit_length()) if value >> bit & 1]


def labels(bits: bytes | None) -> list[str]:
    """Labels of the cartons that are set; bits beyond the list of cartons are left out."""
    known = cartons()
    return [known[bit].label for bit in unpack(bits) if bit < len(known)]


def mask(choose: Callable[[Carton], bool]) -> bytes:
    """The byte string in which the bits of the cartons are set that `choose` accepts."""
    return pack(carton.bit for carton in cartons() if choose(carton))


@cache
def program_mask(program: str) -> bytes:
    """Bits of all cartons of a program ("mwm_wd"); raises KeyError when no carton belongs to it."""
    return _found(mask(lambda carton: carton.program == program), "program", program)


@cache
def mapper_mask(mapper: str) -> bytes:
    """Bits of all cartons of a mapper ("mwm"); raises KeyError when no carton belongs to it."""
    return _found(mask(lambda carton: carton.mapper == mapper), "mapper", mapper)


@cache
def stellar_mask() -> bytes:
    """Bits of all cartons that are stellar: mapper mwm, or named in STELLAR_NAMES."""
    return mask(lambda carton: carton.mapper == STELLAR_MAPPER or carton.name in STELLAR_NAMES)


def _found(bits: bytes, attribute: str, value: str) -> bytes:
    if not bits:
        known = sorted({str(getattr(carton, attribute)) for carton in cartons()})
        raise KeyError(f"no carton has the {attribute} {value!r}; there are {', '.join(known)}")
    return bits


def any_bits(bits: Iterable[bytes | None] | pa.Array | pa.ChunkedArray, wanted: bytes) -> BoolArray:
    """For each byte string, whether any bit of `wanted` is set in it; False for None."""
    values = bits.to_pylist() if isinstance(bits, pa.Array | pa.ChunkedArray) else list(bits)
    number = int.from_bytes(wanted, "little")
    # Sources share their cartons: there are far fewer strings than rows.
    found = {value: int.from_bytes(value or b"", "little") & number != 0 for value in set(values)}
    return np.fromiter(map(found.__getitem__, values), dtype=np.bool_, count=len(values))


def in_program(bits: Iterable[bytes | None] | pa.Array | pa.ChunkedArray, program: str) -> BoolArray:
    """For each source, whether it is in a carton of the program; raises KeyError for an unknown program."""
    return any_bits(bits, program_mask(program))


def in_mapper(bits: Iterable[bytes | None] | pa.Array | pa.ChunkedArray, mapper: str) -> BoolArray:
    """For each source, whether it is in a carton of the mapper; raises KeyError for an unknown mapper."""
    return any_bits(bits, mapper_mask(mapper))


def in_carton_names(
    bits: Iterable[bytes | None] | pa.Array | pa.ChunkedArray, names: Iterable[str]
) -> BoolArray:
    """For each source, whether it is in a carton with one of the names, of any version."""
    chosen = frozenset(names)
    return any_bits(bits, mask(lambda carton: carton.name in chosen))


def stellar_like(
    bits: Iterable[bytes | None] | pa.Array | pa.ChunkedArray,
    sdss4_apogee_id: Sequence[str | None] | pa.Array | pa.ChunkedArray,
) -> BoolArray:
    """For each source, whether it counts as a star: in a stellar carton, or observed by SDSS-IV APOGEE.

    Raises ValueError when the two have different lengths.
    """
    if isinstance(sdss4_apogee_id, pa.Array | pa.ChunkedArray):
        sdss4_apogee_id = sdss4_apogee_id.to_pylist()
    stellar = any_bits(bits, stellar_mask())
    named = np.fromiter((name is not None for name in sdss4_apogee_id), dtype=np.bool_)
    if stellar.shape != named.shape:
        raise ValueError(f"carton bits of {stellar.size} sources, but SDSS-IV names of {named.size}")
    return stellar | named


def any_bits_condition(column: ColumnElement[Any], wanted: bytes, dialect: str) -> ColumnElement[bool]:
    """The SQL condition that any bit of `wanted` is set in a column of byte strings.

    `dialect` is "sqlite" or "postgresql" (`Database.dialect`).
    """
    if dialect == "sqlite":
        free_of_all = _digits(column, wanted).op("GLOB", is_comparison=True)(_no_bit_of(wanted))
        return and_(column.is_not(None), not_(free_of_all))
    terms = [
        case((func.length(column) > position, func.get_byte(column, position).op("&")(byte)), else_=0) != 0
        for position, byte in enumerate(wanted)
        if byte
    ]
    return or_(false(), *terms)


def _digits(column: ColumnElement[Any], wanted: bytes) -> ColumnElement[str]:
    """The hexadecimal digits of a byte string, at least as many as `wanted` has."""
    return func.hex(column, type_=Text) + literal("0" * (2 * len(wanted)), Text)


def _no_bit_of(wanted: bytes) -> str:
    """The GLOB pattern of hexadecimal digits that have no bit in common with `wanted`.

    SQLite cannot look into a byte string, and a function of Python's is slow and known to our connections only.
    """
    allowed = (
        "".join(f"{digit:X}" for digit in range(16) if not digit & int(nibble, 16)) for nibble in wanted.hex()
    )
    return "".join(f"[{digits}]" for digits in allowed) + "*"


def stellar_like_condition(
    dialect: str,
    bits: ColumnElement[bytes] = Source.c.sdss5_target_flags,
    sdss4_name: ColumnElement[str] = Source.c.sdss4_apogee_id,
) -> ColumnElement[bool]:
    """The SQL condition on the table `source`, whose columns may be given, that `stellar_like` computes."""
    return or_(any_bits_condition(bits, stellar_mask(), dialect), sdss4_name.is_not(None))


def program_condition(program: str, dialect: str) -> ColumnElement[bool]:
    """The SQL condition on the table `source` that it is in a carton of the program."""
    return any_bits_condition(Source.c.sdss5_target_flags, program_mask(program), dialect)
