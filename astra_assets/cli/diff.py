"""`astra-assets diff`."""

from __future__ import annotations

from pathlib import Path

import click

from astra_assets.operations.deployment import Deployment


@click.command()
@click.argument("old")
@click.argument("new")
@click.argument("names", nargs=-1, metavar="[PRODUCT]...")
@click.option("--output", type=click.Path(path_type=Path), help="Write the report to this file instead.")
def diff(old: str, new: str, names: tuple[str, ...], output: Path | None) -> None:
    """Compare two versions of products: OLD and NEW are versions such as 0.8.0, or two FITS files.

    Rows by key, columns, missing values, medians and quantiles, flags and classes, as Markdown. The exit code is 0 also when
    much is different: the report says what should be looked at.
    """
    from astra_assets.operations.diff import diff
    from astra_assets.products.compare.diff_report import report

    text = "\n".join(report(each) for each in diff(Deployment.load(), old, new, names))
    if output is None:
        click.echo(text)
    else:
        output.write_text(text)
        click.echo(output)
