"""Running one task by Astra's own command line, which reads its inputs from the database and writes its results there.

The worker only runs the command for the objects of its inputs, in portions that fit a command line, and writes down how far
it is; there are no parts. What is in the database afterwards is counted by whoever collects the batch (`written`). The
database is the business of the command and its own configuration: nothing about it is on a command line or in a file of the
batch.
"""

from __future__ import annotations

import logging
from pathlib import Path

import pyarrow as pa

from astra_assets.compute.parts import manifest_rows
from astra_assets.compute.program.program_run import ProgramRun
from astra_assets.compute.progress import Phase
from astra_assets.compute.task_run import BrokenTaskError
from astra_assets.files.json_files import read_json, write_json

LINE_INPUTS = 10_000
"""Inputs of one command line: an SDSS_ID has up to ten characters, and Linux takes two megabytes of arguments."""

MARK = "astra.json"
"""File in the folder of a task that says how many of its inputs were in a command that has ended well."""

log = logging.getLogger(__name__)


class AstraRun(ProgramRun):
    """One run of a task by Astra's command line."""

    def work(self) -> Phase:
        """Run the command for portion after portion."""
        rows = pa.Table.from_batches(manifest_rows(self.batch.manifest, self.first, self.last))
        objects: list[int | None] = rows["sdss_id"].to_pylist()
        self.through = handed_over(self.folder)
        while self.through < len(objects) and not self.stop_reason:
            portion = objects[self.through : self.through + min(self.call.inputs, LINE_INPUTS)]
            self._run(portion)
            if not self.stop_reason:
                self.through += len(portion)
                self.need_claim()
                write_json(self.folder / MARK, {"inputs": self.through})
            self.status.told = self.through
        return Phase.STOPPED if self.stop_reason else Phase.DONE

    def _run(self, portion: list[int | None]) -> None:
        sdss_ids = sorted({sdss_id for sdss_id in portion if sdss_id is not None})
        if not sdss_ids:
            # Without any object the command would be about everything there is.
            return
        folder = self.folder / f"program-{self.claim.token}"
        folder.mkdir(exist_ok=True)
        end = self.start(folder, {"folder": str(folder)}, sdss_ids)
        if not end.well and not self.stop_reason:
            raise BrokenTaskError(f"the program {self.call.program} {self.told(end)}")

    def environment(self) -> dict[str, str]:
        """Astra writes the time of a row by the clock on the wall, which our times, in UTC, could not be compared with."""
        return super().environment() | {"TZ": "UTC"}

    def may_see(self, variable: str) -> bool:
        """Astra's command line may see all variables: some may say where its database is."""
        del variable
        return True


def handed_over(folder: Path) -> int:
    """How many inputs of a task, from its first on, were in a command that has ended well."""
    return int((read_json(folder / MARK) or {}).get("inputs", 0))
