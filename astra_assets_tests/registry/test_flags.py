"""Bits of flag columns."""

from __future__ import annotations

import pytest

from astra_assets.models.apogee import ApogeeRestFrameVisitSpectrum, ApogeeVisitSpectrum
from astra_assets.models.boss import BossVisitSpectrum
from astra_assets.models.mwm import MWMSpectrumProductStatus
from astra_assets.models.source import Source
from astra_assets.models.spectrum import SpectrumKey
from astra_assets.registry.flags import FLAGS, flag_definitions, flag_tuple


@pytest.mark.parametrize(
    ("model", "column", "bit", "name"),
    [
        (BossVisitSpectrum, "zwarning_flags", 7, "unplugged"),
        (BossVisitSpectrum, "gri_gaia_transform_flags", 20, "position_offset"),
        (ApogeeVisitSpectrum, "spectrum_flags", 26, "missing_or_corrupted_file"),
        (Source, "sdss4_apogee_target1_flags", 30, "segue_overlap"),
        (Source, "sdss4_apogee_target2_flags", 22, "1m_target"),
        (Source, "sdss4_apogee2_target1_flags", 30, "apokasc"),
        (Source, "sdss4_apogee2_target2_flags", 30, "cvz_as4_giant"),
        (Source, "sdss4_apogee2_target3_flags", 30, "m31"),
        (Source, "sdss4_apogee_member_flags", 61, "carina"),
        (Source, "sdss4_apogee_member_flags", 46, "47tuc"),
        (Source, "sdss4_apogee_extra_target_flags", 4, "duplicate"),
        (Source, "w2aflags", 7, "candidate_sources_must_be_sharp"),
        (Source, "sqf_4_5", 30, "truth_list"),
        (Source, "csf", 6, "source_within_0_5_arcsec"),
        (Source, "ebv_flags", 5, "upper_limit"),
        (MWMSpectrumProductStatus, "flags", 4, "created_mwm_star"),
    ],
)
def test_bits_have_the_names_of_the_data_model(model, column, bit, name):
    assert {flag.name: flag.bit for flag in flag_definitions(model, column)}[name] == bit


@pytest.mark.parametrize("column", sorted(FLAGS))
def test_every_bit_is_declared_once_with_a_text(column):
    bits = [flag.bit for flag in FLAGS[column]]
    assert bits == sorted(set(bits))
    assert all(flag.text and flag.value == 2**flag.bit for flag in FLAGS[column])


def test_tables_differ_where_the_data_model_does():
    assert [flag.bit for flag in flag_definitions(ApogeeRestFrameVisitSpectrum, "spectrum_flags")][-1] == 25
    assert flag_definitions(SpectrumKey, "spectrum_flags") == []
    assert flag_definitions(Source, "mf4_5") == []


def test_flags_are_given_in_one_way_and_fit_a_signed_integer():
    with pytest.raises(ValueError, match="not both"):
        flag_tuple({0: ("a", "A")}, b="B")
    with pytest.raises(ValueError, match="0 to 62"):
        flag_tuple({63: ("a", "A")})
    with pytest.raises(ValueError, match="twice"):
        flag_tuple({0: ("a", "A"), 1: ("a", "B")})
