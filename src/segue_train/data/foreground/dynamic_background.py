"""Dynamic background: leaves and their shadows, which move and are no foreground.

Each effect is a function of a canvas and a time, see :mod:`.scenery`. Most scenes have some.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np

from segue.types import Image
from segue.utils.arrays import Float32Array
from segue_train.data.foreground.scenery import Effect, blob, clouds, scaled
from segue_train.data.warp import Rng, Size, log_uniform

Sway = Callable[[Any, int], Any]
"""Gives an image or plane as it sways at a time."""


def draw_effects(rng: Rng, size: Size) -> tuple[list[Effect], bool]:
    """Motion in a scene."""
    if rng.random() < 0.2:
        return [], False
    makers: tuple[tuple[float, Callable[[Rng, Size], Effect]], ...] = (
        (0.36, waving),
        (0.24, foliage),
        (0.20, tree_shade),
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

    def act(image: Any, time: int) -> Any:
        gust = 1 - lull * (0.5 + 0.5 * np.sin(gusts * time + phases[2]))
        first, second = (np.float32(gust * np.sin(speeds[i] * time + phases[i])) for i in range(2))
        (x1, y1), (x2, y2) = fields
        x, y = columns + first * x1 + second * x2, rows + first * y1 + second * y2
        return cv2.remap(image, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)

    return act


def leaves(rng: Rng, size: Size) -> Float32Array:
    """A pattern of blots of one size, 1 where they are, (H, W)."""
    knots = int(log_uniform(rng, 10, 70))
    pattern = clouds(rng, size, knots) + 0.5 * clouds(rng, size, 2 * knots)
    return np.asarray(np.clip((pattern + rng.uniform(-0.7, 0.9)) * 3 + 0.5, 0, 1), np.float32)


def foliage(rng: Rng, size: Size) -> Effect:
    """Leaves before the scene, through whose gaps it is seen, and which sway."""
    alpha = leaves(rng, size) * blob(rng, size, rng.uniform(0.1, 0.7))
    dark = rng.uniform(10, 110) * rng.uniform([0.6, 0.8, 0.4], [1.0, 1.1, 0.8])
    light = np.minimum(dark * rng.uniform(1.2, 2.5), 250)
    mix = np.clip(0.5 + 0.5 * clouds(rng, size, int(rng.integers(20, 80))), 0, 1)[..., None]
    layer = np.dstack([dark + mix * (light - dark), 255 * alpha]).astype(np.uint8)
    strength = log_uniform(rng, 0.5, 12)
    sway = swaying(rng, size, int(rng.integers(3, 16)), np.full(size, strength, np.float32))
    return in_front(layer, sway)


def in_front(layer: Image, sway: Sway) -> Effect:
    """A layer (H, W, 4), the fourth channel its alpha, that sways before the scene."""

    def act(canvas: Image, time: int) -> Image:
        moved = sway(layer, time)
        weight = moved[..., 3:].astype(np.float32) / 255
        return np.asarray(canvas + weight * (moved[..., :3] - canvas.astype(np.float32)), np.uint8)

    return act


def tree_shade(rng: Rng, size: Size) -> Effect:
    """Shadows of leaves or branches that move over the ground."""
    depth = rng.uniform(0.15, 0.65) * blob(rng, size, rng.uniform(0.2, 0.9))
    pattern = cv2.GaussianBlur(leaves(rng, size), (0, 0), rng.uniform(0.5, 3))
    strength = log_uniform(rng, 0.5, 10)
    sway = swaying(rng, size, int(rng.integers(2, 8)), np.full(size, strength, np.float32))
    return lambda canvas, time: scaled(canvas, 1 - depth * sway(pattern, time))
