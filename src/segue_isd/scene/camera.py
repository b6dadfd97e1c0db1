"""Pinhole cameras: placement in a room, motion and shake."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from segue.utils.arrays import Float64Array
from segue_isd.scene.parts import bounds
from segue_isd.scene.rooms import CELL, Room

NEAR_PLANE, FAR_PLANE = 0.08, 60.0
"""Visible range of distances, in metres."""


@dataclass(frozen=True)
class View:
    """A camera at one moment."""

    pose: Float64Array  # (3, 4), world to camera, metres; the camera looks along z, x is right and y down
    focal: float  # focal length in widths of the image

    @property
    def place(self) -> Float64Array:
        return np.asarray(-self.pose[:, :3].T @ self.pose[:, 3])

    def intrinsics(self, size: tuple[int, int]) -> Float64Array:
        """K, (3, 3), for an image of ``size`` (height, width); pixel centres are at whole numbers + 0.5."""
        height, width = size
        f = self.focal * width
        return np.array([[f, 0, width / 2], [0, f, height / 2], [0, 0, 1]])

    def projection(self, size: tuple[int, int]) -> Float64Array:
        """(4, 4), world to OpenGL's clip space, with row 0 of the image at the bottom."""
        height, width = size
        return perspective(
            2 * self.focal, 2 * self.focal * width / height, NEAR_PLANE, FAR_PLANE
        ) @ homogeneous(self.pose)

    def project(self, points: Float64Array, size: tuple[int, int]) -> tuple[Float64Array, Float64Array]:
        """Project world points (N, 3) in metres to pixels (N, 2) and distances (N,) along the axis."""
        inside = points @ self.pose[:, :3].T + self.pose[:, 3]
        distance = inside[:, 2]
        flat = inside @ self.intrinsics(size).T
        return flat[:, :2] / np.where(np.abs(distance) < 1e-6, 1e-6, distance)[:, None], distance

    def shows(self, points: Float64Array, size: tuple[int, int], nearest: float) -> npt.NDArray[np.bool_]:
        """Whether world points (N, 3) are in the image and beyond ``nearest`` metres, (N,)."""
        pixels, distance = self.project(points, size)
        return (distance > nearest) & (pixels >= 0).all(axis=1) & (pixels < size[::-1]).all(axis=1)


def perspective(across: float, down: float, near: float, far: float) -> Float64Array:
    """Projection from camera coordinates to OpenGL's clip space. Returns (4, 4), float64."""
    depth = ((far + near) / (far - near), -2 * far * near / (far - near))
    return np.array([[across, 0, 0, 0], [0, down, 0, 0], [0, 0, *depth], [0, 0, 1, 0]])


def homogeneous(pose: Float64Array) -> Float64Array:
    """Extend a (3, 4) pose to a (4, 4) matrix."""
    return np.vstack([pose, [0, 0, 0, 1]])


def facing(
    place: Float64Array, forward: Float64Array, aside: tuple[float, float, float], roll: float = 0.0
) -> Float64Array:
    """Pose (3, 4), world to camera, at a place (3,) in metres, looking along a unit vector (3,)."""
    right = np.cross(forward, aside)
    right /= np.linalg.norm(right)
    down = np.cross(forward, right)
    c, s = np.cos(roll), np.sin(roll)
    turn = np.stack([c * right + s * down, c * down - s * right, forward])
    return np.column_stack([turn, -turn @ place])


def looking(at: Float64Array, place: Float64Array, focal: float, roll: float = 0.0) -> View:
    """Camera at a place (3,) in metres that looks at a point (3,)."""
    return View(facing(place, (at - place) / np.linalg.norm(at - place), (0, 0, 1), roll), focal)


CameraMotion = Callable[[float], tuple[float, float, float, float]]
"""Turn right, down and roll in radians, and zoom, at a moment in seconds."""


def _shaking(
    rng: np.random.Generator, amplitudes: tuple[float, float, float], rates: tuple[float, float]
) -> CameraMotion:
    """Smooth random rotation by sines, with RMS amplitudes and frequency limits in Hz."""
    waves = 5
    shape = (len(amplitudes), waves)
    share = rng.dirichlet(np.ones(waves), len(amplitudes))
    strength = np.sqrt(2 * share) * np.asarray(amplitudes)[:, None]
    speed, phase = 2 * np.pi * rng.uniform(*rates, shape), rng.uniform(0, 2 * np.pi, shape)
    return lambda time: (*(strength * np.sin(speed * time + phase)).sum(axis=1).tolist(), 1.0)


def _panning(reach: float, period: float) -> CameraMotion:
    """Rotation to both sides by ``reach`` radians in ``period`` seconds."""
    return lambda time: (reach * float(np.sin(2 * np.pi * time / period)), 0.0, 0.0, 1.0)


def _stepping(moment: float, right: float, down: float, zoom: float) -> CameraMotion:
    """A single rotation and zoom at a moment."""

    def motion(time: float) -> tuple[float, float, float, float]:
        share = float(np.clip((time - moment) / 0.7, 0, 1))
        smooth = share * share * (3 - 2 * share)
        return smooth * right, smooth * down, 0.0, zoom**smooth

    return motion


@dataclass(frozen=True)
class CameraPath:
    """Motion of the camera through a clip."""

    kind: str  # "static", "jitter", "pan", "steps" or "hand"
    place: Float64Array
    target: Float64Array  # (3,), the point in the middle of the image
    focal: float  # in widths of the image
    motion: CameraMotion
    bend: float = 0.0  # radial distortion, see :class:`~.maps.Lens`

    def at(self, time: float) -> View:
        """View at a time."""
        right, down, roll, zoom = self.motion(time)
        way = self.target - self.place
        reach = float(np.linalg.norm(way))
        yaw = np.arctan2(way[1], way[0]) - right
        pitch = np.arcsin(np.clip(way[2] / reach - np.sin(down), -0.98, 0.98))
        ahead = np.array([np.cos(pitch) * np.cos(yaw), np.cos(pitch) * np.sin(yaw), np.sin(pitch)])
        return looking(self.place + ahead, self.place, self.focal * zoom, roll)


TRIES = 12
"""Places that are compared."""
CLEAR = 1.6
"""Distance in metres within which an object blocks the camera."""
WIDE = 0.85
"""Focal length in widths of the image below which lenses may distort: 61 degrees and more."""
_SHAKES = {"jitter": ((0.4, 3.0), 0.25, (0.5, 6.0)), "hand": ((2.0, 8.0), 0.4, (0.15, 1.5))}
"""Limits of the amplitude in pixels of 320, share of it in the roll, and limits of the rate in Hz."""


def draw_camera(
    rng: np.random.Generator, room: Room, kind: str, size: tuple[int, int], length: float
) -> CameraPath:
    """Draw a camera in a corner or at a wall that sees much of the free floor."""
    free = (np.argwhere(~room.occupied) + 0.5) * CELL
    sampled = free[rng.permutation(len(free))[:80]]
    spots = np.column_stack([sampled, np.full(len(sampled), 0.9)])
    low, high = _solids(room)
    paths = [_hung(rng, room, kind, length) for _ in range(TRIES)]
    scores = [_visible_share(path, spots, low, high, size) + rng.uniform(0, 0.15) for path in paths]
    best = paths[int(np.argmax(scores))]
    bend = rng.uniform(0.05, 0.35)
    return replace(best, bend=bend) if best.focal < WIDE and rng.random() < 0.3 else best


def _solids(room: Room) -> tuple[Float64Array, Float64Array]:
    """Corners of the bounding boxes of everything in the room except walls, (N, 3) each."""
    low, high = bounds(room.parts)
    inner = ((high - low) < 0.8 * room.size).all(axis=1) | ((high - low).max(axis=1) < 3)
    return low[inner], high[inner]


def _visible_share(
    path: CameraPath, spots: Float64Array, low: Float64Array, high: Float64Array, size: tuple[int, int]
) -> float:
    """Share of visible spots, reduced by objects right before the camera."""
    view = path.at(0)
    hidden = _first_hit(view.place, spots - view.place, low, high) < 0.95
    across, down = np.meshgrid([-0.35, -0.1, 0.1, 0.35], [-0.2, 0.05, 0.3])
    rays = np.stack([across.ravel(), down.ravel(), np.full(across.size, view.focal)], axis=1)
    rays = rays / np.linalg.norm(rays, axis=1, keepdims=True) @ view.pose[:, :3]
    is_close = _first_hit(view.place, CLEAR * rays, low, high) < 1
    return float((view.shows(spots, size, 0.8) & ~hidden).mean()) - float(is_close.mean())


def _first_hit(
    place: Float64Array, ways: Float64Array, low: Float64Array, high: Float64Array
) -> Float64Array:
    """Multiple of each of ``ways`` (N, 3) at which a ray from ``place`` hits a box, or inf."""
    safe = np.where(np.abs(ways) < 1e-9, 1e-9, ways)[:, None]
    first, second = (low - place) / safe, (high - place) / safe
    enter = np.minimum(first, second).max(axis=2)
    leave = np.maximum(first, second).min(axis=2)
    hit = np.where((enter <= leave) & (leave > 0), np.maximum(enter, 0), np.inf)
    return np.asarray(hit.min(axis=1, initial=np.inf))


def _hung(rng: np.random.Generator, room: Room, kind: str, length: float) -> CameraPath:
    w, d, h = room.size.tolist()
    corner = rng.random() < 0.6
    along = float(rng.choice([0.0, 1.0])) if corner else rng.uniform(0.2, 0.8)
    first, side = rng.random() < 0.5, float(rng.choice([0.0, 1.0]))
    x, y = (along, side) if first else (side, along)
    place = np.array([0.3 + x * (w - 0.6), 0.3 + y * (d - 0.6), min(h - 0.2, rng.uniform(1.5, 3.8))])
    middle = np.array([w / 2 + rng.normal(0, 0.1 * w), d / 2 + rng.normal(0, 0.1 * d), rng.uniform(0.2, 1.2)])
    fov = np.radians(rng.uniform(35, 95))
    focal = 0.5 / float(np.tan(fov / 2))
    return CameraPath(kind, place, middle, focal, _draw_motion(rng, kind, focal, length))


def _draw_motion(rng: np.random.Generator, kind: str, focal: float, length: float) -> CameraMotion:
    if kind in _SHAKES:
        pixels, roll, rates = _SHAKES[kind]
        reach = rng.uniform(*pixels) * (1 / (320 * focal))
        return _shaking(rng, (reach, reach, roll * reach), rates)
    if kind == "pan":
        return _panning(rng.uniform(0.1, 0.5), rng.uniform(10, 40))
    if kind == "steps":
        moment = rng.uniform(0.1, 0.9) * length
        return _stepping(moment, rng.uniform(-0.4, 0.4), rng.uniform(-0.1, 0.1), rng.uniform(0.7, 1.5))
    return lambda time: (0.0, 0.0, 0.0, 1.0)
