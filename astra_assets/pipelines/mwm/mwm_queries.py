"""What the gathering of BOSS and of APOGEE spectra for mwmVisit and mwmStar files has in common.

Here: keys of spectra that are made, lists cut to the size of a query, the order of reductions. Not here: which spectra
are gathered (`mwm_inputs`, `mwm_apogee_inputs`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any

from sqlalchemy import Connection, select

from astra_assets.database.database import Database
from astra_assets.models.base import Base, table_of
from astra_assets.registry.version import major_minor

NOT_GATHERED = ("pk", "source_pk", "created", "modified", "filetype")
"""Columns of spectra as reduced that say nothing of the spectrum."""

Keys = dict[Any, int]

# Keys in one IN (...) clause; SQLite allows 32,766 parameters, PostgreSQL 65,535.
_KEYS_AT_ONCE = 5_000


def columns_of(model: type[Base]) -> tuple[str, ...]:
    """What is known of a spectrum as reduced: enough to find its file and to write its row."""
    return tuple(column.key for column in table_of(model).c if column.key not in NOT_GATHERED)


def parts(items: Sequence[Any]) -> Iterator[Sequence[Any]]:
    """A list in parts that fit in one query."""
    return (items[start : start + _KEYS_AT_ONCE] for start in range(0, len(items), _KEYS_AT_ONCE))


@cache
def reduction_order(name: str) -> tuple[int, ...]:
    """Sorts reductions by the numbers in their names: v6_2_1 is later than v6_1_3, 1.10 than 1.3."""
    return tuple(int(number) for number in re.findall(r"\d+", name))


def reserve(connection: Connection, keys: Keys, wanted: Sequence[Any]) -> None:
    """Give new keys to those that have none."""
    new = [item for item in dict.fromkeys(wanted) if keys.get(item) is None]
    keys.update(zip(new, Database.reserve_spectrum_pks(connection, len(new)).tolist(), strict=True))


def coadd_keys(
    connection: Connection,
    model: type[Base],
    wanted: Sequence[tuple[int, str]],
    v_astra: str,
    places: Mapping[str, str],
) -> Keys:
    """The key of the coadd of each source and place, one for each minor version of Astra.

    `places` says where the coadds of a telescope belong. Those that are there keep their key.
    """
    table = table_of(model)
    keys: Keys = {}
    for some in parts(sorted({source for source, _ in wanted})):
        query = select(table.c.source_pk, table.c.telescope, table.c.v_astra, table.c.spectrum_pk)
        query = query.where(table.c.source_pk.in_(some)).order_by(table.c.pk)
        for source, telescope, version, spectrum_pk in connection.execute(query):
            if major_minor(version) == major_minor(v_astra) and telescope in places:
                keys[source, places[telescope]] = spectrum_pk
    reserve(connection, keys, wanted)
    return keys
