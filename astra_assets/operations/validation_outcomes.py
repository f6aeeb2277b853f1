"""What the white-dwarf pipelines make of spectra whose truth is known; tables and pictures are in `validation_report`."""

from __future__ import annotations

import csv
import logging
import math
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from astra_assets.demo.validation_sample import Observed
from astra_assets.errors import ExpectedError
from astra_assets.models.base import bit
from astra_assets.pipelines.base import Unusable
from astra_assets.pipelines.corv import Corv, fit_visit
from astra_assets.pipelines.snow_white import FITTED, SnowWhite, SnowWhiteModels, classify_star
from astra_assets.spectra.base import SpectrumError
from astra_assets.spectra.read import read_file
from astra_assets.synthesis.faults import FAULTS

log = logging.getLogger(__name__)

TRUTH = "truth.csv"
"""Name of the tables of truth; each describes the files of its folder and those below it."""
FOLDER_FAULTS = ("none", "h_alpha_masked", "red_arm_dead", "ends_at_6350", "begins_at_4500", "spikes_20", "spikes_60",
                 "sky_residuals", "over_subtracted")  # fmt: skip
"""Faults that the spectra of a folder are given in turn."""
REFUSED = "REFUSED"
"""Class of a spectrum that a pipeline gave no row for."""


class TruthError(ExpectedError):
    """A folder that cannot be validated on; the message names the file, what was expected and found."""


@dataclass(frozen=True)
class Outcome:
    """What the pipelines made of one spectrum, next to what is true.

    `called` is the published class or `REFUSED`, `flags` the names of SnowWhite's flags, `probability` that of
    the best class; values are None where a pipeline gave none. `seconds` is processor time.
    """

    origin: str
    kind: str
    fault: str
    snr: float
    called: str
    flags: frozenset[str]
    probability: float
    truth: dict[str, float | None]
    star: dict[str, float | None]
    visit: dict[str, float | None]
    visit_flags: frozenset[str]
    seconds: float

    @property
    def is_decided(self) -> bool:
        """Whether a class is given without any reservation."""
        return self.called != REFUSED and not self.flags & {"undecided", "none_of_these"}


def outcomes(sample: Iterable[Observed], models: SnowWhiteModels) -> Iterator[Outcome]:
    """Run SnowWhite on each spectrum, and Corv on those that are DA, in truth or by SnowWhite."""
    for observed in sample:
        yield _outcome(observed, models)


def _outcome(observed: Observed, models: SnowWhiteModels) -> Outcome:
    began = time.process_time()
    try:
        row = classify_star(observed.spectrum, models)
    except Unusable as error:
        log.debug("%s: %s", observed.origin, error)
        row = SnowWhite(classification=REFUSED, result_flags=0)
    called = str(row.classification)
    visit: Corv | None = None
    if observed.kind == "DA" or called in FITTED:
        try:
            visit = fit_visit(observed.spectrum, models.grid)
        except Unusable as error:
            log.debug("%s: %s", observed.origin, error)
    probabilities = [getattr(row, name) or 0.0 for name in vars(row) if name.startswith("p_")]
    return Outcome(
        origin=observed.origin,
        kind=observed.kind,
        fault=observed.fault,
        snr=observed.snr,
        called=called,
        flags=_names(SnowWhite, row),
        probability=max(probabilities, default=0.0),
        truth={
            "teff": observed.teff,
            "logg": observed.logg,
            "v_rad": observed.v_rad,
            "e_v_rad": observed.e_v_rad,
        },
        star={name: getattr(row, name) for name in ("teff", "e_teff", "logg", "e_logg", "p_da")},
        visit={
            name: getattr(visit, name) if visit is not None else None
            for name in ("teff", "e_teff", "logg", "e_logg", "v_rad", "e_v_rad")
        },
        visit_flags=_names(Corv, visit) if visit is not None else frozenset(),
        seconds=time.process_time() - began,
    )


def _names(table: type[Any], row: Any) -> frozenset[str]:
    from astra_assets.registry.flags import flag_definitions

    return frozenset(
        flag.name
        for flag in flag_definitions(table, "result_flags")
        if row.result_flags & bit(table, "result_flags", flag.name)
    )


def folder_sample(folder: Path, seed: int = 0) -> Iterator[Observed]:
    """Spectra of a folder that has tables of truth in it, without fault and with each of `FOLDER_FAULTS` if DA.

    A table has the columns path (relative to it) and type, and may have teff, logg, rv_kms, e_rv and air (1 where
    the wavelengths are in air). Types are those of white dwarfs, spectral types of stars, QSO or GALAXY. Files that
    cannot be read as spectra are left out with a message.

    Raises:
        TruthError: there is no table, or one lacks a column.
    """
    tables = sorted(folder.rglob(TRUTH))
    if not tables:
        raise TruthError(
            f"{folder}: no {TRUTH} in it or below; expected a table with the columns path and type"
        )
    for table in tables:
        with table.open(newline="") as stream:
            rows = list(csv.DictReader(stream))
        if rows and not {"path", "type"} <= set(rows[0]):
            raise TruthError(f"{table}: expected the columns path and type, found {', '.join(rows[0])}")
        for number, row in enumerate(rows):
            kind = kind_of(row["type"])
            air = (row.get("air") or "").strip() in {"1", "true", "True"} or "air wavelengths" in (
                row.get("note") or ""
            )
            try:
                spectrum = read_file(table.parent / row["path"], air=air)
            except SpectrumError as error:
                log.warning("%s: left out: %s", table, error)
                continue
            clean = Observed(
                spectrum,
                kind,
                spectrum.snr,
                origin=row["path"].partition("/")[0] if "/" in row["path"] else table.parent.name,
                teff=_number(row.get("teff")),
                logg=_number(row.get("logg")),
                v_rad=_number(row.get("rv_kms")),
                e_v_rad=_number(row.get("e_rv")) or 0.0,
            )
            for fault in FOLDER_FAULTS if kind == "DA" else ("none",):
                rng = np.random.default_rng([seed, number])
                yield Observed(
                    FAULTS[fault](spectrum, rng),
                    kind,
                    clean.snr,
                    fault,
                    clean.origin,
                    clean.teff,
                    clean.logg,
                    clean.v_rad,
                    clean.e_v_rad,
                )


def kind_of(spectral_type: str) -> str:
    """SnowWhite's class of a published type: `DA4` and `DA:` are DA, `sdO` is SDB, `G5V` and `Carbon` are STAR."""
    name = spectral_type.strip().upper().replace("-", "_")
    for known in ("GALAXY", "QSO", "CV", "STAR"):
        if name.startswith(known):
            return known
    if name.startswith(("SDB", "SDO")):
        return "SDB"
    if name.startswith("D"):
        letters = name.rstrip(":?0123456789. ")
        if "+" in letters or "_MS" in letters or letters.endswith("M"):
            return "DA_MS"
        if letters.endswith("H") and letters != "DH":
            return "DAH"
        return letters[:2]
    return "STAR"


def _number(text: str | None) -> float | None:
    try:
        value = float(text or "nan")
    except ValueError:
        return None
    return value if math.isfinite(value) else None
