"""Colours of objects on the pages."""

from __future__ import annotations

import re

import cv2
import numpy as np

from segue_web.project.colours import FIRST, colour_of


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
