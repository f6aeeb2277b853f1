"""allVisit and allStar of the demo: the columns that ingestion looks for, and rows that agree with the truth."""

from __future__ import annotations

import numpy as np
import pytest
from astropy.io import fits

from astra_assets.demo.apogee.summary import NO_VELOCITY, STAR_COLUMNS, VISIT_COLUMNS
from astra_assets.demo.apogee.visits import flag
from astra_assets.files.paths import apogee_summary_paths
from astra_assets.ingest.apogee.apogee_columns import ALL_STAR, ALL_VISIT

APREDS = {"1.5": "sdss5", "dr17": "dr17"}


def summaries(demo, kind):
    """All rows of a kind, by release."""
    found = {}
    for apred, release in APREDS.items():
        paths = [demo.root / path for path in apogee_summary_paths(kind, apred)]
        found[release] = [row for path in paths if path.exists() for row in fits.getdata(path, 1)]
    return found


@pytest.mark.parametrize(
    ("columns", "summary", "lacking"),
    [(VISIT_COLUMNS, ALL_VISIT, {"exptime", "fps"}), (STAR_COLUMNS, ALL_STAR, set())],
)
def test_what_ingestion_needs_is_there(columns, summary, lacking, tmp_path):
    for apred, release in APREDS.items():
        chosen = summary.choose(list(columns[release]), tmp_path, apred)
        needed = {"obj", "telescope", "snr", "v_rad", "spectrum_flags", "doppler_teff"}
        assert needed <= set(chosen)
        assert not lacking & set(chosen)


def test_each_visit_of_the_truth_is_in_allvisit(demo, truth):
    rows = {
        (release, row["TELESCOPE"], row["PLATE"], row["MJD"], row["FIBERID"]): row
        for release, listed in summaries(demo, "allVisit").items()
        for row in listed
    }
    for visit in truth["APOGEE_VISITS"]:
        row = rows.pop((visit["release"], visit["telescope"], visit["plate"], visit["mjd"], visit["fiber"]))
        assert row["SNR"] == pytest.approx(visit["snr"], rel=1e-6)
        assert row["APOGEE_ID"] == visit["obj"]
        velocity = row["VHELIO" if visit["release"] == "dr17" else "VRAD"]
        assert bool(row["STARFLAG"] & flag("rv_failure")) is not bool(visit["in_stack"])
        if visit["in_stack"]:
            assert velocity == pytest.approx(visit["v_rad"], abs=6 * float(row["VRELERR"]))
            assert row["VREL"] + row["BC"] == pytest.approx(velocity, abs=1e-3)
        else:
            assert velocity == NO_VELOCITY or np.isnan(velocity)
    assert 0 < len(rows) < 5


def test_stars_have_the_mean_velocity_of_their_visits(demo, truth):
    sources = {row["sdss_id"]: row for row in truth["SOURCES"] if row["has_apogee"]}
    names = {row["obj"]: sources[row["sdss_id"]] for row in truth["APOGEE_VISITS"]}
    for release, listed in summaries(demo, "allStar").items():
        assert listed
        for row in listed:
            if row["APOGEE_ID"] not in names:
                continue
            source = names[row["APOGEE_ID"]]
            assert row["RV_TEFF"] == pytest.approx(source["teff"], abs=300)
            velocity = row["VHELIO_AVG" if release == "dr17" else "VRAD"]
            visits = [
                visit["v_rad"]
                for visit in truth["APOGEE_VISITS"]
                if (visit["obj"], visit["telescope"], visit["release"])
                == (row["APOGEE_ID"], row["TELESCOPE"], release)
                and visit["in_stack"]
            ]
            assert min(visits) - 6 < velocity < max(visits) + 6


def test_some_rows_name_their_source_by_catalogid_alone(demo):
    ids = [row["SDSS_ID"] for row in summaries(demo, "allVisit")["sdss5"]]
    assert -999 in ids
    assert max(ids) > 0
