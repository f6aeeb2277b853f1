"""The files that one product consists of, and their names."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from astra_assets.fits.tiles import SUFFIX as TILES_SUFFIX
from astra_assets.products.summary import SummaryProduct

FITS_SUFFIX = ".fits.gz"
PARQUET_SUFFIX = ".parquet"
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
        """The product without gzip."""
        return _beside(self.fits, ".fits")

    @property
    def tiles(self) -> Path:
        """The product with tile-compressed tables."""
        return _beside(self.fits, TILES_SUFFIX)

    @property
    def companions(self) -> tuple[Path, ...]:
        """Every file that always stands beside the product."""
        return () if self.alone else (*self.parquet, self.sample, self.page)

    @property
    def copies(self) -> dict[str, Path]:
        """The product in other formats, which are made when asked for, by the name of the format."""
        return {"plain": self.plain, "tiles": self.tiles}

    @property
    def wanted(self) -> tuple[Path, ...]:
        """The files that are to be there: a copy in another format that was made once is kept up to date."""
        return self.wanted_with(())

    def wanted_with(self, formats: Collection[str]) -> tuple[Path, ...]:
        """Return the files that are to be there when copies in these formats are asked for, too."""
        copies = (path for name, path in self.copies.items() if name in formats or path.exists())
        return (self.fits, *self.companions, *copies)


def summary_path(product: str, v_astra: str) -> str:
    """Return where the FITS file of a product is, relative to MWM_ASTRA."""
    return f"{v_astra}/summary/{product}-{v_astra}{FITS_SUFFIX}"


def product_path(product: SummaryProduct, *, v_astra: str, mwm_astra: Path, limit: int | None = None) -> Path:
    """Return where a product is, or a sample of its first `limit` rows."""
    path = mwm_astra / summary_path(product.name, v_astra)
    return path if limit is None else _beside(path, f"-sample-{limit}{FITS_SUFFIX}")


def bundle_of(product: SummaryProduct, path: Path, *, limit: int | None = None) -> Bundle:
    """Name the files of a product whose FITS file is at `path`; a sample (`limit`) has nothing beside it.

    The Parquet files have the instrument in their names where a product has several tables:
    `mwmTargets-0.8.1.parquet`, but `mwmAllVisit-0.8.1-boss.parquet` and `mwmAllVisit-0.8.1-apogee.parquet`.
    A table without rows has one, too.
    """
    if limit is not None:
        return Bundle(path, alone=True)
    endings = ["" if table.instrument is None else f"-{table.instrument.lower()}" for table in product.tables]
    return Bundle(path, tuple(_beside(path, f"{ending}{PARQUET_SUFFIX}") for ending in endings))


def older_versions(product: SummaryProduct, path: Path, mwm_astra: Path) -> Iterator[Path]:
    """Find the same product on disk in versions before that of `path`, the newest first."""
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
    """Return the version in the name of a product's file; None where there is none."""
    found = _VERSIONED.match(path.name)
    return None if found is None else tuple(int(part) for part in found["version"].split("."))


def product_name(path: Path) -> str | None:
    """Return the product's name in the name of a file; None where the file is not named like a product."""
    found = _VERSIONED.match(path.name)
    return None if found is None else found["product"]


def _text(version: tuple[int, ...]) -> str:
    return ".".join(str(part) for part in version)


def _beside(path: Path, end: str) -> Path:
    stem = path.name.removesuffix(".gz").removesuffix(".fits")
    return path.with_name(stem + end)
