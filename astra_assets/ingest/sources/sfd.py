"""The dust map of Schlegel, Finkbeiner & Davis (1998, ApJ 500, 525), where a site has it, and E(B-V) of sources from it.

The map is 134 MB and published by its authors (doi:10.7910/DVN/EWCNL5); nothing is downloaded.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from sqlalchemy import Connection, select

from astra_assets.astronomy import sky
from astra_assets.database.database import Database
from astra_assets.fits.read_images import read_image
from astra_assets.ingest.report import IngestError, as_ingest_errors
from astra_assets.ingest.sources import reddening
from astra_assets.ingest.sources.derived import CHUNK_ROWS, SOURCES, derive, derive_query, has_inputs
from astra_assets.ingest.stage import staged
from astra_assets.models.base import utcnow

Floats = NDArray[np.float64]

FILES = {1: "SFD_dust_4096_ngp.fits", -1: "SFD_dust_4096_sgp.fits"}
"""The file of each Galactic hemisphere, by the sign of its latitude; the equator is in both."""


class SfdMap:
    """The map. Its files are read when the first value is asked for."""

    def __init__(self, folder: Path) -> None:
        """Name the folder that has both files. Raises IngestError where one is missing."""
        self.paths = {sign: folder / name for sign, name in FILES.items()}
        lacking = [str(path) for path in self.paths.values() if not path.is_file()]
        if lacking:
            raise IngestError(
                f"the SFD dust map lacks {' and '.join(lacking)}; correct ASTRA_SFD_MAP, the folder of the map, or unset it"
            )
        self._halves: dict[int, tuple[Any, Any]] = {}

    def value(self, longitude: Floats, latitude: Floats) -> Floats:
        """E(B-V) (mag) as the map has it, between its pixels, at Galactic coordinates in deg; NaN where these are NaN.

        Raises IngestError where a file is no such map.
        """
        from scipy.ndimage import map_coordinates

        found = np.full(len(latitude), np.nan)
        for sign in FILES:
            here = latitude >= 0 if sign > 0 else latitude < 0
            if here.any():
                image, wcs = self._half(sign)
                x, y = wcs.wcs_world2pix(longitude[here], latitude[here], 0)
                found[here] = map_coordinates(image, [y, x], order=1, mode="nearest")
        return found

    def _half(self, sign: int) -> tuple[Any, Any]:
        """The image of a hemisphere and its coordinates, in the zenithal equal-area projection that its header says."""
        if sign not in self._halves:
            # astropy costs 0.3 s to import; most runs look nothing up.
            from astropy.wcs import WCS

            path = self.paths[sign]
            with as_ingest_errors():
                image, header = read_image(path)
            try:
                wcs = WCS(header)
            except Exception as error:  # astropy raises about every built-in error on a broken header
                raise IngestError(f"{path}: cannot be read: {error}") from error
            names = tuple(wcs.wcs.ctype)
            if image.ndim != 2 or names != ("GLON-ZEA", "GLAT-ZEA"):
                raise IngestError(
                    f"{path}: expected an image in GLON-ZEA and GLAT-ZEA, found {', '.join(names)}"
                )
            self._halves[sign] = image.astype(np.float32), wcs
        return self._halves[sign]


def fill_sfd(database: Database, sfd_map: SfdMap) -> int:
    """Give the value of the map to sources that have a position and none, and what follows from it.

    Returns how many sources changed.
    """
    lacking = (SOURCES.c.ebv_sfd.is_(None), has_inputs("l"))
    last, changed = 0, 0
    while True:
        query = select(SOURCES.c.pk, SOURCES.c.ra, SOURCES.c.dec)
        query = query.where(*lacking, SOURCES.c.pk > last).order_by(SOURCES.c.pk).limit(CHUNK_ROWS)
        with database.begin() as connection:
            rows = connection.execute(query).all()
            changed += _fill(
                database, connection, np.array([tuple(row) for row in rows], dtype=float), sfd_map
            )
        if len(rows) < CHUNK_ROWS:
            return changed
        last = rows[-1].pk


def _fill(database: Database, connection: Connection, rows: Floats, sfd_map: SfdMap) -> int:
    """The same for some sources; `rows` has their pk, ra and dec."""
    if not len(rows):
        return 0
    now = utcnow()
    ebv, e_ebv = reddening.sfd(sfd_map.value(*sky.galactic(rows[:, 1], rows[:, 2])))
    made = {
        "pk": pa.array(rows[:, 0].astype(np.int64)),
        "ebv_sfd": pa.array(ebv),
        "e_ebv_sfd": pa.array(e_ebv),
    }
    with staged(database, connection, SOURCES, pa.table(made), ("pk",)) as stage:
        changed = stage.update(["ebv_sfd", "e_ebv_sfd"], now)
        derive(
            database, connection, connection.execute(derive_query().join(stage.table, stage.same)).all(), now
        )
    return changed
