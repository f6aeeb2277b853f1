"""Steps of pipelines as assets: each is a graph of two ops, submit and collect."""

from collections.abc import Iterator
from functools import cache
from typing import TYPE_CHECKING, Any

import dagster as dg
from pydantic import Field

from astra_assets.config.profile import Asked
from astra_assets.config.releases import Release
from astra_assets.defs.assets.metadata import OWNERS, step_metadata, table_schema
from astra_assets.defs.assets.outline import OutputOutline, StepOutline
from astra_assets.defs.console import heard
from astra_assets.defs.executors import HEAVY
from astra_assets.defs.resources import DeploymentResource, plainly
from astra_assets.defs.termination import COLLECT, SUBMIT, while_run_lives

if TYPE_CHECKING:
    from astra_assets.compute.step_inputs import Selection
    from astra_assets.operations.deployment import Deployment
    from astra_assets.pipelines.base import Pipeline, Step


class StepOptions(Asked, dg.Config):
    """Launchpad options of a pipeline step: on which inputs it works, and what is asked of the place where it runs."""

    limit: int | None = Field(
        default=None, ge=1, description="At most this many inputs; the rest is a backlog."
    )
    sdss_ids: list[int] = Field(default=[], description="Only these objects.")
    retry_failed: bool = Field(default=False, description="Also what failed as often as is allowed.")
    force: bool = Field(default=False, description="Also what has a result.")

    @property
    def selection(self) -> "Selection":
        """On which inputs the step works."""
        from astra_assets.compute.step_inputs import Selection

        return Selection(tuple(self.sdss_ids) or None, self.limit, self.retry_failed, self.force)


@cache
def options_schema() -> Any:
    """The schema of the options of all steps: Dagster takes its time to find it out."""
    return StepOptions.to_config_schema()


def step_asset(step: StepOutline) -> dg.AssetsDefinition:
    """The asset of one step."""
    upstream = {"__".join(path): dg.AssetKey(path) for path in step.upstream}
    keys = {output.name: dg.AssetKey(output.key) for output in step.outputs}
    submit, collect = submit_op(step, list(upstream)), collect_op(step)

    @dg.config_mapping(config_schema=options_schema())
    def options(val: dict[str, object]) -> dict[str, object]:
        return {SUBMIT: {"config": val}}

    graph = dg.GraphDefinition(
        name=step.graph,
        description=step.description,
        node_defs=[submit, collect],
        dependencies={
            dg.NodeInvocation(submit.name, alias=SUBMIT): {},
            dg.NodeInvocation(collect.name, alias=COLLECT): {
                "submitted": dg.DependencyDefinition(SUBMIT, "result")
            },
        },
        input_mappings=[input_mapping(item) for item in upstream],
        output_mappings=[output_mapping(item) for item in keys],
        config=options,
    )
    outputs = {output.name: output for output in step.outputs}
    return dg.AssetsDefinition.from_graph(
        graph,
        keys_by_input_name=upstream,
        keys_by_output_name=keys,
        internal_asset_deps={item: set(upstream.values()) for item in keys},
        group_name=step.group,
        descriptions_by_output_name={item: output.description for item, output in outputs.items()},
        metadata_by_output_name={item: output_metadata(output) for item, output in outputs.items()},
        tags_by_output_name={
            item: {f"dagster/kind/{kind}": "" for kind in output.kinds} for item, output in outputs.items()
        },
        owners_by_output_name=dict.fromkeys(keys, OWNERS),
        code_versions_by_output_name=dict.fromkeys(keys, step.code_version),
    )


def input_mapping(name: str) -> dg.InputMapping:
    """What the graph waits for, `submit` waits for."""
    return dg.InputMapping(graph_input_name=name, mapped_node_name="submit", mapped_node_input_name=name)


def output_mapping(name: str) -> dg.OutputMapping:
    """What `collect` makes, the graph makes."""
    return dg.OutputMapping(graph_output_name=name, mapped_node_name="collect", mapped_node_output_name=name)


def output_metadata(output: OutputOutline) -> dict[str, object]:
    """Name and schema of the table that an output stands for, or the schema of the HDUs of its files."""
    named = {"dagster/table_name": output.table} if output.table else {}
    return named | ({"dagster/column_schema": table_schema(output.columns)} if output.columns else {})


def rows_metadata(
    deployment: "Deployment", release: Release, output: OutputOutline
) -> dict[str, dg.MetadataValue]:
    """Rows or files of an output that is not the table of results, and where files are."""
    from astra_assets.operations.source_files import source_files
    from astra_assets.operations.tables import row_count

    if output.key == (output.table,):
        return {"dagster/row_count": dg.MetadataValue.int(row_count(deployment, output.table))}
    if not output.files:
        return {}
    listed = [each for each in source_files(deployment, release) if each.name in output.files]
    if not listed:
        return {}
    files = dg.MetadataValue.int(sum(sum(each.rows) for each in listed))
    return {"dagster/row_count": files, "files": files, "path": dg.MetadataValue.path(listed[0].path)}


def submit_op(step: StepOutline, upstream: list[str]) -> dg.OpDefinition:
    """Plan a batch and start it, or say that there is nothing to do; does not wait."""

    @dg.op(
        name=f"{step.graph}__submit",
        description="Find unprocessed inputs, record skips, plan a batch and start it; attach to one that is running.",
        ins={item: dg.In(dg.Nothing) for item in upstream},
        out=dg.Out(dg.Nothing),
        config_schema=options_schema(),
        tags={**HEAVY, "dagster/priority": "10"},  # every submission goes out before the first wait
    )
    def submit(context: dg.OpExecutionContext, survey: DeploymentResource) -> None:
        with plainly(context), heard(context.log):
            from astra_assets.operations.step_runner import StepRunner

            config = StepOptions(**context.op_config)
            runner = StepRunner(*survey.of_run(context.run))
            runner.submit(*declared(step), config.selection, config.resources, context.log.info)

    return submit


def collect_op(step: StepOutline) -> dg.OpDefinition:
    """Wait for the active batch, collect it, and account for every input."""

    @dg.op(
        name=f"{step.graph}__collect",
        description="Wait for the batch, collect its results and account for every input.",
        ins={"submitted": dg.In(dg.Nothing)},
        out={output.name: dg.Out(dg.Nothing) for output in step.outputs},
    )
    def collect(context: dg.OpExecutionContext, survey: DeploymentResource) -> Iterator[dg.Output[None]]:
        with plainly(context), heard(context.log):
            from astra_assets.compute import Sparingly
            from astra_assets.operations.step_runner import StepRunner

            deployment, release = survey.of_run(context.run)
            runner = StepRunner(deployment, release)
            progress = while_run_lives(context, runner, Sparingly(context.log.info))
            account = runner.collect(*declared(step), context.log.info, progress)
            context.log.info(str(account))
            metadata = step_metadata(runner, *declared(step), account)
            for output in step.outputs:
                rows = rows_metadata(deployment, release, output)
                yield dg.Output(None, output_name=output.name, metadata=metadata | rows)

    return collect


def declared(step: StepOutline) -> tuple["Pipeline", "Step"]:
    """The declaration of a step, imported."""
    from astra_assets.pipelines import pipeline

    found = pipeline(step.pipeline)
    return found, found.step(step.step)
