"""Sessions have their own precision, whatever the program around them has set."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import pytest
import torch

import segue
from segue.prompt_types import PointPrompt
from segue.sessions.instances import WindowOptions
from segue.types import Image, IndexMask
from tests.clips import clip

FRAMES, MASKS = clip(11, 4, 64, 96, 2)


def tracked(prompts: object) -> list[IndexMask]:
    session = segue.TrackSession("stcn-lite", device="cpu")
    return [session.step(frame, None if t else prompts).mask for t, frame in enumerate(FRAMES)]


def found(session: segue.ForegroundSession | segue.InstanceSession) -> list[IndexMask]:
    results = [session.step(frame) for frame in FRAMES]
    return [result.mask for result in (*results, *session.finish()) if result is not None]


SESSIONS: dict[str, Callable[[], Sequence[IndexMask]]] = {
    "mask": lambda: tracked(MASKS[0]),
    "click": lambda: tracked([PointPrompt(1, [(30, 30)])]),
    "foreground": lambda: found(segue.ForegroundSession("mustan-lite", device="cpu")),
    "instances": lambda: found(
        segue.InstanceSession("msstsvis-lite", WindowOptions(short_side=64), device="cpu")
    ),
    "detector": lambda: [
        result.mask
        for result in segue.instances(list(FRAMES), model="nanodet+stcn-lite", device="cpu", score=0.1)
    ],
}


@contextmanager
def double_precision() -> Iterator[None]:
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(torch.float32)


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=[pytest.mark.slow] if name == "detector" else []) for name in SESSIONS],
)
def test_masks_are_the_same_under_autocast_and_with_another_default_type(name: str) -> None:
    expected = SESSIONS[name]()
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        assert all(map(np.array_equal, SESSIONS[name](), expected))
    with double_precision():
        assert all(map(np.array_equal, SESSIONS[name](), expected))
        assert torch.get_default_dtype() == torch.float64
    assert any(mask.any() for mask in expected) or name in ("foreground", "instances")


def explained(session: segue.ForegroundSession | segue.InstanceSession) -> list[Image | None]:
    session.explain()
    results = [session.step(frame) for frame in FRAMES]
    return [session.explanation for result in (*results, *session.finish()) if result is not None]


@pytest.mark.parametrize(
    "make",
    [
        lambda: segue.ForegroundSession("mustan-lite", device="cpu"),
        lambda: segue.InstanceSession(
            "msstsvis-lite", WindowOptions(short_side=64, score=0.01, window=2, overlap=1), device="cpu"
        ),
    ],
)
def test_explanations_are_the_same_under_autocast_and_with_another_default_type(
    make: Callable[[], segue.ForegroundSession | segue.InstanceSession],
) -> None:
    expected = explained(make())
    assert any(image is not None for image in expected)
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        assert all(map(np.array_equal, explained(make()), expected))
    with double_precision():
        assert all(map(np.array_equal, explained(make()), expected))


def test_tracking_leaves_the_random_generator_and_the_threads_of_the_program() -> None:
    generator, threads = torch.get_rng_state(), torch.get_num_threads()
    network = segue.load("stcn-lite")
    for _ in segue.track(list(FRAMES), PointPrompt(1, [(30, 30)]), model=network, device="cpu"):
        pass
    assert torch.equal(torch.get_rng_state(), generator)
    assert torch.get_num_threads() == threads
