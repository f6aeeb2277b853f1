"""What has been written: each product with its rows, size and path.

Belongs here: reading what is on disk and in the database about products. Does not belong here: layout of the list.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import func, select

from astra_assets.models.base import bit
from astra_assets.models.database import Database
from astra_assets.models.mwm import MWMSpectrumProductStatus as Status
from astra_assets.models.version import major_minor
from astra_assets.products.bundle import product_path
from astra_assets.products.headers import written_rows
from astra_assets.products.summary import SummaryProduct


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
        query = select(func.count()).where(
            Status.c.v_astra_major_minor == major_minor(v_astra), Status.c.flags.bitwise_and(flag) != 0
        )
        with database.connect() as connection:
            files = int(connection.execute(query).scalar_one())
        found.append(Listed(name, (files,) if files else (), 0, root / v_astra / "spectra" / kind))
    return found
