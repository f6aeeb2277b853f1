"""Who runs a task: at any time one process may write parts, whatever else is still alive.

A worker claims its task by writing `claim.json` with a token of its own. The last claim counts. A worker
looks at the claim before it writes anything, and stops when it is no longer its own; so a copy that a cluster
left running beside its successor does no harm. In the instant between looking and writing the numbering of
the parts protects (`parts`).

On a cluster copies have a rank: which submission, and how often the cluster has started it again. A copy of a
higher rank always takes over, also from a living process of the same machine, and one of a lower rank, which
a slow node may bring to life late, never does. Not here: what a worker does.
"""

from __future__ import annotations

import os
import secrets
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from astra_assets.files.json_files import read_json, write_json

# Seconds by which the start of a process may differ between two readings of the system's clock.
_SAME_START = 2.0


Rank = tuple[int, int]
"""Number of the submission, and how often the cluster has started this submission of the task again."""


class TaskTakenError(Exception):
    """Somebody else runs the task already, or nobody may: the message says who."""


@dataclass(frozen=True)
class Claim:
    """The claim of one process on one task."""

    folder: Path
    token: str

    def holds(self) -> bool:
        """True while nobody else has claimed the task."""
        content = read_json(self.folder / "claim.json")
        return content is not None and content.get("token") == self.token


def take(folder: Path, rank: Rank | None = None) -> Claim:
    """Claim the task in a folder for this process.

    Without a rank a process of another machine is not asked: whoever starts a task there knows that its
    predecessor is gone, or wants it gone. With a rank nobody of the same or a lower one is asked.

    Raises:
        TaskTakenError: the task was revoked, a living process of this machine has claimed it (without a rank),
            or a copy of a higher rank has.
    """
    earlier = read_json(folder / "claim.json") or {}
    if earlier.get("revoked"):
        raise TaskTakenError(f"{folder}: the batch was cancelled")
    pid = living_owner(folder)
    if rank is None and pid is not None and pid != os.getpid():
        raise TaskTakenError(f"{folder}: process {pid} of this machine runs this task already")
    if rank is not None and _rank(earlier) > rank:
        raise TaskTakenError(f"{folder}: a later copy of this task runs already on {earlier.get('host')}")
    claim = Claim(folder, secrets.token_hex(8))
    write_json(
        folder / "claim.json",
        {
            "token": claim.token,
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "started": psutil.Process().create_time(),
            "rank": list(rank or (0, 0)),
        },
    )
    return claim


def revoke(folder: Path) -> None:
    """Nobody may run this task any more: a process that does stops at its next write, a later one does not begin."""
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "claim.json", {"revoked": True})


def _rank(content: dict[str, Any]) -> Rank:
    first, second = content.get("rank", (0, 0))
    return int(first), int(second)


def owner_host(folder: Path) -> str | None:
    """Name of the machine whose process claimed the task; None while there is no claim."""
    content = read_json(folder / "claim.json")
    return None if content is None or content.get("host") is None else str(content["host"])


def living_owner(folder: Path) -> int | None:
    """Process id of the owner of a task, if it lives on this machine; else None."""
    content = read_json(folder / "claim.json")
    if content is None or content.get("host") != socket.gethostname():
        return None
    try:
        process = psutil.Process(int(content["pid"]))
        same = abs(process.create_time() - float(content["started"])) < _SAME_START
        return process.pid if same and process.status() != psutil.STATUS_ZOMBIE else None
    except (psutil.Error, KeyError, TypeError, ValueError):
        return None
