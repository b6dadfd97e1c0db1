"""Runs are cancelled at random from another thread: they end in RunCancelledError, or they were complete.

Nothing half-written stays, the source of the program can be used again, and the run goes on to the files of a
whole one. ``SEGUE_FUZZ_CANCELS_SECONDS`` sets how long it is tried (default 60), ``SEGUE_FUZZ_SEED`` the
moments, ``SEGUE_FUZZ_COMMANDS`` a part of the names of the runs to try. A table is printed at the end.
"""

from __future__ import annotations

import os
import random
import shutil
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import cv2
import pytest
import torch

import segue
from segue.api.results import Results
from segue.jobs import RunCancelledError
from segue.jobs.running import open_job, run_open
from segue.jobs.values import ForegroundJob, InstancesJob, Model, Outputs, TrackJob, VideoJob, VideoSource
from segue.prompt_types import MaskPrompt
from segue.utils.cancel import CancelToken
from segue.video import Source
from tests.cli.running import contents
from tests.clips import clip
from tests.fuzz.test_interrupts import moving
from tests.video.making import write_video

pytestmark = pytest.mark.slow

SECONDS = float(os.environ.get("SEGUE_FUZZ_CANCELS_SECONDS", "60"))
SEED = int(os.environ.get("SEGUE_FUZZ_SEED", "0"))
ONLY = os.environ.get("SEGUE_FUZZ_COMMANDS", "")
COUNT = 12
END_SECONDS = 120.0
"""A run that does not end so long after it was cancelled hangs."""

FORMATS = ("png", "overlay", "coco", "npz")
IMAGES, MASKS = clip(5, COUNT, 48, 64, 2)


@dataclass(frozen=True)
class World:
    """Two videos and a mask."""

    clip: Path
    moving: Path
    first: Path


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    root = tmp_path_factory.mktemp("cancels")
    write_video(root / "clip.mp4", list(IMAGES))
    write_video(root / "moving.mp4", moving(0)[:24])
    segue.masks.write_index_mask(root / "first.png", MASKS[0])
    return World(root / "clip.mp4", root / "moving.mp4", root / "first.png")


def track(world: World, outputs: Outputs) -> VideoJob:
    prompts = (MaskPrompt(0, str(world.first)),)
    source = VideoSource(place=str(world.clip))
    model = Model(name="stcn-lite")
    return TrackJob(source=source, model=model, prompts=prompts, outputs=outputs, device="cpu")


def reverse(world: World, outputs: Outputs) -> VideoJob:
    prompts = (MaskPrompt(0, str(world.first), frame=COUNT - 3),)
    job = track(world, outputs).model_copy(update={"prompts": prompts})
    options = {**job.options.model_dump(exclude_unset=True), "reverse": True}  # type: ignore[attr-defined]
    return TrackJob.model_validate({**dict(job), "options": options})


def foreground(model: str, passes: int, events: bool = False) -> Callable[[World, Outputs], VideoJob]:
    def make(world: World, outputs: Outputs) -> VideoJob:
        assert outputs.folder is not None
        more: dict[str, Any] = {"events": outputs.folder / "events.csv"} if events else {}
        more["options"] = {"passes": passes, "objects": True}
        source = VideoSource(place=str(world.moving))
        return ForegroundJob(source=source, model=Model(name=model), outputs=outputs, device="cpu", **more)

    return make


def instances(world: World, outputs: Outputs) -> VideoJob:
    model = Model(name="nanodet+stcn-lite")
    source = VideoSource(place=str(world.clip))
    return InstancesJob(source=source, model=model, outputs=outputs, device="cpu")


def windows(world: World, outputs: Outputs) -> VideoJob:
    model = Model(name="msstsvis-lite")
    source = VideoSource(place=str(world.clip))
    return InstancesJob(source=source, model=model, outputs=outputs, device="cpu")


JOBS: dict[str, Callable[[World, Outputs], VideoJob]] = {
    "track": track,
    "track, reverse": reverse,
    "foreground median": foreground("median", 1),
    "foreground median, two passes, events": foreground("median", 2, events=True),
    "foreground mustan-lite": foreground("mustan-lite", 1),
    "foreground mustan-lite, two passes": foreground("mustan-lite", 2),
    "instances": instances,
    "instances in windows": windows,
}


def files(folder: Path) -> dict[str, bytes]:
    """All results; the moments of runs are in none of them."""
    return {name: data for name, data in contents(folder).items() if not name.endswith("job.json")}


def cancelled_after(seconds: float, cancel: Callable[[], object], work: Callable[[], object]) -> str:
    """How work ends in a thread of its own that another one cancels: whole, cancelled, or what is wrong."""
    ends: list[str] = []

    def run() -> None:
        try:
            work()
            ends.append("whole")
        except RunCancelledError:
            ends.append("cancelled")
        except BaseException as error:
            ends.append(f"{type(error).__name__}: {error}")

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(seconds)
    cancel()
    thread.join(END_SECONDS)
    return ends[0] if ends else "it does not end"


def wrong_after_job(
    job: VideoJob, source: Source, seconds: float, count: int, expected: dict[str, bytes]
) -> str:
    """What is wrong after a job was cancelled and went on; ends with its outcome."""
    token = CancelToken()
    end = cancelled_after(seconds, token.cancel, lambda: run_open(open_job(job, source), cancel=token))
    if end not in ("whole", "cancelled"):
        return end
    folder = job.outputs.folder
    assert folder is not None
    if left := [path.name for path in folder.rglob("*.partial")]:
        return f"{end}, left behind: {left}"
    if len(list(source)) != count:
        return f"{end}, and the source cannot be used again"
    if end == "cancelled":
        resumed = job.model_copy(update={"outputs": job.outputs.model_copy(update={"resume": True})})
        run_open(open_job(resumed, source))
    found = files(folder)
    if found.keys() != expected.keys():
        return f"{end}, other files: {sorted(found.keys() ^ expected.keys())}"
    different = [name for name in found if found[name] != expected[name]]
    return f"{end}, other content: {different}" if different else ""


def wrong_after_results(
    open_results: Callable[[], Results[Any]], source: Source, seconds: float, count: int, rng: random.Random
) -> str:
    """What is wrong after results were cancelled or closed while a loop takes them."""
    results, ends = open_results(), rng.choice(["cancel", "close"])
    taken: list[int] = []
    work = lambda: taken.extend(each.index for each in results)  # noqa: E731
    end = cancelled_after(seconds, getattr(results, ends), work)
    if ends == "close" and end == "whole":
        end = "cancelled" if len(taken) < count else "whole"
    if end not in ("whole", "cancelled") and not (ends == "close" and "used up or closed" in end):
        return f"{ends}: {end}"
    if taken != list(range(len(taken))) or (end == "whole" and len(taken) != count):
        return f"{ends}: {end}, with {taken}"
    return "" if len(list(source)) == count else f"{ends}: {end}, and the source cannot be used again"


def test_runs_that_are_cancelled_end_cleanly(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng, table, faults = random.Random(SEED), Counter[tuple[str, bool]](), list[str]()
    expected: dict[str, tuple[dict[str, bytes], float]] = {}
    until, folder = time.monotonic() + SECONDS, tmp_path / "out"
    while time.monotonic() < until:
        name = rng.choice([name for name in sorted(JOBS) if ONLY in name])
        job = JOBS[name](world, Outputs(folder=folder, formats=FORMATS))
        source = segue.open_source(str(job.source.place), prefetch=rng.choice([0, 4]))
        if name not in expected:
            for _ in range(2):  # the first one loads what the others find
                begun = time.monotonic()
                run_open(open_job(job, source))
                seconds = time.monotonic() - begun
                expected[name] = files(folder), seconds
                shutil.rmtree(folder)
        whole, seconds = expected[name]
        with monkeypatch.context() as patch:
            if rng.random() < 0.7:
                patch.setattr("segue.jobs.frame_loop.SAVE_EVERY_SECONDS", -1.0)
                patch.setattr("segue.jobs.frame_loop.SAVE_SHARE", 1e9)
            moment, count = rng.uniform(0, 1.1 * seconds), len(list(source))
            try:
                wrong = wrong_after_job(job, source, moment, count, whole)
            except Exception as error:
                wrong = f"afterwards {type(error).__name__}: {error}"
        table[name, not wrong] += 1
        if wrong:
            faults.append(f"{name}, after {moment:.3f} s of {seconds:.3f}: {wrong}")
            print(faults[-1], flush=True)
        shutil.rmtree(folder, ignore_errors=True)
        kind = rng.choice(["track", "foreground", "two passes"])
        film = segue.open_source(world.clip, prefetch=rng.choice([0, 4]))
        if kind == "track":
            make: Callable[[], Results[Any]] = partial(segue.track, film, world.first, device="cpu")
        else:
            passes: Literal[1, 2] = 2 if kind == "two passes" else 1
            make = partial(segue.foreground, film, model="median", passes=passes)
        wrong = wrong_after_results(make, film, rng.uniform(0, 0.4 * seconds), COUNT, rng)
        table[f"results, {kind}", not wrong] += 1
        if wrong:
            faults.append(f"results, {kind}: {wrong}")
            print(faults[-1], flush=True)
    lines = ["", "| run | right | wrong |", "| --- | --- | --- |"]
    for name in sorted({name for name, _ in table}):
        lines.append(f"| {name} | {table[name, True]} | {table[name, False]} |")
    print("\n".join(lines), flush=True)
    assert not faults, "\n".join(faults)
