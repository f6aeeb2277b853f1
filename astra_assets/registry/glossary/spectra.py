"""Columns of spectra: pixels, continuum, and what the reductions measure (velocities, stellar parameters)."""

from __future__ import annotations

from astra_assets.registry.kinds import Definition, Kind

FLUX_UNIT = "10**-17 erg s-1 cm-2 Angstrom-1"
"""Unit of BOSS and APOGEE flux per wavelength."""

IVAR_UNIT = "10**34 erg-2 s2 cm4 Angstrom2"
"""Unit of the inverse variance of the flux."""

PIXELS = {
    "wavelength": Definition(Kind.pixels, "Vacuum wavelength", "Angstrom", "em.wl"),
    "flux": Definition(Kind.pixels, "Flux", FLUX_UNIT, "phot.flux.density;em.wl"),
    "ivar": Definition(
        Kind.pixels, "Inverse variance of the flux, 0 where unusable", IVAR_UNIT, "stat.weight"
    ),
    "wresl": Definition(
        Kind.pixels, "Spectral resolution, one standard deviation", "Angstrom", "spect.resolution"
    ),
    "pixel_flags": Definition(Kind.pixels, "Flags of the pixel, OR of the visits", None, "meta.code.qual"),
    "continuum": Definition(
        Kind.pixels, "Continuum of the NMF model", FLUX_UNIT, "phot.flux.density;spect.continuum"
    ),
    "nmf_rectified_model_flux": Definition(
        Kind.pixels, "NMF model of the flux, continuum is 1", None, "phot.flux.density;arith.ratio"
    ),
    "model_flux": Definition(
        Kind.pixels, "Flux of the best-fitting model", FLUX_UNIT, "phot.flux.density;em.wl"
    ),
    "nmf_rchi2": Definition(Kind.float32, "Reduced chi-square of the NMF continuum fit", ucd="stat.fit.chi2"),
    "nmf_flags": Definition(Kind.bits, "Flags of the NMF continuum fit", ucd="meta.code.qual"),
}

VELOCITIES = {
    "v_rad": Definition(Kind.float32, "Barycentric radial velocity", "km s-1", "spect.dopplerVeloc"),
    "v_rel": Definition(
        Kind.float32, "Radial velocity in the frame of the spectrum", "km s-1", "spect.dopplerVeloc"
    ),
    "bc": Definition(
        Kind.float32, "Barycentric correction applied", "km s-1", "spect.dopplerVeloc;arith.diff"
    ),
    "std_v_rad": Definition(
        Kind.float32,
        "Standard deviation of the radial velocities of the visits",
        "km s-1",
        "stat.stdev;spect.dopplerVeloc",
    ),
    "median_e_v_rad": Definition(
        Kind.float32,
        "Median error on radial velocity of the visits",
        "km s-1",
        "stat.error;spect.dopplerVeloc;stat.median",
    ),
}

XCSAO = {
    "xcsao_v_rad": Definition(Kind.float32, "Radial velocity of XCSAO", "km s-1", "spect.dopplerVeloc.opt"),
    "xcsao_teff": Definition(
        Kind.float32, "Effective temperature of XCSAO", "K", "phys.temperature.effective"
    ),
    "xcsao_logg": Definition(Kind.float32, "Surface gravity of XCSAO, log10 of cm/s2", None, "phys.gravity"),
    "xcsao_fe_h": Definition(Kind.float32, "[Fe/H] of XCSAO, dex", None, "phys.abund.Fe"),
    "xcsao_rxc": Definition(Kind.float32, "Cross-correlation R (Tonry & Davis 1979)", ucd="stat.correlation"),
    "xcsao_meanrxc": Definition(
        Kind.float32, "Mean cross-correlation R of the stacked visits", ucd="stat.correlation;stat.mean"
    ),
}

DOPPLER = {
    "doppler_teff": Definition(
        Kind.float32, "Effective temperature of Doppler", "K", "phys.temperature.effective"
    ),
    "doppler_logg": Definition(
        Kind.float32, "Surface gravity of Doppler, log10 of cm/s2", None, "phys.gravity"
    ),
    "doppler_fe_h": Definition(Kind.float32, "[Fe/H] of Doppler, dex", None, "phys.abund.Fe"),
    "doppler_rchi2": Definition(Kind.float32, "Reduced chi-square of the Doppler fit", ucd="stat.fit.chi2"),
    "doppler_flags": Definition(Kind.bits, "Flags of the Doppler fit", ucd="meta.code.qual"),
}

CROSS_CORRELATION = {
    "xcorr_v_rad": Definition(
        Kind.float32, "Barycentric radial velocity of the cross-correlation", "km s-1", "spect.dopplerVeloc"
    ),
    "xcorr_v_rel": Definition(
        Kind.float32,
        "Velocity of the cross-correlation, frame of the spectrum",
        "km s-1",
        "spect.dopplerVeloc",
    ),
    "ccfwhm": Definition(
        Kind.float32, "FWHM of the cross-correlation function", "km s-1", "stat.correlation"
    ),
    "autofwhm": Definition(
        Kind.float32, "FWHM of the auto-correlation of the template", "km s-1", "stat.correlation"
    ),
    "n_components": Definition(
        Kind.int32, "Number of peaks in the cross-correlation function", ucd="meta.number"
    ),
}

SPECTRA = PIXELS | VELOCITIES | XCSAO | DOPPLER | CROSS_CORRELATION
