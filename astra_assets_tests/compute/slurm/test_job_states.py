"""Every documented state has one fate; unknown is never a failure."""

from __future__ import annotations

import pytest

from astra_assets.compute.slurm.job_states import Fate, SlurmState

# squeue(1) and sacct(1) of versions 20.11 to 24.11, and what the page "Job State Codes" of 25.11 has besides
DOCUMENTED = """BF BOOT_FAIL, CA CANCELLED, CD COMPLETED, CF CONFIGURING, CG COMPLETING, DL DEADLINE, F FAILED,
    LF LAUNCH_FAILED, NF NODE_FAIL, OOM OUT_OF_MEMORY, PD PENDING, PO POWER_UP_NODE, PR PREEMPTED, R RUNNING,
    RC RECONFIG_FAIL, RD RESV_DEL_HOLD, RF REQUEUE_FED, RH REQUEUE_HOLD, RQ REQUEUED, RS RESIZING, RV REVOKED,
    SE SPECIAL_EXIT, SI SIGNALING, SO STAGE_OUT, ST STOPPED, S SUSPENDED, TO TIMEOUT, EXPEDITING EXPEDITING,
    UPDATE_DB UPDATE_DB"""

FATES = {
    Fate.ACTIVE: "CF CG EXPEDITING PD PO R RD RF RH RQ RS SI SE SO ST S UPDATE_DB",
    Fate.DONE: "CD",
    Fate.RETRY: "BF F LF NF PR RC TO",
    Fate.RETRY_MORE_MEMORY: "OOM",
    Fate.GIVE_UP: "CA DL",
    Fate.UNKNOWN: "RV",
}


def test_every_state_has_the_fate_that_is_meant_and_only_that():
    expected = {short: fate for fate, shorts in FATES.items() for short in shorts.split()}
    assert {state.short: state.fate for state in SlurmState if state is not SlurmState.UNKNOWN} == expected


def test_all_states_of_the_manuals_are_known():
    for line in DOCUMENTED.split(","):
        short, name = line.split()
        assert SlurmState.read(short) is SlurmState.read(name) is SlurmState[name]


@pytest.mark.parametrize(
    ("text", "state"),
    [
        ("CANCELLED by 1000", SlurmState.CANCELLED),
        ("COMPLETED", SlurmState.COMPLETED),
        ("CANCELLED+", SlurmState.CANCELLED),
        ("oom", SlurmState.OUT_OF_MEMORY),
        (" R ", SlurmState.RUNNING),
        ("WANDERING", SlurmState.UNKNOWN),
        ("", SlurmState.UNKNOWN),
        ("UNKNOWN", SlurmState.UNKNOWN),
    ],
)
def test_states_are_read_in_all_their_forms(text, state):
    assert SlurmState.read(text) is state


def test_what_is_active_or_unknown_has_not_ended():
    assert not any(state.ended for state in SlurmState if state.fate in (Fate.ACTIVE, Fate.UNKNOWN))
    assert SlurmState.TIMEOUT.ended
    assert SlurmState.CANCELLED.ended
    assert SlurmState.COMPLETING.occupies_a_node
    assert not SlurmState.PENDING.occupies_a_node
