"""Detectors by name: whose numbers mean what, what they are asked for, and what becomes of their finds."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor, nn

from segue.errors import ArgumentError, PromptError
from segue.models.detection.classes import COCO_ORDER
from segue.models.detection.detections import Detections, TensorDetections, take
from segue.models.detection.nanodet import NanoDetPlus
from segue.models.dino import DINO
from segue.prompt_types import ImagePrompts
from segue.prompts.answers import MaskPrediction
from segue.prompts.detectors import BoxDetector, DiscoveryDetector, detect_boxes
from segue.prompts.proposals import Rules
from segue.registry import DETECTORS
from segue.sessions.detecting import as_classes, detector
from segue.types import Frame, Image
from segue.weights import Prepared

IMAGE = Frame(0, 0.0, np.zeros((20, 40, 3), np.uint8))

LABELS = {"maskrcnn": (1, 3, 18), "maskrcnn-v1": (1, 3, 18), "pointrend": (0, 2, 16)}
"""Numbers of person, car and dog: torchvision has those of COCO, Detectron 2 closes its gaps."""


class FixedDetector(nn.Module):
    """Finds the same in every image: a person, a car that the person covers in part, and a doubtful dog."""

    def __init__(self, labels: tuple[int, ...]) -> None:
        super().__init__()
        self.labels = labels

    def forward(self, image: Tensor) -> Detections:
        masks = torch.zeros(3, *image.shape[-2:])
        masks[0, 2:12, 0:10] = 0.9
        masks[1, 2:12, 5:25] = 0.8
        masks[2, 2:12, 30:40] = 0.9
        boxes = torch.tensor([[0.0, 2, 10, 12], [5, 2, 25, 12], [30, 2, 40, 12]])
        return Detections(boxes, torch.tensor([0.9, 0.8, 0.4]), torch.tensor(self.labels), masks)


@pytest.fixture(autouse=True)
def _fixed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SEGUE_HOME", str(tmp_path))
    monkeypatch.setattr(
        "segue.sessions.detecting.load", lambda name, weights=None: FixedDetector(LABELS[name])
    )


@pytest.mark.parametrize("name", LABELS)
def test_numbers_become_names_and_masks_become_objects(name: str) -> None:
    found = detector(name, device="cpu")(IMAGE)
    assert [(item.label, item.box) for item in found.objects] == [
        ("person", (0, 2, 10, 12)),
        ("car", (10, 2, 25, 12)),
    ]
    assert [round(item.score, 3) for item in found.objects] == [0.9, 0.8]
    assert set(np.unique(found.mask)) == {0, 1, 2}


@pytest.mark.parametrize("name", LABELS)
def test_wishes_are_heard(name: str) -> None:
    def labels(**wishes: object) -> list[str | None]:
        return [item.label for item in detector(name, device="cpu", **wishes)(IMAGE).objects]  # type: ignore[arg-type]

    assert labels(classes=["car", "dog"]) == ["car"]
    assert labels(classes=["car", "dog"], score=0.3) == ["car", "dog"]
    assert labels(max_objects=1) == ["person"]
    with pytest.raises(PromptError, match="unicorn"):
        labels(classes=["unicorn"])


@pytest.mark.parametrize(
    "name", [entry.name for entry in DETECTORS if "refine" not in entry.supported_options]
)
def test_options_of_lost_are_refused_for_other_detectors(name: str) -> None:
    for wishes in ({"refine": "none"}, {"features": "values"}):
        with pytest.raises(PromptError):
            detector(name, **wishes)  # type: ignore[arg-type]


def test_options_of_lost_reach_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("segue.sessions.detecting.load", lambda name, weights=None: DINO(64, depth=1))
    for options, expected in (
        ({}, ("keys", "crf")),
        ({"features": "values", "refine": "none"}, ("values", "none")),
    ):
        find = detector("lost", device="cpu", **options)  # type: ignore[arg-type]
        assert isinstance(find, DiscoveryDetector)
        assert (find.which, find.refine) == expected


class Boxed(nn.Module):
    """Finds a car that is also a truck, another car, and a doubtful dog, in every image."""

    def detect(self, image: npt.NDArray[np.uint8], min_score: float, tiles: int) -> TensorDetections:
        places = torch.tensor([[0.0, 2, 10, 12], [0, 2, 10, 11], [12, 2, 22, 12], [30, 2, 40, 12]])
        found = Detections(places, torch.tensor([0.9, 0.8, 0.7, 0.4]), torch.tensor([2, 7, 2, 16]))
        return take(found, found.scores >= min_score)


def test_boxes_of_one_object_become_one_object_with_a_mask(monkeypatch: pytest.MonkeyPatch) -> None:
    ready = Prepared(Boxed(), torch.device("cpu"), torch.float32, "")
    monkeypatch.setattr("segue.sessions.detecting.prepare", lambda *_, **__: ready)
    found = detector("nanodet", refine="none", device="cpu")(IMAGE)
    assert [(item.label, item.box) for item in found.objects] == [
        ("car", (0, 2, 10, 12)),
        ("car", (12, 2, 22, 12)),
    ]
    trucks = detector("nanodet", refine="none", classes=["truck", "dog"], score=0.3, device="cpu")(IMAGE)
    assert [item.label for item in trucks.objects] == ["truck", "dog"]
    with pytest.raises(PromptError):
        detector("nanodet", tiles=9)
    with pytest.raises(PromptError):
        detector("nanodet", refine="crf")


def test_a_box_with_a_doubtful_mask_comes_after_a_weaker_one_with_a_sure_mask() -> None:
    class Two(nn.Module):
        def detect(self, image: Image, least: float, tiles: int) -> TensorDetections:
            boxes = torch.tensor([[0.0, 0, 10, 10], [20, 0, 30, 10]])
            return Detections(boxes, torch.tensor([0.9, 0.6]), torch.tensor([0, 2]))

    class Judge:
        def __init__(self, image: Image) -> None:
            pass

        def answer(self, prompts: ImagePrompts) -> MaskPrediction:
            assert prompts.box is not None
            x0, y0, x1, y1 = map(int, prompts.box)
            iou = np.array([0.4 if x0 == 0 else 0.9], np.float32)
            return MaskPrediction((20, 40), (x0, y0, x1, y1), iou, np.ones((1, y1 - y0, x1 - x0), np.float32))

    find = partial(
        detect_boxes, Prepared(cast(NanoDetPlus, Two()), torch.device("cpu"), torch.float32, ""), 1
    )
    found = BoxDetector(find, COCO_ORDER, Judge, Rules(score=0.5))(IMAGE)
    assert [item.label for item in found.objects] == ["car", "person"]
    np.testing.assert_allclose([item.score for item in found.objects], [0.54, 0.36], atol=1e-6)


@pytest.mark.parametrize(
    ("said", "found"),
    [
        (None, None),
        ("dog, cat ,red car", ["dog", "cat", "red car"]),
        (["dog"], ["dog"]),
        (("dog", "cat"), ["dog", "cat"]),
        (frozenset({"dog"}), ["dog"]),
        ([], []),
        (["dog", 3], ["dog", "3"]),
    ],
)
def test_classes_are_names(said: Any, found: Any) -> None:
    assert as_classes(said) == found


@pytest.mark.parametrize("wrong", [3, ["dog", 3.5], ["dog", True], {"dog": 1}, iter(["dog"])])
def test_classes_that_are_no_names_are_refused(wrong: Any) -> None:
    with pytest.raises(ArgumentError):
        as_classes(wrong)
