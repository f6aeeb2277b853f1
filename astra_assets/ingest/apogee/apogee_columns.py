"""Columns of allVisit and allStar, by the columns of our tables that they become.

Names differ between reductions, so each column has several, of which the first that a file has is taken; a
column that no version of a file has stays NULL.
"""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pyarrow as pa
from sqlalchemy import Table

from astra_assets.ingest.problems import FoldedNames, missing_columns
from astra_assets.models.apogee import ApogeeCoaddedSpectrumInApStar, ApogeeVisitSpectrum
from astra_assets.models.base import table_of

Names = Mapping[str, tuple[str, ...]]
"""Columns of a table, and what files call each."""

RELEASES: Mapping[str, str] = {"dr17": "dr17"}
"""The release of a reduction, where it is another than that of all SDSS-V reductions."""


def release_of(apred: str) -> str:
    """What `release` says of the spectra of a reduction."""
    return RELEASES.get(apred, "sdss5")


DOPPLER: Names = {
    "doppler_teff": ("RV_TEFF",),
    "doppler_e_teff": ("RV_TEFFERR", "RV_TEFF_ERR"),
    "doppler_logg": ("RV_LOGG",),
    "doppler_e_logg": ("RV_LOGGERR", "RV_LOGG_ERR"),
    "doppler_fe_h": ("RV_FEH",),
    "doppler_e_fe_h": ("RV_FEHERR", "RV_FEH_ERR"),
    "doppler_rchi2": ("RV_CHI2", "CHISQ"),
}

VISIT_FLOATS: Names = {
    "jd": ("JD",),
    "exptime": ("EXPTIME",),
    "input_ra": ("RA",),
    "input_dec": ("DEC",),
    "snr": ("SNR",),
    "v_rad": ("VRAD", "VHELIO", "VHELIOBARY"),
    "v_rel": ("VREL",),
    "e_v_rel": ("VRELERR",),
    "bc": ("BC",),
    **DOPPLER,
    "xcorr_v_rad": ("XCORR_VRAD", "XCORR_VHELIO"),
    "xcorr_v_rel": ("XCORR_VREL",),
    "xcorr_e_v_rel": ("XCORR_VRELERR",),
    "ccfwhm": ("CCFWHM", "RV_CCPFWHM"),
    "autofwhm": ("AUTOFWHM", "RV_AUTOFWHM"),
}

VISIT_INTEGERS: Names = {
    "catalogid": ("CATALOGID",),
    "star_pk": ("STAR_PK",),
    "visit_pk": ("VISIT_PK",),
    "rv_visit_pk": ("RV_VISIT_PK",),
    "assigned": ("ASSIGNED",),
    "on_target": ("ON_TARGET",),
    "valid": ("VALID",),
    "n_components": ("N_COMPONENTS",),
}

STAR_FLOATS: Names = {
    "snr": ("SNR",),
    "mean_fiber": ("MEANFIB",),
    "std_fiber": ("SIGFIB",),
    "v_rad": ("VRAD", "VHELIO_AVG", "VHELIO"),
    "e_v_rad": ("VERR",),
    "std_v_rad": ("VSCATTER",),
    "median_e_v_rad": ("VMEDERR", "VERR_MED"),
    **DOPPLER,
    "xcorr_v_rad": ("XCORR_VRAD", "XCORR_VHELIO"),
    "xcorr_v_rel": ("XCORR_VREL",),
    "xcorr_e_v_rel": ("XCORR_VRELERR",),
    "ccfwhm": ("RV_CCPFWHM", "RV_CCFWHM", "CCFWHM"),
    "autofwhm": ("RV_AUTOFWHM", "AUTOFWHM"),
}

STAR_INTEGERS: Names = {
    "star_pk": ("PK", "STAR_PK"),
    "min_mjd": ("MJDBEG",),
    "max_mjd": ("MJDEND",),
    "starver": ("STARVER",),
    "n_entries": ("NENTRIES", "N_ENTRIES"),
    "n_visits": ("NVISITS",),
    "n_good_visits": ("NGOODVISITS",),
    "n_good_rvs": ("NGOODRVS",),
    "n_components": ("N_COMPONENTS",),
}

FLAGS: Names = {"spectrum_flags": ("STARFLAG",), "doppler_flags": ("RV_FLAG",)}

OTHERS: Names = {
    "obj": ("APOGEE_ID",),
    "telescope": ("TELESCOPE",),
    "field": ("FIELD",),
    "file": ("FILE",),
    "version": ("STARVER",),
    "identity_catalogid": ("CATALOGID",),
    "identity_sdss_id": ("SDSS_ID",),
}
"""Columns of both files that take more than a conversion."""

VISIT_OTHERS: Names = {
    **OTHERS,
    "plate": ("PLATE",),
    "mjd": ("MJD",),
    "fiber": ("FIBERID", "FIBER"),
    "date_obs": ("DATEOBS", "DATE_OBS"),
    "fps": ("FPS",),
}
STAR_OTHERS: Names = {**OTHERS, "healpix": ("HEALPIX",), "ra": ("RA",), "dec": ("DEC",)}


@dataclass(frozen=True)
class Summary:
    """One kind of summary file and the table that its rows go to.

    Attributes:
        name: how the reduction calls the file.
        kind: how the ledger of files calls it.
        table: where its rows go.
        filetype: the kind of file that a row's spectrum is in.
        key: the columns that make a row unique.
        within: those of them that differ within a file, by which two of its rows are the same spectrum.
        drp_keys: columns with keys of the reduction's own database, each unique.
        floats, integers, others: what its columns become.
        needed: columns that each file must have.
    """

    name: Literal["allVisit", "allStar"]
    kind: str
    table: Table
    filetype: str
    key: tuple[str, ...]
    within: tuple[str, ...]
    drp_keys: tuple[str, ...]
    floats: Names
    integers: Names
    others: Names
    needed: tuple[str, ...]

    @property
    def names(self) -> Names:
        """All columns with what files call them."""
        return {**self.others, **self.floats, **self.integers, **FLAGS}

    def choose(self, present: Sequence[str], path: Path, apred: str) -> dict[str, str]:
        """The column of the file (in any case) for each column that it has.

        Stars of SDSS-IV need their field, which is part of the path of their files.

        Raises:
            IngestError: needed columns are missing; it lists all of them, and what the file has that is called alike. Or
                one is there twice.
        """
        folded = FoldedNames(present, path)
        chosen: dict[str, str] = {}
        for target, alternatives in self.names.items():
            found = next((folded[name.lower()] for name in alternatives if name.lower() in folded), None)
            if found is not None:
                chosen[target] = found
        needed = dict.fromkeys((*self.needed, *(("field",) if release_of(apred) == "dr17" else ())))
        lacking = [" or ".join(self.names[name]) for name in needed if name not in chosen]
        if lacking:
            raise missing_columns(path, lacking, present, f"the {self.name} summary of an APOGEE reduction")
        return chosen

    def absence_notes(self, chosen: Container[str], path: Path) -> list[str]:
        """What there is to say about columns that a file has under none of their names: one note, or none."""
        lacking = [" or ".join(called) for target, called in self.names.items() if target not in chosen]
        if not lacking:
            return []
        return [f"{path}: has no {', '.join(lacking)}; what follows from them stays without a value"]


ALL_VISIT = Summary(
    name="allVisit",
    kind="allvisit",
    table=table_of(ApogeeVisitSpectrum),
    filetype="apVisit",
    key=("release", "apred", "mjd", "plate", "telescope", "field", "fiber", "prefix", "reduction"),
    within=("mjd", "plate", "telescope", "field", "fiber", "reduction"),
    drp_keys=("visit_pk", "rv_visit_pk"),
    floats=VISIT_FLOATS,
    integers=VISIT_INTEGERS,
    others=VISIT_OTHERS,
    needed=("obj", "telescope", "field", "plate", "mjd", "fiber"),
)

ALL_STAR = Summary(
    name="allStar",
    kind="allstar",
    table=table_of(ApogeeCoaddedSpectrumInApStar),
    filetype="apStar",
    key=("release", "apred", "apstar", "obj", "telescope", "field", "prefix"),
    within=("obj", "telescope", "field"),
    drp_keys=("star_pk",),
    floats=STAR_FLOATS,
    integers=STAR_INTEGERS,
    others=STAR_OTHERS,
    needed=("obj", "telescope"),
)

SIZES: Mapping[str, pa.DataType] = {
    name: pa.int64() for name in ("catalogid", "star_pk", "visit_pk", "rv_visit_pk")
}
"""Whole numbers of 64 bits; all others have 32."""
