"""flag_warn and flag_bad: booleans of files that follow from result_flags."""

from __future__ import annotations

import pytest
from sqlalchemy import insert, select

from astra_assets.config.declared import all_products
from astra_assets.database.inventory import DECLARED
from astra_assets.models.base import table_of
from astra_assets.models.spectrum import SpectrumKey
from astra_assets.pipelines import pipeline
from astra_assets.products.rows import output_columns, verdict_condition
from astra_assets.registry.columns import flags, info
from astra_assets.registry.flags import ANY, AllOf
from astra_assets.registry.kinds import Kind

VALUES = [0, 1, 2, 4, 7, 8, 9, 16, 1 << 11, (1 << 11) | 6, 1 << 40, (1 << 40) | 1]


@pytest.mark.parametrize("key", ["bossnet", "apogeenet", "astronn", "mdwarftype", "aspcap"])
def test_the_database_says_what_python_says(database, key):
    table = table_of(pipeline(key).table)
    database.create_tables([table])
    with database.begin() as connection:
        keys = [{"pk": number, "spectrum_flags": 0} for number, _ in enumerate(VALUES, 1)]
        connection.execute(insert(table_of(SpectrumKey)), keys)
        rows = [
            {"spectrum_pk": number, "v_astra": 8001, "result_flags": value}
            for number, value in enumerate(VALUES, 1)
        ]
        connection.execute(insert(table), rows)
    verdicts = info(table.c.result_flags).verdicts
    assert verdicts
    query = select(*(verdict_condition(each, table.c.result_flags) for each in verdicts))
    with database.connect() as connection:
        found = connection.execute(query.order_by(table.c.spectrum_pk)).all()
    assert [tuple(row) for row in found] == [tuple(each.of(value) for each in verdicts) for value in VALUES]
    assert any(any(row) for row in found)
    assert not any(found[0])


@pytest.mark.parametrize(
    ("product", "expected"),
    [
        ("astraAllStarBOSSNet", ["result_flags", "flag_warn", "flag_bad", "bn_v_r"]),
        ("astraAllVisitAPOGEENet", ["result_flags", "flag_warn", "flag_bad", "raw_e_teff"]),
        ("astraAllStarMDwarfType", ["continuum", "result_flags", "flag_bad", "source_pk"]),
        ("astraAllStarSnowWhite", ["raw_e_logg", "result_flags", "source_pk"]),
    ],
)
def test_they_stand_right_after_the_flags_where_a_table_defines_them(product, expected):
    declared = all_products()[product]
    for table in declared.product.tables:
        columns = output_columns(declared.product, table, DECLARED)
        names = [column.name for column in columns]
        at = names.index(expected[0])
        assert names[at : at + len(expected)] == expected
        kinds = {column.name: column.definition.kind for column in columns}
        assert {kinds[name] for name in ("flag_warn", "flag_bad") if name in kinds} <= {Kind.boolean}


@pytest.mark.parametrize(
    ("product", "columns"),
    [
        ("astraAllStarBOSSNet", 181),
        ("astraAllVisitBOSSNet", 216),
        ("astraAllStarLineForest", 482),
        ("astraAllVisitLineForest", 517),
        ("astraAllStarSlam", 193),
    ],
)
def test_numbers_of_columns_are_those_of_dr20(product, columns):
    declared = all_products()[product].product
    assert len(output_columns(declared, declared.tables[0], DECLARED)) == columns


def test_a_verdict_names_flags_that_are_there():
    with pytest.raises(ValueError, match="flag_bad names high_snr; there are: low_snr"):
        flags(low_snr="S/N is too low", bad=("high_snr",))
    with pytest.raises(ValueError, match="flag_warn names no flag"):
        flags(low_snr="S/N is too low", warn=())
    flags(a="First", b="Second", warn=ANY, bad=AllOf("a", "b"))
