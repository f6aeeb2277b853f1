"""The tables of work: batches, and what became of inputs that gave no result.

Results are in the pipelines' own tables; what is done with batches is not said here.
"""

from __future__ import annotations

from sqlalchemy import CheckConstraint, Index, UniqueConstraint, text

from astra_assets.models.base import Base, table
from astra_assets.models.fields import field, heading, primary_key, row_times

BATCH_STATES = ("active", "collected", "cancelled")
"""A batch is active from when it is planned until it is collected or cancelled."""

OUTCOME_STATES = ("skipped", "failed")
"""Why an input has no result."""


class ComputeBatch(Base):
    """One batch of work of one step of a pipeline. At most one per step and minor version is active."""

    __table__ = table(
        "compute_batch",
        heading(
            "Batch",
            field("batch_id", nullable=False, primary_key=True, autoincrement=False),
            *(
                field(name, nullable=False)
                for name in ("pipeline", "step", "v_astra", "v_astra_major_minor", "code_version")
            ),
            field("state", nullable=False, default="active"),
            field("backend", nullable=False),
            field("n_inputs", nullable=False),
            field("n_tasks", nullable=False),
            field("procs", nullable=False, default=1),
            field("directory", nullable=False),
            field("planned", nullable=False),
            "started",
            "finished",
            *("n_results", "n_failed", "n_skipped", "job"),
        ),
        CheckConstraint(text(f"state IN {BATCH_STATES}"), name="compute_batch_state"),
        Index(
            "compute_batch_one_active",
            "pipeline",
            "step",
            "v_astra_major_minor",
            unique=True,
            sqlite_where=text("state = 'active'"),
            postgresql_where=text("state = 'active'"),
        ),
    )


class ComputeOutcome(Base):
    """An input that was skipped or failed, with the reason.

    The input is either a spectrum (`spectrum_pk`) or, for steps over sources, a source (`source_pk`); the
    other key is NULL, which unique constraints do not count as equal, so that there is one outcome per input.
    """

    __table__ = table(
        "compute_outcome",
        primary_key(),
        heading(
            "Outcome",
            field("spectrum_pk", references="spectrum.pk", ondelete="CASCADE", index=True),
            field("source_pk", references="source.pk", ondelete="CASCADE", index=True),
            *(
                field(name, nullable=False)
                for name in ("pipeline", "step", "v_astra_major_minor", "state", "code")
            ),
            field("message", nullable=False, default=""),
            field("attempts", nullable=False, default=1),
            field("code_version", nullable=False),
            field("batch_id"),
        ),
        *row_times(),
        CheckConstraint(text(f"state IN {OUTCOME_STATES}"), name="compute_outcome_state"),
        CheckConstraint(
            text("(spectrum_pk IS NULL) <> (source_pk IS NULL)"), name="compute_outcome_one_input"
        ),
        UniqueConstraint("pipeline", "step", "v_astra_major_minor", "spectrum_pk"),
        UniqueConstraint("pipeline", "step", "v_astra_major_minor", "source_pk"),
    )
