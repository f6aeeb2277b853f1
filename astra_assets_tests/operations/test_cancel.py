"""Batches that are given up."""

from __future__ import annotations

import pytest

from astra_assets.errors import ExpectedError
from astra_assets.operations.cancel import cancel, need_active
from astra_assets_tests.compute import samples


def test_a_batch_that_is_not_active_is_no_batch_to_cancel(make):
    runner = make("local")
    step = samples.FLUX.step("visit")
    with pytest.raises(ExpectedError, match="there is no batch 'nothing'; astra-assets status"):
        need_active(runner.deployment, "nothing")
    batch = runner.engine.plan(samples.FLUX, step)
    assert "inputs are unprocessed again" in cancel(runner, batch.batch_id)
    with pytest.raises(ExpectedError, match="is cancelled already"):
        cancel(runner, batch.batch_id)
