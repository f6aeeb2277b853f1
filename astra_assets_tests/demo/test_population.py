"""Who is in the survey, without making a spectrum."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from astra_assets.demo import population
from astra_assets.demo.kinds import TRAITS, allocate, apportion, part_of
from astra_assets.demo.population import plan_survey
from astra_assets.demo.survey import SEED, SOURCES
from astra_assets.models import cartons
from astra_assets.synthesis.templates import KINDS, Template


def blank(kind, rng):
    return Template(kind, 10000.0, 8.0, np.array([3500.0, 10500.0]), np.ones(2))


@pytest.fixture(scope="module")
def plan():
    return plan_survey(SOURCES, SEED, blank)


def test_every_kind_that_pipelines_tell_apart_is_there_several_times(plan):
    kinds = Counter(target.kind for target in plan.catalogued)
    assert set(kinds) == set(KINDS) == set(TRAITS)
    assert min(kinds.values()) >= 8
    assert kinds["DA"] >= 80


def test_the_default_survey_is_as_large_as_promised(plan):
    listed = [visit for visit in plan.visits if visit.target.in_catalog]
    # over all pixels the S/N is 0.8 of the one that is asked for
    bright = [visit for visit in listed if visit.target.kind == "DA" and 0.8 * visit.snr > 20]
    assert len(plan.catalogued) >= 200
    assert len(listed) >= 600
    assert len(bright) >= 150
    assert len({visit.target.number for visit in bright}) >= 80


def test_sources_are_visited_1_to_12_times_in_different_nights(plan):
    nights = {}
    for visit in plan.visits:
        nights.setdefault(visit.target.number, []).append((visit.field.fieldid, visit.night.mjd))
    assert {1, 12} <= {len(each) for each in nights.values()}
    assert all(1 <= len(each) <= 12 and len(set(each)) == len(each) for each in nights.values())


def test_some_sources_are_seen_from_both_observatories(plan):
    seen = {}
    for visit in plan.visits:
        seen.setdefault(visit.target.number, set()).add(visit.field.site.telescope)
    assert {frozenset(each) for each in seen.values()} == {
        frozenset(["apo25m"]),
        frozenset(["lco25m"]),
        frozenset(["apo25m", "lco25m"]),
    }


def test_field_night_and_catalogid_name_a_visit(plan):
    names = [(visit.field.fieldid, visit.night.mjd, visit.catalogid) for visit in plan.visits]
    assert len(set(names)) == len(names)


def test_every_catalogid_belongs_to_the_target_and_all_versions_are_in_use(plan):
    used = Counter()
    for visit in plan.visits:
        versions = [
            version for version, number in visit.target.catalogids.items() if number == visit.catalogid
        ]
        assert versions or (visit.catalogid == -1 and not visit.target.in_catalog)
        used.update(versions)
    assert min(used[21], used[25], used[31]) > 20
    every = [number for target in plan.targets for number in target.catalogids.values()]
    assert len(set(every)) == len(every)


def test_a_few_spectra_belong_to_no_source_of_the_catalogue(plan):
    strangers = [visit for visit in plan.visits if not visit.target.in_catalog]
    assert 2 <= len(strangers) <= 0.05 * len(plan.visits)
    assert {visit.sdss_id for visit in strangers} == {population.UNKNOWN_ID}
    assert -1 in {visit.catalogid for visit in strangers}
    assert len({visit.catalogid for visit in strangers}) > 1


def test_white_dwarfs_and_contaminants_are_in_and_outside_of_mwm_wd(plan):
    for kind in ("DA", "DA_MS", "STAR", "QSO", "GALAXY", "SDB", "CV"):
        assert {target.in_wd for target in plan.catalogued if target.kind == kind} == {True, False}, kind


def test_in_wd_says_what_the_bits_say(plan):
    packed = [cartons.pack(target.cartons) for target in plan.catalogued]
    found = cartons.in_program(packed, "mwm_wd")
    assert found.tolist() == [target.in_wd for target in plan.catalogued]


def test_some_sources_are_not_stellar(plan):
    packed = [cartons.pack(target.cartons) for target in plan.catalogued]
    stellar = cartons.in_mapper(packed, "mwm")
    assert 0 < np.sum(~stellar) < 20


def test_velocities_vary_in_binaries_only(plan):
    several = {}
    for visit in plan.visits:
        several.setdefault(visit.target, []).append(visit.v_rad)
    steady = [target for target, each in several.items() if set(each) == {target.v_rad}]
    varying = [target for target in several if target not in steady]
    assert all(target.amplitude == 0 for target in steady)
    assert {target.kind for target in varying} >= {"DA", "DA_MS"}
    assert not any(target.amplitude for target in plan.targets if target.kind in {"QSO", "GALAXY", "STAR"})
    for target, each in several.items():
        assert np.all(np.abs(np.array(each) - target.v_rad) <= target.amplitude)


def test_the_plan_depends_on_the_seed():
    one, again, other = (plan_survey(24, seed, blank) for seed in (1, 1, 2))
    assert [visit.snr for visit in one.visits] == [visit.snr for visit in again.visits]
    assert [target.sdss_id for target in one.targets] != [target.sdss_id for target in other.targets]


@pytest.mark.parametrize("total", [12, 24, 100, 231])
def test_every_number_of_sources_is_allocated_with_one_of_each_kind(total):
    kinds = allocate(total)
    assert len(kinds) == total
    assert set(kinds) == set(TRAITS)


def test_apportion_keeps_the_total_and_the_ratio():
    assert apportion(np.array([3.0, 2.0, 1.0]), 12).tolist() == [6, 4, 2]
    assert apportion(np.array([1.0, 1.0, 1.0]), 4).sum() == 4


def test_part_of_spreads_a_share_evenly_and_starts_with_the_first():
    chosen = [part_of(number, 0.25) for number in range(8)]
    assert chosen == [True, False, False, False, True, False, False, False]
    assert all(part_of(number, 1.0) for number in range(10))
