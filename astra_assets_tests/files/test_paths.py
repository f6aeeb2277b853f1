"""Relative paths of spectra, summaries and products."""

from __future__ import annotations

import pytest

from astra_assets.files.paths import (
    PathLeavesRoot,
    ap_star_path,
    ap_visit_path,
    apogee_summary_paths,
    group_folder,
    inside,
    mwm_path,
    spall_path,
    spec_full_path,
)


def test_launched_reduction_is_below_its_launch():
    path = spec_full_path("v6_2_1", 15000, 59146, 4375924413, "spec-015000-59146-4375924413.fits")
    assert path == (
        "ipl-4/spectro/boss/redux/v6_2_1/spectra/daily/full/015XXX/015000/59146/"
        "spec-015000-59146-4375924413.fits"
    )
    assert spall_path("v6_2_1") == "ipl-4/spectro/boss/redux/v6_2_1/summary/daily/spAll-v6_2_1.fits.gz"


def test_spec_file_of_spall_names_the_file_and_an_empty_one_is_derived():
    assert spec_full_path("v6_2_1", 15000, 59146, 7, "spec-allepoch.fits").endswith(
        "/59146/spec-allepoch.fits"
    )
    assert spec_full_path("v6_2_1", 15000, 59146, 7, "").endswith("/59146/spec-015000-59146-7.fits")


def test_working_copies_have_three_layouts():
    assert spec_full_path("v6_2_0", 102000, 60000, 9) == (
        "sdsswork/bhm/boss/spectro/redux/v6_2_0/spectra/daily/full/102XXX/102000/60000/"
        "spec-102000-60000-9.fits"
    )
    assert spec_full_path("v6_1_3", 15000, 59146, 9) == (
        "sdsswork/bhm/boss/spectro/redux/v6_1_3/spectra/full/015000/59146/spec-015000-59146-9.fits"
    )
    assert spec_full_path("v6_0_4", 15000, 59146, 9) == (
        "sdsswork/bhm/boss/spectro/redux/v6_0_4/spectra/full/15000p/59146/spec-15000-59146-9.fits"
    )


@pytest.mark.parametrize("name", ["../../secret.fits", "/etc/passwd", "..", "a/b.fits"])
def test_spec_file_that_is_no_base_name_is_refused(name):
    with pytest.raises(PathLeavesRoot, match="base name"):
        spec_full_path("v6_2_1", 15000, 59146, 7, name)


@pytest.mark.parametrize(("sdss_id", "folder"), [(99560000, "00/00"), (103020123, "01/23"), (7, "00/07")])
def test_files_are_spread_by_the_last_four_digits(sdss_id, folder):
    assert group_folder(sdss_id) == folder
    assert mwm_path("star", "0.8.1", sdss_id) == f"0.8.1/spectra/star/{folder}/mwmStar-0.8.1-{sdss_id}.fits"


def test_mwm_visit_paths():
    assert mwm_path("visit", "0.8.1", 99560000) == "0.8.1/spectra/visit/00/00/mwmVisit-0.8.1-99560000.fits"


def test_inside_accepts_what_stays_below_the_root_also_through_links(tmp_path):
    elsewhere = tmp_path / "disk"
    elsewhere.mkdir()
    root = tmp_path / "sas"
    root.mkdir()
    (root / "ipl-4").symlink_to(elsewhere)
    assert inside(root, "ipl-4/a.fits") == root / "ipl-4" / "a.fits"


@pytest.mark.parametrize("relative", ["../a.fits", "x/../../a.fits", "/etc/passwd"])
def test_inside_refuses_what_leaves_the_root_and_names_both(tmp_path, relative):
    with pytest.raises(PathLeavesRoot) as caught:
        inside(tmp_path, relative)
    assert relative in str(caught.value)
    assert str(tmp_path) in str(caught.value)


APOGEE_ROW = {
    "release": "sdss5", "apred": "1.5", "apstar": "stars", "telescope": "apo25m", "obj": "2M01183798+8403419",
    "healpix": 12345, "field": "N188", "plate": "5095", "mjd": 55844, "fiber": 28, "prefix": "ap", "reduction": "",
}  # fmt: skip
DR17_ROW = APOGEE_ROW | {"release": "dr17", "apred": "dr17"}


def test_apogee_visits_and_stars_of_sdss5():
    assert ap_visit_path(APOGEE_ROW) == (
        "ipl-4/spectro/apogee/redux/1.5/visit/apo25m/N188/5095/55844/apVisit-1.5-apo25m-5095-55844-028.fits"
    )
    assert ap_star_path(APOGEE_ROW) == (
        "ipl-4/spectro/apogee/redux/1.5/stars/apo25m/12/12345/apStar-1.5-apo25m-2M01183798+8403419.fits"
    )


def test_apogee_visits_and_stars_of_sdss4():
    assert ap_visit_path(DR17_ROW | {"prefix": "as", "telescope": "lco25m"}) == (
        "dr17/apogee/spectro/redux/dr17/visit/lco25m/N188/5095/55844/asVisit-dr17-5095-55844-028.fits"
    )
    assert ap_star_path(DR17_ROW) == (
        "dr17/apogee/spectro/redux/dr17/stars/apo25m/N188/apStar-dr17-2M01183798+8403419.fits"
    )
    assert ap_visit_path(DR17_ROW | {"telescope": "apo1m", "reduction": "2M0118"}) == (
        "dr17/apogee/spectro/redux/dr17/visit/apo1m/N188/55844/apVisit-dr17-55844-2M0118.fits"
    )


@pytest.mark.parametrize("part", ["field", "plate", "telescope"])
def test_parts_of_apogee_paths_cannot_lead_elsewhere(part):
    with pytest.raises(PathLeavesRoot, match="not a base name"):
        ap_visit_path(APOGEE_ROW | {part: "../../x"})


def test_summaries_of_apogee_reductions():
    assert apogee_summary_paths("allVisit", "1.5") == (
        "ipl-4/spectro/apogee/redux/1.5/summary/allVisit-1.5-apo25m.fits",
        "ipl-4/spectro/apogee/redux/1.5/summary/allVisit-1.5-lco25m.fits",
    )
    assert apogee_summary_paths("allStar", "dr17") == (
        "dr17/apogee/spectro/aspcap/dr17/synspec_rev1/allStar-dr17-synspec_rev1.fits",
    )
