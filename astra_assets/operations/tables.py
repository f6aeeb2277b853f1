"""The tables that the package declares: all of them by name, and how many rows one has."""

from __future__ import annotations

import importlib
import pkgutil
from typing import TYPE_CHECKING

from sqlalchemy import func, select

from astra_assets.models.base import Base, table_of

if TYPE_CHECKING:
    from astra_assets.operations.deployment import Deployment


def declare_tables() -> None:
    """Import every module that declares a table: those of the models, and with the pipelines those of results."""
    import astra_assets.models
    from astra_assets.pipelines import PIPELINES

    for module in pkgutil.iter_modules(astra_assets.models.__path__, "astra_assets.models."):
        importlib.import_module(module.name)
    assert PIPELINES


def all_tables() -> dict[str, type[Base]]:
    """Return every table that we declare, by name."""
    declare_tables()
    models = {table_of(mapper.class_).name: mapper.class_ for mapper in Base.registry.mappers}
    return dict(sorted(models.items()))


def row_count(deployment: Deployment, table: str) -> int:
    """Return the number of rows of one of our tables, given by its name."""
    counted = select(func.count()).select_from(table_of(all_tables()[table]))
    with deployment.database.connect() as connection:
        return int(connection.execute(counted).scalar_one())
