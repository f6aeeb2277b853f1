"""Kill a freeze before each of its operations on files, type it again, and compare: prints the moments and the failures.

A program of its own, without threads, so that it can fork for each moment instead of importing everything again.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

from astra_assets.files import sha256sums
from astra_assets.products.release.freezing import freeze_version
from astra_assets.products.release.frozen import read_marker

V_ASTRA = "0.8.1"
KILLED = 99
EVENTS = {"os.rename", "os.remove", "os.chmod", "os.mkdir", "os.link", "os.truncate"}
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT


def tree(root: Path) -> None:
    """A version with two summary files and per-source files in two folders of each kind."""
    folder = root / V_ASTRA
    for number in range(2):
        for kind in ("star", "visit"):
            path = folder / "spectra" / kind / f"{number:02d}" / "07" / f"mwm-{number}.fits"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"{kind} {number}")
    (folder / "summary").mkdir()
    for name in ("a.fits", "b.fits"):
        path = folder / "summary" / name
        path.write_text(name)
        sha256sums.record(path, sha256sums.sha256(path))


def freeze(root: Path) -> int:
    """Freeze everything; 0 if it ended."""
    freeze_version(
        root, V_ASTRA, release="dr20", git_revision="", parts=("summary", "spectra"), say=lambda _: None
    )
    return 0


def content(root: Path) -> dict[str, str]:
    """Mode and content of all files, but for the time in the marker; modes of folders."""
    found = {}
    for path in sorted(root.rglob("*")):
        text = path.read_text() if path.is_file() else ""
        lines = [line for line in text.splitlines() if not line.startswith("# date")]
        found[path.relative_to(root).as_posix()] = "\n".join([oct(path.stat().st_mode), *lines])
    return found


def counted(root: Path, kill_at: int | None, *, torn: bool = False) -> Callable[[], int]:
    """Count operations below a folder, and die before number `kill_at`; with `torn` while a file is made, which is left empty."""
    count = 0

    def step(path: str = "") -> None:
        nonlocal count
        if torn and not path:
            return
        count += 1
        if count == kill_at:
            if torn:
                os.close(os.open(path, os.O_WRONLY | os.O_CREAT))
            os._exit(KILLED)

    def hook(event: str, arguments: tuple[object, ...]) -> None:
        path = str(arguments[0]) if arguments else ""
        if not path.startswith(str(root)):
            return
        if event in EVENTS:
            step()
        elif event == "open" and isinstance(arguments[2], int) and arguments[2] & WRITING:
            step(path)

    fsync = os.fsync

    def flush(descriptor: int) -> None:
        step()
        fsync(descriptor)

    os.fsync = flush  # type: ignore[assignment]
    sys.addaudithook(hook)
    return lambda: count


def in_child(do: Callable[[], int]) -> int:
    """Run in a forked process; returns its exit status."""
    pid = os.fork()
    if pid == 0:
        try:
            os._exit(do())
        except BaseException as error:  # noqa: BLE001 - told, and counted by the parent
            print(repr(error), file=sys.stderr, flush=True)  # noqa: T201
            os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def killed(root: Path, moment: int, *, torn: bool) -> int:
    """Freeze, and die at a moment; 0 if it ended before."""
    counted(root, moment, torn=torn)
    return freeze(root)


def checked(root: Path, wanted: dict[str, str]) -> int:
    """Freeze again, and compare with an undisturbed freeze; 0 if all is the same."""
    freeze(root)
    marker = read_marker(root / V_ASTRA)
    found = content(root)
    differ = sorted(name for name in wanted.keys() | found.keys() if wanted.get(name) != found.get(name))
    if differ or marker is None or not marker.complete:
        print(differ, file=sys.stderr, flush=True)  # noqa: T201
        return 1
    return 0


def main(folder: Path) -> int:
    """Try every moment."""
    whole = folder / "whole"
    tree(whole)
    if in_child(lambda: freeze(whole)):
        return 1
    wanted, moments, failed = content(whole), 0, 0
    for torn in (False, True):
        for moment in range(1, 10_000):
            root = folder / f"{moment}-{torn:d}"
            tree(root)
            ended = in_child(partial(killed, root, moment, torn=torn))
            if ended == 0:
                break
            moments += 1
            again = in_child(partial(checked, root, wanted))
            if ended != KILLED or again:
                print(f"moment {moment}, torn {torn}: ended with {ended}, then {again}", file=sys.stderr)  # noqa: T201
                failed += 1
            for place, _, _ in os.walk(root):
                Path(place).chmod(0o755)
            shutil.rmtree(root)
    for place, _, _ in os.walk(whole):
        Path(place).chmod(0o755)
    print(moments, failed)  # noqa: T201 - the answer
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]).resolve()))
