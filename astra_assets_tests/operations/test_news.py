"""Which files are new: what the sensors look for."""

from __future__ import annotations

from dataclasses import replace

from astra_assets.config.releases import DR20
from astra_assets.models.ingest import IngestFile
from astra_assets.operations.init import init
from astra_assets.operations.news import news


def test_news_are_files_that_are_new_or_changed(deployment):
    archive = deployment.settings.archive
    spall = archive / "ipl-4/spectro/boss/redux/v6_2_1/summary/daily/spAll-v6_2_1.fits.gz"
    nothing = news(deployment, DR20)
    assert nothing.looked_for == (str(spall),)
    assert not nothing.expected
    spall.parent.mkdir(parents=True)
    spall.write_bytes(b"new")
    first = news(deployment, DR20)
    assert list(first.changed) == [str(spall)]
    spall.write_bytes(b"newer")
    second = news(deployment, DR20)
    assert second.key != first.key
    init(deployment, print)
    with deployment.database.begin() as connection:
        stat = spall.stat()
        connection.execute(
            IngestFile.__table__.insert().values(
                path=str(spall),
                kind="spall",
                size=stat.st_size,
                mtime_ns=stat.st_mtime_ns,
                content_hash="x",
                rows=1,
            )
        )
    assert not news(deployment, DR20).changed


def test_summary_files_of_apogee_are_news_of_the_releases_that_name_its_reductions(archived):
    summary = archived.settings.archive / "ipl-4/spectro/apogee/redux/1.5/summary"
    names = [f"{kind}-1.5-{name}.fits" for kind in ("allVisit", "allStar") for name in ("apo25m", "lco25m")]
    release = replace(DR20, apred=("1.5",))
    assert news(archived, release).looked_for[1:] == tuple(str(summary / name) for name in names)
    summary.mkdir(parents=True)
    (summary / names[1]).write_bytes(b"new")
    assert list(news(archived, release).changed) == [str(summary / names[1])]
    assert not news(archived, DR20).changed


def test_a_demo_survey_without_apogee_has_no_summary_files_of_it_to_look_for(deployment):
    release = replace(DR20, apred=("1.5",))
    assert news(deployment, release).looked_for == news(deployment, DR20).looked_for
    summary = deployment.settings.archive / "ipl-4/spectro/apogee/redux/1.5/summary"
    summary.mkdir(parents=True)
    (summary / "allStar-1.5-lco25m.fits").write_bytes(b"new")
    assert len(news(deployment, release).looked_for) == 5
