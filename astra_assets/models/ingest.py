"""What ingestion remembers: ingested files, and of spectra what their own tables have no column for.

What is in the files goes to `source.py`, `boss.py` and `apogee.py`.
"""

from __future__ import annotations

from sqlalchemy import UniqueConstraint

from astra_assets.models.base import Base, table
from astra_assets.models.fields import field, heading, primary_key, row_times, spectrum_key


class IngestFile(Base):
    """One row per file that was ingested, with what tells whether it changed since."""

    __table__ = table(
        "ingest_file",
        primary_key(),
        heading(
            "Files",
            *(field(name, nullable=False) for name in ("path", "kind", "size", "mtime_ns", "content_hash")),
            "run2d",
            field("rows", nullable=False, default=0),
        ),
        *row_times(),
        UniqueConstraint("path"),
    )


class IngestSpectrum(Base):
    """What a summary file says of a spectrum that Astra's tables do not keep.

    Attributes:
        catalogid, sdss_id: which source it belongs to; linking looks at them whenever sources arrive.
        n_unmatched: visits in the header of an apStar file that are no rows of apogee_visit_spectrum; NULL
            where the header is to be read.
    """

    __table__ = table(
        "ingest_spectrum",
        primary_key(),
        heading("Spectra", spectrum_key(nullable=False), "catalogid", "sdss_id", "n_unmatched"),
        *row_times(),
    )
