"""Calls that could be read in two ways, and misuse that is refused with the way out."""

from __future__ import annotations

import copy
import pickle
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import segue
from segue.errors import ArgumentError, SegueError, SourceError
from segue.models.stcn import STCNLite
from segue.registry import MODELS
from tests.clips import clip
from tests.lite import lively_lite

FRAMES, MASKS = clip(5, 4, 48, 64, 2)
ONE, TWO = MASKS[0] == 1, MASKS[0] == 2
BOX = (8, 8, 40, 40)


@pytest.fixture(scope="module")
def lite() -> STCNLite:
    return lively_lite()


def followed(lite: STCNLite, *given: Any, **named: Any) -> list[segue.Segmentation]:
    return list(segue.track(list(FRAMES), *given, model=lite, device="cpu", **named))


@pytest.mark.parametrize(
    "prompts",
    [
        {1: MASKS[1]},
        {1: [segue.MaskPrompt(1, ONE)], 2: [segue.MaskPrompt(2, TWO)]},
        {1: segue.MaskPrompt(1, ONE)},
        {0: ONE, 3: TWO},
    ],
)
def test_a_mapping_is_by_frame(prompts: dict[int, Any], lite: STCNLite) -> None:
    results = followed(lite, prompts)
    assert not results[0].mask.any() or 0 in prompts
    assert results[1].ids


def test_prompts_of_the_first_frame_may_name_frames(lite: STCNLite) -> None:
    said = [segue.MaskPrompt(1, ONE), segue.MaskPrompt(2, TWO, frame=3)]
    assert followed(lite, said) == followed(lite, {0: said[0], 3: said[1]})


def test_arrays_may_be_bgr_and_pil_images_know_their_order(tmp_path: Path) -> None:
    swapped = FRAMES[..., ::-1]
    for source in (swapped, torch.from_numpy(swapped.copy()), list(swapped), iter(swapped)):
        frames = list(segue.open_source(source, colour="bgr"))
        assert all(np.array_equal(frame.image, image) for frame, image in zip(frames, FRAMES, strict=True))
    plain = list(segue.foreground(FRAMES, model="median", short_side=0))
    assert list(segue.foreground(swapped, model="median", short_side=0, colour="bgr")) == plain
    with pytest.raises(SourceError):
        segue.open_source(FRAMES, colour="grey")  # type: ignore[arg-type]
    with pytest.raises(ArgumentError):
        segue.track(segue.open_source(FRAMES), MASKS[0], colour="bgr")
    segue.save(segue.track(FRAMES, MASKS[0], device="cpu"), tmp_path)
    with pytest.raises(SourceError):
        segue.open_source(tmp_path / "masks", colour="bgr")


def sessions() -> dict[str, Callable[[], segue.Session]]:
    return {
        "track": lambda: segue.TrackSession("stcn-lite", device="cpu"),
        "foreground": lambda: segue.ForegroundSession("median"),
        "instances": lambda: segue.InstanceSession("msstsvis-lite", device="cpu"),
    }


@pytest.mark.parametrize("name", sessions())
def test_a_session_is_not_pickled_or_copied(name: str) -> None:
    session = sessions()[name]()
    for duplicate in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(SegueError):
            duplicate(session)


def test_a_session_refuses_a_second_thread_and_goes_on() -> None:
    inside, go_on = threading.Event(), threading.Event()

    class Slow:
        lookahead = 0

        def __call__(self, frame: segue.Frame, *_: segue.Frame) -> Any:
            inside.set()
            assert go_on.wait(20)
            return segue.detector("motion")(frame, frame, frame)

    session: Any = segue.sessions.auto.AutoSession(segue.TrackSession("stcn-lite", device="cpu"), Slow())  # type: ignore[attr-defined]
    found: list[Any] = []
    thread = threading.Thread(target=lambda: found.append(session.step(FRAMES[0])))
    thread.start()
    assert inside.wait(20)
    with pytest.raises(SegueError, match="thread"):
        session.step(FRAMES[0])
    go_on.set()
    thread.join()
    assert [found[0].index, session.step(FRAMES[1]).index] == [0, 1]


def test_a_session_that_finds_objects_refuses_a_second_thread_everywhere() -> None:
    inside, go_on = threading.Event(), threading.Event()
    session = segue.ForegroundSession("median", device="cpu")
    kept, prepare = session.state(), session._prepare

    def wait(frame: segue.Frame) -> None:
        inside.set()
        assert go_on.wait(10)
        prepare(frame)

    session._prepare = wait  # type: ignore[method-assign]
    thread = threading.Thread(target=session.step, args=[FRAMES[0]])
    thread.start()
    assert inside.wait(10)
    uses: list[Callable[[], object]] = [
        session.state,
        session.reset,
        lambda: session.restore(kept),
        lambda: list(session.finish()),
        lambda: session.step(FRAMES[1]),
    ]
    try:
        for use in uses:
            with pytest.raises(SegueError, match="thread"):
                use()
    finally:
        go_on.set()
        thread.join()
    assert len(list(session.finish())) <= session.lag + 1


def test_a_plain_function_is_no_detector() -> None:
    with pytest.raises(ArgumentError):
        segue.Auto(lambda frame: None)  # type: ignore[arg-type, return-value]


def test_an_incomplete_class_is_not_registered() -> None:
    for task, lacks in (("track", "tracker"), ("foreground", "encode, decode")):
        with pytest.raises(ArgumentError, match=lacks):
            segue.register_model("half", task)(type("Half", (nn.Module,), {}))  # type: ignore[arg-type]
    assert "half" not in MODELS


def test_names_are_the_public_ones() -> None:
    assert dir(segue) == sorted(segue.__all__)
