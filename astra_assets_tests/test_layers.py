"""Who may import whom: the arrows of the architecture, read from the source."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "astra_assets"

NOUNS = {
    "definitions",
    "assets",
    "jobs",
    "schedules",
    "sensors",
    "checks",
    "resources",
    "run_log",
    "executors",
    "termination",
}
EVERYTHING_BELOW = {
    "operations",
    "publishing",
    "trial",
    "declared",
    "listing",
    "work",
    "explain",
    "health",
    "profile",
    "programs",
    "standing",
    "settings",
    "own_releases",
    "releases",
    "models",
    "ingest",
    "spectra",
    "pipelines",
    "compute",
    "fits",
    "products",
}
ALLOWED = {
    **{noun: NOUNS | EVERYTHING_BELOW | {"demo"} for noun in NOUNS},
    "cli": EVERYTHING_BELOW | {"demo"},
    "publishing": {"declared", "products", "fits", "pipelines", "models", "settings", "releases"},
    "listing": {"products", "models"},
    "work": {"standing", "programs", "compute", "pipelines", "spectra", "models", "settings", "releases"},
    "standing": {"compute", "pipelines"},
    "explain": {"compute", "models"},
    "health": {"compute", "pipelines", "models", "programs", "releases", "settings"},
    "declared": {"pipelines", "products", "models", "releases"},
    "trial": {"pipelines", "spectra", "models"},
    "operations": EVERYTHING_BELOW | {"demo"},
    "demo": {
        "settings",
        "releases",
        "models",
        "ingest",
        "spectra",
        "pipelines",
        "compute",
        "fits",
        "products",
    },
    "compute": {"pipelines", "spectra", "models"},
    "pipelines": {"spectra", "models"},
    "products": {"fits", "models"},
    "spectra": {"fits", "models"},
    "ingest": {"models"},
    "fits": {"models"},
    "profile": {"compute", "pipelines", "models"},
    "programs": {"compute", "pipelines"},
    "settings": {"profile", "programs", "own_releases", "models"},
    "own_releases": {"releases", "pipelines", "models"},
    "releases": {"models"},
    "models": set(),
}


def source_files() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def layer(path: Path) -> str:
    part = path.relative_to(PACKAGE).parts[0]
    return "" if part == "__init__.py" else part.removesuffix(".py")


def imports(path: Path) -> Iterator[tuple[str, int]]:
    """Absolute module names that a file imports, also inside functions and for types only."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: relative import"
            yield node.module or "", node.lineno
            if node.module == "astra_assets":
                parts = [alias.name for alias in node.names if not alias.name.startswith("__")]
                yield from ((f"astra_assets.{part}", node.lineno) for part in parts)


def test_every_module_belongs_to_a_layer():
    assert {layer(path) for path in source_files()} - {""} == set(ALLOWED)


@pytest.mark.parametrize("path", source_files(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_follow_the_arrows(path):
    own = layer(path)
    for name, line in imports(path):
        if not name.startswith("astra_assets."):
            continue
        other = name.split(".")[1]
        assert other == own or other in ALLOWED.get(own, set()) or (own == "" and other == "models"), (
            f"{path}:{line}: {own} imports {name}; {own} may import {sorted(ALLOWED.get(own, set()))}"
        )


@pytest.mark.parametrize("path", source_files(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_only_the_dagster_nouns_import_dagster_and_nobody_its_private_parts(path):
    for name, line in imports(path):
        if name.split(".")[0].startswith("dagster"):
            assert layer(path) in NOUNS, f"{path}:{line}: {name} below the Dagster nouns"
            assert "._" not in name, f"{path}:{line}: {name} is private"


def module_name(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def test_no_import_circles_between_modules():
    modules = {module_name(path): path for path in source_files()}
    graph = {
        name: {other for other, _ in top_level_imports(path) if other in modules and other != name}
        for name, path in modules.items()
    }
    done: set[str] = set()

    def visit(name: str, trail: tuple[str, ...]) -> None:
        assert name not in trail, "import circle: " + " -> ".join([*trail[trail.index(name) :], name])
        if name in done:
            return
        for other in graph[name]:
            visit(other, (*trail, name))
        done.add(name)

    for name in graph:
        visit(name, ())


def top_level_imports(path: Path) -> Iterator[tuple[str, int]]:
    """What is imported when the module is loaded: not in functions, not under TYPE_CHECKING."""
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.ImportFrom):
            yield node.module or "", node.lineno
            yield from ((f"{node.module}.{alias.name}", node.lineno) for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)


def test_files_and_functions_stay_small():
    for path in source_files():
        text = path.read_text()
        assert len(text.splitlines()) <= 400, f"{path} has more than 400 lines: split it by meaning"
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                length = (node.end_lineno or node.lineno) - node.lineno + 1
                assert length <= 50, f"{path}:{node.lineno}: {node.name} has {length} lines"


def test_every_file_says_what_belongs_in_it():
    for path in source_files():
        assert ast.get_docstring(ast.parse(path.read_text())), f"{path} has no docstring"
