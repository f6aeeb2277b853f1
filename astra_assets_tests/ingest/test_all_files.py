"""All of ingestion in order."""

from __future__ import annotations

import numpy as np
import pytest
from sqlalchemy import select

from astra_assets.files.paths import spall_path, spec_full_path
from astra_assets.ingest import all_files as migrate_module
from astra_assets.ingest.all_files import MigrateError, ingest_all
from astra_assets.ingest.boss.spall import VISITS
from astra_assets.ingest.sources.derived import SOURCES
from astra_assets.models.base import table_of
from astra_assets.models.ingest import IngestFile
from astra_assets_tests.ingest.samples import (
    RUN2D,
    content,
    spall_rows,
    write_spall,
    write_spec_full,
    write_table,
)

COUNT = 12


@pytest.fixture
def survey(tmp_path):
    """A root with an spAll file, specFull files and a catalogue of every other object."""
    columns = spall_rows(COUNT)
    columns["CATALOGID"][1] = columns["CATALOGID"][0]  # a second visit of the first object
    columns["MJD"][1] = 59150
    write_spall(tmp_path / spall_path(RUN2D), columns)
    for row in range(COUNT):
        relative = spec_full_path(
            RUN2D, int(columns["FIELD"][row]), int(columns["MJD"][row]), int(columns["CATALOGID"][row]),
            columns["SPEC_FILE"][row].decode(),
        )  # fmt: skip
        write_spec_full(tmp_path / relative)
    write_catalog(tmp_path, columns["CATALOGID"][::2])
    return tmp_path


def write_catalog(folder, catalogids):
    count = len(catalogids)
    columns = {
        "sdss_id": np.arange(count) + 100,
        "catalogid": catalogids,
        "ra": np.full(count, 10.0),
        "dec": np.full(count, 20.0),
    }
    return write_table(folder / "catalog.fits", columns)


def run(database, survey, **options):
    return ingest_all(
        database, run2d=[RUN2D], catalogs=[survey / "catalog.fits"], sas_base_dir=survey, **options
    )


def everything(database):
    return content(database, VISITS), content(database, SOURCES)


def test_everything_comes_in_and_a_second_run_writes_nothing(database, survey):
    lines = []
    report = run(database, survey, progress=lines.append)
    visits, sources = everything(database)
    assert [row["source_pk"] is not None for row in visits] == [True, True, *[True, False] * 5]
    assert [row["n_boss_visits"] for row in sources] == [2, 1, 1, 1, 1, 1]
    assert (sources[0]["boss_min_mjd"], sources[0]["boss_max_mjd"]) == (59146, 59150)
    assert all(
        row["alt"] == 65.5 and row["f_night_time"] is not None for row in visits if row["mjd"] == 59146
    )
    assert all(row["healpix"] is not None and row["l"] is not None for row in sources)
    assert report.changed
    steps = {step.step: step for step in report.steps}
    assert steps["catalog catalog.fits"].added == 6
    assert steps[f"spAll {RUN2D}"].added == COUNT
    assert steps["links"].added == 7
    assert steps["links"].remark == "5 spectra without source, 0 ambiguous"
    assert steps["specFull headers"].updated == COUNT
    assert steps["visit counts"].updated == 6
    again = run(database, survey)
    assert not again.changed
    assert "unchanged, not read again" in again.table()
    assert everything(database) == (visits, sources)


def test_the_report_is_a_table_of_steps_with_refused_rows(sqlite, survey):
    columns = spall_rows(COUNT)
    columns["SPEC_FILE"][4] = b"../../x"
    write_spall(survey / spall_path(RUN2D), columns)
    text = run(sqlite, survey).table()
    head, catalog, spall = text.splitlines()[:3]
    assert head.split() == ["step", "read", "added", "updated", "unchanged", "refused"]
    assert catalog.split() == ["catalog", "catalog.fits", "6", "6", "0", "0", "0"]
    assert spall.split() == ["spAll", RUN2D, "12", "11", "0", "0", "1"]
    assert f"spAll-{RUN2D}.fits.gz, row 5: SPEC_FILE '../../x' is no base name" in text


def test_a_source_that_comes_later_is_linked_and_only_it_is_marked(sqlite, survey):
    run(sqlite, survey)
    visits, sources = everything(sqlite)
    catalogids = np.array([row["catalogid"] for row in visits])
    write_catalog(survey, np.concatenate([np.unique(catalogids[::2]), catalogids[3:4]]))
    run(sqlite, survey)
    later_visits, later_sources = everything(sqlite)
    assert [old == new for old, new in zip(visits, later_visits, strict=True)] == [
        n != 3 for n in range(COUNT)
    ]
    assert later_sources[:6] == sources
    assert (later_sources[6]["n_boss_visits"], later_visits[3]["source_pk"]) == (1, later_sources[6]["pk"])


@pytest.mark.parametrize("step", ["link_spectra", "read_spec_headers", "derive_missing", "count_visits"])
def test_a_run_killed_between_steps_is_completed_by_the_next(sqlite, survey, monkeypatch, step):
    def killed(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(migrate_module, step, killed)
    with pytest.raises(KeyboardInterrupt):
        run(sqlite, survey)
    monkeypatch.undo()
    with sqlite.connect() as connection:
        assert connection.execute(select(table_of(IngestFile))).all() == []
    run(sqlite, survey)
    visits, sources = everything(sqlite)
    assert sum(row["source_pk"] is not None for row in visits) == 7
    assert [row["n_boss_visits"] for row in sources] == [2, 1, 1, 1, 1, 1]
    assert all(row["alt"] == 65.5 for row in visits)


def test_bad_files_are_errors_at_the_end_and_the_others_come_in(sqlite, survey):
    (survey / "bad.csv").write_text("nothing\n")
    with pytest.raises(MigrateError, match=r"bad\.csv: is no catalogue") as caught:
        ingest_all(
            sqlite,
            run2d=["v6_2_9", RUN2D],
            catalogs=[survey / "bad.csv", survey / "catalog.fits"],
            sas_base_dir=survey,
        )
    assert "spAll-v6_2_9.fits.gz: no such file" in str(caught.value)
    visits, sources = everything(sqlite)
    assert (len(visits), len(sources)) == (COUNT, 6)
    assert sum(row["source_pk"] is not None for row in visits) == 7
    table = caught.value.report.table()
    assert table.count("ERROR: ") == 2
    assert f"spAll {RUN2D}" in table


def test_a_limit_reads_part_of_the_summary_and_the_next_run_the_rest(sqlite, survey):
    report = run(sqlite, survey, limit=5)
    assert len(content(sqlite, VISITS)) == 5
    assert any("only the first 5 of 12 rows" in line for line in report.details)
    run(sqlite, survey)
    assert len(content(sqlite, VISITS)) == COUNT


def test_missing_spectrum_files_do_not_stop_anything_and_are_shown(sqlite, survey):
    for path in survey.rglob("spec-*.fits"):
        path.unlink()
    report = run(sqlite, survey)
    step = next(step for step in report.steps if step.step == "specFull headers")
    assert (step.read, step.updated, step.refused) == (COUNT, 0, COUNT)
    assert "... and 2 more headers not readable" in report.table()
    assert sum(row["n_boss_visits"] for row in content(sqlite, SOURCES)) == 7
