"""The table of ingested files. What is in them goes to `source.py`, `boss.py` and `apogee.py`."""

from __future__ import annotations

from sqlalchemy import UniqueConstraint

from astra_assets.models.base import Base, field, heading, primary_key, row_times, table


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
