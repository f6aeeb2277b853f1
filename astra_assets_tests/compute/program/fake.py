"""A program of other people, for tests: no part of astra_assets, run by another interpreter than ours.

`fake.py HOW --manifest FILE --results FILE --processes N`: reads a CSV manifest and writes CSV results (spectrum_pk,
median_flux, n_pixels, comment), row by row. HOW says what goes wrong; files beside the manifest's folder count starts.
"""

import csv
import os
import resource
import signal
import sys
import time
from pathlib import Path

HOW = sys.argv[1]
OPTIONS = dict(zip(sys.argv[2::2], sys.argv[3::2]))
MANIFEST, RESULTS = Path(OPTIONS["--manifest"]), Path(OPTIONS["--results"])


def row_of(item):
    assert Path(item["path"]).is_file()
    return [item["spectrum_pk"], item["spectrum_pk"] + ".5", "10", "ok"]


def main():
    with MANIFEST.open() as stream:
        items = list(csv.DictReader(stream))
    print("started with", len(items), "in", os.getcwd())
    if HOW == "silent":
        return 0
    if HOW == "no-gpu":
        print("RuntimeError: No CUDA GPUs are available", file=sys.stderr)
        return 1
    if HOW == "binary":
        sys.stdout.buffer.write(b"\x00\x01\xff\xfe\x1b[31mred\x1b[0m" + 100_000 * b"x" + b"\n50/100\r\n")
        sys.stdout.flush()
    if HOW == "full-disk":
        resource.setrlimit(resource.RLIMIT_FSIZE, (40, 40))
    if HOW == "leaves-children" and not os.fork():
        time.sleep(600)
    with RESULTS.open("w", buffering=1) as stream:
        print("spectrum_pk,median_flux,n_pixels,comment", file=stream)
        for number, item in enumerate(items):
            made = row_of(item)
            key = int(item["spectrum_pk"])
            if HOW == "slow":
                time.sleep(0.2)
            if HOW == "bad-values":
                made[1] = {1: "inf", 2: "much", 3: "1e39", 4: ""}.get(key, made[1])
                made[2] = {5: "99999999999", 6: "1.5"}.get(key, made[2])
                made[3] = {7: "x" * 2000}.get(key, made[3])
            print(",".join(made), file=stream)
            if HOW == "twice" and number == 1:
                print(",".join(made), file=stream)
            if HOW == "strangers" and number == 1:
                print("999999,1.0,1,whose", file=stream)
            if HOW == "half" and number == len(items) // 2 - 1 and len(items) > 3:
                stream.write(items[number + 1]["spectrum_pk"] + ",12")
                return 1
            if f"dies-of-{key}" == HOW:
                stream.seek(0, 2)
                stream.truncate(stream.tell() - len(",".join(made)) - 1)
                os.kill(os.getpid(), signal.SIGSEGV)
            if HOW == "hangs" and number == 2:
                time.sleep(600)
            print(f"{number + 1}/{len(items)}", flush=True)
    return 0


sys.exit(main())
