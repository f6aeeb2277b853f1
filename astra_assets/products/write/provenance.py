"""Where a file comes from, as header cards: release, reductions, versions of the code, the run that made it.

Which values these are is known to whoever runs the release; here they only become cards.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from astra_assets.fits.header import MAX_TEXT, Card, created_card, section


@dataclass(frozen=True)
class Provenance:
    """What a file says about its origin. What is None or empty has no card.

    `run2d` and `apred` are the versions of the BOSS and APOGEE reductions, `git_revision` that of this
    package, `run_id` the run that wrote the file.
    """

    run2d: tuple[str, ...] = ()
    apred: tuple[str, ...] = ()
    git_revision: str | None = None
    run_id: str | None = None

    def cards(self, release: str) -> list[Card]:
        """The cards, below a heading."""
        found = [
            *_texts("RELEASE", [release], "Release"),
            *_texts("RUN2D", self.run2d, "BOSS reduction"),
            *_texts("APRED", self.apred, "APOGEE reduction"),
            *_texts("GITREV", [self.git_revision or ""], "Revision of astra_assets"),
            *_texts("RUNID", [self.run_id or ""], "Run that wrote the file"),
        ]
        return [*section("Provenance"), *found] if found else []


def version_cards(v_astra: str, created: datetime) -> list[Card]:
    """The version of Astra and the time of writing, which every header has."""
    return [Card("V_ASTRA", v_astra, "Astra version"), created_card(created)]


def _texts(keyword: str, values: Iterable[str], comment: str) -> list[Card]:
    """The values on one card, separated by commas, or on numbered cards when they do not fit one."""
    present = [value for value in values if value.strip()]
    joined = ", ".join(present)
    if not present or len(joined) <= MAX_TEXT:
        return [Card(keyword, joined, comment)] if present else []
    return [Card(f"{keyword}{number}", value, comment) for number, value in enumerate(present, start=1)]
