"""`products`: list what has been written, with rows, sizes and paths."""

from __future__ import annotations

from typing import TYPE_CHECKING

from astra_assets.config.declared import products_of
from astra_assets.operations.release_products import other_products_on_disk
from astra_assets.operations.source_files import ListedProduct, source_files
from astra_assets.products.bundle import product_path
from astra_assets.products.headers import written_rows

if TYPE_CHECKING:
    from pathlib import Path

    from astra_assets.config.releases import Release
    from astra_assets.operations.deployment import Deployment
    from astra_assets.products.summary import SummaryProduct


def products(deployment: Deployment, release: Release) -> list[ListedProduct]:
    """List the summary products of a release as they are on disk, and its per-source files."""
    root = deployment.settings.products_root
    found = [
        _listed(each.product, release.v_astra, root)
        for each in (products_of(release) | other_products_on_disk(deployment, release)).values()
    ]
    return [*found, *source_files(deployment, release)]


def _listed(product: SummaryProduct, v_astra: str, root: Path) -> ListedProduct:
    path = product_path(product, v_astra=v_astra, mwm_astra=root)
    if not path.exists():
        return ListedProduct(product.name, (), 0, path)
    return ListedProduct(product.name, written_rows(product, path), path.stat().st_size, path)
