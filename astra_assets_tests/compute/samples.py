"""Small pipelines, and spectra for them, that the tests of the engine run in real worker processes.

What a spectrum does is told by its catalogid and by files in the folder `switches` of the worker's settings, so that a
test can make it raise, hang, or kill its process.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy import UniqueConstraint, insert, select
from sqlalchemy.orm import Mapped

from astra_assets.database.database import Database
from astra_assets.files.paths import spec_full_path
from astra_assets.models.base import Base, PipelineResult, table, table_of
from astra_assets.models.boss import BossRestFrameVisitSpectrum, BossVisitSpectrum
from astra_assets.models.fields import field, heading, row_times
from astra_assets.models.source import Source
from astra_assets.pipelines.base import (
    Pipeline,
    Problem,
    Products,
    Requirement,
    Skip,
    Step,
    Unusable,
    WorkContext,
)
from astra_assets.registry.columns import column, flags

LONG_AGO = datetime(2026, 1, 1)  # noqa: DTZ001 - the database has naive times


class SampleFlux(PipelineResult):
    """Median flux of a spectrum."""

    median_flux: Mapped[float | None] = column(None, "Median of the flux")
    n_pixels: Mapped[int | None] = column(None, "Number of pixels")
    comment: Mapped[str | None] = column(None, "What was found")
    result_flags: Mapped[int] = flags(faint="Flux is low")


class SampleClass(PipelineResult):
    """What SAMPLE_AFTER reads."""

    label: Mapped[str | None] = column(None, "Class of the object")


class SampleAfter(PipelineResult):
    """Result of a pipeline that reads SampleClass."""

    label: Mapped[str | None] = column(None, "Class of the object")


class SampleStatus(Base):
    """What became of a source."""

    __table__ = table(
        "sample_status",
        heading(
            "Astra Metadata",
            field("task_pk", nullable=False, primary_key=True),
            field("source_pk", nullable=False, references="source.pk", ondelete="CASCADE", index=True),
            field("v_astra", nullable=False),
            *row_times(),
            "t_elapsed",
            "t_overhead",
            field("tag", nullable=False, default="", index=True),
            field("v_astra_major_minor", nullable=False, hidden=True, computed="v_astra / 1000"),
        ),
        UniqueConstraint("source_pk", "v_astra_major_minor"),
    )


def switch(context: WorkContext, name: str) -> bool:
    """Whether the test has made the file of this name."""
    folder = context.settings.get("switches")
    return folder is not None and (Path(folder) / name).exists()


def remember(context: WorkContext, name: str) -> None:
    """Leave a line for the test to read."""
    folder = context.settings.get("switches")
    if folder is not None:
        with (Path(folder) / "log").open("a") as stream:
            stream.write(f"{name}\n")


def set_up(context: WorkContext) -> WorkContext:
    if switch(context, "threads"):
        from threadpoolctl import threadpool_info

        remember(context, f"threads={max((pool['num_threads'] for pool in threadpool_info()), default=1)}")
        remember(context, f"variable={os.environ.get('OMP_NUM_THREADS')}")
    if switch(context, "kill-setup"):
        os.kill(os.getpid(), signal.SIGKILL)
    if switch(context, "no-setup"):
        raise FileNotFoundError("no such grid: /nowhere/grid.npz")
    return context


def median_flux(spectrum: Any, context: WorkContext) -> SampleFlux:
    """One result; what else happens depends on catalogid % 100."""
    kind = spectrum.row["catalogid"] % 100
    remember(context, str(spectrum.row["spectrum_pk"]))
    if switch(context, "slow"):
        time.sleep(0.15)
    if switch(context, f"eat-{spectrum.row['spectrum_pk']}"):
        eaten = np.ones(600 * 1024**2 // 8)
        time.sleep(3 * eaten[0])
    if switch(context, f"kill-{spectrum.row['spectrum_pk']}"):
        os.kill(os.getpid(), signal.SIGKILL)
    if kind == 91:
        raise ZeroDivisionError("division by nothing")
    if kind == 92:
        raise Unusable("too_faint", "nothing to be seen")
    if kind == 93:
        raise Skip("not_wanted", "not for this pipeline")
    value = float(np.median(spectrum.flux))
    if kind == 94:
        return SampleFlux(median_flux="much")
    if kind == 95:
        return SampleFlux(median_flux=float("nan"), n_pixels=None)
    return SampleFlux(
        median_flux=value, n_pixels=np.int64(len(spectrum.flux)), comment="ok", result_flags=int(value < 5)
    )


def good_snr(columns: Any) -> Any:
    return columns["snr"] > 5


def northern(columns: Any) -> Any:
    return columns["dec"] > 0


FLUX = Pipeline(
    name="SampleFlux",
    table=SampleFlux,
    steps=(
        Step(
            "visit_filter",
            inputs=BossVisitSpectrum,
            requires=(Requirement("southern", "The source is not in the north.", ("dec",), northern),),
        ),
        Step(
            "visit",
            inputs=BossVisitSpectrum,
            function=median_flux,
            setup=set_up,
            requires=(Requirement("low_snr", "The signal is too low.", ("snr",), good_snr),),
            columns={"dec": Source.c.dec},
        ),
    ),
)


def copy_label(spectrum: Any, _: Any) -> dict[str, Any]:
    return {"label": spectrum.row["label"]}


def has_label(columns: Any) -> Any:
    return np.array([label is not None for label in columns["label"]], dtype=bool)


LABEL = (
    select(SampleClass.label)
    .where(SampleClass.source_pk == table_of(Source).c.pk)
    .limit(1)
    .correlate(table_of(Source))
    .scalar_subquery()
)

CLASS = Pipeline(
    name="SampleClass",
    table=SampleClass,
    steps=(Step("visit", inputs=BossVisitSpectrum, function=lambda _spectrum, _: {"label": "DA"}),),
)

AFTER = Pipeline(
    name="SampleAfter",
    table=SampleAfter,
    after=("SampleClass",),
    steps=(
        Step(
            "visit",
            inputs=BossVisitSpectrum,
            function=copy_label,
            requires=(Requirement("no_label", "There is no class.", ("label",), has_label),),
            columns={"label": LABEL},
        ),
    ),
)


def rest_frame_visits(source: Any, context: WorkContext) -> Products:
    """A row for each visit but those of fieldid 13, which are problems."""
    remember(context, str(source["source_pk"]))
    if not source["visits"]:
        raise Unusable("no_visits", "nothing was observed")
    good = [visit for visit in source["visits"] if visit["fieldid"] != 13]
    rows: list[Mapping[str, Any]] = [
        {
            **{name: visit[name] for name in ("release", "run2d", "mjd", "fieldid", "catalogid")},
            "spectrum_pk": visit["new_pk"],
            "drp_spectrum_pk": visit["spectrum_pk"],
            "sdss_id": source["sdss_id"],
            "in_stack": True,
        }
        for visit in good
    ]
    problems = [
        Problem(visit["spectrum_pk"], "unlucky", "fieldid 13")
        for visit in source["visits"]
        if visit not in good
    ]
    return Products(status={"tag": "made"}, rows={BossRestFrameVisitSpectrum: rows}, problems=problems)


def gather_visits(connection: Any, rows: Any, _context: WorkContext) -> Any:
    import pyarrow as pa

    visits = BossVisitSpectrum.c
    names = ("spectrum_pk", "release", "run2d", "mjd", "fieldid", "catalogid")
    database = Database(connection.engine.url.render_as_string(hide_password=False))
    gathered = []
    for source_pk in rows["source_pk"].to_pylist():
        query = select(*(visits[name] for name in names)).where(visits.source_pk == source_pk)
        found = [dict(row._mapping) for row in connection.execute(query.order_by(visits.spectrum_pk))]
        for visit in found:
            known = connection.scalar(
                select(BossRestFrameVisitSpectrum.c.spectrum_pk).where(
                    BossRestFrameVisitSpectrum.c.drp_spectrum_pk == visit["spectrum_pk"]
                )
            )
            visit["new_pk"] = known or int(database.reserve_spectrum_pks(connection, 1)[0])
        gathered.append(found)
    integers = [(name, pa.int64()) for name in ("spectrum_pk", "mjd", "fieldid", "catalogid", "new_pk")]
    texts = [(name, pa.string()) for name in ("release", "run2d")]
    return rows.append_column("visits", pa.array(gathered, pa.list_(pa.struct(integers + texts))))


def visit_newer(since: Any) -> Any:
    visits = BossVisitSpectrum.c
    newer = select(visits.pk).where(visits.source_pk == Source.c.pk, visits.modified > since)
    return newer.correlate(table_of(Source)).exists()


SOURCES = Pipeline(
    name="SampleSources",
    table=SampleStatus,
    steps=(
        Step(
            "star",
            inputs=Source,
            function=rest_frame_visits,
            gather=gather_visits,
            tables=(BossRestFrameVisitSpectrum,),
            stale=visit_newer,
        ),
    ),
)


def add_visits(
    database: Database,
    root: Path | None,
    kinds: list[int],
    *,
    per_source: int = 1,
    snr: float = 20.0,
    when: datetime = LONG_AGO,
) -> list[int]:
    """Visits with files below `root` (none where it is None), one for each kind; returns their spectrum_pk."""
    with database.begin() as connection:
        pks = database.reserve_spectrum_pks(connection, len(kinds)).tolist()
        for number, (kind, pk) in enumerate(zip(kinds, pks, strict=True)):
            if number % per_source == 0:
                source = {"sdss_id": 1000 + pk, "dec": 20.0, "created": when, "modified": when}
                source_pk = connection.execute(
                    insert(table_of(Source)).values(**source)
                ).inserted_primary_key[0]
            row = {
                "spectrum_pk": pk, "source_pk": source_pk, "release": "sdss5", "run2d": "v6_2_1",
                "mjd": 59000 + number, "fieldid": 100, "catalogid": 100 * pk + kind, "healpix": 1,
                "spec_file": "", "telescope": "apo25m", "snr": snr, "created": when, "modified": when,
            }  # fmt: skip
            connection.execute(insert(table_of(BossVisitSpectrum)).values(**row))
            if root is not None:
                names = ("run2d", "fieldid", "mjd", "catalogid", "spec_file")
                write_spectrum(root / spec_full_path(**{name: row[name] for name in names}), pk)
    return [int(pk) for pk in pks]


def write_spectrum(path: Path, value: float) -> None:
    """A specFull file of ten pixels with flux `value`."""
    from astropy.io import fits

    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.ones(10, dtype=np.float32)
    columns = [
        fits.Column("FLUX", "E", array=pixels * value),
        fits.Column("LOGLAM", "E", array=3.6 + 1e-4 * np.arange(10, dtype=np.float32)),
        fits.Column("IVAR", "E", array=pixels),
        fits.Column("OR_MASK", "J", array=np.zeros(10, dtype=np.int32)),
        fits.Column("WRESL", "E", array=pixels),
    ]
    fits.HDUList([fits.PrimaryHDU(), fits.BinTableHDU.from_columns(columns, name="COADD")]).writeto(path)


def touch(database: Database, model: type[Base], *conditions: Any, **values: Any) -> None:
    """Change rows and mark them as modified now."""
    from sqlalchemy import update

    from astra_assets.models.base import utcnow

    with database.begin() as connection:
        changed = update(table_of(model)).where(*conditions)
        connection.execute(changed.values(modified=utcnow() + timedelta(microseconds=1), **values))
