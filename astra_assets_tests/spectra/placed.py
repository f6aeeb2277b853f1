"""A row of a BOSS visit and files at the places that rows name; for tests that look for files and do not read them."""

from __future__ import annotations

from typing import Any

VISIT: dict[str, Any] = {"run2d": "v6_2_1", "fieldid": 1, "mjd": 59000, "catalogid": 5, "spec_file": ""}


def made(path):
    """A file of one empty FITS block."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(2880 * b" ")
    return path
