"""Dynamic background: leaves, water, rain, snow and their shadows, which move and are no foreground.

Each effect is a function of a canvas and a time, see :mod:`segue_train.scenery`. Most scenes have some.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from segue.arrays import Float32Array
from segue_train.scenery import Effect, Pictures, blob, clouds, draw_plate, rng_at, scaled
from segue_train.warp import Picture, Rng, Size, log_uniform

Sway = Callable[[Any, int], Any]
"""Gives an image or plane as it sways at a time."""


def draw_effects(rng: Rng, size: Size, pictures: Pictures) -> tuple[list[Effect], bool]:
    """Motion in a scene."""
    if rng.random() < 0.2:
        return [], False
    makers: tuple[tuple[float, Callable[[Rng, Size], Effect]], ...] = (
        (0.36, waving),
        (0.24, foliage),
        (0.14, water),
        (0.20, tree_shade),
        (0.08, rain),
        (0.12, snow),
        (0.08, lambda rng, size: branches(rng, size, pictures)),
    )
    chosen = [make for share, make in makers if rng.random() < share]
    return [make(rng, size) for make in chosen], tree_shade in chosen


def waving(rng: Rng, size: Size) -> Effect:
    """A region that waves: smooth like branches by 0.4 to 10 pixels, or fine like leaves by up to 4."""
    fine = rng.random() < 0.5
    strength = log_uniform(rng, 0.4, 4 if fine else 10)
    knots = int(rng.integers(12, 40)) if fine else int(rng.integers(3, 9))
    return swaying(rng, size, knots, strength * blob(rng, size, rng.uniform(0.08, 0.7)))


def swaying(rng: Rng, size: Size, knots: int, strength: Float32Array) -> Sway:
    """Smooth motion to and fro, in gusts."""
    fields = [
        (clouds(rng, size, knots) * strength, clouds(rng, size, knots) * (0.6 * strength)) for _ in range(2)
    ]
    speeds, phases = rng.uniform(0.04, 1.6, 2), rng.uniform(0, 2 * np.pi, 3)
    gusts, lull = rng.uniform(0.01, 0.15), rng.uniform(0, 0.8)
    columns, rows = np.meshgrid(np.arange(size[1], dtype=np.float32), np.arange(size[0], dtype=np.float32))

    def act(picture: Any, time: int) -> Any:
        gust = 1 - lull * (0.5 + 0.5 * np.sin(gusts * time + phases[2]))
        first, second = (np.float32(gust * np.sin(speeds[i] * time + phases[i])) for i in range(2))
        (x1, y1), (x2, y2) = fields
        x, y = columns + first * x1 + second * x2, rows + first * y1 + second * y2
        return cv2.remap(picture, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)

    return act


def _leaves(rng: Rng, size: Size) -> Float32Array:
    """A pattern of blots of one size, 1 where they are, (H, W)."""
    knots = int(log_uniform(rng, 10, 70))
    pattern = clouds(rng, size, knots) + 0.5 * clouds(rng, size, 2 * knots)
    return np.asarray(np.clip((pattern + rng.uniform(-0.7, 0.9)) * 3 + 0.5, 0, 1), np.float32)


def foliage(rng: Rng, size: Size) -> Effect:
    """Leaves before the scene, through whose gaps it is seen, and which sway."""
    alpha = _leaves(rng, size) * blob(rng, size, rng.uniform(0.1, 0.7))
    dark = rng.uniform(10, 110) * rng.uniform([0.6, 0.8, 0.4], [1.0, 1.1, 0.8])
    light = np.minimum(dark * rng.uniform(1.2, 2.5), 250)
    mix = np.clip(0.5 + 0.5 * clouds(rng, size, int(rng.integers(20, 80))), 0, 1)[..., None]
    layer = np.dstack([dark + mix * (light - dark), 255 * alpha]).astype(np.uint8)
    strength = log_uniform(rng, 0.5, 12)
    sway = swaying(rng, size, int(rng.integers(3, 16)), np.full(size, strength, np.float32))

    return _in_front(layer, sway)


def _in_front(layer: Picture, sway: Sway) -> Effect:
    """A layer (H, W, 4), the fourth channel its alpha, that sways before the scene."""

    def act(canvas: Picture, time: int) -> Picture:
        moved = sway(layer, time)
        weight = moved[..., 3:].astype(np.float32) / 255
        return np.asarray(canvas + weight * (moved[..., :3] - canvas.astype(np.float32)), np.uint8)

    return act


def branches(rng: Rng, size: Size, pictures: Pictures) -> Effect:
    """A trunk with branches and leaves in front of the scene, which bends by up to 25 pixels as a whole."""
    alpha = np.zeros(size, np.float32)
    height, width = size
    foot = np.array([rng.uniform(-0.1, 1.1) * width, height * rng.choice([-0.05, 1.05])])
    _grow(rng, alpha, foot, np.arctan2(height / 2 - foot[1], width / 2 - foot[0]), 0.35 * height, 4)
    alpha = np.asarray(cv2.GaussianBlur(alpha, (0, 0), 0.8), np.float32)
    if rng.random() < 0.7:
        near = cv2.GaussianBlur(cv2.dilate(alpha, np.ones((15, 15), np.uint8)), (0, 0), 4)
        alpha = np.maximum(alpha, _leaves(rng, size) * near)
    colours = draw_plate(rng, pictures, size) * rng.uniform(0.2, 1, 3)
    layer = np.dstack([colours, 255 * alpha]).astype(np.uint8)
    rows, columns = np.mgrid[:height, :width].astype(np.float32)
    from_foot = np.hypot(rows - foot[1], columns - foot[0]) / np.hypot(*size)
    sway = swaying(
        rng, size, int(rng.integers(2, 4)), (log_uniform(rng, 3, 25) * from_foot).astype(np.float32)
    )
    return _in_front(layer, sway)


def _grow(
    rng: Rng, alpha: Float32Array, foot: npt.NDArray[np.float64], angle: float, length: float, forks: int
) -> None:
    """Draw a branch of a length in pixels from its foot (x, y) on, and those that fork off at its end."""
    tip = foot + length * rng.uniform(0.7, 1.3) * np.array([np.cos(angle), np.sin(angle)])
    ends = [(int(x), int(y)) for x, y in (foot, tip)]
    cv2.line(alpha, ends[0], ends[1], 1.0, max(1, round(length * rng.uniform(0.05, 0.16))))
    for _ in range(int(rng.integers(1, 4)) if forks else 0):
        _grow(rng, alpha, tip, angle + rng.normal(0, 0.6), 0.7 * length, forks - 1)


def tree_shade(rng: Rng, size: Size) -> Effect:
    """Shadows of leaves or branches that move over the ground."""
    depth = rng.uniform(0.15, 0.65) * blob(rng, size, rng.uniform(0.2, 0.9))
    pattern = cv2.GaussianBlur(_leaves(rng, size), (0, 0), rng.uniform(0.5, 3))
    strength = log_uniform(rng, 0.5, 10)
    sway = swaying(rng, size, int(rng.integers(2, 8)), np.full(size, strength, np.float32))
    return lambda canvas, time: scaled(canvas, 1 - depth * sway(pattern, time))


def water(rng: Rng, size: Size) -> Effect:
    """A region with ripples that run, and light that glitters on them."""
    region = blob(rng, size, rng.uniform(0.15, 0.7))
    knots = int(rng.integers(12, 60))
    long, short = (clouds(rng, (size[0], size[1] // 3), knots) for _ in range(2))
    ripples = [cv2.resize(plane, size[::-1]) for plane in (long, short)]
    speeds = rng.uniform(-4, 4, (2, 2)) * [0.5, 1]
    strength, sparkle, reach = rng.uniform(0.03, 0.25), rng.uniform(0, 0.8), rng.uniform(0, 4)
    grid = np.meshgrid(np.arange(size[1], dtype=np.float32), np.arange(size[0], dtype=np.float32))

    def act(canvas: Picture, time: int) -> Picture:
        moved = [
            np.roll(plane, (int(speed[0] * time), int(speed[1] * time)), (0, 1))
            for plane, speed in zip(ripples, speeds, strict=True)
        ]
        wave = (moved[0] + moved[1]) * region
        if reach > 1:
            rows = grid[1] + reach * wave
            canvas = np.asarray(cv2.remap(canvas, grid[0], rows, cv2.INTER_LINEAR, borderMode=2), np.uint8)
        glitter = sparkle * np.maximum(wave - 1.8, 0)
        return scaled(canvas, np.maximum(1 + strength * wave + glitter, 0.1))

    return act


def rain(rng: Rng, size: Size) -> Effect:
    """Streaks of rain, other ones on each frame."""
    streaks = np.zeros(size, np.uint8)
    length, lean = rng.uniform(4, 24), rng.uniform(-0.5, 0.5)
    for _ in range(int(rng.integers(30, 250))):
        x, y = rng.uniform(0, size[1]), rng.uniform(0, size[0])
        end = int(x + lean * length), int(y + length)
        cv2.line(streaks, (int(x), int(y)), end, float(rng.uniform(20, 120)), 1, cv2.LINE_AA)
    return _falling(rng, streaks, None)


def snow(rng: Rng, size: Size) -> Effect:
    """Flakes that sink and drift."""
    flakes = np.zeros(size, np.uint8)
    for _ in range(int(rng.integers(20, 200))):
        centre = int(rng.integers(size[1])), int(rng.integers(size[0]))
        cv2.circle(flakes, centre, int(rng.integers(0, 4)), float(rng.uniform(40, 220)), -1, cv2.LINE_AA)
    flakes = np.asarray(cv2.GaussianBlur(flakes, (0, 0), rng.uniform(0.4, 1.2)), np.uint8)
    return _falling(rng, flakes, rng.uniform([1, -3], [9, 3]))


def _falling(rng: Rng, drops: Picture, velocity: npt.NDArray[np.float64] | None) -> Effect:
    """Bright drops over the scene, at other places each time, or on their way down."""
    seed = int(rng.integers(1 << 31))

    def act(canvas: Picture, time: int) -> Picture:
        shift = rng_at(seed, time).integers(0, 1000, 2) if velocity is None else (velocity * time).astype(int)
        return np.asarray(cv2.add(canvas, cv2.merge([np.roll(drops, tuple(shift), (0, 1))] * 3)), np.uint8)

    return act
