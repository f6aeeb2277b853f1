"""What a job is, and all that is wrong with what is asked for, at once.

Nothing here talks to Slurm: whether a partition exists is told by `diagnose` and by the answer to a submission. The text of a
job is made in `script`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from astra_assets.errors import ExpectedError
from astra_assets.pipelines.options import SlurmOptions

OWN_OPTIONS = (
    "account",
    "array",
    "chdir",
    "clusters",
    "comment",
    "constraint",
    "cpus-per-task",
    "error",
    "exclusive",
    "export",
    "export-file",
    "gres",
    "input",
    "job-name",
    "mem",
    "mem-per-cpu",
    "mem-per-gpu",
    "nice",
    "no-requeue",
    "nodes",
    "ntasks",
    "ntasks-per-node",
    "open-mode",
    "output",
    "parsable",
    "partition",
    "qos",
    "quiet",
    "requeue",
    "signal",
    "test-only",
    "time",
    "verbose",
    "wait",
    "wrap",
)
"""Options of sbatch that are set from fields of `SlurmOptions`, or that the machinery needs for itself."""

_FIELDS = {"mem-per-cpu": "mem", "mem-per-gpu": "mem", "cpus-per-task": "procs"} | {
    name: name
    for name in (
        "account",
        "constraint",
        "exclusive",
        "gres",
        "mem",
        "nice",
        "nodes",
        "partition",
        "qos",
        "time",
    )
}
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_CONTROL_BUT_TAB = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_MEMORY = re.compile(r"(\d+)([KMGT]?)B?", re.IGNORECASE)
_GRES = re.compile(r"[A-Za-z][\w.-]*(:[\w.-]+){0,2}(\(S:[\d,-]+\))?")
_WORD = re.compile(r"[^\s,'\"\\]+")
_TIMES = (
    re.compile(r"(?P<minutes>\d+)"),
    re.compile(r"(?P<minutes>\d+):(?P<seconds>\d+)"),
    re.compile(r"(?P<hours>\d+):(?P<minutes>\d+):(?P<seconds>\d+)"),
    re.compile(r"(?P<days>\d+)-(?P<hours>\d+)(:(?P<minutes>\d+)(:(?P<seconds>\d+))?)?"),
)
_SECONDS = {"days": 86_400, "hours": 3_600, "minutes": 60, "seconds": 1}
_VARIABLE = re.compile(r"[A-Za-z_]\w*")


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


def problems(options: SlurmOptions) -> list[str]:
    """All that is wrong with the options, one sentence each, beginning with the name of the option."""
    return [*_numbers(options), *_formats(options), *_words(options), *_lines(options)]


def seconds_of(time: str) -> float | None:
    """Seconds of a wall time as sbatch reads it: `minutes`, `hours:minutes:seconds`, `days-hours:minutes`, ...

    None if it is without limit. Raises ValueError if it is no time.
    """
    if time.upper() in ("UNLIMITED", "INFINITE"):
        return None
    for form in _TIMES:
        match = form.fullmatch(time)
        if match:
            return float(sum(_SECONDS[unit] * int(number or 0) for unit, number in match.groupdict().items()))
    raise ValueError(f"{time!r} is no wall time")


def megabytes_of(memory: str) -> float:
    """Megabytes of a memory size as sbatch reads it, `16000` or `16G`; 0 is all of a node.

    Raises ValueError if it is no size.
    """
    match = _MEMORY.fullmatch(memory)
    if not match:
        raise ValueError(f"{memory!r} is no size of memory")
    return int(match[1]) * {"K": 1 / 1024, "": 1.0, "M": 1.0, "G": 1024.0, "T": 1024.0**2}[match[2].upper()]


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


def _numbers(options: SlurmOptions) -> list[str]:
    found = [
        f"{name}: must be at least 1, found {value}"
        for name in ("nodes", "procs", "throttle")
        if (value := getattr(options, name)) is not None and value < 1
    ]
    if options.nice is not None and abs(options.nice) > 2_147_483_645:
        found.append(f"nice: must be between -2147483645 and 2147483645, found {options.nice}")
    return found


def _formats(options: SlurmOptions) -> list[str]:
    found = []
    try:
        if seconds_of(options.time) == 0:
            found.append(f"time: must be longer than nothing, found {options.time!r}")
    except ValueError:
        found.append(f"time: expected [days-]hours:minutes:seconds such as 48:00:00, found {options.time!r}")
    if options.mem is not None and not _MEMORY.fullmatch(options.mem):
        found.append(f"mem: expected a size such as 16000, 16G or 0 (all of a node), found {options.mem!r}")
    if options.gres is not None and not all(_GRES.fullmatch(part) for part in options.gres.split(",")):
        found.append(f"gres: expected name[:type][:number] such as gpu:v100:1, found {options.gres!r}")
    return found


def _words(options: SlurmOptions) -> list[str]:
    found = []
    for name in ("qos", "account", "partition"):
        value = getattr(options, name)
        parts = value.split(",") if name == "partition" and value else [value]
        if value is not None and not all(part and _WORD.fullmatch(part) for part in parts):
            found.append(f"{name}: expected a name without blanks and quotes, found {value!r}")
    if options.constraint is not None and (
        not options.constraint.strip() or _CONTROL.search(options.constraint)
    ):
        found.append(f"constraint: expected features of nodes, found {options.constraint!r}")
    return found


def _lines(options: SlurmOptions) -> list[str]:
    found = [
        f"setup: each must be one line without control characters, found {line!r}"
        for line in options.setup
        if _CONTROL_BUT_TAB.search(line)
    ]
    for argument in options.extra:
        problem = _of_extra(argument)
        if problem:
            found.append(f"extra: {problem}")
    return found


def _of_extra(argument: str) -> str:
    """What is wrong with a further argument of sbatch; empty if nothing is."""
    if _CONTROL.search(argument):
        return f"has a control character: {argument!r}"
    match = re.fullmatch(r"--([a-z][a-z0-9-]*)(=.*)?", argument)
    if not match:
        return f"expected --option or --option=value in one piece, found {argument!r}"
    # sbatch takes every beginning of an option's name that is not ambiguous.
    own = next((option for option in OWN_OPTIONS if option == match[1] or option.startswith(match[1])), None)
    if own is None:
        return ""
    instead = f"use {_FIELDS[own]} instead" if own in _FIELDS else "it is set by the program itself"
    return f"{argument} sets --{own}: {instead}"
