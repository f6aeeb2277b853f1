"""The program that runs one task: `python -m astra_assets.compute.worker BATCH_DIR TASK`.

Only what must happen before anything numerical is imported belongs here: one thread for each numerical
library, signals, logging. The work itself is in `supervisor` and `child`. Ends with status 0 when every
input of the task has a result or an outcome.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
from pathlib import Path

THREADS = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMEXPR_NUM_THREADS",
)
"""Environment variables that numerical libraries read when they are imported."""

EXIT_STOPPED = 75
"""Exit status of a task that ended early and can be started again (EX_TEMPFAIL)."""

EXIT_BROKEN = 70
"""Exit status of a task that cannot go on (EX_SOFTWARE)."""


def main(arguments: list[str] | None = None) -> int:
    """Run a task; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m astra_assets.compute.worker", description="Run one task of a batch."
    )
    parser.add_argument("directory", type=Path, help="folder of the batch")
    parser.add_argument("task", type=int, help="number of the task, from 0")
    parser.add_argument("--parent", type=int, help="process whose end ends this one, too")
    options = parser.parse_args(arguments)
    for name in THREADS:
        os.environ[name] = "1"
    from astra_assets.compute.child import LOG_FORMAT
    from astra_assets.compute.crew import start_server

    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format=LOG_FORMAT)

    # First, since it takes its time to import things while this process does the same.
    start_server(options.directory)
    from astra_assets.compute.states import Phase
    from astra_assets.compute.supervisor import run_task

    phase = run_task(options.directory, options.task, options.parent)
    return {Phase.DONE: 0, Phase.BROKEN: EXIT_BROKEN}.get(phase, EXIT_STOPPED)


if __name__ == "__main__":
    sys.exit(main())
