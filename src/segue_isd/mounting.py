"""Where a camera hangs, so that it sees the room and not the back of a cupboard."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from segue_isd.camera import CameraPath, smooth_shake
from segue_isd.parts import Floats, bounds
from segue_isd.rooms import CELL, Room

TRIES = 12
"""Places that are compared."""
NEAR = 1.6
"""Distance in metres within which a thing in front of the camera is in the way."""
WIDE = 0.85
"""Focal length in widths of the picture below which lenses may distort: 61 degrees and more."""


def draw_camera(
    rng: np.random.Generator, room: Room, kind: str, size: tuple[int, int], length: float
) -> CameraPath:
    """A camera in a corner or at a wall that sees much of the free floor.

    Args:
        rng: source of all choices.
        room: where it hangs.
        kind: of its motion, see :class:`~.camera.CameraPath`.
        size: of the picture.
        length: seconds of the clip.
    """
    free = (np.argwhere(~room.taken) + 0.5) * CELL
    chosen = free[rng.permutation(len(free))[:80]]
    spots = np.column_stack([chosen, np.full(len(chosen), 0.9)])
    low, high = _solids(room)
    paths = [_hung(rng, room, kind, length) for _ in range(TRIES)]
    scores = [_seen(path, spots, low, high, size) + float(rng.uniform(0, 0.15)) for path in paths]
    best = paths[int(np.argmax(scores))]
    bend = float(rng.uniform(0.05, 0.35))
    return replace(best, bend=bend) if best.focal < WIDE and rng.random() < 0.3 else best


def _solids(room: Room) -> tuple[Floats, Floats]:
    """Corners of the boxes around everything in the room that is not one of its walls, (N, 3) each."""
    low, high = bounds(room.parts)
    inner = ((high - low) < 0.8 * room.size).all(axis=1) | ((high - low).max(axis=1) < 3)
    return low[inner], high[inner]


def _seen(path: CameraPath, spots: Floats, low: Floats, high: Floats, size: tuple[int, int]) -> float:
    """Share of the spots that are seen, less what stands right before the camera."""
    view = path.at(0)
    pixels, distance = view.see(spots, size)
    inside = (distance > 0.8) & (pixels >= 0).all(axis=1) & (pixels < size[::-1]).all(axis=1)
    hidden = _first_hit(view.place, spots - view.place, low, high) < 0.95
    across, down = np.meshgrid([-0.35, -0.1, 0.1, 0.35], [-0.2, 0.05, 0.3])
    rays = np.stack([across.ravel(), down.ravel(), np.full(across.size, view.focal)], axis=1)
    rays = rays / np.linalg.norm(rays, axis=1, keepdims=True) @ view.pose[:, :3]
    near = _first_hit(view.place, NEAR * rays, low, high) < 1
    return float((inside & ~hidden).mean()) - float(near.mean())


def _first_hit(place: Floats, ways: Floats, low: Floats, high: Floats) -> Floats:
    """Multiple of each of ``ways`` (N, 3) at which a ray from ``place`` meets the first box, or inf."""
    if not len(low):
        return np.full(len(ways), np.inf)
    safe = np.where(np.abs(ways) < 1e-9, 1e-9, ways)[:, None]
    first, second = (low - place) / safe, (high - place) / safe
    enter = np.minimum(first, second).max(axis=2)
    leave = np.maximum(first, second).min(axis=2)
    hit = np.where((enter <= leave) & (leave > 0), np.maximum(enter, 0), np.inf)
    return np.asarray(hit.min(axis=1))


def _hung(rng: np.random.Generator, room: Room, kind: str, length: float) -> CameraPath:
    w, d, h = (float(v) for v in room.size)
    corner = rng.random() < 0.6
    along = float(rng.choice([0.0, 1.0])) if corner else float(rng.uniform(0.2, 0.8))
    x, y = (
        (along, float(rng.choice([0.0, 1.0])))
        if rng.random() < 0.5
        else (float(rng.choice([0.0, 1.0])), along)
    )
    place = np.array([0.3 + x * (w - 0.6), 0.3 + y * (d - 0.6), min(h - 0.2, rng.uniform(1.5, 3.8))])
    middle = np.array([w / 2 + rng.normal(0, 0.1 * w), d / 2 + rng.normal(0, 0.1 * d), rng.uniform(0.2, 1.2)])
    fov = np.radians(rng.uniform(35, 95))
    focal = 0.5 / float(np.tan(fov / 2))
    pixel = 1 / (320 * focal)
    shake, pan = None, None
    steps: tuple[tuple[float, tuple[float, float, float]], ...] = ()
    if kind == "jitter":
        reach = float(rng.uniform(0.4, 3.0)) * pixel
        shake = smooth_shake(rng, (reach, reach, 0.25 * reach), (0.5, 6.0))
    elif kind == "hand":
        reach = float(rng.uniform(2.0, 8.0)) * pixel
        shake = smooth_shake(rng, (reach, reach, 0.4 * reach), (0.15, 1.5))
    elif kind == "pan":
        pan = float(rng.uniform(0.1, 0.5)), float(rng.uniform(10, 40))
    elif kind == "steps":
        moment = float(rng.uniform(0.1, 0.9)) * length
        turn = (float(rng.uniform(-0.4, 0.4)), float(rng.uniform(-0.1, 0.1)), float(rng.uniform(0.7, 1.5)))
        steps = ((moment, turn),)
    return CameraPath(kind, place, middle, focal, shake, pan, steps)
