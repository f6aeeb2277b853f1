"""A result goes only when it is replaced, or when a verdict says that it is no longer true."""

from __future__ import annotations

import pytest

from astra_assets.compute import Selection
from astra_assets.files.paths import spec_full_path
from astra_assets.models.boss import BossVisitSpectrum
from astra_assets_tests.compute.samples import FLUX, SOURCES, SampleFlux, SampleStatus, touch, write_spectrum

VISIT = FLUX.step("visit")


def file_of(bench, pk, **changed):
    names = ("run2d", "fieldid", "mjd", "catalogid", "spec_file")
    rows = {
        row[0]: dict(zip(names, row[1:], strict=True))
        for row in bench.rows(BossVisitSpectrum, "spectrum_pk", *names)
    }
    return bench.roots.sas_base_dir / spec_full_path(**(rows[pk] | changed))


def change(bench, pk, kind=0):
    """Change a spectrum, so that its result is outdated and its function does what `kind` says."""
    catalogid = 100 * pk + kind
    if kind:
        write_spectrum(file_of(bench, pk, catalogid=catalogid), pk)
    touch(bench.database, BossVisitSpectrum, BossVisitSpectrum.c.spectrum_pk == pk, catalogid=catalogid)


def keys(bench):
    return [pk for (pk,) in bench.rows(SampleFlux, "spectrum_pk")]


def cut_short(path):
    path.write_bytes(path.read_bytes()[:1000])


def make_a_folder(path):
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize(
    ("spoil", "code"),
    [
        (lambda path: path.unlink(), "missing_file"),
        (cut_short, "unreadable_file"),
        (make_a_folder, "unreadable_file"),
    ],
)
def test_a_file_that_is_spoilt_keeps_the_older_result_and_counts_once_as_failed(bench, spoil, code):
    pks = bench.visits([0] * 5)
    bench.engine.run(FLUX, VISIT)
    before = bench.rows(SampleFlux)
    spoil(file_of(bench, pks[2]))
    change(bench, pks[2])
    account = bench.engine.run(FLUX, VISIT)
    assert (account.results, account.failed, account.kept, account.balanced) == (4, 1, 1, True)
    assert str(account) == (
        "SampleFlux visit: 5 inputs = 4 results + 1 failed (of these 1 keep an older result) + 0 skipped + 0 backlog"
    )
    assert bench.rows(SampleFlux) == before
    (row,) = bench.outcomes(FLUX)
    assert (row["spectrum_pk"], row["code"], row["attempts"]) == (pks[2], code, 1)


def test_a_file_that_is_back_replaces_the_kept_result(bench):
    pks = bench.visits([0] * 4)
    bench.engine.run(FLUX, VISIT)
    (before,) = {
        modified for pk, modified in bench.rows(SampleFlux, "spectrum_pk", "modified") if pk == pks[0]
    }
    content = file_of(bench, pks[0]).read_bytes()
    file_of(bench, pks[0]).unlink()
    change(bench, pks[0])
    assert bench.engine.run(FLUX, VISIT).kept == 1
    file_of(bench, pks[0]).write_bytes(content)
    account = bench.engine.run(FLUX, VISIT)
    assert (account.results, account.failed, account.kept) == (4, 0, 0)
    (after,) = {
        modified for pk, modified in bench.rows(SampleFlux, "spectrum_pk", "modified") if pk == pks[0]
    }
    assert after > before
    assert bench.outcomes(FLUX) == []


def test_a_kept_result_stays_when_the_attempts_are_used_up(bench):
    pks = bench.visits([0] * 4)
    bench.engine.run(FLUX, VISIT)
    file_of(bench, pks[0]).unlink()
    change(bench, pks[0])
    for _ in range(3):
        account = bench.engine.run(FLUX, VISIT)
        assert (account.kept, account.backlog, account.balanced) == (1, 0, True)
    assert [row["attempts"] for row in bench.outcomes(FLUX)] == [2]
    assert keys(bench) == pks


@pytest.mark.parametrize(("kind", "failed", "skipped"), [(92, 1, 0), (93, 0, 1), (91, 1, 0)])
def test_a_verdict_on_a_changed_spectrum_takes_its_older_result_away(bench, kind, failed, skipped):
    pks = bench.visits([0] * 4)
    bench.engine.run(FLUX, VISIT)
    change(bench, pks[1], kind)
    account = bench.engine.run(FLUX, VISIT)
    assert (account.results, account.failed, account.skipped, account.kept) == (3, failed, skipped, 0)
    assert account.balanced
    assert keys(bench) == [pks[0], *pks[2:]]


def test_a_requirement_that_is_no_longer_fulfilled_takes_the_older_result_away(bench):
    pks = bench.visits([0] * 4)
    bench.engine.run(FLUX, VISIT)
    touch(bench.database, BossVisitSpectrum, BossVisitSpectrum.c.spectrum_pk == pks[3], snr=1.0)
    account = bench.engine.run(FLUX, VISIT)
    assert (account.results, account.skipped, account.kept, account.balanced) == (3, 1, 0, True)
    assert keys(bench) == pks[:3]


def test_a_verdict_takes_away_what_a_passing_failure_has_kept(bench):
    pks = bench.visits([0] * 4)
    bench.engine.run(FLUX, VISIT)
    file_of(bench, pks[0]).unlink()
    change(bench, pks[0])
    assert bench.engine.run(FLUX, VISIT).kept == 1
    change(bench, pks[0], 92)
    account = bench.engine.run(FLUX, VISIT)
    assert (account.results, account.failed, account.kept, account.balanced) == (3, 1, 0, True)
    assert keys(bench) == pks[1:]


def test_a_forced_run_beside_a_result_that_holds_keeps_nothing_older(bench):
    pks = bench.visits([0] * 4)
    bench.engine.run(FLUX, VISIT)
    file_of(bench, pks[0]).unlink()
    account = bench.engine.run(FLUX, VISIT, Selection(force=True))
    assert (account.results, account.failed, account.kept, account.balanced) == (4, 0, 0, True)


def test_a_source_whose_function_meets_an_io_error_keeps_its_rows(bench, monkeypatch):
    bench.visits([0, 0])
    step = SOURCES.step("star")
    bench.engine.run(SOURCES, step)
    before = bench.rows(SampleStatus)

    def no_answer(*_):
        raise TimeoutError("the file system does not answer")

    touch(bench.database, BossVisitSpectrum)
    monkeypatch.setattr("astra_assets_tests.compute.samples.remember", no_answer)
    account = bench.engine.run(SOURCES, step)
    assert (account.failed_by_code, account.kept, account.balanced) == ({"io_error": 2}, 2, True)
    assert bench.rows(SampleStatus) == before
