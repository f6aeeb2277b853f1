"""Astra's command line, for tests: `fake_astra.py run TASK MODEL SDSS_ID...` writes rows of sample_flux itself.

It imports nothing of astra_assets. Where the database is the environment says, as it does for Astra: FAKE_ASTRA_DATABASE, a
SQLite file or a URL of PostgreSQL. FAKE_ASTRA_LEAVES names spectra of which it makes nothing, as Astra does where a task
raises; FAKE_ASTRA_ENDS an exit status.
"""

import datetime as dt
import os
import sqlite3
import sys

SELECT = (
    "SELECT b.spectrum_pk, b.source_pk FROM boss_visit_spectrum b JOIN source s ON s.pk = b.source_pk "
    "LEFT JOIN sample_flux r ON r.spectrum_pk = b.spectrum_pk AND r.v_astra_major_minor = 8 "
    "WHERE s.sdss_id IN ({ids}) AND (r.spectrum_pk IS NULL OR b.modified > r.modified)"
)
INSERT = (
    "INSERT INTO sample_flux (spectrum_pk, source_pk, v_astra, created, modified, tag, result_flags, median_flux) "
    "VALUES ({row}) ON CONFLICT (spectrum_pk, v_astra_major_minor) DO UPDATE SET modified = excluded.modified, "
    "median_flux = excluded.median_flux"
)


def connect():
    where = os.environ["FAKE_ASTRA_DATABASE"]
    if where.startswith("postgresql"):
        import psycopg

        return psycopg.connect(where), "%s"
    return sqlite3.connect(where), "?"


def main():
    verb, task, model, *sdss_ids = sys.argv[1:]
    assert (verb, task, model) == ("run", "sample_flux", "boss.BossVisitSpectrum"), sys.argv
    assert sdss_ids, "without objects it would be about all there are"
    sys.stdout.write(f"Astra: {task} {model} of {len(sdss_ids)} objects\n")
    if "CUDA" in os.environ.get("FAKE_ASTRA_ENDS", ""):
        sys.exit("RuntimeError: No CUDA GPUs are available")
    connection, mark = connect()
    found = connection.execute(SELECT.format(ids=",".join(sdss_ids))).fetchall()
    now = dt.datetime.now()  # noqa: DTZ005 - as Astra does it
    leaves = os.environ.get("FAKE_ASTRA_LEAVES", "").split()
    for pk, source_pk in found:
        if str(pk) not in leaves:
            row: tuple[object, ...] = (pk, source_pk, 8001, now, now, "", 0, pk + 0.5)
            row = tuple(str(value) if mark == "?" and value is now else value for value in row)
            connection.execute(INSERT.format(row=", ".join(len(row) * [mark])), row)
    connection.commit()
    connection.close()


main()
