"""What the package does, timed. Each function runs in a process of its own and returns seconds as `ours`.

What it is measured against is in `peers.py`.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from common import PRODUCT, STEP, TABLE, V_ASTRA, engine, opened, rows_query, seconds

from astra_assets.fits.atomic import atomic_write
from astra_assets.fits.writer import FitsWriter
from astra_assets.models.database import Database
from astra_assets.pipelines.corv import CORV
from astra_assets.products.create import BATCH_ROWS, create, product_path
from astra_assets.products.rows import fits_columns, measure
from astra_assets.products.stream import read_ahead


def stream(url: str, folder: str, suffix: str) -> dict[str, float]:
    """Count and measure, then query, convert and write at once; flushed to disk, renamed.

    `suffix` is `.fits` or `.fits.gz`.
    """
    database = opened(url)
    path = Path(folder) / f"ours{suffix}"
    took = seconds(lambda: _stream(database, path))
    path.unlink()
    return {"ours": took}


def _stream(database: Database, path: Path) -> None:
    columns = fits_columns(PRODUCT, TABLE, measure(database, PRODUCT, TABLE, v_astra=V_ASTRA))
    batches = database.arrow_batches(rows_query(database), batch_rows=BATCH_ROWS)
    with (
        atomic_write(path) as partial,
        FitsWriter(partial, created=datetime.now(UTC), compress=path.suffix == ".gz") as out,
    ):
        out.primary()
        with out.table(columns, key="spectrum_pk") as writer, read_ahead(batches) as ahead:
            for batch in ahead:
                writer.write(batch)


def whole(url: str, folder: str) -> dict[str, float]:
    """As `astra-assets create` does it: fingerprint of the inputs, .fits.gz, verification, SHA-256."""
    database = opened(url)
    root = Path(folder)
    took = seconds(lambda: create(PRODUCT, database, v_astra=V_ASTRA, mwm_astra=root, release="main"))
    product_path(PRODUCT, v_astra=V_ASTRA, mwm_astra=root).unlink()
    return {"ours": took}


def plan(url: str, folder: str) -> dict[str, float]:
    """A batch of all visits for Corv, whose requirements all of them fulfil; cancelled afterwards."""
    from astra_assets.compute import Batch

    planner = engine(url, folder)
    made: list[object] = []
    took = seconds(lambda: made.append(planner.plan(CORV, STEP)))
    batch = made[0]
    if not isinstance(batch, Batch):
        raise TypeError(f"a batch was to be planned, found: {batch}")
    planner.cancel(batch)
    return {"ours": took}


def ingest(path: str, folder: str) -> dict[str, float]:
    """An spAll file into an empty SQLite database."""
    from astra_assets.ingest.spall import ingest_spall

    target = Path(folder) / "ingest.db"
    database = Database(f"sqlite:///{target}")
    database.create_tables()
    took = seconds(lambda: ingest_spall(database, Path(path), run2d="v6_2_1", sas_base_dir=Path(folder)))
    for made in target.parent.glob(f"{target.name}*"):
        made.unlink()
    return {"ours": took}


def spectra(folder: str) -> dict[str, float]:
    """All specFull files of a folder as spectra, checked and in double precision."""
    from astra_assets.spectra.read import read_spec_full

    paths = sorted(Path(folder).glob("spec-*.fits"))
    read_spec_full(paths[0])

    def work() -> None:
        for path in paths:
            read_spec_full(path)

    return {"ours": seconds(work)}
