"""Bits of the flag columns, with names and texts, declared once.

Flags of one pipeline's results are declared with its table (`columns.flags`); here are those of sources and
spectra. Only names and texts belong here, not the code that sets them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from astra_assets.registry.kinds import INFO_KEY


@dataclass(frozen=True)
class Flag:
    """One bit of a flag column: position, name in code, and what it means."""

    bit: int
    name: str
    text: str

    @property
    def value(self) -> int:
        """The bit's value, 2**bit."""
        return 1 << self.bit


def flag_tuple(bits: Mapping[int, tuple[str, str]] | None = None, **texts: str) -> tuple[Flag, ...]:
    """Flags from `{bit: (name, text)}` or from `name=text` in the order of bits 0, 1, 2, ...

    Raises ValueError when both are given, when a bit is outside 0 to 62 (a signed 64-bit integer) or a name
    occurs twice.
    """
    if bits is not None and texts:
        raise ValueError("give flags as a mapping of bits or as names, not both")
    pairs = bits if bits is not None else dict(enumerate(texts.items()))
    made = tuple(Flag(bit, name, text) for bit, (name, text) in sorted(pairs.items()))
    if any(not 0 <= flag.bit <= 62 for flag in made):
        raise ValueError(f"bits of a flag column are 0 to 62, found {sorted(pairs)}")
    if len({flag.name for flag in made}) != len(made):
        raise ValueError(f"a flag's name occurs twice: {[flag.name for flag in made]}")
    return made


@dataclass(frozen=True)
class Verdict:
    """A boolean that follows from a column of flags; only files have it, right after that column.

    Attributes:
        name: `flag_warn` or `flag_bad`.
        text: what it means, at most 68 characters.
        mask: value of the flags that count; None is any bit, also one without a name.
        every: True if all flags of the mask must be set, False if one is enough.
    """

    name: str
    text: str
    mask: int | None
    every: bool = False

    def of(self, flags: int) -> bool:
        """What follows from the flags of one row."""
        if self.mask is None:
            return flags > 0
        return flags & self.mask == self.mask if self.every else flags & self.mask != 0


ANY = "any"
"""As `warn` or `bad` of a column of flags: any bit."""


@dataclass(frozen=True)
class AllOf:
    """As `warn` or `bad` of a column of flags: these flags, all of them."""

    names: tuple[str, ...]

    def __init__(self, *names: str) -> None:
        object.__setattr__(self, "names", names)


Rule = Literal["any"] | AllOf | Sequence[str]
"""Which flags make a verdict: `ANY`, one of several names, or all of them (`AllOf`)."""

VERDICT_TEXTS = {
    "flag_warn": "The result is to be used with caution (follows from result_flags)",
    "flag_bad": "The result should not be used (follows from result_flags)",
}


def verdict(name: str, rule: Rule, bits: Sequence[Flag]) -> Verdict:
    """The verdict of this name by a rule.

    Raises ValueError when the rule names a flag that the column does not have, or none.
    """
    text = VERDICT_TEXTS[name]
    if rule == ANY:
        return Verdict(name, text, None)
    chosen = rule.names if isinstance(rule, AllOf) else tuple(rule)
    values = {flag.name: flag.value for flag in bits}
    unknown = [each for each in chosen if each not in values]
    if unknown or not chosen:
        raise ValueError(f"{name} names {', '.join(unknown) or 'no flag'}; there are: {', '.join(values)}")
    return Verdict(name, text, sum(values[each] for each in chosen), isinstance(rule, AllOf))


def flag_definitions(table: Any, column: str) -> list[Flag]:
    """The flags of a column, in the order of bits; empty when the column has no named bits.

    `table` is a model class or its Table, `column` the access key. Raises KeyError when there is no such
    column.
    """
    return list(getattr(table, "__table__", table).c[column].info[INFO_KEY].flags)


def _listed(about: str, names: str) -> tuple[Flag, ...]:
    """Flags of bits 0, 1, 2, ... from their names; the text is `about` and the name in words."""
    return tuple(
        Flag(bit, name, f"{about}: {name.replace('_', ' ')}") for bit, name in enumerate(names.split())
    )


APOGEE_VISIT_FLAGS = flag_tuple(
    {
        0: ("bad_pixels", "More than 20 % bad pixels"),
        1: ("commissioning", "Commissioning data (MJD below 55761), poor line spread function"),
        2: ("bright_neighbor", "A neighbour is more than 10 times brighter"),
        3: ("very_bright_neighbor", "A neighbour is more than 100 times brighter"),
        4: ("low_snr", "S/N below 5"),
        9: ("persist_high", "At least 20 % of the pixels in the high persistence region"),
        10: ("persist_med", "At least 20 % of the pixels in the medium persistence region"),
        11: ("persist_low", "At least 20 % of the pixels in the low persistence region"),
        12: ("persist_jump_pos", "Obvious positive jump in the blue chip"),
        13: ("persist_jump_neg", "Obvious negative jump in the blue chip"),
        16: ("suspect_rv_combination", "Template and combined velocities differ by about 2 km/s"),
        17: ("suspect_broad_lines", "Cross-correlation peak broader than the template's"),
        18: ("bad_rv_combination", "Template and combined velocities differ by about 10 km/s"),
        19: ("rv_reject", "Visit rejected: cross-correlation and fitted velocity differ strongly"),
        20: ("rv_suspect", "Cross-correlation and fitted velocity differ, visit still used"),
        21: ("multiple_suspect", "Several components in the cross-correlation"),
        22: ("rv_failure", "No radial velocity"),
        23: ("suspect_rotation", "Suspected rotation: broad cross-correlation"),
        24: ("mtpflux_lt_75", "Relative flux of the fibre block below 0.75"),
        25: ("mtpflux_lt_50", "Relative flux of the fibre block below 0.5"),
        26: ("missing_or_corrupted_file", "The visit file is missing or cannot be read"),
    }
)
"""STARFLAG of the APOGEE reduction; bit 26 is Astra's own."""

APOGEE_REST_FRAME_VISIT_FLAGS = tuple(flag for flag in APOGEE_VISIT_FLAGS if flag.bit < 26)
"""STARFLAG without the bit that Astra adds, for visits inside mwmVisit files."""

EBV_FLAGS = flag_tuple(
    zhang_2023="From Zhang et al. (2023)",
    edenhofer_2023="From Edenhofer et al. (2023)",
    sfd="From Schlegel, Finkbeiner & Davis (1998)",
    rjce_glimpse="From RJCE with GLIMPSE",
    rjce_allwise="From RJCE with AllWISE",
    upper_limit="Upper limit",
)
"""Methods of E(B-V) as of Astra 0.8.1; version 0.8.0 had upper_limit as bit 0 and the methods in another
order after it."""

CROSSMATCH_FLAGS = flag_tuple(
    gaia_dr3_crossmatch_attempted="A match with Gaia DR3 was attempted",
    gaia_dr2_crossmatch_attempted="A match with Gaia DR2 was attempted",
)

UNWISE_FLAGS = flag_tuple(
    in_core_or_wings="In the core or wings of a bright star",
    in_diffraction_spike="In a diffraction spike",
    in_ghost="In a ghost",
    in_first_latent="In a first latent",
    in_second_latent="In a second latent",
    in_circular_halo="In a circular halo",
    saturated="Saturated",
    in_geometric_diffraction_spike="In a geometric diffraction spike",
)

UNWISE_ADDITIONAL_FLAGS = flag_tuple(
    in_bright_star_psf="In the PSF of a bright star",
    in_hyperleda_galaxy="In a HyperLeda galaxy",
    in_big_object="In a big object, like a Magellanic Cloud",
    pixel_in_very_bright_star_centroid="Pixel may contain the centroid of a very bright star",
    crowdsource_saturation="crowdsource considers the pixel saturated",
    possible_nebulosity="Pixel may contain nebulosity",
    no_aggressive_deblend="Sources were not deblended aggressively",
    candidate_sources_must_be_sharp="Candidate sources had to be sharp",
)

GLIMPSE_QUALITY_FLAGS = flag_tuple(
    {
        0: ("poor_dark_pixel_current", "Poor dark current of a pixel"),
        1: ("flat_field_questionable", "Questionable flat field"),
        2: ("latent_image", "Latent image"),
        3: ("saturated_star_correction", "Correction of a saturated star"),
        6: ("muxbleed_correction_applied", "Muxbleed correction applied"),
        7: ("hot_or_dead_pixels", "Hot, dead or otherwise unacceptable pixel"),
        8: ("muxbleed_significant", "Muxbleed correction is significant"),
        9: ("allstar_tweak_positive", "Allstar tweak positive"),
        10: ("allstar_tweak_negative", "Allstar tweak negative"),
        12: ("confusion_in_band_merge", "Confusion in the in-band merge"),
        13: ("confusion_in_cross_band_merge", "Confusion in the cross-band merge"),
        14: ("column_pulldown_correction", "Column pulldown corrected"),
        15: ("banding_correction", "Banding corrected"),
        16: ("stray_light", "Stray light"),
        18: ("no_nonlinear_correction", "Non-linearity not corrected"),
        19: ("saturated_star_wing_region", "In the wings of a saturated star"),
        20: ("pre_lumping_in_band_merge", "Lumped before the in-band merge"),
        21: ("post_lumping_in_cross_band_merge", "Lumped after the cross-band merge"),
        29: ("edge_of_frame", "At the edge of the frame"),
        30: ("truth_list", "From a truth list"),
    }
)

GLIMPSE_CLOSE_SOURCE_FLAGS = flag_tuple(
    no_source_within_3_arcsec="No other source within 3 arcsec",
    source_within_2_5_to_3_arcsec="Another source within 2.5 to 3 arcsec",
    source_within_2_to_2_5_arcsec="Another source within 2 to 2.5 arcsec",
    source_within_1_5_to_2_arcsec="Another source within 1.5 to 2 arcsec",
    source_within_1_to_1_5_arcsec="Another source within 1 to 1.5 arcsec",
    source_within_0_5_to_1_arcsec="Another source within 0.5 to 1 arcsec",
    source_within_0_5_arcsec="Another source within 0.5 arcsec",
)

ZWARNING_FLAGS = flag_tuple(
    sky_fiber="Sky fibre",
    little_wavelength_coverage="Too little wavelength coverage (WCOVERAGE below 0.18)",
    small_delta_chi2="Best and second-best fit within 0.01 in reduced chi-square",
    negative_model="Synthetic spectrum is negative",
    many_outliers="More than 5 % of the points beyond 5 sigma",
    z_fit_limit="Minimum of chi-square at the edge of the redshift range",
    negative_emission="A quasar line is negative",
    unplugged="Fibre was unplugged or broken",
    bad_target="Catastrophically bad targeting data",
    no_data="No data: all inverse variances are 0",
)


def _gri_flags() -> tuple[Flag, ...]:
    bits: dict[int, tuple[str, str]] = {}
    for number, band in enumerate("ugriz"):
        bits[3 * number] = (f"{band}_gaia_transformed", f"{band} transformed from Gaia")
        bits[3 * number + 1] = (
            f"{band}_gaia_outside",
            f"{band} from Gaia, colour outside the transformation's range",
        )
        bits[3 * number + 2] = (f"{band}_gaia_failed", f"{band} has no value from Gaia")
    bits[15] = ("gaia_neighbor", "A bright Gaia neighbour is near")
    for number, band in enumerate("griz"):
        bits[16 + number] = (f"{band}_panstarrs", f"{band} from Pan-STARRS")
    bits[20] = ("position_offset", "The position was offset")
    return flag_tuple(bits)


GRI_GAIA_TRANSFORM_FLAGS = _gri_flags()

APOGEE_TARGET1_FLAGS = _listed(
    "APOGEE-1 target",
    "faint medium bright irac_dered wise_dered sfd_dered no_dered wash_giant wash_dwarf sci_cluster "
    "extended short intermediate long do_not_observe serendipitous first_light ancillary m31_cluster "
    "mdwarf hires old_star disk_red_giant kepler_eb gc_pal1 massive_star sgr_dsph kepler_seismo "
    "kepler_host faint_extra segue_overlap",
)

APOGEE_TARGET2_FLAGS = _listed(
    "APOGEE-1 target",
    "light_trap flux_standard standard_star rv_standard sky sky_bad guide_star bundle_hole telluric_bad "
    "telluric calib_cluster bulge_giant bulge_super_giant embedded_cluster_star long_bar emission_star "
    "kepler_cool_dwarf mir_cluster_star rv_monitor_ic348 rv_monitor_kepler ges_calibrate bulge_rv_verify "
    "1m_target",
)

APOGEE2_TARGET1_FLAGS = _listed(
    "APOGEE-2 target",
    "onebit_gt_0_5 twobit_0_5_to_0_8 twobit_gt_0_8 irac_dered wise_dered sfd_dered no_dered wash_giant "
    "wash_dwarf sci_cluster cluster_candidate short medium long normal_sample manga_led onebin_gt_0_3 "
    "wash_noclass stream_member stream_candidate dsph_member dsph_candidate magcloud_member "
    "magcloud_candidate rrlyr bulge_rc sgr_dsph apokasc_giant apokasc_dwarf faint_extra apokasc",
)

APOGEE2_TARGET2_FLAGS = _listed(
    "APOGEE-2 target",
    "k2_gap ccloud_as4 standard_star rv_standard sky external_calib internal_calib "
    "disk_substructure_member disk_substructure_candidate telluric calib_cluster k2_planet_host "
    "tidal_binary literature_calib ges_overlap argos_overlap gaia_overlap galah_overlap rave_overlap "
    "commis_south_spec halo_member halo_candidate 1m_target mod_bright_limit cis cntac external "
    "cvz_as4_obaf cvz_as4_gi cvz_as4_ctl cvz_as4_giant",
)

APOGEE2_TARGET3_FLAGS = _listed(
    "APOGEE-2 target",
    "koi eb koi_control mdwarf substellar_companions young_cluster k2 object ancillary massive_star qso "
    "cepheid low_av_windows be_star young_moving_group ngc6791 label_star faint_kepler_giants w345 "
    "massive_evolved extinction kepler_mdwarf_koi agb m33 ultracool distant_segue_giants cepheid_mapping "
    "sa57 k2_mdwarf rvvar m31",
)

APOGEE_MEMBER_FLAGS = _listed(
    "Likely member",
    "m92 m15 m53 ngc_5466 ngc_4147 m2 m13 m3 m5 m12 m107 m71 ngc_2243 be29 ngc_2158 m35 ngc_2420 ngc_188 "
    "m67 ngc_7789 pleiades ngc_6819 coma_berenices ngc_6791 ngc_5053 m68 ngc_6397 m55 ngc_5634 m22 m79 "
    "ngc_3201 m10 ngc_6752 omega_centauri m54 ngc_6229 pal5 ngc_6544 ngc_6522 ngc_288 ngc_362 ngc_1851 m4 "
    "ngc_2808 pal6 47tuc pal1 ngc_6539 ngc_6388 ngc_6441 ngc_6316 ngc_6760 ngc_6553 ngc_6528 draco "
    "urminor bootes1 sexans fornax sculptor carina",
)

APOGEE_EXTRA_TARGET_FLAGS = flag_tuple(
    not_main="Not a main survey target",
    commissioning="Commissioning data",
    telluric="Telluric standard",
    apo1m="Observed with the 1 m telescope",
    duplicate="Duplicate observation",
)

MWM_PRODUCT_FLAGS = flag_tuple(
    skipped_because_no_sdss_id="Skipped: the source has no sdss_id",
    skipped_because_not_stellar_like="Skipped: the source is not stellar-like",
    attempted_but_exception="Failed",
    created_mwm_visit="mwmVisit file written",
    created_mwm_star="mwmStar file written",
)
"""What became of a source's mwmVisit and mwmStar files."""

ASTRA_PRODUCT_FLAGS = flag_tuple(
    created_astra_star="astraStar file written",
    created_astra_visit="astraVisit file written",
    skipped_because_no_pipeline_result="Skipped: there is no result of the pipeline",
    attempted_but_exception="Failed",
)
"""What became of a source's astraVisit and astraStar files of one pipeline."""

FLAGS: dict[str, tuple[Flag, ...]] = {
    "spectrum_flags": APOGEE_VISIT_FLAGS,
    "ebv_flags": EBV_FLAGS,
    "crossmatch_flags": CROSSMATCH_FLAGS,
    "w1uflags": UNWISE_FLAGS,
    "w2uflags": UNWISE_FLAGS,
    "w1aflags": UNWISE_ADDITIONAL_FLAGS,
    "w2aflags": UNWISE_ADDITIONAL_FLAGS,
    "sqf_4_5": GLIMPSE_QUALITY_FLAGS,
    "csf": GLIMPSE_CLOSE_SOURCE_FLAGS,
    "zwarning_flags": ZWARNING_FLAGS,
    "gri_gaia_transform_flags": GRI_GAIA_TRANSFORM_FLAGS,
    "sdss4_apogee_target1_flags": APOGEE_TARGET1_FLAGS,
    "sdss4_apogee_target2_flags": APOGEE_TARGET2_FLAGS,
    "sdss4_apogee2_target1_flags": APOGEE2_TARGET1_FLAGS,
    "sdss4_apogee2_target2_flags": APOGEE2_TARGET2_FLAGS,
    "sdss4_apogee2_target3_flags": APOGEE2_TARGET3_FLAGS,
    "sdss4_apogee_member_flags": APOGEE_MEMBER_FLAGS,
    "sdss4_apogee_extra_target_flags": APOGEE_EXTRA_TARGET_FLAGS,
}
"""Flags by the column's name, for columns whose bits are the same in every table."""
