"""Errors have their colours, and the worst frames are really the worst."""

from __future__ import annotations

import math

import numpy as np
import pytest

from segue.errors import SegueError
from segue.metrics.evaluation import FrameView, Series
from segue.reports.pictures import COLOURS, ENLARGED, closer, colour_errors, worst_frames


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


def frame_with(rows: slice, columns: slice, ignored: bool = False) -> FrameView:
    """A frame of 120 x 160 whose truth fills these rows and columns."""
    truth = np.zeros((120, 160), np.uint8)
    truth[rows, columns] = 1
    return FrameView(truth, np.zeros_like(truth), (truth > 0) & ignored)


@pytest.mark.parametrize("corner", [(0, 0), (116, 0), (0, 156), (116, 156), (58, 78)])
def test_small_things_are_shown_enlarged_in_the_shape_of_the_frame(corner: tuple[int, int]) -> None:
    y, x = corner
    rows, columns = closer(frame_with(slice(y, y + 4), slice(x, x + 4)))
    assert (rows.stop - rows.start, columns.stop - columns.start) == (120 / ENLARGED, 160 / ENLARGED)
    assert 0 <= rows.start <= y < y + 4 <= rows.stop <= 120
    assert 0 <= columns.start <= x < x + 4 <= columns.stop <= 160


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
