"""Columns that name things: objects, spectra, files, fields, versions, rows and times of rows."""

from __future__ import annotations

from astra_assets.registry.kinds import Definition, Kind

KEYS = {
    "pk": Definition(Kind.int64, "Primary key of this table", ucd="meta.record"),
    "spectrum_pk": Definition(
        Kind.int64, "Key of the spectrum, unique over all spectrum tables", ucd="meta.id"
    ),
    "source_pk": Definition(Kind.int64, "Key of the source", ucd="meta.id"),
    "drp_spectrum_pk": Definition(
        Kind.int64, "Key of the visit spectrum of the reduction pipeline", ucd="meta.id"
    ),
    "task_pk": Definition(Kind.int64, "Key of the result", ucd="meta.record"),
    "created": Definition(Kind.datetime, "When the row was created (UTC)", ucd="time.creation"),
    "modified": Definition(Kind.datetime, "When the row was last modified (UTC)", ucd="time.processing"),
    "star_pk": Definition(Kind.int64, "Key in the star table of the APOGEE reduction", ucd="meta.id"),
    "visit_pk": Definition(Kind.int64, "Key in the visit table of the APOGEE reduction", ucd="meta.id"),
    "rv_visit_pk": Definition(Kind.int64, "Key in the rv_visit table of the APOGEE reduction", ucd="meta.id"),
}

OBJECTS = {
    "sdss_id": Definition(Kind.int64, "SDSS-V object identifier", ucd="meta.id;meta.main"),
    "sdss4_apogee_id": Definition(Kind.text, "SDSS-IV APOGEE identifier (DR17)", ucd="meta.id"),
    "gaia_dr2_source_id": Definition(Kind.int64, "Gaia DR2 source identifier", ucd="meta.id.cross"),
    "gaia_dr3_source_id": Definition(Kind.int64, "Gaia DR3 source identifier", ucd="meta.id.cross"),
    "tic_v8_id": Definition(Kind.int64, "TESS Input Catalog (v8) identifier", ucd="meta.id.cross"),
    "healpix": Definition(Kind.int32, "HEALPix pixel number, nside 128, RING order", ucd="pos.healpix"),
}

TARGETING = {
    "lead": Definition(Kind.text, "Catalogue that led the cross-match", ucd="meta.ref"),
    "version_id": Definition(Kind.int32, "Cross-match version of catalogid", ucd="meta.version"),
    "catalogid": Definition(Kind.int64, "SDSS input-catalogue identifier", ucd="meta.id"),
    "catalogid21": Definition(
        Kind.int64, "Input-catalogue identifier of cross-match version 21 (v0)", ucd="meta.id"
    ),
    "catalogid25": Definition(
        Kind.int64, "Input-catalogue identifier of cross-match version 25 (v0.5)", ucd="meta.id"
    ),
    "catalogid31": Definition(
        Kind.int64, "Input-catalogue identifier of cross-match version 31 (v1.0)", ucd="meta.id"
    ),
    "n_associated": Definition(
        Kind.int32, "Number of SDSS-V identifiers that share this catalogid", ucd="meta.number"
    ),
    "n_neighborhood": Definition(
        Kind.int32, "Gaia DR3 sources within 3 arcsec and brighter than G + 5", ucd="meta.number"
    ),
    "crossmatch_flags": Definition(Kind.bits, "Which cross-matches were attempted", ucd="meta.code"),
    "sdss5_target_flags": Definition(Kind.bytes, "SDSS-V cartons, bit n in byte n // 8", ucd="meta.code"),
    "sdss4_apogee_target1_flags": Definition(
        Kind.bits, "SDSS-III APOGEE-1 target flags 1 of 2", ucd="meta.code"
    ),
    "sdss4_apogee_target2_flags": Definition(
        Kind.bits, "SDSS-III APOGEE-1 target flags 2 of 2", ucd="meta.code"
    ),
    "sdss4_apogee2_target1_flags": Definition(
        Kind.bits, "SDSS-IV APOGEE-2 target flags 1 of 3", ucd="meta.code"
    ),
    "sdss4_apogee2_target2_flags": Definition(
        Kind.bits, "SDSS-IV APOGEE-2 target flags 2 of 3", ucd="meta.code"
    ),
    "sdss4_apogee2_target3_flags": Definition(
        Kind.bits, "SDSS-IV APOGEE-2 target flags 3 of 3", ucd="meta.code"
    ),
    "sdss4_apogee_member_flags": Definition(
        Kind.bits, "Likely member of this star cluster or dwarf galaxy (SDSS-IV)", ucd="meta.code.member"
    ),
    "sdss4_apogee_extra_target_flags": Definition(
        Kind.bits, "Further target information of DR17 (EXTRATARG)", ucd="meta.code"
    ),
    "sdss5_dr19_apogee_flag": Definition(Kind.boolean, "Has an APOGEE spectrum in DR19", ucd="meta.code"),
}

FILES = {
    "release": Definition(Kind.text, "Release of the reduction: sdss5 or dr17", ucd="meta.version"),
    "filetype": Definition(Kind.text, "Type of the file that holds the spectrum", ucd="meta.code.class"),
    "run2d": Definition(Kind.text, "Version of the BOSS reduction", ucd="meta.version"),
    "apred": Definition(Kind.text, "Version of the APOGEE reduction", ucd="meta.version"),
    "apstar": Definition(
        Kind.text, "Folder of the APOGEE coadds (stars, but for some of DR17)", ucd="meta.id"
    ),
    "v_astra": Definition(
        Kind.int32, "Version of Astra: 1000000 major + 1000 minor + patch", ucd="meta.version"
    ),
    "v_astra_text": Definition(Kind.text, "Version of Astra", ucd="meta.version"),
    "v_astra_major_minor": Definition(
        Kind.int32, "Version of Astra without the patch number", ucd="meta.version"
    ),
    "mjd": Definition(Kind.int32, "Modified Julian date of the night", "d", "time.epoch;obs"),
    "fieldid": Definition(Kind.int32, "BOSS field number", ucd="meta.id;obs.field"),
    "spec_file": Definition(Kind.text, "Name of the specFull file", ucd="meta.id;meta.file"),
    "plate": Definition(Kind.text, "Plate or design number", ucd="meta.id;instr.plate"),
    "field": Definition(Kind.text, "APOGEE field name", ucd="meta.id;obs.field"),
    "fiber": Definition(Kind.int32, "Fibre number", ucd="meta.id;instr"),
    "prefix": Definition(
        Kind.text, "Prefix of the file name: ap (north) or as (south)", ucd="meta.id;meta.file"
    ),
    "reduction": Definition(
        Kind.text, "Object name in the paths of apo1m spectra (DR17)", ucd="meta.id;meta.file"
    ),
    "obj": Definition(Kind.text, "Object name in the file name", ucd="meta.id;meta.file"),
    "telescope": Definition(Kind.text, "Telescope: apo25m, lco25m or apo1m", ucd="meta.id;instr.tel"),
    "starver": Definition(Kind.int32, "Version of the APOGEE coadd", ucd="meta.version"),
}

IDENTIFIERS = KEYS | OBJECTS | TARGETING | FILES
