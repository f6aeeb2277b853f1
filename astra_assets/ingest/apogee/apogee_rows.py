"""Rows of allVisit and allStar as rows of our tables: values, and which rows cannot be used."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from astra_assets.astronomy import sky
from astra_assets.astronomy.constants import JD_OF_MJD, SECONDS_PER_DAY, UNIX_EPOCH_MJD
from astra_assets.astronomy.observatories import OBSERVATORIES
from astra_assets.fits.read_table import Chunk
from astra_assets.ingest import values
from astra_assets.ingest.apogee.apogee_columns import FLAGS, SIZES, Summary, release_of
from astra_assets.ingest.night import TAI_MINUS_UT_DAYS, fraction_of_night
from astra_assets.ingest.problems import LEADING_AWAY, Problems, describe, is_true
from astra_assets.ingest.report import IngestError
from astra_assets.ingest.seen import Hashes, hash_rows
from astra_assets.ingest.summary_rows import Mapped
from astra_assets.models.apogee import ApogeeVisitSpectrum
from astra_assets.models.base import bit
from astra_assets.registry import limits
from astra_assets.registry.kinds import Kind

CORRUPTED = bit(ApogeeVisitSpectrum, "spectrum_flags", "missing_or_corrupted_file")
"""The flag of a visit that is set here, not by the reduction: the header of its apVisit file cannot be read."""

NOTHING = (-9999.0, float(np.float32(-9999.99)), -9999.99, -999999.0, 999999.0)
"""What APOGEE's reductions write for "no value" in columns of numbers, besides NaN."""

N_FIBERS = 300

WHOLE = limits.expected("", Kind.int64)
"""What columns of whole numbers hold, in words."""

IDENTITY = ("catalogid", "sdss_id")
"""What says which source a row belongs to; `Mapped.rows` have it as identity_catalogid and identity_sdss_id."""


def hash_texts(texts: pa.Array) -> NDArray[np.int64]:
    """A number per text that is the same for the same text, within this process; 0 for none."""
    encoded = texts.dictionary_encode()
    words = encoded.dictionary.to_pylist()
    hashes = np.fromiter((hash(word) for word in words), dtype=np.int64, count=len(words))
    places = np.asarray(pc.fill_null(encoded.indices, len(words)))
    found: NDArray[np.int64] = np.append(hashes, 0)[places]
    return found


class RowMapper:
    """Maps rows of one allVisit or allStar file.

    Args:
        summary: the kind of file.
        path: the file, for messages.
        apred: the reduction.
        names: the file's column for each column that it has.
    """

    def __init__(self, summary: Summary, path: Path, apred: str, names: dict[str, str]) -> None:
        self.summary = summary
        self.path = path
        self.apred = apred
        self.release = release_of(apred)
        self.names = names

    def key_columns(self) -> list[str]:
        """The columns of the file that `keys` needs."""
        wanted = (
            *self.summary.within,
            "version",
            *(("file", "obj") if "reduction" in self.summary.within else ()),
        )
        return list(dict.fromkeys(self.names[name] for name in wanted if name in self.names))

    def keys(self, chunk: Chunk) -> tuple[Hashes, NDArray[np.int64]]:
        """A hash of the key of each row, and its STARVER; -1 where there is none."""
        columns: list[NDArray[np.int64]] = []
        for name in self.summary.within:
            if name in ("mjd", "fiber"):
                columns.append(
                    np.asarray(pc.fill_null(self._integers(chunk, name).values, -1), dtype=np.int64)
                )
            elif name == "reduction":
                columns.append(hash_texts(self._reduction(chunk)))
            else:
                columns.append(hash_texts(self._key_text(chunk, name)))
        versions = np.full(len(chunk.columns), -1, dtype=np.int64)
        if "version" in self.names:
            versions = np.asarray(pc.fill_null(self._integers(chunk, "version").values, -1), dtype=np.int64)
        return hash_rows(columns), versions

    def map(self, chunk: Chunk) -> Mapped:
        """The rows of a chunk, with their identity (`IDENTITY`) in two columns more.

        Raises:
            IngestError: a column holds another type of value than it should.
        """
        length = len(chunk.columns)
        problems = Problems(length)
        made: dict[str, pa.Array] = {
            "release": pa.repeat(self.release, length),
            "filetype": pa.repeat(self.summary.filetype, length),
            "apred": pa.repeat(self.apred, length),
        }
        made |= self._path_parts(chunk, problems)
        made |= self._measured(chunk, problems)
        if self.summary.name == "allVisit":
            made |= self._visit(chunk, made, problems)
        else:
            made |= self._star(chunk, problems)
        made |= self._identity(chunk, problems)
        problems.fit(made, self.summary.table, self.names)
        kept = pa.table(made).filter(pa.array(problems.usable))
        numbers = chunk.first + np.flatnonzero(problems.usable)
        first = chunk.first
        return Mapped(kept, numbers, problems.refusals(self.path, first), problems.mends(self.path, first))

    # --- values -----------------------------------------------------------------------------------

    def _column(self, chunk: Chunk, name: str) -> pa.Array:
        return values.flat(chunk.columns[self.names[name]])

    def _read(
        self, chunk: Chunk, name: str, reader: Callable[..., values.Converted], *options: Any
    ) -> values.Converted:
        """A column by one of the readers of `values`; the error names the file and the column."""
        try:
            return reader(self._column(chunk, name), *options)
        except values.ColumnTypeError as error:
            raise IngestError(f"{self.path}: column {self.names[name]} {error}") from error

    def _integers(self, chunk: Chunk, name: str) -> values.Converted:
        found = self._read(chunk, name, values.integers, SIZES.get(name, pa.int32()))
        nothing = pc.is_in(found.values, pa.array([-999, -9999], found.values.type))
        return values.Converted(
            pc.if_else(nothing, pa.scalar(None, found.values.type), found.values), found.bad
        )

    def _floats(self, chunk: Chunk, name: str) -> values.Converted:
        found = self._read(chunk, name, values.floats)
        nothing = pc.is_in(found.values, pa.array(NOTHING))
        return values.Converted(pc.if_else(nothing, pa.scalar(None, pa.float64()), found.values), found.bad)

    def _texts(self, chunk: Chunk, name: str) -> pa.Array:
        """Text without blanks around it, "" where there is none or no such column."""
        if name not in self.names:
            return pa.repeat("", len(chunk.columns))
        return pc.fill_null(self._read(chunk, name, values.texts).values, "")

    def _key_text(self, chunk: Chunk, name: str) -> pa.Array:
        """A text of the key as our tables have it."""
        if name == "field" and self.summary.name == "allStar" and self.release != "dr17":
            return pa.repeat("", len(chunk.columns))  # the field is no part of the key of SDSS-V stars
        text = self._texts(chunk, name)
        return pc.utf8_lower(text) if name == "telescope" else text

    def _reduction(self, chunk: Chunk) -> pa.Array:
        """What the files of the 1 m telescope are called in place of a fibre: the end of FILE, else the object."""
        length = len(chunk.columns)
        if self.release != "dr17":
            return pa.repeat("", length)
        name = self._texts(chunk, "file")
        mjd = pc.cast(pc.fill_null(self._integers(chunk, "mjd").values, 0), pa.string())
        start = pc.binary_join_element_wise("apVisit", self.apred, mjd, "", "-")
        # Arrow compares and cuts with one pattern for all rows; the start differs from row to row.
        ends = [
            text[len(first) :].removesuffix(".fits") if text.startswith(first) else None
            for text, first in zip(name.to_pylist(), start.to_pylist(), strict=True)
        ]
        given = pc.coalesce(pa.array(ends, pa.string()), self._texts(chunk, "obj"))
        return pc.if_else(pc.equal(self._key_text(chunk, "telescope"), "apo1m"), given, "")

    # --- columns ----------------------------------------------------------------------------------

    def _path_parts(self, chunk: Chunk, problems: Problems) -> dict[str, pa.Array]:
        """Object, telescope and field, and what follows from the telescope."""
        made = {name: self._key_text(chunk, name) for name in ("obj", "telescope", "field")}
        names = " or ".join(sorted(OBSERVATORIES))
        unknown = ~np.asarray(pc.is_in(made["telescope"], pa.array(sorted(OBSERVATORIES))))
        shown = self._column(chunk, "telescope")
        problems.add(unknown, "bad_telescope", describe(self.names["telescope"], shown, names))
        needed = ["obj"] if self.summary.name == "allStar" else ["field"]
        if self.release == "dr17" and "field" not in needed:
            needed.append("field")
        for name in needed:
            empty = is_true(pc.equal(made[name], ""))
            problems.add(empty, f"no_{name}", describe(self.names[name], self._column(chunk, name), "a name"))
        for name in ("obj", "field"):
            self._refuse_paths(name, made[name], problems)
        south = pc.starts_with(made["telescope"], "lco")
        return made | {"prefix": pc.if_else(south, "as", "ap")}

    def _refuse_paths(self, name: str, text: pa.Array, problems: Problems) -> None:
        """Rows with a part of a path that could lead elsewhere."""
        problems.add(
            is_true(pc.match_substring_regex(text, LEADING_AWAY)),
            "leaves_root",
            lambda index: (
                f"{self.names.get(name, 'FILE')} {text[index].as_py()!r} could lead out of the folder of the "
                "reduction; expected a name without slashes"
            ),
        )

    def _measured(self, chunk: Chunk, problems: Problems) -> dict[str, pa.Array]:
        """Plain numbers and flags."""
        made: dict[str, pa.Array] = {}
        for name in self.summary.floats:
            if name in self.names:
                made[name] = self._checked(chunk, name, self._floats(chunk, name), "a number", problems)
        for name in self.summary.integers:
            if name in self.names:
                found = self._checked(chunk, name, self._integers(chunk, name), WHOLE, problems)
                made[name] = positive(found) if name in SIZES else found
        for name in FLAGS:
            if name in self.names:
                found = self._read(chunk, name, values.integers, pa.int64())
                flags = self._checked(chunk, name, found, WHOLE, problems)
                made[name] = pc.fill_null(pc.if_else(pc.less(flags, 0), 0, flags), 0)
        return made

    def _checked(
        self, chunk: Chunk, name: str, found: values.Converted, expected: str, problems: Problems
    ) -> pa.Array:
        problems.add(found.bad, "bad_number", describe(self.names[name], self._column(chunk, name), expected))
        return found.values

    def _visit(self, chunk: Chunk, made: dict[str, pa.Array], problems: Problems) -> dict[str, pa.Array]:
        found: dict[str, pa.Array] = {
            "plate": self._texts(chunk, "plate"),
            "reduction": self._reduction(chunk),
        }
        one_metre = is_true(pc.equal(made["telescope"], "apo1m"))
        problems.add(
            is_true(pc.equal(found["plate"], "")) & ~one_metre,
            "bad_plate",
            describe(self.names["plate"], self._column(chunk, "plate"), "a plate or design"),
        )
        for name, text in found.items():
            self._refuse_paths(name, text, problems)
        for name, most, expected in (
            ("mjd", 2**31, "a whole number, at least 1"),
            ("fiber", N_FIBERS, "1 to 300"),
        ):
            number = self._integers(chunk, name)
            outside = is_true(pc.less(number.values, 1)) | is_true(pc.greater(number.values, pa.scalar(most)))
            wrong = values.missing(number.values) | outside
            if name == "fiber":  # the 1 m telescope feeds one fibre, which no path names
                wrong &= ~one_metre
            problems.add(
                wrong, f"bad_{name}", describe(self.names[name], self._column(chunk, name), expected)
            )
            found[name] = pc.fill_null(number.values, -1)
        made["obj"] = pc.if_else(pc.equal(made["obj"], ""), pa.scalar(None, pa.string()), made["obj"])
        if "fps" in self.names:
            truth = self._read(chunk, "fps", values.booleans)
            found["fps"] = self._checked(chunk, "fps", truth, "true or false", problems)
        if "spectrum_flags" in made:
            made["spectrum_flags"] = pc.bit_wise_and(made["spectrum_flags"], ~CORRUPTED)
        return found | self._times(chunk, made, problems)

    def _times(self, chunk: Chunk, made: dict[str, pa.Array], problems: Problems) -> dict[str, pa.Array]:
        """When a visit was observed, and the fraction of the night of that."""
        length = len(chunk.columns)
        found: dict[str, pa.Array] = {}
        moment = np.full(length, np.nan)
        if "jd" in made:
            made["jd"] = positive(made["jd"])
            moment = np.asarray(pc.fill_null(made["jd"], np.nan)) - JD_OF_MJD
        if "date_obs" in self.names:
            text = self._read(chunk, "date_obs", values.texts).values
            dates = values.datetimes(text)
            expected = "a date and time like 2021-03-04T05:06:07.89"
            problems.add(dates.bad, "bad_date", describe(self.names["date_obs"], text, expected))
            days = np.asarray(pc.fill_null(pc.cast(dates.values, pa.int64()), 0)) / 1e6 / SECONDS_PER_DAY
            moment = np.where(values.missing(dates.values), moment, days + UNIX_EPOCH_MJD)
            found["date_obs"] = dates.values
        fraction = fraction_of_night(
            (moment + TAI_MINUS_UT_DAYS) * SECONDS_PER_DAY, np.asarray(made["telescope"]).astype(str)
        )
        found["f_night_time"] = pa.array(fraction, mask=np.isnan(fraction))
        return found

    def _star(self, chunk: Chunk, problems: Problems) -> dict[str, pa.Array]:
        """The pixel that the reduction gives, which the path is made of, else that of the position."""
        length = len(chunk.columns)
        pixels = np.full(length, -1, dtype=np.int64)
        if "healpix" in self.names:
            pixels = np.asarray(pc.fill_null(self._integers(chunk, "healpix").values, -1), dtype=np.int64)
        pixels = np.where((pixels >= 0) & (pixels < sky.PIXELS), pixels, -1)
        if (pixels < 0).any() and {"ra", "dec"} <= self.names.keys():
            ra, dec = (
                np.asarray(pc.fill_null(self._floats(chunk, name).values, np.nan)) for name in ("ra", "dec")
            )
            pixels = np.where(pixels < 0, sky.healpix(ra, dec), pixels)
        if self.release != "dr17":
            problems.add(
                pixels < 0,
                "no_healpix",
                lambda _index: (
                    f"no HEALPIX, expected 0 to {sky.PIXELS - 1} (nside {sky.NSIDE}), or RA and DEC"
                ),
            )
        return {
            "apstar": pa.repeat("stars", length),
            "healpix": pa.array(pixels.astype(np.int32), mask=pixels < 0),
        }

    def _identity(self, chunk: Chunk, problems: Problems) -> dict[str, pa.Array]:
        made: dict[str, pa.Array] = {}
        for name in IDENTITY:
            target = f"identity_{name}"
            if target in self.names:
                found = self._read(chunk, target, values.integers, pa.int64())
                made[target] = positive(self._checked(chunk, target, found, WHOLE, problems))
            else:
                made[target] = pa.nulls(len(chunk.columns), pa.int64())
        return made


def positive(array: pa.Array) -> pa.Array:
    """Numbers with null in place of those that are not positive."""
    return pc.if_else(pc.greater(array, 0), array, pa.scalar(None, array.type))
