"""The files that a task leaves behind: numbered parts of results and failures.

A part appears whole or not at all, and never replaces another one. It carries a checksum of itself. A part that is
damaged is set aside: renamed, for whoever wants to look at it, and its inputs are done again. Rows of further tables and
problems are nested in the row of their source, so that what belongs together is in one file. What rows consist of is said
in `rows`.
"""

from __future__ import annotations

import errno
import logging
import re
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from astra_assets.files.atomic import PARTIAL_PREFIX, write_new
from astra_assets.files.checksum_inside import UNSEALED, has_broken_seal, seal

RESULTS, FAILURES = "results", "failures"

DAMAGED = ".damaged"
"""What is appended to the name of a part that was set aside."""

_SCHEMA, _KEY, _SEAL = b"astra_assets.results", b"astra_assets.key", b"astra_assets.sha256"

log = logging.getLogger(__name__)


def failure_schema(key_name: str) -> pa.Schema:
    """Columns of a part of failures: the key of the input, `skipped` or `failed`, code and message."""
    return pa.schema(
        [(key_name, pa.int64()), ("state", pa.string()), ("code", pa.string()), ("message", pa.string())]
    )


def describe(schema: pa.Schema, key_name: str) -> dict[bytes, bytes]:
    """What the metadata of a manifest say about the parts, so that a worker's supervisor need not import the pipeline.

    They have a place for the checksum of the manifest, too.
    """
    return {_SCHEMA: schema.serialize().to_pybytes(), _KEY: key_name.encode(), _SEAL: UNSEALED}


def described(manifest: Path) -> tuple[pa.Schema, str]:
    """Schema of the results and name of the key column, from the metadata of a manifest."""
    metadata = pq.read_schema(manifest).metadata
    return pa.ipc.read_schema(pa.py_buffer(metadata[_SCHEMA])), metadata[_KEY].decode()


def part_files(folder: Path, kind: str) -> list[Path]:
    """The parts of a task of one kind, in the order of their numbers."""
    found = [(number_of(path), path) for path in folder.glob(f"{kind}-*.parquet")]
    return [path for number, path in sorted((number, path) for number, path in found if number is not None)]


def number_of(path: Path) -> int | None:
    """The number in the name of a part; None for other files."""
    match = re.fullmatch(r"(?:results|failures)-(\d+)\.parquet", path.name)
    return int(match[1]) if match else None


class DamagedPartError(Exception):
    """A part is not what a worker of its batch wrote; the message says what is wrong, without the name of the file."""


def write_part(path: Path, table: pa.Table) -> bool:
    """Write a part with its checksum; False where another process has written one of this name in the meantime."""
    return write_new(path, partial(_write_sealed, table.replace_schema_metadata({_SEAL: UNSEALED})))


def _write_sealed(table: pa.Table, path: Path) -> None:
    pq.write_table(table, path)
    seal(path)


def read_part(path: Path, schema: pa.Schema, columns: Sequence[str] | None = None) -> pa.Table:
    """Read a part, or some of its columns, after a look at its checksum. Parts of earlier versions have none.

    Raises:
        DamagedPartError: its content is not what was written, or it has other columns than `schema`.
        OSError: it cannot be read now, which says nothing about its content.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        if error.errno != errno.EIO:
            raise
        raise DamagedPartError(f"cannot be read: {error.strerror}") from error
    if has_broken_seal(content):
        raise DamagedPartError("its checksum is not the one that it was written with")
    try:
        with pq.ParquetFile(pa.BufferReader(content)) as file:
            found = file.schema_arrow
            if not found.equals(schema):
                raise DamagedPartError(f"has other columns than the batch: {difference(found, schema)}")
            return file.read(columns=None if columns is None else list(columns)).replace_schema_metadata()
    except (OSError, pa.ArrowException, UnicodeDecodeError) as error:
        raise DamagedPartError(f"cannot be read: {error}") from error


def difference(found: pa.Schema, wanted: pa.Schema) -> str:
    """Say which columns a schema lacks and which it has too much."""
    lacking = [f"{each.name} ({each.type})" for each in wanted if each not in list(found)]
    extra = [f"{each.name} ({each.type})" for each in found if each not in list(wanted)]
    if not lacking and not extra:
        return "their order differs"
    return f"lacking {', '.join(lacking) or 'none'}, not expected {', '.join(extra) or 'none'}"


def set_aside(path: Path, why: Exception) -> Path:
    """Rename a damaged part, so that nobody takes it for one; returns its new name. Its number is not used again."""
    aside = path.with_name(f"{path.name}{DAMAGED}")
    path.rename(aside)
    log.warning("%s: %s; it is set aside as %s, and its inputs are done again", path, why, aside.name)
    return aside


class TaskParts:
    """The parts of one task, as its worker sees and extends them.

    Attributes:
        finished: keys of the inputs that are in a part.
        counts: number of inputs by state: `done`, `failed`, `skipped`.
    """

    def __init__(self, folder: Path, key_name: str, schema: pa.Schema) -> None:
        self.folder, self.key_name = folder, key_name
        self.schemas = {RESULTS: schema, FAILURES: failure_schema(key_name)}
        self.finished: set[int] = set()
        self.counts = {"done": 0, "failed": 0, "skipped": 0}
        self.known: set[Path] = set()
        self.last = {RESULTS: 0, FAILURES: 0}

    def look(self) -> None:
        """Read the parts that are there and not known yet; a part that cannot be read is set aside."""
        for leftover in self.folder.glob(f"{PARTIAL_PREFIX}*"):
            leftover.unlink(missing_ok=True)
        self._read_new()

    def write(self, kind: str, rows: Sequence[dict[str, Any]]) -> int:
        """Write rows as a new part; returns how many were written.

        Rows whose input another process wrote in the meantime are left out, so that no input is in two parts.
        """
        while True:
            self._read_new()
            new = [row for row in rows if row[self.key_name] not in self.finished]
            if not new:
                return 0
            # The number after the last one that was read: a part that appeared since then has just this name.
            path = self.folder / f"{kind}-{self.last[kind] + 1}.parquet"
            table = pa.Table.from_pylist(new, schema=self.schemas[kind])
            if write_part(path, table):
                self._count(path, kind, table)
                return len(new)

    def _read_new(self) -> None:
        for kind in (RESULTS, FAILURES):
            for path in part_files(self.folder, kind):
                if path not in self.known:
                    self._read(path, kind)
            for path in self.folder.glob(f"{kind}-*.parquet{DAMAGED}"):
                self.last[kind] = max(self.last[kind], number_of(path.with_suffix("")) or 0)

    def _read(self, path: Path, kind: str) -> None:
        columns = [self.key_name] if kind == RESULTS else [self.key_name, "state"]
        try:
            table = read_part(path, self.schemas[kind], columns)
        except FileNotFoundError:
            return  # set aside by another process
        except DamagedPartError as error:
            set_aside(path, error)
            self.last[kind] = max(self.last[kind], number_of(path) or 0)
            return
        self._count(path, kind, table)

    def _count(self, path: Path, kind: str, table: pa.Table) -> None:
        self.known.add(path)
        self.last[kind] = max(self.last[kind], number_of(path) or 0)
        self.finished.update(table[self.key_name].to_pylist())
        if kind == RESULTS:
            self.counts["done"] += table.num_rows
        else:
            for state in table["state"].to_pylist():
                self.counts[state] += 1


def manifest_rows(manifest: Path, first: int, last: int, batch_rows: int = 512) -> Iterator[pa.RecordBatch]:
    """The rows `first` to `last` (exclusive) of a manifest in small batches; row groups outside are not read."""
    with pq.ParquetFile(manifest) as file:
        start = 0
        for group in range(file.num_row_groups):
            rows = file.metadata.row_group(group).num_rows
            low, high = max(first, start), min(last, start + rows)
            if low < high:
                wanted = file.read_row_group(group).slice(low - start, high - low)
                yield from wanted.to_batches(max_chunksize=batch_rows)
            start += rows
