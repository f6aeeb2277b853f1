"""Carton bits in Python and in SQL."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from sqlalchemy import select

from astra_assets.models import cartons
from astra_assets.models.source import Source


def test_the_list_of_cartons_is_complete_and_in_order():
    found = cartons.cartons()
    assert [carton.bit for carton in found] == list(range(len(found)))
    assert len(found) >= 563
    assert found[1].label == "mwm_snc_100pc_0.1.0"
    assert len({carton.label for carton in found}) == len(found)


def test_all_stellar_names_are_cartons_outside_of_the_mapper_mwm():
    assert len(cartons.STELLAR_NAMES) == 72
    mappers = {carton.name: carton.mapper for carton in cartons.cartons()}
    assert all(mappers[name] != "mwm" for name in cartons.STELLAR_NAMES)


def test_bit_n_is_in_byte_n_over_8_from_the_least_significant():
    assert cartons.pack([0]) == b"\x01"
    assert cartons.pack([9]) == b"\x00\x02"
    assert cartons.pack([]) == b""
    assert len(cartons.pack([567])) == 71
    assert cartons.unpack(cartons.pack([3, 562, 17])) == [3, 17, 562]
    assert cartons.unpack(None) == []


def test_labels_and_bits_are_packed_alike():
    assert cartons.pack(["mwm_snc_100pc_0.1.0", 5]) == cartons.pack([1, 5])
    assert cartons.labels(cartons.pack([1, 2000])) == ["mwm_snc_100pc_0.1.0"]
    with pytest.raises(KeyError, match=r"mwm_snc_100pc_0\.1\.0"):
        cartons.pack(["mwm_snc"])
    with pytest.raises(ValueError, match="negative"):
        cartons.pack([-1])


def test_membership_is_by_program_mapper_and_name():
    wd = next(carton for carton in cartons.cartons() if carton.program == "mwm_wd")
    sky = next(carton for carton in cartons.cartons() if carton.name == "ops_sky_boss")
    bits = [cartons.pack([wd.bit]), cartons.pack([sky.bit]), b"", None, cartons.pack([wd.bit]) + bytes(20)]
    assert cartons.in_program(bits, "mwm_wd").tolist() == [True, False, False, False, True]
    assert cartons.in_mapper(pa.array(bits), "mwm").tolist() == [True, False, False, False, True]
    assert cartons.in_carton_names(bits, ["ops_sky_boss"]).tolist() == [False, True, False, False, False]
    with pytest.raises(KeyError, match="mwm_wd"):
        cartons.in_program(bits, "mwm_white_dwarf")


def test_stellar_like_is_a_stellar_carton_or_an_sdss4_name():
    std = next(carton for carton in cartons.cartons() if carton.name == "ops_std_boss")
    sky = next(carton for carton in cartons.cartons() if carton.name == "ops_sky_boss")
    bits = [cartons.pack([std.bit]), cartons.pack([sky.bit]), None, None]
    assert cartons.stellar_like(bits, [None, None, "2M0", None]).tolist() == [True, False, True, False]
    with pytest.raises(ValueError, match="4 sources"):
        cartons.stellar_like(bits, [None])


def test_sql_and_python_choose_the_same_sources(database):
    rng = np.random.default_rng(7)
    number = 400
    draws = [rng.choice(620, size=rng.integers(0, 4), replace=False).tolist() for _ in range(number)]
    bits = [
        None if row % 11 == 0 else cartons.pack(draw) + bytes(int(rng.integers(0, 3)))
        for row, draw in enumerate(draws)
    ]
    names = [f"2M{row}" if row % 13 == 0 else None for row in range(number)]
    rows = pa.table({"sdss_id": range(number), "sdss5_target_flags": bits, "sdss4_apogee_id": names})
    with database.begin() as connection:
        database.insert(connection, Source, rows)

    def chosen(condition):
        query = select(Source.c.sdss_id).where(condition).order_by(Source.c.sdss_id)
        return database.arrow_table(query)["sdss_id"].to_pylist()

    stellar = cartons.stellar_like(bits, names)
    assert 0 < stellar.sum() < number
    assert chosen(cartons.stellar_like_condition(database.dialect)) == np.flatnonzero(stellar).tolist()
    wds = cartons.in_program(bits, "mwm_wd")
    assert 0 < wds.sum() < number
    assert chosen(cartons.program_condition("mwm_wd", database.dialect)) == np.flatnonzero(wds).tolist()
