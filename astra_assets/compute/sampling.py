"""The look at the archive before a batch is started: are its files, or those that gave results before, still there?

A sample of the inputs is looked at. Files that never gave a result may be missing, for an archive need not be complete;
they are counted. What is found is written down for the tasks (`archive`).
"""

from __future__ import annotations

import logging
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from sqlalchemy import select

from astra_assets.compute.archive import (
    ADVICE,
    ArchiveError,
    evenly,
    is_there,
    missing_folder,
    need_root,
    write_seen,
)
from astra_assets.compute.batch import Batch
from astra_assets.compute.step_inputs import EARLIER, NO_RESULT, StepInputs
from astra_assets.database.database import Database
from astra_assets.files.paths import READ_COLUMNS, PathLeavesRoot
from astra_assets.pipelines.base import Step
from astra_assets.spectra.base import Roots
from astra_assets.spectra.read import FILES

SAMPLE = 200
"""Inputs of a batch whose files are looked at."""

ROW_GROUPS = 20
"""Row groups of the manifest that they are taken from."""

ENOUGH = 20
"""Inputs with an earlier result that tell whether an archive is there; with fewer, others of the step are looked at, too."""

FEWEST_LOST = 3
"""Inputs without their files; fewer are single missing files, which fail by themselves."""

FOLDER_FILES = 10
"""Files of the sample that gave results, all below one missing folder: the folder is gone."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class SampledInput:
    """The files of an input, and whether they have given a result before."""

    files: tuple[Path, ...]
    seen: bool


def need_archive(database: Database, batch: Batch, inputs: StepInputs) -> None:
    """Check that the files of a batch can be found, and write down for its tasks what was there.

    Raises:
        ArchiveError: a root is missing or empty, or files that gave results before are gone: those of at least half of
            the inputs that have a result, or all of a folder.
    """
    sample = list(_of_manifest(batch, inputs.step))
    paths = [path for each in sample for path in each.files]
    roots = {
        name: root
        for name, root in _roots(batch.roots).items()
        if any(path.is_relative_to(root) for path in paths)
    }
    for name, root in roots.items():
        need_root(name, root)
    there = {path for path in paths if is_there(path)}
    seen = [each for each in sample if each.seen]
    if len(seen) < ENOUGH and any(there.isdisjoint(each.files) for each in seen):
        seen += _others(database, inputs, batch.roots)
        there |= {path for each in seen for path in each.files if is_there(path)}
    _need_seen(seen, there, " and ".join(roots))
    unseen = (path for each in sample if not each.seen for path in each.files if path not in there)
    for folder, count in Counter(missing_folder([path]) for path in unseen).most_common(3):
        log.info("%s: %d files of the sample were never read and are not in this archive", folder, count)
    write_seen(batch.directory, roots, [path for path in paths if path in there])


def _roots(roots: Roots) -> dict[str, Path]:
    """The roots by their settings, as paths of files begin."""
    folders = {"SAS_BASE_DIR": roots.sas_base_dir, "MWM_ASTRA": roots.mwm_astra}
    return {name: Path(os.path.abspath(folder)) for name, folder in folders.items()}  # noqa: PTH100 (keeps links)


def _need_seen(seen: Sequence[SampledInput], there: set[Path], settings: str) -> None:
    lost = [each for each in seen if there.isdisjoint(each.files)]
    if len(lost) >= FEWEST_LOST and 2 * len(lost) >= len(seen):
        files = [path for each in lost for path in each.files]
        raise ArchiveError(
            f"{missing_folder(files)}: the files of {len(lost)} of {len(seen)} inputs that have a result are gone, such as "
            f"{files[0]}; {settings} is to be where they are. {ADVICE}"
        )
    gone = [path for each in seen for path in each.files if path not in there]
    for folder, count in Counter(missing_folder([path]) for path in gone).most_common(1):
        if count >= FOLDER_FILES and not is_there(folder):
            raise ArchiveError(
                f"{folder}: the folder is gone, with at least {count} files that gave results before, such as {gone[0]}; "
                f"{settings} is to be where they are. {ADVICE}"
            )


def _of_manifest(batch: Batch, step: Step) -> Iterator[SampledInput]:
    """Inputs from all over the manifest of a batch, as far as their rows name files."""
    with pq.ParquetFile(batch.manifest) as manifest:
        groups = evenly(manifest.num_row_groups, ROW_GROUPS)
        for group in groups:
            rows = manifest.read_row_group(group)
            for row in rows.take(evenly(rows.num_rows, SAMPLE // len(groups))).to_pylist():
                files = tuple(_files(step, row, batch.roots))
                if files:
                    yield SampledInput(files, seen=row[EARLIER] != NO_RESULT)


def _others(database: Database, inputs: StepInputs, roots: Roots) -> Iterator[SampledInput]:
    """Inputs of the step that have a result, whether they are in the batch or not."""
    table, results = inputs.inputs, inputs.results
    names = [name for name in READ_COLUMNS.get(table.name, ()) if name in table.c]
    if not names:
        return
    query = select(*(table.c[name] for name in names)).where(
        results.c[inputs.key_name] == inputs.key, inputs.of_step
    )
    with database.connect() as connection:
        rows = connection.execute(query.order_by(inputs.key).limit(SAMPLE)).mappings().all()
    for row in rows:
        files = tuple(_files(inputs.step, dict(row), roots))
        if files:
            yield SampledInput(files, seen=True)


def _files(step: Step, row: Mapping[str, Any], roots: Roots) -> Iterator[Path]:
    """The files that an input is read from, as far as its row names them."""
    spectra = [(step.inputs, row)] if step.spectra is None else step.spectra(row)
    for model, spectrum in spectra:
        if model not in FILES:
            continue
        try:
            yield FILES[model](spectrum, roots)
        except (KeyError, PathLeavesRoot, TypeError, ValueError):
            # The worker that reads it records what is wrong with the row.
            continue
