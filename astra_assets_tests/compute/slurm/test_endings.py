"""What an end of a task means, and how much memory it is asked for next."""

from __future__ import annotations

import pytest

from astra_assets.compute.progress import TaskStatus
from astra_assets.compute.slurm.client import TaskDetail
from astra_assets.compute.slurm.endings import Consequence, Ending, ending_of, gone
from astra_assets.compute.slurm.job_states import Fate, SlurmState
from astra_assets.compute.slurm.memory_request import memory_for
from astra_assets.compute.slurm.spec import EXIT_SETUP
from astra_assets.compute.slurm.submissions import Submission
from astra_assets.compute.worker import EXIT_BROKEN, EXIT_MEMORY, EXIT_STOPPED, EXIT_TIME
from astra_assets.pipelines.options import SlurmOptions

LOG_OF_MEMORY = (
    "slurmstepd-np001: error: StepId=3.batch exceeded memory limit (239050752 > 209715200), being killed\n"
)
LOG_OF_CGROUP = (
    "slurmstepd: error: Detected 1 oom-kill event(s) in StepId=7.batch cgroup. Some of your processes may have been "
    "killed by the cgroup out-of-memory handler.\n"
)


def end(state, said="", status=None, used=None, **detail):
    return ending_of("7_1", TaskDetail(SlurmState[state], **detail), status, said, used)


@pytest.mark.parametrize(
    ("ending", "consequence", "words"),
    [
        (end("OUT_OF_MEMORY", exit_code=0, signal=125), "memory", "short of memory"),
        (end("FAILED", exit_code=EXIT_MEMORY), "memory", "short of memory"),
        (end("FAILED", LOG_OF_MEMORY, signal=9, memory_asked_mb=200.0), "memory", "it asked for 200 MB"),
        (end("FAILED", LOG_OF_CGROUP, exit_code=1), "memory", "short of memory"),
        (end("FAILED", signal=9, memory_used_mb=190.0, memory_asked_mb=200.0), "memory", "short of memory"),
        (end("FAILED", exit_code=137, memory_asked_mb=200.0, used=190.0), "memory", "short of memory"),
        (end("FAILED", signal=9, memory_used_mb=20.0, memory_asked_mb=200.0), "again", "signal 9"),
        (end("FAILED", "our own log: exceeded memory limit", exit_code=1), "again", "exit status 1"),
        (end("TIMEOUT"), "time", "end of its wall time"),
        (end("FAILED", exit_code=EXIT_TIME), "time", "end of its wall time"),
        (end("CANCELLED", cancelled_by="eve"), "over", "was cancelled by eve, not by this program"),
        (end("CANCELLED"), "over", "keeps no accounts"),
        (end("DEADLINE"), "over", "DEADLINE"),
        (end("FAILED", reason="BadConstraints"), "over", "cannot run as it is asked for: BadConstraints"),
        (end("FAILED", exit_code=EXIT_BROKEN), "over", "cannot be set up"),
        (
            end("FAILED", exit_code=EXIT_BROKEN, status=TaskStatus("broken", 1, message="no grid")),
            "over",
            "no grid",
        ),
        (end("FAILED", exit_code=EXIT_SETUP), "setup", "a set-up line that failed"),
        (end("FAILED", exit_code=EXIT_STOPPED), "again", "stopped before its last input"),
        (end("COMPLETED"), "again", "has not done all of its inputs"),
        (end("NODE_FAIL", node="np001"), "again", "job 7_1 on np001 ended: NODE_FAIL"),
        (end("PREEMPTED"), "again, freely", "make room"),
        (gone("7_1", waited=False), "again", "not known to Slurm any more"),
        (gone("7_1", waited=True), "over", "was cancelled by somebody"),
    ],
)
def test_what_an_end_means(ending, consequence, words):
    assert ending.consequence.value == consequence
    assert words in ending.message


@pytest.mark.parametrize("state", [state for state in SlurmState if state.ended])
def test_every_state_in_which_a_task_is_over_has_a_meaning(state):
    ending = ending_of("7_1", TaskDetail(state), None, "")
    assert ending.message
    assert (ending.consequence is Consequence.MEMORY) == (state.fate is Fate.RETRY_MORE_MEMORY)


def submission(number, mem, ending=None, **more):
    endings = (
        {} if ending is None else {0: Ending(ending, "so", "FAILED", memory_asked_mb=more.pop("asked", None))}
    )
    values = {"declared": mem, "when": "", "job_id": str(number), **more}
    return Submission(number, f"s-{number}", (0,), SlurmOptions(mem=mem), endings=endings, **values)


def asked(declared, *submissions, cap=4000.0):
    memory = memory_for(0, declared, list(submissions), cap)
    return memory.mem, memory.more, memory.raised_from


def test_memory_is_as_declared_until_it_is_short():
    assert asked("1G") == ("1G", True, None)
    assert asked(None) == (None, True, None)
    assert asked("0") == ("0", False, None), "all of a node is all there is"
    assert asked("8G") == ("8G", False, None)
    assert asked("1G", submission(1, "1G", Consequence.AGAIN, more_memory=True)) == ("1G", True, None)


def test_memory_doubles_up_to_the_cap():
    assert asked("1G", submission(1, "1G", Consequence.MEMORY)) == ("2048M", True, 1024)
    second = submission(2, "2048M", Consequence.MEMORY, declared="1G")
    assert asked("1G", submission(1, "1G", Consequence.MEMORY), second) == ("4000M", False, 2048)
    third = submission(3, "4000M", Consequence.MEMORY, declared="1G")
    assert asked("1G", second, third) == ("4000M", False, None)


def test_what_the_cluster_gave_by_itself_is_doubled():
    assert asked(None, submission(1, None, Consequence.MEMORY, asked=1000.0)) == ("2000M", True, 1000)
    assert asked(None, submission(1, None, Consequence.MEMORY)) == (None, False, None)


def test_a_refusal_is_remembered():
    first = submission(1, "1G", Consequence.MEMORY)
    refused = submission(2, "2048M", declared="1G", dropped="no", refused=True, raised_from=1024.0)
    assert asked("1G", first, refused) == ("1G", False, None)
    lost = submission(2, "2048M", declared="1G", dropped="lost", raised_from=1024.0)
    assert asked("1G", first, lost) == ("2048M", True, 1024)
    for_ever = submission(
        2, "2048M", Consequence.AGAIN_FREELY, declared="1G", refused=True, raised_from=1024.0
    )
    assert asked("1G", first, for_ever) == ("1024M", False, None)


def test_what_somebody_asks_for_anew_holds():
    assert asked("3G", submission(1, "1G", Consequence.MEMORY)) == ("3G", True, None)
