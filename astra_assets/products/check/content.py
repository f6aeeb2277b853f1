"""What the values of a product must be like: positions on the sky, and no column that lost its values."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from astra_assets.products.check.census import Census
from astra_assets.products.findings import FILLED, POSITIONS, Finding, VerificationError
from astra_assets.registry import limits

ALL_COLUMNS = "all"
"""Accepted for every column."""
_SHOWN = 12
_NOT_WRITTEN = "the file just written was not put in place"


@dataclass(frozen=True)
class Previous:
    """The version of a product that a new one is compared with: the columns of each table that had values."""

    path: Path
    filled: tuple[frozenset[str], ...]


def check_positions(label: str, censuses: Sequence[Census], *, foreign: bool = False) -> Finding:
    """Raise VerificationError when a position is not on the sky.

    What another Astra has in its tables (`foreign`) is not ours to mend: then the product is written as they have
    it, and the finding did not pass.
    """
    for number, census in enumerate(censuses, start=1):
        if census.off_sky is not None:
            text = f"HDU {number}: {census.off_sky}"
            if foreign:
                told = f"written as the database of another Astra has it: {text}"
                return Finding(POSITIONS, told, passed=False)
            raise VerificationError(POSITIONS, f"{label}: {_NOT_WRITTEN}: {text}")
    ranges = {name: str(found) for name, found in limits.RANGES.items()}
    return Finding(POSITIONS, "every position is on the sky", facts=ranges)


def check_filled(
    label: str, censuses: Sequence[Census], previous: Previous | None, accepted: Collection[str]
) -> Finding:
    """Raise VerificationError when a column has no value in any row and had some in the previous version.

    `accepted` are columns that may; `all` stands for every one.
    """
    empty = {
        f"HDU {number}": ", ".join(_empty(census)) or "none"
        for number, census in enumerate(censuses, start=1)
    }
    if previous is None:
        return Finding(
            FILLED, "there is no previous version to compare with", facts=_as_facts(empty, "without values")
        )
    lost = {
        number: names
        for number, (census, before) in enumerate(zip(censuses, previous.filled, strict=True), start=1)
        if (names := [name for name in _empty(census) if name in before])
    }
    refused = {
        number: unexpected
        for number, names in lost.items()
        if ALL_COLUMNS not in accepted and (unexpected := [name for name in names if name not in accepted])
    }
    if refused:
        raise VerificationError(FILLED, _refusal(label, refused, censuses, previous))
    text = f"no column that has values in {previous.path.name} is without any"
    if lost:
        told = "; ".join(f"HDU {number}: {', '.join(names)}" for number, names in lost.items())
        text = f"accepted although {previous.path.name} has values there: {told}"
    return Finding(
        FILLED, text, facts={"compared with": str(previous.path)} | _as_facts(empty, "without values")
    )


def not_judged(check: str, limit: int) -> Finding:
    """The finding on a sample, whose content says nothing about the product."""
    return Finding(check, f"not judged: a sample of at most {limit:,} rows", facts={"sample": limit})


def _empty(census: Census) -> list[str]:
    return [name for name in census.nulls if name not in census.filled]


def _as_facts(texts: dict[str, str], what: str) -> dict[str, str | int | float]:
    return {f"columns {what}, {name}": text for name, text in texts.items()}


def _refusal(
    label: str, refused: dict[int, list[str]], censuses: Sequence[Census], previous: Previous
) -> str:
    told = []
    for number, names in refused.items():
        if not censuses[number - 1].rows:
            told.append(f"HDU {number} has no rows")
            continue
        more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
        told.append(f"HDU {number} has no value at all in {', '.join(names[:_SHOWN])}{more}")
    first = next(iter(refused.values()))
    option = first[0] if len(first) == 1 else ALL_COLUMNS
    return (
        f"{label}: {_NOT_WRITTEN}: {'; '.join(told)}, where {previous.path} has values; "
        f"when that is as it should be, pass --accept-empty {option}"
    )
