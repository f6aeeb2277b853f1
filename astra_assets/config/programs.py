"""External programs as a site names them in the table `[programs]` of `astra.toml`, and whether they are here.

How a program is called follows from it in `compute.program`; the declarations are those of the `pipelines`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from astra_assets.compute.program.call import Site, SiteProgram, call_of, names_of
from astra_assets.pipelines.base import Pipeline, Step
from astra_assets.pipelines.options import seconds_of


class ProgramSettings(BaseModel):
    """One entry of `[programs]`, named by a step (`"bossnet/star"`), a pipeline (`bossnet`) or a program (`astra-bossnet`).

    A text or a list in its place is the command.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    command: tuple[str, ...] = Field(
        default=(), description="Program and first arguments; those of the declaration follow."
    )
    astra: tuple[str, ...] = Field(
        default=(), description="Astra's command line, which does the step and writes the database itself."
    )
    silence: str | None = Field(
        default=None,
        description="How long the program may say and write nothing, [days-]hours:minutes:seconds or unlimited.",
    )
    inputs: int | None = Field(
        default=None, ge=1, description="At most so many inputs are given to one start of the program."
    )

    @model_validator(mode="before")
    @classmethod
    def only_a_command(cls, value: Any) -> Any:
        """A text or a list is a command."""
        return value if isinstance(value, Mapping | BaseModel) else {"command": value}

    @field_validator("command", "astra", mode="before")
    @classmethod
    def words(cls, value: Any) -> Any:
        """A text is a program without arguments."""
        return (value,) if isinstance(value, str) else value

    @field_validator("command", "astra", mode="after")
    @classmethod
    def absolute(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        """A program that is named by a path is that of the moment the settings are read; `~` is a home."""
        if not value:
            return value
        if not value[0].strip():
            raise ValueError("name a program")
        program = os.path.expanduser(value[0])  # noqa: PTH111 - a bare name must stay one
        return (str(Path(program).absolute()) if os.sep in program else program, *value[1:])

    @field_validator("silence", mode="after")
    @classmethod
    def time(cls, value: str | None) -> str | None:
        """A time as sbatch reads it."""
        if value is not None:
            seconds_of(value)
        return value

    @model_validator(mode="after")
    def one_of_both(self) -> ProgramSettings:
        """A step is done by a program with files, or by Astra's command line."""
        if self.command and self.astra:
            raise ValueError("give command or astra, not both")
        return self

    @property
    def said(self) -> SiteProgram:
        """The same as the engine knows it."""
        seconds = None if self.silence is None else seconds_of(self.silence) or 0.0
        return SiteProgram(self.command, self.astra, seconds, self.inputs)


def unknown_programs(site: Site, pipelines: tuple[Pipeline, ...]) -> Iterator[str]:
    """A sentence for each entry that belongs to no program."""
    known = {
        name
        for pipeline in pipelines
        for step in pipeline.steps
        if step.program is not None
        for name in names_of(pipeline, step)
    }
    for name in site:
        if name not in known:
            yield f"{name} in [programs] of astra.toml belongs to no program; there are: {', '.join(sorted(known))}"


@dataclass(frozen=True)
class Absence:
    """The program of a step cannot run.

    Attributes:
        reason: why, and what to do, in sentences.
        named: the site names the program in `[programs]`: that it cannot run is an error. A program that nobody has named is
            left out.
    """

    reason: str
    named: bool


def absence_of(
    pipeline: Pipeline, step: Step, site: Site, *, prepared: bool = False, database: str = ""
) -> Absence | None:
    """Whether the program of a step cannot run, and if so whether that is an error; None where it can, or there is none.

    Args:
        pipeline: of the step.
        step: which may have a program.
        site: what the site says about programs.
        prepared: the step runs elsewhere, after lines that may put programs on the search path there. Then, as for
            programs that the site names, nobody can tell here: whether it is there is seen when it runs.
        database: URL of the database; Astra's command line writes to PostgreSQL only.
    """
    call = call_of(pipeline, step, site)
    if call is None:
        return None
    if call.protocol == "astra" and database.startswith("sqlite"):
        reason: str | None = (
            f"{pipeline.name} is done by {call.program}, which writes to PostgreSQL, and the database is {database}: set "
            "ASTRA_DATABASE_URL"
        )
    else:
        reason = None if prepared else call.absent(pipeline, step)
    return None if reason is None else Absence(reason, call.named)
