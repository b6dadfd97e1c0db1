"""Detectors of a program, and detectors that are asked for phrases."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

import segue
from segue.errors import CheckpointError, PromptError
from segue.models.detection.detections import Detections
from segue.models.detection.released import Released
from segue.prompts.detectors import BoxDetector, Detector
from segue.prompts.phrases import parse_phrases
from segue.prompts.proposals import Rules
from segue.sessions.detecting import choose_for_text, detector, restrict_to_phrases
from segue.types import Frame

IMAGE = np.zeros((60, 80, 3), np.uint8)
IMAGE[10:30, 10:30] = (200, 30, 30)
IMAGE[30:50, 40:70] = (40, 70, 200)
BOXES = np.array([[40, 30, 70, 50], [10, 10, 30, 30]], float)


def own(
    boxes: Any, scores: list[float], labels: list[str | None], masks: Any = None, **options: Any
) -> BoxDetector:
    found = Detections(np.array(boxes, float).reshape(-1, 4), np.array(scores), labels, masks)
    return BoxDetector(lambda image, rules: found, options.pop("names", {}), None, Rules(**options))


def finds(find: Detector) -> list[tuple[str | None, float, Any]]:
    return [(item.label, round(item.score, 2), item.box) for item in find(Frame(0, 0.0, IMAGE)).objects]


GIVEN: Any = (BOXES, [0.6, 0.9], ["boat", "car"])
BOTH = [("car", 0.9, (10, 10, 30, 30)), ("boat", 0.6, (40, 30, 70, 50))]


def test_boxes_of_a_function_become_objects() -> None:
    assert finds(own(*GIVEN)) == BOTH
    assert finds(own(*GIVEN, score=0.7)) == BOTH[:1]
    assert finds(own(*GIVEN, max_objects=1)) == BOTH[:1]
    assert finds(own(*GIVEN, classes=frozenset({"boat"}))) == BOTH[1:]
    assert finds(own([], [], [])) == []
    outside = own([[70, 50, 90, 70], [5, 5, 5, 9]], [1.0, 1.0], ["a", "b"])
    assert finds(outside) == [("a", 1.0, (70, 50, 80, 60))]
    with pytest.raises(PromptError):
        own(*GIVEN, names={0: "car"}, classes=frozenset({"boat"}))


def test_masks_are_taken_as_they_are() -> None:
    masks = np.zeros((2, 60, 80), np.float32)
    masks[0, 40:50, 40:70] = 0.7
    masks[1, 10:20, 10:30] = 0.9
    found = finds(own(BOXES, [0.6, 0.9], [None, None], masks))
    assert found == [(None, 0.9, (10, 10, 30, 20)), (None, 0.6, (40, 40, 70, 50))]


SCORES, LABELS = np.array([0.6, 0.9]), ["boat", "car"]
PLANES = np.zeros((2, 60, 80), np.float32)
PLANES[0, 30:50, 40:70], PLANES[1, 10:30, 10:30] = 0.7, 0.9
DETECTIONS = SimpleNamespace(
    xyxy=BOXES, confidence=SCORES, mask=None, class_id=None, data={"class_name": np.array(LABELS)}
)
ANSWERS = {
    "Detections of supervision": DETECTIONS,
    "boxes, scores and labels": (BOXES, SCORES, LABELS),
    "a dictionary of tensors": {
        "boxes": torch.tensor(BOXES),
        "scores": torch.tensor(SCORES),
        "labels": LABELS,
        "masks": torch.tensor(PLANES)[:, None],
    },
}


@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS)
def test_any_function_of_an_image_is_a_detector(answer: Any) -> None:
    assert finds(detector(lambda image: answer, refine="none", device="cpu")) == BOTH
    assert finds(detector(lambda image: answer, score=0.7, refine="none", device="cpu")) == BOTH[:1]
    assert finds(detector(lambda image: answer, classes=["boat"], refine="none", device="cpu")) == BOTH[1:]


def test_a_function_that_finds_boxes_alone_gets_masks_of_segue_prompt() -> None:
    found = detector(lambda image: BOXES, device="cpu")(Frame(0, 0.0, IMAGE))
    assert len(found.objects) == 2
    red = np.zeros(IMAGE.shape[:2], np.bool_)
    red[10:30, 10:30] = True
    masks = [found.mask == item.id for item in found.objects]
    assert max((mask & red).sum() / (mask | red).sum() for mask in masks) > 0.5


@pytest.mark.parametrize(
    "answer",
    [None, {"scores": [1]}, (BOXES, [0.5]), {"boxes": BOXES, "masks": PLANES[:, :9]}, np.zeros((2, 3))],
)
def test_an_answer_of_another_form_is_refused(answer: Any) -> None:
    with pytest.raises(PromptError):
        detector(lambda image: answer, device="cpu")(Frame(0, 0.0, IMAGE))


def test_options_of_detectors_by_name_are_refused_for_a_function() -> None:
    with pytest.raises(PromptError):
        detector(lambda image: BOXES, tiles=2)


def test_segue_tracks_what_a_function_finds() -> None:
    find = segue.detector(lambda image: (BOXES, SCORES, LABELS), refine="none", device="cpu")
    found = list(segue.track([IMAGE] * 3, segue.Auto(find), device="cpu"))
    assert {item.label for item in found[-1].objects} == {"boat", "car"}


def test_invalid_detectors_are_refused() -> None:
    with pytest.raises(PromptError):
        detector(3)  # type: ignore[arg-type]


def test_a_frame_may_have_more_objects_than_a_byte_has_values() -> None:
    columns, rows = np.meshgrid(np.arange(20) * 4, np.arange(15) * 4)
    boxes = np.stack([columns, rows, columns + 4, rows + 4], -1).reshape(-1, 4)
    find = own(boxes, [1.0] * 300, [None] * 300, max_objects=300)
    found = find(Frame(0, 0.0, IMAGE))
    assert [item.id for item in found.objects] == list(range(1, 301))
    assert np.bincount(found.mask.ravel()).tolist() == [0, *[16] * 300]


def asked(text: str, **options: Any) -> list[tuple[str | None, float, Any]]:
    return finds(restrict_to_phrases(own(*GIVEN, **options), parse_phrases(text)))


def test_phrases_choose_and_label_the_finds_of_a_detector() -> None:
    assert asked("ships, cars") == [("cars", *BOTH[0][1:]), ("ships", *BOTH[1][1:])]
    assert asked("bus") == []
    assert asked("ship. car.") == [("car", *BOTH[0][1:]), ("ship", *BOTH[1][1:])]  # as for Grounding DINO
    assert asked("blue vehicle, thing") == [("thing", *BOTH[0][1:]), ("blue vehicle", *BOTH[1][1:])]
    assert asked("blue car, red boat") == []
    with pytest.raises(PromptError):
        asked("boat, bus", names={0: "car", 1: "boat"})


def test_the_detector_that_phrases_are_asked_of_stays_as_it_was() -> None:
    find = own(*GIVEN, names={0: "car", 1: "boat"})
    boats = restrict_to_phrases(find, parse_phrases("boat"))
    cars = restrict_to_phrases(find, parse_phrases("red car"))
    assert finds(find) == BOTH
    assert (finds(boats), finds(cars)) == ([BOTH[1]], [("red car", *BOTH[0][1:])])


def test_a_detector_of_a_program_finds_what_is_tracked() -> None:
    frames = [np.roll(IMAGE, shift, 1) for shift in (0, 2)]
    auto = segue.Auto(own(BOXES[1:], [0.9], ["car"]))
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
    with pytest.raises(CheckpointError):
        detector("sam3", text="person", device="cpu")


def test_texts_go_with_detectors_that_know_classes() -> None:
    for name in ("motion", "lost-b16"):
        with pytest.raises(PromptError):
            detector(name, text="person")
    with pytest.raises(PromptError):
        detector("owlv2")
    with pytest.raises(PromptError):
        detector("nanodet", text="person", classes="person")


def test_phrases_are_the_names_of_what_is_looked_for() -> None:
    assert detector(text="people, vehicles", device="cpu").names == {1: "people", 2: "vehicles"}


@pytest.mark.parametrize(
    ("boxes", "scores", "warning"),
    [
        ([[10, 10, 30, np.nan], BOXES[0]], [0.9, 0.6], "boxes or scores that are no numbers"),
        ([[10, 10, np.inf, 30], BOXES[0]], [0.9, 0.6], "boxes or scores that are no numbers"),
        ([BOXES[1], BOXES[0]], [np.nan, 0.6], "boxes or scores that are no numbers"),
        ([[60, 40, 20, 20], BOXES[0]], [0.9, 0.6], "second corner is left of or above the first"),  # w, h
    ],
)
def test_boxes_that_say_no_place_are_warned_of_and_the_others_are_found(
    boxes: Any, scores: list[float], warning: str
) -> None:
    find = detector(lambda image: (np.array(boxes, float), np.array(scores)), refine="none")
    with pytest.warns(UserWarning, match=warning):
        assert finds(find) == [(None, 0.6, (40, 30, 70, 50))]


def test_boxes_outside_the_image_are_left_out_without_a_warning(recwarn: pytest.WarningsRecorder) -> None:
    find = detector(lambda image: np.array([[-40.0, -30, -5, -5], [0, 0, 0, 0], BOXES[0]]), refine="none")
    assert finds(find) == [(None, 1.0, (40, 30, 70, 50))]
    assert not recwarn
