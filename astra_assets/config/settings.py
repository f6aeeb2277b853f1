"""Where things are and how work is run: environment variables, then `astra.toml`, then defaults.

Belongs here: the settings of a deployment, their validation and their defaults.
Does not belong here: what a release contains (`releases`, `own_releases`), what a pipeline needs (its declaration).
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AliasChoices, Field, ValidationError, field_validator, model_validator
from pydantic_settings import NoDecode, PydanticBaseSettingsSource, SettingsConfigDict
from sqlalchemy import URL

from astra_assets.config.own_releases import ReleaseSettings, SettingsError, unusable
from astra_assets.config.profile import SlurmProfile
from astra_assets.config.programs import ProgramSettings
from astra_assets.database.placement import OWN_SCHEMA
from astra_assets.database.urls import parse_url

__all__ = ["Compute", "Settings", "SettingsError", "load_settings", "usable_settings"]

Compute = Literal["local", "slurm"]
"""Where pipelines run: on this machine, or on a cluster."""


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

    @field_validator("home", "sas_base_dir", "mwm_astra", "sfd_map", "snow_white_classifier", mode="after")
    @classmethod
    def absolute(cls, value: Path | None) -> Path | None:
        """Relative folders are those of the moment the program started."""
        return None if value is None else value.expanduser().absolute()

    @field_validator("catalogs", mode="before")
    @classmethod
    def split(cls, value: Any) -> Any:
        """A text is a list of paths as in PATH."""
        return [part for part in value.split(os.pathsep) if part] if isinstance(value, str) else value

    @field_validator("catalogs", mode="after")
    @classmethod
    def absolute_each(cls, value: tuple[Path, ...]) -> tuple[Path, ...]:
        """Relative files are those of the moment the program started."""
        return tuple(path.expanduser().absolute() for path in value)

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


class _Forgiving(Settings):
    """Settings without keys that are not known, and without a file that cannot be read."""

    model_config = SettingsConfigDict(extra="ignore")

    @classmethod
    def settings_customise_sources(
        cls, *sources: Any, **named: Any
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """As those that are strict, where that is possible."""
        try:
            return super().settings_customise_sources(*sources, **named)
        except SettingsError:
            return named["init_settings"], named["env_settings"]


def usable_settings() -> tuple[Settings, tuple[str, ...]]:
    """The settings with the default for each that cannot be used, and all that is wrong; for looking at the rest."""
    try:
        return load_settings(), ()
    except SettingsError as error:
        problems = error.problems
    defaults: dict[str, Any] = {}
    for _ in Settings.model_fields:
        try:
            return _Forgiving(**defaults), problems
        except ValidationError as error:
            # Only the schema is checked against another setting.
            names = [str((problem["loc"] or ("database_schema",))[0]) for problem in error.errors()]
            defaults |= {name: Settings.model_fields[name.lower()].default for name in names}
    return _Forgiving(**defaults), problems
