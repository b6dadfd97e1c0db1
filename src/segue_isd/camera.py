"""Pinhole cameras, and how surveillance cameras move or shake."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from segue_isd.parts import Floats

NEAR, FAR = 0.08, 60.0
"""Distances that are seen, in metres."""


@dataclass(frozen=True)
class View:
    """A camera at one moment.

    Attributes:
        pose: (3, 4), world to camera, metres; the camera looks along z, x is right and y down.
        focal: focal length in widths of the picture.
    """

    pose: Floats
    focal: float

    @property
    def place(self) -> Floats:
        """Where the camera is, (3,)."""
        return np.asarray(-self.pose[:, :3].T @ self.pose[:, 3])

    def intrinsics(self, size: tuple[int, int]) -> Floats:
        """K, (3, 3), for a picture of ``size`` (height, width); pixel centres are at whole numbers + 0.5."""
        height, width = size
        f = self.focal * width
        return np.array([[f, 0, width / 2], [0, f, height / 2], [0, 0, 1]])

    def projection(self, size: tuple[int, int]) -> Floats:
        """(4, 4), world to OpenGL's clip space, with row 0 of the picture at the bottom."""
        height, width = size
        lens = np.zeros((4, 4))
        lens[0, 0] = 2 * self.focal
        lens[1, 1] = 2 * self.focal * width / height
        lens[2, 2] = (FAR + NEAR) / (FAR - NEAR)
        lens[2, 3] = -2 * FAR * NEAR / (FAR - NEAR)
        lens[3, 2] = 1
        return np.asarray(lens @ np.vstack([self.pose, [0, 0, 0, 1]]))

    def see(self, points: Floats, size: tuple[int, int]) -> tuple[Floats, Floats]:
        """Pixel places (N, 2) and distances along the axis (N,) of world points (N, 3)."""
        inside = points @ self.pose[:, :3].T + self.pose[:, 3]
        distance = inside[:, 2]
        flat = inside @ self.intrinsics(size).T
        return flat[:, :2] / np.where(np.abs(distance) < 1e-6, 1e-6, distance)[:, None], distance


def looking(at: Floats, place: Floats, focal: float, roll: float = 0.0) -> View:
    """A camera at ``place`` that looks at the point ``at``, turned by ``roll`` radians about its axis."""
    forward = (at - place) / np.linalg.norm(at - place)
    right = np.cross(forward, (0.0, 0.0, 1.0))
    right /= np.linalg.norm(right)
    down = np.cross(forward, right)
    c, s = np.cos(roll), np.sin(roll)
    turn = np.stack([c * right + s * down, c * down - s * right, forward])
    return View(np.column_stack([turn, -turn @ place]), focal)


@dataclass(frozen=True)
class Shake:
    """Smooth random motion made of sines: (K,) amplitudes, radians a second and phases for each axis."""

    amplitude: Floats
    speed: Floats
    phase: Floats

    def at(self, time: float) -> Floats:
        """(axes,) displacement at a moment in seconds."""
        return np.asarray((self.amplitude * np.sin(self.speed * time + self.phase)).sum(axis=1))


def smooth_shake(
    rng: np.random.Generator, amplitudes: tuple[float, ...], rates: tuple[float, float], waves: int = 5
) -> Shake:
    """Shake with the given amplitudes (root mean square) of its axes and ``rates`` in Hz between limits."""
    shape = (len(amplitudes), waves)
    share = rng.dirichlet(np.ones(waves), len(amplitudes))
    strength = np.sqrt(2 * share) * np.asarray(amplitudes)[:, None]
    return Shake(strength, 2 * np.pi * rng.uniform(*rates, shape), rng.uniform(0, 2 * np.pi, shape))


@dataclass(frozen=True)
class CameraPath:
    """Where the camera looks through a clip.

    Attributes:
        kind: "static", "jitter", "pan", "steps" or "hand".
        place: (3,), metres.
        target: (3,), the point in the middle of the picture.
        focal: in widths of the picture.
        shake: of right, down (radians) and roll, or None.
        pan: radians to each side and seconds of a whole turn, or None.
        steps: moments and (right, down, zoom) from then on, or none.
        bend: radial distortion, see :class:`~.lens.Lens`; 0 for none.
    """

    kind: str
    place: Floats
    target: Floats
    focal: float
    shake: Shake | None = None
    pan: tuple[float, float] | None = None
    steps: tuple[tuple[float, tuple[float, float, float]], ...] = ()
    bend: float = 0.0

    def at(self, time: float) -> View:
        """The camera at a moment in seconds."""
        right, down, roll, zoom = 0.0, 0.0, 0.0, 1.0
        if self.shake is not None:
            right, down, roll = (float(v) for v in self.shake.at(time))
        if self.pan is not None:
            right += self.pan[0] * float(np.sin(2 * np.pi * time / self.pan[1]))
        for moment, (to_right, to_down, to_zoom) in self.steps:
            share = float(np.clip((time - moment) / 0.7, 0, 1))
            smooth = share * share * (3 - 2 * share)
            right, down = right + smooth * to_right, down + smooth * to_down
            zoom *= to_zoom**smooth
        way = self.target - self.place
        reach = float(np.linalg.norm(way))
        yaw = np.arctan2(way[1], way[0]) - right
        pitch = np.arcsin(np.clip(way[2] / reach - np.sin(down), -0.98, 0.98))
        ahead = np.array([np.cos(pitch) * np.cos(yaw), np.cos(pitch) * np.sin(yaw), np.sin(pitch)])
        return looking(self.place + ahead, self.place, self.focal * zoom, roll)
