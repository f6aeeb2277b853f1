"""In which processes the steps of a job run.

With local compute all steps run in the process of the run: the work is in worker processes anyway, and a step only plans,
waits and collects. On a cluster a step may wait for days in the queue, and the steps of independent pipelines must wait
side by side, so each gets a process of its own, forked from a server that has imported everything already.

Measured on the job `dr20` with nothing new (14 steps, two busy cores, interleaved rounds, wall time relative to the first):
in process 1; a process for each step from a server that has imported the definitions 2.7 (five rounds); processes that import
everything again (Dagster's default) 9.7, and ten times the processor time (two rounds).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import dagster as dg

from astra_assets.config.own_releases import SettingsError
from astra_assets.defs.jobs import RELEASE_TAG
from astra_assets.defs.resources import DeploymentResource
from astra_assets.defs.termination import StoppingExecutor

if TYPE_CHECKING:
    from astra_assets.operations.step_runner import StepRunner
    from astra_assets.pipelines.base import Pipeline, Step

LOAD_TAG = "astra/load"
"""Tag of ops that keep the database or the processor busy, while others only wait."""

HEAVY = {LOAD_TAG: "heavy"}
"""The tag of such an op."""

HEAVY_AT_ONCE = 2
"""How many ops of this kind run at once: the machine where Dagster runs is often shared."""

WAITING_AT_ONCE = 64
"""How many steps run at once: more than any job has that can wait for the cluster at the same time."""

PRELOADED = (
    "astra_assets.definitions",
    "astra_assets.operations.create",
    "astra_assets.operations.migrate",
    "astra_assets.operations.step_runner",
    "astra_assets.compute.collect",
    "astra_assets.ingest.all_files",
    "astra_assets.products.make",
    "alembic.config",
)
"""What the server has imported from which the processes of steps are forked; the last is what Dagster's storage needs."""

STEP_PROCESSES: dict[str, object] = {
    "max_concurrent": WAITING_AT_ONCE,
    "start_method": {"forkserver": {"preload_modules": list(PRELOADED)}},
    "tag_concurrency_limits": [{"key": LOAD_TAG, "value": HEAVY[LOAD_TAG], "limit": HEAVY_AT_ONCE}],
}
"""How steps get processes of their own."""


def step_executor(survey: DeploymentResource, steps: Mapping[str, tuple[str, str]]) -> dg.ExecutorDefinition:
    """The executor of all jobs; it asks for the setting `compute` when a run starts, so that a change needs no restart.

    `steps` are the steps of pipelines, by key and name, by the name of their graph, for the end of a run that is terminated.
    """

    def on_cluster() -> bool:
        try:
            return survey.deployment().settings.compute == "slurm"
        except SettingsError:
            # The first step says what is wrong, in words instead of a traceback.
            return False

    def runner_of(run: dg.DagsterRun) -> StepRunner:
        from astra_assets.operations.step_runner import StepRunner

        deployment = survey.deployment()
        return StepRunner(deployment, deployment.release(run.tags.get(RELEASE_TAG)))

    @dg.executor(
        name="by_setting",
        config_schema={},
        requirements=lambda _config: dg.multiple_process_executor_requirements() if on_cluster() else [],
    )
    def by_setting(context: dg.InitExecutorContext) -> dg.Executor:
        if on_cluster():
            inner = made(dg.multiprocess_executor, context, STEP_PROCESSES)
        else:
            inner = made(dg.in_process_executor, context, {})
        return StoppingExecutor(inner, declared_steps(steps), runner_of)

    return by_setting


def declared_steps(names: Mapping[str, tuple[str, str]]) -> dict[str, tuple[Pipeline, Step]]:
    """The declarations of steps, imported."""
    from astra_assets.pipelines import pipeline

    return {graph: (pipeline(key), pipeline(key).step(step)) for graph, (key, step) in names.items()}


def made(
    definition: dg.ExecutorDefinition, context: dg.InitExecutorContext, config: dict[str, object]
) -> dg.Executor:
    """The executor of a definition with this configuration."""
    make = definition.executor_creation_fn
    assert make is not None
    return make(context._replace(executor_config={"retries": {"enabled": {}}, **config}))
