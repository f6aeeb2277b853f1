"""One measurement: `child.py MODULE:FUNCTION ARGUMENTS` calls a function of this folder and prints what it took.

ARGUMENTS and the answer are JSON: seconds by name as the function returns them, and the peak memory of the
process in MiB.
"""

from __future__ import annotations

import importlib
import json
import resource
import sys
from pathlib import Path


def peak_mib() -> float:
    """The most memory that this process had resident."""
    status = Path("/proc/self/status")
    if status.exists():
        # On Linux ru_maxrss also counts the process that started this one.
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    found = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return found / (1024 * 1024 if sys.platform == "darwin" else 1024)


def main() -> None:
    """Measure what the command line names."""
    module, _, name = sys.argv[1].partition(":")
    function = getattr(importlib.import_module(module), name)
    took = function(**json.loads(sys.argv[2]))
    print(json.dumps({"seconds": took, "peak_mib": peak_mib()}))


if __name__ == "__main__":
    main()
