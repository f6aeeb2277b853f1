"""`diff`: compare two versions of products."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from astra_assets.config.declared import all_products, declared_product, further_products, product_named
from astra_assets.operations.deployment import Deployment, OperationError

if TYPE_CHECKING:
    from astra_assets.config.declared import DeclaredProduct
    from astra_assets.products.bundle import Bundle
    from astra_assets.products.compare.versions import Diff


def diff(deployment: Deployment, old: str, new: str, names: Sequence[str] = ()) -> Iterator[Diff]:
    """Compare two versions, or two files of a product.

    Args:
        deployment: where the products are.
        old: a version such as `0.8.0`, or the path of a FITS file of a product.
        new: the same.
        names: products to compare of two versions; all that both have by default.

    Yields:
        The comparison of one product after the other.

    Raises:
        OperationError: there is no such file, or the two are not of one product.
    """
    from astra_assets.products.compare.tabular import tables_of
    from astra_assets.products.compare.versions import compare_versions

    for declared, before, after in _pairs(deployment, old, new, names):
        with tables_of(before) as first, tables_of(after) as second:
            paths = (before.fits, after.fits)
            yield compare_versions(declared.product, paths, (first, second), dict(declared.columns()))


def _pairs(
    deployment: Deployment, old: str, new: str, names: Sequence[str]
) -> Iterator[tuple[DeclaredProduct, Bundle, Bundle]]:
    from astra_assets.products.bundle import bundle_of, product_name, product_path

    files = [Path(each) for each in (old, new)]
    if all(path.is_file() for path in files):
        declared = [product_named(product_name(path) or "") for path in files]
        if declared[0] is None or declared[0] != declared[1]:
            raise OperationError(
                f"{old} and {new} are not two versions of one product: names of files begin with that of the product"
            )
        first, second = (bundle_of(declared[0].product, path) for path in files)
        yield declared[0], first, second
        return
    chosen = [declared_product(name) for name in names] or (all_products() | further_products()).values()
    root, found = deployment.settings.products_root, False
    for each in chosen:
        before, after = (
            product_path(each.product, v_astra=version, mwm_astra=root) for version in (old, new)
        )
        missing = [str(path) for path in (before, after) if not path.exists()]
        if names and missing:
            raise OperationError(f"{each.name} cannot be compared: there is no {' and no '.join(missing)}")
        if not missing:
            found = True
            yield each, bundle_of(each.product, before), bundle_of(each.product, after)
    if not found:
        raise OperationError(
            f"{old!r} and {new!r} have no product in common below {root}: give two versions such as 0.8.0 0.8.1, "
            "or the paths of two FITS files"
        )
