"""The table that says what became of each source's mwmVisit and mwmStar files.

Their spectra are in `boss.py` and `apogee.py`.
"""

from __future__ import annotations

from sqlalchemy import UniqueConstraint

from astra_assets.models.base import RUN_HEADING, Base, field, heading, row_times, table
from astra_assets.models.flags import MWM_PRODUCT_FLAGS


class MWMSpectrumProductStatus(Base):
    """One row per source and minor version of Astra."""

    __table__ = table(
        "mwm_spectrum_product_status",
        heading(
            RUN_HEADING,
            field("task_pk", nullable=False, primary_key=True),
            field("source_pk", nullable=False, references="source.pk", ondelete="CASCADE", index=True),
            field("v_astra", nullable=False),
            *row_times(),
            "t_elapsed",
            "t_overhead",
            field("tag", nullable=False, default="", index=True),
            field("v_astra_major_minor", nullable=False, hidden=True, computed="v_astra / 1000"),
        ),
        field("flags", flags=MWM_PRODUCT_FLAGS),
        UniqueConstraint("source_pk", "v_astra_major_minor"),
    )
