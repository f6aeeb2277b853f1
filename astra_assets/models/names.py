"""How names of classes become names of tables and keys.

Imports nothing, so that whoever needs a name alone does not load the database libraries: a worker starts in half the time.
"""

from __future__ import annotations

import re


def snake_case(name: str) -> str:
    """The table name of a class: "SnowWhite" -> "snow_white"."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()
