"""Where files are below SAS_BASE_DIR and MWM_ASTRA, as relative paths.

Templates only: nothing here looks at the file system.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from astra_assets.errors import ExpectedError

LAUNCHED_RUN2D = {"v6_2_1": "ipl-4"}
"""Reductions that are frozen in an internal product launch; all others are read from the working copy."""

UNPADDED_FIELD_RUN2D = ("v6_0_1", "v6_0_2", "v6_0_3", "v6_0_4")
"""Reductions whose folders do not pad the field number and add a `p` to it."""


SPEC_FULL_COLUMNS = ("run2d", "fieldid", "mjd", "catalogid", "spec_file")
"""What the path of a specFull file is made of."""

AP_VISIT_COLUMNS = (
    "release", "apred", "plate", "telescope", "fiber", "mjd", "field", "prefix", "reduction",
)  # fmt: skip
"""What the path of an apVisit file is made of."""

AP_STAR_COLUMNS = ("release", "apred", "apstar", "obj", "telescope", "healpix", "field", "prefix")
"""What the path of an apStar file is made of."""

MWM_STAR_COLUMNS = ("v_astra", "sdss_id", "telescope")
"""What the path of an mwmStar file is made of, and the place in it."""

READ_COLUMNS: Mapping[str, tuple[str, ...]] = {
    "boss_visit_spectrum": SPEC_FULL_COLUMNS,
    "boss_combined_spectrum": MWM_STAR_COLUMNS,
    "apogee_visit_spectrum": AP_VISIT_COLUMNS,
    "apogee_coadded_spectrum_in_ap_star": AP_STAR_COLUMNS,
    "apogee_visit_spectrum_in_ap_star": tuple(dict.fromkeys((*AP_STAR_COLUMNS, *AP_VISIT_COLUMNS))),
}
"""What has to be known of a spectrum to read it, by the table of its row."""


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


def _base_name(name: str) -> str:
    """One part of a path. Raises PathLeavesRoot when it is more than that."""
    name = str(name).strip()
    if name != Path(name).name or name in (".", ".."):
        raise PathLeavesRoot(
            f"{name!r} is not a base name: one file or folder is expected, it leads elsewhere"
        )
    return name


APOGEE_TELESCOPES = ("apo25m", "lco25m")
"""Telescopes whose summary files SDSS-V's APOGEE reduction writes apart."""


def apogee_redux(apred: str) -> str:
    """Folder of one APOGEE reduction, relative to SAS_BASE_DIR."""
    survey = "dr17/apogee/spectro" if apred == "dr17" else "ipl-4/spectro/apogee"
    return f"{survey}/redux/{apred}"


def apogee_summary_paths(kind: Literal["allVisit", "allStar"], apred: str) -> tuple[str, ...]:
    """The summary files of the visits or the stars of one APOGEE reduction, relative to SAS_BASE_DIR.

    One for each telescope; SDSS-IV's last reduction has one for all (sdss/tree, dr17.cfg and sdsswork.cfg).
    """
    if apred == "dr17":
        return (f"dr17/apogee/spectro/aspcap/dr17/synspec_rev1/{kind}-dr17-synspec_rev1.fits",)
    return tuple(
        f"{apogee_redux(apred)}/summary/{kind}-{apred}-{telescope}.fits" for telescope in APOGEE_TELESCOPES
    )


def ap_visit_name(row: Mapping[str, Any]) -> str:
    """Base name of the apVisit file of a row of apogee_visit_spectrum (or of a visit in an apStar file)."""
    apred, plate, mjd, telescope = row["apred"], row["plate"], row["mjd"], row["telescope"]
    if row["release"] == "dr17" and telescope == "apo1m":
        return _base_name(f"apVisit-{apred}-{mjd}-{row['reduction']}.fits")
    fiber = f"{int(row['fiber']):03d}"
    if row["release"] == "dr17":
        return _base_name(f"{row['prefix']}Visit-{apred}-{plate}-{mjd}-{fiber}.fits")
    return _base_name(f"apVisit-{apred}-{telescope}-{plate}-{mjd}-{fiber}.fits")


def ap_visit_path(row: Mapping[str, Any]) -> str:
    """The apVisit file of a row of apogee_visit_spectrum, relative to SAS_BASE_DIR.

    Keys are those of the table. Raises PathLeavesRoot when a part of the path leads elsewhere.
    """
    folder = f"{apogee_redux(row['apred'])}/visit/{_base_name(row['telescope'])}/{_base_name(row['field'])}"
    if row["release"] == "dr17" and row["telescope"] == "apo1m":
        return f"{folder}/{row['mjd']}/{ap_visit_name(row)}"
    return f"{folder}/{_base_name(row['plate'])}/{row['mjd']}/{ap_visit_name(row)}"


def ap_star_path(row: Mapping[str, Any]) -> str:
    """The apStar file of a row of apogee_coadded_spectrum_in_ap_star, relative to SAS_BASE_DIR.

    Keys are those of the table. Raises PathLeavesRoot when a part of the path leads elsewhere.
    """
    apred, telescope, obj = row["apred"], _base_name(row["telescope"]), row["obj"]
    folder = f"{apogee_redux(apred)}/{_base_name(row['apstar'])}/{telescope}"
    if row["release"] == "dr17":
        name = _base_name(f"{row['prefix']}Star-{apred}-{obj}.fits")
        return f"{folder}/{_base_name(row['field'])}/{name}"
    healpix = int(row["healpix"])
    name = _base_name(f"apStar-{apred}-{telescope}-{obj}.fits")
    return f"{folder}/{healpix // 1000}/{healpix}/{name}"


def group_folder(number: int) -> str:
    """The two folder levels that files of one source (or spectrum) are spread over: 103020123 -> "01/23"."""
    digits = f"{number:04d}"[-4:]
    return f"{digits[:2]}/{digits[2:]}"


def mwm_path(kind: Literal["star", "visit"], v_astra: str, sdss_id: int) -> str:
    """The mwmStar or mwmVisit file of one source, relative to MWM_ASTRA."""
    return f"{v_astra}/spectra/{kind}/{group_folder(sdss_id)}/mwm{kind.capitalize()}-{v_astra}-{sdss_id}.fits"


def astra_path(kind: Literal["star", "visit"], product: str, v_astra: str, sdss_id: int) -> str:
    """The astraStar or astraVisit file of one source, relative to MWM_ASTRA; `product` is the pipeline's suffix."""
    name = f"astra{kind.capitalize()}{product}-{v_astra}-{sdss_id}.fits"
    return f"{v_astra}/results/{kind}/{group_folder(sdss_id)}/{name}"


def model_spectra_folder(pipeline: str, v_astra: str, spectrum_pk: int) -> str:
    """The folder of the pixel arrays that belong to results on a spectrum, relative to MWM_ASTRA; `pipeline` is its key."""
    return f"{v_astra}/pipelines/{pipeline}/{group_folder(spectrum_pk)}"
