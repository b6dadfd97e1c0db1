"""Errors have their colours, and the worst frames are really the worst."""

from __future__ import annotations

import math

import numpy as np
import pytest

from segue.errors import SegueError
from segue.metrics.evaluation import FrameView, Series
from segue.reports.images import COLOURS, colour_errors, worst_frames


def row(*values: int) -> np.ndarray:
    return np.array([values], np.uint8)


def test_every_kind_of_pixel_has_its_colour() -> None:
    view = FrameView(
        truth=row(0, 1, 0, 1, 1, 1), result=row(0, 1, 1, 0, 2, 0), ignored=row(0, 0, 0, 0, 0, 1).astype(bool)
    )
    assert [tuple(map(int, pixel)) for pixel in colour_errors(view)[0]] == [(0, 0, 0), *COLOURS.values()]


@pytest.mark.parametrize("wrong", ["result", "ignored", "image"])
def test_sizes_must_agree(wrong: str) -> None:
    mask = np.zeros((4, 5), np.uint8)
    parts = {"truth": mask, "result": mask, "ignored": mask > 0, "image": np.zeros((4, 5, 3), np.uint8)}
    parts[wrong] = parts[wrong][1:]
    with pytest.raises(SegueError, match="one size"):
        colour_errors(FrameView(**parts))


def series(*values: float) -> dict[str, Series]:
    return {"J": Series(tuple(map(str, range(len(values)))), np.array(values, np.float64))}


def test_worst_frames_come_lowest_first_and_without_neighbours() -> None:
    ramp = series(*np.linspace(1, 0, 30))
    found = worst_frames({"ramp": ramp, "flat": series(0.5, math.nan)}, 10)
    assert [(worst.sequence, worst.frame) for worst in found] == [
        ("ramp", "29"),
        ("ramp", "26"),
        ("flat", "0"),
    ]
    assert found[0].value == 0
