"""`astra-assets cancel`."""

from __future__ import annotations

import click

from astra_assets.operations.deployment import Deployment


@click.command()
@click.argument("batch_id")
@click.option("--yes", is_flag=True, help="Do not ask.")
def cancel(batch_id: str, yes: bool) -> None:
    """End the batch BATCH_ID without collecting it, its jobs on a cluster too; what its workers made is not used."""
    from astra_assets.operations.cancel import cancel, need_active
    from astra_assets.operations.step_runner import StepRunner

    deployment = Deployment.load()
    runner = StepRunner(deployment, deployment.release())
    need_active(deployment, batch_id)
    if not yes:
        click.confirm(f"Cancel batch {batch_id}?", abort=True)
    click.echo(cancel(runner, batch_id))
