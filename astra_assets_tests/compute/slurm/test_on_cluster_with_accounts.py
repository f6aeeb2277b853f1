"""Batches on a real cluster that keeps accounts and, where the machine lets it, limits memory by control groups."""

from __future__ import annotations

import os
from collections import Counter

import pytest

from astra_assets.compute import BatchError
from astra_assets.compute.slurm.submissions import Submissions
from astra_assets.compute.usage import usage_of
from astra_assets.pipelines.options import ResourceRequest
from astra_assets_tests.compute.slurm.real import jobs, keys_in_parts

pytestmark = pytest.mark.slurm

CONTROL_GROUPS = os.access("/sys/fs/cgroup/memory", os.W_OK)
SLURM_OPTIONS = ["--accounting"]
SLURM_SETTINGS = {"SLURM_TEST_CGROUP": str(int(CONTROL_GROUPS))}


def test_a_worker_that_the_kernel_kills_for_its_memory_gets_twice_as_much(slurm, real):
    real.visits([0] * 3)
    real.switch("eat-3")
    batch = real.begin(3, ResourceRequest(nodes=1, procs=2, mem="700"))
    real.pks = list(range(1, 7))
    real.finished(real.engine.collect(batch))
    first, second = Submissions(batch.directory).read()
    assert (second.options.mem, second.spared) == ("1400M", (0,))
    assert first.endings[0].state == ("OUT_OF_MEMORY" if CONTROL_GROUPS else "FAILED")
    assert ("a worker process was killed for its memory" in batch.log_file(0).read_text()) == CONTROL_GROUPS
    assert Counter(map(int, real.log()))[3] == 2
    assert usage_of(batch).retries == 1


def test_scancel_from_outside_is_reported_with_who_did_it(slurm, real):
    batch = real.begin(60)
    slurm.wait_until(lambda: keys_in_parts(batch))
    (job,) = jobs(batch)
    account = real.collecting(batch)
    slurm.run("scancel", job)
    with pytest.raises(
        BatchError, match=rf"job {job}_\d on np00\d was cancelled by root, not by this program"
    ):
        account.result(60)
    real.switch("slow", on=False)
    real.engine.start(batch)
    real.finished(real.engine.collect(batch))
