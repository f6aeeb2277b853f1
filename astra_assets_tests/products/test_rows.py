"""Rows and columns of summary products: which, in which order, under which name."""

from __future__ import annotations

import pytest
from sqlalchemy import select, update

from astra_assets.database.inventory import DECLARED
from astra_assets.models.base import layout, table_of
from astra_assets.models.boss import BossCombinedSpectrum, BossVisitSpectrum
from astra_assets.models.source import Source
from astra_assets.products.rows import ProductRows, measure, output_columns
from astra_assets.products.summary import MWM_ALL_STAR, MWM_ALL_VISIT, MWM_TARGETS
from astra_assets.registry.kinds import Kind
from astra_assets_tests.products.samples import LISTED, STAR, V_ASTRA, VISIT, SampleResult

RAGGED = (Kind.text, Kind.bytes, Kind.floats)


def names(product, number: int) -> list[str]:
    return [column.name for column in output_columns(product, product.tables[number], DECLARED)]


def table_rows(database, product, number: int, limit: int | None = None):
    return ProductRows(product, database.inventory, V_ASTRA, limit).tables[number]


def rows(database, product, number: int, limit: int | None = None):
    return database.arrow_table(table_rows(database, product, number, limit).query)


@pytest.mark.parametrize(
    ("product", "number", "count"),
    [
        (MWM_TARGETS, 0, 137),
        (MWM_ALL_STAR, 0, 165),
        (MWM_ALL_VISIT, 0, 199),
        (MWM_ALL_STAR, 1, 177),
        (MWM_ALL_VISIT, 1, 185),
    ],
)
def test_numbers_of_columns_are_those_of_dr20(product, number, count):
    assert len(names(product, number)) == count


COADD_COLUMNS = """
spectrum_pk source release filetype v_astra run2d telescope min_mjd max_mjd n_visits n_good_visits n_good_rvs
v_rad e_v_rad std_v_rad median_e_v_rad xcsao_teff xcsao_e_teff xcsao_logg xcsao_e_logg xcsao_fe_h xcsao_e_fe_h
xcsao_meanrxc snr gri_gaia_transform_flags zwarning_flags nmf_rchi2 nmf_flags
"""

VISIT_COLUMNS = """
spectrum_pk source release filetype run2d mjd fieldid spec_file n_exp exptime plateid cartid mapid
slitid psfsky preject n_std n_gal lowrej highrej scatpoly proftype nfitpoly skychi2 schi2min
schi2max alt az telescope seeing airmass airtemp dewpoint humidity pressure dust_a dust_b
gust_direction gust_speed wind_direction wind_speed moon_dist_mean moon_phase_mean n_guide tai_beg
tai_end fiber_offset f_night_time delta_ra delta_dec snr gri_gaia_transform_flags zwarning_flags
xcsao_v_rad xcsao_e_v_rad xcsao_teff xcsao_e_teff xcsao_logg xcsao_e_logg xcsao_fe_h xcsao_e_fe_h
xcsao_rxc
"""


DOPPLER_COLUMNS = """
doppler_teff doppler_e_teff doppler_logg doppler_e_logg doppler_fe_h doppler_e_fe_h doppler_rchi2 doppler_flags
xcorr_v_rad xcorr_v_rel xcorr_e_v_rel ccfwhm autofwhm n_components
"""

APOGEE_COADD_COLUMNS = f"""
source star_pk spectrum_pk release filetype apred apstar obj telescope field prefix min_mjd max_mjd starver
n_entries n_visits n_good_visits n_good_rvs snr mean_fiber std_fiber spectrum_flags v_rad e_v_rad std_v_rad
median_e_v_rad {DOPPLER_COLUMNS}
"""

APOGEE_VISIT_COLUMNS = f"""
spectrum_pk source star_pk visit_pk rv_visit_pk release filetype apred plate telescope fiber mjd field prefix
reduction obj date_obs jd exptime dithered f_night_time input_ra input_dec n_frames assigned on_target valid
fps snr spectrum_flags v_rad v_rel e_v_rel bc {DOPPLER_COLUMNS}
"""


@pytest.mark.parametrize(
    ("product", "number", "columns"),
    [
        (MWM_ALL_STAR, 0, COADD_COLUMNS),
        (MWM_ALL_VISIT, 0, VISIT_COLUMNS),
        (MWM_ALL_STAR, 1, APOGEE_COADD_COLUMNS),
        (MWM_ALL_VISIT, 1, APOGEE_VISIT_COLUMNS),
    ],
)
def test_columns_of_spectra_follow_those_of_the_source(product, number, columns):
    assert names(product, number) == [*names(MWM_TARGETS, 0), *columns.split()]


def test_results_come_last_without_hidden_columns_pixels_and_correlations():
    block = ["task_pk", "teff", "colour", "result_flags", "source_pk", "t_elapsed", "t_overhead", "tag"]
    assert names(STAR, 0) == [*names(MWM_ALL_STAR, 0), *block]
    assert names(VISIT, 0) == [*names(MWM_ALL_VISIT, 0), *block[:5], "v_astra", *block[5:]]


def test_apogee_visits_show_the_reductions_columns_before_their_own():
    shown = names(VISIT, 1)
    assert shown[: len(names(MWM_ALL_VISIT, 1))] == names(MWM_ALL_VISIT, 1)
    assert shown[len(names(MWM_ALL_VISIT, 1)) :][:3] == ["drp_spectrum_pk", "apstar", "task_pk"]


def test_of_columns_with_one_name_the_first_is_shown():
    columns = {column.name: column.expression for column in output_columns(STAR, STAR.tables[0], DECLARED)}
    source, coadd = table_of(Source), table_of(BossCombinedSpectrum)
    assert columns["created"] is source.c.created
    assert columns["healpix"] is source.c.healpix
    assert columns["sdss_id"] is source.c.sdss_id
    assert columns["v_astra"] is coadd.c.v_astra
    assert columns["snr"] is coadd.c.snr
    assert columns["source"] is coadd.c.source_pk
    assert columns["source_pk"] is table_of(SampleResult).c.source_pk


def test_coordinates_and_julian_dates_are_double_and_other_numbers_single():
    kinds = {
        column.name: column.definition.kind for column in output_columns(VISIT, VISIT.tables[1], DECLARED)
    }
    assert {name for name, kind in kinds.items() if kind is Kind.float64} == {"ra", "dec", "l", "b", "jd"}


def test_targets_are_stellar_sources_with_a_visit_by_sdss_id(filled):
    expected = sorted(1000 - number for number in LISTED)
    assert rows(filled, MWM_TARGETS, 0)["sdss_id"].to_pylist() == expected


@pytest.mark.parametrize(("product", "number"), [(MWM_ALL_VISIT, 0), (MWM_ALL_VISIT, 1), (MWM_ALL_STAR, 1)])
def test_all_spectra_of_targets_are_listed_by_key(filled, product, number):
    found = rows(filled, product, number)
    keys = found["spectrum_pk"].to_pylist()
    assert keys == sorted(keys)
    assert sorted(found["sdss_id"].to_pylist()) == sorted([1000 - n for n in LISTED] * 2)


def test_apogee_spectra_of_sources_that_only_apogee_saw_are_listed(filled):
    source = table_of(Source)
    sdss_id, unseen = 1000 - LISTED[0], 1000 - LISTED[1]
    with filled.begin() as connection:
        for number, n_apogee_visits in ((sdss_id, 1), (unseen, 0)):
            seen = {"n_boss_visits": None, "n_apogee_visits": n_apogee_visits}
            connection.execute(update(source).where(source.c.sdss_id == number).values(seen))
    for product in (MWM_ALL_STAR, MWM_ALL_VISIT):
        listed = rows(filled, product, 1)["sdss_id"].to_pylist()
        assert listed.count(sdss_id) == 2
        assert unseen not in listed


def test_spectra_without_source_are_in_no_product(filled):
    visit = table_of(BossVisitSpectrum)
    before = rows(filled, VISIT, 0).num_rows, rows(filled, MWM_ALL_VISIT, 0).num_rows
    unlinked = rows(filled, VISIT, 0)["spectrum_pk"].to_pylist()[0]
    with filled.begin() as connection:
        connection.execute(update(visit).where(visit.c.spectrum_pk == unlinked).values(source_pk=None))
    assert (rows(filled, VISIT, 0).num_rows, rows(filled, MWM_ALL_VISIT, 0).num_rows) == (
        before[0] - 1,
        before[1] - 1,
    )


def test_only_coadds_of_the_current_minor_version_are_listed(filled):
    found = rows(filled, MWM_ALL_STAR, 0)
    assert set(found["v_astra"].to_pylist()) == {"0.8.0", "0.8.1"}
    assert found.num_rows == 2 * len(LISTED) - 5


def test_results_of_the_current_minor_version_are_listed_whatever_the_source(filled):
    found = rows(filled, VISIT, 0)
    assert set(found["v_astra"].to_pylist()) == {8001}
    assert found.num_rows == 40
    assert set(found["sdss_id"].to_pylist()) - {1000 - n for n in LISTED}
    keys = found["spectrum_pk"].to_pylist()
    assert keys == sorted(keys)
    assert len(set(keys)) == 40


def test_results_on_visits_inside_apstar_show_the_reductions_visit(filled):
    found = rows(filled, VISIT, 1)
    assert found.num_rows == 19
    assert found["spectrum_pk"].to_pylist() == found["drp_spectrum_pk"].to_pylist()


def test_an_instrument_without_results_has_no_rows_and_all_columns(filled):
    found = rows(filled, STAR, 1)
    assert found.num_rows == 0
    assert found.column_names == names(STAR, 1)


def test_a_limit_gives_the_first_rows(filled):
    whole = rows(filled, MWM_ALL_VISIT, 0)
    assert rows(filled, MWM_ALL_VISIT, 0, limit=7).equals(whole.slice(0, 7).combine_chunks())


@pytest.mark.parametrize("limit", [None, 5])
def test_widths_are_those_of_the_longest_value(filled, limit):
    measured = measure(filled, table_rows(filled, MWM_ALL_VISIT, 0, limit))
    found = rows(filled, MWM_ALL_VISIT, 0, limit=limit)
    assert measured.rows == found.num_rows == (limit or 2 * len(LISTED))
    ragged = [column for column in measured.columns if column.definition.kind in RAGGED]
    assert {"lead", "sdss5_target_flags", "delta_ra"} <= {column.name for column in ragged}
    for column in measured.columns:
        if column not in ragged:
            assert column.width == 1, column.name
        else:
            longest = max(len(value or ()) for value in found[column.name].to_pylist())
            assert column.width == max(1, longest), column.name


def test_nothing_is_one_wide(database):
    measured = measure(database, table_rows(database, MWM_ALL_VISIT, 0))
    assert measured.rows == 0
    assert {column.width for column in measured.columns} == {1}
    assert {"lead", "sdss5_target_flags", "delta_ra"} <= {column.name for column in measured.columns}


def test_visits_without_a_key_come_last(filled):
    visit = table_of(BossVisitSpectrum)
    listed = rows(filled, MWM_ALL_VISIT, 0)["spectrum_pk"].to_pylist()
    with filled.begin() as connection:
        connection.execute(update(visit).where(visit.c.spectrum_pk.in_(listed[:2])).values(spectrum_pk=None))
    assert rows(filled, MWM_ALL_VISIT, 0)["spectrum_pk"].to_pylist() == [*listed[2:], None, None]


def test_every_stored_column_is_shown_or_left_out_on_purpose():
    for model in (Source, BossVisitSpectrum, BossCombinedSpectrum):
        stored = {entry.column.key for entry in layout(model) if entry.column is not None}
        product = (
            MWM_TARGETS
            if model is Source
            else MWM_ALL_STAR
            if model is BossCombinedSpectrum
            else MWM_ALL_VISIT
        )
        shown = {column.expression.key for column in output_columns(product, product.tables[0], DECLARED)}
        assert stored - shown <= {"pk", "created", "modified", "healpix", "catalogid", "sdss_id"}


def test_the_query_names_its_columns_as_the_file_does(database):
    query = table_rows(database, STAR, 0).query
    assert database.arrow_schema(query).names == names(STAR, 0)
    assert select(query.subquery().c.source) is not None


def test_headings_of_all_products_fit_into_a_card():
    """72 characters of a COMMENT; products of programs that are not here are written only where they are."""
    from astra_assets.config.declared import all_products

    shown = {
        column.heading
        for each in all_products().values()
        for table in each.product.tables
        for column in output_columns(each.product, table, DECLARED)
    }
    assert len(shown) > 20
    assert not [heading for heading in shown if len(heading) > 72]
