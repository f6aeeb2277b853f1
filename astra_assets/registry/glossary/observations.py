"""Columns of observations: visits, exposures, pointing, weather, and the quality of the reduction."""

from __future__ import annotations

from astra_assets.registry.kinds import Definition, Kind

SPAN = {
    "n_boss_visits": Definition(Kind.int32, "Number of BOSS visits", ucd="meta.number;obs"),
    "boss_min_mjd": Definition(Kind.int32, "First MJD of the BOSS visits", "d", "time.start;obs"),
    "boss_max_mjd": Definition(Kind.int32, "Last MJD of the BOSS visits", "d", "time.end;obs"),
    "n_apogee_visits": Definition(Kind.int32, "Number of APOGEE visits", ucd="meta.number;obs"),
    "apogee_min_mjd": Definition(Kind.int32, "First MJD of the APOGEE visits", "d", "time.start;obs"),
    "apogee_max_mjd": Definition(Kind.int32, "Last MJD of the APOGEE visits", "d", "time.end;obs"),
    "min_mjd": Definition(Kind.int32, "First MJD of the visits", "d", "time.start;obs"),
    "max_mjd": Definition(Kind.int32, "Last MJD of the visits", "d", "time.end;obs"),
    "n_entries": Definition(Kind.int32, "Number of apStar entries of this star (DR17)", ucd="meta.number"),
    "n_visits": Definition(Kind.int32, "Number of visits considered", ucd="meta.number;obs"),
    "n_good_visits": Definition(Kind.int32, "Number of visits in the stack", ucd="meta.number;obs"),
    "n_good_rvs": Definition(
        Kind.int32, "Number of visits with a good radial velocity", ucd="meta.number;obs"
    ),
}

EXPOSURE = {
    "n_exp": Definition(Kind.int32, "Number of co-added exposures", ucd="meta.number;obs.exposure"),
    "exptime": Definition(Kind.float32, "Total exposure time", "s", "time.duration;obs.exposure"),
    "date_obs": Definition(Kind.datetime, "Mid-time of the observation (UTC)", ucd="time.epoch;obs"),
    "jd": Definition(Kind.float64, "Julian date at the middle of the visit", "d", "time.epoch;obs"),
    "dithered": Definition(
        Kind.boolean, "The exposures are dithered (4096 pixels a chip, not 2048)", ucd="meta.code"
    ),
    "n_frames": Definition(Kind.int32, "Number of frames combined", ucd="meta.number;obs.exposure"),
    "tai_beg": Definition(
        Kind.int64, "Start of the observation (TAI, MJD times 86400)", "s", "time.start;obs"
    ),
    "tai_end": Definition(Kind.int64, "End of the observation (TAI, MJD times 86400)", "s", "time.end;obs"),
    "f_night_time": Definition(
        Kind.float32, "Mid-time of the observation, 0 at sunset and 1 at sunrise", ucd="time.phase;obs"
    ),
}

POINTING = {
    "plateid": Definition(Kind.int32, "Plate number", ucd="meta.id;instr.plate"),
    "cartid": Definition(Kind.int32, "Cartridge number", ucd="meta.id;instr"),
    "mapid": Definition(Kind.int32, "Version of the plug map", ucd="meta.version;instr"),
    "slitid": Definition(Kind.int32, "Slit unit", ucd="meta.id;instr"),
    "input_ra": Definition(Kind.float32, "Commanded right ascension", "deg", "pos.eq.ra"),
    "input_dec": Definition(Kind.float32, "Commanded declination", "deg", "pos.eq.dec"),
    "assigned": Definition(Kind.int32, "Robot positioner: target is assigned", ucd="meta.code"),
    "on_target": Definition(Kind.int32, "Robot positioner: fibre is on target", ucd="meta.code"),
    "valid": Definition(Kind.int32, "Robot positioner: target is valid", ucd="meta.code"),
    "fps": Definition(Kind.boolean, "Observed with the robot fibre positioner", ucd="meta.code"),
    "fiber_offset": Definition(Kind.boolean, "The fibre was moved off the target", ucd="meta.code"),
    "delta_ra": Definition(
        Kind.floats, "Offset of the fibre in right ascension, per exposure", "arcsec", "pos.eq.ra;arith.diff"
    ),
    "delta_dec": Definition(
        Kind.floats, "Offset of the fibre in declination, per exposure", "arcsec", "pos.eq.dec;arith.diff"
    ),
    "mean_fiber": Definition(
        Kind.float32, "Mean fibre number of the visits, weighted by S/N", ucd="meta.id;instr"
    ),
    "std_fiber": Definition(
        Kind.float32, "Standard deviation of the fibre numbers of the visits", ucd="stat.stdev;instr"
    ),
}

BOSS_REDUCTION = {
    "psfsky": Definition(
        Kind.int32, "Order of the PSF of the sky subtraction", ucd="meta.number;instr.setup"
    ),
    "preject": Definition(Kind.float32, "Rejection threshold of the profile area", ucd="stat.value"),
    "n_std": Definition(Kind.int32, "Number of standard stars", ucd="meta.number"),
    "n_gal": Definition(Kind.int32, "Number of galaxies in the field", ucd="meta.number"),
    "lowrej": Definition(Kind.int32, "Low rejection threshold of the extraction", ucd="stat.value"),
    "highrej": Definition(Kind.int32, "High rejection threshold of the extraction", ucd="stat.value"),
    "scatpoly": Definition(Kind.int32, "Order of the polynomial of the scattered light", ucd="meta.number"),
    "proftype": Definition(Kind.int32, "Profile of the extraction, 1 is Gaussian", ucd="meta.code"),
    "nfitpoly": Definition(Kind.int32, "Number of parameters of the extraction profile", ucd="meta.number"),
    "skychi2": Definition(
        Kind.float32, "Mean chi-square of the sky subtraction", ucd="stat.fit.chi2;stat.mean"
    ),
    "schi2min": Definition(
        Kind.float32, "Minimum chi-square of the sky subtraction", ucd="stat.fit.chi2;stat.min"
    ),
    "schi2max": Definition(
        Kind.float32, "Maximum chi-square of the sky subtraction", ucd="stat.fit.chi2;stat.max"
    ),
}

CONDITIONS = {
    "alt": Definition(Kind.float32, "Altitude of the telescope", "deg", "pos.az.alt"),
    "az": Definition(Kind.float32, "Azimuth of the telescope", "deg", "pos.az.azi"),
    "seeing": Definition(Kind.float32, "Median seeing", "arcsec", "instr.obsty.seeing"),
    "airmass": Definition(Kind.float32, "Mean airmass", ucd="obs.airMass"),
    "airtemp": Definition(Kind.float32, "Air temperature", "Celsius", "phys.temperature;obs.atmos"),
    "dewpoint": Definition(Kind.float32, "Dew point temperature", "Celsius", "phys.temperature;obs.atmos"),
    "humidity": Definition(Kind.float32, "Relative humidity in percent", ucd="obs.atmos.humidity"),
    "pressure": Definition(
        Kind.float32, "Air pressure as in the file header, inches of mercury", None, "phys.pressure;obs.atmos"
    ),
    "dust_a": Definition(Kind.float32, "Dust counts at 0.3 micron", "count", "meta.number;obs.atmos"),
    "dust_b": Definition(Kind.float32, "Dust counts at 1.0 micron", "count", "meta.number;obs.atmos"),
    "gust_direction": Definition(Kind.float32, "Direction of wind gusts", "deg", "pos.posAng;obs.atmos"),
    "gust_speed": Definition(
        Kind.float32, "Speed of gusts as in the file header, miles per hour", None, "phys.veloc;obs.atmos"
    ),
    "wind_direction": Definition(Kind.float32, "Wind direction", "deg", "pos.posAng;obs.atmos"),
    "wind_speed": Definition(
        Kind.float32, "Wind speed as in the file header, miles per hour", None, "phys.veloc;obs.atmos"
    ),
    "moon_dist_mean": Definition(
        Kind.float32, "Distance of the Moon, mean over exposures", "deg", "pos.angDistance;stat.mean"
    ),
    "moon_phase_mean": Definition(
        Kind.float32, "Phase of the Moon, mean over exposures", ucd="time.phase;stat.mean"
    ),
    "n_guide": Definition(Kind.int32, "Number of guider frames", ucd="meta.number;obs"),
}

QUALITY = {
    "snr": Definition(Kind.float32, "Signal-to-noise ratio of the spectrum", ucd="stat.snr"),
    "in_stack": Definition(Kind.boolean, "The visit is part of the coadded spectrum", ucd="meta.code"),
    "spectrum_flags": Definition(Kind.bits, "Flags of the reduction for this spectrum", ucd="meta.code.qual"),
    "zwarning_flags": Definition(Kind.bits, "Warnings of the BOSS redshift fit", ucd="meta.code.error"),
    "gri_gaia_transform_flags": Definition(Kind.bits, "Where the ugriz photometry is from", ucd="meta.code"),
}

OBSERVATIONS = SPAN | EXPOSURE | POINTING | BOSS_REDUCTION | CONDITIONS | QUALITY
