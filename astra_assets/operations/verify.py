"""`verify`: check the files of a release that are on disk."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING

from astra_assets.config.declared import products_of
from astra_assets.operations.release_products import is_on_disk, other_products_on_disk

if TYPE_CHECKING:
    from astra_assets.config.declared import DeclaredProduct
    from astra_assets.config.releases import Release
    from astra_assets.operations.deployment import Deployment, Say
    from astra_assets.products.release.audit import Audited


def verify(
    deployment: Deployment, release: Release, *, summary_only: bool = False, say: Say
) -> list[Audited]:
    """Check the files of a release that are on disk.

    Args:
        deployment: where the files are.
        release: its version and its products are looked at.
        summary_only: leave the per-source files out.
        say: where progress is reported.
    """
    from astra_assets.products.release.audit import audit_others, audit_product, audit_sources
    from astra_assets.products.release.frozen import SOURCE_FOLDERS

    root, found = deployment.settings.products_root, []
    products = _expected(deployment, release)
    for name, declared in products.items():
        say(f"looking at {name}")
        found.append(audit_product(declared.product, release.v_astra, root))
    others = audit_others((each.product for each in products.values()), release.v_astra, root)
    if others.files or others.problems:
        found.append(others)
    for folder, kind in () if summary_only else product(SOURCE_FOLDERS, ("star", "visit")):
        say(f"looking at the per-source files of kind {kind} in {folder}")
        found.append(audit_sources(folder, kind, release.v_astra, root))
    return found


def _expected(deployment: Deployment, release: Release) -> dict[str, DeclaredProduct]:
    """Return the products that a release has on disk, or should have: those of its own that there are rows for.

    One without rows may have been left out, since nobody could make any. Nothing is added to a frozen version.
    """
    from astra_assets.products.release.audit import frozen_files
    from astra_assets.products.rows import has_any_row

    folder = deployment.settings.products_root / release.v_astra
    is_frozen = frozen_files(folder, "summary") is not None

    def has_rows(each: DeclaredProduct) -> bool:
        database = deployment.database
        return has_any_row(database, each.product, database.inventory, v_astra=release.v_astra)

    own = {
        name: each
        for name, each in products_of(release).items()
        if each.pipeline is None
        or is_on_disk(deployment, each, release)
        or (not is_frozen and has_rows(each))
    }
    return own | other_products_on_disk(deployment, release)
