"""What the package does, timed. Each function runs in a process of its own and returns seconds as `ours`.

What it is measured against is in `peers.py`.
"""

from __future__ import annotations

import contextlib
import shutil
from datetime import UTC, datetime
from pathlib import Path

from common import PRODUCT, STEP, V_ASTRA, engine, opened, seconds, table_rows

from astra_assets.database.allocators import keep_little
from astra_assets.database.database import Database
from astra_assets.files.atomic import atomic_write
from astra_assets.fits.writer import FitsWriter
from astra_assets.pipelines.corv import CORV
from astra_assets.products.bundle import product_path
from astra_assets.products.headers import Provenance
from astra_assets.products.make import make_product
from astra_assets.products.rows import measure
from astra_assets.products.write.copying import RowSink, copy_rows
from astra_assets.products.write.one_pass import BATCH_ROWS
from astra_assets.products.write.parquet import ParquetTwin


def stream(url: str, folder: str, suffix: str, twin: bool = False) -> dict[str, float]:
    """As `create` writes a table: count and measure, then query, convert and write at once; flushed to disk, renamed.

    `suffix` is `.fits` or `.fits.gz`; with `twin` a Parquet file of the same rows as well, in the same pass.
    """
    keep_little()
    database = opened(url)
    paths = [Path(folder) / f"ours{suffix}"]
    if twin:
        paths.append(Path(folder) / "ours.parquet")
    took = seconds(lambda: _stream(database, *paths))
    for path in paths:
        path.unlink()
    return {"ours": took}


def _stream(database: Database, path: Path, twin: Path | None = None) -> None:
    database.get_ready()
    measured = measure(database, table_rows(database))
    columns = measured.columns
    batches = database.arrow_batches(measured.query, batch_rows=BATCH_ROWS[database.dialect])
    with contextlib.ExitStack() as stack:
        sinks: list[RowSink] = []
        if twin is not None:
            partial = stack.enter_context(atomic_write(twin))
            sinks.append(stack.enter_context(ParquetTwin(partial, columns, name="benchmark", description="")))
        partial = stack.enter_context(atomic_write(path))
        compress = path.suffix == ".gz"
        out = stack.enter_context(FitsWriter(partial, created=datetime.now(UTC), compress=compress))
        out.primary()
        sinks.insert(0, stack.enter_context(out.table(columns, key="spectrum_pk")))
        copy_rows(batches, sinks)


def whole(url: str, folder: str) -> dict[str, float]:
    """As `astra-assets create` does it: all files of a product, verified, with their checksums."""
    database = opened(url)
    root = Path(folder)
    took = seconds(lambda: make_product(PRODUCT, database, root, Provenance(V_ASTRA, "main")))
    shutil.rmtree(product_path(PRODUCT, v_astra=V_ASTRA, mwm_astra=root).parent)
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
    from astra_assets.ingest.boss.spall import ingest_spall

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


def ingest_all_visit(path: str, folder: str) -> dict[str, float]:
    """An allVisit file into an empty SQLite database."""
    from astra_assets.ingest.apogee.apogee_columns import ALL_VISIT
    from astra_assets.ingest.apogee.summary_files import SummaryFile, ingest_summary

    target = Path(folder) / "ingest.db"
    database = Database(f"sqlite:///{target}")
    database.create_tables()
    took = seconds(lambda: ingest_summary(database, SummaryFile(ALL_VISIT, Path(path), "1.5")))
    for made in target.parent.glob(f"{target.name}*"):
        made.unlink()
    return {"ours": took}


def apogee(folder: str, kind: str) -> dict[str, float]:
    """All apVisit or apStar files of a folder as spectra, checked and in double precision."""
    from astra_assets.spectra.apogee import read_ap_star, read_ap_visit

    read = {"apVisit": read_ap_visit, "apStar": read_ap_star}[kind]
    paths = sorted(Path(folder).glob(f"{kind}-*.fits"))
    read(paths[0])

    def work() -> None:
        for path in paths:
            read(path)

    return {"ours": seconds(work)}
