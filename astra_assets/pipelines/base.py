"""How a pipeline is declared: its name, its result table, its steps and what each step needs.

Only declarations belong here. Finding unprocessed spectra, running and collecting is the business of
`astra_assets.compute`; numerical methods live in the module of each pipeline. Importing this module is cheap,
and importing the declaration of a pipeline must be cheap too: whatever takes time (a fit library, a grid, a
trained model) is imported or loaded in `Step.setup` or in the function.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from astra_assets.pipelines.answers import PipelineDeclarationError, Skip, Unusable, checked_code
from astra_assets.pipelines.options import SlurmOptions
from astra_assets.text import snake_case

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from sqlalchemy import BindParameter, ColumnElement, Connection, Select

    from astra_assets.models.base import Base
    from astra_assets.spectra.base import Roots

__all__ = [
    "VERSION_PARAMETER",
    "Columns",
    "Condition",
    "ExternalProgram",
    "Pipeline",
    "PipelineDeclarationError",
    "Problem",
    "Products",
    "Requirement",
    "Skip",
    "Step",
    "Unusable",
    "WorkContext",
    "reference_of",
    "this_version",
]

_KEY = re.compile(r"[a-z][a-z0-9_]*\Z")
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*\Z")
_STAR_LEVEL = frozenset({"BossCombinedSpectrum", "ApogeeCoaddedSpectrumInApStar", "ApogeeCombinedSpectrum"})

VERSION_PARAMETER = "v_astra_major_minor"
"""Name of the bind parameter that the engine fills in `columns`, `lookups`, `stale` and `eligible` of a step."""

Condition: TypeAlias = "ColumnElement[bool]"
Columns: TypeAlias = "Mapping[str, np.ndarray[Any, Any]]"


@dataclass(frozen=True)
class Requirement:
    """A condition on the inputs that is tested for many at once while a batch is planned.

    Attributes:
        code: short name recorded with inputs that do not fulfil it, such as `not_mwm_wd`.
        message: a sentence for people, recorded beside the code.
        needs: names of the columns that `test` reads. A name is looked up in `Step.lookups` and `Step.columns`, then
            in the input model, then in `Source`; `gather` runs after the requirements, so its columns are not
            available.
        test: takes the columns by name and returns a boolean array, True where the input may be processed.
            Every column is a NumPy array: numbers and booleans as such (integers with NULLs as float64 with
            NaN, booleans with NULLs as objects), text and bytes as objects with None for NULL.
    """

    code: str
    message: str
    needs: tuple[str, ...]
    test: Callable[[Columns], np.ndarray[Any, Any]]

    def __post_init__(self) -> None:
        checked_code(self.code)
        object.__setattr__(self, "needs", tuple(self.needs))


@dataclass(frozen=True)
class ExternalProgram:
    """A program of other people that does a step: a manifest in, a table of results out.

    Attributes:
        command: program and arguments. `{manifest}`, `{results}`, `{folder}`, `{procs}` and `{v_astra}` in an
            argument are filled in, and with the protocol `astra` an argument `{sdss_ids}` becomes one for each
            object; the first item is looked up on the search path, or as a site's `[programs]` in `astra.toml`
            names it.
        manifest: format of the table of inputs that the program is given.
        results: format of the table that it writes, with `spectrum_pk` and columns of the result table.
        columns: further columns of the manifest that the program wants: of the input model, or of the step.
        progress: regular expression with a group `done`, found in the lines that the program prints as it
            goes on.
        protocol: `files`, or `astra` for Astra's own command line, which writes the database itself.
        install: what a person does to get the program, as a sentence.
        silence_seconds: how long it may neither print nor write anything before it counts as hanging; 0 for
            ever.
        inputs: at most so many inputs are given to one start of it: what is lost when it dies without having
            written anything that can be read, against the time that it takes to start.
    """

    command: tuple[str, ...]
    manifest: Literal["parquet", "fits", "csv"] = "parquet"
    results: Literal["parquet", "fits", "ecsv", "csv"] = "parquet"
    columns: tuple[str, ...] = ()
    progress: str | None = None
    protocol: Literal["files", "astra"] = "files"
    install: str = ""
    silence_seconds: float = 7200.0
    inputs: int = 20_000

    def __post_init__(self) -> None:
        object.__setattr__(self, "command", tuple(self.command))
        object.__setattr__(self, "columns", tuple(self.columns))
        if not self.command:
            raise PipelineDeclarationError("an external program needs a command: name the program")
        if self.progress is not None and "done" not in re.compile(self.progress).groupindex:
            raise PipelineDeclarationError(
                f"{self.command[0]}: progress {self.progress!r} needs a group of the name `done`, (?P<done>...)"
            )


@dataclass(frozen=True)
class WorkContext:
    """What a worker knows of the world; it has no database.

    Attributes:
        roots: the folders that spectra are read from and written to.
        v_astra: version of the data products, such as `0.8.1`.
        planned: naive UTC time at which the batch was planned; `modified` of every row that it makes.
        settings: further settings as text, such as the path of a classifier.
    """

    roots: Roots
    v_astra: str
    planned: datetime
    settings: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Problem:
    """One spectrum that a step over sources could not use, although the source itself went through."""

    spectrum_pk: int
    code: str
    message: str


@dataclass(frozen=True)
class Products:
    """What a step over sources returns.

    Attributes:
        status: values of the row of the step's table (`source_pk`, times and version are filled in by the
            engine).
        rows: rows of the further tables of the step, by model, each with its `spectrum_pk` (`gather` looks
            up or reserves them). A row that is there under this key is replaced but for `pk` and `created`
            (in a table without times `pk` changes too); rows of the source that are no longer made are
            deleted.
        problems: inputs of the source that could not be used, recorded as outcomes of `<step>/visit`.
    """

    status: Mapping[str, Any]
    rows: Mapping[type[Base], list[Mapping[str, Any]]] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)


@dataclass(frozen=True)
class Step:
    """One step of a pipeline: an input model and a function from one input to one result.

    Attributes:
        name: `star`, `visit`, `star_filter`; unique in the pipeline.
        inputs: the input model: a spectrum model, or `Source`.
        function: called as `function(item, resources)`. `item` is a `Spectrum` (whose `row` is the manifest
            row), or the manifest row as a mapping where the inputs are sources. It returns an instance of the
            result table, a mapping of its columns, or `Products`; it raises `Skip` or `Unusable`. Arrays that it
            gives to pixel fields of the table (`virtual`) are kept in a file for later steps. None makes this
            a filter step: its requirements are evaluated and nothing runs; inputs that it skips are not seen
            by later steps on the same model.
        setup: called once per worker process with the `WorkContext`; returns the resources. Without it the
            resources are the context.
        requires: evaluated in order while planning; the first that is not fulfilled gives the code of the
            skip.
        columns: further columns of the manifest, as SQL expressions on the input model and `Source` (which
            are in the FROM clause as they are, not aliased) or scalar subqueries. See `this_version`. The
            default columns are `spectrum_pk`, `source_pk`, `sdss_id`, `snr` and those that the path of the
            spectrum needs.
        lookups: further columns of the manifest that are the same for all inputs of a source: by name a query of
            `source_pk`, the value, and columns that say which row counts where a source has several: the one
            with the least of them (NULL is last). Without a row the value is NULL. The rows are read once and
            kept in memory; a scalar subquery in `columns` would be run for each input.
        gather: called while planning as `gather(connection, rows, context)`, inside a transaction, for one
            chunk of manifest rows at a time; returns the same rows in the same order with further (also
            nested) columns.
        spectra: for inputs that are sources, the spectra that the function reads: from a row of the manifest to pairs of
            model and row. Whoever starts a batch looks whether their files are there.
        tables: further tables that the step writes.
        table: the table that it writes a row of for each input; default: the result table of the pipeline.
            Where pipelines share it, it has a column `pipeline`.
        after: names of earlier steps of the pipeline whose results it reads.
        stale: `stale(since)` is an SQL condition, True where something else that the result depends on was
            modified after `since` (a column or expression of type datetime). The input itself is always
            compared.
        eligible: an SQL condition; rows where it is not true are not inputs of this step at all.
        slurm: what the step asks of a cluster.
        program: an external program that does the step, in place of `function`.
    """

    name: str
    inputs: type[Base]
    function: Callable[..., Any] | None = None
    setup: Callable[[WorkContext], Any] | None = None
    requires: tuple[Requirement, ...] = ()
    columns: Mapping[str, ColumnElement[Any]] = field(default_factory=dict)
    lookups: Mapping[str, Select[Any]] = field(default_factory=dict)
    gather: Callable[[Connection, pa.Table, WorkContext], pa.Table] | None = None
    spectra: Callable[[Mapping[str, Any]], Iterable[tuple[type[Base], Mapping[str, Any]]]] | None = None
    tables: tuple[type[Base], ...] = ()
    table: type[Base] | None = None
    after: tuple[str, ...] = ()
    stale: Callable[[ColumnElement[Any]], Condition] | None = None
    eligible: Condition | None = None
    slurm: SlurmOptions = field(default_factory=SlurmOptions)
    program: ExternalProgram | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "requires", tuple(self.requires))
        object.__setattr__(self, "tables", tuple(self.tables))
        object.__setattr__(self, "after", tuple(self.after))
        if not _KEY.match(self.name):
            raise PipelineDeclarationError(f"step name {self.name!r}: use lower-case letters, digits and _")
        if self.function is not None and self.program is not None:
            raise PipelineDeclarationError(
                f"step {self.name!r} has a function and a program: leave one of them out"
            )
        if self.function is None and self.program is None and not self.requires:
            raise PipelineDeclarationError(
                f"step {self.name!r} has neither a function, a program nor a requirement: give it one of them"
            )

    @property
    def is_filter(self) -> bool:
        """True if the step only skips inputs and makes no results."""
        return self.function is None and self.program is None

    @property
    def level(self) -> str:
        """`source`, `star` or `visit`: what one input is."""
        if self.inputs.__name__ == "Source":
            return "source"
        return "star" if self.inputs.__name__ in _STAR_LEVEL else "visit"

    @property
    def key_name(self) -> str:
        """Column that identifies an input in manifests, result tables and outcomes."""
        return "source_pk" if self.level == "source" else "spectrum_pk"

    def resources(self, context: WorkContext) -> Any:
        """What the function gets as second argument: the return value of `setup`, or the context itself."""
        return context if self.setup is None else self.setup(context)


@dataclass(frozen=True)
class Pipeline:
    """A pipeline; everything else (assets, products, checks, commands) follows from this declaration.

    Attributes:
        name: what outcomes record, such as `SnowWhite`.
        key: verb of the command line and prefix of assets; default: the name in snake case.
        group: group of its assets; default: the name.
        product: suffix of its product files; default: the name.
        table: the result table; each step writes it, but filters and those with a table of their own.
        steps: in the order in which they run.
        after: names of the pipelines whose results this one reads.
        code_version: change it when the method changes: skips and failures of another code version are tried
            again.
        reference: `module:attribute` under which a worker finds the declaration; default: found by
            `reference_of`.
        derive: columns of a result that follow from others, such as flags of values outside limits:
            `derive(row)` gets the values of one result together with those of its manifest row (what is
            missing counts as unknown) and returns the columns to set. It is for results of external programs,
            which know nothing of these rules; functions set all columns themselves.
    """

    name: str
    table: type[Base]
    steps: tuple[Step, ...]
    key: str = ""
    group: str = ""
    product: str = ""
    after: tuple[str, ...] = ()
    code_version: str = "1"
    reference: str = ""
    derive: Callable[[Mapping[str, Any]], Mapping[str, Any]] | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "steps", tuple(self.steps))
        object.__setattr__(self, "after", tuple(self.after))
        object.__setattr__(self, "key", self.key or snake_case(self.name))
        object.__setattr__(self, "group", self.group or self.name)
        object.__setattr__(self, "product", self.product or self.name)
        if not _NAME.match(self.name):
            raise PipelineDeclarationError(f"pipeline name {self.name!r}: use letters, digits and _")
        if not _KEY.match(self.key):
            raise PipelineDeclarationError(
                f"{self.name}: key {self.key!r}: use lower-case letters, digits and _"
            )
        names = [step.name for step in self.steps]
        if not names or len(set(names)) != len(names):
            raise PipelineDeclarationError(
                f"{self.name}: needs at least one step and different step names, found {names}"
            )
        if self.name in self.after:
            raise PipelineDeclarationError(f"{self.name} is named in its own `after`: leave it out")
        for place, step in enumerate(self.steps):
            if not set(step.after) <= set(names[:place]):
                raise PipelineDeclarationError(
                    f"{self.name} {step.name}: `after` names {list(step.after)}, the earlier steps are {names[:place]}"
                )

    def step(self, name: str) -> Step:
        """The step of this name.

        Raises:
            KeyError: there is none; the message lists those that exist.
        """
        for step in self.steps:
            if step.name == name:
                return step
        known = ", ".join(step.name for step in self.steps)
        raise KeyError(f"{self.name} has no step {name!r}; it has: {known}")

    def written_by(self, step: Step) -> type[Base]:
        """The table that a step writes a row of for each input."""
        return step.table or self.table

    @property
    def result_steps(self) -> tuple[Step, ...]:
        """The steps that write the result table."""
        return tuple(step for step in self.steps if not step.is_filter and step.table is None)

    def waits_for(self, step: Step) -> tuple[Step, ...]:
        """Earlier steps that must be done before this one is planned: those on its inputs, and those that it reads."""
        earlier = self.steps[: self.steps.index(step)]
        return tuple(other for other in earlier if other.inputs is step.inputs or other.name in step.after)

    def filters_before(self, step: Step) -> tuple[Step, ...]:
        """Earlier filter steps on the same input model, whose skips count for `step`."""
        earlier = self.steps[: self.steps.index(step)]
        return tuple(other for other in earlier if other.is_filter and other.inputs is step.inputs)


def this_version() -> BindParameter[int]:
    """`v_astra_major_minor` of the running engine, for SQL expressions of a step; the engine fills it in.

    Example: `select(SnowWhite.classification).where(SnowWhite.v_astra_major_minor == this_version())`.
    """
    from sqlalchemy import Integer, bindparam

    return bindparam(VERSION_PARAMETER, type_=Integer())


def reference_of(pipeline: Pipeline) -> str:
    """`module:attribute` by which another process finds this pipeline.

    Looks in the modules (and their parent packages) of the result table and of the functions of the steps.

    Raises:
        PipelineDeclarationError: it is no attribute of any of them.
    """
    if pipeline.reference:
        return pipeline.reference
    homes = [pipeline.table.__module__]
    for step in pipeline.steps:
        homes += [part.__module__ for part in (step.function, step.setup) if hasattr(part, "__module__")]
    candidates = [
        ".".join(home.split(".")[:length]) for home in homes for length in range(home.count(".") + 1, 0, -1)
    ]
    for name in dict.fromkeys(candidates):
        if name == "__main__":
            continue
        for attribute, value in vars(sys.modules.get(name, object)).items():
            if value is pipeline:
                return f"{name}:{attribute}"
    looked_in = ", ".join(dict.fromkeys(homes))
    raise PipelineDeclarationError(
        f"{pipeline.name}: workers cannot find its declaration in {looked_in}. Assign it to a name in an "
        'importable module, or say where it is with reference="module:ATTRIBUTE".'
    )
