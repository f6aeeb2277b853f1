"""Measuring: functions run in fresh processes, ours and the peers in turn, and the best time of each counts.

What is measured is said in `groups.py`.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

CHILD = Path(__file__).with_name("child.py")


@dataclass(frozen=True)
class Task:
    """A function of a module of this folder, `module:function`, and its arguments."""

    function: str
    arguments: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Result:
    """Ours against one peer: seconds, `ratio` = peer_s / ours_s (above 1 ours is faster), peak memory of ours."""

    name: str
    ours_s: float
    peer: str
    peer_s: float
    ratio: float
    peak_mib: float


@dataclass
class Best:
    """The best of several runs by name of what was timed; of the memory, the most."""

    seconds: dict[str, float] = field(default_factory=dict)
    peak_mib: float = 0.0

    def add(self, answer: dict[str, Any]) -> None:
        """Take one more run into account."""
        for name, took in answer["seconds"].items():
            self.seconds[name] = min(took, self.seconds.get(name, took))
        self.peak_mib = max(self.peak_mib, answer["peak_mib"])


def run(task: Task) -> dict[str, Any]:
    """Run a task in a process of its own; returns `seconds` by name and `peak_mib`.

    Raises RuntimeError when it fails; it has said why on the terminal.
    """
    command = [sys.executable, str(CHILD), task.function, json.dumps(task.arguments)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{task.function} failed with exit status {done.returncode}; see above")
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer


def best_of(tasks: dict[str, Task], repeats: int) -> dict[str, Best]:
    """Run named tasks in turn, all of them `repeats` times."""
    best = {name: Best() for name in tasks}
    for _ in range(repeats):
        for name, task in tasks.items():
            best[name].add(run(task))
    return best


def compare(name: str, ours: Best, peers: Sequence[tuple[str, float]]) -> list[Result]:
    """One result for each peer, given as what it is called and its seconds."""
    took = ours.seconds["ours"]
    return [
        Result(name, round(took, 4), peer, round(peer_s, 4), round(peer_s / took, 3), round(ours.peak_mib, 1))
        for peer, peer_s in peers
    ]
