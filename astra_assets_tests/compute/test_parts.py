"""Parts appear whole, never replace each other, and no input is in two of them."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from astra_assets.compute.in_hand import InHand
from astra_assets.compute.parts import (
    FAILURES,
    RESULTS,
    DamagedPartError,
    TaskParts,
    manifest_rows,
    read_part,
)
from astra_assets.files.atomic import write_new
from astra_assets.files.json_files import read_json, write_json

SCHEMA = pa.schema([("spectrum_pk", pa.int64()), ("teff", pa.float64())])


def results(*keys):
    return [{"spectrum_pk": key, "teff": float(key)} for key in keys]


def failures(*keys, state="failed"):
    return [{"spectrum_pk": key, "state": state, "code": "odd", "message": "It is odd."} for key in keys]


@pytest.fixture
def parts(tmp_path):
    made = TaskParts(tmp_path, "spectrum_pk", SCHEMA)
    made.look()
    return made


def test_parts_are_numbered_and_counted(tmp_path, parts):
    assert parts.write(RESULTS, results(1, 2)) == 2
    assert parts.write(RESULTS, results(3)) == 1
    assert parts.write(FAILURES, failures(4) + failures(5, state="skipped")) == 2
    assert parts.write(FAILURES, []) == 0
    assert [path.name for path in sorted(tmp_path.iterdir())] == [
        "failures-1.parquet", "results-1.parquet", "results-2.parquet",
    ]  # fmt: skip
    assert parts.counts == {"done": 3, "failed": 1, "skipped": 1}
    again = TaskParts(tmp_path, "spectrum_pk", SCHEMA)
    again.look()
    assert (again.finished, again.counts) == ({1, 2, 3, 4, 5}, parts.counts)


def test_what_another_copy_wrote_is_not_written_again(tmp_path, parts):
    other = TaskParts(tmp_path, "spectrum_pk", SCHEMA)
    other.look()
    parts.write(RESULTS, results(1, 2))
    assert other.write(RESULTS, results(2, 3)) == 1
    assert other.write(RESULTS, results(1)) == 0
    assert parts.write(FAILURES, failures(3)) == 0
    assert other.counts["done"] == 3


def test_of_two_writers_at_the_same_instant_the_second_drops_what_is_there(tmp_path, parts, monkeypatch):
    other = TaskParts(tmp_path, "spectrum_pk", SCHEMA)
    read_new, times = TaskParts._read_new, []

    def read_and_be_overtaken(self):
        read_new(self)
        if not times:
            times.append(1)
            parts.write(RESULTS, results(1, 2))

    monkeypatch.setattr(
        TaskParts, "_read_new", lambda self: (read_and_be_overtaken if self is other else read_new)(self)
    )
    assert other.write(RESULTS, results(2, 3)) == 1
    assert pq.read_table(tmp_path / "results-1.parquet")["spectrum_pk"].to_pylist() == [1, 2]
    assert pq.read_table(tmp_path / "results-2.parquet")["spectrum_pk"].to_pylist() == [3]


def test_a_damaged_part_is_set_aside_and_its_number_not_used_again(tmp_path, parts, caplog):
    parts.write(RESULTS, results(1, 2))
    (tmp_path / "results-1.parquet").write_bytes(b"PAR1 cut")
    (tmp_path / ".partial-1-ab-results-2.parquet").write_bytes(b"left behind")
    again = TaskParts(tmp_path, "spectrum_pk", SCHEMA)
    again.look()
    assert again.finished == set()
    assert "it is set aside as results-1.parquet.damaged, and its inputs are done again" in caplog.text
    again.write(RESULTS, results(1))
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "results-1.parquet.damaged",
        "results-2.parquet",
    ]


def test_two_flipped_bits_anywhere_in_a_part_are_noticed_or_change_nothing(tmp_path, parts):
    parts.write(RESULTS, results(*range(100)))
    path = tmp_path / "results-1.parquet"
    content, wanted = path.read_bytes(), read_part(path, SCHEMA)
    noticed = 0
    for place in range(0, len(content), 13):
        spoiled = bytearray(content)
        spoiled[place] ^= 0b101
        path.write_bytes(spoiled)
        try:
            assert read_part(path, SCHEMA).equals(wanted)
        except DamagedPartError:
            noticed += 1
    assert noticed > 0.95 * len(content) / 13


def test_rows_of_a_task_are_read_across_row_groups(tmp_path):
    pq.write_table(pa.table({"spectrum_pk": list(range(25))}), tmp_path / "m.parquet", row_group_size=4)
    for first, last in ((0, 25), (3, 5), (8, 12), (11, 25), (24, 25)):
        rows = [
            row
            for batch in manifest_rows(tmp_path / "m.parquet", first, last, 3)
            for row in batch.to_pylist()
        ]
        assert [row["spectrum_pk"] for row in rows] == list(range(first, last))


def test_a_new_file_never_replaces_one(tmp_path):
    def write(text):
        def to(file: Path) -> None:
            file.write_text(text)

        return to

    path = tmp_path / "part"
    assert write_new(path, write("first"))
    assert not write_new(path, write("second"))
    assert path.read_text() == "first"
    assert [each.name for each in tmp_path.iterdir()] == ["part"]


def test_a_write_that_fails_leaves_the_old_file_and_no_other(tmp_path):
    write_json(tmp_path / "a.json", {"x": 1})
    with pytest.raises(TypeError):
        write_json(tmp_path / "a.json", {"x": object()})
    assert read_json(tmp_path / "a.json") == {"x": 1}
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("content", [None, "", '{"x": ', "[1]", "\xff"])
def test_what_is_no_json_object_reads_as_nothing(tmp_path, content):
    if content is not None:
        (tmp_path / "a.json").write_bytes(content.encode("latin-1"))
    assert read_json(tmp_path / "a.json") is None


def test_what_was_in_hand_at_a_kill_is_remembered(tmp_path):
    first = InHand(tmp_path)
    first.put(0, 11)
    first.put(2, 33)
    first.put(0, 12)
    second = InHand(tmp_path)
    assert second.deaths == {12: 1, 33: 1}
    second.put(0, 33)
    assert InHand(tmp_path).deaths == {12: 1, 33: 2}


def test_after_an_orderly_end_nothing_is_in_hand(tmp_path):
    first = InHand(tmp_path)
    first.put(0, 11)
    first.clear()
    assert InHand(tmp_path).deaths == {}
