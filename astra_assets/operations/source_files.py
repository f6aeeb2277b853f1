"""Per-source files: which steps write them, whether they may be written, and how many there are."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import ColumnElement, func, select

from astra_assets import pipelines
from astra_assets.models.base import Base, bit
from astra_assets.models.mwm import AstraSpectrumProductStatus as ResultStatus
from astra_assets.models.mwm import MWMSpectrumProductStatus as Status
from astra_assets.pipelines.astra_files import file_kinds
from astra_assets.registry.version import major_minor
from astra_assets.text import size_text

if TYPE_CHECKING:
    from astra_assets.config.releases import Release
    from astra_assets.database.database import Database
    from astra_assets.operations.deployment import Deployment
    from astra_assets.pipelines.base import Pipeline, Step

SPECTRA_PIPELINE = "mwm"
"""Key of the pipeline whose steps write the per-source files of spectra."""


@dataclass(frozen=True)
class ListedProduct:
    """A product as it is on disk.

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
        """The size with its unit, e.g. `1.5 MB`."""
        return size_text(self.size_bytes) if self.size_bytes else "-"

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {**asdict(self), "path": str(self.path)}


def makes_source_files(pipeline: Pipeline, step: Step) -> bool:
    """Return whether a step writes files of sources: of spectra, or of a pipeline's results."""
    return pipeline.key == SPECTRA_PIPELINE or bool(file_kinds(step))


def need_unfrozen(deployment: Deployment, pipeline: Pipeline, step: Step, release: Release) -> None:
    """Check that a step may write what it writes.

    Raises:
        FrozenError: it would write per-source files of a frozen version.
    """
    from astra_assets.products.release.frozen import refuse_if_frozen

    if makes_source_files(pipeline, step):
        root = deployment.settings.products_root
        refuse_if_frozen(root, release.v_astra, "spectra", "a per-source file of a new or changed source")


def source_files(deployment: Deployment, release: Release) -> list[ListedProduct]:
    """List the kinds of per-source file of a release, with how many there are according to the database."""
    database, folder = deployment.database, deployment.settings.products_root / release.v_astra
    inventory, found = database.look(), []
    if inventory.has(Status):
        for name, kind in (("mwmStar", "star"), ("mwmVisit", "visit")):
            files = _count(database, Status, release, f"created_mwm_{kind}")
            found.append(ListedProduct(name, files, 0, folder / "spectra" / kind))
    if inventory.has(ResultStatus):
        for pipeline in pipelines.PIPELINES:
            kinds = [kind for step in pipeline.steps for kind in file_kinds(step)]
            for kind in kinds if pipeline.key in release.pipelines else ():
                of_pipeline = ResultStatus.c.pipeline == pipeline.name
                files = _count(database, ResultStatus, release, f"created_astra_{kind}", of_pipeline)
                name = f"astra{kind.capitalize()}{pipeline.product}"
                found.append(ListedProduct(name, files, 0, folder / "results" / kind))
    return found


def _count(
    database: Database, model: type[Base], release: Release, flag: str, *conditions: ColumnElement[bool]
) -> tuple[int, ...]:
    """Return the number of rows of a table of status with a flag; nothing where it is zero."""
    of_version = model.c.v_astra_major_minor == major_minor(release.v_astra)
    is_set = model.c.flags.bitwise_and(bit(model, "flags", flag)) != 0
    query = select(func.count()).where(of_version, is_set, *conditions)
    with database.connect() as connection:
        files = int(connection.execute(query).scalar_one())
    return (files,) if files else ()
