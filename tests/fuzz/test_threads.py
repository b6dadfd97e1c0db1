"""Sessions, detectors, prompters and flow in four threads at the same moment give what they give in one.

Networks are shared. ``SEGUE_FUZZ_THREADS_SECONDS`` sets how long it is tried (default 60),
``SEGUE_FUZZ_SEED`` what runs beside what, ``SEGUE_FUZZ_COMMANDS`` a part of the names of the work to try.
"""

from __future__ import annotations

import faulthandler
import os
import random
import time
from collections import Counter
from collections.abc import Callable
from functools import cache
from typing import Any

import cv2
import numpy as np
import pytest
import torch

import segue
from segue.flow import DIS, Farneback
from segue.models.mustan_lite import MustanLite
from segue.prompt_types import PointPrompt
from segue.prompts import ImagePrompts
from segue.sessions import ForegroundSession, InstanceSession, TrackSession
from segue.sessions.foreground.segmenters.extra_inputs import computing_flow
from segue.sessions.motion import MotionDetector
from segue.types import Segmentation
from tests.clips import clip
from tests.lite import lively_instances, lively_lite
from tests.threads import THREADS, in_threads

pytestmark = pytest.mark.slow

SECONDS = float(os.environ.get("SEGUE_FUZZ_THREADS_SECONDS", "60"))
SEED = int(os.environ.get("SEGUE_FUZZ_SEED", "0"))
ONLY = os.environ.get("SEGUE_FUZZ_COMMANDS", "")
CLIPS, COUNT = 2, 7

FRAMES, MASKS = zip(*(clip(seed, COUNT, 72, 96, 2) for seed in range(CLIPS)), strict=True)


@cache
def flowing() -> MustanLite:
    torch.manual_seed(0)
    network = MustanLite("dis").eval()
    for values in network.flow_attention.fusion.parameters():  # type: ignore[union-attr]
        torch.nn.init.normal_(values, std=0.2)
    computing_flow(network, DIS())
    return network


lite, instances = cache(lively_lite), cache(lively_instances)


@cache
def shared_flow() -> DIS:
    return DIS()


@cache
def shared_motion() -> MotionDetector:
    return MotionDetector(TrackSession(lite(), device="cpu"), max_objects=3)


@cache
def shared_detector(name: str) -> Any:
    return segue.detector(name, device="cpu")


def known(results: list[Segmentation | None]) -> list[Any]:
    return [(each.mask, each.objects) for each in results if each is not None]


def flow(number: int) -> list[Any]:
    images = FRAMES[number]
    return [shared_flow()(images[i], images[i + 1]) for i in range(4)] + [Farneback()(images[0], images[1])]


def track(number: int) -> list[Any]:
    session = TrackSession(lite(), device="cpu")
    results = [session.step(FRAMES[number][0], MASKS[number][0])]
    for t, image in enumerate(FRAMES[number][1:], start=1):
        if t == 3:  # goes on as another session
            state = session.state()
            session = TrackSession(lite(), device="cpu")
            session.restore(state)
        clicks = [PointPrompt(1, ((30.0, 30.0),), ((80.0, 10.0),))] if t == 4 else None
        results.append(session.step(image, clicks))
    return known(list(results))


def bundled(number: int) -> list[Any]:
    found = segue.track(list(FRAMES[number]), MASKS[number][0], device="cpu")
    return known(list(found))


def clicked(number: int) -> list[Any]:
    results = segue.track(list(FRAMES[number][:5]), points=[(40, 36)], device="cpu")
    return known(list(results))


def video(number: int) -> list[Any]:
    both = segue.Video(list(FRAMES[number][:5]), model=lite(), device="cpu")
    both.add(2, MASKS[number][2])
    return known(list(both.propagate()))


def foreground(model: Any, **options: Any) -> Callable[[int], list[Any]]:
    def work(number: int) -> list[Any]:
        session = ForegroundSession(model() if callable(model) else model, device="cpu", **options)
        results = [session.step(image) for image in FRAMES[number]]
        return known([*results, *session.finish()])

    return work


def found(name: str) -> Callable[[int], list[Any]]:
    def work(number: int) -> list[Any]:
        return known([shared_detector(name)(image) for image in FRAMES[number][:2]])

    return work


def moving(number: int) -> list[Any]:
    return known([shared_motion()(*FRAMES[number][t : t + 3]) for t in range(3)])


def inside_windows(number: int) -> list[Any]:
    session = InstanceSession(instances(), device="cpu")
    results = [session.step(image) for image in FRAMES[number][:3]]
    return known([*results, *session.finish()])


def answered(number: int) -> list[Any]:
    prompter = segue.Prompter(FRAMES[number][0], device="cpu")
    answers = prompter.candidates(ImagePrompts(points=[(40, 36)]))
    return [(each.mask, each.iou) for each in (*answers, prompter.answer(ImagePrompts((9, 9, 60, 60))))]


WORK: dict[str, Callable[[int], list[Any]]] = {
    "flow": flow,
    "track": track,
    "track by name": bundled,
    "track from a click": clicked,
    "video": video,
    "flow of a network": foreground(flowing, without=["align"]),
    "mustan-lite": foreground("mustan-lite"),
    "median": foreground("median"),
    "mog2": foreground("mog2"),
    "knn": foreground("knn"),
    "detector of motion": moving,
    "nanodet": found("nanodet"),
    "instances": inside_windows,
    "prompter": answered,
}


def same(one: list[Any], other: list[Any]) -> bool:
    if len(one) != len(other):
        return False
    for first, second in zip(one, other, strict=True):
        parts = zip(first, second, strict=True) if isinstance(first, tuple) else [(first, second)]
        if not all(
            np.array_equal(a, b, equal_nan=True) if isinstance(a, np.ndarray) else a == b for a, b in parts
        ):
            return False
    return True


def test_four_threads_give_what_one_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    faulthandler.enable()
    rng, trials, wrong = random.Random(SEED), Counter[str](), list[str]()
    expected: dict[tuple[str, int], list[Any]] = {}
    until = time.monotonic() + SECONDS
    while time.monotonic() < until:
        names = rng.choices([name for name in sorted(WORK) if ONLY in name], k=THREADS)
        if rng.random() < 0.5:  # four of one kind meet in the same lines
            names = names[:1] * THREADS
        tasks = [(name, rng.randrange(CLIPS)) for name in names]
        for name, number in tasks:
            if (name, number) not in expected:
                expected[name, number] = WORK[name](number)

        def work(thread: int, tasks: list[tuple[str, int]] = tasks) -> list[Any]:
            name, number = tasks[thread]
            return WORK[name](number)

        for (name, number), results in zip(tasks, in_threads(work), strict=True):
            trials[name] += 1
            if not same(results, expected[name, number]):
                wrong.append(f"{name}, clip {number}, beside {tasks}")
                print(wrong[-1], flush=True)
    lines = ["", "| work | runs |", "| --- | --- |"]
    print("\n".join([*lines, *(f"| {name} | {trials[name]} |" for name in sorted(trials))]), flush=True)
    assert not wrong, "\n".join(wrong)
