"""The strips that explain foreground: what stands where, and how bright it is."""

from __future__ import annotations

import numpy as np

from segue.sessions.foreground.background.quantiles import Scene
from segue.sessions.foreground.segmenters.explaining import draw, grey

SIZE = (4, 6)
IMAGE = np.random.default_rng(0).integers(0, 256, (*SIZE, 3)).astype(np.uint8)
SCENE = np.full((*SIZE, 3), 70, np.uint8)


def cell(image: np.ndarray, row: int, column: int) -> np.ndarray:
    height, width = SIZE
    return image[row * height : (row + 1) * height, column * width : (column + 1) * width]


def test_a_plain_strip_is_the_frame_the_scene_and_the_probability() -> None:
    foreground = np.linspace(0, 1, 24, dtype=np.float32).reshape(SIZE)
    planes = Scene.of(SCENE).planes.copy()
    planes[0:3], planes[6:9] = planes[3:6] - 1, planes[3:6] + 1
    drawn = draw(IMAGE, Scene(planes), foreground, [[]])
    assert drawn.shape == (4, 30, 3)
    assert drawn.dtype == np.uint8
    assert np.array_equal(cell(drawn, 0, 0), IMAGE)
    assert np.array_equal(cell(drawn, 0, 1), SCENE)
    assert np.array_equal(cell(drawn, 0, 2), SCENE - 1)
    assert np.array_equal(cell(drawn, 0, 3), SCENE + 1)
    probability = cell(drawn, 0, 4)
    assert (probability == probability[..., :1]).all()
    assert np.array_equal(probability[..., 0], np.uint8(255 * foreground))


def test_maps_of_the_context_are_as_bright_as_their_own_largest_value() -> None:
    context = [np.full((2, 3), 0.25, np.float32), np.zeros((2, 3), np.float32)]
    context[1][:, 2] = 8
    drawn = draw(IMAGE, None, np.zeros(SIZE, np.float32), [list(map(grey, context))])
    assert drawn.shape == (4, 24, 3)
    assert (cell(drawn, 0, 1) == 255).all()
    second = cell(drawn, 0, 2)[..., 0]
    assert second[:, -1].tolist() == [255] * 4
    assert second[:, 0].tolist() == [0] * 4


def test_rows_that_are_short_are_filled_with_black() -> None:
    drawn = draw(IMAGE, None, np.zeros(SIZE, np.float32), [[], [grey(np.ones(SIZE, np.float32))]])
    assert drawn.shape == (8, 12, 3)
    assert (cell(drawn, 1, 0) == 255).all()
    assert not cell(drawn, 1, 1).any()
