"""specFull files: one coadded spectrum with its metadata, as the BOSS reduction of SDSS-V writes them.

Layout, keys and their order follow the public data model (sdss/datamodel, specFull of DR20). The file ends with ZLINE:
the single exposures, which would make it six times larger, are left out, as in the reduction's own spec-lite files.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from astra_assets.demo.pixels import Pixels
from astra_assets.demo.population import Visit
from astra_assets.demo.spall import UNITS
from astra_assets.demo.spall_columns import RUN2D, SPALL_COLUMNS
from astra_assets.demo.streams import stream
from astra_assets.demo.tables import EmptyCard, primary_hdu, records, table_hdu
from astra_assets.fits.header import Card, section

COADD_UNITS = {
    "FLUX": "10^-17 ergs/s/cm^2/Angs",
    "LOGLAM": "log10(Angs)",
    "WDISP": "Pixels",
    "SKY": "10^-17 ergs/s/cm^2/Angs",
    "WRESL": "Angs",
}
LINES = (
    ("[O_II] 3725", 3728.3), ("H_delta", 4102.9), ("H_gamma", 4341.7), ("He_II 4685", 4687.0),
    ("H_beta", 4862.7), ("[O_III] 5007", 5008.2), ("He_I 5876", 5877.3), ("H_alpha", 6564.6),
)  # fmt: skip
"""Lines that the reduction measures (some of 31): name and vacuum wavelength in Angstrom."""
LINE_FORMATS = {
    "FIELD": "K",
    "MJD": "K",
    "LINENAME": "A",
    "LINEWAVE": "D",
    "LINEZ": "E",
    "LINEAREA": "E",
    "LINEAREA_ERR": "E",
}
REDSHIFT_FORMATS = {
    name: form
    for name, form, _ in SPALL_COLUMNS
    if name in ("FIELD", "MJD", "CLASS", "SUBCLASS", "Z", "Z_ERR", "ZWARNING", "RCHI2", "DOF")
}
WITHOUT_GUIDER = 41
"""Each so many headers say nothing about the guider."""


def spec_full(seed: int, visit: Visit, pixels: Pixels, spall_row: NDArray[Any]) -> list[bytes]:
    """The HDUs of the file of one visit; `spall_row` is its record of spAll, an array of length 1."""
    return [
        primary_hdu(header(seed, visit, pixels)),
        table_hdu(pixels.table, name="COADD", units=COADD_UNITS),
        table_hdu(spall_row, name="SPALL", units=UNITS),
        _redshifts(spall_row),
        _lines(visit),
    ]


def header(seed: int, visit: Visit, pixels: Pixels) -> list[Card]:
    """The cards of the primary header after the mandatory ones."""
    rng = stream(seed, "header", visit.number)
    return [
        *_instrument(visit),
        *_exposures(visit),
        *_pointing(visit, with_guider=(visit.number + 1) % WITHOUT_GUIDER != 0),
        *_reduction(rng),
        *_grid(visit, pixels),
        *_conditions(visit, rng),
        *_sky_quality(rng),
        Card("SDSSC2BV", 3, "SDSS5_TARGET_FLAG Carton to Bit Version"),
    ]


def _instrument(visit: Visit) -> list[Card]:
    code = visit.field.site.code
    return [
        *section("INSTRUMENT INFO"),
        Card("TELESCOP", "SDSS 2.5-M" if code == "APO" else "LCO Du Pont", "Telescope"),
        Card("OBSERVAT", code, "Observatory"),
        EmptyCard("SPEC", "", "Spectrograph name"),
    ]


def _exposures(visit: Visit) -> list[Card]:
    night, camera = visit.night, visit.field.site.spectrograph
    first = 10 * (night.mjd - 25_000)
    return [
        *section("EXPOSURE INFO"),
        Card("NEXP", night.n_exp, "Number of Coadded Exposures"),
        Card("BESTEXP", first),
        *(
            Card(
                f"EXPID{i + 1:02d}",
                f"{arm}{camera}-{first + i % night.n_exp:08d}",
                f"ID string for exposure {i + 1}",
            )
            for i, arm in enumerate("b" * night.n_exp + "r" * night.n_exp)
        ),
        Card(f"NEXP_B{camera}", night.n_exp, f"B{camera} camera number of exposures"),
        Card(f"NEXP_R{camera}", night.n_exp, f"R{camera} camera number of exposures"),
        Card("EXPTIME", night.exptime, "Total Exposure time in seconds of integration"),
        Card("TAI", round((night.tai_beg + night.tai_end) / 2, 2), "Mean MJD(TAI) seconds of integrations"),
        Card("TAI-BEG", night.tai_beg, "MJD(TAI) seconds at start of integrations"),
        Card("TAI-END", night.tai_end, "MJD(TAI) seconds at End of integrations"),
    ]


def _pointing(visit: Visit, *, with_guider: bool) -> list[Card]:
    """Plates have numbers and cartridges.

    The robots have a field, and empty texts where plates had numbers.
    """
    pointing, night = visit.field, visit.night
    plate = pointing.plate
    if plate is not None:
        setup = [
            Card(
                "NAME",
                f"{plate.number}-{night.mjd}-{plate.mapping:02d}",
                "The name of the currently loaded plate",
            ),
            Card("PLATEID", plate.number, "The currently loaded plate"),
            Card("CARTID", plate.cartridge, "Cartridge used in this plugging"),
            Card("MAPID", plate.mapping, "The mapping version of the loaded plate"),
            Card("POINTING", "A", "The currently specified pointing"),
        ]
    else:
        setup = [
            EmptyCard("NAME", "", "The name of the currently loaded plate"),
            EmptyCard("PLATEID", "", "The currently loaded plate"),
            Card(
                "CARTID",
                "FPS-N" if pointing.site.code == "APO" else "FPS-S",
                "Cartridge used in this plugging",
            ),
            EmptyCard("MAPID", "", "The mapping version of the loaded plate"),
            EmptyCard("POINTING", "", "The currently specified pointing"),
        ]
    guider = [Card("NGUIDE", float(night.n_guide), "Number of guider frames during integration")]
    return [
        *section("FIELD/PLATE INFO"),
        *setup,
        Card("PLATETYP", "BHM&MWM", "Type of plate (e.g. BOSS, MANGA, APOGEE, APOGEE)"),
        Card("FIELDID", pointing.fieldid, "FPS field"),
        Card("MJD", night.mjd),
        *(guider if with_guider else []),
        Card("SLITID", 0 if plate is None else plate.slit, "spectrograph Normalized slithead ID."),
        *section("TELESCOPE INFO"),
        Card("RA", round(pointing.ra, 6), "RA of telescope boresight (deg)"),
        Card("DEC", round(pointing.dec, 6), "Dec of telescope boresight (deg)"),
        Card("EQUINOX", 2000.0, "Equinox of celestial coordinate system"),
        Card("RADECSYS", "FK5"),
    ]


def _reduction(rng: np.random.Generator) -> list[Card]:
    galaxies, standards = int(rng.integers(20, 420)), int(rng.integers(12, 75))
    return [
        *section("VERSIONS"),
        Card("VERS2D", RUN2D, "Version of idlspec2d for 2D reduction"),
        Card("VERSCOMB", RUN2D, "Version of idlspec2d for combining multiple spe"),
        *section("PIPELINE OUTPUTS"),
        Card("RUN2D", RUN2D, "Spectro-2D reduction name"),
        Card("VACUUM", True, "Wavelengths are in vacuum"),
        Card("SFLATTEN", True, "Superflat has been applied"),
        Card("PSFSKY", 3, "Order of PSF skysubtraction"),
        Card("PREJECT", 0.2, "Profile area rejection threshold"),
        Card("NSTD", standards, "Number of (good) std stars"),
        Card("NGAL", galaxies, "Number of (good) main galaxies"),
        Card("LOWREJ", 4, "Extraction: low rejection"),
        Card("HIGHREJ", 50, "Extraction: high rejection"),
        Card("SCATPOLY", 0, "Extraction: Order of scattered light polynomial"),
        Card("PROFTYPE", 1, "Extraction profile: 1=Gaussian"),
        Card("NFITPOLY", 1, "Extraction: Number of parameters in each profil"),
    ]


def _grid(visit: Visit, pixels: Pixels) -> list[Card]:
    """The pixel scale; without CRVAL1 and its like, which an HDU without axes cannot have."""
    start = round(float(pixels.table["LOGLAM"][0]), 4)
    bad = round(float(np.mean(pixels.table["IVAR"] <= 0)), 8)
    return [
        Card("NWORDER", 2, "Linear-log10 coefficients"),
        Card("COEFF0", start, "Central wavelength (log10) of first pixel"),
        Card("COEFF1", 0.0001, "Log10 dispersion per pixel"),
        Card("FBADPIX", bad, "Fraction of bad pixels"),
        Card("WAT0_001", "system=linear"),
        Card("WAT1_001", "wtype=linear label=Wavelength units=Angstroms"),
        Card("DC-FLAG", 1, "Log-linear flag"),
        Card("PLUG_RA", round(visit.target.ra, 9), "RA of Target"),
        Card("PLUG_DEC", round(visit.target.dec, 9), "DEC of Target"),
    ]


def _conditions(visit: Visit, rng: np.random.Generator) -> list[Card]:
    """Telescope and weather.

    With the robots APO reports no air temperature and dew point, and often no humidity.
    """
    night = visit.night
    weather: dict[str, float | str] = dict(night.weather)
    if visit.field.site.code == "APO" and visit.field.plate is None:
        del weather["AIRTEMP"], weather["DEWPOINT"]
        if rng.uniform() < 0.5:
            weather["HUMIDITY"] = "NaN"
    return [
        Card("AZ", round(night.azimuth, 9), "Azimuth axis pos. (approx, deg)"),
        Card("ALT", round(night.altitude, 9), "Altitude axis pos. (approx, deg)"),
        Card("AIRMASS", round(night.airmass, 9), "Mean airmass"),
        *(Card(key, value) for key, value in sorted(weather.items())),
        Card("HELIO_RV", round(night.velocity, 6), "V_RAD for backwards compatibility"),
        Card("V_RAD", round(night.velocity, 6), "radial velocity relative to the barycenter (adde"),
        *(
            Card(f"SEEING{percent}", round(value, 6), f"{percent}% seeing during exposure (arcsec)")
            for percent, value in zip((20, 50, 80), night.seeing, strict=True)
        ),
    ]


def _sky_quality(rng: np.random.Generator) -> list[Card]:
    mean = float(rng.normal(1.0, 0.07))
    low, high = mean - float(rng.uniform(0.01, 0.06)), mean + float(rng.uniform(0.01, 0.06))
    return [
        Card("SKYCHI2", round(mean, 9), "Mean chi^2 of sky-subtraction"),
        Card("SCHI2MIN", round(low, 9), "Minimim chi^2 of sky-subtraction"),
        Card("SCHI2MAX", round(high, 9), "Maximim chi^2 of sky-subtraction"),
    ]


def _redshifts(spall_row: NDArray[Any]) -> bytes:
    """ZALL with the best model only (the reduction keeps 134)."""
    columns = {name: spall_row[name] for name in REDSHIFT_FORMATS}
    return table_hdu(records(columns, REDSHIFT_FORMATS), name="ZALL")


def _lines(visit: Visit) -> bytes:
    """ZLINE with the positions of the lines; no line is measured."""
    size = len(LINES)
    columns = {
        "FIELD": np.full(size, visit.field.fieldid),
        "MJD": np.full(size, visit.night.mjd),
        "LINENAME": np.array([name for name, _ in LINES]),
        "LINEWAVE": np.array([wavelength for _, wavelength in LINES]),
        "LINEZ": np.zeros(size),
        "LINEAREA": np.zeros(size),
        "LINEAREA_ERR": np.full(size, -1.0),
    }
    return table_hdu(records(columns, LINE_FORMATS), name="ZLINE")
