"""What a step asks of the place where it runs: every option of Slurm is declared here, once.

A declaration says what an option is for, how a value is checked, which arguments of sbatch it becomes, which environment
variable of sbatch means the same, and for which of Slurm's answers it is the one to change. The command line, the launchpad,
`[slurm]` in `astra.toml`, the text of a job and the advice in messages follow from it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_CONTROL_BUT_TAB = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_MEMORY = re.compile(r"(\d+)([KMGT]?)B?", re.IGNORECASE)
_GRES = re.compile(r"[A-Za-z][\w.-]*(:[\w.-]+){0,2}(\(S:[\d,-]+\))?")
_CLUSTER = re.compile(r"[A-Za-z0-9][\w.-]*")
_WORD = re.compile(r"[^\s,'\"\\]+")
_TIMES = (
    re.compile(r"(?P<minutes>\d+)"),
    re.compile(r"(?P<minutes>\d+):(?P<seconds>\d+)"),
    re.compile(r"(?P<hours>\d+):(?P<minutes>\d+):(?P<seconds>\d+)"),
    re.compile(r"(?P<days>\d+)-(?P<hours>\d+)(:(?P<minutes>\d+)(:(?P<seconds>\d+))?)?"),
)
_SECONDS = {"days": 86_400, "hours": 3_600, "minutes": 60, "seconds": 1}
_MOST_NICE = 2_147_483_645

ENGINE_ARGUMENTS = (
    "array",
    "chdir",
    "comment",
    "error",
    "export",
    "export-file",
    "input",
    "job-name",
    "no-requeue",
    "ntasks",
    "ntasks-per-node",
    "open-mode",
    "output",
    "parsable",
    "quiet",
    "requeue",
    "signal",
    "test-only",
    "verbose",
    "wait",
    "wrap",
)
"""Long options of sbatch that the engine sets itself, or that would break how it follows its jobs."""


def seconds_of(time: str) -> float | None:
    """Seconds of a wall time as sbatch reads it: `minutes`, `hours:minutes:seconds`, `days-hours:minutes`, ...

    None if it is without limit.

    Raises:
        ValueError: it is no time.
    """
    if time.upper() in ("UNLIMITED", "INFINITE"):
        return None
    for form in _TIMES:
        match = form.fullmatch(time)
        if match:
            return float(sum(_SECONDS[unit] * int(number or 0) for unit, number in match.groupdict().items()))
    raise ValueError(f"{time!r} is no wall time")


def megabytes_of(memory: str) -> float:
    """Megabytes of a memory size as sbatch reads it, `16000` or `16G`; 0 is all of a node.

    Raises:
        ValueError: it is no size.
    """
    match = _MEMORY.fullmatch(memory)
    if not match:
        raise ValueError(f"{memory!r} is no size of memory")
    return int(match[1]) * {"K": 1 / 1024, "": 1.0, "M": 1.0, "G": 1024.0, "T": 1024.0**2}[match[2].upper()]


def _nothing(_: Any) -> Iterator[str]:
    yield from ()


def _on_or_off(value: object) -> Iterator[str]:
    if not isinstance(value, bool):
        yield f"expected true or false, found {value!r}"


def _at_least_one(value: int) -> Iterator[str]:
    if value < 1:
        yield f"must be at least 1, found {value}"


def _wall_time(value: str) -> Iterator[str]:
    try:
        if seconds_of(value) == 0:
            yield f"must be longer than nothing, found {value!r}"
    except ValueError:
        yield f"expected [days-]hours:minutes:seconds such as 48:00:00, found {value!r}"


def _memory_size(value: str) -> Iterator[str]:
    if not _MEMORY.fullmatch(value):
        yield f"expected a size such as 16000, 16G or 0 (all of a node), found {value!r}"


def _generic_resources(value: str) -> Iterator[str]:
    if not all(_GRES.fullmatch(part) for part in value.split(",")):
        yield f"expected name[:type][:number] such as gpu:v100:1, found {value!r}"


def _name(value: str) -> Iterator[str]:
    if not _WORD.fullmatch(value):
        yield f"expected a name without blanks and quotes, found {value!r}"


def _names(value: str) -> Iterator[str]:
    if not all(_WORD.fullmatch(part) for part in value.split(",")):
        yield f"expected a name without blanks and quotes, found {value!r}"


def _one_cluster(value: str) -> Iterator[str]:
    if not _CLUSTER.fullmatch(value) or value == "all":
        yield f"expected the name of one cluster, found {value!r}"


def _features(value: str) -> Iterator[str]:
    if not value.strip() or _CONTROL.search(value):
        yield f"expected features of nodes, found {value!r}"


def _niceness(value: int) -> Iterator[str]:
    if abs(value) > _MOST_NICE:
        yield f"must be between -{_MOST_NICE} and {_MOST_NICE}, found {value}"


def _shell_lines(value: Iterable[str]) -> Iterator[str]:
    for line in value:
        if _CONTROL_BUT_TAB.search(line):
            yield f"each must be one line without control characters, found {line!r}"


def _further_arguments(value: Iterable[str]) -> Iterator[str]:
    for argument in value:
        if _CONTROL.search(argument):
            yield f"has a control character: {argument!r}"
            continue
        match = re.fullmatch(r"--([a-z][a-z0-9-]*)(=.*)?", argument)
        if not match:
            yield f"expected --option or --option=value in one piece, found {argument!r}"
            continue
        taken = taken_argument(match[1])
        if taken is not None:
            instead = f"use {taken[1]} instead" if taken[1] else "it is set by the program itself"
            yield f"{argument} sets --{taken[0]}: {instead}"


def taken_argument(name: str) -> tuple[str, str] | None:
    """The long option of sbatch that `name` means, and the option of ours in whose place it would stand.

    sbatch takes every beginning of a name that is not ambiguous. The second is empty for what the engine sets itself. None for
    an option of sbatch that nothing here sets.
    """
    ours = {each: name for name, option in OPTIONS.items() for each in option.replaces}
    taken = dict.fromkeys(ENGINE_ARGUMENTS, "") | ours
    found = name if name in taken else next((each for each in sorted(taken) if each.startswith(name)), None)
    return None if found is None else (found, taken[found])


def _as_they_are(value: Iterable[str]) -> Iterator[str]:
    yield from value


def _flag(name: str) -> Callable[[Any], Iterator[str]]:
    def arguments(value: Any) -> Iterator[str]:
        if value:
            yield f"--{name}"

    return arguments


def _argument(name: str) -> Callable[[Any], Iterator[str]]:
    def arguments(value: Any) -> Iterator[str]:
        yield f"--{name}={value}"

    return arguments


@dataclass(frozen=True)
class Option:
    """The declaration of one option.

    Attributes:
        help: what it is, as a sentence for people.
        check: what is wrong with a value, each as the end of a sentence; nothing for a value that can be asked for.
        arguments: the arguments of sbatch that a value becomes.
        replaces: long options of sbatch that it stands for; `extra` may not have them.
        variables: environment variables of sbatch with the same meaning.
        reasons: answers of Slurm after which it is one of the options to change: regular expressions of reason codes of
            `squeue(1)` and of names of `slurm_errno.h`, as `compute.slurm.reasons` lists them.
        here: it can be asked of this machine, too.
        fixed: it holds for all of a batch and cannot be changed once the batch is planned.
    """

    help: str
    check: Callable[[Any], Iterable[str]]
    arguments: Callable[[Any], Iterable[str]]
    replaces: tuple[str, ...]
    variables: tuple[str, ...]
    reasons: tuple[str, ...]
    here: bool
    fixed: bool

    def concerns(self, reason: str) -> bool:
        """True if changing this option is a remedy for an answer of Slurm."""
        return any(re.fullmatch(pattern, reason) for pattern in self.reasons)


def option(
    default: object,
    help_text: str,
    *,
    check: Callable[[Any], Iterable[str]] = _nothing,
    argument: str = "",
    arguments: Callable[[Any], Iterable[str]] | None = None,
    replaces: tuple[str, ...] = (),
    variables: tuple[str, ...] = (),
    reasons: tuple[str, ...] = (),
    here: bool = False,
    fixed: bool = False,
) -> Any:
    """Declare an option as a field of `SlurmOptions`; the arguments are those of `Option`.

    `argument` is for the usual case, an option of sbatch that is given the value: `--argument=value`.
    """
    made = arguments or (_argument(argument) if argument else _nothing)
    stands_for = (argument, *replaces) if argument else replaces
    declared = Option(help_text, check, made, stands_for, variables, reasons, here, fixed)
    return field(default=default, metadata={"option": declared})


_LIMIT = "(QOS|Assoc)(Max|Min)"
"""How limits of a quality of service and of an account begin; what is limited follows."""


@dataclass(frozen=True)
class SlurmOptions:
    """What a step asks of a cluster. Defaults name no site."""

    nodes: int = option(
        1,
        "Tasks that a batch is cut into, each on one node.",
        check=_at_least_one,
        replaces=("nodes",),
        reasons=("ESLURM_INVALID_ARRAY", "SubmitLimit"),
        here=True,
        fixed=True,
    )
    procs: int = option(
        1,
        "Worker processes of each task, with one thread each; also its --cpus-per-task.",
        check=_at_least_one,
        argument="cpus-per-task",
        reasons=(
            "PartitionConfig",
            "BadConstraints",
            "ESLURM_INVALID_CPU_COUNT",
            "ESLURM_REQUESTED_NODE_CONFIG_UNAVAILABLE",
            "ESLURM_ACCOUNTING_POLICY",
            rf"{_LIMIT}(Cpu|CPU|Billing)\w*",
        ),
        here=True,
        fixed=True,
    )
    time: str = option(
        "24:00:00",
        "Wall time of each task, [days-]hours:minutes:seconds.",
        check=_wall_time,
        argument="time",
        variables=("SBATCH_TIMELIMIT",),
        reasons=(
            "PartitionTimeLimit",
            "PartitionConfig",
            "DeadLine",
            "ESLURM_ACCOUNTING_POLICY",
            rf"{_LIMIT}(WallDuration|\w*Minutes)\w*",
        ),
    )
    mem: str | None = option(
        None,
        "Memory of each task: 16000 (MB), 64G, 0 for all that a node has.",
        check=_memory_size,
        argument="mem",
        replaces=("mem-per-cpu", "mem-per-gpu"),
        variables=("SBATCH_MEM_PER_NODE",),
        reasons=(
            "PartitionConfig",
            "BadConstraints",
            "MaxMemPerLimit",
            "ESLURM_INVALID_TASK_MEMORY",
            "ESLURM_REQUESTED_NODE_CONFIG_UNAVAILABLE",
            "ESLURM_ACCOUNTING_POLICY",
            rf"{_LIMIT}(Mem|Billing)\w*",
        ),
    )
    gres: str | None = option(
        None,
        "Generic resources of each task, e.g. gpu:v100:1.",
        check=_generic_resources,
        argument="gres",
        variables=("SBATCH_GRES",),
        reasons=(
            "PartitionConfig",
            "BadConstraints",
            "ESLURM_INVALID_GRES",
            "ESLURM_REQUESTED_NODE_CONFIG_UNAVAILABLE",
            "ESLURM_ACCOUNTING_POLICY",
            rf"{_LIMIT}(GRES|Billing)\w*",
        ),
    )
    constraint: str | None = option(
        None,
        "Features that nodes must have.",
        check=_features,
        argument="constraint",
        variables=("SBATCH_CONSTRAINT",),
        reasons=("BadConstraints", "ESLURM_INVALID_FEATURE", "ESLURM_REQUESTED_NODE_CONFIG_UNAVAILABLE"),
    )
    exclusive: bool | None = option(
        None,
        "A task has its node for itself.",
        check=_on_or_off,
        arguments=_flag("exclusive"),
        replaces=("exclusive",),
        variables=("SBATCH_EXCLUSIVE",),
        reasons=(rf"{_LIMIT}Node\w*",),
    )
    qos: str | None = option(
        None,
        "Quality of service.",
        check=_name,
        argument="qos",
        variables=("SBATCH_QOS",),
        reasons=("InvalidQOS", "QOSNotAllowed", "ESLURM_ACCOUNTING_POLICY", r"QOS(Max|Min)\w+"),
    )
    account: str | None = option(
        None,
        "Account that the time is charged to.",
        check=_name,
        argument="account",
        variables=("SBATCH_ACCOUNT",),
        reasons=(
            "InvalidAccount",
            "AccountNotAllowed",
            "ESLURM_INVALID_ACCOUNT",
            "ESLURM_ACCESS_DENIED",
            "ESLURM_ACCOUNTING_POLICY",
            r"Assoc(Max|Min)\w+",
        ),
    )
    partition: str | None = option(
        None,
        "Partition of the cluster, or several with commas between them.",
        check=_names,
        argument="partition",
        variables=("SBATCH_PARTITION",),
        reasons=(
            "PartitionTimeLimit",
            "PartitionNodeLimit",
            "PartitionConfig",
            "BadConstraints",
            "QOSNotAllowed",
            "AccountNotAllowed",
            "ESLURM_INVALID_PARTITION_NAME",
            "ESLURM_INVALID_ACCOUNT",
            "ESLURM_INVALID_TASK_MEMORY",
            "ESLURM_INVALID_FEATURE",
            "ESLURM_INVALID_CPU_COUNT",
            "ESLURM_INVALID_NODE_COUNT",
            "ESLURM_REQUESTED_NODE_CONFIG_UNAVAILABLE",
            "ESLURM_ACCESS_DENIED",
        ),
    )
    cluster: str | None = option(
        None,
        "Cluster, where sbatch can choose among several.",
        check=_one_cluster,
        argument="clusters",
        variables=("SBATCH_CLUSTERS", "SLURM_CLUSTERS"),
        reasons=("ESLURM_INVALID_CLUSTER_NAME",),
        fixed=True,
    )
    throttle: int | None = option(None, "At most this many tasks run at once.", check=_at_least_one)
    nice: int | None = option(None, "Lowers the priority of the job.", check=_niceness, argument="nice")
    extra: tuple[str, ...] = option(
        (),
        "Further argument of sbatch, e.g. --reservation=night.",
        check=_further_arguments,
        arguments=_as_they_are,
        reasons=(
            "DependencyNeverSatisfied",
            "ReservationDeleted",
            "DeadLine",
            "UnrecognizedOption",
            "ESLURM_RESERVATION_INVALID",
            rf"{_LIMIT}(?!Cpu|CPU|Billing|WallDuration|Mem|GRES|Node)\w+",
        ),
    )
    setup: tuple[str, ...] = option(
        (), "Line of shell that runs before the worker, e.g. module load cuda.", check=_shell_lines
    )

    def __post_init__(self) -> None:
        for each in fields(self):
            value = getattr(self, each.name)
            if isinstance(value, list):
                object.__setattr__(self, each.name, tuple(value))

    def differences(self, other: SlurmOptions) -> str:
        """What is different from other options, as people write it: `time = 48:00:00, mem = 16G`."""
        names = [each.name for each in fields(self) if getattr(self, each.name) != getattr(other, each.name)]
        return ", ".join(f"{name} = {getattr(self, name)}" for name in names)


OPTIONS: Mapping[str, Option] = {each.name: each.metadata["option"] for each in fields(SlurmOptions)}
"""The declaration of each option, in the order in which people see them."""


def problems(options: SlurmOptions) -> list[str]:
    """All that is wrong with the options, one sentence each, beginning with the name of the option."""
    return [
        f"{name}: {text}"
        for name, declared in OPTIONS.items()
        if (value := getattr(options, name)) is not None
        for text in declared.check(value)
    ]


def arguments_of(options: SlurmOptions) -> Iterator[str]:
    """The arguments of sbatch that the options become."""
    for name, declared in OPTIONS.items():
        value = getattr(options, name)
        if value is not None:
            yield from declared.arguments(value)


class ResourceRequest:
    """What is asked for beyond a declaration: by a site, in the launchpad, on the command line.

    Attributes:
        asked: values of the options that are asked for, by name.

    Raises:
        TypeError: there is no option of a name.
    """

    def __init__(self, **asked: Any) -> None:
        unknown = asked.keys() - OPTIONS.keys()
        if unknown:
            raise TypeError(
                f"there is no option {', '.join(sorted(unknown))}; there are {', '.join(OPTIONS)}"
            )
        self.asked: Mapping[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in asked.items()
            if value is not None
        }

    def over(self, options: SlurmOptions) -> SlurmOptions:
        """These options, where something is asked for, and those of the declaration elsewhere."""
        return replace(options, **self.asked)

    def split(self) -> tuple[ResourceRequest, ResourceRequest]:
        """What cannot be changed once a batch is planned, and the rest."""
        fixed = {name: value for name, value in self.asked.items() if OPTIONS[name].fixed}
        rest = {name: value for name, value in self.asked.items() if not OPTIONS[name].fixed}
        return ResourceRequest(**fixed), ResourceRequest(**rest)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ResourceRequest) and self.asked == other.asked

    def __hash__(self) -> int:
        return hash(tuple(sorted(self.asked.items())))

    def __repr__(self) -> str:
        return f"ResourceRequest({', '.join(f'{name}={value!r}' for name, value in self.asked.items())})"


AS_DECLARED = ResourceRequest()
"""Nothing is asked for beyond the declaration."""
