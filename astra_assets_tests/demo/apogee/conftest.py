"""Plans of the APOGEE part: of the default survey and of the small one, without making a spectrum of BOSS."""

from __future__ import annotations

import numpy as np
import pytest

from astra_assets.demo.apogee import stars
from astra_assets.demo.population import plan_survey
from astra_assets.demo.survey import SEED, SOURCES
from astra_assets.synthesis.opacity import wavelength_scale
from astra_assets.synthesis.templates import Template


def blank(kind, rng):
    return Template(kind, 10000.0, 8.0, np.array([3500.0, 10500.0]), np.ones(2))


def plan(sources, seed):
    """The BOSS sources, everybody, and the APOGEE part."""
    boss = plan_survey(sources, seed, blank)
    with pytest.MonkeyPatch.context() as patch:
        # what BOSS sees of the stars takes a second
        patch.setattr(stars.stars, "star", lambda *_: np.ones(wavelength_scale().size))  # type: ignore[attr-defined]
        return boss, *stars.add_stars(boss)


@pytest.fixture(scope="session")
def default_plan():
    return plan(SOURCES, SEED)


@pytest.fixture(scope="session")
def small_plan():
    return plan(24, 5)
