"""Tables are created once, whatever else was imported before."""

from __future__ import annotations

import subprocess
import sys

from astra_assets.models.compute import ComputeBatch, ComputeOutcome
from astra_assets.operations.tables import all_tables


def test_init_creates_every_table_once_in_a_process_of_its_own(tmp_path):
    program = (
        "import sys; from astra_assets.operations.deployment import Deployment;"
        "from astra_assets.operations.init import init;"
        "made = Deployment.load(home=sys.argv[1]); print(*init(made, print)); print(init(made, print))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True, check=True
    )
    lines = done.stdout.splitlines()
    created = set(lines[1].split())
    needed = {"source", "spectrum", "boss_visit_spectrum", "boss_rest_frame_visit_spectrum", "boss_combined_spectrum",
              "apogee_visit_spectrum", "snow_white", "corv", "compute_batch", "compute_outcome", "ingest_file"}  # fmt: skip
    assert needed <= created
    assert lines[2] == "[]"
    assert [path.name for path in tmp_path.glob("*.db")] == ["astra.db"]


def test_all_tables_are_known_by_name():
    found = all_tables()
    assert found["compute_batch"] is ComputeBatch
    assert found["compute_outcome"] is ComputeOutcome
