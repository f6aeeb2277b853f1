"""What is measured against what: groups of tasks that make rows of the table of results."""

from __future__ import annotations

from pathlib import Path

from harness import Result, Task, best_of, compare, run

MOST_LIST_ROWS = 200_000
"""Rows up to which the baseline of lists is run; it takes some 16 kB of memory a row."""

DRIVERS = {"sqlite": "sqlite3 cursor", "postgresql": "COPY binary"}


def fits(kind: str, url: str, folder: Path, rows: int, repeats: int) -> list[Result]:
    """Writing the joined table: plain, gzipped, with a Parquet twin, and all that `create` does."""
    name = f"fits-{kind}"
    where = {"url": url, "folder": str(folder)}
    tasks = {
        "plain": Task("ours:stream", {**where, "suffix": ".fits"}),
        "scan": Task("peers:scan", {"url": url}),
        "driver": Task("peers:driver", {"url": url}),
        "gz": Task("ours:stream", {**where, "suffix": ".fits.gz"}),
        "twin": Task("ours:stream", {**where, "suffix": ".fits", "twin": True}),
    }
    best = best_of(tasks, repeats)
    # What takes long varies less.
    best |= best_of({"create": Task("ours:whole", where)}, 1)
    if rows <= MOST_LIST_ROWS:
        best |= best_of({"lists": Task("peers:lists", where)}, 1)
    scan = ("ADBC scan", best["scan"].seconds["scan"])
    slow = best["lists"].seconds if "lists" in best else {}
    plain = [("rows into lists", slow["lists"])] if slow else []
    packed = [("rows into lists, gzip -f", slow["lists+gzip"])] if slow else []
    driver = (DRIVERS[kind], best["driver"].seconds["driver"])
    uncompressed = ("ours, not compressed", best["plain"].seconds["ours"])
    return [
        *compare(f"{name}-{rows}", best["plain"], [*plain, scan, driver]),
        *compare(f"{name}-gz-{rows}", best["gz"], [*packed, uncompressed]),
        *compare(f"{name}-parquet-{rows}", best["twin"], [("ours, without Parquet", uncompressed[1])]),
        *compare(f"{name}-create-{rows}", best["create"], [*packed, scan]),
    ]


def plan(kind: str, url: str, folder: Path, rows: int, repeats: int) -> list[Result]:
    """Planning a batch of as many inputs."""
    where = {"url": url, "folder": str(folder)}
    best = best_of(
        {
            "plan": Task("ours:plan", where),
            "count": Task("peers:count", where),
            "scan": Task("peers:scan_inputs", where),
        },
        repeats,
    )
    peers = [
        ("SQL count of the join", best["count"].seconds["count"]),
        ("Arrow scan of the join", best["scan"].seconds["scan"]),
    ]
    name = f"plan-{rows}" if kind == "sqlite" else f"plan-{kind}-{rows}"
    return compare(name, best["plan"], peers)


def ingest_spall(folder: Path, rows: int, repeats: int) -> list[Result]:
    """Ingesting an spAll file."""
    path = str(folder / "spAll.fits.gz")
    run(Task("synthetic_files:write_spall", {"path": path, "rows": rows}))
    best = best_of(
        {
            "ingest": Task("ours:ingest", {"path": path, "folder": str(folder)}),
            "read": Task("peers:read_table", {"path": path}),
        },
        repeats,
    )
    peer = ("astropy Table.read", best["read"].seconds["Table.read"])
    return compare(f"ingest-spall-{rows}", best["ingest"], [peer])


def read_spectra(folder: Path, rows: int, repeats: int) -> list[Result]:
    """Reading specFull files: one for every 40 rows, at least 20 and at most 500."""
    count = max(20, min(500, rows // 40))
    run(Task("synthetic_files:write_spectra", {"folder": str(folder), "count": count}))
    where = {"folder": str(folder)}
    best = best_of({"ours": Task("ours:spectra", where), "bare": Task("peers:bare", where)}, repeats)
    peer = ("astropy, HDU 1", best["bare"].seconds["astropy"])
    return compare(f"read-specfull-{count}", best["ours"], [peer])


def ingest_all_visit(folder: Path, rows: int, repeats: int) -> list[Result]:
    """Ingesting an allVisit file."""
    path = str(folder / "allVisit.fits")
    run(Task("synthetic_apogee:write_all_visit", {"path": path, "rows": rows}))
    best = best_of(
        {
            "ingest": Task("ours:ingest_all_visit", {"path": path, "folder": str(folder)}),
            "read": Task("peers:read_table", {"path": path}),
        },
        repeats,
    )
    peer = ("astropy Table.read", best["read"].seconds["Table.read"])
    return compare(f"ingest-allvisit-{rows}", best["ingest"], [peer])


def read_apogee(folder: Path, rows: int, repeats: int) -> list[Result]:
    """Reading apVisit and apStar files: one of each for every 200 rows, at least 10 and at most 100."""
    count = max(10, min(100, rows // 200))
    run(Task("synthetic_apogee:write_spectra", {"folder": str(folder), "count": count}))
    results: list[Result] = []
    for kind in ("apVisit", "apStar"):
        where = {"folder": str(folder), "kind": kind}
        best = best_of(
            {"ours": Task("ours:apogee", where), "bare": Task("peers:bare_images", where)}, repeats
        )
        peer = ("astropy, flux and error", best["bare"].seconds["astropy"])
        results += compare(f"read-{kind.lower()}-{count}", best["ours"], [peer])
    return results
