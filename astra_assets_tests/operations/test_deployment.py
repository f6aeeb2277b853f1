"""What every verb works on: releases, tables that are needed, locks, and how errors are told."""

from __future__ import annotations

import errno
import sqlite3
import threading
from pathlib import Path

import pytest
from sqlalchemy.exc import DatabaseError, OperationalError

from astra_assets.config.declared import UnknownProductError
from astra_assets.config.releases import DR20
from astra_assets.errors import ExpectedError
from astra_assets.operations.create import create
from astra_assets.operations.deployment import OperationError, expected_text, find_pipeline
from astra_assets.operations.step_runner import StepRunner
from astra_assets.operations.why import why


def test_verbs_that_need_tables_say_what_to_type(deployment):
    with pytest.raises(OperationError, match="has no tables yet; type: astra-assets migrate"):
        StepRunner(deployment, DR20)
    with pytest.raises(OperationError, match="has no tables yet"):
        create(deployment, "mwmTargets", DR20, say=print)
    with pytest.raises(OperationError, match="has no tables yet"):
        why(deployment, "corv")


def test_unknown_names_are_answered_with_the_known_ones(deployment):
    with pytest.raises(UnknownProductError, match="no product 'mwmAll'; there are: mwmTargets"):
        create(deployment, "mwmAll", DR20, say=print)
    with pytest.raises(OperationError, match="no release 'dr99'; choose one of: main, dr20"):
        deployment.release("dr99")
    with pytest.raises(OperationError, match=r"there is no pipeline 'rocket'; there are: .*corv"):
        find_pipeline("rocket")


def test_a_second_run_of_a_verb_waits_for_the_first(deployment):
    said: list[str] = []
    entered, leave = threading.Event(), threading.Event()

    def first() -> None:
        with deployment.alone("migrate", said.append):
            entered.set()
            leave.wait(60)

    def second() -> None:
        with deployment.alone("migrate", said.append):
            said.append("second is in")

    one, two = threading.Thread(target=first), threading.Thread(target=second)
    one.start()
    assert entered.wait(60)
    two.start()
    two.join(0.3)
    assert said == ["waiting for another run of migrate to end"]
    leave.set()
    one.join(60)
    two.join(60)
    assert said[-1] == "second is in"


def test_only_what_a_person_can_fix_is_shown_without_a_traceback():
    assert expected_text(ExpectedError("do this")) == "do this"
    assert expected_text(ValueError("our mistake")) is None


def test_a_full_or_broken_disk_is_told_with_its_cause_whoever_met_it():
    full = OSError(errno.ENOSPC, "No space left on device", "/nowhere/FROZEN")
    assert expected_text(full).startswith("/nowhere/FROZEN: the disk is full, ")
    for said in ("database or disk is full", "disk I/O error", "attempt to write a readonly database"):
        error = OperationalError("INSERT", {}, sqlite3.OperationalError(said))
        assert expected_text(error).startswith(
            f"the database cannot write its files: {said}; check the free space"
        )
    damaged = DatabaseError("SELECT", {}, sqlite3.DatabaseError("database disk image is malformed"))
    assert "restore them from a backup" in expected_text(damaged)
    assert expected_text(OperationalError("SELECT 1", {}, Exception("no route"))).startswith(
        "the database does not answer: no route"
    )


def test_a_path_with_a_nul_byte_is_told_in_words():
    with pytest.raises(ValueError, match="embedded null") as caught:
        Path("a\0b").read_text()
    assert "a path contains a NUL byte" in expected_text(caught.value)
