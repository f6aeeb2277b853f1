"""A program of other people, for tests: no part of astra_assets, and it imports nothing of it.

`fake.py HOW --manifest FILE --results FILE --processes N`: reads a CSV manifest and writes CSV results (spectrum_pk,
median_flux, n_pixels, comment), row by row. HOW says what goes wrong.
"""

import csv
import os
import resource
import signal
import sys
import time
from pathlib import Path

HOW = sys.argv[1]
OPTIONS = dict(zip(sys.argv[2::2], sys.argv[3::2], strict=True))
MANIFEST, RESULTS = Path(OPTIONS["--manifest"]), Path(OPTIONS["--results"])

BAD_VALUES = {
    **dict(zip("1234", [(1, "inf"), (1, "much"), (1, "1e39"), (1, "")], strict=True)),
    **dict(zip("567", [(2, "99999999999"), (2, "1.5"), (3, "x" * 2000)], strict=True)),
}


def say(*words):
    sys.stdout.write(" ".join(map(str, words)) + "\n")


def note(word):
    """Leave a line beside the folder of this start, for the test to read."""
    with (RESULTS.parent.parent / "notes").open("a") as stream:
        stream.write(f"{word}\n")


def begin(items):
    """What happens before the first row."""
    say("started with", len(items), "in", Path.cwd())
    if HOW == "silent":
        sys.exit(0)
    if HOW in ("slow", "hangs"):
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    if HOW == "gpu":
        say("device", os.environ.get("CUDA_VISIBLE_DEVICES"), "on", os.environ.get("SLURMD_NODENAME"))
    if HOW == "no-gpu" or (HOW == "gpu" and not os.environ.get("CUDA_VISIBLE_DEVICES")):
        sys.exit("RuntimeError: No CUDA GPUs are available")
    if HOW == "binary":
        sys.stdout.buffer.write(b"\x00\x01\xff\xfe\x1b[31mred\x1b[0m" + 100_000 * b"x" + b"\n50/100\r\n")
    if HOW == "full-disk":
        resource.setrlimit(resource.RLIMIT_FSIZE, (40, 40))
    if HOW == "leaves-children":
        child = os.fork()
        if not child:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            time.sleep(600)
        note(child)


def row_of(item):
    """One row of results."""
    assert Path(item["path"]).is_file()
    made = [item["spectrum_pk"], item["spectrum_pk"] + ".5", "10", "ok"]
    if HOW == "bad-values" and item["spectrum_pk"] in BAD_VALUES:
        column, value = BAD_VALUES[item["spectrum_pk"]]
        made[column] = value
    return ",".join(made) + "\n"


def trouble(stream, items, number):
    """What happens before a row is written."""
    pk = items[number]["spectrum_pk"]
    if HOW == "slow":
        note(pk)
        time.sleep(0.1)
    if HOW == "half" and number == len(items) // 2 and len(items) > 3:
        stream.write(pk + ",12")
        sys.exit(1)
    if f"dies-of-{pk}" == HOW:
        os.kill(os.getpid(), signal.SIGSEGV)
    if HOW == "hangs" and number == 3:
        time.sleep(600)
    if HOW == "twice" and number == 2:
        stream.write(row_of(items[1]))
    if HOW == "strangers" and number == 2:
        stream.write("999999,1.0,1,whose\n")


def main():
    with MANIFEST.open() as stream:
        items = list(csv.DictReader(stream))
    begin(items)
    with RESULTS.open("w", buffering=1) as stream:
        stream.write("spectrum_pk,median_flux,n_pixels,comment\n")
        for number, item in enumerate(items):
            trouble(stream, items, number)
            stream.write(row_of(item))
            say(f"{number + 1}/{len(items)}")


main()
