"""Which summary products there are and how they are called."""

from __future__ import annotations

import pytest

from astra_assets.models.apogee import ApogeeVisitSpectrum, ApogeeVisitSpectrumInApStar
from astra_assets.models.boss import BossCombinedSpectrum, BossVisitSpectrum
from astra_assets.models.source import Source
from astra_assets.products.summary import MWM_PRODUCTS, MWM_TARGETS, level_of, pipeline_product
from astra_assets_tests.products.samples import STAR, VISIT, SampleResult


def test_names_of_products():
    assert [product.name for product in MWM_PRODUCTS] == ["mwmTargets", "mwmAllVisit", "mwmAllStar"]
    assert (STAR.name, VISIT.name) == ("astraAllStarSample", "astraAllVisitSample")
    named = pipeline_product("ApogeeNet", SampleResult, "visit", suffix="APOGEENet")
    assert (named.name, named.pipeline) == ("astraAllVisitAPOGEENet", "ApogeeNet")


def test_boss_stands_before_apogee_in_all_but_the_targets():
    assert [table.instrument for table in MWM_TARGETS.tables] == [None]
    for product in (*MWM_PRODUCTS[1:], STAR, VISIT):
        assert [table.instrument for table in product.tables] == ["BOSS", "APOGEE"]


def test_apogee_visits_are_shown_with_what_the_reduction_says_of_them():
    assert VISIT.models(VISIT.tables[1]) == (
        Source,
        ApogeeVisitSpectrum,
        ApogeeVisitSpectrumInApStar,
        SampleResult,
    )


def test_the_level_follows_from_what_a_pipeline_reads():
    assert level_of(BossCombinedSpectrum) == "star"
    assert level_of(BossVisitSpectrum) == "visit"
    with pytest.raises(ValueError, match="no summary product shows results on Source"):
        level_of(Source)
