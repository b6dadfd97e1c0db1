"""``segue watch`` is interrupted in every way: no row of its tables is lost, and no event is written twice.

SIGINT, SIGTERM, SIGKILL, a disk that is full for a moment, and a standard output that nobody reads, that is
closed, or closed at a random moment. ``SEGUE_FUZZ_INTERRUPTS`` sets the number of trials (default 30),
``SEGUE_FUZZ_SEED`` their moments. All trials go on in the same tables; what each of them did is printed at
the end. The command runs in children of this process, which has PyTorch loaded already.
"""

from __future__ import annotations

import gc
import json
import os
import random
import re
import signal
import subprocess
import sys
import threading
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import pytest
import torch

from segue.cli import main
from segue.events.table import EventTable, Row, event_of, read_events
from tests.cli.mjpeg import mjpeg_camera
from tests.waiting import exit_code, wait_for

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="forks, kills by signals, and mounts"),
]

TRIALS = int(os.environ.get("SEGUE_FUZZ_INTERRUPTS", "30"))
SEED = int(os.environ.get("SEGUE_FUZZ_SEED", "0"))
LONGEST_SECONDS = 60.0
"""A command that takes longer hangs."""

CAMERAS = ("gate", "yard")

F_SETPIPE_SZ = 1031
"""Of <fcntl.h>; Python has it only where it was built with it."""


@dataclass
class Disk:
    """Where the tables are, and how it becomes full for a moment."""

    folder: Path
    mounted: bool

    def fill(self) -> None:
        """Take all room that is left, in ever smaller pieces."""
        with (self.folder / "filler").open("wb", buffering=0) as file:
            for size in (1 << 20, 1 << 12, 1):
                with suppress(OSError):
                    while True:
                        file.write(bytes(size))

    def clear(self) -> None:
        (self.folder / "filler").unlink(missing_ok=True)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    """A small file system; where none can be mounted, a limit on the size of files takes its place."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=48m", "tmpfs", str(folder)]
    mounted = subprocess.run(mount, check=False, capture_output=True).returncode == 0
    yield Disk(folder, mounted)
    if mounted:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@dataclass
class Trial:
    """A run of the command in a child process, and the lines of its standard output that were read."""

    folder: Path
    file_size: int | None = None
    lines: list[bytes] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._reader, writer = os.pipe()
        import fcntl  # late: not on Windows

        fcntl.fcntl(writer, F_SETPIPE_SZ, 4096)  # ten events
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of threads, which are idle here
            self._child = os.fork()
        if not self._child:
            gc.freeze()  # a decoder of the parent that is freed here waits for its threads, for ever
            self._run(writer)
        os.close(writer)
        self._reads = threading.Event()
        self._reads.set()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _run(self, writer: int) -> None:
        code = 1
        try:
            os.setsid()
            os.chdir(self.folder)
            os.close(self._reader)
            said = os.open("said.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
            os.dup2(writer, 1)
            os.dup2(said, 2)
            sys.stdout = open(1, "w", buffering=1, closefd=False)  # noqa: SIM115
            sys.stderr = open(2, "w", buffering=1, closefd=False)  # noqa: SIM115
            for number in (signal.SIGTERM, signal.SIGHUP):
                signal.signal(number, signal.SIG_DFL)
            signal.signal(signal.SIGINT, signal.default_int_handler)
            torch.set_num_threads(1)
            cv2.setNumThreads(0)
            if self.file_size is not None:
                import resource

                signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
                resource.setrlimit(resource.RLIMIT_FSIZE, (self.file_size, self.file_size))
            sys.argv = ["segue", "watch", "cameras.toml", "--output", "disk/out"]
            main()
            code = 0
        except SystemExit as end:
            code = int(str(end.code or 0))
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)

    def _read(self) -> None:
        rest = b""
        while self._reads.wait() and (part := os.read(self._reader, 1 << 16)):
            *lines, rest = (rest + part).split(b"\n")
            self.lines += lines
        os.close(self._reader)

    def read_no_more(self) -> None:
        self._reads.clear()

    def close_output(self) -> None:
        """Close the end that we read."""
        os.dup2(os.open(os.devnull, os.O_RDONLY), self._reader)

    def wait_for_lines(self, number: int) -> None:
        wait_for(lambda: len(self.lines) >= number, LONGEST_SECONDS, lambda: self.said[-500:])

    @property
    def said(self) -> str:
        return (self.folder / "said.txt").read_text("utf-8", "replace")

    def end(self, number: int) -> int | None:
        """Send a signal; gives the exit code, negative for a signal, or None where it did not end."""
        os.kill(self._child, number)
        code = exit_code(self._child, LONGEST_SECONDS)
        if code is None:
            os.killpg(self._child, signal.SIGKILL)
            os.waitpid(self._child, 0)
        self._reads.set()
        self._thread.join(10)
        return code


def interrupt(number: int) -> Callable[[Trial, Disk, random.Random], int | None]:
    def act(trial: Trial, _: Disk, __: random.Random) -> int | None:
        return trial.end(number)

    return act


def full_disk(trial: Trial, disk: Disk, rng: random.Random) -> int | None:
    disk.fill()
    time.sleep(rng.uniform(1.0, 3.0))  # a page of a table has room for some rows
    disk.clear()
    time.sleep(rng.uniform(0.0, 1.5))
    return trial.end(rng.choice((signal.SIGINT, signal.SIGTERM, signal.SIGKILL)))


def closed_output(trial: Trial, _: Disk, rng: random.Random) -> int | None:
    trial.close_output()
    time.sleep(rng.uniform(0.2, 1.0))
    return trial.end(rng.choice((signal.SIGINT, signal.SIGTERM, signal.SIGKILL)))


def unread_output(trial: Trial, _: Disk, rng: random.Random) -> int | None:
    trial.read_no_more()
    time.sleep(rng.uniform(0.5, 1.5))
    return trial.end(signal.SIGTERM)


WAYS: dict[str, Callable[[Trial, Disk, random.Random], int | None]] = {
    "SIGINT": interrupt(signal.SIGINT),
    "SIGTERM": interrupt(signal.SIGTERM),
    "SIGKILL": interrupt(signal.SIGKILL),
    "full disk": full_disk,
    "closed output": closed_output,
    "unread output": unread_output,
}


def tables(folder: Path) -> dict[str, list[Row]]:
    paths = {name: folder / "disk" / "out" / f"{name}.csv" for name in CAMERAS}
    return {name: [*read_events(path)] if path.exists() else [] for name, path in paths.items()}


Key = tuple[object, ...]


def key(row: Row) -> Key:
    """What makes an event one of its own."""
    event = event_of(row)
    return event.source, event.event, event.object, event.zone, event.at, event.frame


def faults(before: dict[str, list[Row]], after: dict[str, list[Row]], lines: list[bytes]) -> Iterator[str]:
    """What is wrong with the tables after a trial."""
    for name in CAMERAS:
        if after[name][: len(before[name])] != before[name]:
            yield f"{name}: rows of earlier runs were lost or changed"
        if twice := [found for found, number in Counter(map(key, after[name])).items() if number > 1]:
            yield f"{name}: written twice: {twice}"
        for kinds in (("enter",), ("leave", "end")):
            numbers = Counter(row["object"] for row in after[name] if row["event"] in kinds)
            if more := [number for number, count in numbers.items() if count > 1]:
                yield f"{name}: {kinds[0]} more than once: {more}"
    rows = {key(row) for name in CAMERAS for row in after[name]}
    told = [key(json.loads(line)) for line in lines]
    if missing := [each for each in told if each not in rows]:
        yield f"told, and in no table: {missing}"
    if len({*told}) < len(told):
        yield "told twice"


def test_interrupts_lose_no_row_and_write_no_event_twice(tmp_path: Path, disk: Disk) -> None:
    rng, counts, wrong = random.Random(SEED), Counter[tuple[str, str]](), list[str]()
    with mjpeg_camera() as address:
        (tmp_path / "cameras.toml").write_text(
            f"""
            [defaults]
            model = "median"
            device = "cpu"
            zone = ["wall=0,0 127,0 127,95 0,95"]
            [cameras.gate]
            source = "{address}"
            [cameras.yard]
            source = "{address}"
            """
        )
        for number in range(TRIALS + 1):
            # The last one ends in order: it tells of all objects that they are gone.
            way = "SIGTERM" if number == TRIALS else [*WAYS][number % len(WAYS)]
            limited = way == "full disk" and not disk.mounted
            before = tables(tmp_path)
            sizes = [path.stat().st_size for path in (disk.folder / "out").glob("*.csv")]
            trial = Trial(tmp_path, max(sizes, default=0) + rng.randrange(400, 4000) if limited else None)
            trial.wait_for_lines(rng.randrange(1, 12))
            time.sleep(rng.uniform(0.0, 0.3))
            code = WAYS[way](trial, disk, rng)
            after = tables(tmp_path)
            found = [*faults(before, after, trial.lines)]
            if code is None:
                found.append("it did not end")
            elif code not in (0, -signal.SIGKILL):
                found.append(f"it ended with {code}")
            if "Traceback" in trial.said:
                found.append(f"a traceback: {trial.said[-1000:]}")
            if way in ("SIGINT", "SIGTERM"):
                new = sum(len(after[name]) - len(before[name]) for name in CAMERAS)
                if new != len(trial.lines):
                    found.append(f"{new} rows, {len(trial.lines)} lines")
            counts[way, "wrong" if found else "right"] += 1
            wrong += [f"trial {number}, {way}: {text}" for text in found]
    print("", "| way | trials | right | wrong |", "| --- | --- | --- | --- |", sep="\n")
    for way in WAYS:
        right, bad = counts[way, "right"], counts[way, "wrong"]
        print(f"| {way} | {right + bad} | {right} | {bad} |")
    final = tables(tmp_path)
    warned = Counter(re.findall(r"cannot be written \([^)]*\)|events are lost here \([^)]*\)", trial.said))
    print({name: len(rows) for name, rows in final.items()}, "rows", dict(warned), flush=True)
    assert not wrong, "\n".join(wrong)
    for name, rows in final.items():
        came = {row["object"] for row in rows if row["event"] == "enter"}
        gone = {row["object"] for row in rows if row["event"] in ("leave", "end")}
        assert came == gone, f"{name}: some of these never left"
        assert len(came) > TRIALS / 3
    for name in CAMERAS:  # the tables are whole: another run goes on after them
        EventTable(disk.folder / "out" / f"{name}.csv", append=True).close()
