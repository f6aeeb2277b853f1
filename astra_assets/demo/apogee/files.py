"""apVisit and apStar files, as the APOGEE reductions of SDSS-IV and SDSS-V write them.

HDUs, their order and shapes, and the header keys follow public files of DR12 and DR13 and the public data model
(sdss/datamodel, apVisit and apStar of DR17). The images of the sky and of the atmosphere's absorption, with their
errors, have headers and no data: they would double the size of the files.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from astra_assets.demo.apogee.coadds import ApogeeCoadd
from astra_assets.demo.apogee.detectors import WAVELENGTHS, StarPixels, VisitPixels
from astra_assets.demo.apogee.visits import APRED, StarVisit
from astra_assets.demo.photometry import Columns
from astra_assets.demo.tables import image_hdu, primary_hdu, records, table_hdu
from astra_assets.files.paths import ap_visit_name
from astra_assets.fits.header import Card
from astra_assets.spectra.grid import APOGEE_GRID

FLUX_UNIT = "10^-17 erg/s/cm^2/Ang"
UNREAD = ("Sky", "Sky Error", "Telluric", "Telluric Error")
"""HDUs without data, in the order of the files."""
EXPOSURE = 500.0
"""Seconds of an exposure of the spectrographs of APOGEE."""
LSF_COEFFICIENTS = 26
VISIT_TABLE = {
    "APOGEE_ID": "A", "FILE": "A", "FIBERID": "I", "PLATE": "A", "MJD": "J", "TELESCOPE": "A", "FIELD": "A", "RA": "D",
    "DEC": "D", "SNR": "E", "STARFLAG": "K", "DATEOBS": "A", "JD": "D", "BC": "E", "VREL": "E", "VRELERR": "E", "VRAD": "E",
}  # fmt: skip
"""Columns of the last HDU of an apVisit file (some of 50)."""
STAR_TABLE = {
    "FILE": "A",
    "FIBER": "I",
    "PLATE": "A",
    "MJD": "J",
    "JD": "D",
    "VREL": "E",
    "VRELERR": "E",
    "BC": "E",
}
"""Columns of the last HDU of an apStar file (some of 29), here with a row for each visit."""


def ap_visit(visit: StarVisit, pixels: VisitPixels, columns: Columns) -> list[bytes]:
    """The HDUs of the apVisit file of one visit; `columns` describe all targets of the survey."""
    axes = [Card("CTYPE1", "Pixel"), Card("CTYPE2", "Chip")]
    images = (
        (pixels.flux, f"Flux ({FLUX_UNIT})"),
        (pixels.error, f"Flux Error ({FLUX_UNIT})"),
        (pixels.mask, "Flag Mask (bitwise)"),
        (pixels.wavelength, "Wavelength (Ang)"),
    )
    wave = np.array([[0.0, *np.zeros(4), *reversed(each), *np.zeros(5)] for each in WAVELENGTHS])
    return [
        primary_hdu(_visit_cards(visit, pixels, columns)),
        *(image_hdu(image, [*axes, Card("BUNIT", unit)]) for image, unit in images),
        *(image_hdu(None, [Card("BUNIT", unit)]) for unit in UNREAD),
        image_hdu(wave, [Card("BUNIT", "Wavelength Coefficients")]),
        image_hdu(np.zeros((len(WAVELENGTHS), LSF_COEFFICIENTS)), [Card("BUNIT", "LSF Coefficients")]),
        table_hdu(records(_visit_row(visit, pixels), VISIT_TABLE)),
    ]


def _visit_row(visit: StarVisit, pixels: VisitPixels) -> dict[str, NDArray[Any]]:
    target = visit.star.target
    failed = visit.failed
    row = {
        "APOGEE_ID": visit.star.obj, "FILE": ap_visit_name(visit.row), "FIBERID": visit.fiber, "PLATE": visit.plate,
        "MJD": visit.night.mjd, "TELESCOPE": visit.telescope, "FIELD": visit.field, "RA": target.ra, "DEC": target.dec,
        "SNR": pixels.snr, "STARFLAG": pixels.flags, "DATEOBS": visit.date_obs, "JD": visit.jd, "BC": visit.night.velocity,
        "VREL": np.nan if failed else visit.measured_relative, "VRELERR": np.nan if failed else visit.e_v_rad,
        "VRAD": np.nan if failed else visit.measured,
    }  # fmt: skip
    return {name: np.array([value]) for name, value in row.items()}


def _visit_cards(visit: StarVisit, pixels: VisitPixels, columns: Columns) -> list[Card]:
    target, night = visit.star.target, visit.night
    frames = 2 * max(1, round(night.exptime / EXPOSURE / 2))
    first = 1000 * (night.mjd - 55_562) + 10
    plate = [Card("PLATE", visit.plate, "Plate or configuration")] if visit.plate else []
    velocity = [
        Card("VRAD", visit.measured_relative, "doppler shift (km/s)"),
        Card("VRADERR", visit.e_v_rad, "VRAD error (km/s)"),
        Card("VHELIO", visit.measured, "barycentric velocity (km/s)"),
    ]
    return [
        *plate,
        Card("FIELD", visit.field, "Field name"),
        Card("TELESCOP", visit.telescope, "Telescope"),
        Card("MJD5", night.mjd, "MJD of observation"),
        Card("FIBERID", visit.fiber, "APOGEE Fiber ID 1-300"),
        Card("DATE-OBS", visit.date_obs),
        Card("EXPTIME", frames * EXPOSURE / 2, "Total visit exptime per dither pos"),
        Card("JD-MID", round(visit.jd, 5), "JD at midpoint of visit"),
        Card("UT-MID", visit.date_obs, "Date at midpoint of visit"),
        Card("NCOMBINE", frames),
        *(Card(f"FRAME{number}", first + number, "Constituent frame") for number in range(1, frames + 1)),
        Card("NPAIRS", frames // 2 if visit.dithered else 0, "Number of dither pairs combined"),
        *_object(visit.star.obj, target.number, columns),
        Card("RA", target.ra, "targeting right ascension, deg, J2000"),
        Card("DEC", target.dec, "targeting declination, deg, J2000"),
        Card("SNR", pixels.snr, "median S/N, middle chip"),
        Card("STARFLAG", pixels.flags, "Star data quality flag"),
        Card("V_APRED", APRED[visit.release], "apogeereduce software version"),
        Card("BC", night.velocity, "barycentric correction (km/s)"),
        *([] if visit.failed else velocity),
    ]


def _object(name: str, number: int, columns: Columns) -> list[Card]:
    bands = {band.upper(): float(columns[f"{band}_mag"][number]) for band in ("j", "h", "k")}
    return [
        Card("OBJID", name, "Object ID"),
        *(
            Card(band, round(magnitude, 3), f"2MASS {band} magnitude")
            for band, magnitude in bands.items()
            if np.isfinite(magnitude)
        ),
    ]


def ap_star(coadd: ApogeeCoadd, pixels: StarPixels, columns: Columns) -> list[bytes]:
    """The HDUs of the apStar file of one coadd; a single visit has images of one dimension."""
    axis = [
        Card("CRVAL1", APOGEE_GRID.crval),
        Card("CDELT1", APOGEE_GRID.cdelt),
        Card("CRPIX1", 1),
        Card("CTYPE1", "LOG-LINEAR"),
        Card("DC-FLAG", 1),
    ]
    # SDSS-V has masks of 64 bits, SDSS-IV of 16.
    mask = pixels.mask if coadd.release == "sdss5" else pixels.mask.astype(np.int16)
    images = (
        (pixels.flux, f"Flux ({FLUX_UNIT})"),
        (pixels.error, f"Error ({FLUX_UNIT})"),
        (mask, "Flag Mask (bitwise)"),
    )
    rows = {
        "FILE": [ap_visit_name(visit.row) for visit in coadd.visits],
        "FIBER": [visit.fiber for visit in coadd.visits],
        "PLATE": [visit.plate for visit in coadd.visits],
        "MJD": [visit.night.mjd for visit in coadd.visits],
        "JD": [visit.jd for visit in coadd.visits],
        "VREL": [visit.measured_relative for visit in coadd.visits],
        "VRELERR": [visit.e_v_rad for visit in coadd.visits],
        "BC": [visit.night.velocity for visit in coadd.visits],
    }
    return [
        primary_hdu([*_star_cards(coadd, pixels, columns), *_visits_of(coadd)]),
        *(
            image_hdu(image[0] if len(image) == 1 else image, [*axis, Card("BUNIT", unit)])
            for image, unit in images
        ),
        *(image_hdu(None, [Card("BUNIT", unit)]) for unit in UNREAD),
        image_hdu(np.zeros(LSF_COEFFICIENTS), [Card("BUNIT", "LSF Coefficients")]),
        table_hdu(records(rows, STAR_TABLE)),
    ]


def _star_cards(coadd: ApogeeCoadd, pixels: StarPixels, columns: Columns) -> list[Card]:
    target = coadd.star.target
    return [
        *_object(coadd.star.obj, target.number, columns),
        Card("TELESCOP", coadd.telescope, "Telescope"),
        Card("FIELD", coadd.visits[0].field, "Field name"),
        Card("RA", target.ra, "right ascension, deg, J2000"),
        Card("DEC", target.dec, "declination, deg, J2000"),
        Card("HEALPIX", int(columns["healpix"][target.number]), "HEALPix pixel, nside 128, RING"),
        Card("NVISITS", len(coadd.visits), "number of visit spectra combined"),
        Card("VRAD", 0.0, "Doppler shift (km/s) of this spectrum"),
        Card("VHBARY", coadd.v_rad, "mean barycentric velocity (km/s)"),
        Card("VSCATTER", coadd.scatter, "STDEV of VHBARY (km/s)"),
        Card("VERR", coadd.e_v_rad, "weighted error in VHBARY (km/s)"),
        Card("VERR_MED", coadd.median_error, "median error in VHBARY (km/s)"),
        Card("SNR", pixels.snr, "final median Signal/Noise ratio"),
        Card("STARFLAG", coadd.flags, "bitwise OR of individual visit starflags"),
        Card("ANDFLAG", coadd.common_flags, "bitwise AND of individual visit starflags"),
        Card("MEANFIB", coadd.mean_fiber, "S/N weighted mean fiber number"),
        Card("SIGFIB", coadd.std_fiber, "standard deviation (unweighted) of fiber number"),
        Card("NWAVE", APOGEE_GRID.n_pixels, "Number of wavelengths in subsequent HDUs"),
        Card("NRES", "5.00 4.25 3.50", "Pixels per resolution element"),
        Card("V_APRED", APRED[coadd.release], "apogeereduce software version"),
    ]


def _visits_of(coadd: ApogeeCoadd) -> list[Card]:
    found: list[Card] = []
    for number, (visit, snr) in enumerate(zip(coadd.visits, coadd.snr, strict=True), 1):
        found += [
            Card("COMMENT", f"VISIT {number} INFORMATION:"),
            Card(f"SFILE{number}", ap_visit_name(visit.row), f"Visit #{number} spectrum file"),
            Card(f"DATE{number}", visit.date_obs, f"DATE-OBS of visit {number}"),
            Card(f"JD{number}", round(visit.jd, 5), f"Julian date of visit {number}"),
            Card(f"FIBER{number}", visit.fiber, f"Fiber, visit {number}"),
            Card(f"BC{number}", visit.night.velocity, f"Barycentric correction (km/s), visit {number}"),
            Card(f"VRAD{number}", visit.measured_relative, f"Doppler shift (km/s) of visit {number}"),
            Card(f"VERR{number}", visit.e_v_rad, "error in VRAD (km/s)"),
            Card(f"VHBARY{number}", visit.measured, f"Barycentric velocity (km/s), visit {number}"),
            Card(f"SNRVIS{number}", snr, f"Signal/Noise ratio, visit {number}"),
        ]
    return found
