"""What has been written: each product with its rows, size and path.

Belongs here: reading what is on disk and in the database about products. Does not belong here: layout of the list.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import ColumnElement, func, select

from astra_assets.database.database import Database
from astra_assets.models.base import Base, bit
from astra_assets.models.mwm import AstraSpectrumProductStatus as ResultStatus
from astra_assets.models.mwm import MWMSpectrumProductStatus as Status
from astra_assets.products.bundle import product_path
from astra_assets.products.headers import written_rows
from astra_assets.products.summary import SummaryProduct
from astra_assets.registry.version import major_minor


@dataclass(frozen=True)
class Listed:
    """One product.

    Attributes:
        name: of the product.
        rows: of each table HDU, or the number of files; empty when it has not been written.
        size_bytes: of the file; 0 when it has not been written.
        path: of the file, or the folder of many.
    """

    name: str
    rows: tuple[int, ...]
    size_bytes: int
    path: Path

    @property
    def rows_text(self) -> str:
        """Rows of each HDU, e.g. `220 + 0`."""
        return " + ".join(f"{count:,}" for count in self.rows) or "not written yet"

    @property
    def size_text(self) -> str:
        """The size as people read it."""
        return f"{self.size_bytes / 1e6:.1f} MB" if self.size_bytes else "-"

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {**asdict(self), "path": str(self.path)}


def listed_product(product: SummaryProduct, v_astra: str, root: Path) -> Listed:
    """A summary product as it is on disk."""
    path = product_path(product, v_astra=v_astra, mwm_astra=root)
    if not path.exists():
        return Listed(product.name, (), 0, path)
    return Listed(product.name, written_rows(product, path), path.stat().st_size, path)


def listed_sources(database: Database, v_astra: str, root: Path) -> list[Listed]:
    """The per-source files: how many there are of each kind, according to the database."""
    found = []
    for name, kind in (("mwmStar", "star"), ("mwmVisit", "visit")):
        flag = bit(Status, "flags", f"created_mwm_{kind}")
        files = _files(database, Status, v_astra, flag)
        found.append(Listed(name, (files,) if files else (), 0, root / v_astra / "spectra" / kind))
    return found


def listed_results(
    database: Database, v_astra: str, root: Path, *, pipeline: str, product: str, kind: str
) -> Listed:
    """The per-source files of a pipeline, `star` or `visit`: how many there are, according to the database."""
    flag = bit(ResultStatus, "flags", f"created_astra_{kind}")
    files = _files(database, ResultStatus, v_astra, flag, ResultStatus.c.pipeline == pipeline)
    name = f"astra{kind.capitalize()}{product}"
    return Listed(name, (files,) if files else (), 0, root / v_astra / "results" / kind)


def _files(
    database: Database, model: type[Base], v_astra: str, flag: int, *conditions: ColumnElement[bool]
) -> int:
    """Rows of a table of status with a flag."""
    of_version = model.c.v_astra_major_minor == major_minor(v_astra)
    query = select(func.count()).where(of_version, model.c.flags.bitwise_and(flag) != 0, *conditions)
    with database.connect() as connection:
        return int(connection.execute(query).scalar_one())
