"""The releases of a deployment: those of this package, and those that its `astra.toml` declares in tables `[releases.NAME]`.

Belongs here: the table as people write it, what is refused, which releases a deployment serves. Does not belong here: what a
release is (`releases`), the other settings (`settings`). Loading the definitions needs this and no other setting.
"""

from __future__ import annotations

import difflib
import keyword
import os
import re
import tomllib
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextvars import ContextVar
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator
from pydantic_settings import (
    BaseSettings,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from astra_assets.config.releases import MAIN, RELEASES, Release
from astra_assets.errors import ExpectedError
from astra_assets.registry.version import version_integer, version_text

_NAME = re.compile(r"[A-Za-z](?:_?[A-Za-z0-9])*\Z")
_REDUCTION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*\Z")


KNOWN_PIPELINES: ContextVar[Collection[str]] = ContextVar("KNOWN_PIPELINES", default=())
"""Keys of all pipelines, for who knows them already: importing the pipelines to ask them takes a second."""


class SettingsError(ExpectedError):
    """The settings cannot be used; the message lists every problem and what to type."""

    def __init__(self, problems: Sequence[str]) -> None:
        lines = [problem.replace("\n", "\n    ") for problem in problems]
        super().__init__("\n  ".join(["These settings cannot be used:", *lines]))
        self.problems = tuple(problems)


class DeclaredRelease(BaseModel):
    """The table `[releases.NAME]` of `astra.toml`; the keys are those of `Release`."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    description: str = Field(default="", description="One sentence for people.")
    run2d: list[str] = Field(default=[], description="BOSS reductions to ingest.")
    apred: list[str] = Field(default=[], description="APOGEE reductions to ingest.")
    v_astra: str = Field(default=MAIN.v_astra, description="Version of the analysis.")
    pipelines: list[str] = Field(description="Keys of the pipelines that run.")

    @field_validator("v_astra", mode="after")
    @classmethod
    def version(cls, value: str) -> str:
        """A version as Astra spells it: it is a folder's name, too."""
        full = version_text(version_integer(value))
        if value not in (full, full.removesuffix(".0")):
            raise ValueError(f"an Astra version looks like 0.8.1, found {value!r}; write {full}")
        return value

    @field_validator("run2d", "apred", mode="after")
    @classmethod
    def reductions(cls, value: list[str]) -> list[str]:
        """Names of reductions, which are parts of paths."""
        wrong = [each for each in value if not _REDUCTION.match(each)]
        if wrong:
            raise ValueError(f"{', '.join(map(repr, wrong))}: a reduction is called like v6_2_1 or 1.5")
        return value

    @field_validator("pipelines", mode="after")
    @classmethod
    def known(cls, value: list[str]) -> list[str]:
        """Pipelines that there are, each once."""
        there = KNOWN_PIPELINES.get() or pipeline_keys()
        problems = [_no_pipeline(key, there) for key in value if key not in there]
        twice = sorted({key for key in value if value.count(key) > 1})
        problems += [f"{', '.join(twice)}: named twice"] if twice else []
        if problems:
            raise ValueError("; ".join(problems))
        return value

    @model_validator(mode="after")
    def made_from_something(self) -> DeclaredRelease:
        """A release without a reduction would have no spectra."""
        if not self.run2d and not self.apred:
            raise ValueError('names no reduction: add run2d = ["v6_2_1"], or apred')
        return self

    def release(self, name: str) -> Release:
        """The release of this name."""
        described = self.description or f"The release {name} of this deployment."
        reductions = tuple(self.run2d), tuple(self.apred)
        return Release(name, described, *reductions, v_astra=self.v_astra, pipelines=tuple(self.pipelines))


class ReleaseSettings(BaseSettings):
    """Which releases a deployment has, and which of them it serves.

    Each field is read from the environment variable named like it (`ASTRA_RELEASE`), else from its key in the `astra.toml`
    that `ASTRA_CONFIG` names (or `./astra.toml` where that exists), else it has its default.
    """

    model_config = SettingsConfigDict(env_prefix="ASTRA_", frozen=True, extra="ignore", env_ignore_empty=True)

    release: str = Field(default=MAIN.name, description="release whose v_astra this deployment serves")
    releases: Annotated[dict[str, DeclaredRelease], NoDecode] = Field(
        default={}, description="releases of this deployment: the tables [releases.NAME] of astra.toml"
    )

    @field_validator("releases", mode="after")
    @classmethod
    def named(cls, value: dict[str, DeclaredRelease]) -> dict[str, DeclaredRelease]:
        """Names that jobs, schedules and sensors can have, and no other release has."""
        problems = list(_wrong_names(value))
        if problems:
            raise ValueError("; ".join(problems))
        return value

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments win over the environment, the environment over the file."""
        del dotenv_settings, file_secret_settings
        sources = [init_settings, env_settings]
        file = config_file()
        if file is not None:
            try:
                sources.append(TomlConfigSettingsSource(settings_cls, toml_file=file))
            except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError, RecursionError) as error:
                why = "its values are nested too deeply" if isinstance(error, RecursionError) else error
                raise SettingsError([f"{file.absolute()} cannot be read: {why}; correct it there"]) from None
        return tuple(sources)

    @cached_property
    def known_releases(self) -> dict[str, Release]:
        """All releases by name: those of this package, then those of the deployment."""
        return RELEASES | {name: declared.release(name) for name, declared in self.releases.items()}

    @property
    def v_astra(self) -> str:
        """The version that the deployment serves.

        Raises:
            SettingsError: there is no release of the name that `release` says.
        """
        if self.release not in self.known_releases:
            setting = f"ASTRA_RELEASE (or release in {config_file() or 'astra.toml'})"
            known = ", ".join(self.known_releases)
            advice = f"choose one of: {known}, or declare [releases.{self.release}]"
            raise SettingsError([f"{setting}: there is no release {self.release!r}; {advice}"])
        return self.known_releases[self.release].v_astra

    @property
    def served_releases(self) -> dict[str, Release]:
        """The releases of the version that the deployment serves: they share its products, and have jobs."""
        return {name: each for name, each in self.known_releases.items() if each.v_astra == self.v_astra}


def pipeline_keys() -> tuple[str, ...]:
    """Keys of all pipelines.

    Raises:
        ExpectedError: they are declared in a way that cannot work.
    """
    from astra_assets.pipelines import PIPELINES
    from astra_assets.pipelines.base import PipelineDeclarationError

    try:
        return tuple(pipeline.key for pipeline in PIPELINES)
    except PipelineDeclarationError as error:
        # As it is: pydantic would take it for a problem of the table that is being read.
        raise ExpectedError(str(error)) from None


def _no_pipeline(key: str, there: Collection[str]) -> str:
    near = difflib.get_close_matches(key.lower(), there, n=1)
    hint = f"did you mean {near[0]}?" if near else f"there are: {', '.join(there)}"
    return f"there is no pipeline {key!r}; {hint}"


def _wrong_names(names: Mapping[str, object]) -> Iterator[str]:
    seen = {name.lower(): "of this package" for name in RELEASES}
    for name in names:
        if not _NAME.match(name) or keyword.iskeyword(name):
            yield (
                f"{name!r} cannot be the name of a job: begin with a letter, then letters, digits and single underscores"
            )
        elif name.lower() in seen:
            yield f"{name!r} is the name of a release {seen[name.lower()]}: choose another"
        seen.setdefault(name.lower(), "above it")


def config_file() -> Path | None:
    """The `astra.toml` in use.

    Raises:
        SettingsError: `ASTRA_CONFIG` names a file that is not there.
    """
    named = os.environ.get("ASTRA_CONFIG")
    if named:
        if not _is_file(named):
            shown = named if len(named) < 200 else f"{named[:40]}... ({len(named):,} characters)"
            raise SettingsError(
                [f"ASTRA_CONFIG={shown}: there is no such file; correct the path or unset ASTRA_CONFIG"]
            )
        return Path(named)
    default = Path("astra.toml")
    return default if default.is_file() else None


def _is_file(name: str) -> bool:
    try:
        return Path(name).is_file()
    except (OSError, ValueError):
        # No file can have such a name.
        return False


def load_releases(pipelines: Collection[str] = (), **overrides: Any) -> ReleaseSettings:
    """The releases of the deployment, from arguments, environment, file and defaults; no other setting is looked at.

    `pipelines` are the keys of all pipelines, where they are known.

    Raises:
        SettingsError: one message with every problem found.
    """
    wanted = {name: overrides[name] for name in ReleaseSettings.model_fields if name in overrides}
    token = KNOWN_PIPELINES.set(pipelines)
    try:
        return ReleaseSettings(**wanted)
    except ValidationError as error:
        raise unusable(error) from None
    finally:
        KNOWN_PIPELINES.reset(token)


def unusable(error: ValidationError) -> SettingsError:
    """All problems of settings in one message."""
    return SettingsError(
        [
            f"{problem_name(problem)}: {problem['msg'].removeprefix('Value error, ')}"
            for problem in error.errors()
        ]
    )


def problem_name(problem: Mapping[str, Any]) -> str:
    """What a person would change to mend the problem: a variable, or a key of a table in a file."""
    file = config_file() or "astra.toml"
    parts = [str(part) for part in problem["loc"]]
    depths = {"slurm": max(len(parts) - 1, 1), "releases": 2, "programs": 1}
    if parts and parts[0] in depths:
        # So many parts are the name of the table: of a release two, of a table of [slurm] all but the last.
        depth = depths[parts[0]]
        table, key = f"[{'.'.join(parts[:depth])}] of {file}", ".".join(parts[depth:])
        return f"{key} in {table}" if key else table
    name = ".".join(parts) or "settings"
    return name if name.isupper() else f"ASTRA_{name.upper()} (or {name} in {file})"
