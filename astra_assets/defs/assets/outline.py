"""What the assets are, as plain data: names, groups, what reads what, columns.

Nothing of ours is imported here, so that definitions load fast: `outlining` makes these records of declarations, `kept` keeps
them in a file, and `ingest`, `steps` and `summary` make assets of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

BOSS, APOGEE = "boss", "apogee"
"""The surveys whose reductions fill tables."""

KeyPath = tuple[str, ...]
"""The parts of the key of an asset."""


class ShownColumn(NamedTuple):
    """A column as the web UI shows it; unit and UCD are empty where there is none."""

    name: str
    kind: str
    description: str
    unit: str
    ucd: str


Columns = tuple[ShownColumn, ...]


@dataclass(frozen=True)
class TableOutline:
    """A table that ingestion fills; `survey` (`BOSS` or `APOGEE`) says whose reductions fill it, empty for sources."""

    name: str
    parents: tuple[str, ...]
    description: str
    survey: str
    columns: Columns


@dataclass(frozen=True)
class OutputOutline:
    """Something that a step makes: results, files or a further table.

    `table` is the name of the table, or empty; `files` are the names of the kinds of file.
    """

    name: str
    key: KeyPath
    description: str
    kinds: tuple[str, ...]
    files: tuple[str, ...]
    table: str
    columns: Columns


@dataclass(frozen=True)
class StepOutline:
    """A step of a pipeline, both by key and name."""

    pipeline: str
    step: str
    group: str
    code_version: str
    description: str
    upstream: tuple[KeyPath, ...]
    outputs: tuple[OutputOutline, ...]

    @property
    def graph(self) -> str:
        """Name of its graph of ops, the prefix of its keys in run configuration."""
        return f"{self.pipeline}__{self.step}"


@dataclass(frozen=True)
class ProductOutline:
    """A summary product; `pipeline` is the key of the one whose results it shows, or empty."""

    name: str
    pipeline: str
    group: str
    description: str
    upstream: tuple[KeyPath, ...]
    columns: Columns
    has_steps: bool


@dataclass(frozen=True)
class Outline:
    """All assets. `pipelines` are the keys of all pipelines, `plug_ins` of those of other distributions."""

    pipelines: tuple[str, ...]
    plug_ins: tuple[str, ...]
    tables: tuple[TableOutline, ...]
    steps: tuple[StepOutline, ...]
    products: tuple[ProductOutline, ...]
