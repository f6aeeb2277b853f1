"""`astra-assets freeze`."""

from __future__ import annotations

import click

from astra_assets.cli.show import say
from astra_assets.operations.deployment import Deployment


@click.command()
@click.option("--release", help="Release whose version is frozen.")
@click.option("--summary-only", is_flag=True, help="Freeze the summary files, not the per-source files.")
@click.option("--incomplete", is_flag=True, help="Also when inputs have no result and no reason yet.")
def freeze(release: str | None, summary_only: bool, incomplete: bool) -> None:
    """Make the files of a release's version read-only, with a list of their checksums in FROZEN.

    From then on nothing of that version is written any more; `create` and the job say how to make a new version.
    """
    from astra_assets.operations.freeze import freeze

    deployment = Deployment.load()
    chosen = deployment.release(release)
    report = freeze(deployment, chosen, summary_only=summary_only, incomplete=incomplete, say=say)
    click.echo(report.summary)
