"""A verb is found by its name: one module in `cli`, one in `operations`, and a function of this name in each."""

from __future__ import annotations

import importlib
from types import FunctionType

import pytest

from astra_assets.cli import main_group

NAMES = {"srun": ("run", "run"), "try": ("try_", "try_")}
"""Verbs that are not called as their modules: one is the same verb at another place, the other a keyword."""


@pytest.mark.parametrize("verb", sorted(main_group.commands))
def test_a_verb_is_one_word_in_both_layers(verb):
    module, function = NAMES.get(verb, (verb, verb))
    operation = importlib.import_module(f"astra_assets.operations.{module}")
    command = importlib.import_module(f"astra_assets.cli.{module}")
    assert isinstance(getattr(operation, function), FunctionType)
    assert getattr(command, function if verb != "srun" else verb) is main_group.commands[verb]
