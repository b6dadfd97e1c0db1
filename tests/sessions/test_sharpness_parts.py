"""Kernels and limits of the blur by which a frame is less sharp than the empty scene."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from segue.sessions.sharpness import LENGTHS, SPREADS, Blur, motion_kernel, relative_blur
from tests.sessions.scenes import Bytes
from tests.sessions.test_sharpness import SCENE, textured


def test_a_motion_of_two_pixels_is_shared_by_three() -> None:
    """Nine points from one pixel before to one pixel after; each is shared by its neighbours."""
    row = np.array([0, 2.5, 4, 2.5, 0]) / 9
    expected = np.zeros((5, 5))
    expected[2] = row
    np.testing.assert_allclose(motion_kernel(2, 0), expected, atol=1e-6)
    np.testing.assert_allclose(motion_kernel(0, -2), expected.T, atol=1e-6)
    assert motion_kernel(2, 0).dtype == np.float32


def test_a_slanted_motion_is_shared_by_four_neighbours() -> None:
    kernel = motion_kernel(2, 2)
    assert kernel.shape == (5, 5)
    np.testing.assert_allclose(kernel, kernel.T, atol=1e-6)
    np.testing.assert_allclose(motion_kernel(2, -2), kernel[::-1], atol=1e-6)
    # Of a point that lies a quarter further on both ways, 9/16 stay, and 3/16 go to each of two neighbours.
    diagonal = (1 + 9 / 16 + 4 / 16 + 1 / 16) / 9
    assert kernel[1, 1] == pytest.approx(diagonal, abs=1e-6)
    assert kernel[1, 2] == pytest.approx(2 * (3 / 16 + 4 / 16 + 3 / 16) / 2 / 9, abs=1e-6)


@pytest.mark.parametrize(
    ("way", "side"), [((0, 0), 3), ((1, 0), 5), ((2, 0), 5), ((2.1, 0), 7), ((0, -7), 11), ((3, 9), 13)]
)
def test_kernels_are_as_large_as_the_motion(way: tuple[float, float], side: int) -> None:
    assert motion_kernel(*way).shape == (side, side)


def test_an_edge_is_spread_over_the_motion_or_twice_the_sigma() -> None:
    assert Blur(3.0, 4.0).reach == pytest.approx(5)
    assert Blur(spread=1.5).reach == 3
    assert Blur(6.0, -2.0, 0.5).scaled(2.0) == Blur(12.0, -4.0, 1.0)


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize(("right", "down"), [(1.0, 0.0), (0.0, 1.0)])
def test_the_length_that_was_tried_is_found(length: float, right: float, down: float) -> None:
    """Lengths are those of pictures of half the size."""
    frame = np.asarray(Blur(2 * length * right, 2 * length * down).act(SCENE), np.uint8)
    found = relative_blur(frame, SCENE, None)
    assert found is not None
    assert not found.spread
    assert np.hypot(found.right, found.down) == pytest.approx(2 * length, rel=1e-3)
    along = abs(found.right * right + found.down * down)
    assert along > 1.9 * length


@pytest.mark.parametrize("sigma", SPREADS[1:])
def test_the_sigma_that_was_tried_is_found(sigma: float) -> None:
    scene = cv2.resize(textured(5, 100, 120), (240, 200), interpolation=cv2.INTER_CUBIC)
    frame = np.asarray(cv2.GaussianBlur(scene, (0, 0), 2 * sigma), np.uint8)
    found = relative_blur(frame, np.asarray(scene, np.uint8), None)
    assert found is not None
    assert found == Blur(spread=2 * sigma)


def hidden_but(rows: int) -> np.ndarray:
    """All of the scene but so many rows of its 200."""
    hidden = np.ones(SCENE.shape[:2], bool)
    hidden[:rows] = False
    return hidden


@pytest.mark.parametrize(("rows", "known"), [(40, True), (38, False)])
def test_a_fifth_of_the_scene_must_be_seen(rows: int, known: bool) -> None:
    frame = np.asarray(Blur(10.0, 0.0).act(SCENE), np.uint8)
    found = relative_blur(frame, SCENE, hidden_but(rows))
    assert (found is not None) == known


def test_what_is_hidden_does_not_count() -> None:
    """Half of the picture is something plain, which would change every sum."""
    frame, hidden = np.asarray(Blur(10.0, 0.0).act(SCENE), np.uint8), np.zeros(SCENE.shape[:2], bool)
    frame[:, 120:], hidden[:, 116:] = 90, True
    found = relative_blur(frame, SCENE, hidden)
    assert found is not None
    assert abs(found.right) == pytest.approx(10, rel=0.01)
    odd = relative_blur(frame[:199, :239], SCENE[:199, :239], hidden[:199, :239])
    assert odd is not None
    assert abs(odd.right) == pytest.approx(10, rel=0.01)


def faint(contrast: float) -> Bytes:
    """The scene with less contrast, so that the energy of its edges is smaller by the square."""
    return np.asarray(np.rint(120 + contrast * (SCENE.astype(float) - 120)), np.uint8)


def test_a_scene_with_weak_edges_tells_nothing() -> None:
    blur = Blur(10.0, 0.0)
    assert relative_blur(np.asarray(blur.act(faint(0.6)), np.uint8), faint(0.6), None) is not None
    assert relative_blur(np.asarray(blur.act(faint(0.08)), np.uint8), faint(0.08), None) is None
