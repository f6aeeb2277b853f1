"""A pipeline whose work is nothing: what remains is what running it costs.

It reads no spectrum: its inputs are sources, and its result is one number. Workers import this module.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import UniqueConstraint

from astra_assets.models.base import Base, table
from astra_assets.models.fields import field, heading, row_times
from astra_assets.models.source import Source
from astra_assets.pipelines.base import Pipeline, Step, WorkContext
from astra_assets.pipelines.options import SlurmOptions


class Trivial(Base):
    """One row for each source."""

    __table__ = table(
        "benchmark_trivial",
        heading(
            "Astra Metadata",
            field("task_pk", nullable=False, primary_key=True),
            field("source_pk", nullable=False, references="source.pk", ondelete="CASCADE", index=True),
            field("v_astra", nullable=False),
            *row_times(),
            "t_elapsed",
            "t_overhead",
            field("tag", nullable=False, default="", index=True),
            field("v_astra_major_minor", nullable=False, hidden=True, computed="v_astra / 1000"),
        ),
        UniqueConstraint("source_pk", "v_astra_major_minor"),
    )


def nothing(item: Mapping[str, Any], _: WorkContext) -> dict[str, Any]:
    """A row that says which source it was made of."""
    return {"tag": str(item["source_pk"])}


TRIVIAL = Pipeline(
    name="Trivial",
    table=Trivial,
    steps=(
        Step(
            "source",
            inputs=Source,
            function=nothing,
            slurm=SlurmOptions(time="00:30:00", mem="1G"),
        ),
    ),
)
