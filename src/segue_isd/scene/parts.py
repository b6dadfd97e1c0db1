"""Solids of scenes: affine images of unit shapes, with a surface."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from segue.utils.arrays import Float64Array

Colour = tuple[float, float, float]
Triple = Sequence[float] | Float64Array
"""Three numbers."""

MOVING_BACKGROUND = 1000
"""Ids from here on belong to background that moves."""
UNDECIDED = 2000
"""First id of objects with an unknown label, such as doors."""


class Shape(IntEnum):
    """Unit shapes; every one has a closed intersection with a ray."""

    BOX = 0
    """[-0.5, 0.5] in x, y, z."""
    BALL = 1
    """Radius 1 around the origin."""
    CYLINDER = 2
    """Radius 1 about the z axis, z in [0, 1], with flat ends."""
    TUBE = 3
    """Cone frustum about the z axis from radius 1 at z = 0 to radius ``taper`` at z = 1, with round ends."""
    SHEET = 4
    """[-0.5, 0.5] in x and z at y = 0; may wave along y."""


@dataclass(frozen=True, slots=True)
class Surface:
    """Surface of a part."""

    colour: Colour = (0.8, 0.8, 0.8)  # tint in [0, 1], as displayed (not linear); it multiplies the texture
    texture: str = "plain"  # name of a texture (see :mod:`.textures`)
    tile: float = 1.0  # metres that one repeat of the texture covers; 0 fits one repeat to each face
    gloss: float = 0.1  # strength of highlights, in [0, 1]
    glow: float = 0.0  # light that the surface sends out by itself; 0 for most
    mirror: float = 0.0  # share of mirrored light, in [0, 1]
    shift: tuple[float, float] = (0.0, 0.0)  # of the texture, in repeats


@dataclass(frozen=True, slots=True)
class Wave:
    """Waving of a sheet: amplitude in metres, waves across its width, radians a second, phase at time 0."""

    amplitude: float
    count: float
    speed: float
    phase: float


@dataclass(frozen=True, slots=True)
class Part:
    """One solid of a scene."""

    shape: Shape  # unit shape
    pose: Float64Array  # (3, 4), unit shape to world, metres; the world's z points up
    surface: Surface  # its look
    taper: float = 1.0  # far radius of a TUBE relative to its near one
    id: int = 0  # 0 background, 1.. foreground, see :data:`MOVING_BACKGROUND` and :data:`UNDECIDED`
    wave: Wave | None = None  # of a SHEET


def placed(x: float, y: float, z: float = 0.0, turn: float = 0.0) -> Float64Array:
    """Pose that rotates about z and then translates. Returns (3, 4), float64."""
    c, s = np.cos(turn), np.sin(turn)
    return np.array([[c, -s, 0, x], [s, c, 0, y], [0, 0, 1, z]])


def chained(outer: Float64Array, inner: Float64Array) -> Float64Array:
    """Compose poses (..., 3, 4), ``inner`` first."""
    result = outer[..., :3] @ inner
    result[..., 3] += outer[..., 3]
    return np.asarray(result)


def scaled(size: Triple, at: Triple = (0, 0, 0)) -> Float64Array:
    """Pose (3, 4) that scales by ``size`` and translates to ``at``."""
    pose = np.zeros((3, 4))
    pose[:, :3] = np.diag(size)
    pose[:, 3] = at
    return pose


def box(size: Triple, at: Triple, surface: Surface, turn: float = 0.0) -> Part:
    """Box of ``size`` metres; ``at`` is the centre of its underside."""
    middle = (at[0], at[1], at[2] + size[2] / 2)
    return Part(Shape.BOX, chained(placed(*middle, turn), scaled(size)), surface)


def cylinder(radius: float, height: float, at: Triple, surface: Surface) -> Part:
    """Upright cylinder; ``at`` is the centre of its underside."""
    return Part(Shape.CYLINDER, scaled((radius, radius, height), at), surface)


def wheel(radius: float, width: float, at: Triple, surface: Surface) -> Part:
    """Cylinder that reaches ``width`` metres from ``at`` along -y."""
    across = np.array([[1.0, 0, 0, at[0]], [0, 0, -1, at[1]], [0, 1, 0, at[2]]])
    return Part(Shape.CYLINDER, chained(across, scaled((radius, radius, width))), surface)


def ball(radii: Triple, at: Triple, surface: Surface) -> Part:
    """Ellipsoid around ``at``."""
    return Part(Shape.BALL, scaled(radii, at), surface)


def sheet(width: float, height: float, pose: Float64Array, surface: Surface) -> Part:
    """Upright sheet centred at the origin of ``pose`` (3, 4)."""
    return Part(Shape.SHEET, chained(pose, scaled((width, 1, height))), surface)


def panel(width: float, height: float, at: Triple, surface: Surface) -> Part:
    """Thin upright board facing -y; ``at`` is the centre of its lower edge."""
    return box((width, 0.02, height), at, surface)


def stems(
    starts: Float64Array, ends: Float64Array, radii: Float64Array, across: Float64Array
) -> Float64Array:
    """Poses (N, 3, 4) of tubes or cylinders between points (N, 3) in metres.

    ``radii``: (N, 2), along ``across`` (N, 3), about at a right angle to the tubes, and at a right angle to
    it.
    """
    axis = ends - starts
    second = np.cross(axis, across)
    second /= np.linalg.norm(second, axis=1, keepdims=True)
    first = np.cross(second, axis)
    first /= np.linalg.norm(first, axis=1, keepdims=True)
    columns = (first * radii[:, :1], second * radii[:, 1:], axis, starts)
    return np.stack(columns, axis=-1)


def transformed(parts: Iterable[Part], pose: Float64Array) -> list[Part]:
    """Transform parts by a pose (3, 4), applied after their own."""
    parts = list(parts)
    if not parts:
        return []
    poses = chained(pose, np.stack([part.pose for part in parts]))
    return [
        Part(part.shape, part_pose, part.surface, part.taper, part.id, part.wave)
        for part, part_pose in zip(parts, poses, strict=True)
    ]


def numbered(parts: Iterable[Part], id: int) -> list[Part]:
    """Copy parts with an id."""
    return [Part(part.shape, part.pose, part.surface, part.taper, id, part.wave) for part in parts]


_HALF, _FULL, _RISING = (-0.5, 0.5), (-1.0, 1.0), (0.0, 1.0)
_UNIT_BOXES = {
    Shape.BOX: (_HALF, _HALF, _HALF),
    Shape.BALL: (_FULL, _FULL, _FULL),
    Shape.CYLINDER: (_FULL, _FULL, _RISING),
    Shape.TUBE: (_FULL, _FULL, _RISING),
    Shape.SHEET: (_HALF, (0.0, 0.0), _HALF),
}
"""Limits of the unit shapes along x, y and z; waves and tapers aside."""


def bounds(parts: Sequence[Part]) -> tuple[Float64Array, Float64Array]:
    """Lower and upper corners (N, 3) of the axis-aligned box of each part, in metres."""
    low, high = np.moveaxis(np.array([_UNIT_BOXES[part.shape] for part in parts]), 2, 0)
    poses = np.stack([part.pose for part in parts])
    middle = (poses[..., :3] @ ((low + high) / 2)[..., None])[..., 0] + poses[..., 3]
    half = (np.abs(poses[..., :3]) @ ((high - low) / 2)[..., None])[..., 0]
    return middle - half, middle + half
