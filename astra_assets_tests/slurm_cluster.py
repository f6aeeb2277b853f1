"""A real Slurm cluster for the tests of one module, whose daemons may be stopped and killed; see deploy/slurm-test-cluster.

```
pytestmark = pytest.mark.slurm

SLURM_OPTIONS = ["--accounting"]                  # optional: arguments of start-slurm.sh
SLURM_SETTINGS = {"SLURM_TEST_NODE_CPUS": "64"}   # optional: its settings

def test_something(slurm): ...
```

SLURM_CONF is set as long as the cluster is there. Tests find it with an empty queue and all its daemons running.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from astra_assets_tests.project import PROJECT

SCRIPTS = PROJECT / "deploy" / "slurm-test-cluster"
NODES = ("np001", "np002", "kp001", "gpu001")
SBIN = ("/usr/sbin", "/sbin")


class Cluster:
    """The cluster, and what can be done to it."""

    def __init__(self, root: Path, options: list[str], settings: dict[str, str]):
        self.root, self.options = root, options
        self.last_before = 0
        self.conf = root / "etc" / "slurm.conf"
        port = 20_000 + os.getpid() % 1_500 * 20
        self.environment = {
            **os.environ,
            "PATH": os.pathsep.join([os.environ["PATH"], *SBIN]),
            "SLURM_CONF": str(self.conf),
            "SLURM_TEST_ROOT": str(root),
            "SLURM_TEST_PORT_BASE": str(port),
            **settings,
        }

    def start(self):
        """Start whatever of the cluster does not run."""
        self.run(SCRIPTS / "start-slurm.sh", *self.options)

    def stop(self):
        """End everything and remove it."""
        self.run(SCRIPTS / "stop-slurm.sh", "--purge")

    def run(self, *command) -> str:
        """Run one of Slurm's programs; returns what it prints."""
        done = subprocess.run(
            list(map(str, command)),
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        assert done.returncode == 0, f"{command}: {done.stderr}\n{done.stdout}"
        return done.stdout

    def squeue(self, form="%i %T %r", *options) -> list[str]:
        """Lines of the queue, one for each task, ended ones among them."""
        return self.run("squeue", "-h", "-r", "-t", "all", "-S", "i", "-o", form, *options).splitlines()

    def states(self, job_id) -> list[str]:
        """States of the tasks of an array, in their order; of an array that waits as well."""
        lines = [line.split() for line in self.squeue("%F %K %T", "-j", str(job_id))]
        return [state for _, _, state in sorted(lines, key=lambda fields: int(fields[1]))]

    def arrays(self) -> set[str]:
        """Ids of all jobs that were accepted since `clean`, also those that have ended."""
        lines = [line.split() for line in self.squeue("%F %r") if "BadConstraints" not in line]
        return {job_id for job_id, *_ in lines if int(job_id) > self.last_before}

    def stop_controller(self):
        """slurmctld is gone; what runs goes on."""
        self._end(self.root / "run" / "slurmctld.pid", signal.SIGTERM)

    def start_controller(self):
        """slurmctld is back, with all it knew."""
        self.start()

    def stop_accounts(self):
        """slurmdbd is gone, until `start_controller`."""
        self._end(self.root / "run" / "slurmdbd.pid", signal.SIGTERM)

    def kill_node(self, node, *, with_jobs=False):
        """Kill the slurmd of a node; `with_jobs` also what runs there, as when its power goes."""
        self._end(self.root / "run" / f"slurmd-{node}.pid", signal.SIGKILL)
        if with_jobs:
            for process in self.processes_on(node):
                for each in (process.parent(), process):
                    # a step's own daemon would tell the controller how the job ended
                    if (
                        each is not None
                        and each.is_running()
                        and (each is process or each.name() == "slurmstepd")
                    ):
                        each.kill()

    def start_node(self, node):
        """The slurmd of a node is back."""
        self.run("slurmd", "-f", self.conf, "-N", node)
        self.wait_until(lambda: self._usable(node), 60, f"{node} is usable")

    def drain(self, *nodes):
        """No job starts on these nodes until `resume`."""
        self.run("scontrol", "update", f"NodeName={','.join(nodes)}", "State=DRAIN", "Reason=test")

    def resume(self, *nodes):
        """Jobs start on these nodes again."""
        self.run("scontrol", "update", f"NodeName={','.join(nodes)}", "State=RESUME")

    def processes_on(self, node) -> list[psutil.Process]:
        """Processes of jobs of this cluster on a node."""
        found = []
        for process in psutil.process_iter():
            try:
                variables = process.environ()
            except psutil.Error:
                continue
            ours = variables.get("SLURM_CONF") == str(self.conf)
            if ours and variables.get("SLURMD_NODENAME") == node and variables.get("SLURM_JOB_ID"):
                found.append(process)
        return found

    def wait_until(self, condition: Callable[[], object], seconds=60.0, what="the condition"):
        """Wait until something holds; returns it."""
        deadline = time.monotonic() + seconds
        while True:
            found = condition()
            if found:
                return found
            assert time.monotonic() < deadline, (
                f"{what} did not come true within {seconds} s: {self.squeue()}"
            )
            time.sleep(0.1)

    def clean(self):
        """Everything runs, nothing is queued."""
        self.start()
        self.run("scancel", "--user=root", "--full")
        self.wait_until(lambda: not self.run("squeue", "-h", "-o", "%i").strip(), 60, "an empty queue")
        down = [node for node in NODES if not self._usable(node)]
        if down:
            self.resume(*down)
            self.wait_until(lambda: all(map(self._usable, NODES)), 60, "usable nodes")
        self.last_before = max((int(job_id) for job_id in self.squeue("%A")), default=0)

    def _usable(self, node) -> bool:
        state = self.run("sinfo", "-h", "-N", "-n", node, "-o", "%T")
        return bool(re.fullmatch(r"(idle|mixed|allocated|completing)", state.split()[0]))

    def _end(self, pid_file: Path, number):
        process = psutil.Process(int(pid_file.read_text()))
        process.send_signal(number)
        process.wait(60)


@pytest.fixture(scope="module")
def slurm_cluster(request):
    """A cluster of its own for this module."""
    options = list(getattr(request.module, "SLURM_OPTIONS", ()))
    programs = ["slurmctld", "slurmd", "sbatch", "munged"]
    packages = ["slurm-wlm", "munge"]
    if "--accounting" in options:
        programs += ["slurmdbd", "mariadbd", "mariadb-install-db", "mariadb"]
        packages += ["slurmdbd", "mariadb-server"]
    path = os.pathsep.join([os.environ["PATH"], *SBIN])
    if any(shutil.which(program, path=path) is None for program in programs):
        pytest.skip(f"no Slurm to start: install Debian's packages {', '.join(packages)}")
    if os.geteuid() != 0:
        pytest.skip("a Slurm cluster can only be started by root, for slurmd starts jobs as their users")
    # the path of a socket must be short, and munged wants folders that all users can enter
    root = Path(tempfile.mkdtemp(prefix="astra-slurm-"))
    root.chmod(0o755)
    cluster = Cluster(root, options, getattr(request.module, "SLURM_SETTINGS", {}))
    with pytest.MonkeyPatch.context() as patch:
        try:
            cluster.start()
            patch.setenv("SLURM_CONF", str(cluster.conf))
            yield cluster
        finally:
            cluster.stop()
            shutil.rmtree(root, ignore_errors=True)


@pytest.fixture
def slurm(slurm_cluster):
    """The cluster of this module, in order and with an empty queue."""
    slurm_cluster.clean()
    return slurm_cluster
