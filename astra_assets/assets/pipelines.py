"""Steps of pipelines as assets: each is a graph of two ops, submit and collect.

Belongs here: the factory that turns the declaration of a step into an asset, and what it depends on. Does not belong
here: how a batch is planned, run and collected (`compute`), what a pipeline computes (`pipelines`).
"""

from collections.abc import Iterator

import dagster as dg
from pydantic import Field

from astra_assets.assets.ingest import APOGEE_VISITS_IN_COADDS, BOSS_VISITS, SOURCE, TABLES, table_key
from astra_assets.assets.metadata import OWNERS, layout_schema, step_metadata, table_metadata
from astra_assets.compute import Sparingly
from astra_assets.executors import HEAVY
from astra_assets.models.base import Base, table_of
from astra_assets.models.boss import BossCombinedSpectrum, BossRestFrameVisitSpectrum
from astra_assets.models.source import Source
from astra_assets.operations import Operations
from astra_assets.pipelines import PIPELINES
from astra_assets.pipelines.astra_files import file_kinds
from astra_assets.pipelines.base import Pipeline, Step
from astra_assets.profile import Asked
from astra_assets.publishing import SPECTRA_PIPELINE
from astra_assets.releases import Release
from astra_assets.resources import Survey, plainly
from astra_assets.run_log import heard
from astra_assets.termination import COLLECT, SUBMIT, while_run_lives
from astra_assets.work import Restriction

FILES: dict[str, tuple[type[Base], str]] = {
    "mwmStar": (
        BossCombinedSpectrum,
        "One file per source: the coadd of its visits for each instrument and telescope.",
    ),
    "mwmVisit": (
        BossRestFrameVisitSpectrum,
        "One file per source: its visits in the rest frame on a common wavelength grid.",
    ),
}
"""The files that the step over sources makes: rows of their BOSS HDUs, and what they are."""

INGESTED: dict[type[Base], tuple[dg.AssetKey, ...]] = {
    **{model: (table_key(model),) for model, _, _ in TABLES},
    # What is made of a source is made of its spectra.
    Source: (SOURCE, BOSS_VISITS, APOGEE_VISITS_IN_COADDS),
}
"""The assets whose rows a step over this model reads; those over other models read what another step has made."""


class StepOptions(Asked, dg.Config):
    """Launchpad options of a pipeline step: on which inputs it works, and what is asked of the place where it runs."""

    limit: int | None = Field(
        default=None, ge=1, description="At most this many inputs; the rest is a backlog."
    )
    sdss_ids: list[int] = Field(default=[], description="Only these objects.")
    retry_failed: bool = Field(default=False, description="Also what failed as often as is allowed.")
    force: bool = Field(default=False, description="Also what has a result.")


def graph_name(pipeline: Pipeline, step: Step) -> str:
    """Name of the graph of ops of a step, the prefix of its keys in run configuration."""
    return f"{pipeline.key}__{step.name}"


def step_keys(pipeline: Pipeline, step: Step) -> dict[str, dg.AssetKey]:
    """Keys of what a step makes, by the name of the output of its graph: results or files, and further tables."""
    tables = {table_of(model).name: table_key(model) for model in step.tables}
    return result_keys(pipeline, step) | tables


def result_keys(pipeline: Pipeline, step: Step) -> dict[str, dg.AssetKey]:
    """Keys of the results or files of a step, without those of further tables."""
    if pipeline.key == SPECTRA_PIPELINE:
        return {name: dg.AssetKey(name) for name in FILES}
    return {"result": dg.AssetKey([pipeline.key, step.name])}


def made_by(model: type[Base]) -> tuple[dg.AssetKey, ...]:
    """The assets whose rows a step over this model reads."""
    return INGESTED.get(model) or (table_key(model),)


def upstream_of(pipeline: Pipeline, step: Step) -> list[dg.AssetKey]:
    """What a step reads: its inputs, earlier steps of its pipeline, and the pipelines it comes after.

    What a step that makes files of results reads of other pipelines, the results have read.
    """
    keys = list(made_by(step.inputs))
    for earlier in pipeline.waits_for(step):
        keys += result_keys(pipeline, earlier).values()
    if step.after:
        return keys
    for other in PIPELINES:
        if other.name in pipeline.after:
            keys += result_keys(other, step_read(other, step)).values()
    return keys


def step_read(other: Pipeline, step: Step) -> Step:
    """The step of another pipeline whose results a step reads: the last one on the same spectra, else its last one."""
    results = other.result_steps or other.steps
    same = [each for each in results if each.inputs is step.inputs]
    return same[-1] if same else results[-1]


def step_asset(pipeline: Pipeline, step: Step) -> dg.AssetsDefinition:
    """The asset of one step."""
    name = graph_name(pipeline, step)
    upstream = {"__".join(key.path): key for key in upstream_of(pipeline, step)}
    keys = step_keys(pipeline, step)
    submit, collect = (
        submit_op(pipeline, step, name, list(upstream)),
        collect_op(pipeline, step, name, list(keys)),
    )

    @dg.config_mapping
    def options(val: StepOptions) -> dict[str, object]:
        return {SUBMIT: {"config": val.model_dump()}}

    graph = dg.GraphDefinition(
        name=name,
        description=describe(pipeline, step),
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
    return dg.AssetsDefinition.from_graph(
        graph,
        keys_by_input_name=upstream,
        keys_by_output_name=keys,
        internal_asset_deps={item: set(upstream.values()) for item in keys},
        group_name=pipeline.group,
        descriptions_by_output_name={item: output_description(pipeline, step, item) for item in keys},
        metadata_by_output_name={item: output_metadata(pipeline, step, item) for item in keys},
        tags_by_output_name={
            item: {f"dagster/kind/{kind}": "" for kind in kinds(step, item)} for item in keys
        },
        owners_by_output_name=dict.fromkeys(keys, OWNERS),
        code_versions_by_output_name=dict.fromkeys(keys, pipeline.code_version),
    )


def input_mapping(name: str) -> dg.InputMapping:
    """What the graph waits for, `submit` waits for."""
    return dg.InputMapping(graph_input_name=name, mapped_node_name="submit", mapped_node_input_name=name)


def output_mapping(name: str) -> dg.OutputMapping:
    """What `collect` makes, the graph makes."""
    return dg.OutputMapping(graph_output_name=name, mapped_node_name="collect", mapped_node_output_name=name)


def describe(pipeline: Pipeline, step: Step) -> str:
    """A sentence about the step, with what it skips."""
    what = f"{pipeline.name} on {step.inputs.__name__}"
    if file_kinds(step):
        what = f"One file per source: its results of {pipeline.name}, with their pixels"
    elif step.is_filter:
        what = f"Leaves out inputs that are not for {pipeline.name}"
    skips = "; ".join(f"`{requirement.code}`: {requirement.message}" for requirement in step.requires)
    return f"{what}." + (f" Skipped with a reason: {skips}." if skips else "")


def further_table(step: Step, output: str) -> type[Base] | None:
    """The further table that an output stands for; None where it is results or files."""
    return next((model for model in step.tables if table_of(model).name == output), None)


def output_description(pipeline: Pipeline, step: Step, output: str) -> str:
    """A sentence about what an output stands for."""
    table = further_table(step, output)
    if table is not None:
        return (table.__doc__ or table.__name__).partition("\n")[0]
    return FILES[output][1] if output in FILES else describe(pipeline, step)


def output_metadata(pipeline: Pipeline, step: Step, output: str) -> dict[str, object]:
    """Name and schema of the table that an output stands for, or the schema of the HDUs of its files."""
    if output in FILES:
        return {"dagster/column_schema": layout_schema(FILES[output][0])}
    table = further_table(step, output)
    if table is not None:
        return table_metadata(table)
    return {} if step.is_filter else table_metadata(pipeline.written_by(step))


def rows_metadata(
    operations: Operations, release: Release, pipeline: Pipeline, step: Step, output: str
) -> dict[str, dg.MetadataValue]:
    """Rows or files of an output that is not the table of results, and where files are."""
    table = further_table(step, output)
    if table is not None:
        return {"dagster/row_count": dg.MetadataValue.int(operations.row_count(table))}
    names = {output, *(f"astra{kind.capitalize()}{pipeline.product}" for kind in file_kinds(step))}
    listed = [each for each in operations.source_files(release) if each.name in names]
    if not listed:
        return {}
    files = dg.MetadataValue.int(sum(sum(each.rows) for each in listed))
    return {"dagster/row_count": files, "files": files, "path": dg.MetadataValue.path(listed[0].path)}


def kinds(step: Step, output: str) -> list[str]:
    """What the UI shows as the kind of an output."""
    return ["fits"] if output in FILES or file_kinds(step) else ["table"]


def submit_op(pipeline: Pipeline, step: Step, name: str, upstream: list[str]) -> dg.OpDefinition:
    """Plan a batch and start it, or say that there is nothing to do; does not wait."""

    @dg.op(
        name=f"{name}__submit",
        description="Find unprocessed inputs, record skips, plan a batch and start it; attach to one that is running.",
        ins={item: dg.In(dg.Nothing) for item in upstream},
        out=dg.Out(dg.Nothing),
        tags={**HEAVY, "dagster/priority": "10"},  # every submission goes out before the first wait
    )
    def submit(context: dg.OpExecutionContext, config: StepOptions, survey: Survey) -> None:
        with plainly(), heard(context.log):
            operations, release = survey.of_run(context.run)
            restriction = Restriction(tuple(config.sdss_ids), config.limit, config.retry_failed, config.force)
            work = operations.work(release)
            work.submit(pipeline, step, restriction, config.resources, context.log.info)

    return submit


def collect_op(pipeline: Pipeline, step: Step, name: str, outputs: list[str]) -> dg.OpDefinition:
    """Wait for the active batch, collect it, and account for every input."""

    @dg.op(
        name=f"{name}__collect",
        description="Wait for the batch, collect its results and account for every input.",
        ins={"submitted": dg.In(dg.Nothing)},
        out={item: dg.Out(dg.Nothing) for item in outputs},
    )
    def collect(context: dg.OpExecutionContext, survey: Survey) -> Iterator[dg.Output[None]]:
        with plainly(), heard(context.log):
            operations, release = survey.of_run(context.run)
            work = operations.work(release)
            progress = while_run_lives(context, work, Sparingly(context.log.info))
            account = work.collect(pipeline, step, context.log.info, progress)
            context.log.info(str(account))
            metadata = step_metadata(work, pipeline, step, account)
            for item in outputs:
                rows = rows_metadata(operations, release, pipeline, step, item)
                yield dg.Output(None, output_name=item, metadata=metadata | rows)

    return collect
