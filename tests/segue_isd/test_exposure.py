"""Motion blur and bent images."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from segue.datasets.foreground.labels import MOTION, STATIC, UNKNOWN
from segue.utils.arrays import Float64Array
from segue_isd.presets import COMMON
from segue_isd.render.maps import Lens, Maps, averaged, labels
from segue_isd.scene.casting import CastOptions
from segue_isd.scene.scene import build_scene

BUSY = replace(COMMON, cast=CastOptions(people=(3, 5), bags=1.0, present=1.0))


SIZE = (48, 64)


def _maps(coverage: float = 0, shadow: float = 0, image: float = 0) -> Maps:
    """One pixel."""
    grey = np.full((1, 1), image, np.uint8)
    return Maps(
        image=np.repeat(grey[..., None], 3, axis=2),
        coverage=np.full((1, 1), round(255 * coverage), np.uint8),
        normal=np.zeros((1, 1, 3), np.uint8),
        shadow=np.full((1, 1), round(255 * shadow), np.uint8),
        depth=np.ones((1, 1), np.float32),
        ids=np.full((1, 1), int(coverage > 0.5), np.int32),
        flow=np.zeros((1, 1, 2), np.float32),
    )


@pytest.mark.parametrize(
    ("shares", "label"),
    [((1, 1, 1), MOTION), ((1, 0, 1), UNKNOWN), ((0, 0, 1), UNKNOWN), ((0, 0, 0), STATIC)],
)
def test_pixels_covered_for_part_of_the_exposure_are_unknown(shares: tuple[float, ...], label: int) -> None:
    first, *others = (_maps(coverage=share) for share in shares)
    assert labels(averaged(first, others))[0, 0] == label


def _straight(places: Float64Array, bend: float, size: tuple[int, int]) -> Float64Array:
    """Where points (x, y) of a bent image were, by the formula of the class."""
    half, middle = np.hypot(*size) / 2, np.array(size[::-1]) / 2
    away = (places - middle) / half
    radius = np.linalg.norm(away, axis=-1, keepdims=True)
    return np.asarray(middle + half * away * (1 + bend * radius**2) / (1 + bend))


def _centres(size: tuple[int, int]) -> Float64Array:
    """(H, W, 2), x and y of the middles of the pixels."""
    return np.stack(np.meshgrid(*(np.arange(side, dtype=np.float64) + 0.5 for side in size[::-1])), axis=-1)


def _ramps(size: tuple[int, int]) -> Maps:
    """Maps whose depth is the number of the column, moving by (2, -1) pixels and a little more."""
    height, width = size
    y, x = np.mgrid[:height, :width].astype(np.float32)
    blank = np.zeros(size, np.uint8)
    flow = np.stack([2 + 0 * x, -1 + 0 * y], axis=2)
    return Maps(
        np.dstack([x, y, x]).astype(np.uint8), blank, np.dstack([blank] * 3), blank, x, x.astype(int), flow
    )


def test_flow_through_a_lens_ends_where_the_point_goes() -> None:
    bent = Lens(0.3, SIZE).maps(_ramps(SIZE))
    places = _centres(SIZE)
    before, after = (_straight(spots, 0.3, SIZE) for spots in (places, places + bent.flow))
    np.testing.assert_allclose(after - before, np.broadcast_to((2, -1), before.shape), atol=2e-3)


def test_the_moments_of_an_exposure_lie_around_its_frame() -> None:
    scene = build_scene(4, 10, SIZE, BUSY, ["office"])
    scene = replace(scene, sensor=replace(scene.sensor, exposures=5, shutter=0.04))
    middle = scene.moment(3).time
    times = [moment.time - middle for moment in scene.exposures(3)]
    assert times == pytest.approx([-0.02, -0.01, 0.01, 0.02])
