"""The arguments of `run`, `srun` and `plan`: which steps are meant, on which inputs, and what is asked of the place."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, get_args

import click
from pydantic import ValidationError

from astra_assets.config.profile import Asked
from astra_assets.operations.deployment import OperationError, find_pipeline
from astra_assets.pipelines.options import OPTIONS

if TYPE_CHECKING:
    from astra_assets.compute.step_inputs import Selection
    from astra_assets.pipelines.base import Pipeline, Step
    from astra_assets.pipelines.options import ResourceRequest

Command = Callable[..., Any]

HERE = tuple(name for name, option in OPTIONS.items() if option.here)
"""What can be asked of this machine; the rest is for a cluster."""


def named_steps(command: Command) -> Command:
    """`PIPELINE [MODEL] [SDSS_ID]...`, and the options that say which steps are meant."""
    return _with(
        command,
        click.argument("pipeline"),
        click.argument("words", nargs=-1, metavar="[MODEL] [SDSS_ID]..."),
        click.option("--step", "step_name", help="Only this step of the pipeline, e.g. star."),
        click.option("--release", help="Release that the results are for."),
    )


def selections(command: Command) -> Command:
    """The options that say on which inputs a step works."""
    return _with(
        command,
        click.option(
            "--sdss-ids", type=int, multiple=True, metavar="ID", help="Only this object; repeat for several."
        ),
        click.option(
            "--limit", type=click.IntRange(min=1), help="At most this many inputs; the rest is a backlog."
        ),
        click.option("--retry-failed", is_flag=True, help="Also what failed as often as is allowed."),
        click.option("--force", is_flag=True, help="Also what has a result."),
    )


def resources(names: Iterable[str] = tuple(Asked.model_fields)) -> Callable[[Command], Command]:
    """The options that ask for nodes, time, memory and so on: those of these names."""
    return lambda command: _with(command, *(_option(name) for name in names))


def _option(name: str) -> Callable[[Command], Command]:
    """One of the options that `Asked` has."""
    field = Asked.model_fields[name]
    kind = get_args(field.annotation)[0]
    help_text = str(field.description)
    if kind is bool:
        return click.option(f"--{name}/--no-{name}", default=None, help=help_text)
    if kind in (int, str):
        return click.option(f"--{name}", type=kind, help=help_text)
    return click.option(f"--{name}", multiple=True, help=f"{help_text} Repeat for several.")


def _with(command: Command, *decorators: Callable[[Command], Command]) -> Command:
    for decorator in reversed(decorators):
        command = decorator(command)
    return command


def parsed(
    *,
    pipeline: str,
    words: tuple[str, ...],
    step_name: str | None,
    sdss_ids: tuple[int, ...],
    limit: int | None,
    retry_failed: bool,
    force: bool,
    **asked_for: Any,
) -> tuple[Pipeline, list[Step], Selection, ResourceRequest]:
    """Return what the arguments and options mean: pipeline, steps, inputs, and what is asked of the place."""
    from astra_assets.compute.step_inputs import Selection

    found, steps, objects = chosen(pipeline, words, step_name)
    selection = Selection((*objects, *sdss_ids) or None, limit, retry_failed, force)
    return found, steps, selection, asked(asked_for)


def asked(options: Mapping[str, Any]) -> ResourceRequest:
    """What the options of a command line ask for.

    Raises:
        click.UsageError: it cannot be asked for; every wrong option is named.
    """
    given = {name: value for name, value in options.items() if value not in (None, ())}
    try:
        return Asked(**given).resources
    except ValidationError as error:
        wrong = [
            f"--{problem['loc'][0]}: {problem['msg'].removeprefix('Value error, ')}"
            for problem in error.errors()
        ]
        raise click.UsageError("\n".join(wrong)) from None


def chosen(
    name: str, words: Iterable[str], step_name: str | None
) -> tuple[Pipeline, list[Step], tuple[int, ...]]:
    """The pipeline, its steps that were asked for, in order, and the objects that were.

    Args:
        name: of the pipeline, or of one of Astra's functions: `astra.pipelines.snow_white.snow_white_filter`.
        words: a model of inputs (`BossVisitSpectrum` or `boss.BossVisitSpectrum`), then SDSS_IDs; both may be absent.
        step_name: of the only step.

    Raises:
        OperationError: the pipeline has no such step, or none on that model.
        click.UsageError: something else than a number stands where an SDSS_ID is expected.
    """
    key, function = _parts(name)
    pipeline = find_pipeline(key)
    model, sdss_ids = _model_and_ids(list(words))
    steps = [
        step
        for step in pipeline.steps
        if step_name in (None, step.name)
        and model in (None, step.inputs.__name__)
        and (not function or _does(step, function))
    ]
    if not steps:
        known = ", ".join(f"{step.name} ({step.inputs.__name__})" for step in pipeline.steps)
        raise OperationError(f"{pipeline.name} has no step like that; it has: {known}")
    return pipeline, steps, sdss_ids


def _does(step: Step, function: str) -> bool:
    """True if a step does what a function of Astra does: filter inputs, or make results."""
    return step.is_filter if function.endswith("_filter") else not step.is_filter and not step.after


def _parts(name: str) -> tuple[str, str]:
    """Key of a pipeline and the function that is meant; the latter is empty for all of the pipeline."""
    parts = name.split(".")
    while len(parts) > 1 and parts[0] in ("astra", "pipelines", "products"):
        del parts[0]
    return parts[0], parts[-1] if len(parts) > 1 else ""


def _model_and_ids(words: list[str]) -> tuple[str | None, tuple[int, ...]]:
    """The model without its module, and the numbers after it."""
    model = None if not words or words[0].isdigit() else words.pop(0).rpartition(".")[2]
    wrong = [word for word in words if not word.isdigit()]
    if wrong:
        raise click.UsageError(f"expected SDSS_IDs after the model, found {' '.join(wrong)}")
    return model, tuple(map(int, words))
