"""`astra-assets`, the command line: the verbs of `operations`, of the demo survey and of trying a pipeline.

Belongs here: arguments in, text or JSON out, exit codes. Does not belong here: what the verbs do.
"""

from __future__ import annotations

import logging
import sys

import click

from astra_assets import __version__
from astra_assets.cli.attempt import attempt
from astra_assets.cli.data import create, demo, init, migrate, products
from astra_assets.cli.inspect import datamodel, doctor, status, why
from astra_assets.cli.release import diff, freeze, verify
from astra_assets.cli.validate import validate
from astra_assets.cli.work import cancel, plan, run, srun
from astra_assets.operations.operations import expected_text


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
    attempt,
    validate,
):
    main_group.add_command(verb)


def main() -> None:
    """Entry point: problems that a person can mend are a message and exit code 2, not a traceback."""
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
