"""Rows of spAll as rows of boss_visit_spectrum: names, types, and which rows cannot be used."""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from astra_assets.astronomy import sky
from astra_assets.fits.read_table import Chunk
from astra_assets.ingest import values
from astra_assets.ingest.problems import (
    LEADING_AWAY,
    FoldedNames,
    Problems,
    describe,
    is_true,
    missing_columns,
)
from astra_assets.ingest.report import IngestError
from astra_assets.ingest.summary_rows import Mapped
from astra_assets.models.base import table_of
from astra_assets.models.boss import BossVisitSpectrum

RELEASE = "sdss5"
"""What `release` says of all SDSS-V reductions."""

FLOATS = {
    "EXPTIME": "exptime",
    "SEEING50": "seeing",
    "AIRMASS": "airmass",
    "SN_MEDIAN_ALL": "snr",
    "XCSAO_RV": "xcsao_v_rad",
    "XCSAO_ERV": "xcsao_e_v_rad",
    "XCSAO_TEFF": "xcsao_teff",
    "XCSAO_ETEFF": "xcsao_e_teff",
    "XCSAO_LOGG": "xcsao_logg",
    "XCSAO_ELOGG": "xcsao_e_logg",
    "XCSAO_FEH": "xcsao_fe_h",
    "XCSAO_EFEH": "xcsao_e_fe_h",
    "XCSAO_RXC": "xcsao_rxc",
}
"""Columns that are taken as they are; NaN becomes NULL."""

MEANS = {"MOON_DIST": "moon_dist_mean", "MOON_PHASE": "moon_phase_mean"}
"""Text with one number per exposure, of which the mean is taken."""

LISTS = {"DELTA_RA_LIST": "delta_ra", "DELTA_DEC_LIST": "delta_dec"}
"""Text with one number per exposure, all of which are kept."""

FLAGS = {"ZWARNING": "zwarning_flags", "GRI_GAIA_TRANSFORM": "gri_gaia_transform_flags"}

NEEDED = ("FIELD", "MJD", "CATALOGID")
"""What a spectrum is known by. Besides, HEALPIX or one of the positions is needed."""

POSITIONS = (("RACAT", "DECCAT"), ("FIBER_RA", "FIBER_DEC"), ("PLUG_RA", "PLUG_DEC"))
"""Positions (degrees) that give the HEALPix pixel where HEALPIX is missing, the better one first."""

DESCRIPTIVE: Mapping[str, tuple[str, ...]] = {
    "OBS": ("telescope",),
    "SPEC_FILE": ("spec_file",),
    "NEXP": ("n_exp",),
    **{name: (target,) for name, target in (FLOATS | MEANS).items()},
    **{name: (target, "fiber_offset") for name, target in LISTS.items()},
    **{name: (target,) for name, target in FLAGS.items()},
}
"""Columns that describe a spectrum, and what is made of them.

Reductions and spAll-lite files differ in which of them they have.
"""

CALLED = {target: name for name, targets in DESCRIPTIVE.items() for target in targets}
"""What spAll calls the column that a column of ours is made of, for messages."""

WITHOUT_OBS = "apo25m"
"""The telescope where a file has no OBS: it was the only one when reductions did not have that column yet."""

NOTHING = -999
"""What the reduction writes for "no value" in integer columns, besides TNULL."""


def choose_columns(names: Sequence[str], path: Path) -> dict[str, str]:
    """The column of the file (in any case) for each name of spAll that is used and that the file has.

    Raises:
        IngestError: needed columns are missing; it lists all of them, and what the file has that is called alike. Or one
            is there twice.
    """
    present = FoldedNames(names, path)
    lacking = [name for name in NEEDED if name.lower() not in present]
    if not any(all(name.lower() in present for name in each) for each in (("HEALPIX",), *POSITIONS)):
        lacking.append(" or ".join(("HEALPIX", *(" and ".join(pair) for pair in POSITIONS))))
    if lacking:
        raise missing_columns(path, lacking, names, "the spAll summary of a BOSS reduction")
    positions = (name for pair in POSITIONS for name in pair)
    wanted = (*NEEDED, "HEALPIX", *DESCRIPTIVE, *positions)
    return {name: present[name.lower()] for name in wanted if name.lower() in present}


def absence_notes(names: Container[str], path: Path) -> list[str]:
    """What there is to say about descriptive columns that a file lacks: one note, or none."""
    lacking = [name for name in DESCRIPTIVE if name not in names]
    if not lacking:
        return []
    without = f"; without OBS, all spectra are of {WITHOUT_OBS}" if "OBS" in lacking else ""
    return [f"{path}: has no {', '.join(lacking)}; what follows from them stays without a value{without}"]


class VisitMapper:
    """Maps rows of one spAll file to visits.

    Args:
        path: the file, for messages.
        run2d: the reduction.
        sas_base_dir: the folder that no path of a spectrum may leave.
        names: the file's column for each name of spAll.
    """

    def __init__(self, path: Path, run2d: str, sas_base_dir: Path, names: dict[str, str]) -> None:
        self.path = path
        self.run2d = run2d
        self.sas_base_dir = sas_base_dir
        self.names = names

    def map(self, chunk: Chunk) -> Mapped:
        """The visits of some rows.

        Raises:
            IngestError: a column holds another type of value than it should.
        """
        columns = {name: values.flat(chunk.columns[original]) for name, original in self.names.items()}
        length = len(chunk.columns)
        problems = Problems(length)
        made: dict[str, pa.Array] = {
            "release": pa.repeat(RELEASE, length),
            "filetype": pa.repeat("specFull", length),
            "run2d": pa.repeat(self.run2d, length),
        }
        made |= self._keys(columns, problems)
        made["healpix"] = self._healpix(columns, problems)
        made["spec_file"] = self._spec_file(columns.get("SPEC_FILE", pa.nulls(length, pa.string())), problems)
        made |= self._numbers(columns, problems)
        made |= self._lists(columns, problems)
        made["telescope"] = pa.repeat(WITHOUT_OBS, length)
        if "OBS" in columns:
            observatory = pc.utf8_lower(self._read("OBS", values.texts, columns["OBS"]).values)
            made["telescope"] = pc.binary_join_element_wise(observatory, "25m", "")
        problems.fit(made, table_of(BossVisitSpectrum), CALLED)
        kept = pa.table(made).filter(pa.array(problems.usable))
        numbers = chunk.first + np.flatnonzero(problems.usable)
        first = chunk.first
        return Mapped(kept, numbers, problems.refusals(self.path, first), problems.mends(self.path, first))

    def _read(
        self, name: str, reader: Callable[..., values.Converted], column: pa.Array, *options: Any
    ) -> values.Converted:
        """A column by one of the readers of `values`; the error names the file and the column."""
        try:
            return reader(column, *options)
        except values.ColumnTypeError as error:
            raise IngestError(f"{self.path}: column {self.names[name]} {error}") from error

    def _keys(self, columns: dict[str, pa.Array], problems: Problems) -> dict[str, pa.Array]:
        """Field, MJD and catalogid; the last is -1 where there is none."""
        made: dict[str, pa.Array] = {}
        for name, target, least in (("MJD", "mjd", 1), ("FIELD", "fieldid", 0)):
            found = self._read(name, values.integers, columns[name], pa.int32())
            wrong = values.missing(found.values) | is_true(pc.less(found.values, least))
            problems.add(
                wrong, f"bad_{target}", describe(name, columns[name], f"a whole number, at least {least}")
            )
            made[target] = found.values
        found = self._read("CATALOGID", values.integers, columns["CATALOGID"], pa.int64())
        given = pc.fill_null(pc.if_else(pc.equal(found.values, NOTHING), -1, found.values), -1)
        wrong = found.bad | is_true(pc.less(given, -1))
        problems.add(
            wrong,
            "bad_catalogid",
            describe("CATALOGID", columns["CATALOGID"], "a positive number, or -1 for none"),
        )
        made["catalogid"] = given
        return made

    def _healpix(self, columns: dict[str, pa.Array], problems: Problems) -> pa.Array:
        """The pixel that the file gives, else that of the position."""
        given = columns.get("HEALPIX", pa.nulls(len(problems.usable), pa.int64()))
        found = self._read("HEALPIX", values.integers, given, pa.int64()).values
        pixels = np.asarray(pc.fill_null(found, -1))
        pixels = np.where((pixels >= 0) & (pixels < sky.PIXELS), pixels, -1)
        for names in POSITIONS:
            lacking = pixels < 0
            if lacking.any() and all(name in columns for name in names):
                ra, dec = (self._read(name, values.floats, columns[name]).values for name in names)
                pixels[lacking] = sky.healpix(
                    *(np.asarray(pc.fill_null(x, np.nan))[lacking] for x in (ra, dec))
                )
        expected = f"0 to {sky.PIXELS - 1} (nside {sky.NSIDE}), or a position in {POSITIONS[0]}"
        problems.add(pixels < 0, "no_healpix", describe("HEALPIX", given, expected))
        return pa.array(pixels.astype(np.int32))

    def _spec_file(self, column: pa.Array, problems: Problems) -> pa.Array:
        """The base name of the spectrum's file; a path that could lead elsewhere is refused."""
        found = pc.fill_null(self._read("SPEC_FILE", values.texts, column).values, "")
        leading_away = is_true(pc.match_substring_regex(found, LEADING_AWAY))
        problems.add(
            leading_away,
            "leaves_root",
            lambda index: (
                f"SPEC_FILE {column[index].as_py()!r} is no base name, it could lead out of "
                f"{self.sas_base_dir}; expected a name like spec-015000-59146-4375924413.fits"
            ),
        )
        return found

    def _numbers(self, columns: dict[str, pa.Array], problems: Problems) -> dict[str, pa.Array]:
        made: dict[str, pa.Array] = {}
        for name, target in FLOATS.items():
            if name not in columns:
                continue
            found = self._read(name, values.floats, columns[name])
            problems.add(found.bad, "bad_number", describe(name, columns[name], "a number"))
            made[target] = found.values
        if "NEXP" in columns:
            exposures = self._read("NEXP", values.integers, columns["NEXP"], pa.int32())
            problems.add(exposures.bad, "bad_number", describe("NEXP", columns["NEXP"], "a whole number"))
            made["n_exp"] = exposures.values
        for name, target in FLAGS.items():
            if name not in columns:
                made[target] = pa.repeat(0, len(problems.usable))
                continue
            found = self._read(name, values.integers, columns[name], pa.int64())
            problems.add(found.bad, "bad_number", describe(name, columns[name], "a whole number"))
            made[target] = pc.fill_null(pc.if_else(pc.equal(found.values, NOTHING), 0, found.values), 0)
        return made

    def _lists(self, columns: dict[str, pa.Array], problems: Problems) -> dict[str, pa.Array]:
        made: dict[str, pa.Array] = {}
        for name, target in (MEANS | LISTS).items():
            if name not in columns:
                continue
            found = self._read(name, values.float_lists, columns[name])
            problems.add(found.bad, "bad_list", describe(name, columns[name], "numbers with blanks between"))
            made[target] = values.list_means(found.values) if name in MEANS else found.values
        offsets = [made[target] for target in LISTS.values() if target in made]
        if offsets:
            neither = np.all([values.missing(each) for each in offsets], axis=0)
            moved = np.any([values.list_any_nonzero(each) for each in offsets], axis=0)
            made["fiber_offset"] = pa.array(moved, mask=neither)
        return made
