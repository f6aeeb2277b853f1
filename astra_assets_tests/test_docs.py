"""The documentation says what is true: names exist, files are described, the data model is that of the registry."""

from __future__ import annotations

import re
from pathlib import Path

import click
import pytest

from astra_assets.cli import main_group
from astra_assets.models.describe import describe
from astra_assets.operations.tables import all_tables
from astra_assets_tests.project import PROJECT

PAGES = [PROJECT / "README.md", *sorted((PROJECT / "docs").glob("*.md"))]


def commands(page: Path) -> list[list[str]]:
    """The lines of console blocks, without comments, as lists of words."""
    blocks = re.findall(r"```console\n(.*?)```", page.read_text(), re.DOTALL)
    lines = [line.partition("  #")[0].strip() for block in blocks for line in block.splitlines()]
    return [line.split() for line in lines if line]


def all_commands() -> list[list[str]]:
    return [words for page in PAGES for words in commands(page)]


def test_the_readme_is_short_enough_to_be_read():
    assert len((PROJECT / "README.md").read_text().splitlines()) < 200


def test_every_command_of_ours_that_a_page_shows_exists_with_its_options():
    shown = [words[1:] for words in all_commands() if words[0] == "astra-assets"]
    assert len(shown) > 20
    for verb, *rest in shown:
        command = main_group.commands.get(verb)
        assert command is not None, f"astra-assets {verb} is no verb"
        known = {option for param in command.params for option in [*param.opts, *param.secondary_opts]}
        wrong = [word for word in rest if word.startswith("--") and word.partition("=")[0] not in known]
        assert not wrong, f"astra-assets {verb} has no {wrong}"


def test_every_make_target_that_a_page_shows_exists():
    makefile = (PROJECT / "Makefile").read_text()
    targets = {words[1] for words in all_commands() if words[0] == "make"}
    assert {"dr20", "test", "ui", "help"} <= targets
    for target in targets:
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), f"make {target}"


def test_every_link_of_a_page_leads_to_a_file():
    for page in PAGES:
        for target in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_every_module_that_a_page_names_exists():
    package = PROJECT / "astra_assets"
    named = re.compile(r"`((?:[a-z_0-9]+/)+(?:[a-z_0-9]+\.py)?|[a-z_0-9]+\.py)`")
    found = named.findall((PROJECT / "docs" / "architecture.md").read_text())
    assert len(found) > 60
    missing = [name for name in found if not (package / name).exists() and not list(package.rglob(name))]
    assert missing == []


@pytest.mark.parametrize("verb", sorted(main_group.commands))
def test_every_verb_says_what_it_does(verb):
    command = main_group.commands[verb]
    assert command.help
    for param in command.params:
        if isinstance(param, click.Option):
            assert param.help, f"astra-assets {verb} {param.opts}"


def test_the_page_of_the_data_model_is_that_of_the_registry():
    page = (PROJECT / "docs" / "data-model.md").read_text()
    for name, model in all_tables().items():
        if model.__module__.startswith("astra_assets."):
            assert describe(model) in page, f"{name} has changed; type: make docs"
