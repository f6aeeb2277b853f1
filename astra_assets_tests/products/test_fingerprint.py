"""What makes a product another one, and what does not."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import delete, insert, select, update

from astra_assets.fits.read_header import read_primary_header
from astra_assets.models.base import table_of
from astra_assets.models.boss import BossCombinedSpectrum, BossVisitSpectrum
from astra_assets.models.source import Source
from astra_assets.products.fingerprint import fingerprint
from astra_assets.products.rows import ProductRows
from astra_assets.products.summary import MWM_ALL_VISIT, MWM_TARGETS
from astra_assets_tests.products.samples import STAR, V_ASTRA, VISIT, SampleResult


def mark(database, product, **options) -> str:
    settings = {"v_astra": V_ASTRA} | options
    return fingerprint(database, ProductRows(product, database.inventory, **settings))


def change(database, statement) -> None:
    with database.begin() as connection:
        assert connection.execute(statement).rowcount > 0


def test_it_is_the_same_as_long_as_nothing_changes(filled):
    assert mark(filled, VISIT) == mark(filled, VISIT)
    assert len(mark(filled, VISIT)) == 64


def test_products_versions_and_samples_differ(filled):
    marks = [
        mark(filled, VISIT),
        mark(filled, MWM_ALL_VISIT),
        mark(filled, VISIT, v_astra="0.8.2"),
        mark(filled, VISIT, limit=10),
        mark(filled, VISIT, limit=11),
    ]
    assert len(set(marks)) == len(marks)


def test_a_row_that_is_newer_by_a_microsecond_is_seen(filled):
    before = mark(filled, VISIT)
    visit = table_of(BossVisitSpectrum)
    with filled.connect() as connection:
        key, modified = connection.execute(select(visit.c.pk, visit.c.modified).limit(1)).one()
    change(
        filled, update(visit).where(visit.c.pk == key).values(modified=modified - timedelta(microseconds=1))
    )
    assert mark(filled, VISIT) != before


def test_a_row_that_is_gone_is_seen(filled):
    before = mark(filled, VISIT)
    result = table_of(SampleResult)
    change(filled, delete(result).where(result.c.v_astra == 8001, result.c.task_pk == 5))
    assert mark(filled, VISIT) != before


def test_visit_counts_are_seen(filled):
    before = mark(filled, MWM_TARGETS)
    change(filled, update(Source).where(Source.c.sdss_id == 1000).values(n_boss_visits=3))
    assert mark(filled, MWM_TARGETS) != before


def test_results_of_another_minor_version_and_other_tables_do_not_matter(filled):
    before = mark(filled, VISIT)
    result = table_of(SampleResult)
    change(filled, delete(result).where(result.c.v_astra == 6000))
    change(filled, delete(table_of(BossCombinedSpectrum)))
    assert mark(filled, VISIT) == before


def test_results_at_the_other_level_do_not_matter(filled):
    """Those on coadds may come when the product of visits is written already."""
    before = [mark(filled, VISIT), mark(filled, STAR)]
    result = table_of(SampleResult)
    coadds = select(table_of(BossCombinedSpectrum).c.spectrum_pk)
    change(filled, delete(result).where(result.c.spectrum_pk.in_(coadds)))
    after = [mark(filled, VISIT), mark(filled, STAR)]
    assert (after[0] == before[0], after[1] == before[1]) == (True, False)


def test_postgresql_also_sees_changes_that_nobody_marked(filled):
    before = mark(filled, MWM_TARGETS)
    change(filled, update(Source).where(Source.c.sdss_id == 1000).values(plx=1.0))
    assert (mark(filled, MWM_TARGETS) != before) is (filled.dialect == "postgresql")


def test_empty_tables_have_a_fingerprint_too(database):
    empty = mark(database, MWM_TARGETS)
    with database.begin() as connection:
        connection.execute(insert(table_of(Source)).values(sdss_id=1))
    assert mark(database, MWM_TARGETS) != empty


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.fits", b""),
        ("a.fits", b"SIMPLE  =" + b" " * 3000),
        ("a.fits", b"\x89PNG" * 2000),
        ("a.fits.gz", b"not gzip at all"),
        ("a.fits.gz", b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff\x4b"),
    ],
)
def test_what_is_no_fits_file_has_no_header(tmp_path, name, content):
    path = tmp_path / name
    path.write_bytes(content)
    assert read_primary_header(path) is None
