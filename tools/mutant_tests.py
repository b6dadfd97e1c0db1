"""Run tests on mutants, each in a forked process: the part of ``tools/mutate.py --near`` inside the copy.

It reads a JSON object from the standard input: ``arguments`` of pytest, and ``mutants``, pairs of a name and
its files of tests. For each it writes a JSON line: the name, and the exit code of pytest, or the negative
number of the signal that ended it, or null where the time on the clock ran out.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Sequence
from contextlib import suppress

import pytest

CPU_SECONDS = 60.0
"""What one test may compute before it counts as endless. The slowest takes a tenth of it without a mutant."""

WALL_SECONDS = 900.0
"""How long the tests of a mutant may take by the clock of the wall: for mutants that wait for ever. One that
reaches it has no result: the machine may have been busy, or the mutant may wait."""


class Watch:
    """Tells through a pipe which test begins, and ends the process if a test computes for too long."""

    def __init__(self, pipe: int) -> None:
        self._pipe = pipe

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        os.write(self._pipe, f"{nodeid}\n".encode())
        signal.setitimer(signal.ITIMER_PROF, CPU_SECONDS)


def run(mutant: str, arguments: Sequence[str]) -> tuple[int | None, str]:
    """Run tests in a process of their own.

    Args:
        mutant: its name; empty for the code as it is.
        arguments: of pytest.

    Returns:
        The exit code, negative for a signal and None where :data:`WALL_SECONDS` ran out, and the test that
        began last, empty where none did.
    """
    read, write = os.pipe()
    process = os.fork()
    if process == 0:
        os.environ["MUTANT_UNDER_TEST"] = mutant
        signal.signal(signal.SIGPROF, signal.SIG_DFL)
        nowhere = os.open(os.devnull, os.O_RDWR)
        for stream in range(3):
            os.dup2(nowhere, stream)
        code = 3
        try:
            code = int(
                pytest.main(["-x", "-q", "-p", "no:cacheprovider", *arguments], plugins=[Watch(write)])
            )
        finally:
            os._exit(code)
    os.close(write)
    deadline = time.monotonic() + WALL_SECONDS
    told, late = b"", False
    os.set_blocking(read, False)
    while True:
        ended, status = os.waitpid(process, os.WNOHANG)
        with suppress(BlockingIOError):
            told += os.read(read, 1 << 16)
        if ended:
            break
        if time.monotonic() > deadline:
            late = True
            os.kill(process, signal.SIGKILL)
        time.sleep(0.05)
    os.close(read)
    last = told.decode().splitlines()[-1:]
    return None if late else os.waitstatus_to_exitcode(status), "".join(last)


def main() -> None:
    """Run what the standard input says."""
    work = json.load(sys.stdin)
    arguments: list[str] = work["arguments"]
    files = sorted({file for _, tests in work["mutants"] for file in tests})
    out, sys.stdout = sys.stdout, sys.stderr
    # This imports all tests and what they need, once for all mutants.
    if failed := pytest.main(["--collect-only", "-qq", "-p", "no:cacheprovider", *files, *arguments]):
        sys.exit(f"the tests cannot be collected: pytest ended with {int(failed)}")
    for name, tests in work["mutants"]:
        code, last = run(name, [*tests, *arguments])
        if code and last:
            without = run("", [last, *arguments])[0]
            if without:
                sys.exit(f"{last} fails without a mutant too")
            code = code if without == 0 else None
        print(json.dumps([name, code]), file=out, flush=True)


if __name__ == "__main__":
    main()
