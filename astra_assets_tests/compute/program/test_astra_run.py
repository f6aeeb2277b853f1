"""A step that Astra's own command line does: it writes the database itself, and every input is accounted for."""

from __future__ import annotations

import pytest
from sqlalchemy import update

from astra_assets.compute import BatchError
from astra_assets.compute.program.call import SiteProgram
from astra_assets.files.json_files import read_json
from astra_assets.models.base import table_of, utcnow
from astra_assets.models.boss import BossVisitSpectrum
from astra_assets.models.source import Source
from astra_assets_tests.compute.program.samples import ASTRA, PROGRAM, STEP, Here
from astra_assets_tests.compute.samples import SampleFlux


@pytest.fixture
def astra(bench, monkeypatch):
    """An engine on a database that the fake Astra writes to, in a place whose clocks are seven hours behind UTC."""
    monkeypatch.setenv("TZ", "MST7")
    monkeypatch.setenv("FAKE_ASTRA_DATABASE", bench.database.url.removeprefix("sqlite:///"))
    bench.engine = bench.make(Here(), programs={"sample_flux": SiteProgram(astra=ASTRA, inputs=3)})
    return bench


def rows(bench):
    return bench.rows(SampleFlux, "spectrum_pk", "median_flux")


def test_rows_that_astra_wrote_are_results_and_nothing_is_in_parts(astra, capfdbinary):
    pks = astra.visits([0] * 7, when=utcnow())
    batch = astra.engine.plan(PROGRAM, STEP)
    astra.engine.start(batch)
    account = astra.engine.collect(batch)
    assert (account.results, account.failed, account.balanced) == (7, 0, True)
    assert rows(astra) == [(pk, pk + 0.5) for pk in pks]
    assert not [*batch.directory.rglob("results-*"), *batch.directory.rglob("failures-*")]
    said = capfdbinary.readouterr().err
    assert [said.count(b"of %d objects" % n) for n in (3, 1)] == [2, 1], "in portions"
    assert read_json(batch.task_folder(0) / "astra.json") == {"inputs": 7}
    assert astra.engine.run(PROGRAM, STEP).backlog == 0


def test_what_astra_made_nothing_of_has_failed_until_it_does(astra, monkeypatch):
    pks = astra.visits([0] * 5)
    monkeypatch.setenv("FAKE_ASTRA_LEAVES", f"{pks[1]} {pks[3]}")
    account = astra.engine.run(PROGRAM, STEP)
    assert (account.results, account.failed, account.backlog, account.balanced) == (3, 2, 0, True)
    outcomes = astra.outcomes(PROGRAM)
    assert [(row["spectrum_pk"], row["code"], row["attempts"]) for row in outcomes] == [
        (pks[1], "no_result", 1),
        (pks[3], "no_result", 1),
    ]
    monkeypatch.delenv("FAKE_ASTRA_LEAVES")
    account = astra.engine.run(PROGRAM, STEP)
    assert (account.results, account.failed, account.balanced) == (5, 0, True)
    assert astra.outcomes(PROGRAM) == []


def test_a_row_that_is_older_than_its_input_does_not_count(astra, monkeypatch):
    pks = astra.visits([0] * 2)
    astra.engine.run(PROGRAM, STEP)
    visits = table_of(BossVisitSpectrum)
    with astra.database.begin() as connection:
        connection.execute(update(visits).where(visits.c.spectrum_pk == pks[0]).values(modified=utcnow()))
    monkeypatch.setenv("FAKE_ASTRA_LEAVES", str(pks[0]))
    account = astra.engine.run(PROGRAM, STEP)
    assert (account.results, account.failed, account.balanced) == (1, 1, True)


def test_astra_that_ends_with_an_error_breaks_the_step_with_its_last_lines(astra, monkeypatch):
    astra.visits([0] * 2)
    monkeypatch.setenv("FAKE_ASTRA_ENDS", "no CUDA")
    with pytest.raises(
        BatchError, match=r"ended with exit status 1; its last lines:\nAstra: .*\nRuntimeError: No CUDA GPUs"
    ):
        astra.engine.run(PROGRAM, STEP)
    assert astra.engine.account(PROGRAM, STEP).backlog == 2


def test_astra_on_another_database_is_noticed(astra, monkeypatch, tmp_path, caplog):
    from astra_assets.database.database import Database

    astra.visits([0] * 2)
    other = Database(f"sqlite:///{tmp_path / 'other.db'}")
    other.create_tables()
    monkeypatch.setenv("FAKE_ASTRA_DATABASE", str(tmp_path / "other.db"))
    account = astra.engine.run(PROGRAM, STEP)
    assert (account.results, account.failed, account.balanced) == (0, 2, True)
    assert "none of 2 inputs has a row in sample_flux: does it write to sqlite:///" in caplog.text
    other.engine.dispose()


def test_without_any_object_astra_is_not_started(astra):
    astra.visits([0])
    with astra.database.begin() as connection:
        connection.execute(update(table_of(Source)).values(sdss_id=None))
    account = astra.engine.run(PROGRAM, STEP)
    assert (account.failed, account.balanced) == (1, True)
