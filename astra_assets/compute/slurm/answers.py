"""Reading what Slurm's programs print: pure functions of text.

Which program is asked when is in `command_line`. Lines that cannot be read belong to jobs of others or to newer versions and
are left out; an empty answer is an empty list.
"""

from __future__ import annotations

import pwd
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace

from astra_assets.compute.slurm.client import QueuedTask, TaskDetail
from astra_assets.compute.slurm.job_states import SlurmState

_SEPARATOR = "\x1f"

QUEUE_FORMAT = _SEPARATOR.join(("%F", "%K", "%T", "%r", "%N", "%M", "%j", "%k"))
"""What `squeue` is asked for: array, task, state, reason, node, time run, name, comment."""

ACCOUNT_FIELDS = "JobID,State,ExitCode,MaxRSS,ReqMem,NodeList,ElapsedRaw"
"""What `sacct` is asked for."""

ASSOCIATION_FIELDS = "Account,MaxSubmitJobs,GrpSubmitJobs,QOS,DefaultQOS"
QOS_FIELDS = "Name,MaxSubmitJobsPU,MaxSubmitJobsPA,GrpSubmitJobs"
"""What `sacctmgr` is asked for: limits on the number of jobs, of users in accounts and of qualities of service."""


def table(text: str) -> list[list[str]]:
    """The rows of what `sacctmgr --parsable2` prints."""
    return [line.split("|") for line in text.splitlines() if line]


def queue(text: str) -> list[QueuedTask]:
    """The tasks that `squeue` lists in QUEUE_FORMAT; waiting ones of an array share a line."""
    lines = (line.split(_SEPARATOR) for line in text.split("\n"))
    return [task for fields in lines if len(fields) == 8 for task in _tasks(fields)]


def shown(text: str) -> TaskDetail | None:
    """What `scontrol --oneliner show job` says about a task."""
    lines = [line for line in text.splitlines() if " JobState=" in line]
    if not lines:
        return None
    line = lines[-1]
    status, signal = _exit(_value(line, "ExitCode"))
    memory = re.search(r"TRES=\S*?\bmem=([\d.]+[KMGT]?)", line)
    return TaskDetail(
        SlurmState.read(_value(line, "JobState")),
        status,
        signal,
        _value(line, "Reason"),
        _value(line, "BatchHost") or _value(line, "NodeList"),
        int(_value(line, "Restarts") or 0),
        megabytes(memory[1] + ("" if memory[1][-1].isalpha() else "M")) if memory else None,
        run_seconds=seconds(_value(line, "RunTime")),
    )


def accounted(lines: Sequence[str], name: str) -> TaskDetail | None:
    """What `sacct` says in ACCOUNT_FIELDS about a task `<job>_<task>` and its steps; None if it does not know it."""
    rows = [row for line in lines if len(row := line.split("|")) == 7]
    own = next((row for row in rows if row[0] == name), None)
    if own is None:
        return None
    user = re.fullmatch(r"CANCELLED by (\d+)", own[1])
    return TaskDetail(
        SlurmState.read(own[1]),
        *_exit(own[2]),
        node="" if own[5] == "None assigned" else own[5],
        memory_asked_mb=megabytes(own[4]) or None,
        memory_used_mb=max((used for row in rows if (used := megabytes(row[3]))), default=None),
        run_seconds=float(own[6]) if own[6].isdigit() else 0.0,
        cancelled_by=_user(int(user[1])) if user else None,
    )


def seconds(text: str) -> float:
    """`1-02:03:04`, `03:04`; 0 where nothing is known."""
    match = re.fullmatch(r"(?:(?:(\d+)-)?(\d+):)?(\d+):(\d+)", text)
    if match is None:
        return 0.0
    days, hours, minutes, rest = (int(part or 0) for part in match.groups())
    return float(((days * 24 + hours) * 60 + minutes) * 60 + rest)


def megabytes(text: str) -> float | None:
    """`4767744` bytes, `62.50G`, `100M`; older versions add `n` or `c`. None where nothing is known."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([KMGT]?)[nc]?", text)
    if match is None:
        return None
    return float(match[1]) * {"": 1 / 1024**2, "K": 1 / 1024, "M": 1.0, "G": 1024.0, "T": 1024.0**2}[match[2]]


def _tasks(fields: Sequence[str]) -> Iterator[QueuedTask]:
    job_id, numbers, state, reason, node, run_time, name, comment = fields
    read = SlurmState.read(state)
    one = QueuedTask(
        job_id, None, name, _known(comment), read, _known(reason), _known(node), seconds(run_time)
    )
    if numbers == "N/A":
        yield one
        return
    for part in numbers.partition("%")[0].split(","):
        match = re.fullmatch(r"(\d+)(?:-(\d+)(?::(\d+))?)?", part)
        if match:
            first, last, stride = int(match[1]), int(match[2] or match[1]), int(match[3] or 1)
            yield from (replace(one, task=number) for number in range(first, last + 1, stride))


def _value(line: str, name: str) -> str:
    match = re.search(rf" {name}=(\S*)", line)
    return _known(match[1]) if match else ""


def _known(text: str) -> str:
    return "" if text in ("(null)", "None", "N/A") else text


def _exit(text: str) -> tuple[int, int]:
    """`9:15` is exit status 9, signal 15."""
    match = re.fullmatch(r"(\d+):(\d+)", text)
    return (int(match[1]), int(match[2])) if match else (0, 0)


def _user(number: int) -> str:
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return f"user {number}"
