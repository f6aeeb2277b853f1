"""The table that hands out keys of spectra. The spectra themselves are in `boss.py` and `apogee.py`."""

from __future__ import annotations

from astra_assets.models.base import Base, field, primary_key, table


class SpectrumKey(Base):
    """One row per spectrum of any kind; its key is the `spectrum_pk` of that spectrum everywhere else."""

    __table__ = table("spectrum", primary_key(), field("spectrum_flags", flags=()))
