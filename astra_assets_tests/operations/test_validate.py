"""Validation: truth tables, types, and a page that says what was found."""

from __future__ import annotations

import numpy as np
import pytest
from click.testing import CliRunner

from astra_assets.cli import main_group
from astra_assets.demo.validation_sample import SHARES, draw_sample, without_gaia
from astra_assets.operations.validation_outcomes import FOLDER_FAULTS, TruthError, folder_sample, kind_of


def test_a_sample_is_the_same_for_a_seed_and_does_not_depend_on_its_size():
    few, more = list(draw_sample(3, 5)), list(draw_sample(5, 5))
    for one, other in zip(few, more[:3], strict=True):
        assert (one.kind, one.fault, one.snr) == (other.kind, other.fault, other.snr)
        assert np.array_equal(one.spectrum.flux, other.spectrum.flux)
    assert {one.kind for one in draw_sample(40, 6)} <= set(SHARES)


def test_without_gaia_only_the_spectrum_is_left():
    one = without_gaia(next(draw_sample(1, 5)))
    assert set(one.spectrum.row) == {"snr"}


@pytest.mark.parametrize(
    ("published", "kind"),
    [("DA", "DA"), ("DA4", "DA"), ("DA:", "DA"), ("DAH", "DAH"), ("DA+M", "DA_MS"), ("DA_MS", "DA_MS"), ("DO2", "DO"),
     ("DBA", "DB"), ("sdO", "SDB"), ("sdG", "STAR"), ("STAR G1V", "STAR"), ("GALAXY STARFORMING", "GALAXY"),
     ("G5Iab: (20123)", "STAR"), ("Carbon", "STAR"), ("QSO", "QSO"), ("CV", "CV")],
)  # fmt: skip
def test_published_types_become_classes(published, kind):
    assert kind_of(published) == kind


@pytest.fixture
def folder(tmp_path):
    rows = ["path,type,teff,rv_kms,e_rv"]
    sample = [one for one in draw_sample(30, 11) if one.fault == "none" and one.snr > 10][:4]
    for number, one in enumerate(sample):
        pixels = np.column_stack([one.spectrum.wavelength, one.spectrum.flux, one.spectrum.ivar])
        np.savetxt(tmp_path / f"{number}.txt", pixels)
        rows.append(f"{number}.txt,{one.kind},{one.teff or ''},{one.v_rad or ''},5")
    (tmp_path / "truth.csv").write_text("\n".join([*rows, "missing.txt,DA,,,"]))
    return tmp_path


def test_a_folder_gives_its_spectra_and_each_white_dwarf_with_each_fault(folder):
    sample = list(folder_sample(folder))
    dwarfs = [one for one in sample if one.kind == "DA"]
    assert dwarfs
    assert [one.fault for one in dwarfs[: len(FOLDER_FAULTS)]] == list(FOLDER_FAULTS)
    assert all(one.fault == "none" for one in sample if one.kind != "DA")


def test_a_folder_without_a_table_of_truth_is_an_error(tmp_path):
    with pytest.raises(TruthError, match=r"no truth\.csv in it or below"):
        list(folder_sample(tmp_path))
    (tmp_path / "truth.csv").write_text("name,class\na,DA\n")
    with pytest.raises(TruthError, match=r"expected the columns path and type, found name, class"):
        list(folder_sample(tmp_path))


def test_the_command_writes_a_page_with_pictures(folder, tmp_path):
    page = tmp_path / "made" / "validation.md"
    page.parent.mkdir()
    ran = CliRunner().invoke(
        main_group,
        ["validate", str(folder), "--simulated", "12", "--write", str(page)],
        catch_exceptions=False,
    )
    assert ran.exit_code == 0
    text = page.read_text()
    for heading in (
        "## Simulated spectra",
        "## The same spectra without Gaia",
        "## Spectra of other origin",
        "### DA by fault",
    ):
        assert heading in text
    assert "astra-assets validate --simulated 12" in text
    assert str(tmp_path) not in text
    assert (page.parent / "validation" / "simulated-reliability.png").stat().st_size > 1000


def test_nothing_to_validate_on_is_said():
    ran = CliRunner().invoke(main_group, ["validate"])
    assert ran.exit_code == 2
    assert "name a FOLDER" in ran.output
