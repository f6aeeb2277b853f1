"""A small process between a worker and a program of other people: whatever becomes of the worker, the program ends.

Run as a file, without anything of ours: `guard.py REPORT GRACE COMMAND...`. The program gets a session, and so a process
group, of its own. Standard input is a pipe whose other end the worker holds: when that closes, the group is told to end
by SIGTERM, and killed GRACE seconds later. What the program leaves behind in its group is killed, too. To the file
descriptor REPORT go lines of JSON: `{"pid": ...}`, then `{"status": ...}` as `subprocess` counts it; or `{"error": ...}`.
Imports only what starts at once; what follows from an end is said in `files_run`.
"""

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import time

LOOK_SECONDS = 0.05
"""Time between two looks at the program; the end of the worker is seen at once."""


def main(arguments: list[str]) -> int:
    """Run the program; returns 0 whatever becomes of it."""
    report, grace = os.fdopen(int(arguments[0]), "w"), float(arguments[1])

    def tell(**content: object) -> None:
        # Nobody may be there to hear it.
        with contextlib.suppress(BrokenPipeError):
            print(json.dumps(content), file=report, flush=True)

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1):
        # A handler, not SIG_IGN, which the program would inherit.
        signal.signal(number, lambda *_: None)
    try:
        program = subprocess.Popen(
            arguments[2:], stdin=subprocess.DEVNULL, start_new_session=True, close_fds=True
        )
    except (OSError, ValueError) as error:
        tell(error=f"{type(error).__name__}: {error}")
        return 0
    tell(pid=program.pid)
    wait(program, grace)
    # Not waited for yet, the program keeps the number of its group.
    end_group(program.pid, signal.SIGKILL)
    tell(status=program.wait())
    return 0


def wait(program: "subprocess.Popen[bytes]", grace: float) -> None:
    """Return when the program has ended, by itself or because it had to."""
    deadline = None
    while not has_ended(program.pid):
        if deadline is None:
            if select.select([0], [], [], LOOK_SECONDS)[0] and not os.read(0, 1):
                end_group(program.pid, signal.SIGTERM)
                deadline = time.monotonic() + grace
        elif time.monotonic() >= deadline:
            end_group(program.pid, signal.SIGKILL)
            deadline = float("inf")
        else:
            time.sleep(LOOK_SECONDS)


def has_ended(pid: int) -> bool:
    """True if the process has ended; it is not waited for."""
    return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def end_group(group: int, number: int) -> None:
    """Send a signal to what there is of a process group."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
