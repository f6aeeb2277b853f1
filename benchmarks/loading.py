"""How long Dagster's own import and ours take: what every command of Dagster costs before it does anything."""

from __future__ import annotations

import os
import sys

from harness import Best, Result, compare

OURS = "import astra_assets.definitions"
DAGSTER = "import dagster"


def definitions(repeats: int) -> list[Result]:
    """Loading the definitions against importing Dagster, in turn; seconds are of the processor, in user mode."""
    # The outline of the assets is made at the first load, and Python's compiled files.
    for code in (OURS, DAGSTER):
        cost(code)
    best = {OURS: Best(), DAGSTER: Best()}
    for _ in range(max(repeats, 5) if repeats > 1 else 1):
        for code, found in best.items():
            seconds, peak_mib = cost(code)
            found.add({"seconds": {"ours": seconds}, "peak_mib": peak_mib})
    return compare("load-definitions", best[OURS], [(DAGSTER, best[DAGSTER].seconds["ours"])])


def cost(code: str) -> tuple[float, float]:
    """User time [s] and peak memory [MiB] of a Python process that does this and ends.

    Raises RuntimeError when it fails; it has said why on the terminal.
    """
    command = [sys.executable, "-W", "ignore", "-c", code]
    process = os.posix_spawn(sys.executable, command, os.environ)
    _, status, usage = os.wait4(process, 0)
    if status != 0:
        raise RuntimeError(f"{code} failed; see above")
    return usage.ru_utime, usage.ru_maxrss / 1024
