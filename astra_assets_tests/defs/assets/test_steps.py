"""What the launchpad of a step asks for."""

from __future__ import annotations

from astra_assets.compute.step_inputs import UNPROCESSED, Selection
from astra_assets.defs.assets.steps import StepOptions
from astra_assets.pipelines.options import ResourceRequest


def test_an_empty_launchpad_asks_for_all_that_is_unprocessed():
    assert StepOptions().selection == UNPROCESSED
    assert StepOptions().resources == ResourceRequest()


def test_what_the_launchpad_says_is_what_is_selected():
    options = StepOptions.model_validate(
        {"sdss_ids": [12, 13], "limit": 5, "retry_failed": True, "force": True, "nodes": 2}
    )
    assert options.selection == Selection((12, 13), limit=5, retry_failed=True, force=True)
    assert options.resources == ResourceRequest(nodes=2)
