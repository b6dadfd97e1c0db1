"""A session in which any operation failed gives the same results afterwards, or refuses to go on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from segue.errors import SegueError
from segue.models.base import Schedule
from segue.models.sam2 import SAM2Schedule
from segue.models.seqformer import SeqFormer
from segue.prompt_types import MaskPrompt, PointPrompt, RemovePrompt
from segue.sessions import ForegroundSession, InstanceSession, TrackSession
from segue.sessions.auto import AutoSession
from segue.sessions.detected import DetectionOptions, DetectionSession
from segue.types import Frame, Segmentation
from segue.weights import prepare
from tests.clips import clip
from tests.lite import lively_lite
from tests.sessions.foreground.scenes import video, wall, with_squares
from tests.sessions.foreground.test_two_passes import passes, waits_and_leaves
from tests.sessions.foreground.tiny_foreground import TinyForeground
from tests.sessions.test_auto import ScriptedDetector
from tests.sessions.test_detected import GREEN, RED, drawn
from tests.sessions.test_detected import ScriptedDetector as Finds
from tests.sessions.test_instances import OPTIONS, TINY
from tests.sessions.test_recurrent_sessions import SMALL

FRAMES, MASKS = clip(5, 8, 48, 64, 3)
FAILURES = 2
"""Failures of each frame, at operations all over it."""


class FailingAt(TorchDispatchMode):
    """Runs out of memory at one operation of PyTorch."""

    def __init__(self, at: float) -> None:
        super().__init__()
        self.at, self.count = at, 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.count += 1
        if self.count == self.at:
            raise MemoryError
        return func(*args, **(kwargs or {}))


Step = Callable[[Any, int], "Segmentation | None"]


def check(make: Callable[[], Any], step: Step, count: int) -> int:
    """Let steps of a session fail, compare the results, and count the refusals."""
    warm = make()  # the first frames arrange the weights of a network, which takes more operations
    step(warm, 0), step(warm, 1)
    plain, expected, operations = make(), [], []
    for t in range(count):
        with FailingAt(np.inf) as counting:
            expected.append(step(plain, t))
        operations.append(counting.count)
    expected += plain.finish()
    session, found, failures, refusals = make(), list[Segmentation | None](), 0, 0
    for t in range(count):
        before = session.state()
        # The last ones first: what an attempt has computed may be known to the next one.
        for at in np.linspace(operations[t], 1, FAILURES).astype(int):
            try:
                with FailingAt(int(at)):
                    found.append(step(session, t))
                break
            except MemoryError:
                failures += 1
            if session.torn is None:
                continue
            refusals += 1
            told = set()
            for again in (partial(step, session, t), partial(step, session, t), session.state):
                with pytest.raises(SegueError, match="failed in the middle") as refusal:
                    again()
                told.add(str(refusal.value))
            assert len(told) == 1
            session.restore(before)
        else:
            found.append(step(session, t))
    assert failures
    found += session.finish()
    for one, other in zip(found, expected, strict=True):
        if one is None or other is None:
            assert one is other
        else:
            assert one == replace(other, mask=one.mask)
            assert np.array_equal(one.mask, other.mask)
            if not session.lag:  # results that waited while a state was restored have masks alone
                assert np.array_equal(one.probabilities, other.probabilities)
    return refusals


def frame(t: int) -> Frame:
    return Frame(t, t / 10, FRAMES[t])


def prompted(session: TrackSession, t: int) -> Segmentation:
    prompts: dict[int, Any] = {
        0: MASKS[0] * (MASKS[0] < 3),
        2: [MaskPrompt(3, MASKS[2] == 3)],
        4: [RemovePrompt(1), MaskPrompt(2, MASKS[4] == 2)],
    }
    return session.step(frame(t), prompts.get(t))


@pytest.mark.parametrize(
    "system", ["lite", "cutie", *(pytest.param(name, marks=pytest.mark.slow) for name in ("stm", "xmem"))]
)
def test_followed_objects_are_the_same_after_failures(system: str, request: pytest.FixtureRequest) -> None:
    if system == "lite":
        network: Any = lively_lite()
        schedule: Schedule = replace(network.schedule, mem_every=1, memory_frames=3)
    elif system == "stm":
        network = request.getfixturevalue("stm_network")
        schedule = replace(network.schedule, mem_every=2, memory_frames=2)
    else:
        name = "xmem_network" if system == "xmem" else "cutie_small_network"
        network, schedule = request.getfixturevalue(name), SMALL[system]
    ready = prepare(network, device="cpu")
    refusals = check(lambda: TrackSession(ready, schedule, device="cpu"), prompted, count=5)
    assert refusals <= 5, "only the last operation of a step may leave a session torn"


def test_clicked_objects_of_sam2_are_the_same_after_failures(sam2_network: Any) -> None:
    def step(session: TrackSession, t: int) -> Segmentation:
        click = PointPrompt(1, ((26.0, 34.0),))
        return session.step(frame(t), {0: [click], 2: [click, MaskPrompt(2, MASKS[2] == 2)]}.get(t))

    network = prepare(sam2_network, device="cpu")
    assert check(lambda: TrackSession(network, SAM2Schedule(short_side=64)), step, count=3) <= 3


def test_instances_of_windows_are_the_same_after_failures() -> None:
    torch.manual_seed(0)
    network = SeqFormer("r18", TINY).eval()
    check(
        lambda: InstanceSession(network, OPTIONS, device="cpu"),
        lambda session, t: session.step(frame(t)),
        count=8,
    )


@pytest.mark.parametrize("lookahead", [pytest.param(0, marks=pytest.mark.slow), 1])
def test_objects_that_are_found_are_the_same_after_failures(lookahead: int) -> None:
    network = prepare(lively_lite(), device="cpu")
    detector = ScriptedDetector({t: MASKS[t] for t in range(8)}, lookahead=lookahead)
    check(
        lambda: AutoSession(TrackSession(network, device="cpu"), detector, every=2),
        lambda session, t: session.step(frame(t)),
        count=5,
    )


def test_detected_instances_are_the_same_after_failures() -> None:
    network = prepare(lively_lite(), device="cpu")
    drawings = [
        drawn(("cat", 0.9, 10 + 8 * t, 20, RED), *[("lamp", 0.9, 90, 20, GREEN)][: t % 4]) for t in range(6)
    ]
    detector = Finds([found for _, found in drawings])
    refusals = check(
        lambda: DetectionSession(TrackSession(network, device="cpu"), detector, DetectionOptions(every=2)),
        lambda session, t: session.step(Frame(t, t / 10, drawings[t][0])),
        count=6,
    )
    assert refusals


def test_foreground_is_the_same_after_failures() -> None:
    frames = video([with_squares(wall(), [(30, 8 * t)]) for t in range(8)])
    network = TinyForeground(context=((-2, "past"), (1, "future")))
    refusals = check(
        lambda: ForegroundSession(network, device="cpu", short_side=None),
        lambda session, t: session.step(frames[t]),
        count=8,
    )
    assert refusals


def test_a_first_pass_that_failed_refuses_to_go_on() -> None:
    images = waits_and_leaves(40)
    two = passes(images)
    frames = video(images)
    for one in frames[:20]:
        two.take(one)

    def fail(*_: object, **__: object) -> None:
        raise MemoryError

    before = two.state()
    two._session._events.update = fail  # type: ignore[method-assign, assignment]
    with pytest.raises(MemoryError):
        two.take(frames[20])
    del two._session._events.update
    for again in (lambda: two.take(frames[20]), two.state):
        with pytest.raises(SegueError):
            again()
    two.restore(before)
    for one in frames[20:]:
        two.take(one)
    two.finish()
    whole = passes(images)
    assert list(whole.learning())[-1] == 40
    for part, other in zip(two.scenes.learnt, whole.scenes.learnt, strict=True):
        assert np.array_equal(part.planes, other.planes)
