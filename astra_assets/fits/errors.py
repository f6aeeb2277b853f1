"""What is said of a FITS file that cannot be read. Light to import, since others only name these errors."""

from __future__ import annotations

from typing import Literal

from astra_assets.errors import ExpectedError

Code = Literal["missing_file", "unreadable_file", "missing_column"]


class FitsReadError(ExpectedError):
    """A FITS file cannot be read, or is not what it should be.

    The message names the file, the HDU, what was expected and what was found.

    Attributes:
        code: why, in one word: `missing_file`, `unreadable_file` or `missing_column`.
    """

    def __init__(self, message: str, code: Code = "unreadable_file") -> None:
        super().__init__(message)
        self.code: Code = code


class UnsoundFileError(FitsReadError, ValueError):
    """A file that is not what it should be; the message says where."""
