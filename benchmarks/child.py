"""One measurement: `child.py MODULE:FUNCTION ARGUMENTS` calls a function of this folder and prints what it took.

ARGUMENTS and the answer are JSON: seconds by name as the function returns them, and the peak memory of the
process, and of those that it keeps, in MiB.
"""

from __future__ import annotations

import importlib
import json
import resource
import sys
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from typing import Any


def peak_mib() -> float:
    """The most memory that this process had resident, plus what each process it started and has not ended adds."""
    if not Path("/proc/self/status").exists():
        found = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return found / (1024 * 1024 if sys.platform == "darwin" else 1024)
    # Not ru_maxrss, which on Linux also counts the process that started this one.
    own = _mib("self/status", "VmHWM")
    import psutil

    return own + sum(_added_mib(child.pid) for child in psutil.Process().children(recursive=True))


def _added_mib(child: int) -> float:
    """Peak of a child without the pages of libraries that it shares: they are in memory once, and counted in ours."""
    return _mib(f"{child}/status", "VmHWM") - _mib(f"{child}/smaps_rollup", "Shared_Clean")


def _mib(file: str, name: str) -> float:
    lines = Path(f"/proc/{file}").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(f"{name}:"))


class _WithoutPandas(PathFinder):
    """Finds modules, as if pandas were not installed.

    Nobody who installs the package gets it; it is here because astropy's reader of Parquet, which tests use, asks for
    it. PyArrow loads it wherever it is installed: 0.3 s and 40 MiB that are not ours.
    """

    @classmethod
    def find_spec(cls, fullname: str, *arguments: Any, **options: Any) -> ModuleSpec | None:
        """Called by every import."""
        return None if fullname == "pandas" else super().find_spec(fullname, *arguments, **options)


def main() -> None:
    """Measure what the command line names."""
    sys.meta_path = [_WithoutPandas if finder is PathFinder else finder for finder in sys.meta_path]
    module, _, name = sys.argv[1].partition(":")
    function = getattr(importlib.import_module(module), name)
    took = function(**json.loads(sys.argv[2]))
    print(json.dumps({"seconds": took, "peak_mib": peak_mib()}))


if __name__ == "__main__":
    main()
