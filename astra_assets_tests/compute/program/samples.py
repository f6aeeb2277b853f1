"""A step that a program of other people does; which one is said as a site says it. Runs are in this process."""

from __future__ import annotations

import sys
from pathlib import Path

from astra_assets.compute.local import LocalBackend
from astra_assets.compute.program.call import SiteProgram
from astra_assets.compute.progress import Phase, TaskState, read_status
from astra_assets.compute.supervisor import run_task
from astra_assets.compute.task_run import TaskConditions
from astra_assets.models.boss import BossVisitSpectrum
from astra_assets.models.source import Source
from astra_assets.pipelines.base import ExternalProgram, Pipeline, Step
from astra_assets_tests.compute import samples

FAKE = Path(__file__).with_name("fake.py")
ASTRA = (sys.executable, "-W", "ignore", str(FAKE.with_name("fake_astra.py")))
"""A command line like Astra's own."""


def derive(row):
    """A flag that the program knows nothing of; `snr` is in the manifest of the batch only."""
    faint = row["median_flux"] is not None and row["median_flux"] < 2
    return {"result_flags": int(faint and row["snr"] > 0)}


PROGRAM = Pipeline(
    name="SampleFlux",
    table=samples.SampleFlux,
    steps=(
        Step(
            "visit",
            inputs=BossVisitSpectrum,
            program=ExternalProgram(
                (
                    "sample-flux",
                    "--manifest",
                    "{manifest}",
                    "--results",
                    "{results}",
                    "--processes",
                    "{procs}",
                ),
                manifest="csv",
                results="csv",
                columns=("dec", "telescope"),
                progress=r"(?P<done>\d+)/\d+",
                install="Ask its authors for sample-flux.",
            ),
            columns={"dec": Source.c.dec},
        ),
    ),
    derive=derive,
    reference="astra_assets_tests.compute.program.samples:PROGRAM",
)
STEP = PROGRAM.steps[0]


def site(how, **options):
    """The site's word for the fake program that goes wrong in this way."""
    return {"sample-flux": SiteProgram((sys.executable, "-s", str(FAKE), how), **options)}


class Here(LocalBackend):
    """Runs tasks in this process when they are started."""

    def start(self, batch, tasks):
        for task in tasks:
            run_task(batch.directory, task, TaskConditions(), batch.reference)
        return "here"

    def poll(self, batch):
        states = {}
        for task in range(len(batch.tasks)):
            status = read_status(batch.task_folder(task))
            states[task] = (
                TaskState(Phase(status.phase), status.message) if status else TaskState(Phase.STOPPED)
            )
        return states

    def cancel(self, batch):
        """The process that owns the tasks is this one, which is not to end."""
