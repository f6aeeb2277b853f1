"""Rules by which result flags follow from values: limits that the text of a flag and the code share.

Which limits a pipeline has, and which flag they raise, stands next to its table.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from astra_assets.models.base import Base, bit

Row = Mapping[str, Any]
"""Values of one result, with those of its manifest row; what is missing counts as unknown."""


def number(row: Row, name: str) -> float:
    """The value of a column; NaN where it is missing or None, so that no comparison with it is true."""
    value = row.get(name)
    return math.nan if value is None else float(value)


@dataclass(frozen=True)
class Limits:
    """The range of a column inside which a value is good; both ends are good.

    Attributes:
        column: its name.
        low: no lower limit if infinite.
        high: no upper limit if infinite.
        unit: for the text.
    """

    column: str
    low: float = -math.inf
    high: float = math.inf
    unit: str = ""

    def broken(self, row: Row) -> bool:
        """Whether the value is known and outside."""
        value = number(row, self.column)
        return value < self.low or value > self.high

    def __str__(self) -> str:
        unit = f" {self.unit}" if self.unit else ""
        if math.isinf(self.low):
            return f"above {self.high:g}{unit}"
        if math.isinf(self.high):
            return f"below {self.low:g}{unit}"
        return f"outside {_plain(self.low)} to {_plain(self.high)}{unit}"


def _plain(value: float) -> str:
    return f"{value:.0f}" if value == round(value) else f"{value:g}"


def raised(model: type[Base], row: Row, flags: Mapping[str, bool]) -> dict[str, int]:
    """`result_flags` of a row: those that it has, and those of `flags` that are true.

    Raises KeyError when the table has no flag of such a name.
    """
    value = int(row.get("result_flags") or 0)
    for name, true in flags.items():
        value |= bit(model, "result_flags", name) if true else 0
    return {"result_flags": value}
