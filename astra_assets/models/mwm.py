"""The tables that say what became of each source's files: mwmVisit and mwmStar, and astraVisit and astraStar.

The spectra in the former are in `boss.py` and `apogee.py`, the results in the latter with their pipelines.
"""

from __future__ import annotations

from sqlalchemy import UniqueConstraint

from astra_assets.models.base import RUN_HEADING, Base, table
from astra_assets.models.fields import Field, Heading, field, heading, row_times
from astra_assets.registry.flags import ASTRA_PRODUCT_FLAGS, MWM_PRODUCT_FLAGS


def _run(*more: Field) -> Heading:
    """The columns that say of which source and how files were made; `more` where the source alone tells not which."""
    return heading(
        RUN_HEADING,
        field("task_pk", nullable=False, primary_key=True),
        field("source_pk", nullable=False, references="source.pk", ondelete="CASCADE", index=True),
        *more,
        field("v_astra", nullable=False),
        *row_times(),
        "t_elapsed",
        "t_overhead",
        field("tag", nullable=False, default="", index=True),
        field("v_astra_major_minor", nullable=False, hidden=True, computed="v_astra / 1000"),
    )


class MWMSpectrumProductStatus(Base):
    """One row per source and minor version of Astra."""

    __table__ = table(
        "mwm_spectrum_product_status",
        _run(),
        field("flags", flags=MWM_PRODUCT_FLAGS),
        UniqueConstraint("source_pk", "v_astra_major_minor"),
    )


class AstraSpectrumProductStatus(Base):
    """One row per source, pipeline and minor version of Astra: all pipelines share the table."""

    __table__ = table(
        "astra_spectrum_product_status",
        _run(field("pipeline", nullable=False)),
        field("flags", flags=ASTRA_PRODUCT_FLAGS),
        UniqueConstraint("source_pk", "pipeline", "v_astra_major_minor"),
    )
