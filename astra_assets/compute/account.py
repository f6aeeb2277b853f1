"""The account of a step: inputs = results + failed + skipped + backlog.

Each term is counted by itself, so that the sum can fail: an input with a result and an outcome at once
would unbalance it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from sqlalchemy import func, select

from astra_assets.compute.step_inputs import StepInputs
from astra_assets.database.database import Database

KEPT = "(of these {:,} keep an older result)"
"""How it is said that failed inputs have an older result."""


@dataclass(frozen=True)
class Account:
    """What became of the inputs of a step.

    Attributes:
        inputs: eligible inputs.
        results: inputs with a result that is not older than the input; for a filter, inputs that it lets
            through.
        failed: inputs that failed; `skipped` those that were skipped, also by a filter before this step.
        backlog: inputs that are still to be processed.
        kept: how many of those that failed keep an older result, which stays in the result table and in products: the
            failure says nothing about the object.
        by_code: failures and skips by code.
    """

    pipeline: str
    step: str
    inputs: int
    results: int
    failed: int
    skipped: int
    backlog: int
    failed_by_code: Mapping[str, int] = field(default_factory=dict)
    skipped_by_code: Mapping[str, int] = field(default_factory=dict)
    kept: int = 0

    @property
    def balanced(self) -> bool:
        """True if every input is accounted for exactly once."""
        return self.inputs == self.results + self.failed + self.skipped + self.backlog

    @property
    def complete(self) -> bool:
        """True if the account is balanced and nothing is left to do."""
        return self.balanced and self.backlog == 0

    @property
    def by_code(self) -> Mapping[str, int]:
        """Failures and skips by code."""
        return {**self.skipped_by_code, **self.failed_by_code}

    def __str__(self) -> str:
        kept = f"{KEPT.format(self.kept)} " if self.kept else ""
        text = (
            f"{self.pipeline} {self.step}: {self.inputs} inputs = {self.results} results + {self.failed} failed "
            f"{kept}+ {self.skipped} skipped + {self.backlog} backlog"
        )
        return text if self.balanced else f"{text}: DOES NOT BALANCE"


def take_account(database: Database, inputs: StepInputs) -> Account:
    """Count the inputs of a step by what became of them."""
    row = inputs.flagged().subquery()
    kinds = (row.c.has_row, row.c.is_current, row.c.step, row.c.state, row.c.code)
    with database.connect() as connection:
        counted = connection.execute(select(*kinds, func.count()).group_by(*kinds)).all()
    total = results = backlog = kept = 0
    by_code: dict[str, Counter[str]] = {"failed": Counter(), "skipped": Counter()}
    for has_row, is_current, step, state, code, count in counted:
        total += count
        # A filter lets through what it does not skip; what later steps make of it is their account.
        skipped_here = state == "skipped" and step == inputs.step.name
        has_result = not skipped_here if inputs.step.is_filter else bool(is_current)
        has_outcome = skipped_here if inputs.step.is_filter else state is not None
        results += count * has_result
        kept += count * (not has_result and bool(has_row) and state == "failed")
        backlog += count * (not has_result and not has_outcome)
        if has_outcome:
            by_code[state][code] += count
    return Account(
        inputs.pipeline.name,
        inputs.step.name,
        inputs=total,
        results=results,
        failed=by_code["failed"].total(),
        skipped=by_code["skipped"].total(),
        backlog=backlog,
        failed_by_code=dict(by_code["failed"]),
        skipped_by_code=dict(by_code["skipped"]),
        kept=kept,
    )
