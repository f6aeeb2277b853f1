"""Make the demo survey: all files below one folder, whole or not at all.

Everything is written to a folder next to its final place (`STAGING`), which is renamed when complete; the manifest
`demo.json` comes last. So a demo that was interrupted never looks complete, and the next call makes it again.
"""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from astra_assets.demo.layout import CATALOG, DR17, PARTS, SPALL, TRUTH
from astra_assets.errors import ExpectedError
from astra_assets.files.atomic import atomic_write
from astra_assets.files.locks import try_lock

log = logging.getLogger(__name__)

SOURCES = 230
SEED = 20
LAYOUT = 2
"""Changes whenever the same seed gives other files than before."""
MANIFEST = "demo.json"
STAGING = ".demo-unfinished"
LOCK = ".demo.lock"


class DemoError(ExpectedError):
    """A demo survey cannot be made here; the message says why and what to type."""


@dataclass(frozen=True)
class DemoSurvey:
    """A demo survey on disk.

    `root` serves as SAS_BASE_DIR; `sources` is what the demo was asked for: stars with APOGEE spectra come in addition. `visits`
    and `apogee_visits` are those of sources in the catalogue. `made` is False when it was there already.
    """

    root: Path
    sources: int
    seed: int
    visits: int
    apogee_visits: int
    made: bool

    @property
    def spall(self) -> Path:
        """The spAll file."""
        return self.root / SPALL

    @property
    def catalog(self) -> Path:
        """The source catalogue."""
        return self.root / CATALOG

    @property
    def truth(self) -> Path:
        """The table of the truth."""
        return self.root / TRUTH

    @property
    def manifest(self) -> Path:
        """What the demo was made with."""
        return self.root / MANIFEST

    def __str__(self) -> str:
        state = "made" if self.made else "already there, nothing done"
        what = (
            f"demo survey of {self.sources} sources and {self.visits} visits with BOSS, and of stars with "
            f"{self.apogee_visits} visits with APOGEE (seed {self.seed})"
        )
        return f"{what}: {self.root}: {state}"


def make_demo(
    root: Path | str,
    *,
    sources: int | None = None,
    seed: int | None = None,
    progress: Callable[[str], None] | None = None,
) -> DemoSurvey:
    """Make a demo survey below `root`, or find that it is there.

    The same number of sources and the same seed give the same bytes. What is not given may be anything where
    there is a demo survey already, and is `SOURCES` and `SEED` where one is made. `progress` gets a line of
    text now and then.

    Raises:
        DemoError: another demo, an unknown file or another process is in the way; the message says what to
        type. ValueError: fewer sources than kinds of object, or a negative seed.
    """
    say = progress or log.info
    if seed is not None and seed < 0:
        raise ValueError(f"seed {seed} is negative; use a whole number from 0")
    root = Path(root)
    root.mkdir(parents=True, exist_ok=True)
    with _only_one(root):
        _finish(root)
        found = _found(root, sources, seed)
        if found is None:
            found = _make(root, SOURCES if sources is None else sources, SEED if seed is None else seed, say)
        log.info("%s", found)
        return found


def _make(root: Path, sources: int, seed: int, say: Callable[[str], None]) -> DemoSurvey:
    # Finding that there is nothing to do is to cost nothing, making spectra needs half of SciPy.
    from astra_assets.demo.apogee.stars import add_stars
    from astra_assets.demo.population import plan_survey
    from astra_assets.demo.write import write_survey
    from astra_assets.synthesis import templates

    survey, apogee = add_stars(plan_survey(sources, seed, templates.draw))
    visits, apogee_visits = write_survey(root / STAGING, survey, apogee, say)
    manifest = {
        "layout": LAYOUT,
        "sources": sources,
        "seed": seed,
        "visits": visits,
        "spectra": len(survey.visits),
        "apogee_visits": apogee_visits,
        "apogee_spectra": len(apogee.visits),
    }
    with atomic_write(root / STAGING / MANIFEST) as partial:
        partial.write_text(json.dumps(manifest, indent=1) + "\n")
    _publish(root)
    return DemoSurvey(root, sources, seed, visits, apogee_visits, made=True)


@contextmanager
def _only_one(root: Path) -> Iterator[None]:
    """Hold the folder's lock; it is released when the process ends, however it ends."""
    with try_lock(root / LOCK) as held:
        if not held:
            raise DemoError(
                f"another process is making a demo survey in {root}; wait until it has finished and try again"
            )
        yield


def _finish(root: Path) -> None:
    """Complete a demo that was interrupted while its finished parts were moved to their places."""
    staging = root / STAGING
    if (staging / MANIFEST).exists():
        _publish(root)
    shutil.rmtree(staging, ignore_errors=True)


def _publish(root: Path) -> None:
    """Move the parts of a finished demo to their places, the manifest last."""
    for part in (*PARTS, MANIFEST):
        if (root / STAGING / part).exists():
            (root / STAGING / part).rename(root / part)
    (root / STAGING).rmdir()


def _found(root: Path, sources: int | None, seed: int | None) -> DemoSurvey | None:
    """The complete demo of these parameters below `root`, or None where there is nothing.

    Raises DemoError. Without parameters a demo of any version of this package will do.
    """
    manifest = root / MANIFEST
    remove = f"rm -r {' '.join(str(root / part) for part in (*PARTS, MANIFEST))}"
    present = [part for part in PARTS if (root / part).exists()]
    if not manifest.exists():
        if present:
            raise DemoError(
                f"{root} holds {', '.join(present)} but no {MANIFEST}: not a demo survey. Choose another "
                f"folder (ASTRA_HOME), or remove what is there: {remove}"
            )
        return None
    try:
        there = json.loads(manifest.read_text())
        parameters = {name: int(there[name]) for name in ("layout", "sources", "seed", "visits")}
        # A demo of an older layout has none.
        parameters["apogee_visits"] = int(there.get("apogee_visits", 0))
    except (ValueError, KeyError, TypeError) as error:
        raise DemoError(
            f"{manifest} is not the manifest of a demo survey ({error!r}); remove the demo: {remove}"
        ) from error
    asked = {name: value for name, value in (("sources", sources), ("seed", seed)) if value is not None}
    if asked:
        asked["layout"] = LAYOUT
    different = [
        f"{name} {parameters[name]}, not {value}"
        for name, value in asked.items()
        if parameters[name] != value
    ]
    if different:
        raise DemoError(
            f"{root} holds a demo survey with {'; '.join(different)}. Ask for the same one, choose another "
            f"folder (ASTRA_HOME), or remove it: {remove}"
        )
    expected = PARTS if parameters["apogee_visits"] else [part for part in PARTS if part != DR17]
    missing = [part for part in expected if part not in present]
    if missing:
        raise DemoError(f"{root} holds a demo survey without {', '.join(missing)}; remove the rest: {remove}")
    del parameters["layout"]
    return DemoSurvey(root, **parameters, made=False)
