"""Who has APOGEE spectra, without making one."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from astra_assets.demo import photometry
from astra_assets.demo.apogee.visits import N_FIBERS, ONE_METRE, flag
from astra_assets.models import cartons
from astra_assets.synthesis.templates import KINDS


def numbers(visits):
    return Counter(visit.star.rank for visit in visits)


def test_the_default_survey_is_as_large_as_promised(default_plan):
    boss, whole, apogee = default_plan
    listed = [star for star in apogee.stars if star.target.in_catalog]
    visited = {visit.target.number for visit in whole.visits}
    assert len(listed) >= 100
    assert 28 <= sum(star.target.number in visited for star in listed) <= 40
    assert len(boss.catalogued) >= 150
    assert len(apogee.visits) >= 200


def test_the_sources_of_boss_are_the_same_with_and_without_these_stars(default_plan):
    boss, whole, _ = default_plan
    assert whole.targets[: len(boss.targets)] == boss.targets
    assert whole.visits[: len(boss.visits)] == boss.visits
    assert [target.number for target in whole.targets] == list(range(len(whole.targets)))
    assert len({target.sdss_id for target in whole.targets}) == len(whole.targets)
    assert len({visit.number for visit in whole.visits}) == len(whole.visits)
    names = [(visit.field.fieldid, visit.night.mjd, visit.catalogid) for visit in whole.visits]
    assert len(set(names)) == len(names)


def test_a_small_survey_has_something_of_everything(small_plan):
    _, whole, apogee = small_plan
    assert 6 <= len(apogee.stars) <= 14
    assert {visit.telescope for visit in apogee.visits} >= {"apo25m", "lco25m"}
    assert {visit.release for visit in apogee.visits} == {"sdss5", "dr17"}
    found = numbers(apogee.visits)
    assert min(found.values()) == 1
    assert max(found.values()) >= 4
    assert {visit.target.has_apogee for visit in whole.visits} == {True, False}
    assert any(visit.failed for visit in apogee.visits)
    assert any(not visit.has_file for visit in apogee.visits)
    assert {star.target.in_catalog for star in apogee.stars} == {True, False}


def test_both_releases_and_all_telescopes_have_visits(default_plan):
    _, _, apogee = default_plan
    found = Counter((visit.release, visit.telescope) for visit in apogee.visits)
    assert set(found) == {
        *(("sdss5", name) for name in ("apo25m", "lco25m")),
        *(("dr17", name) for name in ("apo25m", "lco25m", ONE_METRE)),
    }
    releases = {}
    for visit in apogee.visits:
        releases.setdefault(visit.star.rank, set()).add(visit.release)
    assert {frozenset(each) for each in releases.values()} == {
        frozenset(["sdss5"]),
        frozenset(["dr17"]),
        frozenset(["sdss5", "dr17"]),
    }
    for star in apogee.stars:
        assert star.target.in_sdss4 == ("dr17" in releases[star.rank])


def test_no_two_visits_have_the_same_name(default_plan):
    _, _, apogee = default_plan
    names = [tuple(visit.row[name] for name in sorted(visit.row) if name != "obj") for visit in apogee.visits]
    assert len(set(names)) == len(names)
    fibers = [visit.fiber for visit in apogee.visits if visit.telescope != ONE_METRE]
    assert min(fibers) >= 1
    assert max(fibers) <= N_FIBERS
    assert len({star.obj for star in apogee.stars}) == len(apogee.stars)


def test_most_stars_count_as_stellar_and_a_few_do_not(default_plan):
    _, whole, _ = default_plan
    targets = [target for target in whole.catalogued if target.has_apogee]
    packed = [cartons.pack(target.cartons) for target in targets]
    names = ["2M" if target.in_sdss4 else None for target in targets]
    stellar = cartons.stellar_like(packed, names)
    assert 2 <= np.sum(~stellar) <= 0.1 * len(targets)
    assert not cartons.in_program(packed, "mwm_wd").any()
    assert {target.kind for target in targets} <= set(KINDS)


def test_there_are_giants_dwarfs_hot_and_metal_poor_stars(default_plan):
    _, _, apogee = default_plan
    teff, logg, fe_h = (
        np.array([getattr(star.atmosphere, name) for star in apogee.stars])
        for name in ("teff", "logg", "fe_h")
    )
    assert np.mean(logg < 3.5) > 0.6
    assert np.sum((logg > 4.0) & (teff < 7000)) > 10
    assert np.sum(teff > 7500) > 4
    assert np.sum(fe_h < -1.0) > 4


def test_visits_have_what_goes_wrong_in_a_survey(default_plan):
    _, _, apogee = default_plan
    assert 2 <= sum(not visit.has_file for visit in apogee.visits) <= 6
    assert 4 <= sum(visit.failed for visit in apogee.visits) <= 15
    assert sum(not visit.dithered for visit in apogee.visits) > 5
    assert min(visit.snr for visit in apogee.visits) < 5
    seen = np.bitwise_or.reduce([visit.flags for visit in apogee.visits])
    for name in ("persist_high", "bright_neighbor", "very_bright_neighbor", "rv_suspect", "rv_failure"):
        assert seen & flag(name)
    assert all(bool(visit.flags & flag("rv_failure")) == visit.failed for visit in apogee.visits)


def test_velocities_vary_by_the_orbit_and_are_measured_with_their_errors(default_plan):
    _, _, apogee = default_plan
    pulls = np.array([(visit.measured - visit.v_rad) / visit.e_v_rad for visit in apogee.visits])
    assert 0.85 < np.std(pulls) < 1.15
    for visit in apogee.visits:
        target = visit.star.target
        assert abs(visit.v_rad - target.v_rad) <= target.amplitude + 1e-9
        assert visit.relative + visit.night.velocity == pytest.approx(visit.v_rad)
        assert visit.date_obs.startswith("20")
    assert sum(star.target.amplitude > 0 for star in apogee.stars) > 5


def test_catalogues_say_how_bright_the_stars_are_and_how_far(default_plan):
    _, whole, apogee = default_plan
    columns = photometry.describe(whole)
    numbered = [star.target.number for star in apogee.stars]
    planned = np.array([star.h_mag for star in apogee.stars])
    assert np.max(np.abs(columns["h_mag"][numbered] - planned)) < 0.3
    logg = np.array([star.atmosphere.logg for star in apogee.stars])
    parallax = columns["plx"][numbered]
    good = parallax > 5 * columns["e_plx"][numbered]
    absolute = columns["g_mag"][numbered] + 5 * np.log10(np.clip(parallax, 1e-3, None) / 100)
    assert np.all(absolute[good & (logg < 2)] < 0.5)
    assert np.median(absolute[good & (logg > 4)]) > 3


def test_catalogues_say_the_same_of_the_sources_of_boss_with_and_without_these_stars(default_plan):
    boss, whole, _ = default_plan
    alone, together = photometry.describe(boss), photometry.describe(whole)
    for name, values in alone.items():
        if name != "sdss5_target_flags":
            assert np.array_equal(
                values, together[name][: len(values)], equal_nan=values.dtype.kind == "f"
            ), name
    assert set(together["sdss4_apogee_id"][len(boss.targets) :]) - {""} == {
        star.obj for star in default_plan[2].stars if star.target.in_sdss4
    }
