"""Tables of text: names, values and what is no row of a table."""

from __future__ import annotations

import gzip

import pytest

from astra_assets.files.text_tables import TextTable, TextTableError, is_ecsv, read_ecsv

ROWS = "id,name\n1,a\n2, b \n"


def rows_of(table, rows=2):
    return [list(row) for block in table.blocks(rows) for row in block.rows]


@pytest.mark.parametrize(
    "text",
    [
        ROWS,
        "\ufeff" + ROWS,
        "# a comment\n\n" + ROWS,
        ROWS.replace(",", ";"),
        ROWS.replace(",", "\t"),
        ROWS.replace(",", "|"),
        ROWS.replace("\n", "\r\n"),
        ROWS.replace("1,a\n", "\n1,a\n\n"),
        ROWS.rstrip("\n"),
    ],
)
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_a_table_is_read_however_it_is_written(tmp_path, text, pack):
    path = tmp_path / "a.csv"
    path.write_bytes(pack(text.encode()))
    table = TextTable(path)
    assert list(table.names) == ["id", "name"]
    assert [row[0] for row in rows_of(table)] == ["1", "2"]


def test_words_that_mean_no_value_are_none(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("id,x\n1,\n2,NaN\n3,null\n4,N/A\n5,0\n")
    (block,) = TextTable(path).blocks(10)
    assert block.column(1).to_pylist() == [None, None, None, None, "0"]


def test_rows_that_do_not_fit_are_refused_with_their_number(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text('id,name\n1,a\n2\n3,b,c\n#4,d\n"5\n# no comment",e\n6,f\n')
    blocks = list(TextTable(path).blocks(2))
    assert [(row.number, row.code) for block in blocks for row in block.refused] == [
        (2, "wrong_length"),
        (3, "wrong_length"),
        (5, "line_break"),
    ]
    assert [row[0] for block in blocks for row in block.rows] == ["1", "", "", "#4", "", "6"]
    assert [block.first for block in blocks] == [1, 3, 5]


def test_a_last_line_without_end_may_be_left_out(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("id,name\n1,a\n2,b")
    assert len(rows_of(TextTable(path))) == 2
    assert len(rows_of(TextTable(path, whole=False))) == 1


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "has no line of names"),
        (b"# only a comment\n", "has no line of names"),
        (b"id,name\n1,a\n2,\xe9\n", r"after row \d: the byte 0xe9 in line 3 is no UTF-8 text"),
        (b"id,name\n1," + b"a" * 200_000 + b"\n", "cannot be read after row 0: field larger"),
        (gzip.compress(ROWS.encode() * 1000, mtime=0)[:-9], "end too early"),
        (b"\x00\xff\x00", "the byte 0xff in line 1"),
    ],
)
def test_what_is_no_table_of_text_is_an_error_that_names_the_file(tmp_path, content, told):
    path = tmp_path / "a.csv"
    path.write_bytes(content)
    with pytest.raises(TextTableError, match=rf"a\.csv: .*{told}"):
        rows_of(TextTable(path))


def test_ecsv_comes_with_units_and_nulls(tmp_path):
    path = tmp_path / "a.txt"
    text = "# %ECSV 1.0\n# ---\n# datatype:\n# - {name: x, unit: nm, datatype: float64}\n# - {name: n, datatype: int64}\n"
    path.write_bytes(gzip.compress((text + 'x n\n1.5 9007199254740993\n2.5 ""\n').encode()))
    table = read_ecsv(path)
    assert (list(table.names), table.units, len(table)) == (["x", "n"], {"x": "nm"}, 2)
    assert table.columns(["n"])["n"].to_pylist() == [9007199254740993, None]
    assert is_ecsv(text.encode())
    assert is_ecsv("\ufeff".encode() + text.encode())
    path.write_text(text + "x\n1\n")
    with pytest.raises(TextTableError, match=r"a\.txt: is no ECSV file"):
        read_ecsv(path)
