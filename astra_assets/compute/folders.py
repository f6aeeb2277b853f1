"""The life of a batch's folder: made under another name, published by a rename, set aside when it is not whole.

The row in `compute_batch` is written between making and publishing; so whatever is killed when, there is
either a whole batch or nothing that anybody takes for one. What is in the folder is said in `batch`.
"""

from __future__ import annotations

import itertools
import logging
import os
import re
import shutil
import socket
import time
from dataclasses import replace
from pathlib import Path

import psutil
import pyarrow as pa
import pyarrow.parquet as pq

from astra_assets.compute.batch import Batch, BatchAccess, BrokenBatchError, read_batch
from astra_assets.compute.step_reference import StepReference
from astra_assets.files import checksum_inside
from astra_assets.files.atomic import flush

ABANDONED_SECONDS = 86_400.0
"""Age above which a folder that somebody began to fill on another machine is taken for left behind."""

log = logging.getLogger(__name__)


def planning_folder(final: Path) -> Path:
    """Where this process fills the folder that will be `final`."""
    return final.with_name(f".planning-{_host()}-{os.getpid()}-{final.name}")


def seal(batch: Batch, folder: Path, access: BatchAccess) -> None:
    """Complete a folder that has its manifest: set its mode, add the checksum, write `batch.json`, flush all to disk."""
    folder.chmod(access.mode)
    checksum_inside.seal(folder / "inputs.parquet")
    with (folder / "inputs.parquet").open("rb") as stream:
        os.fsync(stream.fileno())
    replace(batch, directory=folder).write()


def publish(final: Path) -> None:
    """Give a folder its final name, unless it has it already; also for a planner that was killed just before."""
    for folder in final.parent.glob(f".planning-*-{final.name}"):
        try:
            read_batch(folder)
            folder.rename(final)
        except (BrokenBatchError, OSError):
            # Another process was faster, or it is not complete; whoever reads the final name will tell.
            continue
        flush(final.parent)


def read_whole(
    directory: Path, expected: tuple[str, str, str], reference: StepReference | None = None
) -> Batch:
    """The batch in a folder, its manifest checked; `expected` are its id, pipeline and step.

    Raises:
        BrokenBatchError: the folder is not there or not whole, or `batch.json` is that of another batch.
    """
    batch = read_batch(directory, reference)
    found = batch.batch_id, batch.pipeline, batch.step
    if found != expected:
        raise BrokenBatchError(
            f"{directory}: batch.json is that of {' '.join(found)}, expected {' '.join(expected)}"
        )
    try:
        rows = pq.read_metadata(batch.manifest).num_rows
    except (OSError, pa.ArrowException) as error:
        raise BrokenBatchError(f"{batch.manifest}: cannot be read: {error}") from error
    if rows != batch.n_inputs:
        raise BrokenBatchError(f"{batch.manifest}: has {rows} rows, batch.json says {batch.n_inputs}")
    need_sound_manifest(batch)
    bounds = [0, *(last for _, last in batch.tasks)]
    if tuple(itertools.pairwise(bounds)) != batch.tasks or bounds[-1] != rows:
        raise BrokenBatchError(
            f"{directory}: the tasks in batch.json do not share its {rows} inputs among them: {batch.tasks}"
        )
    return batch


def need_sound_manifest(batch: Batch) -> None:
    """Check that the manifest is what the planner wrote, as far as it has a checksum.

    Raises:
        BrokenBatchError: it is damaged.
    """
    if checksum_inside.has_broken_seal(batch.manifest.read_bytes()):
        raise BrokenBatchError(
            f"{batch.manifest}: its checksum is not the one that it was written with. Run the step again: its inputs are "
            "planned again, and the folder is kept under another name"
        )


def set_aside(directory: Path) -> Path | None:
    """Rename the folder of a batch that cannot be used; returns its new name, None if there is no folder."""
    if not directory.exists():
        return None
    aside = directory.with_name(f"{directory.name}.broken")
    directory.rename(aside)
    return aside


def clear_leftovers(step_folder: Path) -> None:
    """Remove what killed planners of this step left behind."""
    for folder in step_folder.glob(".planning-*"):
        made = re.fullmatch(r"\.planning-([A-Za-z0-9_]+)-(\d+)-.+", folder.name)
        gone = made is not None and made[1] == _host() and not psutil.pid_exists(int(made[2]))
        if gone or _age(folder) > ABANDONED_SECONDS:
            log.info("%s: left behind by a process that planned a batch and is gone; removed", folder)
            shutil.rmtree(folder, ignore_errors=True)


def _age(folder: Path) -> float:
    try:
        return time.time() - folder.stat().st_mtime
    except FileNotFoundError:
        return 0.0


def _host() -> str:
    return re.sub(r"[^A-Za-z0-9]", "_", socket.gethostname()) or "host"
