"""Folders that tests read from."""

from __future__ import annotations

from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
"""The root of the project."""

DATA = PROJECT / "astra_assets_tests" / "data"
"""Data of tests, all made by us."""

SHARED = PROJECT.parent / "shared"
"""Real data, next to the project where they exist."""
