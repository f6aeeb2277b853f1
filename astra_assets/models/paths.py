"""Where files are below SAS_BASE_DIR and MWM_ASTRA, as relative paths.

Templates only: nothing here looks at the file system.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

from astra_assets.models.errors import ExpectedError

LAUNCHED_RUN2D = {"v6_2_1": "ipl-4"}
"""Reductions that are frozen in an internal product launch; all others are read from the working copy."""

UNPADDED_FIELD_RUN2D = ("v6_0_1", "v6_0_2", "v6_0_3", "v6_0_4")
"""Reductions whose folders do not pad the field number and add a `p` to it."""


class PathLeavesRoot(ExpectedError, ValueError):  # noqa: N818 (says what the path does)
    """A path that was to be below a root folder points outside of it."""


def inside(root: Path, relative: str | os.PathLike[str]) -> Path:
    """`root / relative`, made sure that `..` or an absolute path does not lead out of `root`.

    Links are not resolved: the reductions on the SAS are partly links to other disks, put there by whoever
    runs the archive. Raises PathLeavesRoot, which names the path and the root.
    """
    top = Path(os.path.abspath(root))  # noqa: PTH100 (Path.resolve would follow links)
    path = Path(os.path.abspath(top / relative))  # noqa: PTH100
    if not path.is_relative_to(top):
        raise PathLeavesRoot(f"{os.fspath(relative)!r} leaves {top}: it points to {path}")
    return path


def boss_redux(run2d: str) -> str:
    """Folder of one BOSS reduction, relative to SAS_BASE_DIR."""
    launch = LAUNCHED_RUN2D.get(run2d)
    return f"{launch}/spectro/boss/redux/{run2d}" if launch else f"sdsswork/bhm/boss/spectro/redux/{run2d}"


def spall_path(run2d: str) -> str:
    """The summary file of one BOSS reduction, relative to SAS_BASE_DIR."""
    return f"{boss_redux(run2d)}/summary/daily/spAll-{run2d}.fits.gz"


def spec_full_path(run2d: str, fieldid: int, mjd: int, catalogid: int, spec_file: str | None = None) -> str:
    """The specFull file of one BOSS visit, relative to SAS_BASE_DIR.

    `spec_file` is the base name from spAll; it is used for the launched reductions where it is not empty.
    Raises PathLeavesRoot when `spec_file` is not a base name.
    """
    field = f"{fieldid:06d}"
    if run2d in UNPADDED_FIELD_RUN2D:
        field = str(fieldid)
    name = f"spec-{field}-{mjd}-{catalogid}.fits"
    if run2d in LAUNCHED_RUN2D and spec_file:
        name = _base_name(spec_file)
    if run2d.startswith("v6_2"):
        return f"{boss_redux(run2d)}/spectra/daily/full/{fieldid // 1000:03d}XXX/{field}/{mjd}/{name}"
    suffix = "p" if run2d in UNPADDED_FIELD_RUN2D else ""
    return f"{boss_redux(run2d)}/spectra/full/{field}{suffix}/{mjd}/{name}"


def _base_name(spec_file: str) -> str:
    name = spec_file.strip()
    if name != Path(name).name or name in (".", ".."):
        raise PathLeavesRoot(
            f"spec_file {spec_file!r} is not a base name, expected one like spec-015000-59146-4375924413.fits"
        )
    return name


def group_folder(number: int) -> str:
    """The two folder levels that files of one source (or spectrum) are spread over: 103020123 -> "01/23"."""
    digits = f"{number:04d}"[-4:]
    return f"{digits[:2]}/{digits[2:]}"


def mwm_path(kind: Literal["star", "visit"], v_astra: str, sdss_id: int) -> str:
    """The mwmStar or mwmVisit file of one source, relative to MWM_ASTRA."""
    return f"{v_astra}/spectra/{kind}/{group_folder(sdss_id)}/mwm{kind.capitalize()}-{v_astra}-{sdss_id}.fits"


def summary_path(product: str, v_astra: str) -> str:
    """A summary file (mwmTargets, astraAllStarSnowWhite, ...), relative to MWM_ASTRA."""
    return f"{v_astra}/summary/{product}-{v_astra}.fits.gz"
