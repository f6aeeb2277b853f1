import struct

import numpy as np
import pytest

from astra_assets.products.show import pictures


def test_a_product_shows_the_most_telling_diagrams_that_its_columns_allow():
    assert pictures.panels_for({"ra", "dec", "g_mag", "bp_mag", "rp_mag", "plx"}) == (
        pictures.HERTZSPRUNG_RUSSELL,
        pictures.SKY,
    )
    assert pictures.panels_for({"classification", "teff", "logg", "ra", "dec"}) == (
        pictures.CLASSES,
        pictures.KIEL,
    )
    assert pictures.panels_for({"task_pk"}) == ()


@pytest.mark.parametrize("panel", pictures.PREFERRED, ids=lambda panel: panel.draw.__name__)
def test_each_diagram_is_a_png_also_with_missing_values(panel):
    rng = np.random.default_rng(1)
    columns = {name: np.where(rng.random(50) < 0.2, np.nan, rng.uniform(1, 20, 50)) for name in panel.needs}
    if "classification" in columns:
        columns["classification"] = np.array(["DA", "DB"] * 25, dtype=object)
    png = pictures.draw((panel,), columns)
    assert png.startswith(b"\x89PNG")
    width, height = struct.unpack(">II", png[16:24])
    assert (width, height) == (336, 256)
    assert len(png) < 60_000


def test_no_rows_make_an_empty_diagram_not_an_error():
    png = pictures.draw(
        (pictures.SKY, pictures.NIGHTS), {name: np.array([]) for name in ("ra", "dec", "mjd")}
    )
    assert png.startswith(b"\x89PNG")
