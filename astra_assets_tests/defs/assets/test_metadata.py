"""What the web UI shows next to an asset."""

from __future__ import annotations

from astra_assets.compute import Account
from astra_assets.defs.assets.metadata import account_metadata, file_table


def test_reasons_are_a_table_in_which_every_text_stays_in_its_cell():
    account = Account(
        "Corv", "visit", 1003, 1, 2, 1000, 0, skipped_by_code={"low|snr": 1000}, failed_by_code={"faint": 2}
    )
    shown = account_metadata(account)
    assert str(shown["reasons"].value).splitlines() == [
        "| reason |  | inputs |",
        "| --- | --- | --- |",
        "| low\\|snr | skipped | 1,000 |",
        "| faint | failed | 2 |",
    ]
    assert shown["inputs"].value == 1003
    assert shown["kept"].value == 0


def test_results_that_are_kept_are_shown_beside_those_that_failed():
    shown = account_metadata(
        Account("Corv", "visit", 9, 6, 3, 0, 0, failed_by_code={"missing_file": 3}, kept=2)
    )
    assert (shown["failed"].value, shown["kept"].value) == (3, 2)
    assert "of these 2 keep an older result" in str(shown["account"].value)


def test_files_are_listed_with_sizes_of_the_right_unit(tmp_path):
    small, large = tmp_path / "small.md", tmp_path / "large.fits.gz"
    small.write_bytes(b"x" * 10)
    large.write_bytes(b"x" * 1_500_000)
    assert file_table([small, large, tmp_path / "missing"]).splitlines()[2:] == [
        "| small.md | 10 bytes |",
        "| large.fits.gz | 1.5 MB |",
    ]
