"""Why Slurm does not start or accept a job, as people read it, and which option to change.

The words are those of `squeue(1)`, "JOB REASON CODES", and of `slurm_strerror`. Only what can never pass by waiting is
`impossible`; limits of a group or a user, nodes that are down and priorities pass.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from astra_assets.pipelines.options import SlurmOptions

PATIENCE_SECONDS = 30.0
"""How long a reason must last before it is believed: the controller re-reads partitions and accounts now and then."""

_LONG_PATIENCE = 3600.0


@dataclass(frozen=True)
class Impossible:
    """Why a job never starts as it is asked for.

    Attributes:
        reason: Slurm's own word or sentence.
        meaning: what it says.
        options: fields of `SlurmOptions` of which one must be changed.
        patience_seconds: how long it must last before it is believed.
    """

    reason: str
    meaning: str
    options: tuple[str, ...]
    patience_seconds: float = PATIENCE_SECONDS

    def __str__(self) -> str:
        return f"{self.reason}: {self.meaning}; {advice(self.options)}"


def advice(options: tuple[str, ...]) -> str:
    """What to type to change one of these options."""
    names = " or ".join(filter(None, (", ".join(options[:-1]), options[-1])))
    # Lines of shell and further arguments of sbatch are for files.
    typed = not {"extra", "setup"} & set(options)
    where = f"--{options[0]} on the command line, or {options[0]}" if typed else f"{options[0]}"
    return f"change {names} ({where} in [slurm] of astra.toml)"


def asked(options: SlurmOptions, names: tuple[str, ...]) -> str:
    """What was asked for by these options: ` (it asks for time = 24:00:00, procs = 99)`; empty where nothing was."""
    values = {name: getattr(options, name) for name in names}
    found = ", ".join(f"{name} = {value}" for name, value in values.items() if value not in (None, ()))
    return f" (it asks for {found})" if found else ""


def impossible(reason: str) -> Impossible | None:
    """What a reason for waiting says, if waiting does not help; None if it may pass."""
    word = reason.strip().strip("()").partition(",")[0]
    if word in _NEVER:
        meaning, options, patience = _NEVER[word]
        return Impossible(word, meaning, options, patience)
    match = _LIMIT_OF_A_JOB.fullmatch(word)
    if match is None:
        return None
    options = _options_of(match["what"])
    if "Minutes" in match["what"]:
        options = (*options, "time")
    whose, owner = _OWNERS[match["whose"]]
    relation = "more than" if match["bound"] == "Max" else "less than"
    said = f"it asks for {relation} the {owner} lets a job have"
    return Impossible(word, said, tuple(dict.fromkeys((*options, whose))))


def meaning(reason: str) -> str:
    """A reason in words, whether it may pass or not; the reason itself where nothing more is known."""
    never = impossible(reason)
    if never is not None:
        return str(never)
    word = reason.strip().strip("()").partition(",")[0]
    return f"{reason}: {_PASSING[word]}" if word in _PASSING else reason


def refusal(answer: str) -> Impossible | None:
    """What the words of sbatch say, when it does not accept a job; None for words that are not known."""
    for pattern, said, options in _REFUSALS:
        match = re.search(pattern, answer, re.IGNORECASE)
        if match:
            return Impossible(match[0], said, options)
    return None


_NEVER: dict[str, tuple[str, tuple[str, ...], float]] = {
    "PartitionTimeLimit": (
        "it asks for more time than the partition allows",
        ("time", "partition"),
        PATIENCE_SECONDS,
    ),
    "PartitionNodeLimit": (
        "the partition does not allow as many nodes, or they are all down",
        ("partition",),
        _LONG_PATIENCE,
    ),
    "PartitionConfig": (
        "it asks for more than the partition has or allows",
        ("time", "procs", "mem", "gres", "partition"),
        PATIENCE_SECONDS,
    ),
    "BadConstraints": (
        "no node can be as it asks for",
        ("constraint", "procs", "mem", "gres", "partition"),
        PATIENCE_SECONDS,
    ),
    "MaxMemPerLimit": ("it asks for more memory than is allowed", ("mem",), PATIENCE_SECONDS),
    "InvalidAccount": ("there is no such account for this user", ("account",), PATIENCE_SECONDS),
    "InvalidQOS": ("there is no such quality of service for this account", ("qos",), PATIENCE_SECONDS),
    "QOSNotAllowed": (
        "the partition or account does not allow this quality of service",
        ("qos", "partition"),
        PATIENCE_SECONDS,
    ),
    "AccountNotAllowed": (
        "the partition does not allow this account",
        ("account", "partition"),
        PATIENCE_SECONDS,
    ),
    "DependencyNeverSatisfied": ("what it depends on did not end well", ("extra",), PATIENCE_SECONDS),
    "ReservationDeleted": ("the reservation is there no longer", ("extra",), PATIENCE_SECONDS),
    "DeadLine": ("it can no longer end before its deadline", ("time", "extra"), PATIENCE_SECONDS),
}

_LIMIT_OF_A_JOB = re.compile(
    r"(?P<whose>QOS|Assoc)(?P<bound>Max(?=\w+Per(Job|Node)(Limit)?$)|Min)(?P<what>\w+?)(Per(Job|Node))?(Limit)?"
)

_OWNERS = {"QOS": ("qos", "quality of service"), "Assoc": ("account", "account")}

_PASSING = {
    "None": "not looked at yet",
    "Priority": "others are before it",
    "Resources": "no node is free yet",
    "JobArrayTaskLimit": "as many tasks run as its throttle allows",
    "BeginTime": "it begins later, as after being put back into the queue",
    "JobHeldUser": "its user holds it; scontrol release lets it go",
    "JobHeldAdmin": "an administrator holds it",
    "JobHoldMaxRequeue": "it was put back into the queue too often and is held; scontrol release lets it go",
    "PartitionDown": "the partition is down",
    "PartitionInactive": "the partition is not active",
    "ReqNodeNotAvail": "nodes that it needs are not available now",
    "Licenses": "it waits for a licence",
    "Reservation": "it waits for its reservation",
    "NodeDown": "a node that it needs is down",
    "JobLaunchFailure": "it could not be launched: perhaps its node does not see the folder of the batch, or may not write there",
}

_REFUSALS: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    (r"invalid partition.*", "there is no such partition", ("partition",)),
    (r"invalid account or account/partition combination.*", "the account is not there, or not for this partition",
     ("account", "partition")),
    (r"invalid account.*", "there is no such account for this user", ("account",)),
    (r"invalid qos.*", "there is no such quality of service for this account and partition", ("qos",)),
    (r"(requested time limit is invalid|invalid --time).*", "it asks for more time than the partition allows",
     ("time", "partition")),
    (r"invalid generic resource.*", "the cluster has no such resource", ("gres",)),
    (r"(memory specification|invalid --mem|memory required).*", "no node has as much memory", ("mem", "partition")),
    (r"invalid feature.*", "no node has this feature", ("constraint", "partition")),
    (r"cpu count.*", "no node has as many processors", ("procs", "partition")),
    (r"node count.*", "the partition does not allow as many nodes", ("partition",)),
    (r"requested node configuration is not available", "no node of the partition can be as it asks for",
     ("procs", "mem", "gres", "constraint", "partition")),
    (r"invalid job array.*", "the array is larger than MaxArraySize of the cluster allows", ("nodes",)),
    (r"job violates accounting/qos policy.*", "it asks for more than the account or the quality of service allows",
     ("time", "nodes", "procs", "mem", "gres", "qos", "account")),
    (r"(user's group not permitted|access/permission denied).*", "this user may not use the partition or account",
     ("partition", "account")),
    (r"requested partition configuration not available.*", "the partition is down, or cannot be used like this",
     ("partition",)),
    (r"unrecognized option.*", "the cluster does not know the argument", ("extra",)),
    (r"(requested reservation|invalid license|invalid --|invalid option).*", "a further argument is not as it must be",
     ("extra",)),
)  # fmt: skip


def _options_of(what: str) -> tuple[str, ...]:
    """Options that a limit is about, by the resource in the middle of its name."""
    for beginning, options in (
        ("WallDuration", ("time",)),
        ("Cpu", ("procs",)),
        ("CPU", ("procs",)),
        ("Mem", ("mem",)),
        ("GRES", ("gres",)),
        ("Node", ("exclusive",)),
        ("Billing", ("procs", "mem", "gres")),
    ):
        if what.startswith(beginning):
            return options
    return ("extra",)
