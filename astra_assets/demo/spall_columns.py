"""The 147 columns of spAll as in run2d v6_2_1: names, FITS formats, units, in the order of the file.

Source: the public data model of the SDSS (sdss/datamodel, specFull of DR20, HDU SPALL). The width of texts is
that of the longest value, as in the real file; here it is written as `A`.
"""

from __future__ import annotations

RUN2D = "v6_2_1"
"""The reduction that has these columns, and that the demo pretends to be."""

_TEXT = """
FIELD K | MJD K | OBS A | MJD_FINAL D | MJD_LIST A | TAI_LIST A | RUN2D A | RUN1D A | DESIGNS A | CONFIGS A |
NEXP I | EXPTIME E s | TARGET_INDEX K | FIBERID_LIST A | SPEC_FILE A | PROGRAMNAME A | SURVEY A | CADENCE A |
FIRSTCARTON A | CARTON_TO_TARGET_PK A | SDSS5_TARGET_FLAGS B | OBJTYPE A | TOO A | TOO_ID K | CATALOGID K |
CATALOGID_V0 K | CATALOGID_V0P5 K | CATALOGID_V1 K | SDSS_ID K | SPECOBJID A | CALIBFLUX 5E nanomaggy |
CALIBFLUX_IVAR 5E nanomaggy | OPTICAL_PROV A | MAG 5E | PSFMAG 5E | FIBER2MAG 5E | CATDB_MAG 5E | GAIA_G_MAG E
| GRI_GAIA_TRANSFORM K | BP_MAG E | RP_MAG E | GAIA_ID K | WISE_MAG 4E | TWOMASS_MAG 3E | GUVCAT_MAG 2E | EBV
E | EBV_TYPE A | FIBER_RA D degrees | FIBER_DEC D degrees | PLUG_RA D degrees | PLUG_DEC D degrees | RACAT D
degrees | DECCAT D degrees | COORD_EPOCH E | PMRA E mas/year | PMDEC E mas/year | PARALLAX E mas | RA_LIST A
degrees | DEC_LIST A degrees | DELTA_RA_LIST A arcsec | DELTA_DEC_LIST A arcsec | FIBER_OFFSET K | XFOCAL A mm
| YFOCAL A mm | ZOFFSET E microns | LAMBDA_EFF E AA | BLUEFIBER K | HEALPIX K | HEALPIXGRP K | HEALPIX_PATH A
| FIELDQUALITY A | EXP_DISP_MED D | FIELDSN2 E | FIELDSNR2G_LIST A | FIELDSNR2R_LIST A | FIELDSNR2I_LIST A |
SPEC1_G E | SPEC1_R E | SPEC1_I E | SPEC2_G E | SPEC2_R E | SPEC2_I E | SN_MEDIAN 5E | SN_MEDIAN_ALL E |
AIRMASS E | SEEING20 E arcsecs | SEEING50 E arcsecs | SEEING80 E arcsecs | MOON_DIST A degrees | MOON_PHASE A
| ASSIGNED A | ON_TARGET A | VALID A | DECOLLIDED A | ANYANDMASK K | ANYORMASK K | SPECPRIMARY K | SPECBOSS K
| BOSS_SPECOBJ_ID K | NSPECOBS K | SPECTROFLUX 5E nanomaggy | SPECTROFLUX_IVAR 5E nanomaggy | SPECTROSYNFLUX
5E nanomaggy | SPECTROSYNFLUX_IVAR 5E nanomaggy | SPECTROSKYFLUX 5E nanomaggy | WAVEMIN E AA | WAVEMAX E AA |
WCOVERAGE E log10(AA) | CLASS A | SUBCLASS A | Z E | Z_ERR E | ZWARNING K | RCHI2 E | DOF K | RCHI2DIFF E |
TFILE A | TCOLUMN 10K | NPOLY K | THETA 10E | VDISP E km/s | VDISP_ERR E km/s | VDISPZ E | VDISPZ_ERR E |
VDISPCHI2 E | VDISPNPIX E | VDISPDOF K | CHI68P E | FRACNSIGMA 10E | FRACNSIGHI 10E | FRACNSIGLO 10E | Z_NOQSO
E | Z_ERR_NOQSO E | ZNUM_NOQSO K | ZWARNING_NOQSO K | CLASS_NOQSO A | SUBCLASS_NOQSO A | RCHI2DIFF_NOQSO E |
XCSAO_RV E km/s | XCSAO_ERV E km/s | XCSAO_RXC E | XCSAO_TEFF E K | XCSAO_ETEFF E K | XCSAO_LOGG E cm/s^2 |
XCSAO_ELOGG E cm/s^2 | XCSAO_FEH E solar | XCSAO_EFEH E solar
"""


def _parse(text: str) -> tuple[tuple[str, str, str], ...]:
    parts = (entry.split() for entry in text.split("|"))
    return tuple((name, form, unit[0] if unit else "") for name, form, *unit in parts)


SPALL_COLUMNS = _parse(_TEXT)
"""Name, format and unit of each column; the unit is empty where the file gives none."""
