"""Detectors: what counts as motion, and which options reach what is made."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from segue.errors import ArgumentError, PromptError
from segue.flow import against_scene
from segue.prompts.detectors import BoxDetector, FilledBox
from segue.prompts.grabcut import GrabCut
from segue.registry import DETECTORS, DetectorEntry, DetectorOptions
from segue.sessions import detecting
from segue.sessions.detecting import (
    MotionDetector,
    _rules,
    _strongest,
    _without_gaps,
    as_classes,
    cut_out,
    detector,
)
from segue.types import Frame, Image

SIZE = (100, 120)


def regions(*shown: tuple[int, int, int, float]) -> np.ndarray:
    """Top, left, side and strength of squares."""
    strength = np.zeros(SIZE, np.float32)
    for top, left, side, level in shown:
        strength[top : top + side, left : left + side] = level
    return strength


def test_regions_are_numbered_by_all_the_motion_in_them() -> None:
    found = _strongest(regions((5, 5, 20, 4.0), (50, 50, 30, 3.0), (5, 80, 20, 5.0)), 5)
    assert (found[10, 10], found[60, 60], found[10, 90], found[95, 5]) == (3, 1, 2, 0)
    assert found.dtype == np.uint8
    assert _strongest(regions((5, 5, 20, 4.0), (50, 50, 30, 3.0)), 1).max() == 1
    assert _strongest(regions((5, 5, 20, 4.0), (5, 80, 20, 4.0)), 2)[10, [10, 90]].tolist() == [1, 2]


@pytest.mark.parametrize(("side", "found"), [(3, True), (2, False)])
def test_tiny_regions_are_none(side: int, found: bool) -> None:
    """0.0005 of 12,000 pixels are six."""
    assert _strongest(regions((10, 10, 20, 3.0), (50, 50, side, 90.0)), 5)[51, 51].astype(bool) == found


@pytest.mark.parametrize(("side", "kept"), [(10, True), (9, False)])
def test_weak_regions_are_left_out(side: int, kept: bool) -> None:
    """Less than a quarter of the motion of the strongest one, of 20 by 20 pixels."""
    found = _strongest(regions((10, 10, 20, 4.0), (60, 60, side, 4.0)), 5)
    assert bool(found[60, 60]) == kept
    assert found[15, 15] == 1


@pytest.mark.parametrize(("level", "found"), [(0.25, False), (0.26, True)])
def test_what_hardly_moves_stands_still(level: float, found: bool) -> None:
    assert _strongest(regions((10, 10, 30, level)), 1).any() == found


def test_noise_where_nothing_moves_is_not_blown_up() -> None:
    """Half a pixel is added to the strongest motion, which 99 % of the pixels do not reach."""
    strength = regions((10, 10, 40, 1.0))
    strength[0, 0] = 500
    assert _strongest(strength, 5)[20, 20] == 1


def test_numbers_without_gaps() -> None:
    assert _without_gaps(np.array([[0, 4, 9], [9, 2, 0]], np.uint16)).tolist() == [[0, 2, 3], [3, 1, 0]]
    assert _without_gaps(np.zeros((2, 2), np.uint8)).dtype == np.uint8


def test_motion_is_a_way_that_the_camera_does_not_explain() -> None:
    flow = np.zeros((*SIZE, 2), np.float32)
    flow[..., 0] = 3
    flow[40:60, 40:60] = (3, 4)
    found = against_scene(flow)
    assert found[50, 50] == pytest.approx(4, abs=0.01)
    assert found[10, 10] == pytest.approx(0, abs=0.01)


@pytest.mark.parametrize("size", [(3, 3), (4, 12), (15, 90), (90, 15), (16, 16)])
def test_in_the_smallest_pictures_nothing_moves(size: tuple[int, int]) -> None:
    """OpenCV refuses to look for their flow."""
    finder = MotionDetector(Following())  # type: ignore[arg-type]
    noise = np.random.default_rng(0).integers(0, 255, (2, *size, 3)).astype(np.uint8)
    found = finder.moving(*noise)
    assert (found.shape, found.dtype) == (size, np.uint8)
    assert min(size) == 16 or not found.any()


class Shrunk:
    """Answers with the mask, less its first row, wherever another object is or not."""

    def __init__(self, image: Image) -> None:
        self.image = image

    def answer(self, prompts: Any) -> Any:
        grown = np.zeros(prompts.mask.shape, bool)
        rows = np.flatnonzero(prompts.mask.any(axis=1))
        grown[rows[0] : rows[-1] + 3] = True
        return SimpleNamespace(mask=grown)


def test_objects_are_drawn_anew_and_the_first_ones_keep_their_pixels() -> None:
    rough = np.zeros((12, 4), np.uint8)
    rough[1:3], rough[4:6], rough[9] = 1, 3, 2
    cut = cut_out(np.zeros((12, 4, 3), np.uint8), rough, Shrunk)  # type: ignore[arg-type]
    assert cut[:, 0].tolist() == [0, 1, 1, 1, 1, 3, 3, 3, 0, 2, 2, 2]
    assert cut.dtype == np.uint8


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


def test_pictures_are_reduced_for_the_flow_and_ways_are_divided_by_their_frames() -> None:
    sizes: list[tuple[int, ...]] = []

    def flow(first: Image, second: Image) -> np.ndarray:
        sizes.append(first.shape[:2])
        found = np.zeros((*first.shape[:2], 2), np.float32)
        found[60:100, 60:140, 0] = 2.0 * second[0, 0, 0]
        return found

    finder = MotionDetector(Following(), flow=flow)  # type: ignore[arg-type]
    frames = [np.full((480, 640, 3), t, np.uint8) for t in (0, 1, 2)]
    found = finder.moving(*frames)
    assert sizes == [(240, 320)] * 2
    assert found.shape == (480, 640)
    rows, columns = np.nonzero(found)
    assert [rows.min(), rows.max(), columns.min(), columns.max()] == pytest.approx(
        [120, 199, 120, 279], abs=8
    )


def test_without_a_cut_the_rough_mask_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    rough = np.zeros((4, 8), np.uint8)
    rough[1, 2] = 3
    finder = MotionDetector(Following(), flow=lambda *_: None)  # type: ignore[arg-type]
    monkeypatch.setattr(finder, "moving", lambda *_: rough)
    monkeypatch.setattr(detecting, "cut_out", lambda *_: rough * 0)
    frames = [Frame(t, t / 25, np.zeros((4, 8, 3), np.uint8)) for t in range(2)]
    assert finder(*frames).mask[1].tolist() == [0, 0, 1, 0, 0, 0, 0, 0]
    monkeypatch.setattr(detecting, "cut_out", lambda *_: rough)
    assert finder(*frames).mask[1].tolist() == [0, 0, 0, 0, 1, 0, 0, 0]


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


def test_rules_are_the_standard_ones_but_for_what_is_asked() -> None:
    plain = _rules(DetectorOptions())
    assert (plain.score, plain.max_objects, plain.classes) == (0.5, 10, None)
    asked = _rules(DetectorOptions(score=0.0, max_objects=3, classes=["dog"]))
    assert (asked.score, asked.max_objects, asked.classes) == (0.0, 3, frozenset({"dog"}))


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
