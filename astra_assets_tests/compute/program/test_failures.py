"""What becomes of the inputs of a program that does not do what it should."""

from __future__ import annotations

import os

import pytest

from astra_assets.compute import BatchError, claims
from astra_assets.compute.program.call import SiteProgram, call_of_batch
from astra_assets.compute.program.files_run import FilesRun
from astra_assets.compute.progress import read_status
from astra_assets.compute.task_run import TaskConditions
from astra_assets_tests.compute.program.samples import PROGRAM, STEP, Here
from astra_assets_tests.compute.samples import SampleFlux
from astra_assets_tests.project import PROJECT


def values(bench):
    return {
        pk: (flux, pixels)
        for pk, flux, pixels in bench.rows(SampleFlux, "spectrum_pk", "median_flux", "n_pixels")
    }


def codes(bench):
    return {row["spectrum_pk"]: row["code"] for row in bench.outcomes(PROGRAM)}


def test_a_program_that_does_what_it_should_makes_results_with_derived_flags(bench, capfdbinary):
    pks = bench.visits([0] * 5)
    account = bench.does("well").run(PROGRAM, STEP)
    assert (account.results, account.failed, account.balanced) == (5, 0, True)
    assert values(bench) == {pk: (pk + 0.5, 10) for pk in pks}
    flags = dict(bench.rows(SampleFlux, "spectrum_pk", "result_flags"))
    assert flags == {pk: int(pk < 2) for pk in pks}
    (seconds, *_) = [row[0] for row in bench.rows(SampleFlux, "t_elapsed")]
    assert 0 < seconds < 10
    said = capfdbinary.readouterr().err
    assert b"started with 5 in " in said
    assert b"5/5" in said
    assert not list(bench.home.rglob("program-*")), "what went well is tidied up"


@pytest.mark.parametrize(
    ("how", "told"),
    [
        (
            "silent",
            r"results\.csv was not written; the program .* ended with exit status 0; its last lines:\nstarted with 4",
        ),
        (
            "no-gpu",
            r"ended with exit status 1; its last lines:\n.*\nRuntimeError: No CUDA GPUs are available",
        ),
        ("full-disk", r"(?s)ended with exit status 1.*File too large"),
    ],
)
def test_a_program_of_which_nothing_comes_breaks_the_step_with_its_last_lines(bench, how, told):
    bench.visits([0] * 4)
    with pytest.raises(BatchError, match=told):
        bench.does(how).run(PROGRAM, STEP)
    account = bench.engine.account(PROGRAM, STEP)
    assert (account.backlog, account.failed, account.balanced) == (4, 0, True)
    assert bench.rows_of_batches() == [("cancelled",)]
    assert bench.does("well").run(PROGRAM, STEP).results == 4


def test_half_a_table_is_kept_and_the_rest_is_tried_again(bench):
    pks = bench.visits([0] * 10)
    account = bench.does("half").run(PROGRAM, STEP)
    assert (account.results, account.failed) == (10, 0)
    assert values(bench) == {pk: (pk + 0.5, 10) for pk in pks}, "no row that was cut short"


def test_what_a_program_dies_of_is_found_and_the_others_have_results(bench):
    pks = bench.visits([0] * 8)
    account = bench.does(f"dies-of-{pks[2]}").run(PROGRAM, STEP)
    assert (account.results, account.failed, account.balanced) == (7, 1, True)
    (outcome,) = bench.outcomes(PROGRAM)
    assert (outcome["spectrum_pk"], outcome["code"]) == (pks[2], "program_failed")
    assert "was ended by signal 11 (SIGSEGV)" in outcome["message"]


def test_values_that_do_not_fit_fail_one_input_each(bench):
    pks = bench.visits([0] * 8)
    account = bench.does("bad-values").run(PROGRAM, STEP)
    assert (account.results, account.failed, account.balanced) == (2, 6, True)
    assert codes(bench) == dict.fromkeys([1, 2, 3, 5, 6, 7], "invalid_value")
    assert values(bench) == {4: (None, 10), 8: (8.5, 10)}
    messages = {row["spectrum_pk"]: row["message"] for row in bench.outcomes(PROGRAM)}
    assert messages[1] == "SampleFlux.median_flux must be finite or missing, found inf"
    assert messages[2] == "SampleFlux.median_flux holds float32, found the text 'much': it is no number"
    assert messages[3].endswith("found 1e+39: expected a number of single precision, at most 3.403e+38")
    assert "not between" in messages[5]
    assert messages[6] == "SampleFlux.n_pixels holds int32, found the text '1.5': it is no whole number"
    assert messages[7].endswith("expected at most 1000 characters of printable ASCII")
    assert pks[-1] == 8


def test_two_rows_for_one_input_count_as_none(bench):
    bench.visits([0] * 4)
    account = bench.does("twice").run(PROGRAM, STEP)
    assert (account.results, account.failed) == (3, 1)
    assert codes(bench) == {2: "duplicate_rows"}


def test_rows_of_other_spectra_are_left_out_and_named_in_the_log(bench, caplog):
    bench.visits([0] * 4)
    assert bench.does("strangers").run(PROGRAM, STEP).results == 4
    assert (
        "1 rows of the results are of no input that the program was given, and are left out: spectrum_pk 999999"
        in caplog.text
    )


def test_a_spectrum_whose_file_is_missing_is_set_aside_before(bench):
    pks = bench.visits([0] * 3)
    gone = next(path for path in bench.roots.sas_base_dir.rglob("*.fits") if f"-{100 * pks[1]}." in path.name)
    gone.unlink()
    account = bench.does("well").run(PROGRAM, STEP)
    assert (account.results, account.failed) == (2, 1)
    assert codes(bench) == {pks[1]: "missing_file"}


def test_a_program_that_hangs_is_ended_and_what_it_made_is_kept(bench):
    pks = bench.visits([0] * 5)
    account = bench.does("hangs", silence_seconds=0.5).run(PROGRAM, STEP)
    assert account.balanced
    assert values(bench) == {pk: (pk + 0.5, 10) for pk in pks}


def test_binary_output_and_endless_lines_do_no_harm(bench, capfdbinary):
    bench.visits([0] * 2)
    assert bench.does("binary").run(PROGRAM, STEP).results == 2
    said = capfdbinary.readouterr().err
    assert b" bytes" in said
    assert b"\x00" not in said
    assert b"\x1b" not in said
    assert max(map(len, said.splitlines())) < 7000


def test_inputs_are_given_in_portions(bench, capfdbinary):
    bench.visits([0] * 5)
    assert bench.does("well", inputs=2).run(PROGRAM, STEP).results == 5
    said = capfdbinary.readouterr().err
    assert said.count(b"started with 2 in") == 2
    assert said.count(b"started with 1 in") == 1


def test_a_program_that_is_not_here_breaks_the_step_with_what_to_do(bench):
    bench.visits([0] * 2)
    engine = bench.make(Here())
    with pytest.raises(
        BatchError,
        match=r"and sample-flux is not on the search path\. Ask its authors for sample-flux\.",
    ):
        engine.run(PROGRAM, STEP)


def test_a_program_that_cannot_be_executed_breaks_the_step(bench, tmp_path):
    bench.visits([0] * 2)
    program = tmp_path / "net"
    program.write_bytes(b"\x7fELF of another machine")
    program.chmod(0o755)
    engine = bench.make(Here(), programs={"sample_flux/visit": SiteProgram((str(program),))})
    with pytest.raises(
        BatchError, match=r"/net could not be run: OSError: \[Errno 8\] Exec format error: .*, without a word"
    ):
        engine.run(PROGRAM, STEP)


def test_a_batch_goes_on_with_the_program_that_the_site_names_now(bench):
    pks = bench.visits([0] * 3)
    batch = bench.does("silent").plan(PROGRAM, STEP)
    again = bench.does("well").plan(PROGRAM, STEP)
    assert (again.batch_id, again.attached) == (batch.batch_id, True)
    assert bench.engine.run(PROGRAM, STEP).results == len(pks)


def test_a_program_does_not_see_our_packages_and_not_the_database(bench, monkeypatch, tmp_path):
    bench.visits([0])
    monkeypatch.setenv("ASTRA_DATABASE_URL", "postgresql://user:secret@host/astra")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(PROJECT), "/opt/theirs"]))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3")
    batch = bench.does("well").plan(PROGRAM, STEP)
    task = FilesRun(
        batch, 0, claims.take(_made(batch.task_folder(0))), TaskConditions(), call_of_batch(batch)
    )
    environment = task.environment()
    assert "ASTRA_DATABASE_URL" not in environment
    assert environment["PYTHONPATH"] == "/opt/theirs"
    assert environment["CUDA_VISIBLE_DEVICES"] == "3"


def _made(folder):
    folder.mkdir(parents=True)
    return folder


def test_progress_shows_what_the_program_says(bench, monkeypatch):
    bench.visits([0] * 12)
    seen = []
    engine = bench.does("slow")
    original = FilesRun.beat

    def watched(self):
        original(self)
        status = read_status(self.folder)
        seen.append((status.finished, status.told))

    monkeypatch.setattr(FilesRun, "beat", watched)
    assert engine.run(PROGRAM, STEP).results == 12
    assert any(finished == 0 and 0 < told < 12 for finished, told in seen)
