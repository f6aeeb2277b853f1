"""Free memory goes back to the system once that was asked for."""

from __future__ import annotations

import subprocess
import sys

import pytest

PROGRAM = """
import numpy as np, pyarrow as pa
from astra_assets.database.allocators import keep_little
def resident():
    return int(open("/proc/self/statm").read().split()[1]) * 4096 >> 20
if {little}:
    keep_little()
pa.array([None])  # loads what PyArrow loads with the first one
# glibc returns blocks of up to 32 MiB late once one of that size was free.
np.ones(31 << 20, np.uint8)
before = resident()
held = []
for _ in range(20):
    held.append(pa.array(np.ones(1 << 20)))
    held.append(np.ones(3 << 20, np.uint8))
last = held[-1]
held.clear()
print(resident() - before)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="asks Linux for the memory of a process")
def test_free_memory_goes_back_to_the_system():
    kept = [
        int(
            subprocess.run(
                [sys.executable, "-c", PROGRAM.format(little=little)], check=True, capture_output=True
            ).stdout
        )
        for little in (True, False)
    ]
    assert kept[0] <= 8
    assert kept[1] > kept[0]
