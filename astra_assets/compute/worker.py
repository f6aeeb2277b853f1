"""The program that runs one task: `python -m astra_assets.compute.worker [OPTIONS] BATCH_DIR TASK`.

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

from astra_assets.compute.step_reference import StepReference, add_arguments, parsed_reference

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

EXIT_STORAGE = 74
"""Exit status of a task that could not write any more (EX_IOERR)."""

EXIT_TIME = 79
"""Exit status of a task that ended because the time of its job was nearly over."""

EXIT_MEMORY = 80
"""Exit status of a task that ended because it was short of memory and can have more."""


def worker_command(directory: Path, reference: StepReference | None, *options: str) -> tuple[str, ...]:
    """The command that runs a task of a batch; the number of the task is appended as last argument."""
    told = reference.arguments() if reference else ()
    return (sys.executable, "-m", "astra_assets.compute.worker", *options, *told, str(directory))


def main(arguments: list[str] | None = None) -> int:
    """Run a task; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m astra_assets.compute.worker", description="Run one task of a batch."
    )
    parser.add_argument("directory", type=Path, help="folder of the batch")
    parser.add_argument("task", type=int, help="number of the task, from 0")
    parser.add_argument("--parent", type=int, help="process whose end ends this one, too")
    parser.add_argument(
        "--submission", type=int, help="number of the submission to a cluster that this is part of"
    )
    add_arguments(parser)
    options = parser.parse_args(arguments)
    reference = parsed_reference(options)
    for name in THREADS:
        os.environ[name] = "1"
    from astra_assets.compute.child import LOG_FORMAT
    from astra_assets.compute.crew import start_server

    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format=LOG_FORMAT)

    # First, since it takes its time to import things while this process does the same.
    start_server(reference)
    from astra_assets.compute.progress import Cause, Phase
    from astra_assets.compute.supervisor import run_task
    from astra_assets.compute.task_run import TaskConditions, on_cluster

    if options.submission is None:
        conditions = TaskConditions(parent=options.parent)
    else:
        conditions = on_cluster(options.directory, options.submission, options.task, os.environ)
    ended = run_task(options.directory, options.task, conditions, reference)
    if ended.phase is Phase.STOPPED:
        return {Cause.TIME: EXIT_TIME, Cause.MEMORY: EXIT_MEMORY}.get(ended.cause, EXIT_STOPPED)
    if ended.cause is Cause.STORAGE:
        return EXIT_STORAGE
    return EXIT_BROKEN if ended.phase is Phase.BROKEN else 0


if __name__ == "__main__":
    sys.exit(main())
