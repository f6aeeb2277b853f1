"""A database and folders with sources, their spectra and the files of these, for the making of mwm files."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import numpy as np
from astropy.io import fits
from sqlalchemy import insert, select

from astra_assets.files.paths import ap_star_path, ap_visit_name, ap_visit_path, mwm_path, spec_full_path
from astra_assets.models.apogee import (
    ApogeeCoaddedSpectrumInApStar,
    ApogeeVisitSpectrum,
    ApogeeVisitSpectrumInApStar,
)
from astra_assets.models.base import table_of
from astra_assets.models.boss import BossVisitSpectrum
from astra_assets.models.cartons import cartons, pack
from astra_assets.models.source import Source
from astra_assets.pipelines.base import WorkContext
from astra_assets.pipelines.mwm import MWM
from astra_assets.pipelines.mwm.gather import gather
from astra_assets.pipelines.mwm.source_files import make_files
from astra_assets.spectra.base import Roots
from astra_assets_tests.spectra.apogee_files import ap_star, ap_visit

PLANNED = datetime.fromisoformat("2026-03-04T05:06:07")
(STEP,) = MWM.steps
WHITE_DWARF = pack([next(carton.bit for carton in cartons() if carton.program == "mwm_wd")])
OTHER_STAR = pack(
    [next(carton.bit for carton in cartons() if carton.mapper == "mwm" and carton.program != "mwm_wd")]
)
APOGEE = {"release": "sdss5", "apred": "1.5", "telescope": "apo25m", "obj": "2M00000000+0000000",
          "field": "20916", "prefix": "ap", "reduction": ""}  # fmt: skip
GOOD = {"snr": 20.0, "xcsao_rxc": 10.0, "xcsao_v_rad": 30.0, "xcsao_e_v_rad": 2.0, "telescope": "apo25m"}


class Survey:
    """A database and folders with sources, visits and their files."""

    def __init__(self, database, folder: Path) -> None:
        self.database = database
        self.roots = Roots(folder / "sas", folder / "mwm")
        self.context = WorkContext(self.roots, "0.8.1", PLANNED)

    def source(self, sdss_id: int | None, bits: bytes = OTHER_STAR) -> int:
        values = {"sdss_id": sdss_id, "sdss5_target_flags": bits, "healpix": 9, "ra": 10.5}
        with self.database.begin() as connection:
            made = connection.execute(insert(table_of(Source)).values(values))
        return made.inserted_primary_key[0]

    def visit(self, source_pk: int, mjd: int, *, file: bool = True, **changes) -> int:
        row: dict[str, Any] = {
            "release": "sdss5",
            "run2d": "v6_2_1",
            "fieldid": 15000,
            "mjd": mjd,
            "catalogid": 4375924413,
        }
        row |= (
            {"healpix": 9, "spec_file": "", "source_pk": source_pk, "delta_ra": [0.1, 0.2]} | GOOD | changes
        )
        with self.database.begin() as connection:
            row["spectrum_pk"] = int(self.database.reserve_spectrum_pks(connection, 1)[0])
            connection.execute(insert(table_of(BossVisitSpectrum)).values(row))
        if file:
            self.write(row)
        return row["spectrum_pk"]

    def write(self, row) -> None:
        keys = ("run2d", "fieldid", "mjd", "catalogid", "spec_file")
        path = self.roots.sas_base_dir / spec_full_path(*(row[name] for name in keys))
        path.parent.mkdir(parents=True, exist_ok=True)
        loglam = (3.56 + 1e-4 * np.arange(4500)).astype(np.float32)
        columns = [
            fits.Column("FLUX", "E", array=np.full(4500, 5.0)),
            fits.Column("LOGLAM", "E", array=loglam),
            fits.Column("IVAR", "E", array=np.full(4500, 4.0)),
            fits.Column("OR_MASK", "J", array=np.full(4500, 2)),
        ]
        fits.HDUList([fits.PrimaryHDU(), fits.BinTableHDU.from_columns(columns)]).writeto(path)

    def path(self, kind: Literal["star", "visit"], sdss_id: int) -> Path:
        return self.roots.mwm_astra / mwm_path(kind, "0.8.1", sdss_id)

    def gathered(self, *source_pks: int) -> list[dict]:
        columns = {name: column.label(name) for name, column in STEP.columns.items()}
        query = select(Source.c.pk.label("source_pk"), *columns.values()).where(Source.c.pk.in_(source_pks))
        rows = self.database.arrow_table(query.order_by(Source.c.pk))
        with self.database.begin() as connection:
            return gather(connection, rows, self.context).to_pylist()

    def made(self, source_pk: int):
        (source,) = self.gathered(source_pk)
        return make_files(source, self.context)

    def store(self, products) -> None:
        """Insert the rows of products, as the engine does."""
        with self.database.begin() as connection:
            for model, rows in products.rows.items():
                if rows:
                    connection.execute(insert(table_of(model)), [row | self._times(model) for row in rows])

    @staticmethod
    def _times(model) -> dict:
        return {"modified": PLANNED} if "modified" in table_of(model).c else {}

    def apogee_visit(self, source_pk: int, mjd: int, *, file: bool = True, **changes) -> dict:
        """The row of an APOGEE visit; its apVisit file has flux 7."""
        row = APOGEE | {
            "source_pk": source_pk,
            "mjd": mjd,
            "plate": "15001",
            "fiber": 12,
            "spectrum_flags": 0,
        }
        row = self._insert(ApogeeVisitSpectrum, row | {"v_rad": 8.0, "dithered": False} | changes)
        path = self.roots.sas_base_dir / ap_visit_path(row)
        if file and not path.exists():
            ap_visit(path, flux=lambda wavelength: np.full_like(wavelength, 7.0))
        return row

    def apogee_coadd(self, source_pk: int, visits: list[dict], *, file: bool = True, **changes) -> dict:
        """The row of a coadd with these visits in its apStar file: flux 1, and 3, 4, ... of the visits."""
        row = APOGEE | {"apstar": "stars", "healpix": 70_000, "snr": 50.0, "n_visits": len(visits)}
        row = self._insert(
            ApogeeCoaddedSpectrumInApStar, row | {"source_pk": source_pk, "v_rad": 9.0} | changes
        )
        for visit in visits:
            names = ("plate", "mjd", "fiber", "source_pk")
            inside = {name: row[name] for name in ("apstar", "healpix", *APOGEE)} | {
                name: visit[name] for name in names
            }
            self._insert(ApogeeVisitSpectrumInApStar, inside | {"drp_spectrum_pk": visit["spectrum_pk"]})
        if file:
            listed = {f"SFILE{number}": ap_visit_name(visit) for number, visit in enumerate(visits, 1)}
            n_rows = 1 if len(visits) == 1 else len(visits) + 2
            ap_star(self.roots.sas_base_dir / ap_star_path(row), n_rows, **listed)
        return row

    def _insert(self, model, row: dict) -> dict:
        with self.database.begin() as connection:
            row["spectrum_pk"] = int(self.database.reserve_spectrum_pks(connection, 1)[0])
            known = {name: value for name, value in row.items() if name in table_of(model).c}
            connection.execute(insert(table_of(model)).values(known))
        return row
