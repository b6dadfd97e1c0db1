"""The scene of the sample clip: pebbles under moving light, and lily pads above."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from tools.sample.noise import Field, mix, octave_noise, smoothstep
from tools.sample.sprites import Colours, Layer, Texture

WATER = (0.15, 0.41, 0.38)
STONES = ((0.55, 0.50, 0.42), (0.40, 0.42, 0.38), (0.62, 0.58, 0.52), (0.34, 0.31, 0.28))
MARGIN = 50
"""How much larger than the frame the painted floor is on each side, in frame pixels."""
PADS = (
    (348.0, 48.0, 40.0, 2.3),
    (404.0, 104.0, 27.0, 4.4),
    (64.0, 214.0, 34.0, -0.6),
    (16.0, 168.0, 20.0, 1.2),
)
"""Lily pads: centre, radius in frame pixels, direction of the notch in radians."""


class Pond:
    """Floor, light and lily pads of a scene of ``size`` (height, width) frame pixels.

    Args:
        rng: source of all randomness.
        size: of the frame.
        scale: painted pixels per frame pixel.
    """

    def __init__(self, rng: np.random.Generator, size: tuple[int, int], scale: float) -> None:
        rows, columns = (round((side + 2 * MARGIN) * scale) for side in size)
        floor = _paint_floor(rng, (rows, columns), scale)
        whole = np.ones((rows, columns), np.float32)
        self._floor = Texture(floor, whole, -MARGIN, -MARGIN, scale)
        pads = _paint_pads(rng, (rows, columns), scale)
        self._pads = Texture(*pads, -MARGIN, -MARGIN, scale)
        self._ripples = [octave_noise(rng, (rows, columns), cell=34 * scale, octaves=2) for _ in range(2)]
        self._scale = scale

    def floor(self, time: float, x: Field, y: Field) -> Colours:
        """Colours of the floor in moving light, at the scene coordinates ``x``, ``y``; time in 0..1."""
        return self._floor.look_up(x, y, 0).colour * self._light(time, x, y)[..., None]

    def pads(self, x: Field, y: Field) -> Layer:
        """The lily pads."""
        return self._pads.look_up(x, y, height=14.0)

    def _light(self, time: float, x: Field, y: Field) -> Field:
        """Caustics: bright lines where two drifting fields cancel."""
        drift = np.float32(22 * time)
        total = np.zeros(x.shape, np.float32)
        for ripple, way in zip(self._ripples, (1, -1), strict=True):
            column, row = (x + MARGIN + way * drift) * self._scale, (y + MARGIN + drift / 2) * self._scale
            total += cv2.remap(ripple, column, row, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
        return np.asarray(0.92 + 0.5 * np.exp(-((total / 0.28) ** 2)), np.float32)


def _paint_floor(rng: np.random.Generator, size: tuple[int, int], scale: float) -> Colours:
    cells, rim = _pebbles(rng, size, spacing=15 * scale)
    count = int(cells.max()) + 1
    stones = np.array(STONES, np.float32)
    tones = stones[rng.integers(len(stones), size=count)] * rng.uniform(0.9, 1.4, (count, 1)).astype(
        np.float32
    )
    dome = smoothstep(0, 4 * scale, rim)
    slope = cv2.GaussianBlur(dome, (0, 0), 0.6 * scale)
    light = cv2.Sobel(slope, cv2.CV_32F, 1, 0, ksize=3) + cv2.Sobel(slope, cv2.CV_32F, 0, 1, ksize=3)
    grain = 1 + 0.07 * octave_noise(rng, size, cell=6 * scale, octaves=3)
    colour = tones[cells] * ((0.45 + 0.55 * dome) * grain + 0.3 * light)[..., None]
    depth = np.clip(0.5 + 0.13 * octave_noise(rng, size, cell=160 * scale, octaves=3), 0.2, 0.8)
    return mix(np.clip(colour, 0, 1).astype(np.float32), WATER, depth.astype(np.float32))


def _pebbles(
    rng: np.random.Generator, size: tuple[int, int], spacing: float
) -> tuple[npt.NDArray[np.int32], Field]:
    """Voronoi cells of a shaken grid with bent borders: cell numbers, distance to the border in pixels."""
    rows, columns = size
    grid = np.mgrid[0:rows:spacing, 0:columns:spacing].reshape(2, -1).T
    places = (grid + rng.uniform(-0.45, 0.45, grid.shape) * spacing).astype(int)
    places = places.clip(0, (rows - 1, columns - 1))
    empty = np.full(size, 255, np.uint8)
    empty[places[:, 0], places[:, 1]] = 0
    _, nearest = cv2.distanceTransformWithLabels(empty, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
    bend = [spacing / 7 * octave_noise(rng, size, cell=spacing, octaves=2) for _ in range(2)]
    y, x = np.mgrid[:rows, :columns].astype(np.float32)
    bent = cv2.remap(
        nearest.astype(np.float32), x + bend[0], y + bend[1], cv2.INTER_NEAREST, borderMode=cv2.BORDER_REFLECT
    )
    cells: npt.NDArray[np.int32] = bent.astype(np.int32)
    same = np.ones(size, np.uint8)
    same[:, 1:] &= (cells[:, 1:] == cells[:, :-1]).astype(np.uint8)
    same[1:] &= (cells[1:] == cells[:-1]).astype(np.uint8)
    return cells, np.asarray(cv2.distanceTransform(same, cv2.DIST_L2, 5), np.float32)


def _paint_pads(rng: np.random.Generator, size: tuple[int, int], scale: float) -> tuple[Colours, Field]:
    y, x = np.mgrid[: size[0], : size[1]].astype(np.float32) / np.float32(scale) - MARGIN
    colour = np.zeros((*size, 3), np.float32)
    alpha = np.zeros(size, np.float32)
    tone = octave_noise(rng, size, cell=18 * scale, octaves=4)
    wobble = octave_noise(rng, size, cell=26 * scale, octaves=2)
    for centre_x, centre_y, radius, notch in PADS:
        dx, dy = x - centre_x, y - centre_y
        distance, angle = np.hypot(dx, dy), np.arctan2(dy, dx)
        apart = np.abs((angle - notch + np.pi) % (2 * np.pi) - np.pi)
        reach = radius * (1 + 0.025 * wobble)
        inside = smoothstep(0.6, -0.6, distance - reach) * smoothstep(-0.6, 0.6, (apart - 0.2) * distance)
        veins = smoothstep(0.9, 0.2, np.abs(np.sin(6.5 * (angle - notch))) * distance / 6.5)
        pad = mix(
            (0.20, 0.43, 0.13),
            (0.42, 0.60, 0.20),
            smoothstep(-1.5, 2.5, tone + 1.2 * distance / radius),
        )
        pad = mix(pad, (0.60, 0.72, 0.35), 0.35 * veins)
        pad = mix(pad, (0.50, 0.33, 0.16), 0.7 * smoothstep(radius - 3, radius, distance))
        colour, alpha = mix(colour, pad, inside), np.maximum(alpha, inside)
    return colour, alpha
