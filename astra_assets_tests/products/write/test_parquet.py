"""The Parquet twin of a table: what the FITS table shows, cell by cell, in polars and astropy; the same bytes again."""

from __future__ import annotations

import errno
import io
import warnings

import astropy.io.fits
import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from astropy.io import votable
from astropy.table import Table

from astra_assets.products.bundle import bundle_of
from astra_assets.products.summary import MWM_ALL_VISIT, MWM_TARGETS
from astra_assets.products.write import parquet as module
from astra_assets.products.write.parquet import CONTENT_KEY, VERSION_KEY, ParquetTwin, ParquetWriteError
from astra_assets.registry.kinds import Kind
from astra_assets_tests.products.every_kind import COLUMNS, ROWS, fits_column, rows, twin, write_both


@pytest.fixture
def both(tmp_path):
    """A FITS file and its twin, from one pass."""
    return write_both(tmp_path, rows().slice(0, 1000), rows().slice(1000))


def shown(column) -> list:
    """The cells of a column as plain Python values, NaN as None so that they compare."""
    values = np.asarray(column)
    if values.dtype.kind == "f":
        return np.where(np.isnan(values), None, values.astype(object)).tolist()
    return values.tolist()


def test_polars_reads_what_the_fits_table_shows(both):
    fits, path = both
    frame = pl.read_parquet(path)
    assert frame.columns == [column.name for column in COLUMNS]
    assert frame.null_count().sum_horizontal().item() == 0
    with astropy.io.fits.open(fits) as hdus:
        data = hdus[1].data
        for column in COLUMNS:
            assert shown(frame[column.name].to_numpy()) == shown(data[column.name]), column.name
    kinds = frame.schema
    assert kinds["spectrum_pk"] == pl.Int64
    assert kinds["v_rad"] == pl.Float32
    assert kinds["dithered"] == pl.Boolean
    assert kinds["cartons"] == pl.Array(pl.UInt8, 7)


def test_astropy_reads_values_units_and_descriptions_as_votable_parquet(both):
    fits, path = both
    with warnings.catch_warnings():
        # VOUnits knows no Celsius
        warnings.filterwarnings("ignore", ".*Celsius.*")
        table = Table.read(path, format="parquet.votable")
    with astropy.io.fits.open(fits) as hdus:
        for column in COLUMNS:
            assert shown(table[column.name]) == shown(hdus[1].data[column.name]), column.name
    assert table["v_rad"].unit == "km / s"
    assert table["delta_ra"].unit == "arcsec"
    assert table["ra"].description == "About <ra> & more"
    assert table["spectrum_pk"].dtype == np.int64
    assert table["name"].dtype.kind == "U"


def test_the_votable_in_it_is_valid_and_has_ucds_and_where_the_rows_come_from(both):
    metadata = pq.read_metadata(both[1]).metadata
    assert metadata[VERSION_KEY.encode()] == b"1.0"
    content = metadata[CONTENT_KEY.encode()]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*Celsius.*")
        document = votable.parse(io.BytesIO(content), verify="exception")
    (table,) = document.iter_tables()
    assert (table.name, table.description) == ("mwmTargets", "Sources")
    fields = {field.name: field for field in table.fields}
    assert list(fields) == [column.name for column in COLUMNS]
    assert fields["ra"].ucd == "pos.eq.ra"
    assert fields["created"].xtype == "timestamp"
    assert {info.name: info.value for info in table.infos} == {"V_ASTRA": "0.8.1", "NROWS1": str(ROWS)}


def test_the_same_rows_give_the_same_bytes_however_they_come(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "GROUP_BYTES", 120_000)
    batch = rows()
    whole = twin(tmp_path / "a.parquet", batch)
    pieces = [batch.slice(start, 17) for start in range(0, ROWS, 17)]
    assert twin(tmp_path / "b.parquet", *pieces).read_bytes() == whole.read_bytes()
    assert pq.read_metadata(whole).num_row_groups > 2


def test_a_row_group_is_no_larger_than_memory_should_be(tmp_path):
    wide = [fits_column(f"x{number}", Kind.float64) for number in range(200)]
    batch = pa.record_batch({column.name: np.zeros(30_000) for column in wide})
    path = twin(tmp_path / "a.parquet", batch, columns=wide)
    found = pq.read_metadata(path)
    assert found.row_group(0).num_rows * 8 * 200 <= module.GROUP_BYTES
    assert found.num_rows == 30_000


def test_a_table_without_rows_has_its_columns(tmp_path):
    path = twin(tmp_path / "a.parquet")
    assert pl.read_parquet(path).columns == [column.name for column in COLUMNS]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*Celsius.*")
        assert len(Table.read(path, format="parquet.votable")) == 0


def test_a_column_that_is_all_null_has_its_fill(tmp_path):
    batch = pa.record_batch({column.name: pa.nulls(4) for column in COLUMNS})
    first = pl.read_parquet(twin(tmp_path / "a.parquet", batch)).row(0)
    assert first[0] == -1
    assert first[1] == ""
    assert np.isnan(first[2])
    assert first[6:10] == (0, False, "", [0] * 7)


@pytest.mark.parametrize(
    ("name", "values", "reason"),
    [
        ("n_exp", pa.array([2**31]), "not in range"),
        ("cartons", pa.array([bytes(8)]), "8 bytes do not fit"),
        ("delta_ra", pa.array([[1.0] * 4]), "4 elements do not fit"),
        ("ra", pa.array(["north"]), "north"),
    ],
)
def test_what_does_not_fit_names_product_and_column(tmp_path, name, values, reason):
    batch = rows(1)
    batch = batch.set_column(batch.schema.names.index(name), name, values)
    with pytest.raises(ParquetWriteError, match=f"mwmTargets .Parquet.: column {name}: .*{reason}"):
        twin(tmp_path / "a.parquet", batch)


def test_rows_without_a_column_are_refused(tmp_path):
    with pytest.raises(ParquetWriteError, match=r"mwmTargets .*column ra"):
        twin(tmp_path / "a.parquet", rows(1).drop_columns(["ra"]))


def test_a_full_disk_is_an_error_and_leaves_nothing_behind_that_writes_later(tmp_path):
    path = tmp_path / "full.parquet"
    path.symlink_to("/dev/full")
    with pytest.raises(OSError, match="No space left") as found:
        twin(path, rows())
    assert found.value.errno == errno.ENOSPC


def test_an_abandoned_twin_can_be_removed(tmp_path):
    out = ParquetTwin(tmp_path / "a.parquet", COLUMNS, name="mwmTargets", description="Sources")
    out.write(rows())
    out.abandon()
    out.abandon()
    size = (tmp_path / "a.parquet").stat().st_size
    del out
    assert (tmp_path / "a.parquet").stat().st_size == size


def test_each_table_of_a_product_has_a_twin_of_its_own(tmp_path):
    one = bundle_of(MWM_TARGETS, tmp_path / "mwmTargets-0.8.1.fits.gz").parquet
    assert [path.name for path in one] == ["mwmTargets-0.8.1.parquet"]
    two = bundle_of(MWM_ALL_VISIT, tmp_path / "mwmAllVisit-0.8.1.fits.gz").parquet
    assert [path.name for path in two] == [
        "mwmAllVisit-0.8.1-boss.parquet",
        "mwmAllVisit-0.8.1-apogee.parquet",
    ]
