"""Which reductions are ingested."""

from __future__ import annotations

import pytest

from astra_assets.config.releases import DR20
from astra_assets.errors import ExpectedError
from astra_assets.operations.init import init
from astra_assets.operations.migrate import migrate


def test_a_reduction_that_is_named_is_the_only_one_that_is_ingested(archived):
    init(archived, print)
    with pytest.raises(ExpectedError, match=r"no allVisit file of the APOGEE reduction 1\.5") as caught:
        migrate(archived, DR20, apred=["1.5"], say=print)
    assert "spAll" not in str(caught.value)
