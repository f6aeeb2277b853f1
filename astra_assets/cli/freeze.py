"""`astra-assets freeze`."""

from __future__ import annotations

import click

from astra_assets.cli.show import say
from astra_assets.operations.deployment import Deployment


@click.command()
@click.option("--release", help="Release whose version is frozen.")
@click.option("--summary-only", is_flag=True, help="Freeze the summary files, not the per-source files.")
@click.option("--incomplete", is_flag=True, help="Also when inputs have no result and no reason yet.")
@click.option("--keep-older", is_flag=True, help="Freeze older results of inputs that failed, too.")
@click.option(
    "--drop-older", is_flag=True, help="Delete older results of inputs that failed; then remake the products."
)
def freeze(
    release: str | None, summary_only: bool, incomplete: bool, keep_older: bool, drop_older: bool
) -> None:
    """Make the files of a release's version read-only, with a list of their checksums in FROZEN.

    Results that are older than their inputs, whose files cannot be read now, are a decision: --keep-older or --drop-older.
    From then on nothing of that version is written any more; `create` and the job say how to make a new version.
    """
    from astra_assets.operations.freeze import Older, freeze

    if keep_older and drop_older:
        raise click.UsageError("pass one of --keep-older and --drop-older")
    deployment = Deployment.load()
    chosen = deployment.release(release)
    older: Older = "keep" if keep_older else "drop" if drop_older else "refuse"
    report = freeze(
        deployment, chosen, summary_only=summary_only, incomplete=incomplete, older=older, say=say
    )
    click.echo(report.summary)
