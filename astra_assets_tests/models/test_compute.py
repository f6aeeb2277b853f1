"""What the tables of work guarantee."""

from __future__ import annotations

from datetime import datetime

import pytest
from sqlalchemy import insert, select, update
from sqlalchemy.exc import IntegrityError

from astra_assets.models.compute import ComputeBatch, ComputeOutcome
from astra_assets.models.spectrum import SpectrumKey


def batch(**values):
    return insert(ComputeBatch).values(
        {
            "pipeline": "Corv",
            "step": "visit",
            "v_astra": 8001,
            "v_astra_major_minor": 8,
            "code_version": "1",
            "backend": "local",
            "n_inputs": 3,
            "n_tasks": 1,
            "directory": "/x",
            "planned": datetime.fromisoformat("2026-01-01"),
        }
        | values
    )


def outcome(**values):
    return insert(ComputeOutcome).values(
        {
            "pipeline": "Corv",
            "step": "visit",
            "v_astra_major_minor": 8,
            "state": "failed",
            "code": "no_flux",
            "code_version": "1",
        }
        | values
    )


def test_at_most_one_batch_of_a_step_is_active(database):
    with database.begin() as connection:
        connection.execute(batch(batch_id="a"))
        connection.execute(batch(batch_id="b", step="star"))
        connection.execute(batch(batch_id="c", v_astra_major_minor=9))
        connection.execute(batch(batch_id="d", state="cancelled"))
        connection.execute(batch(batch_id="e", state="collected"))
    with pytest.raises(IntegrityError), database.begin() as connection:
        connection.execute(batch(batch_id="f"))
    with database.begin() as connection:
        connection.execute(
            update(ComputeBatch).where(ComputeBatch.c.batch_id == "a").values(state="collected")
        )
        connection.execute(batch(batch_id="f"))
    with database.connect() as connection:
        active = (
            select(ComputeBatch.c.batch_id)
            .where(ComputeBatch.c.state == "active")
            .order_by(ComputeBatch.c.batch_id)
        )
        assert connection.scalars(active).all() == ["b", "c", "f"]


def test_state_of_a_batch_is_one_of_three(database):
    with pytest.raises(IntegrityError), database.begin() as connection:
        connection.execute(batch(batch_id="a", state="running"))


def test_one_outcome_per_input_and_exactly_one_input(database):
    with database.begin() as connection:
        first, second = database.reserve_spectrum_pks(connection, 2).tolist()
        connection.execute(outcome(spectrum_pk=first))
        connection.execute(outcome(spectrum_pk=second))
        connection.execute(outcome(spectrum_pk=first, step="star"))
    for wrong in ({"spectrum_pk": first}, {}, {"spectrum_pk": first, "source_pk": 1, "step": "x"}):
        with pytest.raises(IntegrityError), database.begin() as connection:
            connection.execute(outcome(**wrong))


def test_an_outcome_goes_with_its_spectrum(database):
    with database.begin() as connection:
        key = int(database.reserve_spectrum_pks(connection, 1)[0])
        connection.execute(outcome(spectrum_pk=key))
        connection.execute(SpectrumKey.__table__.delete())
    with database.connect() as connection:
        assert connection.scalars(select(ComputeOutcome.c.pk)).all() == []
