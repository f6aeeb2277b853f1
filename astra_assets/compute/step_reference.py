"""Tell a worker program which step it runs: on its command line, never in the folder of a batch.

Whoever can write to a shared disk can change `batch.json`. What is imported and executed is therefore known from the process
that starts a worker: its registered pipelines, and its settings.
"""

from __future__ import annotations

import importlib
import sys
from argparse import ArgumentParser, Namespace
from dataclasses import dataclass
from pathlib import Path

from astra_assets.pipelines.base import Pipeline, PipelineDeclarationError, reference_of


@dataclass(frozen=True)
class StepReference:
    """Where another process finds the code of a step.

    Attributes:
        declaration: `module:attribute` of the pipeline.
        import_path: folder that the module is found in; empty for those of this package.
        program: call of the external program that does the step, as JSON; empty for a function.
    """

    declaration: str
    import_path: str = ""
    program: str = ""

    @property
    def module(self) -> str:
        """The module of the declaration."""
        return self.declaration.partition(":")[0]

    def load(self) -> Pipeline:
        """Import the declaration.

        Raises:
            PipelineDeclarationError: the reference leads to something else.
        """
        module, _, attribute = self.declaration.partition(":")
        if self.import_path and self.import_path not in sys.path:
            sys.path.append(self.import_path)
        found = getattr(importlib.import_module(module), attribute, None)
        if not isinstance(found, Pipeline):
            raise PipelineDeclarationError(f"{self.declaration} is no declaration of a pipeline: {found!r}")
        return found

    def arguments(self) -> tuple[str, ...]:
        """Arguments of the worker program."""
        given = {
            "--declaration": self.declaration,
            "--import-path": self.import_path,
            "--program": self.program,
        }
        return tuple(part for name, value in given.items() if value for part in (name, value))


def reference_for(pipeline: Pipeline, program: str = "") -> StepReference:
    """The reference of a pipeline that this process knows.

    Raises:
        PipelineDeclarationError: no module holds its declaration.
    """
    declaration = reference_of(pipeline)
    return StepReference(declaration, _import_path(declaration.partition(":")[0]), program)


def add_arguments(parser: ArgumentParser) -> None:
    """Add the arguments of a reference to those of the worker program."""
    parser.add_argument("--declaration", help="module:attribute of the pipeline; by default a registered one")
    parser.add_argument("--import-path", default="", help="folder that the module is found in")
    parser.add_argument("--program", default="", help="call of an external program, as JSON")


def parsed_reference(options: Namespace) -> StepReference | None:
    """The reference among the arguments of the worker program; None where there is none."""
    if options.declaration is None:
        return None
    return StepReference(options.declaration, options.import_path, options.program)


def _import_path(module: str) -> str:
    top = module.partition(".")[0]
    if top == "astra_assets":
        return ""
    loaded = sys.modules[top]
    home = Path(loaded.__file__) if loaded.__file__ else Path(next(iter(loaded.__path__))) / "_"
    return str(home.parent.parent if hasattr(loaded, "__path__") else home.parent)
