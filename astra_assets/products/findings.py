"""The checks of a product by name, what they find, and the error of a product that is not right."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from astra_assets.fits.errors import UnsoundFileError

FILE = "file_is_sound"
KEYS = "keys_are_unique"
TWIN = "parquet_equals_fits"
POSITIONS = "positions_are_on_the_sky"
FILLED = "no_column_lost_its_values"
CHECKS = (FILE, KEYS, TWIN, POSITIONS, FILLED)
"""What is checked before a product gets its name."""


class VerificationError(UnsoundFileError):
    """A product that is not what it should be; `check` is the name of the check that found it."""

    def __init__(self, check: str, message: str) -> None:
        super().__init__(message)
        self.check = check


@dataclass(frozen=True)
class Finding:
    """What a check found: a sentence for people, and numbers.

    One that did not pass and raised no VerificationError is a warning.
    """

    check: str
    text: str
    passed: bool = True
    facts: Mapping[str, str | int | float] = field(default_factory=dict)
