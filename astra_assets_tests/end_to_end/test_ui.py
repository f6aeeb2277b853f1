"""The web UI as a person sees it, in headless Chromium."""

from __future__ import annotations

import shutil
import time

import pytest

from astra_assets_tests.end_to_end.servers import served

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def server(finished):
    """The address of the web server on the finished demo."""
    with served(finished, "dagster-webserver", "--workspace", "workspace.yaml") as address:
        yield address


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not chromium or not driver:
        pytest.skip("no chromium or chromedriver: install Debian's packages chromium and chromium-driver")
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    quiet = ["headless", "no-sandbox", "disable-gpu", "disable-quic", "no-first-run", "disable-background-networking",
             "disable-component-update", "disable-sync", "disable-dev-shm-usage", "window-size=1900,1400"]  # fmt: skip
    for flag in [*quiet, f"user-data-dir={tmp_path_factory.mktemp('chromium')}"]:
        options.add_argument(f"--{flag}")
    opened = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    yield opened
    opened.quit()


def read(browser, address: str, *expected: str) -> str:
    """Text of a page once it shows what is expected."""
    from selenium.common.exceptions import StaleElementReferenceException

    browser.get(address)
    deadline = time.monotonic() + 120
    text = ""
    while time.monotonic() < deadline:
        try:
            text = browser.find_element("tag name", "body").text
        except StaleElementReferenceException:
            continue
        if all(word in text for word in expected):
            return text
        time.sleep(0.2)
    missing = [word for word in expected if word not in text]
    pytest.fail(f"{address} does not show {missing} but:\n{text}")


def test_the_graph_has_the_groups_of_the_survey(server, browser, tmp_path):
    groups = ["Initialisation", "SpectrumProducts", "SummarySpectrumProducts", "SnowWhite", "CORV"]
    read(browser, f"{server}/asset-groups", *groups)
    picture = tmp_path / "graph.png"
    assert browser.save_screenshot(str(picture))
    assert picture.stat().st_size > 20_000


def test_a_product_shows_columns_with_units_rows_and_checks(server, browser):
    text = read(
        browser, f"{server}/assets/astraAllVisitCorv", "Row count", "v_rad", "Results of Corv on visits"
    )
    assert "unit: km s-1" in text or "km s-1" in text


@pytest.mark.smoke
def test_a_product_shows_where_it_is_its_checksum_and_a_picture(server, browser, finished):
    path = finished.summary / "astraAllVisitCorv-0.8.1.fits.gz"
    read(browser, f"{server}/assets/astraAllVisitCorv?view=events", str(path), "sha256", "picture")
    row = "//tr[.//*[normalize-space(text())='picture']]"
    button = browser.find_element("xpath", f"{row}//*[contains(text(), 'Show Markdown')]")
    browser.execute_script("arguments[0].click()", button)
    deadline = time.monotonic() + 60
    while not (shown := browser.find_elements("xpath", "//img[starts-with(@src, 'data:image/png')]")):
        assert time.monotonic() < deadline, "the picture is not shown"
        time.sleep(0.2)
    assert browser.execute_script("return arguments[0].naturalWidth", shown[0]) > 300


def test_a_step_shows_its_account(server, browser):
    read(browser, f"{server}/assets/corv/visit?view=events", "account", "skipped", "backlog")


def test_schedules_and_sensors_are_there_and_stopped(server, browser):
    names = ["main_daily", "dr20_daily", "new_spectra_main", "new_spectra_dr20"]
    read(browser, f"{server}/automation", *names)
