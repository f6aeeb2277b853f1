"""What the external programs of this package have in common: how they are called and what they print.

Only the convention. Which program does which step, and how one gets it, is said beside the step.

Convention: `NAME --manifest FILE --results FILE --processes N`. A site whose program is called otherwise names a
wrapper for it under `[programs]` in `astra.toml`.
"""

from __future__ import annotations

from astra_assets.pipelines.base import ExternalProgram

PROGRESS = r"(?P<done>\d+)\s*(?:/|of)\s*\d+"
"""Lines such as `1200/50000` or `1200 of 50000`, with anything around them."""

ASTRA = "https://github.com/sdss/astra"
"""Where the survey's own pipelines are."""


def files_program(name: str, *, install: str, columns: tuple[str, ...] = ()) -> ExternalProgram:
    """A program that is called by the convention of this module: a Parquet manifest in, Parquet results out.

    `columns` are further columns of the manifest that it wants, `install` says what a person does to get it.
    """
    command = (name, "--manifest", "{manifest}", "--results", "{results}", "--processes", "{procs}")
    how = f"Put a program {name} on the search path, or name yours under [programs] in astra.toml. {install}"
    return ExternalProgram(command, columns=columns, progress=PROGRESS, install=how)
