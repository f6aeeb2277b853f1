"""The picture of a summary product that the web UI shows."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from astra_assets.config.declared import DeclaredProduct
    from astra_assets.operations.deployment import Deployment
    from astra_assets.products.make import CreateReport


def picture(
    deployment: Deployment, declared: DeclaredProduct, report: CreateReport, v_astra: str
) -> bytes | None:
    """Return a small diagram of a product as PNG; None where it has nothing to show. Kept, so that it is drawn once."""
    from astra_assets.files.atomic import atomic_write
    from astra_assets.products.show.pictures import draw, panels_for
    from astra_assets.products.show.sample import sample_columns

    kept = deployment.settings.home / "pictures" / f"{declared.name}-{report.fingerprint[:16]}.png"
    if kept.is_file():
        return kept.read_bytes()

    panels = panels_for({name for name, _ in declared.columns()})
    if not panels or not sum(report.rows):
        return None
    needed = {name for panel in panels for name in panel.needs}
    rows = sample_columns(deployment.database, declared.product, needed, v_astra=v_astra)
    drawn = draw(panels, rows)
    for old in kept.parent.glob(f"{declared.name}-*.png"):
        old.unlink(missing_ok=True)
    with atomic_write(kept) as partial:
        partial.write_bytes(drawn)
    return drawn
