"""Slurm through its own programs: `sbatch`, `squeue`, `scontrol`, `scancel`, and `sacct` where the cluster keeps accounts.

Programs get lists of arguments, never a shell; what they print is asked for as text with separators that no name has. What
the answers mean is said elsewhere (`job_states`, `reasons`).
"""

from __future__ import annotations

import getpass
import math
import os
import re
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from astra_assets.compute.slurm import answers, reasons
from astra_assets.compute.slurm.client import (
    QueuedTask,
    SlurmError,
    SlurmMissingError,
    SlurmUnavailableError,
    SubmissionDeferredError,
    SubmissionRefusedError,
    SubmissionUnclearError,
    TaskDetail,
)
from astra_assets.compute.slurm.reasons import POLICY, SUBMIT_LIMIT, Outlook, SlurmAnswer
from astra_assets.compute.slurm.spec import ranges_of
from astra_assets.compute.slurm.variables import request_of

ACCOUNTS_SECONDS = 10.0
"""Longest time to wait for `sacct`, whose answers are welcome but not needed."""

ACCOUNTS_WINDOW = "now-30days"
"""How far back jobs are looked for by name in the accounts."""

_SQUEUE = ("squeue", "--me", "--noheader", "--states=all")

_NO_ACCOUNTS = re.compile(r"accounting storage is disabled", re.IGNORECASE)

# Variables that change what the programs do or print, that belong to the job we are in, or to the orchestrator.
_NOT_OURS = re.compile(r"(SLURM|SBATCH|SQUEUE|SACCT|SCANCEL|SCONTROL|SINFO|SRUN|DAGSTER)_|ASTRA_DATABASE")
_SECRET_NAME = re.compile(
    r"PASS(WORD|WD|FILE|PHRASE)|SECRET|TOKEN|CREDENTIAL|PRIVATE|API_?KEY", re.IGNORECASE
)
_SECRET_VALUE = re.compile(r"://[^/\s:@]*:[^/\s@]+@")


def environment(of: Mapping[str, str], cluster: str | None = None) -> dict[str, str]:
    """What the programs, and by sbatch the jobs, get of an environment: no password, nothing that changes the programs.

    The nodes need no database, and settings of the orchestrator are in the folder of the batch. What variables of sbatch ask
    for is in the options of a batch (`variables`), but for the cluster, which concerns all programs.
    """
    kept = {
        name: value
        for name, value in of.items()
        if not (_NOT_OURS.match(name) or _SECRET_NAME.search(name) or _SECRET_VALUE.search(value))
    }
    conf = {"SLURM_CONF": of["SLURM_CONF"]} if "SLURM_CONF" in of else {}
    chosen = {"SLURM_CLUSTERS": cluster} if cluster else {}
    # Without the last, lists of more than a few waiting tasks are cut off.
    return kept | conf | chosen | {"LC_ALL": "C.UTF-8", "SLURM_BITSTR_LEN": "0"}


@dataclass
class CommandLineClient:
    """A `SlurmClient` that runs Slurm's programs, found on PATH.

    Attributes:
        timeout_seconds: longest time to wait for a program.
        cluster: which cluster is asked, where there are several; by default the one that the environment chooses, None for
            the one that the programs take by themselves.
    """

    timeout_seconds: float = 30.0
    cluster: str | None = field(default_factory=lambda: request_of(os.environ).asked.get("cluster"))
    _accounts: bool = field(default=True, init=False, repr=False)

    def on(self, cluster: str | None) -> CommandLineClient:
        """A client of another cluster; this one if it is the same."""
        return self if cluster == self.cluster else replace(self, cluster=cluster)

    def submit(self, script: str) -> str:
        """Submit by `sbatch`, the text on its standard input."""
        try:
            done = self._run(["sbatch", "--parsable"], text=script)
        except subprocess.TimeoutExpired as error:
            raise SubmissionUnclearError(
                f"sbatch did not answer within {self.timeout_seconds:.0f} s; the job may have been accepted"
            ) from error
        said = " ".join(done.stderr.split())
        if done.returncode == 0:
            match = re.fullmatch(r"(\d+)(;.*)?", done.stdout.strip())
            if match:
                return match[1]
            raise SubmissionUnclearError(f"sbatch ended well without an id: {done.stdout!r} {said}")
        found = reasons.answer(said)
        if done.returncode < 0 or (found is not None and found.outlook is Outlook.LOST):
            how = said or f"it ended by signal {-done.returncode}"
            raise SubmissionUnclearError(f"sbatch: {how}; the job may have been accepted")
        if found is not None and found.outlook is Outlook.AWAY:
            raise SlurmUnavailableError(f"sbatch: {said}")
        found = self._for_this_job(found, script)
        message = f"Slurm does not accept the job {_in_script(script, 'job-name')}"
        if found is not None and found.outlook is Outlook.NOT_NOW:
            raise SubmissionDeferredError(f"{message} now: {said}. {_sentence(found.meaning)}")
        raise SubmissionRefusedError(f"{message}: {said}. {self._what_to_change(found, script)}")

    def queue(self) -> list[QueuedTask]:
        """All tasks by one `squeue`."""
        return answers.queue(self._asked([*_SQUEUE, f"--format={answers.QUEUE_FORMAT}"]))

    def find(self, name: str) -> list[str]:
        """Ids by `squeue`; by `sacct` of the last 30 days where that shows none."""
        text = self._asked([*_SQUEUE, f"--name={name}", f"--format={answers.QUEUE_FORMAT}"])
        # Slurm keeps a record of what it refuses.
        known = [task for task in answers.queue(text) if task.name == name and not task.refused]
        found = {int(task.job_id) for task in known}
        if not found:
            fields = ["--allocations", f"--starttime={ACCOUNTS_WINDOW}", f"--name={name}"]
            rows = (line.split("|", 1) for line in self._accounted([*fields, "--format=JobID,JobName"]))
            found = {int(row[0].partition("_")[0]) for row in rows if row[1] == name}
        return [str(job_id) for job_id in sorted(found)]

    def detail(self, job_id: str, task: int | None) -> TaskDetail | None:
        """One task by `scontrol`, completed by `sacct` when it has ended or is forgotten."""
        name = job_id if task is None else f"{job_id}_{task}"
        done = self._answered(["scontrol", "--oneliner", "show", "job", name])
        known = answers.shown(done.stdout) if done.returncode == 0 else None
        if done.returncode != 0 and not _is_gone(done.stderr + done.stdout):
            raise SlurmError(f"scontrol show job {name}: {done.stderr.strip() or done.stdout.strip()}")
        if known is not None and not known.state.ended:
            return known
        return self._with_accounts(name, known)

    def cancel(self, job_id: str, tasks: Sequence[int] | None = None) -> None:
        """Cancel by one `scancel`."""
        if tasks is not None and not tasks:
            return
        name = job_id if tasks is None else f"{job_id}_[{ranges_of(tasks)}]"
        done = self._answered(["scancel", name])
        lines = [line for line in done.stderr.splitlines() if line.strip() and not _is_gone(line)]
        if done.returncode != 0 and lines:
            raise SlurmError(f"scancel {name}: {' '.join(lines)}")

    def ping(self) -> str | None:
        """Whether one of the controllers is up, by `scontrol ping`."""
        try:
            done = self._answered(["scontrol", "ping"])
        except SlurmError as error:
            return str(error)
        if re.search(r" is UP", done.stdout):
            return None
        said = (done.stdout.strip() or done.stderr.strip()).splitlines()
        return f"scontrol ping: {said[0] if said else 'no answer'}"

    def show(self, arguments: Sequence[str]) -> str:
        """What a program prints that only looks; for `diagnose`."""
        return self._asked(list(arguments))

    def _run(
        self, arguments: list[str], text: str | None = None, timeout: float | None = None
    ) -> subprocess.CompletedProcess[str]:
        program, *rest = arguments
        # sacctmgr knows the clusters of all accounts.
        chosen = [f"--clusters={self.cluster}"] if self.cluster and program != "sacctmgr" else []
        try:
            return subprocess.run(
                [program, *chosen, *rest],
                input=text,
                stdin=subprocess.DEVNULL if text is None else None,
                capture_output=True,
                encoding="utf-8",
                errors="replace",
                env=environment(os.environ, self.cluster),
                timeout=timeout or self.timeout_seconds,
                check=False,
                # Ctrl-C in a terminal is for this process alone: a submission is not to be cut off.
                start_new_session=True,
            )
        except FileNotFoundError as error:
            raise SlurmMissingError(
                f"{arguments[0]} is not installed here, or not on PATH. Steps run on a cluster from a machine that can submit "
                f"jobs; ASTRA_COMPUTE=local runs them on this one"
            ) from error

    def _answered(self, arguments: list[str]) -> subprocess.CompletedProcess[str]:
        """A program that has ended and has not complained that the controller is away."""
        try:
            done = self._run(arguments)
        except subprocess.TimeoutExpired as error:
            raise SlurmUnavailableError(
                f"{arguments[0]} did not answer within {self.timeout_seconds:.0f} s"
            ) from error
        if done.returncode != 0 and (done.returncode < 0 or _is_away(done.stderr)):
            said = " ".join(done.stderr.split()) or f"ended by signal {-done.returncode}"
            raise SlurmUnavailableError(f"{arguments[0]}: {said}")
        return done

    def _asked(self, arguments: list[str]) -> str:
        """What a program prints; whatever goes wrong says nothing about jobs."""
        done = self._answered(arguments)
        if done.returncode != 0:
            said = " ".join(done.stderr.split()) or f"ended with status {done.returncode}"
            raise SlurmUnavailableError(f"{arguments[0]}: {said}")
        return done.stdout

    def _accounted(self, arguments: Sequence[str]) -> list[str]:
        """Lines of `sacct`; none where there are no accounts or they do not answer."""
        if not self._accounts:
            return []
        try:
            done = self._run(["sacct", "--noheader", "--parsable2", *arguments], timeout=ACCOUNTS_SECONDS)
        except (SlurmMissingError, subprocess.TimeoutExpired):
            return []
        if _NO_ACCOUNTS.search(done.stderr):
            self._accounts = False
        return done.stdout.splitlines() if done.returncode == 0 else []

    def _with_accounts(self, name: str, known: TaskDetail | None) -> TaskDetail | None:
        lines = self._accounted(["--noconvert", f"--jobs={name}", f"--format={answers.ACCOUNT_FIELDS}"])
        extra = answers.accounted(lines, name)
        if known is None or extra is None:
            return known or extra
        return replace(known, memory_used_mb=extra.memory_used_mb, cancelled_by=extra.cancelled_by)

    def _for_this_job(self, found: SlurmAnswer | None, script: str) -> SlurmAnswer | None:
        """What an answer means for a job, after looking whether waiting can help at all."""
        if found is None:
            return None
        if found.accounts and self._accounts_are_away():
            return replace(
                found, outlook=Outlook.NOT_NOW, meaning="the server of the accounts does not answer"
            )
        general = found.name == POLICY.name
        if found.outlook is not Outlook.NOT_NOW or not (general or "Submit" in found.name):
            return found
        try:
            limit = self._submit_limit(script)
        except SlurmError:
            return found
        if limit is not None and _array_size(script) > limit:
            return replace(SUBMIT_LIMIT, meaning=f"{SUBMIT_LIMIT.meaning} ({limit})")
        return POLICY if limit is None and general else found

    def _submit_limit(self, script: str) -> int | None:
        """How many tasks this user may have in the queue at once at the most; None where there is no limit.

        Limits of groups of users are among them: none of them lets through an array that is larger.
        """
        user, account, qos = getpass.getuser(), _in_script(script, "account"), _in_script(script, "qos")
        cluster = [f"cluster={self.cluster}"] if self.cluster else []
        rows = answers.table(
            self._asked(
                [*_SACCTMGR, "associations", f"user={user}", *cluster, f"format={answers.ASSOCIATION_FIELDS}"]
            )
        )
        mine = [row for row in rows if not account or row[0] == account]
        limits = [_least(row[1:3]) for row in mine]
        # Which of several qualities of service a job gets is the cluster's choice: the most generous one counts.
        names = {qos} if qos else {name for row in mine for name in (row[4] or row[3]).split(",")}
        listed = answers.table(self._asked([*_SACCTMGR, "qos", f"format={answers.QOS_FIELDS}"]))
        limits.append(max((_least(row[1:]) for row in listed if row[0] in names), default=math.inf))
        least = min(limits)
        return None if math.isinf(least) else int(least)

    def _accounts_are_away(self) -> bool:
        """True if the cluster keeps accounts and their server does not answer now."""
        try:
            self._asked([*_SACCTMGR, "clusters", "format=Cluster"])
        except SlurmMissingError:
            return False
        except SlurmError as error:
            return _is_away(str(error))
        return False

    def _what_to_change(self, found: SlurmAnswer | None, script: str) -> str:
        """What was asked for and what to change, and what there is where that can be told."""
        if found is None:
            return "Mend the options of the step and run it again"
        asked = {option: _in_script(script, _SBATCH.get(option, option)) for option in found.options}
        wanted = ", ".join(f"{option} = {value}" for option, value in asked.items() if value)
        there = self._partitions() if found.options == ("partition",) else ""
        return f"{_sentence(found.meaning)}{f' ({wanted})' if wanted else ''}{there}; {reasons.advice(found.options)}"

    def _partitions(self) -> str:
        try:
            names = dict.fromkeys(self._asked(["sinfo", "--noheader", "--format=%R"]).split())
        except SlurmError:
            return ""
        return f"; there are {', '.join(names)}"


_SACCTMGR = ("sacctmgr", "--noheader", "--parsable2", "show")
_SBATCH = {"procs": "cpus-per-task", "nodes": "array", "cluster": "clusters"}


def _least(limits: Sequence[str]) -> float:
    """The smallest of some limits; infinite where there is none."""
    return min((float(limit) for limit in limits if limit.isdigit()), default=math.inf)


def _is_away(text: str) -> bool:
    found = reasons.answer(text)
    # A question whose answer was lost says as little about jobs as one that was never heard.
    return found is not None and found.outlook in (Outlook.AWAY, Outlook.LOST)


def _is_gone(text: str) -> bool:
    found = reasons.answer(text)
    return found is not None and found.outlook is Outlook.NO_JOB


def _sentence(text: str) -> str:
    return text[0].upper() + text[1:]


def _array_size(script: str) -> int:
    """Number of tasks of the job that a text describes."""
    ranges = _in_script(script, "array").partition("%")[0].split(",")
    bounds = [part.partition("-") for part in ranges if part]
    return sum(int(last or first) - int(first) + 1 for first, _, last in bounds)


def _in_script(script: str, option: str) -> str:
    match = re.search(rf"^#SBATCH '?--{option}=(.*?)'?$", script, re.MULTILINE)
    return match[1] if match else ""
