"""Objects that something else has found get the class of the detection at the same place."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from segue.errors import PromptError
from segue.jobs.foreground import object_finder, object_namer
from segue.sessions.association import name_object
from segue.types import Box, Frame, ObjectInfo, Segmentation
from segue.video.sources.images import read_image

IMAGE = np.zeros((60, 80, 3), np.uint8)


class Shapes:
    """A detector that finds the same boxes in every image."""

    names: Mapping[int, str] = {1: "car", 2: "dog"}
    lookahead = 0

    def __init__(self, *found: tuple[str | None, float, Box]) -> None:
        self._found = tuple(
            ObjectInfo(number, label, score, box) for number, (label, score, box) in enumerate(found, start=1)
        )

    def __call__(self, frame: Frame, *_: Frame) -> Segmentation:
        return Segmentation(frame.index, frame.time, np.zeros(frame.size, np.uint8), self._found)


def test_the_detection_that_overlaps_most_gives_the_name() -> None:
    shapes = Shapes(
        ("dog", 0.95, (0, 0, 20, 20)), ("car", 0.6, (10, 10, 30, 30)), (None, 0.9, (11, 11, 31, 31))
    )
    assert name_object(shapes, IMAGE, (11, 11, 31, 31)) == ("car", 0.6)
    assert name_object(shapes, IMAGE, (0, 0, 20, 16)) == ("dog", 0.95)


@pytest.mark.parametrize(("height", "known"), [(6.1, True), (5.9, False)])
def test_a_detection_elsewhere_gives_none(height: float, known: bool) -> None:
    found = name_object(Shapes(("dog", 0.95, (0, 0, 20, 20))), IMAGE, (0, 0, 20, height))
    assert (found is not None) is known, "IoU of 0.3"
    assert name_object(Shapes(), IMAGE, (0, 0, 20, 20)) is None


def test_a_detector_without_classes_is_refused() -> None:
    with pytest.raises(PromptError):
        object_namer("motion", "cpu")
    with pytest.raises(PromptError):
        object_namer("nobody", "cpu")


@pytest.mark.shared
def test_the_shipped_detector_knows_a_car(shared: Path) -> None:
    folder = shared / "data" / "foreground" / "cdnet2014" / "baseline" / "highway" / "input"
    image = read_image(sorted(folder.iterdir())[-1])
    label, score = object_namer("nanodet", "cpu")(image, (34, 152, 119, 223)) or ("", 0.0)
    assert label == "car"
    assert score > 0.6


@pytest.mark.shared
def test_each_of_several_objects_is_named_and_not_the_most_certain_one_alone(shared: Path) -> None:
    folder = shared / "data" / "foreground" / "cdnet2014" / "baseline" / "highway" / "input"
    image = read_image(sorted(folder.iterdir())[-1])
    found = object_finder("nanodet", "cpu")(image)
    assert len(found) > 1
    name = object_namer("nanodet", "cpu")
    assert [(name(image, box) or ("", 0.0))[0] for box, _, _ in found] == [label for _, label, _ in found]


@pytest.mark.shared
def test_a_second_look_at_the_object_itself_names_it(shared: Path) -> None:
    """Far from a network whose input is small the object is lost in a large view."""
    folder = shared / "data" / "foreground" / "cdnet2014" / "baseline" / "highway" / "input"
    image = read_image(sorted(folder.iterdir())[-1])
    large = np.full((2400, 3200, 3), 128, np.uint8)
    large[1000:1240, 1400:1720] = image
    label, _ = object_namer("nanodet", "cpu")(large, (1434, 1152, 1519, 1223)) or ("", 0.0)
    assert label == "car"
