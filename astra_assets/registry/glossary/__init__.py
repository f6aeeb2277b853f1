"""The one registry of columns: name -> kind, description, unit, UCD and fill value.

A column means the same in every table, so it is defined once, in the file of its theme. What differs between
tables (nullability, default, key) is said where the table is declared.
"""

from __future__ import annotations

from collections.abc import Mapping

from astra_assets.registry.glossary.abundances import COOL_STARS
from astra_assets.registry.glossary.astrometry import ASTROMETRY
from astra_assets.registry.glossary.bookkeeping import BOOKKEEPING
from astra_assets.registry.glossary.identifiers import IDENTIFIERS
from astra_assets.registry.glossary.observations import OBSERVATIONS
from astra_assets.registry.glossary.photometry import PHOTOMETRY
from astra_assets.registry.glossary.results import RESULTS
from astra_assets.registry.glossary.spectra import SPECTRA
from astra_assets.registry.kinds import Definition


def merge(*themes: Mapping[str, Definition]) -> dict[str, Definition]:
    """All themes in one mapping; raises ValueError when two themes define the same column."""
    merged: dict[str, Definition] = {}
    for theme in themes:
        twice = sorted(merged.keys() & theme.keys())
        if twice:
            raise ValueError(f"columns defined twice: {', '.join(twice)}")
        merged |= theme
    return merged


GLOSSARY: dict[str, Definition] = merge(
    IDENTIFIERS, ASTROMETRY, PHOTOMETRY, OBSERVATIONS, SPECTRA, RESULTS, COOL_STARS, BOOKKEEPING
)
"""Every column by its name; errors and derived columns (`e_teff`, `raw_e_teff`, `initial_teff`) follow from
these."""
