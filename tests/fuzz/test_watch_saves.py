"""A file of cameras is saved again and again while ``segue watch`` runs, with random slips and by two people.

The process never ends; a file with a slip is named in the log and changes nothing; after a good file all of
it is live: cameras, zones, tokens. ``SEGUE_FUZZ_SAVES`` sets the number of saves (default 60),
``SEGUE_FUZZ_SEED`` what they are. What was saved, and what it took, is printed at the end.
"""

from __future__ import annotations

import json
import os
import random
import re
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from segue.errors import SegueError
from segue.events.zones import Zone
from segue.jobs.values import ForegroundJob
from segue_watch.configuration import check_devices, read_file
from segue_web.access.table import Access
from tests.cli.mjpeg import mjpeg_camera
from tests.waiting import wait_for

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="looks at a process by /proc"),
]

SAVES = int(os.environ.get("SEGUE_FUZZ_SAVES", "60"))
SEED = int(os.environ.get("SEGUE_FUZZ_SEED", "0"))
PATIENCE = 120.0
"""Seconds after which what should be live is not."""

NAMES = ("gate", "yard", "door", "lane")
TOKENS = ("token-of-monday-1", "token-of-tuesday-2", "token-of-friday-3")
ZONES = ("door", "wall", "zone 2", "Tür")
PAUSE = 0.05
"""Seconds between two images of a camera."""

SLIPS = (
    'source = "udp://@:99999"',
    'source = "rtsp://[::1/x"',
    'source = "rtsp://me:geheim#1@127.0.0.1/x"',
    'source = ""',
    "source = 5.5",
    'events = ""',
    'events = "/"',
    'events = "a\\u0000.csv"',
    'events = "same.csv"\nsnapshots = "same"\n[cameras.other]\nsource = "0"\nevents = "same.csv"',
    'snapshots = "\\u0000"',
    'rotate = "0s"',
    'rotate = ""',
    "rotate = 5",
    'keep = "5 parsecs"',
    'keep = ["1d", "2d"]',
    'zone = ["far=900,0 990,0 990,90"]',
    'ignore = ["far=-90%,0% -80%,0% -80%,9%"]',
    'zone = ["a=0,0"]',
    'zone = ["a=0,0 0,0"]',
    'zone = ["a=0,0 9,9", "a=0,0 9,9"]',
    'zone = [["a"]]',
    'ignore = ["line=0,0 9,9"]',
    'min-height = "tall"',
    'min-height = ["1:2", "1:3"]',
    'loiter = "nowhere=5s"',
    "fps = -1",
    "fps = nan",
    'fps = "${NO_SUCH_SECRET}"',
    "min-seconds = inf",
    'notify = "ftp://127.0.0.1/"',
    'notify = "http://127.0.0.1:99999/"',
    "home-assistant = true",
    'model = "mediam"',
    'weights = "/nowhere.safetensors"',
    'device = "cuda:99"',
    'device = "gpu"',
    'roi = "/"',
    'scene = "/nowhere.png"',
    'format = "jpegs"',
    "live = true",
    "colour = 'red'",
    'when-late = "never"',
    "[page]\ntoken = 'short'",
    "[page]\nuser = 'anna'",
    "[page]\nproxies = ['nowhere']",
    "[pages]",
)
"""Lines that mean nothing behind those of a camera."""


@dataclass
class Watched:
    """``segue watch`` in a process of its own, and its file."""

    folder: Path
    process: subprocess.Popen[bytes]
    good: tuple[dict[str, ForegroundJob], Access] = field(default_factory=lambda: ({}, Access()))

    @property
    def file(self) -> Path:
        return self.folder / "cameras.toml"

    @property
    def port(self) -> int:
        """That of the page; 0 before it answers."""
        match = re.search(r"cameras: http://127\.0\.0\.1:(\d+)/", "\n".join(self.log[:5]))
        return int(match[1]) if match else 0

    @property
    def log(self) -> list[str]:
        return (self.folder / "log.txt").read_text("utf-8", "replace").splitlines()

    def check_alive(self) -> None:
        assert self.process.poll() is None, f"it ended with {self.process.poll()}:\n" + "\n".join(
            self.log[-30:]
        )

    def wait_for(self, true: Callable[[], object], what: str) -> None:
        def asked() -> object:
            if answer := true():
                return answer
            self.check_alive()
            return False

        def told() -> str:
            return "\n".join((what, self.file.read_text("utf-8", "replace"), *self.log[-30:]))

        wait_for(asked, PATIENCE, told)

    def request(self, path: str, token: str = "", values: object = None) -> tuple[int, Any]:
        """Status and JSON of an answer of the page; each request comes from one of many addresses."""
        head = {"Content-Type": "application/json", "X-Forwarded-For": f"198.51.{random.randrange(99)}.7"}
        if token:
            head["Token"] = token
        data = None if values is None else json.dumps(values).encode()
        try:
            with urlopen(Request(f"http://127.0.0.1:{self.port}/{path}", data, head), timeout=60) as answer:
                text = answer.read()
                return answer.status, json.loads(text) if text else None
        except HTTPError as error:
            with error:
                return error.code, error.read().decode()

    def states(self) -> dict[str, Any]:
        """How the cameras are; nothing where the page takes another token yet."""
        status, states = self.request("states", self.good[1].token)
        return states if status == 200 else {}

    def resources(self) -> tuple[int, int]:
        """Open files and threads."""
        place = Path(f"/proc/{self.process.pid}")
        return len([*(place / "fd").iterdir()]), len([*(place / "task").iterdir()])


@contextmanager
def watched(folder: Path, text: str) -> Iterator[Watched]:
    (folder / "cameras.toml").write_text(text)
    command = [sys.executable, "-m", "segue", "watch", "cameras.toml", "--output", "out", "--port", "0"]
    with (folder / "log.txt").open("wb") as log:
        process = subprocess.Popen(
            command,
            cwd=folder,
            stdout=subprocess.DEVNULL,
            stderr=log,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"},
        )
    try:
        yield Watched(folder, process)
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) in (0, 3)
    finally:
        process.kill()
        process.wait()


def zone_text(rng: random.Random, name: str) -> str:
    left, top = rng.randrange(0, 60), rng.randrange(0, 60)
    return f"{name}={left}%,{top}% {left + 30}%,{top}% {left + 30}%,{top + 30}%"


def good_text(rng: random.Random, address: str) -> str:
    """A good file."""
    lines = [
        "# of a fuzz",
        "[defaults]",
        'model = "median"',
        'device = "cpu"',
        f"fps = {rng.choice((2, 3, 5))}",
    ]
    for name in rng.sample(NAMES, rng.randrange(1, 4)):
        lines += [f"[cameras.{name}]", f'source = "{address}"']
        zones = [zone_text(rng, zone) for zone in rng.sample(ZONES, rng.randrange(3))]
        lines += [f"zone = {json.dumps(zones, ensure_ascii=False)}"] if zones else []
        further = (
            f'ignore = ["{zone_text(rng, "tree")}"]',
            f"min-seconds = {rng.choice((0, 0.5, 2))}",
            f"min-height = {rng.randrange(5, 20)}",
            'rotate = "1h"',
            'keep = ["1d", "1GB"]',
            "retry = 3",
            'when-late = "newest"',
        )
        lines += rng.sample(further, rng.randrange(4))
    if rng.random() < 0.6:
        lines += ["[page]", f'token = "{rng.choice(TOKENS)}"', 'proxies = ["127.0.0.1"]']
    return "\n".join(lines) + "\n"


def slipped(rng: random.Random, text: str) -> bytes:
    """A file with a slip, of which some are none."""
    kind = rng.randrange(8)
    if kind < 3:
        lines = text.splitlines()
        places = [number for number, line in enumerate(lines) if line.startswith("source")]
        slip, place = rng.choice(SLIPS), rng.choice(places)
        if not slip.startswith("[page"):
            keys = {line.partition(" =")[0] for line in slip.splitlines() if " = " in line}
            head = place - 1
            end = next((i for i in range(place, len(lines)) if lines[i].startswith("[")), len(lines))
            body = [line for line in lines[place:end] if line.partition(" =")[0] not in keys]
            return "\n".join([*lines[: head + 1], *body, slip, *lines[end:]]).encode()
        return "\n".join([*lines, slip]).encode()
    data = bytearray(text.encode())
    begin = rng.randrange(len(data))
    length = rng.randrange(1, 30)
    if kind == 3:  # cut off
        return bytes(data[:begin])
    if kind == 4:  # a part is missing
        return bytes(data[:begin] + data[begin + length :])
    if kind == 5:  # a part comes twice
        return bytes(data[: begin + length] + data[begin:])
    if kind == 6:  # a typing error
        data[begin] = rng.choice(b'"[]=.,#\n\\ 0aZ\x00\xff')
        return bytes(data)
    return rng.choice((text.encode("utf-16"), b"", b"\xef\xbb\xbf" + text.encode(), text.encode()[::-1]))


def save(rng: random.Random, file: Path, data: bytes) -> str:
    """Save the file as an editor does; gives how."""
    way = rng.choice(("in place", "in place", "by a new file", "in two parts", "by way of nothing"))
    if way == "by a new file":
        other = file.with_suffix(".new")
        other.write_bytes(data)
        other.replace(file)
    elif way == "in two parts":
        with file.open("wb", buffering=0) as stream:
            stream.write(data[: len(data) // 2])
            time.sleep(rng.uniform(0.0, 0.5))
            stream.write(data[len(data) // 2 :])
    else:
        if way == "by way of nothing":
            file.unlink()
            time.sleep(rng.uniform(0.0, 0.5))
        file.write_bytes(data)
    return way


def drawn(watch: Watched, rng: random.Random) -> None:
    """Let two people draw one zone on the page at the same moment; one of them is told of the other."""
    jobs, access = watch.good
    name = rng.choice([*jobs])
    zones = jobs[name].zones
    answers: list[tuple[int, Any]] = []

    def send(previous: str | None, new: str | None) -> None:
        values = {"previous": previous, "new": new}
        answers.append(watch.request(f"zones/{name}", access.token, values))

    previous = rng.choice(zones) if zones and rng.random() < 0.7 else None
    label = Zone.parse(previous).name if previous else f"new {rng.randrange(1000)}"
    texts = [zone_text(rng, label), None if previous else zone_text(rng, label)]
    threads = [threading.Thread(target=send, args=(previous, text)) for text in texts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert sorted(status for status, _ in answers) == [204, 409], (answers, previous, texts, watch.log[-10:])


def read(watch: Watched) -> tuple[dict[str, ForegroundJob], Access] | None:
    """What the file says now; None where it has a slip that shows without cameras."""
    os.environ.pop("NO_SUCH_SECRET", None)
    here = Path.cwd()
    try:
        os.chdir(watch.folder)
        jobs, access = read_file(Path("cameras.toml"), Path("out"))
        check_devices(jobs)
    except SegueError:
        return None
    finally:
        os.chdir(here)
    return jobs, access


def is_live(watch: Watched) -> bool:
    """Whether cameras, zones and tokens are those of the last good file, and all cameras give frames."""
    jobs, access = watch.good
    states = watch.states()
    if {*states} != {*jobs}:
        return False
    for name, job in jobs.items():
        settings = job.event_settings(job.outputs.formats or ())
        if states[name]["zones"] != json.loads(json.dumps([asdict(zone) for zone in settings.zones])):
            return False
        if states[name]["ignored"] != json.loads(
            json.dumps([asdict(zone) for zone in settings.rules.ignored])
        ):
            return False
        if not states[name]["well"] or states[name]["error"]:
            return False
    others = {*TOKENS} - {access.token}
    return not access.token or all(watch.request("states", other)[0] == 401 for other in others)


def test_a_file_that_is_saved_with_slips_ends_nothing(tmp_path: Path) -> None:
    pytest.importorskip("tomlkit", reason="a dependency since zones are saved: make test installs it")
    rng, counts = random.Random(SEED), Counter[str]()
    slowest, begun = list[tuple[float, int, str]](), time.monotonic()
    with mjpeg_camera(PAUSE) as address:
        text = good_text(rng, address)
        with watched(tmp_path, text) as watch:
            first = read(watch)
            assert first is not None, text
            watch.good = first
            watch.wait_for(lambda: watch.port and is_live(watch), "the first file is live")
            resources = watch.resources()
            for number in range(SAVES):
                kind = ("good", "slip", "good", "slip", "drawn")[number % 5]
                if kind == "slip":
                    kind = slip(watch, rng, text)
                if kind == "drawn":
                    drawn(watch, rng)
                else:
                    text = text if kind.startswith("slip") else good_text(rng, address)
                    way = save(rng, watch.file, text.encode())
                    kind = kind if kind.startswith("slip") else f"good, {way}"
                good, start = read(watch), time.monotonic()
                assert good is not None, text
                watch.good = good
                what = f"the good file after save {number} ({kind}) is live"
                watch.wait_for(lambda: is_live(watch), what)
                frames = {name: state["frames"] for name, state in watch.states().items()}
                watch.wait_for(partial(goes_on, watch, frames), f"{what}, and gives further frames")
                slowest.append((round(time.monotonic() - start, 1), number, kind))
                text = watch.file.read_text("utf-8")
                counts[kind] += 1
            more, log = watch.resources(), "\n".join(watch.log)
    print("", *(f"{kind}: {count}" for kind, count in sorted(counts.items())), sep="\n")
    print(f"{time.monotonic() - begun:.0f} s; until a good file was live at most {sorted(slowest)[-5:]} s")
    print(f"open files and threads {resources} -> {more}", flush=True)
    assert "Traceback" not in log, log[-3000:]
    assert "geheim" not in log
    growth = [now - then for now, then in zip(more, resources, strict=True)]
    assert max(growth) < 60, f"open files and threads stay: {growth}"


def goes_on(watch: Watched, frames: Mapping[str, int]) -> bool:
    """Whether all cameras gave frames since they had given so many, and nothing has failed."""
    states = watch.states()
    return is_live(watch) and all(states[name]["frames"] > count + 1 for name, count in frames.items())


def slip(watch: Watched, rng: random.Random, text: str) -> str:
    """Save a file with a slip; gives what came of it."""
    before = len(watch.log)
    way = save(rng, watch.file, slipped(rng, text))
    if read(watch) is not None:  # it means something, though it may not fit the images
        time.sleep(rng.uniform(0.0, 1.0))
        watch.check_alive()
        return "slip that means something"
    watch.wait_for(lambda: any("go on as before" in line for line in watch.log[before:]), "the slip is named")
    if way == "by a new file":  # half of a file may mean something
        assert is_live(watch), (watch.states(), watch.file.read_bytes(), watch.log[before:])
    return "slip"
