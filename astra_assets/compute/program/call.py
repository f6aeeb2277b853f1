"""How the program of a step is called here: its declaration, under what the site says, with the placeholders filled in.

Belongs here: which command it is, and whether that is there. Does not belong here: how a site writes it down
(`astra_assets.config.programs`), running it (`process`).
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Literal

from astra_assets.pipelines.base import ExternalProgram, Pipeline, Step
from astra_assets.pipelines.external import SDSS_IDS, astra_arguments

if TYPE_CHECKING:
    from astra_assets.compute.batch import Batch

PLACEHOLDERS = ("manifest", "results", "folder", "procs", "v_astra")
"""What is filled in wherever `{name}` stands in an argument."""


@dataclass(frozen=True)
class SiteProgram:
    """What a site says about a program, where it is not as declared.

    Attributes:
        command: program and arguments. Without any placeholder the arguments of the declaration follow.
        astra: Astra's command line and what stands before its verb: the step is done by `astra run`.
        silence_seconds: how long the program may say and write nothing; 0 for ever.
        inputs: at most so many inputs are given to one start of the program.
    """

    command: tuple[str, ...] = ()
    astra: tuple[str, ...] = ()
    silence_seconds: float | None = None
    inputs: int | None = None

    def over(self, other: SiteProgram) -> SiteProgram:
        """What this says, and where it says nothing what the other one does."""
        if self.command or self.astra:
            command, astra = self.command, self.astra
        else:
            command, astra = other.command, other.astra
        silence = other.silence_seconds if self.silence_seconds is None else self.silence_seconds
        return SiteProgram(command, astra, silence, other.inputs if self.inputs is None else self.inputs)


Site = Mapping[str, SiteProgram]
"""What a site says, by step (`bossnet/star`), pipeline (`bossnet`) or program (`astra-bossnet`)."""


@dataclass(frozen=True)
class Call:
    """How a program is called.

    Attributes:
        command: program and arguments, with placeholders.
        protocol: `files`, or `astra` where it writes the database itself.
        silence_seconds: how long it may say and write nothing before it counts as hanging; 0 for ever.
        inputs: at most so many inputs are given to one start.
        named: the site has named the command, so that it is taken for installed where it cannot be looked for.
    """

    command: tuple[str, ...]
    protocol: Literal["files", "astra"]
    silence_seconds: float
    inputs: int
    named: bool = False

    @property
    def program(self) -> str:
        """The program itself, as it is written."""
        return self.command[0]

    def found(self) -> str | None:
        """Path of the program on this machine; None where it is not here."""
        return shutil.which(self.program)

    def absent(self, pipeline: Pipeline, step: Step) -> str | None:
        """Why the program cannot be run on this machine and what to do, in sentences; None where it can."""
        if self.found() is not None:
            return None
        assert step.program is not None
        if os.sep in self.program:
            why = f"{self.program} is not there or cannot be executed"
        else:
            why = f"{self.program} is not on the search path"
        advice = "Correct its name in [programs] of astra.toml." if self.named else step.program.install
        return f"{pipeline.name} is done by a program of other people, and {why}. {advice}"

    def arguments(self, values: Mapping[str, str], sdss_ids: Iterable[int] = ()) -> list[str]:
        """Program and arguments with the placeholders filled in; `{sdss_ids}` becomes an argument for each of them."""
        filled: list[str] = []
        for argument in self.command:
            if argument == SDSS_IDS:
                filled += map(str, sdss_ids)
                continue
            for name, value in values.items():
                argument = argument.replace(f"{{{name}}}", value)  # noqa: PLW2901 - one placeholder after the other
            filled.append(argument)
        return filled

    def as_text(self) -> str:
        """As the command line of a worker holds it."""
        return json.dumps(asdict(self))


def call_of_batch(batch: Batch) -> Call | None:
    """The call of a batch, as this process knows it; None where a function does the work."""
    return read_call(batch.reference.program if batch.reference else "")


def read_call(text: str) -> Call | None:
    """The call in the text that `Call.as_text` makes; None where it is empty."""
    if not text:
        return None
    content = json.loads(text)
    return Call(**(content | {"command": tuple(content["command"])}))


def call_of(pipeline: Pipeline, step: Step, site: Site) -> Call | None:
    """How the program of a step is called at a site; None for a step without one. The more particular name wins."""
    program = step.program
    if program is None:
        return None
    said = SiteProgram()
    for name in reversed(names_of(pipeline, step)):
        said = site.get(name, SiteProgram()).over(said)
    protocol = "astra" if said.astra else program.protocol
    # Astra writes to the database, which is no sign of life that could be seen here.
    silence = 0.0 if protocol == "astra" else program.silence_seconds
    command = _command(pipeline, step, program, said)
    if protocol == "astra" and SDSS_IDS not in command:
        # Without any object its command would be about everything there is.
        command = (*command, SDSS_IDS)
    return Call(
        command=command,
        protocol=protocol,
        silence_seconds=silence if said.silence_seconds is None else said.silence_seconds,
        inputs=said.inputs or program.inputs,
        named=bool(said.command or said.astra),
    )


def names_of(pipeline: Pipeline, step: Step) -> Sequence[str]:
    """The names under which a site may speak of the program of a step, the most particular one first."""
    assert step.program is not None
    return (f"{pipeline.key}/{step.name}", pipeline.key, step.program.command[0])


def _command(pipeline: Pipeline, step: Step, program: ExternalProgram, said: SiteProgram) -> tuple[str, ...]:
    if said.astra:
        return said.astra if _has_placeholder(said.astra) else (*said.astra, *astra_arguments(pipeline, step))
    if not said.command:
        return program.command
    if _has_placeholder(said.command):
        return said.command
    return (*said.command, *program.command[1:])


def _has_placeholder(command: Sequence[str]) -> bool:
    wanted = [f"{{{name}}}" for name in PLACEHOLDERS] + [SDSS_IDS]
    return any(name in argument for argument in command for name in wanted)
