"""The files that one product consists of, and their names.

Belongs here: which files stand beside the FITS file of a product and what they are called. Does not belong here:
what is in them (`write`, `excerpt`, `page`), whether they are right (`verify`, `audit`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from astra_assets.files.paths import inside, summary_path
from astra_assets.fits.tiles import SUFFIX as TILES_SUFFIX
from astra_assets.products.summary import SummaryProduct
from astra_assets.products.write.parquet import twin_paths

FITS_SUFFIX = ".fits.gz"
_VERSIONED = re.compile(r"(?P<product>[A-Za-z_0-9]+)-(?P<version>\d+(?:\.\d+)+)")


@dataclass(frozen=True)
class Bundle:
    """The files of a product, all in one folder, made from the same rows.

    Attributes:
        fits: the product itself.
        parquet: one file for each table HDU, in their order.
        alone: the FITS file stands alone, as that of a sample of the first rows does.
    """

    fits: Path
    parquet: tuple[Path, ...] = ()
    alone: bool = False

    @property
    def sample(self) -> Path:
        """A thousand rows of each table, in the columns and formats of the product."""
        return _beside(self.fits, f"-sample{FITS_SUFFIX}")

    @property
    def page(self) -> Path:
        """The data model of the file, in Markdown."""
        return _beside(self.fits, ".md")

    @property
    def plain(self) -> Path:
        """The product without gzip, which is made when asked for."""
        return _beside(self.fits, ".fits")

    @property
    def tiles(self) -> Path:
        """The product with tile-compressed tables, which is made when asked for."""
        return _beside(self.fits, TILES_SUFFIX)

    @property
    def companions(self) -> tuple[Path, ...]:
        """Every file that always stands beside the product."""
        return () if self.alone else (*self.parquet, self.sample, self.page)

    @property
    def wanted(self) -> tuple[Path, ...]:
        """The files that are to be there: a copy in another format that was made once is kept up to date."""
        kept = (path for path in (self.plain, self.tiles) if path.exists())
        return (self.fits, *self.companions, *kept)


def product_path(product: SummaryProduct, *, v_astra: str, mwm_astra: Path, limit: int | None = None) -> Path:
    """Where a product is, or a sample of its first `limit` rows."""
    path = inside(mwm_astra, summary_path(product.name, v_astra))
    return path if limit is None else _beside(path, f"-sample-{limit}{FITS_SUFFIX}")


def bundle_of(product: SummaryProduct, path: Path, *, limit: int | None = None) -> Bundle:
    """The files of a product whose FITS file is at `path`; a sample (`limit`) has nothing beside it."""
    return Bundle(path, twin_paths(path, product)) if limit is None else Bundle(path, alone=True)


def older_versions(product: SummaryProduct, path: Path, mwm_astra: Path) -> Iterator[Path]:
    """The same product in versions before that of `path` that are on disk, the newest first."""
    own = version_of(path)
    found = [
        (version, each)
        for each in mwm_astra.glob(f"*/summary/{product.name}-*{FITS_SUFFIX}")
        if (version := version_of(each)) is not None
        and (own is None or version < own)
        and each == product_path(product, v_astra=_text(version), mwm_astra=mwm_astra)
    ]
    yield from (each for _, each in sorted(found, reverse=True))


def version_of(path: Path) -> tuple[int, ...] | None:
    """The version in the name of a product's file; None where there is none."""
    found = _VERSIONED.match(path.name)
    return None if found is None else tuple(int(part) for part in found["version"].split("."))


def product_name(path: Path) -> str | None:
    """The name of the product in the name of its file; None where the file is not named like one."""
    found = _VERSIONED.match(path.name)
    return None if found is None else found["product"]


def _text(version: tuple[int, ...]) -> str:
    return ".".join(str(part) for part in version)


def _beside(path: Path, end: str) -> Path:
    stem = path.name.removesuffix(".gz").removesuffix(".fits")
    return path.with_name(stem + end)
