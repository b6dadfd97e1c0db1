"""Dynamic background without foreground labels: leaves, branches, flags, lamps, belts, shadows.

Each effect is a function of a canvas and a time, see :mod:`.scenery`. Most scenes have some.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np

from segue.types import Image
from segue.utils.arrays import Float32Array
from segue_train.data.foreground.scenery import Effect, Occluder, blob, clouds, procedural, scaled
from segue_train.data.warp import Matrix, Rng, Size, log_uniform

Sway = Callable[[Any, int], Any]
"""Gives an image or plane as it sways at a time."""


def draw_effects(rng: Rng, size: Size) -> tuple[list[Effect], bool]:
    """Draw dynamic background for a scene."""
    if rng.random() < 0.2:
        return [], False
    makers: tuple[tuple[float, Callable[[Rng, Size], Effect]], ...] = (
        (0.36, waving),
        (0.24, foliage),
        (0.20, tree_shade),
        (0.10, branches),
        (0.10, crown),
        (0.10, flag),
        (0.10, lamp),
        (0.10, belt),
    )
    selected = [make for share, make in makers if rng.random() < share]
    return [make(rng, size) for make in selected], tree_shade in selected


def waving(rng: Rng, size: Size) -> Effect:
    """Draw a region that waves: smoothly by 0.4 to 10 pixels, or finely like leaves by up to 4."""
    fine = rng.random() < 0.5
    strength = log_uniform(rng, 0.4, 4 if fine else 10)
    knots = int(rng.integers(12, 40)) if fine else int(rng.integers(3, 9))
    return swaying(rng, size, knots, strength * blob(rng, size, rng.uniform(0.08, 0.7)))


def swaying(rng: Rng, size: Size, knots: int, strength: Float32Array) -> Sway:
    """Draw smooth motion to and fro, in gusts."""
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
    """Draw a pattern of blots of one size, 1 inside, (H, W)."""
    knots = int(log_uniform(rng, 10, 70))
    pattern = clouds(rng, size, knots) + 0.5 * clouds(rng, size, 2 * knots)
    return np.asarray(np.clip((pattern + rng.uniform(-0.7, 0.9)) * 3 + 0.5, 0, 1), np.float32)


def foliage(rng: Rng, size: Size) -> Effect:
    """Draw swaying leaves before the scene, with gaps."""
    return in_front(*_swaying_leaves(rng, size))


def occluding_foliage(rng: Rng, size: Size) -> Occluder:
    """Draw swaying leaves before the scene and its movers."""
    layer, sway = _swaying_leaves(rng, size)
    return lambda time: np.asarray(sway(layer, time), np.uint8)


def _swaying_leaves(rng: Rng, size: Size) -> tuple[Image, Sway]:
    """Draw leaves (H, W, 4), and their motion."""
    layer = leaf_layer(rng, leaves(rng, size) * blob(rng, size, rng.uniform(0.1, 0.7)), 2.5)
    strength = log_uniform(rng, 0.5, 12)
    return layer, swaying(rng, size, int(rng.integers(3, 16)), np.full(size, strength, np.float32))


def leaf_layer(rng: Rng, alpha: Float32Array, contrast: float) -> Image:
    """Leaves (H, W, 4) of an alpha (H, W): greens from dark to at most ``contrast`` times as bright."""
    dark = rng.uniform(10, 110) * rng.uniform([0.6, 0.8, 0.4], [1.0, 1.1, 0.8])
    light = np.minimum(dark * rng.uniform(1.2, contrast), 250)
    size = alpha.shape[0], alpha.shape[1]
    mix = np.clip(0.5 + 0.5 * clouds(rng, size, int(rng.integers(20, 80))), 0, 1)[..., None]
    return np.dstack([dark + mix * (light - dark), 255 * alpha]).astype(np.uint8)


def in_front(layer: Image, sway: Sway) -> Effect:
    """Layer (H, W, 4), the fourth channel its alpha, that sways before the scene."""

    def act(canvas: Image, time: int) -> Image:
        swayed = sway(layer, time)
        weight = swayed[..., 3:].astype(np.float32) / 255
        return np.asarray(canvas + weight * (swayed[..., :3] - canvas.astype(np.float32)), np.uint8)

    return act


def tree_shade(rng: Rng, size: Size) -> Effect:
    """Draw moving shadows of leaves or branches on the ground."""
    depth = rng.uniform(0.15, 0.65) * blob(rng, size, rng.uniform(0.2, 0.9))
    pattern = cv2.GaussianBlur(leaves(rng, size), (0, 0), rng.uniform(0.5, 3))
    strength = log_uniform(rng, 0.5, 10)
    sway = swaying(rng, size, int(rng.integers(2, 8)), np.full(size, strength, np.float32))
    return lambda canvas, time: scaled(canvas, 1 - depth * sway(pattern, time))


def branches(rng: Rng, size: Size) -> Effect:
    """Draw a trunk with branches and leaves before the scene, which bends by up to 25 pixels."""
    alpha: Float32Array = np.zeros(size, np.float32)
    height, width = size
    foot = np.array([rng.uniform(-0.1, 1.1) * width, height * rng.choice([-0.05, 1.05])])
    _grow(rng, alpha, foot, np.arctan2(height / 2 - foot[1], width / 2 - foot[0]), 0.35 * height, 4)
    alpha = np.asarray(cv2.GaussianBlur(alpha, (0, 0), 0.8), np.float32)
    if rng.random() < 0.7:
        neighbourhood = cv2.GaussianBlur(cv2.dilate(alpha, np.ones((15, 15), np.uint8)), (0, 0), 4)
        alpha = np.maximum(alpha, leaves(rng, size) * neighbourhood)
    colours = procedural(rng, size) * rng.uniform(0.2, 1, 3)
    layer = np.dstack([colours, 255 * alpha]).astype(np.uint8)
    rows, columns = np.mgrid[:height, :width].astype(np.float32)
    from_foot = np.hypot(rows - foot[1], columns - foot[0]) / np.hypot(*size)
    sway = swaying(
        rng, size, int(rng.integers(2, 4)), (log_uniform(rng, 3, 25) * from_foot).astype(np.float32)
    )
    return in_front(layer, sway)


def _grow(
    rng: Rng,
    alpha: Float32Array,
    foot: Matrix,
    angle: float,
    length: float,
    forks: int,
) -> None:
    """Draw a branch of a length in pixels from its foot (x, y), and its forks."""
    tip = foot + length * rng.uniform(0.7, 1.3) * np.array([np.cos(angle), np.sin(angle)])
    ends = [(int(x), int(y)) for x, y in (foot, tip)]
    cv2.line(alpha, ends[0], ends[1], 1.0, max(1, round(length * rng.uniform(0.05, 0.16))))
    for _ in range(int(rng.integers(1, 4)) if forks else 0):
        _grow(rng, alpha, tip, angle + rng.normal(0, 0.6), 0.7 * length, forks - 1)


def crown(rng: Rng, size: Size) -> Effect:
    """Draw a swaying treetop before the scene, with gaps at its border."""
    height, width = size
    middle = rng.uniform(0, 1, 2) * [height, width]
    reach = log_uniform(rng, 0.12, 0.5) * height * rng.uniform(0.7, 1.3, 2)
    rows, columns = np.mgrid[:height, :width].astype(np.float32)
    inside = 1 - np.hypot((rows - middle[0]) / reach[0], (columns - middle[1]) / reach[1])
    alpha = np.clip(2.5 * (inside + 0.35 * clouds(rng, size, int(rng.integers(20, 60)))), 0, 1)
    layer = leaf_layer(rng, alpha, 3)
    strength = log_uniform(rng, 1, 14) * np.clip(1 - (rows - middle[0]) / (2 * reach[0]), 0, 1.5)
    return in_front(layer, swaying(rng, size, int(rng.integers(2, 5)), strength.astype(np.float32)))


def flag(rng: Rng, size: Size) -> Effect:
    """Draw a striped cloth at a pole, with running waves and a moving end."""
    height, width = size
    tall, wide = (round(log_uniform(rng, 0.08, 0.35) * height * scale) for scale in (1, rng.uniform(1.2, 2)))
    top, left = rng.uniform(-0.2, 0.9) * height, rng.uniform(-0.1, 0.9) * width
    stripes = rng.uniform(10, 245, (int(rng.integers(1, 5)), 3))
    bands = rng.integers(len(stripes), size=int(rng.integers(2, 8)))
    along = rng.random() < 0.5
    place = np.linspace(0, len(bands) - 1e-3, wide if along else tall).astype(int)
    cloth = stripes[bands[place]][None if along else slice(None), slice(None) if along else None]
    cloth = np.broadcast_to(cloth, (tall, wide, 3)).astype(np.float32)
    waves, speed, phase = rng.uniform(0.7, 2.5), rng.uniform(0.1, 0.9), rng.uniform(0, 2 * np.pi)
    amplitude, shade, droop = rng.uniform(0.05, 0.25) * tall, rng.uniform(0.05, 0.5), rng.uniform(0, 0.6)
    lull = rng.uniform(0.005, 0.08)
    distance = np.linspace(0, 1, wide, dtype=np.float32)

    def act(canvas: Image, time: int) -> Image:
        wind = 0.6 + 0.4 * np.sin(lull * time + phase)
        wave = np.sin(2 * np.pi * waves * distance - speed * time + phase)
        down = distance * (amplitude * wave + droop * tall * (1 - wind))
        light = 1 + shade * np.sqrt(distance) * np.cos(2 * np.pi * waves * distance - speed * time + phase)
        rows, columns = np.mgrid[:height, :width].astype(np.float32)
        x = (columns[0] - left) * (1 + 0.3 * (1 - wind))
        index = np.clip(x, 0, wide - 1).astype(int)
        y = rows - top - down[index]
        warped = cv2.remap(
            cloth * light[None, :, None],
            np.broadcast_to(x, y.shape).astype(np.float32),
            y.astype(np.float32),
            cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REPLICATE,
        )
        inside = (x >= 0) & (x <= wide - 1) & (y >= 0) & (y <= tall - 1)
        return np.where(inside[..., None], np.clip(warped, 0, 255), canvas).astype(np.uint8)

    return act


def lamp(rng: Rng, size: Size) -> Effect:
    """Draw a thing that swings on a wire: a lamp, a sign, a basket."""
    height, width = size
    foot = np.array([rng.uniform(0, 1) * width, rng.uniform(-0.3, 0.5) * height])
    length, side = rng.uniform(0.15, 0.7) * height, log_uniform(rng, 0.02, 0.12) * height
    reach, speed, phase = log_uniform(rng, 0.03, 0.4), rng.uniform(0.05, 0.6), rng.uniform(0, 2 * np.pi)
    colour, edge = rng.uniform(10, 250, (2, 3))
    is_round, wire = rng.random() < 0.5, rng.random() < 0.7
    flat = rng.uniform(0.5, 2)

    def act(canvas: Image, time: int) -> Image:
        angle = reach * np.sin(speed * time + phase)
        x, y = foot + length * np.array([np.sin(angle), np.cos(angle)])
        sub = 16  # parts of a pixel
        centre = round(x * sub), round(y * sub)
        if wire:
            ends = (round(foot[0] * sub), round(foot[1] * sub)), centre
            cv2.line(canvas, *ends, edge.tolist(), 1, cv2.LINE_AA, 4)
        if is_round:
            radii = max(1, round(side * sub)), max(1, round(side * flat * sub))
            turn = -float(np.degrees(angle))
            cv2.ellipse(canvas, centre, radii, turn, 0, 360, edge.tolist(), -1, cv2.LINE_AA, 4)
            inner = max(1, radii[0] * 3 // 4), max(1, radii[1] * 3 // 4)
            cv2.ellipse(canvas, centre, inner, turn, 0, 360, colour.tolist(), -1, cv2.LINE_AA, 4)
        else:
            across, down = (
                np.array([np.cos(angle), -np.sin(angle)]),
                np.array([np.sin(angle), np.cos(angle)]),
            )
            corners = [
                [x, y] + side * (i * across + j * flat * down) for i, j in ((-1, 0), (1, 0), (1, 2), (-1, 2))
            ]
            points = np.rint(np.array(corners) * sub).astype(np.int32)
            cv2.fillConvexPoly(canvas, points, colour.tolist(), cv2.LINE_AA, 4)
            cv2.polylines(canvas, [points], True, edge.tolist(), 1, cv2.LINE_AA, 4)
        return canvas

    return act


def belt(rng: Rng, size: Size) -> Effect:
    """Draw an endless moving texture in a region: a conveyor, a stream, a turning drum."""
    height, width = size
    if rng.random() < 0.5:
        part = procedural(rng, (int(rng.integers(8, 60)), int(rng.integers(16, 90))))
    else:
        shades = rng.uniform(30, 220, 3) + rng.normal(0, rng.uniform(10, 60), (int(rng.integers(2, 9)), 1))
        stripes = np.clip(shades, 0, 255).repeat(rng.integers(2, 9), axis=0)
        part = np.broadcast_to(stripes[None], (8, *stripes.shape)).astype(np.uint8)
    tile = np.block([[[part], [part[:, ::-1]]], [[part[::-1]], [part[::-1, ::-1]]]])
    rows, columns = np.mgrid[:height, :width].astype(np.float32)
    angle, speed = rng.uniform(0, 2 * np.pi), log_uniform(rng, 0.2, 3.5)
    along = columns * np.cos(angle) + rows * np.sin(angle)
    across = rows * np.cos(angle) - columns * np.sin(angle)
    inside = blob(rng, size, rng.uniform(0.03, 0.25))
    if rng.random() < 0.5:
        inside *= np.abs(across - rng.choice(across.ravel())) < rng.uniform(4, 30)
    weight = np.asarray(inside, np.float32)[..., None]
    y = np.asarray(across % tile.shape[0], np.float32)

    def act(canvas: Image, time: int) -> Image:
        x = np.asarray((along - speed * time) % tile.shape[1], np.float32)
        warped = cv2.remap(tile, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)
        return np.asarray(canvas + weight * (warped.astype(np.float32) - canvas), np.uint8)

    return act
