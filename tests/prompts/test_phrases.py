"""Phrases: labels in the singular and plural, synonyms, groups and colours."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from segue.errors import ArgumentError, PromptError
from segue.models.deeplab import VOC_NAMES
from segue.models.detection.classes import COCO_ORDER
from segue.prompts.phrases import COLOURS, parse_phrases, unmatched

LABELS = [*COCO_ORDER.values()]


def meant(text: str, labels: list[str] = LABELS) -> list[str]:
    (phrase,) = parse_phrases(text)
    return [label for label in labels if phrase.fits(label)]


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("people", "person"),
        ("The  Pedestrians.", "person"),
        ("every car", "car"),
        ("buses", "bus"),
        ("knives", "knife"),
        ("mice", "mouse"),
        ("bikes", "bicycle"),
        ("motorbike", "motorcycle"),
        ("sofas", "couch"),
        ("wine glasses", "wine glass"),
        ("ski", "skis"),
        ("potted-plants", "potted plant"),
        ("oranges", "orange"),
        ("teddy bears", "teddy bear"),
        ("television", "tv"),
    ],
)
def test_a_phrase_means_one_class(text: str, label: str) -> None:
    assert meant(text) == [label]


@pytest.mark.parametrize("label", LABELS)
def test_each_class_name_selects_its_class(label: str) -> None:
    assert meant(label) == [label]
    assert meant(f"{label}s")[:1] == [label]


def test_groups_and_anything() -> None:
    assert {"car", "bus", "truck", "boat"} < set(meant("vehicles"))
    assert set(meant("an animal")) == {*LABELS[14:24]}
    assert meant("every object") == meant("things") == meant("anything") == LABELS


def test_names_of_pascal_voc_are_understood_as_well() -> None:
    labels = [name for name in VOC_NAMES if name != "background"]
    for text, label in {"airplane": "aeroplane", "couches": "sofa", "tv": "tvmonitor"}.items():
        assert meant(text, labels) == [label]


@pytest.mark.parametrize("text", ["woman", "fish", "zebra crossing", "person with a hat", "dark car", "s"])
def test_other_phrases_mean_no_class_and_are_not_cut_short(text: str) -> None:
    assert meant(text) == []
    assert [phrase.text for phrase in unmatched(parse_phrases(f"car, {text}"), COCO_ORDER)] == [text]


def test_several_phrases_with_commas_or_in_a_list() -> None:
    found = parse_phrases("person, Red  car,person")
    assert [(phrase.text, phrase.noun, phrase.colour) for phrase in found] == [
        ("person", "person", None),
        ("Red car", "car", "red"),
    ]
    assert parse_phrases(["person", "Red  car"]) == found
    assert parse_phrases("gray objects")[0].colour == "grey"
    # A colour alone is a noun: an orange is a fruit, and nothing else has such a label.
    assert (meant("orange"), meant("red")) == (["orange"], [])


@pytest.mark.parametrize(
    ("text", "error"),
    [
        *((empty, PromptError) for empty in ("", " , ", "the", [])),
        *((no_text, ArgumentError) for no_text in (3, ["person", 3], {0: "person"})),
    ],
)
def test_empty_texts_and_other_values_are_refused(text: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match=r"^text"):
        parse_phrases(text)


SHOWN = {
    "black": (20, 20, 25),
    "grey": (120, 122, 125),
    "white": (240, 240, 235),
    "red": (200, 30, 30),
    "orange": (240, 130, 20),
    "yellow": (240, 220, 40),
    "green": (40, 160, 60),
    "blue": (40, 70, 200),
    "purple": (120, 40, 190),
    "pink": (250, 150, 190),
    "brown": (110, 70, 30),
}


@pytest.mark.parametrize("colour", COLOURS)
def test_colours_of_an_object(colour: str) -> None:
    image = np.zeros((20, 20, 3), np.uint8)
    image[:] = SHOWN["green" if colour != "green" else "red"]
    image[5:15, 5:15] = SHOWN[colour]
    mask = np.zeros((20, 20), bool)
    mask[5:15, 5:15] = True
    phrases = {phrase.colour: phrase for phrase in parse_phrases([f"{name} car" for name in COLOURS])}
    assert [name for name in COLOURS if phrases[name].has_colour(image, mask)] == [colour]


@pytest.mark.parametrize(("rows", "red"), [(2, False), (3, True), (5, True)])
def test_an_object_is_red_from_a_share_of_its_pixels_on(rows: int, red: bool) -> None:
    """A car has windows and wheels as well."""
    image = np.full((10, 10, 3), SHOWN["black"], np.uint8)
    image[:rows] = SHOWN["red"]
    assert parse_phrases("red car")[0].has_colour(image, np.ones((10, 10), bool)) == red
