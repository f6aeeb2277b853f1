"""What is wrong with a cluster for the options of a step, found before anything is submitted; for `doctor`.

Everything is asked at once and told at once. What is asked is in `client` and `command_line`.
"""

from __future__ import annotations

import os
import pwd
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from astra_assets.compute.slurm.client import SlurmError
from astra_assets.compute.slurm.command_line import CommandLineClient
from astra_assets.compute.slurm.reasons import Outlook, answer
from astra_assets.compute.slurm.variables import honoured, refused, unused
from astra_assets.pipelines.options import SlurmOptions, megabytes_of, problems, seconds_of

PROGRAMS = ("sbatch", "squeue", "scontrol", "scancel", "sinfo")

Level = Literal["ok", "warning", "error"]
Finding = tuple[Level, str]


@dataclass(frozen=True)
class _Node:
    """What the nodes of one kind in a partition have, as `sinfo` says."""

    partition: str
    limit: str
    state: str
    processors: int
    memory_mb: float
    features: str
    gres: str


def out_of_reach(client: CommandLineClient) -> str | None:
    """Why no question can be answered here, as a sentence; None where the controller answers."""
    missing = [program for program in PROGRAMS if shutil.which(program) is None]
    if missing:
        where = "not installed here, or not on PATH; jobs are submitted from a machine that has them"
        return f"Slurm: {', '.join(missing)}: {where}"
    conf = os.environ.get("SLURM_CONF")
    if conf and not Path(conf).is_file():
        return f"Slurm: SLURM_CONF={conf}: there is no such file; correct the path or unset SLURM_CONF"
    problem = client.ping()
    if problem is None:
        return None
    hint = "" if conf else " (SLURM_CONF is not set: /etc/slurm is read)"
    return f"Slurm: the controller does not answer{hint}: {problem}"


def examine(client: CommandLineClient, options: SlurmOptions) -> list[Finding]:
    """All that can be told about these options on this cluster: `(level, sentence)`, the fine things first in each part."""
    client = client.on(options.cluster)
    wrong = [*problems(options), *refused(os.environ, options)]
    findings: list[Finding] = [("error", f"Slurm: {problem}") for problem in wrong]
    findings += [("warning", f"Slurm: {text}") for text in unused(os.environ)]
    findings += [
        ("ok", f"Slurm: {each} is heeded where astra.toml says nothing else") for each in honoured(os.environ)
    ]
    problem = out_of_reach(client)
    if problem is not None:
        return [*findings, ("error", problem)]
    try:
        client.queue()
        findings.append(
            ("ok", f"Slurm: the controller answers ({client.show(['sinfo', '--version']).strip()})")
        )
        if any(level == "error" for level, _ in findings):
            return findings
        return [*findings, *_partition(client, options), *_accounts(client, options)]
    except SlurmError as error:
        return [*findings, ("error", f"Slurm: {error}")]


def _partition(client: CommandLineClient, options: SlurmOptions) -> Iterator[Finding]:
    nodes = [_node(line) for line in client.show(_SINFO).splitlines() if line.count("|") == 6]
    default = next((node.partition for node in nodes if node.partition.endswith("*")), "")
    there = list(dict.fromkeys(node.partition.rstrip("*") for node in nodes))
    asked = (options.partition or default.rstrip("*")).split(",")
    if asked == [""]:
        yield (
            "error",
            f"Slurm: no partition is the default; set partition in [slurm] of astra.toml ({', '.join(there)})",
        )
        return
    for name in asked:
        here = [node for node in nodes if node.partition.rstrip("*") == name]
        if not here:
            yield "error", f"Slurm: partition: there is no {name}; there are {', '.join(there)}"
            continue
        if here[0].state != "up":
            yield (
                "warning",
                f"Slurm: partition {name} is {here[0].state}: jobs are submitted, and wait, as soon as it is up",
            )
        found = list(_too_much(name, here, options))
        yield from found or [("ok", f"Slurm: partition {name} can meet what is asked for")]


def _too_much(name: str, nodes: list[_Node], options: SlurmOptions) -> Iterator[Finding]:
    """What no node of a partition has."""
    limit = _seconds(nodes[0].limit)
    time = seconds_of(options.time)
    if limit is not None and (time is None or time > limit):
        yield "error", f"Slurm: time: {options.time} is more than partition {name} allows ({nodes[0].limit})"
    most = max(node.processors for node in nodes)
    if options.procs > most:
        yield "error", f"Slurm: procs: {options.procs} is more than a node of partition {name} has ({most})"
    memory = max(node.memory_mb for node in nodes)
    if options.mem and megabytes_of(options.mem) > memory:
        yield (
            "error",
            f"Slurm: mem: {options.mem} is more than a node of partition {name} has ({memory:.0f} MB)",
        )
    for wanted in (options.gres or "").split(","):
        kind = re.sub(r"(:\d+)?(\(.*\))?$", "", wanted)
        if kind and not any(re.search(rf"(^|,){re.escape(kind)}\b", node.gres) for node in nodes):
            have = ", ".join(sorted({node.gres for node in nodes if node.gres != "(null)"})) or "none"
            yield "error", f"Slurm: gres: no node of partition {name} has {kind}; there is {have}"
    if options.constraint and re.fullmatch(r"[\w.-]+", options.constraint):
        features = {feature for node in nodes for feature in node.features.split(",")}
        if options.constraint not in features:
            have = ", ".join(sorted(features - {"(null)"})) or "none"
            yield (
                "error",
                f"Slurm: constraint: no node of partition {name} is {options.constraint}; there is {have}",
            )


def _accounts(client: CommandLineClient, options: SlurmOptions) -> Iterator[Finding]:
    """Account and quality of service, where the cluster keeps accounts."""
    try:
        user = pwd.getpwuid(os.geteuid()).pw_name
        lines = client.show([*_SACCTMGR, f"user={user}"]).splitlines()
    except SlurmError as error:
        found = answer(str(error))
        if found is not None and found.outlook in (Outlook.AWAY, Outlook.LOST):
            yield "warning", f"Slurm: {found.meaning}, so that account and qos cannot be checked now: {error}"
            return
        yield (
            "ok",
            "Slurm: the cluster keeps no accounts, or does not tell: memory used is taken from the workers alone",
        )
        return
    rows = [line.split("|") for line in lines if line.count("|") == 2]
    accounts = sorted({account for account, _, _ in rows})
    if options.account and options.account not in accounts:
        have = ", ".join(accounts) or "none"
        yield _unless_enforced(
            client, f"Slurm: account: there is no {options.account} for this user; there is {have}"
        )
    allowed = {
        qos
        for account, names, default in rows
        if not options.account or account == options.account
        for qos in (*names.split(","), default)
        if qos
    }
    if options.qos and rows and options.qos not in allowed:
        have = ", ".join(sorted(allowed)) or "none"
        yield _unless_enforced(
            client, f"Slurm: qos: there is no {options.qos} for this account; there is {have}"
        )


def _unless_enforced(client: CommandLineClient, text: str) -> Finding:
    """An error where the cluster refuses such a job, a warning where it does not mind."""
    match = re.search(r"^AccountingStorageEnforce\s*=\s*(\S+)", client.show(_CONFIG), re.MULTILINE)
    enforced = match is not None and match[1].lower() != "none"
    return ("error", text) if enforced else ("warning", f"{text} (the cluster does not check it)")


_SINFO = ("sinfo", "--noheader", "--exact", "--format=%P|%l|%a|%c|%m|%f|%G")
_SACCTMGR = ("sacctmgr", "--noheader", "--parsable2", "show", "associations", "format=Account,QOS,DefaultQOS")
_CONFIG = ("scontrol", "show", "config")


def _node(line: str) -> _Node:
    partition, limit, state, processors, memory, features, gres = line.split("|")
    return _Node(
        partition, limit, state, int(processors.rstrip("+")), float(memory.rstrip("+")), features, gres
    )


def _seconds(limit: str) -> float | None:
    """Seconds of a limit; None without one."""
    return (
        None if limit in ("infinite", "n/a") else seconds_of(limit if limit.count(":") != 1 else f"0:{limit}")
    )
