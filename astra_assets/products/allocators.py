"""Giving memory back: what the allocators of a process keep, in case it is wanted again, counts as its memory.

Nothing else belongs here.
"""

from __future__ import annotations

import ctypes

import pyarrow as pa


def give_back() -> None:
    """Return to the system what Arrow's and the C library's allocators keep of memory that nobody uses.

    Without it, what reading and writing leave over stays with the process while the next phase needs as much again.
    Only glibc has `malloc_trim`; elsewhere only Arrow's memory is returned.
    """
    pa.default_memory_pool().release_unused()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
