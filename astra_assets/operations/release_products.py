"""Which products a release has: those that it names, and others that are on disk or have rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from astra_assets.config.declared import all_products, further_products, products_of
from astra_assets.operations.deployment import Deployment
from astra_assets.products.bundle import bundle_of, product_path

if TYPE_CHECKING:
    from astra_assets.config.declared import DeclaredProduct
    from astra_assets.config.releases import Release


def other_products(release: Release) -> dict[str, DeclaredProduct]:
    """Return the products that a release does not name."""
    own = products_of(release)
    return {name: each for name, each in (all_products() | further_products()).items() if name not in own}


def other_products_on_disk(deployment: Deployment, release: Release) -> dict[str, DeclaredProduct]:
    """Return the products that a release does not name and that have files of its version all the same."""
    return {
        name: each for name, each in other_products(release).items() if is_on_disk(deployment, each, release)
    }


def is_on_disk(deployment: Deployment, declared: DeclaredProduct, release: Release) -> bool:
    """Return whether any file of a product exists in the version of a release."""
    path = product_path(
        declared.product, v_astra=release.v_astra, mwm_astra=deployment.settings.products_root
    )
    return any(each.exists() for each in bundle_of(declared.product, path).wanted)
