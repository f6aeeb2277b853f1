"""Where things are and how work is run: environment variables, then `astra.toml`, then defaults.

What a release contains is in `releases` and `own_releases`, what a pipeline needs in its declaration.
"""

from __future__ import annotations

import copy
import os
import re
from collections.abc import Collection, Iterator, Mapping
from contextvars import ContextVar
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AliasChoices, Field, ValidationError, field_validator, model_validator
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, NoDecode, PydanticBaseSettingsSource, SettingsConfigDict
from sqlalchemy import URL

from astra_assets.config.own_releases import ReleaseSettings, SettingsError, unusable
from astra_assets.config.profile import SlurmProfile
from astra_assets.config.programs import ProgramSettings
from astra_assets.config.security import SecuritySettings
from astra_assets.database.placement import OWN_SCHEMA
from astra_assets.database.urls import parse_url

__all__ = ["Compute", "Settings", "SettingsError", "load_settings", "usable_settings"]

Compute = Literal["local", "slurm"]
"""Where pipelines run: on this machine, or on a cluster."""

LONGEST_PATH, LONGEST_NAME = 4_095, 255
"""Characters of a path and of one name in it, at the most: what Linux can open."""

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


class Settings(ReleaseSettings):
    """Settings of one deployment.

    Each field is read from the environment variable named in it, else from the key of the field's name in
    the `astra.toml` that `ASTRA_CONFIG` names (or `./astra.toml` where that exists), else it has its default.
    """

    model_config = SettingsConfigDict(env_prefix="ASTRA_", frozen=True, extra="forbid", env_ignore_empty=True)

    home: Path = Field(default=Path("astra-data"), description="folder of everything we write")
    database_url: str | None = Field(
        default=None, repr=False, description="URL of SQLAlchemy or libpq; SQLite below home by default"
    )
    database_schema: str | None = Field(default=None, description="PostgreSQL schema of the tables")
    own_schema: str = Field(
        default=OWN_SCHEMA, description="schema of our tables where database_schema is that of another Astra"
    )
    sas_base_dir: Path | None = Field(
        default=None,
        validation_alias=AliasChoices("SAS_BASE_DIR", "sas_base_dir"),
        description="root of the Science Archive Server; the demo survey when not set",
    )
    mwm_astra: Path | None = Field(
        default=None,
        validation_alias=AliasChoices("MWM_ASTRA", "mwm_astra"),
        description="root of the products; below home by default",
    )
    catalogs: Annotated[tuple[Path, ...], NoDecode] = Field(
        default=(), description="source catalogue files, in order; in the environment separated by ':'"
    )
    sfd_map: Path | None = Field(
        default=None,
        description="folder of the dust map of Schlegel, Finkbeiner & Davis, for E(B-V) of sources; none by default",
    )
    compute: Compute = Field(default="local", description="where pipelines run")
    slurm: Annotated[SlurmProfile, NoDecode] = Field(
        default=SlurmProfile(),
        description="what the site asks of its cluster: the table [slurm] of astra.toml",
    )
    programs: Annotated[dict[str, ProgramSettings], NoDecode] = Field(
        default={}, description="programs of other people: the table [programs] of astra.toml"
    )
    security: Annotated[SecuritySettings, NoDecode] = Field(
        default=SecuritySettings(),
        description="who may read batches and whose results are collected: the table [security] of astra.toml",
    )
    procs: int | None = Field(
        default=None, ge=1, description="worker processes of a local batch; all cores by default"
    )
    max_attempts: int = Field(
        default=2, ge=1, description="how often a spectrum may fail before it is left alone"
    )
    config: Path | None = Field(default=None, description="the astra.toml in use")
    snow_white_classifier: Path | None = Field(
        default=None, description="ONNX file instead of the packaged classifier"
    )

    @field_validator(
        "home", "sas_base_dir", "mwm_astra", "sfd_map", "snow_white_classifier", "config", mode="after"
    )
    @classmethod
    def absolute(cls, value: Path | None) -> Path | None:
        """Relative folders are those of the moment the program started."""
        return None if value is None else usable_path(value)

    @field_validator("catalogs", mode="before")
    @classmethod
    def split(cls, value: Any) -> Any:
        """A text is a list of paths as in PATH."""
        return [part for part in value.split(os.pathsep) if part] if isinstance(value, str) else value

    @field_validator("catalogs", mode="after")
    @classmethod
    def absolute_each(cls, value: tuple[Path, ...]) -> tuple[Path, ...]:
        """Relative files are those of the moment the program started."""
        return tuple(map(usable_path, value))

    @field_validator("sas_base_dir", mode="after")
    @classmethod
    def existing(cls, value: Path | None) -> Path | None:
        """A survey that is named must be there: a typing error must not start an empty one."""
        if value is not None and not value.is_dir():
            raise ValueError(
                f"{value} is no folder; set SAS_BASE_DIR to the archive's root, or unset it to use the demo"
            )
        return value

    @field_validator("database_url", mode="after")
    @classmethod
    def usable_url(cls, value: str | None) -> str | None:
        """The URL must be one of a database that we know; it becomes one that every driver understands."""
        return None if value is None else parse_url(value).render_as_string(hide_password=False)

    @model_validator(mode="after")
    def schema_needs_postgresql(self) -> Settings:
        """SQLite has no schemas."""
        if self.database_schema and self.database.startswith("sqlite"):
            raise ValueError(
                "ASTRA_DATABASE_SCHEMA needs PostgreSQL: set ASTRA_DATABASE_URL, or unset the schema"
            )
        return self

    @property
    def is_demo(self) -> bool:
        """True when no survey is configured, so that the synthetic one serves."""
        return self.sas_base_dir is None

    @property
    def demo_folder(self) -> Path:
        """Where the demo survey is."""
        return self.home / "demo"

    @property
    def archive(self) -> Path:
        """Root that the paths of reduced spectra are relative to."""
        return self.sas_base_dir or self.demo_folder

    @property
    def products_root(self) -> Path:
        """Root that the paths of our products are relative to ($MWM_ASTRA)."""
        return self.mwm_astra or self.home / "mwm"

    @property
    def catalog_files(self) -> tuple[Path, ...]:
        """Source catalogues to ingest; those of the demo survey when none is configured."""
        if self.catalogs or not self.is_demo:
            return self.catalogs
        return tuple(sorted((self.demo_folder / "catalogs").glob("*.fits*")))

    @cached_property
    def database(self) -> str:
        """URL of the database."""
        if self.database_url:
            return self.database_url
        return URL.create("sqlite", database=str(self.home / "astra.db")).render_as_string()

    @property
    def pipeline_settings(self) -> Mapping[str, str]:
        """What worker processes are told, as text."""
        if self.snow_white_classifier is None:
            return {}
        return {"snow_white_classifier": str(self.snow_white_classifier)}


def load_settings(**overrides: Any) -> Settings:
    """Settings from arguments, environment, file and defaults.

    Raises:
        SettingsError: one message with every problem found.
    """
    try:
        return Settings(**overrides)
    except ValidationError as error:
        raise unusable(error) from None


def usable_path(path: Path) -> Path:
    """An absolute path, `~` filled in, that a file system could have.

    Raises:
        ValueError: none could.
    """
    text = str(path)
    if len(text) > LONGEST_PATH or any(len(part) > LONGEST_NAME for part in path.parts):
        raise ValueError(f"{text[:40]!r}... has {len(text):,} characters, more than a path can have")
    if _CONTROL.search(text):
        raise ValueError(f"{text!r} has a control character, which no path has")
    try:
        return path.expanduser().absolute()
    except RuntimeError:
        raise ValueError(f"{text}: there is no user {path.parts[0].removeprefix('~')}") from None


Location = tuple[str | int, ...]
"""Where a value stands: the field, then keys of tables."""

_UNUSABLE: ContextVar[frozenset[Location]] = ContextVar("_UNUSABLE", default=frozenset())


class _Without(PydanticBaseSettingsSource):
    """Another source, without the values that cannot be used."""

    def __init__(self, settings_cls: type[BaseSettings], source: PydanticBaseSettingsSource) -> None:
        super().__init__(settings_cls)
        self.source = source

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        """As the other source."""
        return self.source.get_field_value(field, field_name)

    def __call__(self) -> dict[str, Any]:
        content = copy.deepcopy(self.source())
        for place in _UNUSABLE.get():
            _remove(content, place)
        return content


class _Forgiving(Settings):
    """Settings without keys that are not known, values that cannot be used, and a file that cannot be read."""

    model_config = SettingsConfigDict(extra="ignore")

    @classmethod
    def settings_customise_sources(
        cls, settings_cls: type[BaseSettings], *sources: Any, **named: Any
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """As those that are strict, where that is possible."""
        try:
            found = super().settings_customise_sources(settings_cls, *sources, **named)
        except SettingsError:
            found = named["init_settings"], named["env_settings"]
        return tuple(_Without(settings_cls, source) for source in found)


def usable_settings() -> tuple[Settings, tuple[str, ...]]:
    """The settings without what cannot be used in them, and all that is wrong; for looking at the rest.

    Of `[slurm]` only the keys that are wrong are left out; of other tables, the release or the program that is wrong.

    Raises:
        SettingsError: something is wrong that is no value of a setting.
    """
    try:
        settings = load_settings()
    except SettingsError as error:
        problems = error.problems
    else:
        return settings, tuple(_unknown_release(settings))
    unusable_places: set[Location] = set()
    while True:
        token = _UNUSABLE.set(frozenset(unusable_places))
        try:
            settings = _Forgiving()
        except ValidationError as error:
            # Only the schema is checked against another setting.
            places = [each["loc"] or ("database_schema",) for each in error.errors()]
            # Half a release or program is another one.
            found = {place[:2] if place[0] in ("releases", "programs") else place for place in places}
            # What cannot be used even without the part that was wrong cannot be used at all.
            wider = {_shorter(place, unusable_places) for place in found} - unusable_places
            if not wider:
                raise unusable(error) from None
            unusable_places |= wider
        else:
            return settings, (*problems, *_unknown_release(settings))
        finally:
            _UNUSABLE.reset(token)


def _unknown_release(settings: Settings) -> Iterator[str]:
    try:
        assert settings.v_astra
    except SettingsError as error:
        yield from error.problems


def _shorter(place: Location, known: Collection[Location]) -> Location:
    """A place, or the innermost one around it that is not known yet."""
    while place in known and len(place) > 1:
        place = place[:-1]
    return place


def _remove(content: dict[str, Any], place: Location) -> None:
    """Remove a value, or the innermost one around it that there is."""
    inside: Any = content
    last: tuple[Any, Any] | None = None
    for part in place:
        key = next((each for each in inside if _same(each, part)), None) if isinstance(inside, dict) else None
        if key is None:
            break
        last = inside, key
        inside = inside[key]
    if last is not None:
        del last[0][last[1]]


def _same(key: object, part: object) -> bool:
    # A variable of the environment has its name in capitals or not, as it comes.
    return str(key).lower() == str(part).lower()
