"""What a job is, and its text, which is a pure function of it; nothing here talks to Slurm.

Whether a partition exists is told by `diagnose` and by the answer to a submission. A task is told by SIGUSR1 that its wall time
is nearly over. The signal is ignored from the first line on, also in the program that is started, unless that program handles
it. The program replaces the shell, so that all signals reach it.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from astra_assets.errors import ExpectedError
from astra_assets.pipelines.options import SlurmOptions, arguments_of, problems, seconds_of

WARNING_SECONDS = 90
"""Seconds before the end of the wall time at which a task is told, for short ones a tenth of it; Slurm may be up to a minute
early."""

EXIT_SETUP = 78
"""Exit status of a task one of whose set-up lines failed (EX_CONFIG)."""

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_VARIABLE = re.compile(r"[A-Za-z_]\w*")
_ON_ERROR = 'echo "astra-assets: a set-up line failed with status $?: $BASH_COMMAND" >&2; exit ' + str(
    EXIT_SETUP
)


class SlurmSpecError(ExpectedError):
    """What is asked of the cluster cannot be right; the message names all that is wrong."""

    def __init__(self, subject: str, found: Sequence[str]) -> None:
        super().__init__(f"{subject} cannot be submitted:\n" + "\n".join(f"  {each}" for each in found))
        self.problems = tuple(found)


@dataclass(frozen=True)
class JobSpec:
    """One array job.

    Attributes:
        name: unique, so that a submission whose answer was lost can be found.
        comment: what `squeue` shows beside it; the id of the batch.
        tasks: numbers of the array.
        options: what is asked for; each task gets one node.
        command: program and arguments; the number of the task is appended as last argument.
        output: file of standard output and error, as sbatch reads it: `%a` is the number of the task, `%%` a percent sign
            (`output_in` makes it of a folder).
        directory: where the program starts.
        environment: variables set in the job, over those of whoever submits.
    """

    name: str
    comment: str
    tasks: tuple[int, ...]
    options: SlurmOptions
    command: tuple[str, ...]
    output: str
    directory: Path
    environment: Mapping[str, str] = field(default_factory=dict)


def output_in(folder: Path) -> str:
    """The `output` of a job whose task n writes `task-<n>.log` in a folder."""
    return str(folder).replace("%", "%%") + "/task-%a.log"


def checked(spec: JobSpec) -> JobSpec:
    """The same spec.

    Raises:
        SlurmSpecError: something is wrong with it; all of it is named.
    """
    found = [*_of_job(spec), *problems(spec.options)]
    if found:
        raise SlurmSpecError(f"the job {spec.name!r}", found)
    return spec


def script(spec: JobSpec) -> str:
    """The text that sbatch reads.

    Raises:
        SlurmSpecError: the spec cannot be right.
    """
    checked(spec)
    lines = ["#!/bin/bash"]
    lines += [f"#SBATCH {_quoted(argument)}" for argument in _arguments(spec)]
    lines.append("trap '' USR1")
    lines += [f"export {name}={shlex.quote(value)}" for name, value in spec.environment.items()]
    if spec.options.setup:
        lines += [f"trap {shlex.quote(_ON_ERROR)} ERR", *spec.options.setup, "trap - ERR"]
    lines.append(f'exec {shlex.join(spec.command)} "$SLURM_ARRAY_TASK_ID"')
    return "\n".join(lines) + "\n"


def _arguments(spec: JobSpec) -> Iterator[str]:
    options = spec.options
    throttle = f"%{options.throttle}" if options.throttle else ""
    yield f"--job-name={spec.name}"
    yield f"--comment={spec.comment}"
    yield f"--array={ranges_of(spec.tasks)}{throttle}"
    yield f"--output={spec.output}"
    yield "--open-mode=append"
    yield f"--chdir={spec.directory}"
    yield "--requeue"
    yield f"--signal=B:USR1@{_warning(options.time)}"
    yield "--nodes=1"
    yield "--ntasks=1"
    yield from arguments_of(options)


def ranges_of(numbers: Iterable[int]) -> str:
    """Numbers as Slurm writes them: `0,3-7`."""
    ordered = sorted(set(numbers))
    runs: list[tuple[int, int]] = []
    for number in ordered:
        if runs and number == runs[-1][1] + 1:
            runs[-1] = (runs[-1][0], number)
        else:
            runs.append((number, number))
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in runs)


def _of_job(spec: JobSpec) -> list[str]:
    texts = {
        "name": spec.name,
        "comment": spec.comment,
        "output": spec.output,
        "directory": str(spec.directory),
    }
    found = [f"{what}: must not be empty" for what, text in texts.items() if not text]
    found += [
        f"{what}: has a control character: {text!r}" for what, text in texts.items() if _CONTROL.search(text)
    ]
    if "\\" in spec.output:
        found.append(f"output: a backslash is no part of a path for Slurm: {spec.output!r}")
    if not spec.tasks:
        found.append("tasks: there are none")
    elif min(spec.tasks) < 0:
        found.append(f"tasks: must be 0 or more, found {min(spec.tasks)}")
    if not spec.command or not spec.command[0]:
        found.append("command: there is no program")
    found += [f"command: has a NUL character: {part!r}" for part in spec.command if "\0" in part]
    for name, value in spec.environment.items():
        if not _VARIABLE.fullmatch(name) or "\0" in value:
            found.append(f"environment: {name!r} cannot be exported")
    return found


def _warning(time: str) -> int:
    """Seconds before the end at which a task is told: one that is short must not be told at its beginning."""
    limit = seconds_of(time)
    return WARNING_SECONDS if limit is None else min(WARNING_SECONDS, max(1, int(limit // 10)))


def _quoted(argument: str) -> str:
    """An argument for a line that sbatch reads, which knows quotes as a shell does."""
    return shlex.quote(argument) if any(c in argument for c in " \t'\"\\#;") else argument
