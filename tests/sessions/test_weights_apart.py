"""While layers make their weights, these and the maps of a frame lie apart from the heap."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.modules.module import register_module_forward_pre_hook

from segue.layers import running
from segue.layers.fused import FusedConv2d, PlainConv2d
from segue.layers.linear import FusedLinear
from segue.layers.running import weights_apart
from segue.layers.tuning import TunedConv2d
from segue.prompts import Prompter, Prompts
from segue.prompts.prompter import _inference_copy
from segue.sessions import ForegroundSession, InstanceSession, TrackSession
from segue.sessions.detecting import detector
from segue.sessions.instances import WindowOptions
from segue.types import Frame, Image
from segue.weights import load

PICTURES = np.random.default_rng(0).integers(0, 255, (4, 48, 64, 3), dtype=np.uint8)
MASK = np.zeros((48, 64), np.uint8)
MASK[8:24, 8:24] = 1

Run = Callable[[int, Image], object]


def tracked() -> Run:
    session = TrackSession("stcn-lite", device="cpu")
    return lambda t, picture: session.step(picture, None if t else MASK)


def instances() -> Run:
    session = InstanceSession(
        "msstsvis-lite", WindowOptions(window=2, overlap=1, short_side=48), device="cpu"
    )
    session.step(PICTURES[0])  # the first window has two frames
    return lambda t, picture: session.step(picture)


def foreground() -> Run:
    session = ForegroundSession("mustan-lite", device="cpu")
    return lambda t, picture: session.step(picture)


def prompted() -> Run:
    _inference_copy.cache_clear()  # a copy whose first passes are still to come
    network = load("segue-prompt")
    return lambda t, picture: Prompter(picture, network=network, device="cpu").answer(
        Prompts(box=(8, 8, 24, 24))
    )


def detected() -> Run:
    finds = detector("nanodet", refine="none", device="cpu")
    return lambda t, picture: finds(Frame(t, t / 5, picture))


@pytest.fixture
def apart(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[bool]]:
    """Of every layer with weights that runs, whether it runs apart from the heap."""
    inside, seen = [], []

    @contextmanager
    def watched() -> Iterator[None]:
        inside.append(True)
        yield
        inside.pop()

    def note(layer: nn.Module, _: object) -> None:
        if isinstance(layer, TunedConv2d | FusedConv2d | PlainConv2d | FusedLinear):
            seen.append(bool(inside))

    monkeypatch.setattr(running, "apart_from_heap", watched)
    hook = register_module_forward_pre_hook(note)
    yield seen
    hook.remove()


@pytest.mark.parametrize("start", [tracked, instances, foreground, prompted, detected])
def test_the_first_passes_of_every_session_are_apart(start: Callable[[], Run], apart: list[bool]) -> None:
    run = start()
    for t, picture in enumerate(PICTURES):
        run(t, picture)
    assert apart[0]
    assert not apart[-1]
    assert apart == sorted(apart, reverse=True), "none is apart after one that is not"


def test_networks_that_are_no_copies_run_as_they_are(apart: list[bool]) -> None:
    layer = PlainConv2d(nn.Conv2d(3, 4, 3), "none")
    with weights_apart(layer):
        layer(torch.zeros(1, 3, 8, 8))
    assert apart == [False]
