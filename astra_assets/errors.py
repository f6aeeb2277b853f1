"""The root of the errors that a person can mend. Each layer has its own kinds; what they have in common is said here."""

from __future__ import annotations


class ExpectedError(Exception):
    """Something outside of this program is not as it must be: a file, a setting, a database, a disk.

    The message names what it was, what was expected and found, and what to do next. It is shown as it is, without a
    traceback; every other exception is a mistake of ours and is shown with one.
    """


class PassingError(ExpectedError):
    """Something outside of this program went wrong that may well not be there the next time: a helping process was killed.

    What failed changed nothing, so it may be asked for once more.
    """
