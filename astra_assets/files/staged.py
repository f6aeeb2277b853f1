"""Several files that belong together: written beside, given their names together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from astra_assets.files.atomic import flush, partial_path


class Staged:
    """Temporary files beside their final names; see `staging`."""

    def __init__(self) -> None:
        self._partials: dict[Path, Path] = {}

    def partial(self, final: Path) -> Path:
        """Where to write what is to become `final`."""
        if final not in self._partials:
            self._partials[final] = partial_path(final)
        return self._partials[final]

    def place(self, first: Path, others: Sequence[Path]) -> None:
        """Give the files their names: `first`, then `others`.

        When `first` is new, the old files under the names of `others` vanish before it appears: at every moment the
        files that are there are of one run. Only the main file is never missing.
        """
        for partial in self._partials.values():
            flush(partial)
        if first in self._partials:
            for final in others:
                final.unlink(missing_ok=True)
        for final in (first, *others):
            if final in self._partials:
                self._partials.pop(final).replace(final)
        flush(first.parent)

    def discard(self) -> None:
        """Remove what was not given its name."""
        for partial in self._partials.values():
            partial.unlink(missing_ok=True)


@contextmanager
def staging() -> Iterator[Staged]:
    """Files that are removed at the end of the block unless they were placed."""
    staged = Staged()
    try:
        yield staged
    finally:
        staged.discard()
