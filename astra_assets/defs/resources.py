"""The deployment as a Dagster resource, and how expected errors end a step or the loading of the definitions."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click
import dagster as dg

from astra_assets.config.releases import Release
from astra_assets.defs.jobs import RELEASE_TAG
from astra_assets.defs.termination import end_with_run
from astra_assets.errors import ExpectedError, PassingError

if TYPE_CHECKING:
    from astra_assets.operations.deployment import Deployment

RETRIES = 1
"""How often a step is tried again after what may pass by itself."""


class DeploymentResource(dg.ConfigurableResource):  # type: ignore[type-arg]
    """The deployment: its settings, database, archive and products.

    Everything comes from the environment and `astra.toml` at the moment of use, so that a changed setting needs no
    restart; `overrides` win over both and are what tests use.
    """

    overrides: dict[str, str] = {}  # noqa: RUF012 - pydantic copies defaults

    def deployment(self) -> Deployment:
        """The deployment with the settings of this moment."""
        from astra_assets.operations.deployment import Deployment

        return Deployment.load(**self.overrides)

    def of_run(self, run: dg.DagsterRun) -> tuple[Deployment, Release]:
        """The deployment, and the release that a run is for; asked by its steps.

        Assets that are materialised one by one belong to the deployment's own release.
        """
        deployment = self.deployment()
        if deployment.settings.compute == "slurm":
            end_with_run()
        return deployment, deployment.release(run.tags.get(RELEASE_TAG))


@contextmanager
def refused_in_words() -> Iterator[None]:
    """Problems that a person can fix end the loading of definitions with their message; Dagster's commands show no more."""
    try:
        yield
    except ExpectedError as error:
        raise click.ClickException(str(error)) from None


@contextmanager
def plainly(context: dg.OpExecutionContext | dg.AssetExecutionContext) -> Iterator[None]:
    """Problems that a person can fix end a step with their message, without a traceback.

    A step that met one that may pass by itself is tried again before, and says so.
    """
    try:
        yield
    except Exception as error:
        from astra_assets.operations.deployment import expected_text

        text = expected_text(error)
        if text is None:
            told = "a mistake of astra-assets; its traceback is in the event log of this run"
            context.log.error(told)  # noqa: TRY400 - Dagster itself shows the traceback
            raise
        failure = dg.Failure(description=text, allow_retries=False)
        if isinstance(error, PassingError) and context.retry_number < RETRIES:
            context.log.warning("this step is tried again: %s", text)
            raise dg.RetryRequested(max_retries=RETRIES) from failure
        raise failure from None
