"""Which command a step's program is, under what the site says."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from astra_assets.compute.program.call import SiteProgram, call_of
from astra_assets.pipelines import pipeline
from astra_assets.pipelines.base import ExternalProgram, PipelineDeclarationError
from astra_assets.pipelines.external import PROGRESS

BOSSNET = pipeline("bossnet")
STAR = BOSSNET.steps[0]


def test_astras_command_line_is_never_without_objects():
    declared = ExternalProgram(("astra", "run", "net", "Model"), protocol="astra")
    step = replace(STAR, program=declared)
    net = replace(BOSSNET, steps=(step,))
    assert call_of(net, step, {}).command == ("astra", "run", "net", "Model", "{sdss_ids}")
    for command in (("other",), ("other", "{procs}")):
        call = call_of(net, step, {"bossnet": SiteProgram(command)})
        assert (call.protocol, call.command[0], call.command[-1]) == ("astra", "other", "{sdss_ids}")


def test_progress_must_say_what_is_done():
    with pytest.raises(PipelineDeclarationError, match=r"needs a group of the name `done`"):
        ExternalProgram(("a",), progress=r"\d+")
    with pytest.raises(PipelineDeclarationError, match="name the program"):
        replace(ExternalProgram(("a",)), command=())


@pytest.mark.parametrize(
    ("line", "done"),
    [
        ("1200/50000", "1200"),
        ("[ 12 of 40] star", "12"),
        ("2025/01/02 started", None),
        ("spectra/star/30/45/x.fits", None),
    ],
)
def test_progress_is_told_from_dates_and_paths(line, done):
    found = re.search(PROGRESS, line)
    assert (found and found["done"]) == done
