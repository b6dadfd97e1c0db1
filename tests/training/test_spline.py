"""Thin-plate splines by their defining properties."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.interpolate import RBFInterpolator

from segue.training.warp import ThinPlateSpline


@pytest.fixture
def points() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(3)
    source = rng.random((12, 2))
    return source, source + rng.normal(0, 0.1, (12, 2)), rng.random((50, 2))


def test_control_points_map_exactly(points: tuple[np.ndarray, ...]) -> None:
    source, target, _ = points
    np.testing.assert_allclose(ThinPlateSpline(source, target)(source), target, atol=1e-10)


def test_an_affine_map_is_reproduced_everywhere(points: tuple[np.ndarray, ...]) -> None:
    source, _, elsewhere = points
    matrix, shift = np.array([[1.2, -0.3], [0.1, 0.8]]), np.array([0.5, -2])
    spline = ThinPlateSpline(source, source @ matrix + shift)
    np.testing.assert_allclose(spline(elsewhere), elsewhere @ matrix + shift, atol=1e-10)


def test_between_the_points_it_is_the_spline_of_scipy(points: tuple[np.ndarray, ...]) -> None:
    source, target, elsewhere = points
    reference = RBFInterpolator(source, target, kernel="thin_plate_spline")
    np.testing.assert_allclose(ThinPlateSpline(source, target)(elsewhere), reference(elsewhere), atol=1e-9)
