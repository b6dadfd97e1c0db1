"""The page's server is killed at random: what it had acknowledged is there, and the project opens again.

That its other process may be killed at any time is shown in ``tests/segue_web/server/test_worker.py``.
``SEGUE_FUZZ_PAGE_KILLS`` sets the number of kills (default 50).
"""

from __future__ import annotations

import hashlib
import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from segue_web.project.project import Project
from segue_web.video import Video
from tests.segue_web.videos import numbered, write_video
from tests.waiting import wait_for

pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform == "win32", reason="kills by signals")]

KILLS = int(os.environ.get("SEGUE_FUZZ_PAGE_KILLS", "50"))
FRAMES = 12

EDITS = """
import asyncio, hashlib, json, random, sys
from pathlib import Path
import numpy as np
from segue.errors import SegueError
from segue.masks import write_index_mask
from segue_web.server import messages
from segue_web.annotate import AnnotateBackend
from segue_web.video import Video

video, folder, chance = Video(Path(sys.argv[1])), Path(sys.argv[2]), random.Random(int(sys.argv[3]))

def say(*words):
    sys.stdout.write(" ".join(map(str, words)) + "\\n")
    sys.stdout.flush()

async def run():
    backend = AnnotateBackend(video, folder)
    backend.open()
    while not backend._worker._pool._processes:  # it begins with the first request
        await asyncio.sleep(0)
    say("worker", *backend._worker._pool._processes)

    async def ask(op, **fields):
        return await backend.handle(messages.parse(json.dumps({"id": 1, "op": op, **fields})))

    async def revision(frame):
        return (await ask("look", frames=[frame]))["frames"][0]["revision"]

    async def stroke():
        frame, number = chance.randrange(video.count), None
        if backend.project.objects():
            number = chance.choice(backend.project.objects())["id"]
        path = [(chance.randrange(40), chance.randrange(30))]
        say("begin", frame)
        seen = await revision(frame)
        await ask("stroke", frame=frame, object=number, add=True, path=path, width=9, seen=seen)
        mask = backend.project.mask(frame)
        say("saved", frame, hashlib.sha256(np.ascontiguousarray(mask).astype(np.uint16)).hexdigest())

    async def take():
        path = folder.parent / "a.png"
        mask = np.zeros(video.size, np.uint8)
        mask[: chance.randrange(1, 9)] = 1
        write_index_mask(path, mask)
        say("begin", 0)
        answer = await backend.import_file("a.png", path)
        await ask("import", upload=answer["upload"], targets={1: None})
        mask = backend.project.mask(0)
        say("saved", 0, hashlib.sha256(np.ascontiguousarray(mask).astype(np.uint16)).hexdigest())

    while True:
        try:
            act = chance.choice(["stroke"] * 6 + ["take", "undo", "track", "settings"])
            if act == "stroke":
                await stroke()
            elif act == "take":
                await take()
            elif act == "undo":
                say("forget")
                await ask("undo")
            elif act == "track":
                say("forget")
                await ask("track", direction="forward", frame=0)
            else:
                await ask("settings", values={"theme": str(chance.random())})
        except SegueError as error:
            say("refused", error)

asyncio.run(run())
"""


def is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    status = Path(f"/proc/{process}/stat")
    return not status.exists() or status.read_text().rpartition(")")[2].split()[0] != "Z"


def test_a_server_that_is_killed_again_and_again_loses_nothing_that_it_acknowledged(tmp_path: Path) -> None:
    video_path, folder = write_video(tmp_path / "video.mp4", numbered(FRAMES)), tmp_path / "p"
    video = Video(video_path)
    beside = {path.name for path in tmp_path.iterdir()} | {"p", "a.png"}
    saved: dict[int, str] = {}
    acknowledged = 0
    for kill in range(KILLS):
        chance = random.Random(kill)
        process = subprocess.Popen(
            [sys.executable, "-c", EDITS, str(video_path), str(folder), str(kill)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )
        assert process.stdout is not None
        first = process.stdout.readline().split()
        assert first[:1] == ["worker"], process.communicate()
        threading.Timer(chance.random() * chance.choice([0.3, 4.0]), process.kill).start()
        for line in process.stdout:
            if not line.endswith("\n"):  # cut off by the kill: what it would have said was not said
                break
            what, *words = line.split()
            if what == "saved":
                saved[int(words[0])] = words[1]
                acknowledged += 1
            elif what == "begin":  # whether it is saved when the kill comes is open
                saved.pop(int(words[0]), None)
            elif what == "forget":
                saved.clear()
        assert process.wait(60) == -signal.SIGKILL, process.communicate()
        project = Project(folder, video.describe(), video.size)
        for index in range(FRAMES):
            mask = np.ascontiguousarray(project.mask(index)).astype(np.uint16)
            if index in saved:
                assert hashlib.sha256(mask).hexdigest() == saved[index], (kill, index)
            assert set(np.unique(mask)) - {0} <= {row["id"] for row in project.objects()}
        project.noted("tracking")
        project.close()
        assert {path.name for path in tmp_path.iterdir()} <= beside
        computing = int(first[1])
        wait_for(lambda pid=computing: not is_alive(pid), told=lambda: "what computes outlives the server")
    print(f"{KILLS} kills, {acknowledged} changes acknowledged")
    assert acknowledged > 0


TRACKING = """
import asyncio, json, sys
from pathlib import Path
from segue.jobs import frame_loop
from segue_web.annotate import AnnotateBackend
from segue_web.server import messages
from segue_web.video import Video
from tests.segue_web.here import WorkerHere

frame_loop.SAVE_EVERY_SECONDS = 0.05
video, folder = Video(Path(sys.argv[1])), Path(sys.argv[2])

async def run():
    worker = WorkerHere(video, ("stcn-lite", None), "segue-prompt", "cpu")
    backend = AnnotateBackend(video, folder, worker=worker)

    async def ask(op, **fields):
        return await backend.handle(messages.parse(json.dumps({"id": 1, "op": op, **fields})))

    known = await ask("hello")
    if not known["objects"]:
        path = [(2, 2), (6, 40)]
        await ask("stroke", frame=0, object=None, add=True, path=path, width=9, seen=0)
    if known["queue"] or len(backend.project.timeline()) <= 1:
        await ask("track", direction="forward", frame=0, resume=bool(known["queue"]))
    while backend._trackings.runner.job is not None:
        await asyncio.sleep(0.02)
    print("done", flush=True)
    backend.close()

asyncio.run(run())
"""


def test_a_tracking_that_is_killed_again_and_again_ends_with_the_masks_of_one_that_was_not(
    tmp_path: Path,
) -> None:
    video_path = write_video(tmp_path / "video.mp4", numbered(60))
    video = Video(video_path)

    def attempt(folder: Path, delay: float | None, how: signal.Signals = signal.SIGKILL) -> bool:
        process = subprocess.Popen(
            [sys.executable, "-c", TRACKING, str(video_path), str(folder)],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )
        timer = threading.Timer(delay or 600.0, process.send_signal, [how])
        timer.start()
        words, _ = process.communicate()
        timer.cancel()
        return "done" in words

    def masks(folder: Path) -> list[np.ndarray]:
        project = Project(folder, video.describe(), video.size)
        found = [np.asarray(project.mask(index)) for index in range(60)]
        project.close()
        return found

    begun = time.monotonic()
    assert attempt(tmp_path / "whole", None)
    took = time.monotonic() - begun
    whole = masks(tmp_path / "whole")
    assert all(mask.any() for mask in whole)
    chance, kills, rounds = random.Random(5), 0, 0
    while kills < KILLS:
        folder, rounds = tmp_path / f"p{rounds}", rounds + 1
        how = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
        while not attempt(folder, took * (0.4 + 0.8 * chance.random()), chance.choice(how)):
            kills += 1
        for one, other in zip(masks(folder), whole, strict=True):
            np.testing.assert_array_equal(one, other)
    print(f"{kills} kills of {rounds} trackings")
