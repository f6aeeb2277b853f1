"""Errors of files become errors of spectra."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from astra_assets.files.text_tables import TextTableError
from astra_assets.fits.errors import FitsReadError
from astra_assets.spectra.base import SpectrumError


@contextmanager
def as_spectrum_errors() -> Iterator[None]:
    """What is wrong with a file becomes a `SpectrumError`."""
    try:
        yield
    except FitsReadError as error:
        raise SpectrumError(error.code, str(error)) from error
    except TextTableError as error:
        raise SpectrumError("unreadable_file", str(error)) from error
