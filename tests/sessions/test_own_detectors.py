"""Detectors made of functions, and detectors that are asked for phrases."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

import segue
from segue.errors import ArgumentError, CheckpointError, PromptError
from segue.models.detection.released import Released
from segue.prompts.phrases import parse_phrases
from segue.sessions.detecting import choose_for_text, detector

IMAGE = np.zeros((60, 80, 3), np.uint8)
IMAGE[10:30, 10:30] = (200, 30, 30)
IMAGE[30:50, 40:70] = (40, 70, 200)
BOXES = np.array([[40, 30, 70, 50], [10, 10, 30, 30]], float)


def finds(given: Any, **options: Any) -> list[tuple[str | None, float, Any]]:
    find = detector(lambda image: given, refine="none", device="cpu", **options)
    return [(item.label, round(item.score, 2), item.box) for item in find(IMAGE).objects]


BOTH = [("car", 0.9, (10, 10, 30, 30)), ("boat", 0.6, (40, 30, 70, 50))]


@pytest.mark.parametrize(
    "given",
    [
        (BOXES, [0.6, 0.9], ["boat", "car"]),
        (BOXES.tolist(), [0.6, 0.9], np.array(["boat", "car"])),
        {"boxes": torch.tensor(BOXES), "scores": torch.tensor([0.6, 0.9]), "labels": ["boat", "car"]},
        [{"boxes": torch.tensor(BOXES), "scores": torch.tensor([0.6, 0.9]), "labels": torch.tensor([1, 0])}],
        SimpleNamespace(xyxy=BOXES, confidence=[0.6, 0.9], class_id=np.array([1, 0]), mask=None, data={}),
        SimpleNamespace(
            xyxy=BOXES,
            confidence=[0.6, 0.9],
            class_id=np.array([7, 9]),
            mask=None,
            data={"class_name": np.array(["boat", "car"])},
        ),
    ],
)
def test_what_functions_give(given: Any) -> None:
    assert finds(given, names=["car", "boat"]) == BOTH


def test_detections_of_supervision() -> None:
    supervision = pytest.importorskip("supervision")
    masks = np.zeros((2, 60, 80), bool)
    masks[0, 35:50, 40:70] = masks[1, 10:30, 15:30] = True
    given = supervision.Detections(
        xyxy=BOXES, mask=masks, confidence=np.array([0.6, 0.9]), class_id=np.array([1, 0])
    )
    assert finds(given, names={0: "car", 1: "boat"}) == [
        ("car", 0.9, (15, 10, 30, 30)),
        ("boat", 0.6, (40, 35, 70, 50)),
    ]


def test_masks_of_torchvision_have_a_channel_and_are_taken_as_they_are() -> None:
    masks = torch.zeros(2, 1, 60, 80)
    masks[0, 0, 40:50, 40:70] = 0.7
    masks[1, 0, 10:20, 10:30] = 0.9
    given = {"boxes": torch.tensor(BOXES), "scores": torch.tensor([0.6, 0.9]), "masks": masks}
    assert finds(given) == [(None, 0.9, (10, 10, 30, 20)), (None, 0.6, (40, 40, 70, 50))]


def test_rules_hold_for_functions_as_well() -> None:
    given = (BOXES, [0.6, 0.9], ["boat", "car"])
    assert finds(given, score=0.7) == BOTH[:1]
    assert finds(given, max_objects=1) == BOTH[:1]
    assert finds(given, classes="boat") == BOTH[1:]
    assert finds(([], [], [])) == []
    assert finds((BOXES[1:], [0.9], [""])) == [(None, 0.9, (10, 10, 30, 30))]
    assert finds(([[70, 50, 90, 70], [5, 5, 5, 9]], [1.0, 1.0], ["a", "b"])) == [("a", 1.0, (70, 50, 80, 60))]
    with pytest.raises(PromptError, match="class"):
        detector(lambda image: given, names=["car"], classes="boat")


@pytest.mark.parametrize(
    "given",
    [
        None,
        BOXES,
        ([[1, 2, 3]], [0.5], ["a"]),
        (BOXES * np.nan, [0.5, 0.5], ["a", "b"]),
        (BOXES, [0.5], ["a", "b"]),
        (BOXES, [0.5, 1.5], ["a", "b"]),
        (BOXES, [0.5, 0.5], ["a"]),
        ("boxes", [0.5], ["a"]),
        {"boxes": BOXES, "scores": [0.5, 0.5], "masks": np.zeros((2, 5, 5))},
    ],
)
def test_other_answers_of_functions_are_refused(given: Any) -> None:
    with pytest.raises(PromptError, match=r"^detector: "):
        finds(given)


def test_what_is_no_detector_is_refused() -> None:
    with pytest.raises(ArgumentError, match="name"):
        detector(3)  # type: ignore[arg-type]
    with pytest.raises(PromptError, match="names"):
        detector("nanodet", names=["car"])
    with pytest.raises(PromptError, match="takes no"):
        detector(lambda image: None, tiles=2)


def test_phrases_choose_and_label_the_finds_of_a_function() -> None:
    given = (BOXES, [0.6, 0.9], ["boat", "car"])
    assert finds(given, text="ships, cars") == [("cars", *BOTH[0][1:]), ("ships", *BOTH[1][1:])]
    assert finds(given, text="bus") == []
    assert finds(given, text="blue vehicle, thing") == [
        ("thing", *BOTH[0][1:]),
        ("blue vehicle", *BOTH[1][1:]),
    ]
    assert finds(given, text="blue car, red boat") == []
    with pytest.raises(PromptError, match="text 'bus'"):
        finds(given, text="boat, bus", names=["car", "boat"])


def test_a_function_finds_what_is_tracked() -> None:
    frames = [np.roll(IMAGE, shift, 1) for shift in (0, 2)]
    auto = segue.Auto(detector(lambda image: (BOXES[1:], [0.9], ["car"]), refine="none"))
    results = [*segue.track(frames, auto, device="cpu")]
    assert [[(item.id, item.label) for item in result.objects] for result in results] == [[(1, "car")]] * 2


def cached(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    monkeypatch.setattr(Released, "folder", lambda self: "folder" if self.name in names else None)


def test_the_detector_in_segue_answers_its_classes(monkeypatch: pytest.MonkeyPatch) -> None:
    cached(monkeypatch, "owlv2")
    assert choose_for_text(parse_phrases("people, cars")) == "nanodet"
    assert choose_for_text(parse_phrases("red car")) == "owlv2"
    assert choose_for_text(parse_phrases("person, fish")) == "owlv2"
    cached(monkeypatch)
    assert choose_for_text(parse_phrases("person, red car")) == "nanodet"


def test_without_a_model_for_a_phrase_one_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    cached(monkeypatch)
    with pytest.raises(PromptError, match="fish") as caught:
        detector(text="person, fish")
    assert "\n" not in str(caught.value)
    assert all(word in str(caught.value) for word in ("hf download google/owlv2", "620 MB", "Apache-2.0"))
    with pytest.raises(CheckpointError, match="hf download facebook/sam3"):
        detector("sam3", text="person", device="cpu")


def test_texts_go_with_detectors_that_know_classes() -> None:
    for name in ("motion", "lost-b16"):
        with pytest.raises(PromptError, match="text"):
            detector(name, text="person")
    with pytest.raises(PromptError, match="text"):
        detector("owlv2")
    with pytest.raises(PromptError, match="classes"):
        detector("nanodet", text="person", classes="person")


def test_phrases_are_the_names_of_what_is_looked_for() -> None:
    assert detector(text="people, vehicles", device="cpu").names == {1: "people", 2: "vehicles"}
