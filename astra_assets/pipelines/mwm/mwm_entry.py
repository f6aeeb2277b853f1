"""A row of a mwmVisit or mwmStar file, and the columns that all of them have.

Here: what BOSS and APOGEE rows have in common. Not here: what they take from their spectra (`mwm`, `mwm_apogee`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from astra_assets.pipelines.base import WorkContext

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Entry:
    """A row of a file."""

    columns: dict[str, Any]
    """What the database has too."""
    pixels: dict[str, Any]

    @property
    def row(self) -> dict[str, Any]:
        """Both."""
        return self.columns | self.pixels


def common_columns(source: Row, context: WorkContext, healpix: int | None) -> dict[str, Any]:
    """Columns of every row; `healpix` is for sources that have none.

    No continuum is fitted: the components of its model are not public.
    """
    return {
        "source_pk": source["source_pk"],
        "sdss_id": source["sdss_id"],
        "healpix": healpix if source["healpix"] is None else source["healpix"],
        "v_astra": context.v_astra,
        "nmf_rchi2": None,
        "nmf_flags": 0,
    }
