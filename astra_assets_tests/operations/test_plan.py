"""What a run of a step would do, and what no node could do."""

from __future__ import annotations

from dataclasses import replace

from sqlalchemy import func, insert, select

from astra_assets.compute.step_inputs import UNPROCESSED, Selection
from astra_assets.models.base import table_of
from astra_assets.models.boss import BossVisitSpectrum
from astra_assets.models.source import Source
from astra_assets.operations.plan import StepPlan, doubts, plan
from astra_assets.operations.step_runner import StepRunner
from astra_assets.pipelines.base import Step
from astra_assets.pipelines.options import AS_DECLARED, ResourceRequest, SlurmOptions
from astra_assets_tests.compute import samples

DECLARED = SlurmOptions(nodes=2, procs=4, time="00:10:00")
VISIT = replace(samples.FLUX.step("visit"), slurm=DECLARED)
FLUX = replace(samples.FLUX, steps=(samples.FLUX.steps[0], VISIT), reference="")


def plan_of(
    runner: StepRunner,
    selection: Selection = UNPROCESSED,
    resources: ResourceRequest = AS_DECLARED,
    step: Step = VISIT,
) -> StepPlan:
    (planned,) = plan(runner, FLUX, [step], selection, resources)
    return planned


def test_before_the_first_result_the_time_is_unknown(make):
    planned = plan_of(make("slurm"))
    assert (planned.inputs, planned.tasks, planned.inputs_per_task) == (8, 2, 4)
    assert planned.seconds is None
    assert planned.node_hours is None
    assert planned.disk == 8 * 8 * len(table_of(samples.SampleFlux).columns)


def test_node_hours_follow_from_results_so_far(make, monkeypatch):
    runner = make("slurm")
    monkeypatch.setattr("astra_assets.operations.plan.mean_seconds", lambda *_: 1800.0)
    planned = plan_of(runner, resources=ResourceRequest(procs=2))
    assert planned.seconds == 4 * 1800 / 2
    assert planned.node_hours == 2 * 3600 / 3600
    assert planned.notes == [
        "tasks would take longer than their wall time of 00:10:00: ask for more --nodes, --procs or --time"
    ]
    assert plan_of(runner, resources=ResourceRequest(time="02:00:00")).notes == []
    limited = plan_of(runner, Selection(limit=3), ResourceRequest(nodes=8))
    assert (limited.inputs, limited.tasks, limited.inputs_per_task) == (3, 3, 1)


def test_a_plan_is_of_the_inputs_that_a_run_would_look_at(make):
    runner = make("local")
    table, visits = table_of(samples.SampleFlux), table_of(BossVisitSpectrum)
    with runner.deployment.database.begin() as connection:
        found = connection.execute(select(visits.c.spectrum_pk, visits.c.source_pk).limit(3)).all()
        for spectrum_pk, source_pk in found:
            keys = {"spectrum_pk": spectrum_pk, "source_pk": source_pk}
            connection.execute(insert(table).values(v_astra=8001, **keys))
        sdss_id = connection.scalar(select(func.max(table_of(Source).c.sdss_id)))
    asked = {
        "everything": Selection(),
        "force": Selection(force=True),
        "limited": Selection(limit=4, force=True),
        "object": Selection(sdss_ids=(sdss_id,)),
    }
    inputs = {name: plan_of(runner, each).inputs for name, each in asked.items()}
    assert inputs == {"everything": 5, "force": 8, "limited": 4, "object": 1}


def test_what_no_node_can_meet_is_told_before_anything_is_submitted(make, monkeypatch):
    found = [("ok", "the controller answers"), ("error", "procs: 99 is more than a node has (16)")]
    monkeypatch.setattr("astra_assets.operations.plan.diagnose", lambda _client, _options: found)
    runner = make("slurm")
    planned = plan_of(runner, resources=ResourceRequest(procs=99))
    assert doubts(runner, planned) == (found[1][1],)
    here = make("local")
    assert doubts(here, plan_of(here)) == ()


def test_a_filter_needs_no_worker(make, monkeypatch):
    monkeypatch.setattr("astra_assets.operations.plan.mean_seconds", lambda *_: 1800.0)
    runner = make("slurm")
    planned = plan_of(runner, step=FLUX.steps[0])
    assert planned.submits_nothing
    assert doubts(runner, planned) == ()


def test_here_a_step_is_one_task_whatever_it_asks_of_a_cluster(make):
    planned = plan_of(make("local"))
    assert planned.tasks == 1
    assert not planned.on_cluster
