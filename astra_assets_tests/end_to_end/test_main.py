"""The job main on a finished demo: it adds APOGEE and leaves the products of dr20 alone."""

from __future__ import annotations

from astra_assets_tests.end_to_end.test_dr20 import PRODUCTS, left_alone, table


def test_main_adds_apogee_and_the_newer_spelling_of_dr20_leaves_the_shared_products_alone(released):
    released.run("dagster", "job", "execute", "-j", "main")
    truth = table(released.home / "demo" / "truth.fits", "SOURCES")
    known = {int(row["sdss_id"]): int(row["n_apogee_visits"]) for row in truth}
    counted = {
        int(row["sdss_id"]): int(row["n_apogee_visits"])
        for row in table(released.summary / "mwmTargets-0.8.1.fits.gz")
    }
    assert sum(number > 0 for number in counted.values()) >= 5
    assert all(max(number, 0) == known[sdss_id] for sdss_id, number in counted.items())
    done = released.run("dg", "launch", "--job", "dr20")
    assert left_alone(done.stdout + done.stderr) >= set(PRODUCTS)
    assert "All definitions loaded successfully" in released.run("dg", "check", "defs").stdout
