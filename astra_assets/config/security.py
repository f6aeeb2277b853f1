"""The table `[security]` of `astra.toml`: who may read batches, and whose results are collected."""

from __future__ import annotations

import pwd

from pydantic import BaseModel, ConfigDict, Field, field_validator

from astra_assets.compute.batch import BatchAccess


class SecuritySettings(BaseModel):
    """Users whom a deployment trusts."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    operators: tuple[str, ...] = Field(
        default=(),
        strict=False,
        description="Users whose results are collected, next to the owner of a batch.",
    )
    group_readable: bool = Field(
        default=False, description="Whether the group may read the folders of batches, such as logs."
    )

    @field_validator("operators", mode="after")
    @classmethod
    def known(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        """A misspelt name must not be ignored."""
        for name in value:
            _user_id(name)
        return value

    @property
    def access(self) -> BatchAccess:
        """What the engine is told."""
        return BatchAccess(frozenset(map(_user_id, self.operators)), self.group_readable)


def _user_id(name: str) -> int:
    try:
        return pwd.getpwnam(name).pw_uid
    except KeyError:
        raise ValueError(f"there is no user {name!r} on this machine") from None
