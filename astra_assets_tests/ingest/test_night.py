"""Times as fractions of the night; `astronomy/test_ephemeris.py` compares the nights with astropy."""

from __future__ import annotations

import numpy as np

from astra_assets.astronomy.constants import SECONDS_PER_DAY
from astra_assets.astronomy.ephemeris import EPHEMERIS, Ephemeris
from astra_assets.astronomy.observatories import APACHE_POINT
from astra_assets.ingest import night


def test_fractions_run_from_sunset_to_sunrise():
    midnight = night.solar_midnight(np.array([59_146.3]), APACHE_POINT.longitude)
    sunset, sunrise = EPHEMERIS.sunset_and_sunrise(midnight, APACHE_POINT)
    mjd = np.concatenate([sunset, (sunset + sunrise) / 2, sunrise, sunset - 0.01])
    tai = (mjd + night.TAI_MINUS_UT_DAYS) * SECONDS_PER_DAY
    fraction = night.fraction_of_night(tai, np.array(["apo25m"] * 4))
    np.testing.assert_allclose(fraction[:3], [0, 0.5, 1], atol=1e-7)
    assert -0.1 < fraction[3] < 0


def test_unknown_times_and_telescopes_have_no_fraction():
    tai = np.array([59_146.3 * 86_400, np.nan, 59_146.3 * 86_400])
    fraction = night.fraction_of_night(tai, np.array(["apo25m", "apo25m", ""]))
    assert np.isfinite(fraction).tolist() == [True, False, False]


def test_both_observatories_have_their_own_night():
    tai = np.full(2, 59_146.2 * 86_400)
    north, south = night.fraction_of_night(tai, np.array(["apo25m", "lco25m"]))
    assert south - north > 0.1


def test_a_night_is_computed_once_for_all_its_exposures(monkeypatch):
    sizes = []
    real = Ephemeris.sunset_and_sunrise

    def counted(self, midnight, place):
        sizes.append(len(midnight))
        return real(self, midnight, place)

    monkeypatch.setattr(Ephemeris, "sunset_and_sunrise", counted)
    tai = (59_146 + np.linspace(0.1, 0.45, 1000)) * 86_400
    fraction = night.fraction_of_night(tai, np.array(["apo25m"] * 1000))
    assert sizes == [1]
    assert (np.diff(fraction) > 0).all()
