"""Colours of objects on the pages."""

from __future__ import annotations

import re

import cv2
import numpy as np
import pytest

from segue_web.colours import FIRST, colour_of
from segue_web.server.kit import STATIC

SIGHTS = {
    "usual": [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
    "protanopia": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deuteranopia": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "tritanopia": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}
"""What is seen of red, green and blue light: Machado, Oliveira and Fernandes 2009, table 1, severity 1."""


def least_distance(colours: list[str], sight: str) -> float:
    """The least difference of two colours in CIELAB, as people with a sight see them."""
    values = np.array([[int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)] for colour in colours])
    light = np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)
    seen = np.clip(light @ np.array(SIGHTS[sight]).T, 0, 1)
    rgb = np.where(seen <= 0.0031308, 12.92 * seen, 1.055 * seen ** (1 / 2.4) - 0.055)
    lab = cv2.cvtColor(rgb[None].astype(np.float32), cv2.COLOR_RGB2LAB)[0]
    distance = np.linalg.norm(lab[:, None] - lab, axis=2)
    return float(distance[~np.eye(len(colours), dtype=bool)].min())


def colours_in(script: str, name: str) -> list[str]:
    """The colours of a constant of a script of the page."""
    _, _, rest = (STATIC / script).read_text().partition(f"export const {name} = ")
    return re.findall("#[0-9a-f]{6}", rest.partition(";")[0])


@pytest.mark.parametrize("sight", SIGHTS)
def test_the_colour_blind_tell_the_colours_of_the_page_for_them_apart(sight: str) -> None:
    colours = colours_in("colours.js", "SAFE")
    assert len(colours) == 10
    assert least_distance(colours, sight) > 33
    assert least_distance(colours[:4], sight) > 40


def test_the_usual_colours_are_not_told_apart_by_all() -> None:
    """Why there is a choice: objects 1 and 3, and 6 and 10."""
    assert least_distance([FIRST[0], FIRST[2]], "deuteranopia") < 15
    assert least_distance([FIRST[5], FIRST[9]], "deuteranopia") < 5


@pytest.mark.parametrize("sight", SIGHTS)
@pytest.mark.parametrize("name", ["DIFFERENCE", "CHANGE", "NEIGHBOURS"])
def test_colours_with_a_meaning_are_told_apart_by_all(name: str, sight: str) -> None:
    assert least_distance(colours_in("paint.js", name), sight) > 33


def test_no_two_of_two_hundred_objects_have_the_same_colour() -> None:
    colours = [colour_of(number) for number in range(1, 201)]

    assert len(set(colours)) == 200
    assert colours[: len(FIRST)] == list(FIRST)
    assert all(re.fullmatch("#[0-9a-f]{6}", colour) for colour in colours)
    assert colour_of(65535) in map(colour_of, range(1, 300))


def test_forty_objects_can_be_told_apart() -> None:
    colours = [[int(colour_of(n)[i : i + 2], 16) / 255 for i in (1, 3, 5)] for n in range(1, 41)]
    lab = cv2.cvtColor(np.array([colours], np.float32), cv2.COLOR_RGB2LAB)[0]
    distance = np.linalg.norm(lab[:, None] - lab, axis=2)[~np.eye(40, dtype=bool)]

    assert distance.min() > 20, "2.3 in CIELAB is a just noticeable difference"
