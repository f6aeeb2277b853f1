"""Runs that start because something new arrived, and those that do not."""

from __future__ import annotations

from contextlib import nullcontext
from datetime import datetime, timedelta
from uuid import uuid4

import dagster as dg
import pytest

from astra_assets.definitions import build_defs
from astra_assets.defs import sensors


@pytest.fixture
def place(tmp_path, monkeypatch):
    for name in ("ASTRA_DATABASE_URL", "SAS_BASE_DIR", "MWM_ASTRA", "ASTRA_CONFIG", "ASTRA_CATALOGS"):
        monkeypatch.delenv(name, raising=False)
    return build_defs(home=str(tmp_path / "home"))


@pytest.fixture
def instance():
    with dg.DagsterInstance.ephemeral() as made:
        yield made


@pytest.fixture
def clock(monkeypatch):
    """The time of the sensor, which can be moved on."""

    class Clock(datetime):
        ahead = timedelta()

        @classmethod
        def now(cls, tz=None):
            return datetime.now(tz) + cls.ahead

    monkeypatch.setattr(sensors, "datetime", Clock)
    return Clock


@pytest.fixture
def spall(tmp_path):
    path = tmp_path / "home/demo/ipl-4/spectro/boss/redux/v6_2_1/summary/daily/spAll-v6_2_1.fits.gz"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"one night")
    return path


def tick(definitions, cursor=None, instance=None):
    sensor = definitions.get_repository_def().get_sensor_def("new_spectra_dr20")
    with nullcontext(instance) if instance else dg.DagsterInstance.ephemeral() as made:
        context = dg.build_sensor_context(instance=made, cursor=cursor, resources=definitions.resources)
        return sensor.evaluate_tick(context)


def launched(instance, request, status):
    """What Dagster makes of a request, and how the run went on."""
    instance.add_run(dg.DagsterRun(job_name="dr20", run_id=str(uuid4()), status=status, tags=request.tags))


def test_without_a_summary_file_there_is_no_run_and_the_reason_names_the_file(place):
    found = tick(place)
    assert not found.run_requests
    assert "spAll-v6_2_1.fits.gz" in str(found.skip_message)


def test_a_new_file_asks_for_one_run_and_the_same_file_for_no_second_one(place, spall):
    first = tick(place)
    assert [request.tags["astra/release"] for request in first.run_requests] == ["dr20"]
    again = tick(place, cursor=first.cursor)
    assert not again.run_requests
    assert "a run was already asked for" in str(again.skip_message)
    spall.write_bytes(b"two nights")
    later = tick(place, cursor=first.cursor)
    assert len(later.run_requests) == 1
    assert later.run_requests[0].run_key != first.run_requests[0].run_key


@pytest.mark.parametrize("status", [dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED])
def test_after_a_run_that_failed_another_one_is_asked_for_with_growing_pauses(
    place, spall, instance, clock, status
):
    found, keys, pauses = tick(place, None, instance), [], []
    for _ in range(4):
        (request,) = found.run_requests
        keys.append(request.run_key)
        launched(instance, request, status)
        cursor = found.cursor
        skipped = tick(place, cursor, instance)
        assert not skipped.run_requests
        assert "the last run with these files failed" in str(skipped.skip_message)
        assert str(spall) in str(skipped.skip_message)
        before = clock.ahead = timedelta()
        while not (found := tick(place, cursor, instance)).run_requests:
            clock.ahead += timedelta(minutes=5)
        pauses.append(round((clock.ahead - before) / timedelta(minutes=1)))
    assert keys == [keys[0], f"{keys[0]}-2", f"{keys[0]}-3", f"{keys[0]}-4"]
    assert pauses == [10, 20, 40, 80]


@pytest.mark.parametrize(
    "case",
    [
        (dg.DagsterRunStatus.NOT_STARTED, "is under way"),
        (dg.DagsterRunStatus.STARTED, "is under way"),
        (dg.DagsterRunStatus.SUCCESS, "succeeded without ingesting them: look at its log"),
    ],
)
def test_no_second_run_is_asked_for_while_one_goes_on_or_after_it_succeeded(
    place, spall, instance, clock, case
):
    status, told = case
    first = tick(place, None, instance)
    launched(instance, first.run_requests[0], status)
    clock.ahead = timedelta(days=3)
    later = tick(place, first.cursor, instance)
    assert not later.run_requests
    assert told in str(later.skip_message)


def test_a_run_that_left_no_trace_is_asked_for_again_after_a_pause(place, spall, clock):
    first = tick(place)
    clock.ahead = timedelta(minutes=11)
    again = tick(place, first.cursor)
    assert [request.run_key for request in again.run_requests] == [f"{first.run_requests[0].run_key}-2"]


def test_runs_with_other_files_do_not_count(place, spall, instance):
    first = tick(place, None, instance)
    launched(instance, first.run_requests[0], dg.DagsterRunStatus.FAILURE)
    spall.write_bytes(b"two nights")
    (request,) = tick(place, first.cursor, instance).run_requests
    assert request.run_key == request.tags["astra/news"] != first.run_requests[0].run_key


@pytest.mark.parametrize("cursor", ['{"/an/old/file": "9 1"}', "[]", "no JSON", '{"news": 3}'])
def test_a_cursor_of_another_form_says_nothing(place, spall, cursor):
    assert len(tick(place, cursor).run_requests) == 1
