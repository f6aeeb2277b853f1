"""Verbs about a release: verify, diff, freeze.

Belongs here: their arguments and what they print. Does not belong here: what they do (`publishing`).
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click

from astra_assets.cli.data import operations, say
from astra_assets.cli.show import print_table

SHOWN_PROBLEMS = 50


@click.command()
@click.option("--release", help="Release whose files are looked at.")
@click.option("--summary-only", is_flag=True, help="Leave the per-source files out.")
@click.option("--json", "as_json", is_flag=True, help="A JSON list instead of a table.")
def verify(release: str | None, summary_only: bool, as_json: bool) -> None:
    """Check the files of a release on disk: checksums, FITS checksums, rows, and the files beside each product.

    The exit code is 0 when all is well and 1 when something is not as it should be.
    """
    survey = operations()
    found = survey.products.verify(survey.release(release), summary_only=summary_only, say=say)
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
    from astra_assets.products.compare.diff_report import report

    text = "\n".join(report(each) for each in operations().products.diff(old, new, names))
    if output is None:
        click.echo(text)
    else:
        output.write_text(text)
        click.echo(output)


@click.command()
@click.option("--release", help="Release whose version is frozen.")
@click.option("--summary-only", is_flag=True, help="Freeze the summary files, not the per-source files.")
@click.option("--incomplete", is_flag=True, help="Also when inputs have no result and no reason yet.")
def freeze(release: str | None, summary_only: bool, incomplete: bool) -> None:
    """Make the files of a release's version read-only, with a list of their checksums in FROZEN.

    From then on nothing of that version is written any more; `create` and the job say how to make a new version.
    """
    survey = operations()
    chosen = survey.release(release)
    if not incomplete:
        survey.need_complete(chosen)
    click.echo(survey.products.freeze(chosen, summary_only=summary_only, say=say).summary)
