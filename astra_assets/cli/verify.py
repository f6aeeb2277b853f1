"""`astra-assets verify`."""

from __future__ import annotations

import json
import sys

import click

from astra_assets.cli.show import print_table, say
from astra_assets.operations.deployment import Deployment

SHOWN_PROBLEMS = 50
"""Problems that are printed; `--json` has all."""


@click.command()
@click.option("--release", help="Release whose files are looked at.")
@click.option("--summary-only", is_flag=True, help="Leave the per-source files out.")
@click.option("--json", "as_json", is_flag=True, help="A JSON list instead of a table.")
def verify(release: str | None, summary_only: bool, as_json: bool) -> None:
    """Check the files of a release on disk: checksums, FITS checksums, rows, and the files beside each product.

    The exit code is 0 when all is well and 1 when something is not as it should be.
    """
    from astra_assets.operations.verify import verify

    deployment = Deployment.load()
    found = verify(deployment, deployment.release(release), summary_only=summary_only, say=say)
    if as_json:
        content = [
            {
                "name": each.name,
                "path": str(each.path),
                "files": each.files,
                "rows": each.rows,
                "problems": each.problems,
            }
            for each in found
        ]
        click.echo(json.dumps(content, indent=1))
    else:
        rows = [
            [
                each.name,
                f"{each.files:,}",
                " + ".join(f"{count:,}" for count in each.rows) or "-",
                f"{len(each.problems):,} problems" if each.problems else "sound",
                each.path,
            ]
            for each in found
        ]
        print_table(["product", "files", "rows", "state", "path"], rows, numbers={1, 2})
        problems = [text for each in found for text in each.problems]
        for text in problems[:SHOWN_PROBLEMS]:
            click.echo(f"- {text}")
        if len(problems) > SHOWN_PROBLEMS:
            click.echo(f"- and {len(problems) - SHOWN_PROBLEMS:,} more; --json lists all of them")
    sys.exit(1 if any(each.problems for each in found) else 0)
