"""The limits beyond which ApogeeNet's and BossNet's parameters are not believed; Astra has the same for both.

Only limits, the texts of the flags, and the rule. Tables and declarations are in `apogeenet.py`, `bossnet.py`.
"""

from __future__ import annotations

import math

from astra_assets.pipelines.rules import Limits, Row, number

TEFF = Limits("teff", 1700, 100_000, "K")
LOGG = Limits("logg", -1, 10)
"""Astra's code has 10; a text of Astra's says 6."""
FE_H = Limits("fe_h", -4, 2)
COOL_FOR_FE_H = Limits("teff", low=3200, unit="K")
DENSE_FOR_FE_H = Limits("logg", high=5)

BITS = {
    0: ("runtime_exception", "The network failed, or gave no effective temperature"),
    1: ("unreliable_teff", f"Effective temperature {TEFF}"),
    2: ("unreliable_logg", f"log g {LOGG}"),
    3: ("unreliable_fe_h", f"Teff {COOL_FOR_FE_H}, log g {DENSE_FOR_FE_H}, or [Fe/H] {FE_H}"),
}
"""The flags that both have: name and text by bit."""

BAD = tuple(name for name, _ in BITS.values())


def net_flags(row: Row) -> dict[str, bool]:
    """Which of bits 0 to 3 follow from the values."""
    return {
        "runtime_exception": math.isnan(number(row, "teff")),
        "unreliable_teff": TEFF.broken(row),
        "unreliable_logg": LOGG.broken(row),
        "unreliable_fe_h": any(limits.broken(row) for limits in (COOL_FOR_FE_H, DENSE_FOR_FE_H, FE_H)),
    }
