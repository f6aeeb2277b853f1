"""Versions of Astra as text, integer and minor version."""

from __future__ import annotations

import pytest

from astra_assets.registry.version import major_minor, version_integer, version_text


@pytest.mark.parametrize(
    ("text", "integer", "minor"), [("0.8.1", 8001, 8), ("0.8", 8000, 8), ("1.2.34", 1002034, 1002)]
)
def test_version_text_integer_and_minor_version_agree(text, integer, minor):
    assert version_integer(text) == integer
    assert major_minor(text) == major_minor(integer) == minor
    assert version_integer(version_text(integer)) == integer


@pytest.mark.parametrize("text", ["", "0", "v0.8.1", "0.8.1.2", "0.1000.0", "8001"])
def test_what_is_no_version_is_refused_with_an_example(text):
    with pytest.raises(ValueError, match=r"looks like 0\.8\.1"):
        version_integer(text)


def test_negative_integer_is_no_version():
    with pytest.raises(ValueError, match="not negative"):
        version_text(-1)
