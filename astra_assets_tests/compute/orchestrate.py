"""A process that runs a batch like the command line does, for tests that kill it: `DATABASE_URL FOLDER`."""

from __future__ import annotations

import logging
import signal
import sys
from pathlib import Path

from astra_assets.compute.local import LocalBackend
from astra_assets.database.database import Database
from astra_assets_tests.compute.conftest import Bench
from astra_assets_tests.compute.samples import FLUX

if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    # a shell that runs the tests in the background has switched interrupts off for all below it
    signal.signal(signal.SIGINT, signal.default_int_handler)
    bench = Bench(Database(sys.argv[1]), Path(sys.argv[2]))
    print(bench.make(LocalBackend(procs=2)).run(FLUX, FLUX.step("visit")))  # noqa: T201
