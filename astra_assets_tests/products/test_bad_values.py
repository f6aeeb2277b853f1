"""Values that a product cannot hold and that only SQLite lets into a column: refused by product, column and key."""

from __future__ import annotations

import astropy.io.fits
import pytest

from astra_assets.files import sha256sums
from astra_assets.fits.writer import FitsWriteError
from astra_assets.products.summary import MWM_TARGETS
from astra_assets_tests.products.samples import write


@pytest.mark.parametrize(
    ("column", "value", "reason"),
    [
        ("healpix", 2**40, "Integer value 1099511627776 not in range"),
        ("lead", "gaia\0dr3", r"'gaia\\x00dr3' has characters that FITS text cannot hold"),
        ("plx", 1e39, "beyond the range of single precision"),
        ("plx", "far", "expected values like 0.0, found string"),
    ],
)
def test_a_value_that_does_not_fit_leaves_the_old_file(sqlite, tmp_path, column, value, reason):
    made = write(MWM_TARGETS, sqlite, tmp_path)
    key = int(astropy.io.fits.getdata(made.path, 1)["sdss_id"][2])
    with sqlite.begin() as connection:
        connection.exec_driver_sql(
            f"UPDATE source SET {column} = ?, modified = created WHERE sdss_id = ?", (value, key)
        )
    told = rf"mwmTargets: column {column}: .*{reason}.* row 3 \(sdss_id {key}\)"
    with pytest.raises(FitsWriteError, match=told):
        write(MWM_TARGETS, sqlite, tmp_path)
    assert sha256sums.sha256(made.path) == made.sha256
    assert not list(tmp_path.rglob("*partial*"))
