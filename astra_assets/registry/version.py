"""Versions of Astra: text ("0.8.1"), integer in the database (8001), and without the patch number (8)."""

from __future__ import annotations

import re


def version_integer(version: str) -> int:
    """The integer, major * 1,000,000 + minor * 1,000 + patch: "0.8.1" -> 8001, "0.8" -> 8000.

    Raises ValueError when the text is not two or three numbers below 1000.
    """
    match = re.fullmatch(r"(\d{1,3})\.(\d{1,3})(?:\.(\d{1,3}))?", version.strip())
    if match is None:
        raise ValueError(f"an Astra version looks like 0.8.1, found {version!r}")
    major, minor, patch = (int(part or 0) for part in match.groups())
    return major * 1_000_000 + minor * 1_000 + patch


def major_minor(version: str | int) -> int:
    """The version without its patch number, as in the column v_astra_major_minor: "0.8.1" or 8001 -> 8."""
    return (version if isinstance(version, int) else version_integer(version)) // 1_000


def version_text(version: int) -> str:
    """The text of a version integer: 8001 -> "0.8.1"."""
    if version < 0:
        raise ValueError(f"an Astra version is not negative, found {version}")
    return f"{version // 1_000_000}.{version // 1_000 % 1_000}.{version % 1_000}"
