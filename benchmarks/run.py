"""`make bench`: speed and memory of this machine in one run, as ratios to named peers.

Prints a table and writes `results.json` beside this file. What is measured is in `groups.py`, how in
`harness.py`.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

import groups
import loading
import postgresql
import slurm
from harness import Result, Task, run

GROUPS = (
    "fits-sqlite",
    "plan-sqlite",
    "fits-postgresql",
    "plan-postgresql",
    "ingest-spall",
    "read-specfull",
    "ingest-allvisit",
    "read-apogee",
    "load-definitions",
    "slurm-array",
)


FITS_ROWS = 100_000
"""Rows of the product that is written, unless asked for others."""


def arguments(given: list[str] | None = None) -> argparse.Namespace:
    """The options of the command line."""
    parser = argparse.ArgumentParser(
        description="Speed and memory against named peers, as ratios of one run."
    )
    parser.add_argument("--rows", type=int, default=20_000, help="rows of the tables (default: 20000)")
    parser.add_argument(
        "--fits-rows",
        type=int,
        action="append",
        help="rows of the product that is written (default: 100000); repeat it for several sizes in one run",
    )
    parser.add_argument("--repeats", type=int, default=2, help="runs, of which the best counts (default: 2)")
    parser.add_argument("--tasks", type=int, default=200, help="tasks of the Slurm array (default: 200)")
    parser.add_argument(
        "--only", action="append", metavar="NAME", help=f"what starts with NAME; of {', '.join(GROUPS)}"
    )
    parser.add_argument(
        "--postgresql",
        action=argparse.BooleanOptionalAction,
        default=None,
        help="PostgreSQL as well (default: where its server programs are found)",
    )
    parser.add_argument(
        "--output",
        type=Path,
        default=Path(__file__).with_name("results.json"),
        help="where results go (default: results.json beside this file)",
    )
    options = parser.parse_args(given)
    options.fits_rows = options.fits_rows or [FITS_ROWS]
    for name in ("rows", "fits_rows", "repeats", "tasks"):
        value = getattr(options, name)
        least = min(value) if isinstance(value, list) else value
        if least < 1:
            parser.error(f"--{name.replace('_', '-')} must be at least 1, found {least}")
    for name in options.only or ():
        if not any(group.startswith(name) for group in GROUPS):
            parser.error(f"--only {name}: nothing starts so; there are {', '.join(GROUPS)}")
    return options


def wanted(options: argparse.Namespace) -> set[str]:
    """Names of the groups to measure."""
    chosen = {group for group in GROUPS if any(group.startswith(name) for name in options.only or GROUPS)}
    if any(name.endswith("postgresql") for name in chosen):
        lacking = postgresql.missing()
        if options.postgresql and lacking:
            sys.exit(f"--postgresql: {lacking}")
        if lacking or options.postgresql is False:
            print(f"without PostgreSQL: {lacking or 'as asked for'}")
            chosen = {name for name in chosen if not name.endswith("postgresql")}
    if "slurm-array" in chosen and slurm.missing():
        print(f"without Slurm: {slurm.missing()}")
        chosen.remove("slurm-array")
    return chosen


@contextmanager
def database(kind: str, folder: Path) -> Iterator[str]:
    """URL of an empty database."""
    if kind == "postgresql":
        with postgresql.server() as url:
            yield url
    else:
        yield f"sqlite:///{folder / 'astra.db'}"


def measure(chosen: set[str], options: argparse.Namespace, show: Callable[[list[Result]], None]) -> None:
    """Measure group after group and hand over the results of each."""
    rows, repeats = options.rows, options.repeats
    tables = (
        *(("fits", "fill_product", groups.fits, count) for count in options.fits_rows),
        ("plan", "fill_inputs", groups.plan, rows),
    )
    for kind in ("sqlite", "postgresql"):
        for group, fill, timed, count in tables:
            if f"{group}-{kind}" not in chosen:
                continue
            with (
                tempfile.TemporaryDirectory(prefix="astra-bench-") as name,
                database(kind, Path(name)) as url,
            ):
                started = time.monotonic()
                run(Task(f"synthetic:{fill}", {"url": url, "rows": count}))
                print(
                    f"({kind}: tables of {count:,} rows made in {time.monotonic() - started:.1f} s)",
                    flush=True,
                )
                show(timed(kind, url, Path(name), count, repeats))
    files = {
        "ingest-spall": groups.ingest_spall,
        "read-specfull": groups.read_spectra,
        "ingest-allvisit": groups.ingest_all_visit,
        "read-apogee": groups.read_apogee,
    }
    for group, work in files.items():
        if group in chosen:
            with tempfile.TemporaryDirectory(prefix="astra-bench-") as name:
                show(work(Path(name), rows, repeats))
    if "load-definitions" in chosen:
        show(loading.definitions(repeats))
    if "slurm-array" in chosen:
        with tempfile.TemporaryDirectory(prefix="astra-bench-") as name:
            show(slurm.array(Path(name), options.tasks))


def main() -> None:
    """Measure, print, write."""
    options = arguments()
    results: list[Result] = []
    print(f"{os.cpu_count()} processors, {platform.platform()}, Python {platform.python_version()}")
    print(f"ratio = peer / ours: above 1 ours is faster. Best of {options.repeats}; peak memory of ours.\n")
    chosen = wanted(options)
    print(f"{'name':34} {'ours s':>9}  {'peer':26} {'peer s':>9} {'ratio':>8} {'peak MiB':>9}")

    def show(made: list[Result]) -> None:
        results.extend(made)
        for row in made:
            print(
                f"{row.name:34} {row.ours_s:9.3f}  {row.peer:26} {row.peer_s:9.3f} {row.ratio:8.2f} "
                f"{row.peak_mib:9.0f}",
                flush=True,
            )

    measure(chosen, options, show)
    options.output.write_text(json.dumps([asdict(row) for row in results], indent=1) + "\n")
    print(f"\nwritten: {options.output}")


if __name__ == "__main__":
    main()
