"""`astra-assets`, the command line: a module for each verb, with its arguments, its output and its exit code."""

from __future__ import annotations

import logging
import sys

import click

from astra_assets import __version__
from astra_assets.cli.cancel import cancel
from astra_assets.cli.create import create
from astra_assets.cli.datamodel import datamodel
from astra_assets.cli.demo import demo
from astra_assets.cli.diff import diff
from astra_assets.cli.doctor import doctor
from astra_assets.cli.freeze import freeze
from astra_assets.cli.init import init
from astra_assets.cli.migrate import migrate
from astra_assets.cli.plan import plan
from astra_assets.cli.products import products
from astra_assets.cli.run import run, srun
from astra_assets.cli.status import status
from astra_assets.cli.try_ import try_
from astra_assets.cli.validate import validate
from astra_assets.cli.verify import verify
from astra_assets.cli.why import why
from astra_assets.operations.deployment import expected_text


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__)
@click.option("-v", "--verbose", is_flag=True, help="Also say what is done inside.")
def main_group(verbose: bool) -> None:
    """Bring in new spectra, run pipelines on those without a result, write the survey's FITS files."""
    level = logging.DEBUG if verbose else logging.INFO
    logging.basicConfig(level=level, stream=sys.stderr, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")


for verb in (
    init,
    migrate,
    run,
    srun,
    create,
    products,
    verify,
    diff,
    freeze,
    demo,
    plan,
    cancel,
    status,
    why,
    doctor,
    datamodel,
    try_,
    validate,
):
    main_group.add_command(verb)


def main() -> None:
    """Run the command line: problems that a person can fix are a message and exit code 2, not a traceback."""
    try:
        main_group(standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except click.Abort:
        click.echo("Stopped. What was done is kept; the same command goes on from here.", err=True)
        sys.exit(130)
    except Exception as error:
        text = expected_text(error)
        if text is None:
            raise
        click.echo(f"Error: {text}", err=True)
        sys.exit(2)
