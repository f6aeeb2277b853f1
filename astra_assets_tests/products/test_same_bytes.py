"""The same rows give the same files, but for when, by which run and with which revision they were made."""

from __future__ import annotations

import gzip
import re

import pyarrow.parquet as pq
import pytest

from astra_assets.fits.header import CARD_BYTES
from astra_assets.products.headers import Provenance
from astra_assets.products.summary import MWM_ALL_VISIT
from astra_assets.products.write.parquet import CONTENT_KEY
from astra_assets_tests.products.samples import STAR, V_ASTRA, write

OF_THE_RUN = ("CREATED", "RUNID", "GITREV", "CHECKSUM", "DATASUM")


def without_run(data: bytes) -> bytes:
    """The bytes of a FITS file without the cards that differ between runs."""
    cards = (data[start : start + CARD_BYTES] for start in range(0, len(data), CARD_BYTES))
    return b"".join(card for card in cards if card[:8].decode("latin-1").strip() not in OF_THE_RUN)


@pytest.mark.parametrize("product", [MWM_ALL_VISIT, STAR], ids=lambda product: product.name)
def test_two_runs_differ_only_in_what_a_run_is(product, sqlite, tmp_path):
    runs = [
        Provenance(V_ASTRA, "main", ("v6_2_1",), git_revision=f"{number}abc", run_id=f"run-{number}")
        for number in range(2)
    ]
    first, second = (write(product, sqlite, tmp_path / run.run_id, provenance=run) for run in runs)
    raw = first.path.read_bytes(), second.path.read_bytes()
    assert raw[0][4:8] == bytes(4)  # gzip: no time
    assert raw[0] != raw[1]
    assert without_run(gzip.decompress(raw[0])) == without_run(gzip.decompress(raw[1]))
    twins = [[path for path in report.files if path.suffix == ".parquet"] for report in (first, second)]
    assert len(twins[0]) == len(product.tables)
    for ours, theirs in zip(*twins, strict=True):
        assert column_chunks(ours) == column_chunks(theirs)
        assert votable(ours) == votable(theirs)


def column_chunks(path) -> bytes:
    """Everything before the footer of a Parquet file, which has the metadata."""
    data = path.read_bytes()
    return data[: -8 - int.from_bytes(data[-8:-4], "little")]


def votable(path) -> str:
    text = pq.read_metadata(path).metadata[CONTENT_KEY.encode()].decode()
    return re.sub(rf'<INFO name="({"|".join(OF_THE_RUN)})" value="[^"]*"', r'<INFO name="\1"', text)
