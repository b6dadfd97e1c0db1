"""Changes of a scene that no training shows: lamps, clouds, headlights, insects, shadows, weather, branches.

Each makes a function of a canvas and a time, as those of :mod:`segue_train.dynamic_background`.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from segue.types import Image
from segue_train.dynamic_background import in_front, leaves, swaying
from segue_train.scenery import Effect, blob, clouds, draw_plate, procedural, rng_at, scaled
from segue_train.warp import Rng, Size, log_uniform


def flicker(rng: Rng, size: Size) -> Effect:
    """A soft region whose brightness jumps about: a lamp, a reflection."""
    region = np.asarray(cv2.GaussianBlur(blob(rng, size, rng.uniform(0.03, 0.3)), (0, 0), 6), np.float32)
    strength, seed = rng.uniform(0.05, 0.4), int(rng.integers(1 << 31))

    def act(canvas: Image, time: int) -> Image:
        draw = rng_at(seed, time).uniform(-1, 1)
        return scaled(canvas, 1 + region * np.float32(np.exp(strength * draw) - 1))

    return act


def passing_cloud(rng: Rng, size: Size) -> Effect:
    """Large soft shade that drifts over the scene."""
    depth, speed = rng.uniform(0.15, 0.6), rng.uniform(-4, 4)
    wide = clouds(rng, (size[0], 3 * size[1]), int(rng.integers(1, 4)))
    shade = np.clip(1 - depth * np.clip(wide, 0, 1), 0.2, 1).astype(np.float32)

    def act(canvas: Image, time: int) -> Image:
        start = round(size[1] + np.clip(speed * time, -size[1], size[1]))
        return scaled(canvas, shade[:, start : start + size[1]])

    return act


def stray_shadow(rng: Rng, size: Size) -> Effect:
    """The shadow of something that is out of the image, on its way through it."""
    plane = np.zeros(size, np.float32)
    height, width = (max(4, int(side * rng.uniform(0.08, 0.4))) for side in size)
    corners = rng.uniform(-0.5, 0.5, (int(rng.integers(5, 12)), 2)) * [width, height]
    corners += np.array(size[::-1]) * rng.uniform(0.2, 0.8, 2)
    cv2.fillConvexPoly(plane, cv2.convexHull(corners.astype(np.int32)), 1)
    plane = np.asarray(cv2.GaussianBlur(plane, (0, 0), rng.uniform(0.6, 4)), np.float32)
    depth, velocity = rng.uniform(0.2, 0.7), rng.normal(0, 2.5, 2)

    def act(canvas: Image, time: int) -> Image:
        shift = np.array([[1, 0, velocity[0] * time], [0, 1, 0.4 * velocity[1] * time]])
        return scaled(canvas, 1 - depth * cv2.warpAffine(plane, shift, size[::-1]))

    return act


def headlights(rng: Rng, size: Size) -> Effect:
    """Light of lamps that runs over the ground; what it falls on stays as it is."""
    glow = np.zeros((48, 64), np.float32)
    cv2.ellipse(glow, (32, 24), (18, 11), 0, 0, 360, 1.0, -1)
    glow = np.asarray(cv2.GaussianBlur(glow, (0, 0), rng.uniform(4, 7)), np.float32)
    lamps = [
        (rng.uniform(0, 1, 2) * size[::-1], rng.normal(0, [5, 1.5]), log_uniform(rng, 0.2, 2.5))
        for _ in range(int(rng.integers(1, 4)))
    ]
    strength, added = rng.uniform(0.3, 1.5), rng.uniform(5, 70)
    reach = 1.5 * size[1]

    def act(canvas: Image, time: int) -> Image:
        light = np.zeros(size, np.float32)
        for place, velocity, scale in lamps:
            # They come again on the other side after a while.
            x, y = (place + velocity * time + 0.25 * reach) % reach - 0.25 * reach
            matrix = np.array([[scale, 0, x - 32 * scale], [0, scale, y - 24 * scale]])
            light = np.maximum(light, cv2.warpAffine(glow, matrix, size[::-1]))
        lit = canvas * (1 + strength * light[..., None]) + added * light[..., None]
        return np.asarray(np.minimum(lit, 255), np.uint8)

    return act


def insects(rng: Rng, size: Size) -> Effect:
    """Insects, drops or dust right before the lens: out of focus, elsewhere on each frame."""
    seed, often, most = int(rng.integers(1 << 31)), rng.uniform(0.3, 1), int(rng.integers(1, 5))
    level = rng.uniform(150, 255) if rng.random() < 0.5 else rng.uniform(5, 80)

    def act(canvas: Image, time: int) -> Image:
        own = rng_at(seed, time)
        if own.random() > often:
            return canvas
        cover: Any = np.zeros(size, np.float32)
        for _ in range(int(own.integers(1, most + 1))):
            x, y = own.uniform(0, 1, 2) * size[::-1]
            right, down = own.normal(0, 10, 2)
            wide = max(1, round(log_uniform(own, 1, 14)))
            ends = (int(x), int(y)), (int(x + right), int(y + down))
            cv2.line(cover, *ends, float(own.uniform(0.3, 0.9)), wide, cv2.LINE_AA)
        soft = cv2.GaussianBlur(cover, (0, 0), own.uniform(1.5, 4))[..., None]
        return np.asarray(canvas * (1 - soft) + level * soft, np.uint8)

    return act


def water(rng: Rng, size: Size) -> Effect:
    """A region with ripples that run, and light that glitters on them."""
    region = blob(rng, size, rng.uniform(0.15, 0.7))
    knots = int(rng.integers(12, 60))
    long, short = (clouds(rng, (size[0], size[1] // 3), knots) for _ in range(2))
    ripples = [cv2.resize(plane, size[::-1]) for plane in (long, short)]
    speeds = rng.uniform(-4, 4, (2, 2)) * [0.5, 1]
    strength, sparkle, reach = rng.uniform(0.03, 0.25), rng.uniform(0, 0.8), rng.uniform(0, 4)
    grid = np.meshgrid(np.arange(size[1], dtype=np.float32), np.arange(size[0], dtype=np.float32))

    def act(canvas: Image, time: int) -> Image:
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


def _falling(rng: Rng, drops: Image, velocity: npt.NDArray[np.float64] | None) -> Effect:
    """Bright drops over the scene, at other places each time, or on their way down."""
    seed = int(rng.integers(1 << 31))

    def act(canvas: Image, time: int) -> Image:
        shift = rng_at(seed, time).integers(0, 1000, 2) if velocity is None else (velocity * time).astype(int)
        return np.asarray(cv2.add(canvas, cv2.merge([np.roll(drops, tuple(shift), (0, 1))] * 3)), np.uint8)

    return act


def branches(rng: Rng, size: Size) -> Effect:
    """A trunk with branches and leaves before the scene, which bends by up to 25 pixels as a whole."""
    alpha: npt.NDArray[np.float32] = np.zeros(size, np.float32)
    height, width = size
    foot = np.array([rng.uniform(-0.1, 1.1) * width, height * rng.choice([-0.05, 1.05])])
    _grow(rng, alpha, foot, np.arctan2(height / 2 - foot[1], width / 2 - foot[0]), 0.35 * height, 4)
    alpha = np.asarray(cv2.GaussianBlur(alpha, (0, 0), 0.8), np.float32)
    if rng.random() < 0.7:
        near = cv2.GaussianBlur(cv2.dilate(alpha, np.ones((15, 15), np.uint8)), (0, 0), 4)
        alpha = np.maximum(alpha, leaves(rng, size) * near)
    colours = draw_plate(rng, [lambda: procedural(rng, size)], size) * rng.uniform(0.2, 1, 3)
    layer = np.dstack([colours, 255 * alpha]).astype(np.uint8)
    rows, columns = np.mgrid[:height, :width].astype(np.float32)
    from_foot = np.hypot(rows - foot[1], columns - foot[0]) / np.hypot(*size)
    sway = swaying(
        rng, size, int(rng.integers(2, 4)), (log_uniform(rng, 3, 25) * from_foot).astype(np.float32)
    )
    return in_front(layer, sway)


def _grow(
    rng: Rng,
    alpha: npt.NDArray[np.float32],
    foot: npt.NDArray[np.float64],
    angle: float,
    length: float,
    forks: int,
) -> None:
    """Draw a branch of a length in pixels from its foot (x, y) on, and those that fork off at its end."""
    tip = foot + length * rng.uniform(0.7, 1.3) * np.array([np.cos(angle), np.sin(angle)])
    ends = [(int(x), int(y)) for x, y in (foot, tip)]
    cv2.line(alpha, ends[0], ends[1], 1.0, max(1, round(length * rng.uniform(0.05, 0.16))))
    for _ in range(int(rng.integers(1, 4)) if forks else 0):
        _grow(rng, alpha, tip, angle + rng.normal(0, 0.6), 0.7 * length, forks - 1)
