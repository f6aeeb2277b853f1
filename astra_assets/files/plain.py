"""A product without gzip: the same bytes, for readers that want to map them into memory.

Belongs here: unpacking a gzip file as a stream. Does not belong here: which files there are (`bundle`).
"""

from __future__ import annotations

import shutil
from pathlib import Path

from isal import igzip

_CHUNK_BYTES = 4 << 20


def gunzip(packed: Path, plain: Path) -> None:
    """Write the contents of a gzip file to `plain`."""
    with igzip.open(packed, "rb") as source, plain.open("xb") as target:  # type: ignore[no-untyped-call]
        shutil.copyfileobj(source, target, _CHUNK_BYTES)
