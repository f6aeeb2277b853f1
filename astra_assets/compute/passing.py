"""Failures that say nothing about the object: which codes they have.

A failure is either a verdict (the data were looked at, and no result can be made of them) or passing: a file was not
there, a disk did not answer, a process or program died. A verdict on changed data takes the older result away; a passing
failure never does. Codes that a pipeline raises with `Skip`, `Unusable` or a requirement are verdicts unless they are here.
"""

from __future__ import annotations

IO_ERROR = "io_error"
"""Code of an input whose function raised an OSError."""

WORKER_DIED = "WorkerDied"
"""Code of an input that several worker processes died of."""

PROGRAM_NO_RESULT, PROGRAM_FAILED = "no_result", "program_failed"
"""Codes of an input that an external program gave no row for, and of one that it died of."""

FILE_CODES = frozenset({"missing_file", "unreadable_file", IO_ERROR, "no_readable_visit", "missing_pixels"})
"""Codes of inputs whose files are missing or cannot be read."""

PASSING_CODES = FILE_CODES | {WORKER_DIED, PROGRAM_NO_RESULT, PROGRAM_FAILED, "MemoryError"}
"""Codes of failures beside which an older result stays."""
