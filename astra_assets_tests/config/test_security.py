"""Who is trusted, as `astra.toml` says it."""

from __future__ import annotations

import os
import pwd

import pytest

from astra_assets.compute.batch import BatchAccess
from astra_assets.config.settings import SettingsError, load_settings


@pytest.fixture
def access(tmp_path, monkeypatch):
    def said(text):
        file = tmp_path / "astra.toml"
        file.write_text(text)
        monkeypatch.setenv("ASTRA_CONFIG", str(file))
        return load_settings().security.access

    return said


def test_nobody_else_is_trusted_by_default(access):
    assert access("") == BatchAccess(frozenset(), group_readable=False)


def test_operators_are_named_and_the_group_may_read(access):
    me = pwd.getpwuid(os.geteuid())
    text = f'[security]\noperators = ["{me.pw_name}"]\ngroup_readable = true\n'
    assert access(text) == BatchAccess(frozenset({me.pw_uid}), group_readable=True)


def test_a_name_that_no_user_has_is_refused(access):
    with pytest.raises(SettingsError, match="there is no user 'nobody-of-this-name' on this machine"):
        access('[security]\noperators = ["nobody-of-this-name"]\n')
