"""A worker starts with little: on a cluster it starts hundreds of times at once."""

from __future__ import annotations

import subprocess
import sys

HEAVY = ("sqlalchemy", "astropy", "scipy", "dagster", "matplotlib", "onnxruntime")


def test_the_process_that_supervises_a_task_loads_no_database_and_no_fitting_libraries():
    """They are loaded by the process that its worker processes are forked from, at the same time."""
    code = (
        "import sys; import astra_assets.compute.worker, astra_assets.compute.supervisor, astra_assets.compute.crew; "
        f"print([name for name in {HEAVY} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
