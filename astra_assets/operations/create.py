"""`create`: write a summary product, unless its inputs are what they were."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import TYPE_CHECKING

from astra_assets.config.declared import declared_product, products_of
from astra_assets.models.base import table_of
from astra_assets.models.source import Source
from astra_assets.operations.deployment import Deployment, OperationError, Say, git_revision
from astra_assets.operations.release_products import other_products

if TYPE_CHECKING:
    from astra_assets.config.declared import DeclaredProduct
    from astra_assets.config.releases import Release
    from astra_assets.products.make import CreateReport


def create(
    deployment: Deployment,
    name: str,
    release: Release,
    *,
    overwrite: bool = False,
    limit: int | None = None,
    formats: Collection[str] = (),
    accept_empty: Sequence[str] = (),
    run_id: str | None = None,
    say: Say,
) -> CreateReport:
    """Write a summary product and the files next to it, unless its inputs are what they were.

    Args:
        deployment: where the database and the products are.
        name: name of the product.
        release: named in the header.
        overwrite: write also when nothing changed.
        limit: write a sample of at most so many rows for each HDU instead.
        formats: also a copy without gzip (`plain`), with tile-compressed tables (`tiles`), from then on.
        accept_empty: columns that may have lost all values since the version before.
        run_id: named in the header.
        say: where progress is reported.

    Raises:
        ExpectedError: there is no such product or no table yet, or it cannot be written; see `make_product`.
    """
    from astra_assets.products.headers import Provenance
    from astra_assets.products.make import make_product

    declared = declared_product(name)
    deployment.need_tables(Source)
    with deployment.alone(f"create-{declared.name}", say):
        report = make_product(
            declared.product,
            deployment.database,
            deployment.settings.products_root,
            Provenance(release.v_astra, release.name, release.run2d, release.apred, git_revision(), run_id),
            limit=limit,
            force=overwrite,
            formats=formats,
            accept_empty=accept_empty,
        )
    say(report.summary)
    for warning in report.diff.warnings[:5] if report.diff else ():
        say(f"{declared.name}: differs from the version before: {warning}")
    return report


def available_products(deployment: Deployment, release: Release, say: Say) -> list[str]:
    """Return the names of the products of a release whose tables the database has.

    The database of another Astra may lack some, which is reported; of it also those are named that the release does not
    name and that there are results for.
    """
    inventory = deployment.database.look()
    tables = {name: each.product.result for name, each in products_of(release).items()}
    for name, table in tables.items():
        if table is not None and not inventory.has(table):
            say(f"{name}: left out, since the database has no table {table_of(table).name}")
    found = [name for name, table in tables.items() if table is None or inventory.has(table)]
    return [*found, *_others_with_rows(deployment, release)] if inventory.foreign else found


def _others_with_rows(deployment: Deployment, release: Release) -> Iterator[str]:
    from astra_assets.products.rows import has_any_row

    database = deployment.database
    for name, declared in other_products(release).items():
        if has_any_row(database, declared.product, database.inventory, v_astra=release.v_astra):
            yield name


def left_out(deployment: Deployment, declared: DeclaredProduct, release: Release) -> str | None:
    """Return why a product is not written: the programs that make its rows are not here, and there are none; else None.

    Rows that there are, as in the tables of another Astra, are written, whoever can make more.

    Raises:
        OperationError: there are no rows, and a program that `[programs]` names to make them cannot run.
    """
    from astra_assets.operations.step_runner import absent_program
    from astra_assets.products.rows import has_any_row

    inventory, steps = deployment.database.look(), declared.steps()
    if declared.pipeline is None or not steps or not inventory.has(Source):
        return None
    absences = [found for pair in steps if (found := absent_program(deployment, *pair)) is not None]
    if len(absences) < len(steps) or has_any_row(
        deployment.database, declared.product, inventory, v_astra=release.v_astra
    ):
        return None
    wanted = next((absence.reason for absence in absences if absence.named), None)
    if wanted is not None:
        raise OperationError(f"{declared.name} would have no rows: {wanted}")
    return f"{declared.name} is left out, since it would have no rows: {absences[0].reason}"
