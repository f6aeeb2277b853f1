"""What the headers of a product say, apart from its columns, and reading it again from a file that is there."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from astra_assets.fits.header import MAX_TEXT, Card, created_card, section
from astra_assets.fits.read_header import read_primary_header
from astra_assets.products.summary import SummaryProduct, SummaryTable

FINGERPRINT_KEYWORD = "FPRINT"
"""Card of the primary header: the fingerprint of the inputs."""
SAMPLE_KEYWORD = "SAMPLE"
"""Card of the primary header of samples: how many rows each table has at most."""


@dataclass(frozen=True)
class Provenance:
    """Where a file comes from. What is None or empty has no card.

    Attributes:
        v_astra: the version of Astra, which also names the folder of the file.
        release: the release that it was made for.
        run2d: versions of the BOSS reductions.
        apred: versions of the APOGEE reductions.
        git_revision: of this package.
        run_id: the run that wrote the file.
    """

    v_astra: str
    release: str
    run2d: tuple[str, ...] = ()
    apred: tuple[str, ...] = ()
    git_revision: str | None = None
    run_id: str | None = None

    def cards(self) -> list[Card]:
        """Return the cards of everything but the version, below a heading."""
        found = [
            *_texts("RELEASE", [self.release], "Release"),
            *_texts("RUN2D", self.run2d, "BOSS reduction"),
            *_texts("APRED", self.apred, "APOGEE reduction"),
            *_texts("GITREV", [self.git_revision or ""], "Revision of astra_assets"),
            *_texts("RUNID", [self.run_id or ""], "Run that wrote the file"),
        ]
        return [*section("Provenance"), *found] if found else []


def _texts(keyword: str, values: Iterable[str], comment: str) -> list[Card]:
    """The values on one card, separated by commas, or on numbered cards when they do not fit on one."""
    present = [value for value in values if value.strip()]
    joined = ", ".join(present)
    if not present or len(joined) <= MAX_TEXT:
        return [Card(keyword, joined, comment)] if present else []
    return [Card(f"{keyword}{number}", value, comment) for number, value in enumerate(present, start=1)]


@dataclass(frozen=True)
class ProductHeaders:
    """The headers of the files that one run writes of a product."""

    product: SummaryProduct
    provenance: Provenance
    fingerprint: str
    created: datetime

    def primary(self, rows: Sequence[int], sample: int | None = None) -> list[Card]:
        """Return the cards of the primary header.

        Args:
            rows: of each table.
            sample: the most rows that a table of a sample has; None for the whole product.
        """
        shortened = (
            [] if sample is None else [Card(SAMPLE_KEYWORD, sample, "A sample: at most so many rows a table")]
        )
        return [
            *section("Metadata"),
            *self._pipeline(),
            *self._version(),
            *shortened,
            *self.provenance.cards(),
            Card(FINGERPRINT_KEYWORD, self.fingerprint),
            *(
                Card(rows_keyword(number), count, f"Rows of HDU {number}")
                for number, count in enumerate(rows, 1)
            ),
        ]

    def table(self, table: SummaryTable) -> list[Card]:
        """Return the cards above the columns of a table."""
        instrument = [] if table.instrument is None else [Card("INSTRMNT", table.instrument, "Instrument")]
        return [*section("Metadata"), *instrument, *self._pipeline(), *self._version()]

    def descriptions(self) -> list[str]:
        """Return one line for each HDU."""
        tables = (
            f"HDU {number}: {table.description}" for number, table in enumerate(self.product.tables, start=1)
        )
        return ["HDU 0: Summary information only", *tables]

    def _pipeline(self) -> list[Card]:
        name = self.product.pipeline
        return [] if name is None else [Card("PIPELINE", name, "Pipeline name")]

    def _version(self) -> list[Card]:
        return [Card("V_ASTRA", self.provenance.v_astra, "Astra version"), created_card(self.created)]


def rows_keyword(number: int) -> str:
    """Return the keyword of the card of the primary header that has the rows of an HDU."""
    return f"NROWS{number}"


def written_rows(product: SummaryProduct, path: Path) -> tuple[int, ...]:
    """Read the rows of each table HDU from the primary header of a product; empty where it says nothing."""
    header = read_primary_header(path)
    if header is None or rows_keyword(1) not in header:
        return ()
    return tuple(header.integer(rows_keyword(number)) for number in range(1, len(product.tables) + 1))


def mark_of(path: Path) -> str | None:
    """Read the fingerprint that a file was written with; None where it has none."""
    header = read_primary_header(path)
    return None if header is None else header.text(FINGERPRINT_KEYWORD) or None
