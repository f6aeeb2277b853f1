"""The text of a job: a pure function of its spec.

What a job is and whether it can be right is said in `spec`; nothing here talks to Slurm.

A task is told by SIGUSR1 that its wall time is nearly over. The signal is ignored from the first line on, also in the program
that is started, unless that program handles it. The program replaces the shell, so that all signals reach it.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator

from astra_assets.compute.slurm.spec import JobSpec, checked, ranges_of, seconds_of

WARNING_SECONDS = 90
"""Seconds before the end of the wall time at which a task is told, for short ones a tenth of it; Slurm may be up to a minute
early."""

EXIT_SETUP = 78
"""Exit status of a task one of whose set-up lines failed (EX_CONFIG)."""

_ON_ERROR = 'echo "astra-assets: a set-up line failed with status $?: $BASH_COMMAND" >&2; exit ' + str(
    EXIT_SETUP
)


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
    yield f"--cpus-per-task={options.procs}"
    yield f"--time={options.time}"
    for name in ("mem", "gres", "qos", "account", "partition", "constraint", "nice"):
        value = getattr(options, name)
        if value is not None:
            yield f"--{name}={value}"
    if options.exclusive:
        yield "--exclusive"
    yield from options.extra


def _warning(time: str) -> int:
    """Seconds before the end at which a task is told: one that is short must not be told at its beginning."""
    limit = seconds_of(time)
    return WARNING_SECONDS if limit is None else min(WARNING_SECONDS, max(1, int(limit // 10)))


def _quoted(argument: str) -> str:
    """An argument for a line that sbatch reads, which knows quotes as a shell does."""
    return shlex.quote(argument) if any(c in argument for c in " \t'\"\\#;") else argument
