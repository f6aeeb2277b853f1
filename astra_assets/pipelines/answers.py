"""What a declaration or a function of a pipeline answers where it gives no result: errors and reasons."""

from __future__ import annotations

import re

from astra_assets.errors import ExpectedError

_CODE = re.compile(r"[A-Za-z][A-Za-z0-9_]*\Z")


class PipelineDeclarationError(ExpectedError, ValueError):
    """A pipeline or step is declared in a way that cannot work; the message says which and what to change."""


class Skip(Exception):  # noqa: N818 - it reports no error
    """Raised by a step's function: this input is not for this pipeline. Recorded as `skipped`."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = checked_code(code)
        self.message = message


class Unusable(Exception):  # noqa: N818 - reads as it is raised: `raise Unusable("no_flux", ...)`
    """Raised by a step's function: this input cannot be processed. Recorded as `failed` with this code.

    Any other exception is recorded as `failed` too, with the name of its class as code.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = checked_code(code)
        self.message = message


def checked_code(code: str) -> str:
    """The code, if it can be recorded as the short name of a reason. Raises PipelineDeclarationError."""
    if not _CODE.match(code):
        raise PipelineDeclarationError(f"code {code!r}: use letters, digits and _, beginning with a letter")
    return code
