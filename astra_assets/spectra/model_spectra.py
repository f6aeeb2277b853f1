"""The pixel arrays that belong to results, such as best-fitting models: one small file for each result.

Here: writing and reading them, and which of several is that of a result. Not here: what is in them
(`pipelines`), the per-source files that are made of them (`astra_files`).

A result that is made again gets another file beside the first: which of the two is in the database is known
only when its batch has been collected, and a batch may be given up. So the name says when the batch was
planned that made the result, which the row of the result says, too (`modified`); of those before that time
nobody has need once the row is there.

The file is one image: a row for each array, named by the cards ROW1, ROW2, ...
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from astra_assets.files.atomic import atomic_write
from astra_assets.files.paths import inside, model_spectra_folder
from astra_assets.fits.header import Card, created_card
from astra_assets.fits.read_images import read_images
from astra_assets.spectra.base import SpectrumError
from astra_assets.spectra.file_errors import as_spectrum_errors
from astra_assets.spectra.mwm_hdu import hdu

Arrays = Mapping[str, NDArray[np.float32]]

_TIME = "%Y%m%dT%H%M%S%f"
_NAME = re.compile(r"(\d+)-(\d{8}T\d{12})\.fits\Z")


@dataclass(frozen=True)
class ModelSpectra:
    """The files of one pipeline and version.

    Attributes:
        mwm_astra: root of the products.
        pipeline: key of the pipeline.
        v_astra: version that made the results, such as `0.8.1`.
    """

    mwm_astra: Path
    pipeline: str
    v_astra: str

    def path(self, spectrum_pk: int, made: datetime) -> Path:
        """The file of the result on a spectrum that was `made` by a batch planned then (naive UTC)."""
        return self._folder(spectrum_pk) / f"{spectrum_pk}-{made:{_TIME}}.fits"

    def write(self, spectrum_pk: int, made: datetime, arrays: Arrays) -> Path:
        """Write the arrays of a result, all of one length; they are on disk when this returns."""
        path = self.path(spectrum_pk, made)
        image = np.stack(list(arrays.values())).astype(">f4")
        cards = [
            Card("SIMPLE", True, "conforms to FITS standard"),
            Card("BITPIX", -32, "single precision"),
            Card("NAXIS", 2, "pixels, arrays"),
            Card("NAXIS1", image.shape[1], "pixels"),
            Card("NAXIS2", image.shape[0], "arrays"),
            Card("EXTEND", True, "there may be extensions"),
            Card("PIPELINE", self.pipeline, "pipeline"),
            Card("V_ASTRA", self.v_astra, "Astra version"),
            Card("SPEC_PK", spectrum_pk, "spectrum_pk of the spectrum and of its result"),
            created_card(made),
            *(Card(f"ROW{number}", name, "array in this row") for number, name in enumerate(arrays, 1)),
        ]
        with atomic_write(path) as partial:
            partial.write_bytes(hdu(cards, made, image.tobytes()))
        return path

    def read(self, spectrum_pk: int, made: datetime) -> Arrays | None:
        """The arrays of the result that was `made` then; None where it has none.

        Raises `SpectrumError` unreadable_file when the file is damaged.
        """
        path = self.path(spectrum_pk, made)
        if not path.exists():
            return None
        with as_spectrum_errors():
            found = read_images(path, [0])
        rows = np.atleast_2d(found.arrays[0])
        try:
            return {
                str(found.header[f"ROW{number}"]): row.astype(np.float32)
                for number, row in enumerate(rows, 1)
            }
        except KeyError as error:
            raise SpectrumError(
                "unreadable_file", f"{path}: no card {error}, which names a row of the image"
            ) from None

    def forget_before(self, spectrum_pk: int, made: datetime) -> None:
        """Remove the files of results on a spectrum that the one `made` then has replaced."""
        folder = self._folder(spectrum_pk)
        for path in folder.glob(f"{spectrum_pk}-*.fits"):
            match = _NAME.match(path.name)
            if match is not None and match[2] < f"{made:{_TIME}}":
                path.unlink(missing_ok=True)

    def _folder(self, spectrum_pk: int) -> Path:
        return inside(self.mwm_astra, model_spectra_folder(self.pipeline, self.v_astra, spectrum_pk))
