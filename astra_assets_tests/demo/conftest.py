"""A small demo survey that the tests of this folder read, and what is in its main files."""

from __future__ import annotations

import pytest
from astropy.io import fits

from astra_assets.demo.survey import make_demo

SMALL = 24


@pytest.fixture(scope="session")
def demo(tmp_path_factory):
    return make_demo(tmp_path_factory.mktemp("demo"), sources=SMALL, seed=5)


@pytest.fixture(scope="session")
def spall(demo):
    with fits.open(demo.spall, memmap=False) as hdus:
        return hdus[1].data


@pytest.fixture(scope="session")
def catalog(demo):
    with fits.open(demo.catalog, memmap=False) as hdus:
        return hdus[1].data


@pytest.fixture(scope="session")
def truth(demo):
    with fits.open(demo.truth, memmap=False) as hdus:
        return {name: hdus[name].data for name in ("SOURCES", "VISITS", "APOGEE_VISITS")}
