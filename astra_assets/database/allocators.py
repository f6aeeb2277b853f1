"""How the allocators of a process deal with memory that is not used any more, since what they keep counts as ours."""

from __future__ import annotations

import ctypes

import pyarrow as pa

LARGE_BYTES = 1 << 20
"""Blocks from this size on are asked of the system one by one, and go back to it when they are free."""

_M_MMAP_THRESHOLD = -3
"""Number of the option in glibc's <malloc.h>."""


def keep_little() -> None:
    """From now on, large blocks that are free go back to the system at once: Arrow's, NumPy's, and those of drivers.

    Arrow's own allocator keeps blocks for each thread that ever had one. glibc raises the size from which it returns
    blocks whenever one is freed, up to 32 MiB, until a size is set. Only glibc has `mallopt`; elsewhere only Arrow
    uses less.
    """
    pa.set_memory_pool(pa.system_memory_pool())
    set_option = getattr(ctypes.CDLL(None), "mallopt", None)
    if set_option is not None:
        set_option(_M_MMAP_THRESHOLD, LARGE_BYTES)


def give_back() -> None:
    """Return to the system what Arrow's and the C library's allocators keep of memory that nobody uses.

    Without it, what reading and writing leave over stays with the process while the next phase needs as much again.
    Only glibc has `malloc_trim`; elsewhere only Arrow's memory is returned.
    """
    pa.default_memory_pool().release_unused()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
