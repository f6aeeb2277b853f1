"""Environment variables by which people and sites ask something of sbatch: each is honoured, or refused in words.

sbatch itself never gets them: what they ask for is recorded with the batch, so that a process with another environment goes
on in the same way. The names are those of `sbatch(1)`, "INPUT ENVIRONMENT VARIABLES".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_type_hints

from astra_assets.pipelines.options import (
    ENGINE_ARGUMENTS,
    OPTIONS,
    ResourceRequest,
    SlurmOptions,
    taken_argument,
)

_NAMES = (
    "ACCOUNT ACCTG_FREQ ARRAY_INX BATCH BURST_BUFFER CLUSTERS CLUSTER_CONSTRAINT CONSTRAINT CONTAINER CONTAINER_ID CORE_SPEC "
    "CPUS_PER_GPU CPU_FREQ_REQ DELAY_BOOT DISTRIBUTION ERROR EXCLUSIVE EXPORT GPUS GPUS_PER_NODE GPUS_PER_SOCKET "
    "GPUS_PER_TASK GPU_BIND GPU_FREQ GRES GRES_FLAGS HINT INPUT JOB_NAME MEM_PER_CPU MEM_PER_GPU MEM_PER_NODE NETWORK NO_KILL "
    "NO_REQUEUE OPEN_MODE OUTPUT OVERCOMMIT PARTITION POWER PROFILE QOS REQUEUE REQ_SWITCH RESERVATION SEGMENT_SIZE SIGNAL "
    "SPREAD_JOB THREADS_PER_CORE THREAD_SPEC TIMELIMIT TRES_BIND TRES_PER_TASK USE_MIN_NODES WAIT WAIT4SWITCH WAIT_ALL_NODES "
    "WCKEY"
)
VARIABLES = (*(f"SBATCH_{name}" for name in _NAMES.split()), "SLURM_CLUSTERS")
"""The variables by which something can be asked of sbatch, up to version 24.11.

Not among them: those that change what it prints, and `SBATCH_MEM_BIND` and the like, which Slurm sets in every job.
"""

_FLAGS = ("no-kill", "overcommit", "spread-job", "use-min-nodes")
"""Long options of sbatch that take no value, whatever their variable is set to."""

_ARGUMENTS = {
    "SBATCH_ARRAY_INX": "array",
    "SBATCH_REQ_SWITCH": "switches",
    "SBATCH_WAIT4SWITCH": "switches",
}
"""Long options of sbatch of variables that are not named like them."""

_YES = ("1", "exclusive", "true", "yes")


def request_of(environment: Mapping[str, str]) -> ResourceRequest:
    """What the variables ask for that have an option here."""
    asked: dict[str, Any] = {}
    for name, option in OPTIONS.items():
        for variable in option.variables:
            value = environment.get(variable, "")
            if value and name not in asked:
                asked[name] = _value(name, value)
    return ResourceRequest(**asked)


def refused(environment: Mapping[str, str], options: SlurmOptions) -> list[str]:
    """A sentence for each variable that asks for something that would be dropped.

    A variable whose option of sbatch stands in `extra` of `options` is none of them.
    """
    extra = {argument.partition("=")[0].removeprefix("--") for argument in options.extra}
    found = []
    for variable, argument in _further(environment):
        if argument in ENGINE_ARGUMENTS or argument in extra:
            continue
        value = environment[variable]
        taken = taken_argument(argument)
        typed = f"--{argument}" if argument in _FLAGS else f"--{argument}={value}"
        instead = taken[1] if taken else f'extra = ["{typed}"]'
        found.append(
            f"{variable}={value} is not passed on to sbatch: set {instead} in [slurm] of astra.toml, or unset it"
        )
    return found


def unused(environment: Mapping[str, str]) -> list[str]:
    """A sentence for each variable about something that the engine decides itself."""
    return [
        f"{variable}={environment[variable]} has no effect: the jobs of batches set --{argument} themselves"
        for variable, argument in _further(environment)
        if argument in ENGINE_ARGUMENTS
    ]


def honoured(environment: Mapping[str, str]) -> list[str]:
    """The variables that have an option here, as they are set."""
    names = [variable for option in OPTIONS.values() for variable in option.variables]
    return [f"{name}={environment[name]}" for name in names if environment.get(name)]


def _further(environment: Mapping[str, str]) -> list[tuple[str, str]]:
    """Variables of sbatch without an option here, each with the long option of sbatch that it stands for."""
    ours = {variable for option in OPTIONS.values() for variable in option.variables}
    return [
        (name, _ARGUMENTS.get(name) or name.removeprefix("SBATCH_").lower().replace("_", "-"))
        for name in VARIABLES
        if environment.get(name) and name not in ours
    ]


def _value(name: str, text: str) -> Any:
    """A text as the type of an option has it."""
    if bool in getattr(get_type_hints(SlurmOptions)[name], "__args__", ()):
        # Other words than these ask for more than an option that is on or off can say.
        return True if text.lower() in _YES else text
    return text
