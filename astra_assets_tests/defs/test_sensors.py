"""Runs that start because something new arrived, and those that do not."""

from __future__ import annotations

import dagster as dg
import pytest

from astra_assets.definitions import build_defs


@pytest.fixture
def place(tmp_path, monkeypatch):
    for name in ("ASTRA_DATABASE_URL", "SAS_BASE_DIR", "MWM_ASTRA", "ASTRA_CONFIG", "ASTRA_CATALOGS"):
        monkeypatch.delenv(name, raising=False)
    return build_defs(home=str(tmp_path / "home"))


def tick(definitions, cursor=None):
    sensor = definitions.get_repository_def().get_sensor_def("new_spectra_dr20")
    with dg.DagsterInstance.ephemeral() as instance:
        context = dg.build_sensor_context(instance=instance, cursor=cursor, resources=definitions.resources)
        return sensor.evaluate_tick(context)


def test_without_a_summary_file_there_is_no_run_and_the_reason_names_the_file(place):
    found = tick(place)
    assert not found.run_requests
    assert "spAll-v6_2_1.fits.gz" in str(found.skip_message)


def test_a_new_file_asks_for_one_run_and_the_same_file_for_no_second_one(place, tmp_path):
    spall = tmp_path / "home/demo/ipl-4/spectro/boss/redux/v6_2_1/summary/daily/spAll-v6_2_1.fits.gz"
    spall.parent.mkdir(parents=True)
    spall.write_bytes(b"one night")
    first = tick(place)
    assert [request.tags["astra/release"] for request in first.run_requests] == ["dr20"]
    again = tick(place, cursor=first.cursor)
    assert not again.run_requests
    assert "a run was already asked for" in str(again.skip_message)
    spall.write_bytes(b"two nights")
    later = tick(place, cursor=first.cursor)
    assert len(later.run_requests) == 1
    assert later.run_requests[0].run_key != first.run_requests[0].run_key
