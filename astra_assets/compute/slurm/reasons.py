"""What Slurm's answers mean, wherever they are read: the reason of a job in the queue, and the words of its programs.

Each answer is listed once, with what follows from it. The codes are those of `squeue(1)`, "JOB REASON CODES", the sentences
those of `slurm_strerror` and of sbatch itself. Which options are the ones to change is said by their declarations
(`pipelines.options`), which name the answers.
"""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass, field, replace

from astra_assets.pipelines.options import OPTIONS, SlurmOptions

PATIENCE_SECONDS = 30.0
"""How long a reason must last before it is believed: the controller re-reads partitions and accounts now and then."""

LONG_PATIENCE_SECONDS = 3600.0
"""The same for reasons that can also be the sign of a node or a server that is away."""


class Outlook(enum.Enum):
    """What follows from an answer."""

    NOT_NOW = "not now"
    """It passes by waiting: a limit on how much runs or is queued, nodes or a partition that are down, a full disk."""
    NEVER = "never"
    """It does not pass: an option of the job must be changed."""
    AWAY = "away"
    """The controller or the server of the accounts was not reached: nothing was accepted, nothing is said about jobs."""
    LOST = "lost"
    """The connection broke off: a submission may have been accepted."""
    NO_JOB = "no job"
    """There is no such job, or not any more."""


@dataclass(frozen=True)
class SlurmAnswer:
    """An answer of Slurm.

    Attributes:
        name: reason code of a job, or the name of an error in `slurm_errno.h`; options name it in `reasons`.
        outlook: what follows.
        meaning: what it says, in words.
        words: regular expression of the sentences in which programs say it; empty where only a code does.
        patience_seconds: for `NEVER`, how long it must last as the reason of a job before it is believed.
        accounts: it is also given while the server of the accounts is away.
        said: what Slurm said in this case; the name where it was a code.
    """

    name: str
    outlook: Outlook
    meaning: str
    words: str = ""
    patience_seconds: float = PATIENCE_SECONDS
    accounts: bool = False
    said: str = field(default="", compare=False)

    @property
    def options(self) -> tuple[str, ...]:
        """The options of which one must be changed; none where waiting helps."""
        if self.outlook is not Outlook.NEVER:
            return ()
        return tuple(name for name, option in OPTIONS.items() if option.concerns(self.name))

    def __str__(self) -> str:
        text = f"{self.said or self.name}: {self.meaning}"
        return f"{text}; {advice(self.options)}" if self.options else text


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


def reason(text: str) -> SlurmAnswer | None:
    """What the reason of a job in the queue says; None for words that are not known, which may pass."""
    word = text.strip().strip("()").partition(",")[0]
    known = _BY_NAME.get(word)
    return known if known is not None else _limit(word)


def impossible(text: str) -> SlurmAnswer | None:
    """What the reason of a job says, if waiting does not help; None if it may pass."""
    found = reason(text)
    return found if found is not None and found.outlook is Outlook.NEVER else None


def meaning(text: str) -> str:
    """A reason in words, whether it may pass or not; the reason itself where nothing more is known."""
    found = reason(text)
    if found is None:
        return text
    return str(found) if found.options else f"{text}: {found.meaning}"


def answer(text: str) -> SlurmAnswer | None:
    """What a program of Slurm says when it does not do what it was asked; None for words that are not known.

    sbatch may name the code of a limit on a line before the general sentence; the code says more.
    """
    for word in re.findall(r"\b(?:QOS|Assoc)[A-Z]\w+", text):
        found = _limit(word)
        if found is not None:
            return found
    for known in ANSWERS:
        match = re.search(known.words, text, re.IGNORECASE) if known.words else None
        if match:
            return replace(known, said=match[0])
    return None


def _limit(word: str) -> SlurmAnswer | None:
    """A limit of a quality of service or an account: on a single job it never passes, on all jobs together it does."""
    match = _LIMIT.fullmatch(word)
    if match is None:
        return None
    owner = {"QOS": "quality of service", "Assoc": "account"}[match["owner"]]
    if match["bound"] == "Min" or (match["bound"] == "Max" and match["each"]):
        relation = "less than" if match["bound"] == "Min" else "more than"
        return SlurmAnswer(word, Outlook.NEVER, f"it asks for {relation} the {owner} lets a job have")
    if "Submit" in match["what"]:
        return SlurmAnswer(word, Outlook.NOT_NOW, f"as many jobs are queued as the {owner} allows")
    return SlurmAnswer(word, Outlook.NOT_NOW, f"as much is in use as the {owner} allows")


_LIMIT = re.compile(
    r"(?P<owner>QOS|Assoc)(?P<bound>Max|Min|Grp)(?P<what>\w+?)(?P<each>Per(Job|Node))?(Limit)?"
)

_NEVER, _NOT_NOW = Outlook.NEVER, Outlook.NOT_NOW

ANSWERS: tuple[SlurmAnswer, ...] = (
    # Of the sentences of programs the first that matches counts: what is lost before what was not reached.
    SlurmAnswer("ESLURM_LOST", Outlook.LOST, "the connection broke off",
                r"socket timed out|zero bytes were transmitted|transport endpoint is not connected|unexpected message"
                r"|connection reset|broken pipe"),
    SlurmAnswer("ESLURM_DB_CONNECTION", Outlook.AWAY, "the server of the accounts does not answer",
                r"problem talking to (the )?database|unable to connect to database|database connection|slurm_persist_conn\w*"),
    SlurmAnswer("ESLURM_AWAY", Outlook.AWAY, "the controller does not answer",
                r"unable to contact slurm controller|connection refused|communication connection failure"
                r"|transport endpoint|authentication|munge|backup controller"
                r"|resource temporarily unavailable|temporarily unable|unable to process configuration|cannot stat file"
                r"|could not establish a configuration source|no route to host|network is unreachable|timed out"),
    SlurmAnswer("ESLURM_INVALID_JOB_ID", Outlook.NO_JOB, "there is no such job",
                r"invalid job id|job \S+ not found|already completing or completed"),

    SlurmAnswer("None", _NOT_NOW, "not looked at yet"),
    SlurmAnswer("Priority", _NOT_NOW, "others are before it"),
    SlurmAnswer("Resources", _NOT_NOW, "no node is free yet"),
    SlurmAnswer("JobArrayTaskLimit", _NOT_NOW, "as many tasks run as its throttle allows"),
    SlurmAnswer("BeginTime", _NOT_NOW, "it begins later, as after being put back into the queue"),
    SlurmAnswer("JobHeldUser", _NOT_NOW, "its user holds it; scontrol release lets it go"),
    SlurmAnswer("JobHeldAdmin", _NOT_NOW, "an administrator holds it"),
    SlurmAnswer("JobHoldMaxRequeue", _NOT_NOW,
                "it was put back into the queue too often and is held; scontrol release lets it go"),
    SlurmAnswer("PartitionDown", _NOT_NOW, "the partition is down"),
    SlurmAnswer("PartitionInactive", _NOT_NOW, "the partition is inactive or drained",
                r"required partition not available.*"),
    SlurmAnswer("ESLURM_REQUESTED_PART_CONFIG_UNAVAILABLE", _NOT_NOW, "the partition cannot take it now",
                r"requested partition configuration not available.*"),
    SlurmAnswer("ReqNodeNotAvail", _NOT_NOW, "nodes that it needs are not available now",
                r"required node not available.*|requested nodes are busy"),
    SlurmAnswer("Licenses", _NOT_NOW, "it waits for a licence"),
    SlurmAnswer("Reservation", _NOT_NOW, "it waits for its reservation"),
    SlurmAnswer("NodeDown", _NOT_NOW, "a node that it needs is down"),
    SlurmAnswer("JobLaunchFailure", _NOT_NOW,
                "it could not be launched: perhaps its node does not see the folder of the batch, or may not write there"),
    SlurmAnswer("QOSUsageThreshold", _NOT_NOW, "the account has used more than its quality of service allows for now",
                r"requested account has breached requested qos usage threshold"),
    SlurmAnswer("ESLURM_WRITING_TO_FILE", _NOT_NOW, "a disk or a quota is full",
                r"i/o error writing script.*|no space left on device|disk quota exceeded"),

    SlurmAnswer("PartitionTimeLimit", _NEVER, "it asks for more time than the partition allows",
                r"(requested time limit is invalid|invalid --time).*"),
    SlurmAnswer("PartitionNodeLimit", _NEVER, "the partition does not allow as many nodes, or they are all down",
                patience_seconds=LONG_PATIENCE_SECONDS),
    SlurmAnswer("PartitionConfig", _NEVER, "it asks for more than the partition has or allows"),
    SlurmAnswer("BadConstraints", _NEVER, "no node can be as it asks for"),
    SlurmAnswer("MaxMemPerLimit", _NEVER, "it asks for more memory than is allowed"),
    SlurmAnswer("ESLURM_INVALID_ACCOUNT", _NEVER, "the account is not there, or not for this partition",
                r"invalid account or account/partition combination.*", accounts=True),
    SlurmAnswer("InvalidAccount", _NEVER, "there is no such account for this user", r"invalid account\b.*",
                patience_seconds=LONG_PATIENCE_SECONDS, accounts=True),
    SlurmAnswer("InvalidQOS", _NEVER, "there is no such quality of service for this account", r"invalid qos.*",
                patience_seconds=LONG_PATIENCE_SECONDS, accounts=True),
    SlurmAnswer("QOSNotAllowed", _NEVER, "the partition or account does not allow this quality of service"),
    SlurmAnswer("AccountNotAllowed", _NEVER, "the partition does not allow this account"),
    SlurmAnswer("DependencyNeverSatisfied", _NEVER, "what it depends on did not end well"),
    SlurmAnswer("ReservationDeleted", _NEVER, "the reservation is there no longer"),
    SlurmAnswer("DeadLine", _NEVER, "it can no longer end before its deadline"),
    SlurmAnswer("ESLURM_INVALID_PARTITION_NAME", _NEVER, "there is no such partition", r"invalid partition.*"),
    SlurmAnswer("ESLURM_INVALID_CLUSTER_NAME", _NEVER, "there is no such cluster, or it cannot be reached",
                r"'\S*' can't be reached now.*|no cluster '\S*' known.*"),
    SlurmAnswer("ESLURM_INVALID_GRES", _NEVER, "the cluster has no such resource", r"invalid generic resource.*"),
    SlurmAnswer("ESLURM_INVALID_TASK_MEMORY", _NEVER, "no node has as much memory",
                r"(memory specification|invalid --mem|memory required).*"),
    SlurmAnswer("ESLURM_INVALID_FEATURE", _NEVER, "no node has this feature", r"invalid feature.*"),
    SlurmAnswer("ESLURM_INVALID_CPU_COUNT", _NEVER, "no node has as many processors", r"cpu count.*"),
    SlurmAnswer("ESLURM_INVALID_NODE_COUNT", _NEVER, "the partition does not allow as many nodes", r"node count.*"),
    SlurmAnswer("ESLURM_REQUESTED_NODE_CONFIG_UNAVAILABLE", _NEVER, "no node of the partition can be as it asks for",
                r"requested node configuration is not available"),
    SlurmAnswer("ESLURM_INVALID_ARRAY", _NEVER, "the array is larger than MaxArraySize of the cluster allows",
                r"invalid job array.*"),
    SlurmAnswer("ESLURM_ACCESS_DENIED", _NEVER, "this user may not use the partition or account",
                r"(user's group not permitted|access/permission denied).*"),
    SlurmAnswer("ESLURM_RESERVATION_INVALID", _NEVER, "a further argument is not as it must be",
                r"(requested reservation|invalid license|invalid --|invalid option).*"),
    SlurmAnswer("UnrecognizedOption", _NEVER, "the cluster does not know the argument", r"unrecognized option.*"),
    SlurmAnswer("ESLURM_ACCOUNTING_POLICY", _NOT_NOW,
                "as much is queued or in use as the account or the quality of service allows",
                r"job violates accounting/qos policy.*"),
)  # fmt: skip
"""All answers that are known."""

SUBMIT_LIMIT = SlurmAnswer(
    "SubmitLimit",
    Outlook.NEVER,
    "the array has more tasks than the account or the quality of service lets be queued at once",
)
"""An array that can never be queued, however long one waits."""

POLICY = SlurmAnswer(
    "ESLURM_ACCOUNTING_POLICY",
    Outlook.NEVER,
    "it asks for more than the account or the quality of service allows",
)
"""The general sentence about limits, where none of them is on the number of jobs."""

_BY_NAME = {known.name: known for known in ANSWERS}
