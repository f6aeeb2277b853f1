"""What the headers of a product say, but for its columns.

Belongs here: the cards of the primary header and of each table. Does not belong here: how cards become bytes
(`fits.header`), where a file comes from (`provenance`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from astra_assets.fits.header import Card, section
from astra_assets.fits.read_header import read_primary_header
from astra_assets.products.summary import SummaryProduct, SummaryTable
from astra_assets.products.write.fingerprint import KEYWORD
from astra_assets.products.write.provenance import Provenance, version_cards

SAMPLE_KEYWORD = "SAMPLE"
"""Header card of samples: how many rows each table has at most."""


@dataclass(frozen=True)
class Heading:
    """What the files of one run say about themselves."""

    product: SummaryProduct
    v_astra: str
    release: str
    provenance: Provenance
    fingerprint: str
    created: datetime

    def primary(self, rows: Sequence[int], sample: int | None = None) -> list[Card]:
        """The cards of the primary header; `rows` of each table, `sample` the most that a table of a sample has."""
        shortened = (
            [] if sample is None else [Card(SAMPLE_KEYWORD, sample, "A sample: at most so many rows a table")]
        )
        return [
            *section("Metadata"),
            *self._pipeline(),
            *version_cards(self.v_astra, self.created),
            *shortened,
            *self.provenance.cards(self.release),
            Card(KEYWORD, self.fingerprint),
            *(
                Card(rows_keyword(number), count, f"Rows of HDU {number}")
                for number, count in enumerate(rows, 1)
            ),
        ]

    def table(self, table: SummaryTable) -> list[Card]:
        """The cards above the columns of a table."""
        instrument = [] if table.instrument is None else [Card("INSTRMNT", table.instrument, "Instrument")]
        return [
            *section("Metadata"),
            *instrument,
            *self._pipeline(),
            *version_cards(self.v_astra, self.created),
        ]

    def descriptions(self) -> list[str]:
        """One line for each HDU."""
        tables = (
            f"HDU {number}: {table.description}" for number, table in enumerate(self.product.tables, start=1)
        )
        return ["HDU 0: Summary information only", *tables]

    def _pipeline(self) -> list[Card]:
        name = self.product.pipeline
        return [] if name is None else [Card("PIPELINE", name, "Pipeline name")]


def rows_keyword(number: int) -> str:
    """The card of the primary header that has the rows of an HDU."""
    return f"NROWS{number}"


def written_rows(product: SummaryProduct, path: Path) -> tuple[int, ...]:
    """Rows of each table HDU of a product that is there, according to its header; empty where it says nothing."""
    header = read_primary_header(path)
    if header is None or rows_keyword(1) not in header:
        return ()
    return tuple(header.integer(rows_keyword(number)) for number in range(1, len(product.tables) + 1))


def mark_of(path: Path) -> str | None:
    """The fingerprint that a file was written with; None where it has none."""
    header = read_primary_header(path)
    return None if header is None else header.text(KEYWORD) or None
