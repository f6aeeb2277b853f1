"""The verbs that the command line and the assets share."""

from __future__ import annotations

import subprocess
import sys
import threading
from dataclasses import replace

import pytest

from astra_assets.config.releases import DR20
from astra_assets.config.settings import load_settings
from astra_assets.errors import ExpectedError
from astra_assets.models.base import table_of
from astra_assets.models.compute import ComputeBatch, ComputeOutcome
from astra_assets.operations.operations import (
    OperationError,
    Operations,
    all_tables,
    expected_text,
    find_pipeline,
)
from astra_assets.operations.publishing import PublishingError


@pytest.fixture
def survey(tmp_path, monkeypatch) -> Operations:
    for name in ("ASTRA_DATABASE_URL", "SAS_BASE_DIR", "MWM_ASTRA", "ASTRA_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    return Operations(load_settings(home=tmp_path / "home"))


def test_init_creates_every_table_once_in_a_process_of_its_own(tmp_path):
    program = (
        "import sys; from astra_assets.operations.operations import Operations;"
        "from astra_assets.config.settings import load_settings;"
        "survey = Operations(load_settings(home=sys.argv[1])); print(*survey.init(print)); print(survey.init(print))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True, check=True
    )
    lines = done.stdout.splitlines()
    created = set(lines[1].split())
    needed = {"source", "spectrum", "boss_visit_spectrum", "boss_rest_frame_visit_spectrum", "boss_combined_spectrum",
              "apogee_visit_spectrum", "snow_white", "corv", "compute_batch", "compute_outcome", "ingest_file"}  # fmt: skip
    assert needed <= created
    assert lines[2] == "[]"
    assert [path.name for path in tmp_path.glob("*.db")] == ["astra.db"]


def test_all_tables_are_known_by_name():
    found = all_tables()
    assert found["compute_batch"] is ComputeBatch
    assert found["compute_outcome"] is ComputeOutcome


def test_verbs_that_need_tables_say_what_to_type(survey):
    with pytest.raises(OperationError, match="has no tables yet; type: astra-assets migrate"):
        survey.work(DR20)
    with pytest.raises(OperationError, match="has no tables yet"):
        survey.products.create("mwmTargets", DR20, say=print)


def test_unknown_names_are_answered_with_the_known_ones(survey):
    with pytest.raises(PublishingError, match="no product 'mwmAll'; there are: mwmTargets"):
        survey.products.create("mwmAll", DR20, say=print)
    with pytest.raises(OperationError, match="no release 'dr99'; choose one of: main, dr20"):
        survey.release("dr99")
    with pytest.raises(OperationError, match=r"there is no pipeline 'rocket'; there are: .*corv"):
        find_pipeline("rocket")


def test_a_second_run_of_a_verb_waits_for_the_first(survey):
    said: list[str] = []
    entered, leave = threading.Event(), threading.Event()

    def first() -> None:
        with survey.alone("migrate", said.append):
            entered.set()
            leave.wait(60)

    def second() -> None:
        with survey.alone("migrate", said.append):
            said.append("second is in")

    one, two = threading.Thread(target=first), threading.Thread(target=second)
    one.start()
    assert entered.wait(60)
    two.start()
    two.join(0.3)
    assert said == ["waiting for another run of migrate to end"]
    leave.set()
    one.join(60)
    two.join(60)
    assert said[-1] == "second is in"


def test_news_are_files_that_are_new_or_changed(survey):
    archive = survey.settings.archive
    spall = archive / "ipl-4/spectro/boss/redux/v6_2_1/summary/daily/spAll-v6_2_1.fits.gz"
    nothing = survey.news(DR20)
    assert nothing.looked_for == (str(spall),)
    assert not nothing.expected
    spall.parent.mkdir(parents=True)
    spall.write_bytes(b"new")
    first = survey.news(DR20)
    assert list(first.changed) == [str(spall)]
    spall.write_bytes(b"newer")
    second = survey.news(DR20)
    assert second.key != first.key
    survey.init(print)
    with survey.database.begin() as connection:
        table = table_of(all_tables()["ingest_file"])
        stat = spall.stat()
        connection.execute(
            table.insert().values(
                path=str(spall),
                kind="spall",
                size=stat.st_size,
                mtime_ns=stat.st_mtime_ns,
                content_hash="x",
                rows=1,
            )
        )
    assert not survey.news(DR20).changed


@pytest.fixture
def archived(tmp_path, monkeypatch) -> Operations:
    """A survey with an archive of its own, which is empty."""
    monkeypatch.setenv("SAS_BASE_DIR", str(tmp_path / "sas"))
    (tmp_path / "sas").mkdir()
    monkeypatch.setenv("ASTRA_HOME", str(tmp_path / "home"))
    return Operations(load_settings())


def test_summary_files_of_apogee_are_news_of_the_releases_that_name_its_reductions(archived):
    summary = archived.settings.archive / "ipl-4/spectro/apogee/redux/1.5/summary"
    names = [f"{kind}-1.5-{name}.fits" for kind in ("allVisit", "allStar") for name in ("apo25m", "lco25m")]
    release = replace(DR20, apred=("1.5",))
    assert archived.news(release).looked_for[1:] == tuple(str(summary / name) for name in names)
    summary.mkdir(parents=True)
    (summary / names[1]).write_bytes(b"new")
    assert list(archived.news(release).changed) == [str(summary / names[1])]
    assert not archived.news(DR20).changed


def test_a_demo_survey_without_apogee_has_no_summary_files_of_it_to_look_for(survey):
    release = replace(DR20, apred=("1.5",))
    assert survey.news(release).looked_for == survey.news(DR20).looked_for
    summary = survey.settings.archive / "ipl-4/spectro/apogee/redux/1.5/summary"
    summary.mkdir(parents=True)
    (summary / "allStar-1.5-lco25m.fits").write_bytes(b"new")
    assert len(survey.news(release).looked_for) == 5


def test_a_reduction_that_is_named_is_the_only_one_that_is_ingested(archived):
    archived.init(print)
    with pytest.raises(ExpectedError, match=r"no allVisit file of the APOGEE reduction 1\.5") as caught:
        archived.migrate(DR20, apred=["1.5"], say=print)
    assert "spAll" not in str(caught.value)


def test_only_what_a_person_can_mend_is_shown_without_a_traceback():
    assert expected_text(ExpectedError("do this")) == "do this"
    assert expected_text(ValueError("our mistake")) is None
