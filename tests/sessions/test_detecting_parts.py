"""Detectors: what counts as motion, and which options reach what is made."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from segue.errors import ArgumentError, PromptError
from segue.prompts.detectors import BoxDetector, FilledBox
from segue.prompts.grabcut import GrabCut
from segue.registry import DETECTORS, DetectorEntry, DetectorOptions
from segue.sessions import detecting
from segue.sessions.detecting import as_classes, detector
from segue.sessions.motion import MotionDetector
from segue.types import Frame


class Following:
    """A tracker that moves masks to the right by one; notes its frames."""

    def __init__(self, *, loses: int = 0) -> None:
        self.seen: list[int] = []
        self.mask: Any = None
        self.loses = loses

    def reset(self) -> None:
        self.mask = None

    def step(self, frame: Frame, mask: Any = None) -> Any:
        self.seen.append(frame.index)
        if mask is not None:
            self.mask = mask
            return None
        assert self.mask is not None
        self.loses -= 1
        return SimpleNamespace(mask=self.mask * 0 if self.loses == 0 else np.roll(self.mask, 1, axis=1))


@pytest.mark.parametrize(("loses", "shift", "frames"), [(0, 2, 4), (1, 0, 2), (2, 0, 4)])
def test_a_mask_goes_there_and_back_unless_it_gets_lost(loses: int, shift: int, frames: int) -> None:
    tracker, mask = Following(loses=loses), np.zeros((4, 8), np.uint8)
    mask[1, 2] = 1
    finder = MotionDetector(tracker, flow=lambda *_: None)  # type: ignore[arg-type]
    pictures = [Frame(t, t / 25, np.zeros((4, 8, 3), np.uint8)) for t in (5, 6)]
    assert np.array_equal(finder.there_and_back(*pictures, mask), np.roll(mask, shift, axis=1))
    assert tracker.seen == [5, 6, 6, 5][:frames]


@pytest.mark.parametrize(
    ("said", "found"),
    [
        (None, None),
        ("dog, cat ,red car", ["dog", "cat", "red car"]),
        (["dog"], ["dog"]),
        (("dog", "cat"), ["dog", "cat"]),
        (frozenset({"dog"}), ["dog"]),
        ([], []),
    ],
)
def test_classes_are_names(said: Any, found: Any) -> None:
    assert as_classes(said) == found
    for wrong in (3, ["dog", 3], {"dog": 1}, iter(["dog"])):
        with pytest.raises(ArgumentError, match="classes: "):
            as_classes(wrong)  # type: ignore[arg-type]


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[DetectorOptions]:
    """Options that reach a detector which takes some of them."""
    seen: list[DetectorOptions] = []

    def build(options: DetectorOptions) -> Any:
        seen.append(options)
        return object()

    entry = DetectorEntry(
        "eyes", build, supported_options=frozenset({"weights", "classes", "score", "tiles"})
    )
    monkeypatch.setitem(DETECTORS._known, "eyes", entry)
    return seen


def test_what_is_asked_of_a_detector_reaches_it(asked: list[DetectorOptions]) -> None:
    detector("eyes", weights="w", classes="dog,cat", score=0.0, max_objects=1, tiles=2, device="cpu")
    detector("eyes", score=1.0)
    assert asked[0] == DetectorOptions("w", ["dog", "cat"], 0.0, 1, None, None, 2, "cpu")
    assert asked[1] == DetectorOptions(score=1.0)
    for wrong in (-0.01, 1.01):
        with pytest.raises(PromptError, match="give a number in 0"):
            detector("eyes", score=wrong)
    for wishes in ({"features": "keys"}, {"refine": "crf"}):
        with pytest.raises(PromptError, match="eyes takes no"):
            detector("eyes", **wishes)  # type: ignore[arg-type]
    assert len(asked) == 2


@pytest.mark.parametrize(("refine", "maker"), [("grabcut", GrabCut), ("none", FilledBox), (None, None)])
@pytest.mark.parametrize("tiles", [None, 1, 8])
def test_boxes_get_their_masks_as_is_asked_for(
    refine: Any, maker: Any, tiles: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[Any] = []
    monkeypatch.setattr(detecting, "load", lambda name, weights=None: made.append((name, weights)))
    monkeypatch.setattr(
        detecting,
        "prepare_for_inference",
        lambda network, device, fast: (torch.nn.Identity(), torch.device("cpu"), torch.float32),
    )
    monkeypatch.setattr(detecting, "prepared", lambda device: made.append(device) or "segue-prompt")
    found: dict[str, Any] = {}

    class Noted(BoxDetector):
        def __init__(self, network: Any, make: Any, rules: Any, *, tiles: int) -> None:
            found.update(make=make, rules=rules, tiles=tiles)

    monkeypatch.setattr(detecting, "BoxDetector", Noted)
    detector("nanodet", refine=refine, tiles=tiles, weights="own", score=0.25, device="cpu")
    assert made[0] == ("nanodet", "own")
    assert found["tiles"] == (tiles or 1)
    assert found["rules"].score == 0.25
    if maker is None:
        assert found["make"].func is detecting.Prompter
        assert found["make"].keywords == {"network": "segue-prompt"}
        assert made[1] == torch.device("cpu")
    else:
        assert found["make"] is maker
        assert len(made) == 1
    for wrong in (0, 9):
        with pytest.raises(PromptError, match=f"tiles is {wrong}; give 1 to 8"):
            detector("nanodet", tiles=wrong)


@pytest.mark.parametrize("size", [(3, 3), (4, 12), (15, 90), (90, 15), (16, 16)])
def test_in_the_smallest_pictures_nothing_moves(size: tuple[int, int]) -> None:
    """OpenCV refuses to look for their flow."""
    finder = MotionDetector(Following())  # type: ignore[arg-type]
    noise = np.random.default_rng(0).integers(0, 255, (2, *size, 3)).astype(np.uint8)
    found = finder.moving(*noise)
    assert (found.shape, found.dtype) == (size, np.uint8)
    assert min(size) == 16 or not found.any()
