"""The things that move in the sample clip: koi that bend and a leaf that turns, painted once, posed often."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
import numpy.typing as npt

from tools.sample.noise import Field, mix, octave_noise, smoothstep

Colours = npt.NDArray[np.float32]
"""RGB, (H, W, 3), float32, 0..1."""

Path = Callable[[float], npt.NDArray[np.float64]]
"""Place in the scene, ``(x, y)`` in frame pixels, at a time in 0..1 of the clip."""


@dataclass(frozen=True, slots=True)
class Layer:
    """What one thing adds to the image.

    Attributes:
        colour: (H, W, 3), float32, 0..1.
        alpha: share of each pixel that it covers, (H, W), float32, 0..1.
        height: how far its shadow falls, in frame pixels.
    """

    colour: Colours
    alpha: Field
    height: float


@dataclass(frozen=True, slots=True)
class Texture:
    """A painted surface: colour and alpha over ``x0..x0+width/scale`` and ``y0..y0+height/scale``."""

    colour: Colours
    alpha: Field
    x0: float
    y0: float
    scale: float

    def look_up(self, x: Field, y: Field, height: float) -> Layer:
        """Sample at the coordinates ``x``, ``y``, each (H, W); nothing is there outside the texture."""
        column, row = (x - self.x0) * self.scale, (y - self.y0) * self.scale
        stacked = np.dstack([self.colour, self.alpha])
        found = cv2.remap(stacked, column, row, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)
        sampled = np.asarray(found, np.float32)
        return Layer(sampled[..., :3], sampled[..., 3], height)


def _canvas(x0: float, x1: float, y0: float, y1: float, scale: float) -> tuple[Field, Field]:
    rows, columns = round((y1 - y0) * scale), round((x1 - x0) * scale)
    y, x = np.mgrid[:rows, :columns].astype(np.float32)
    return x / np.float32(scale) + np.float32(x0), y / np.float32(scale) + np.float32(y0)


class Koi:
    """A koi from above; lengths are shares of its length, ``u`` from nose to tail, ``v`` to its right.

    Args:
        rng: source of the pattern.
        variety: ``kohaku`` is white with red patches, ``showa`` black with gold ones.
        path: way of the nose.
        length: in frame pixels.
        phase: of the tail beat, in beats.
    """

    BEATS = 4.5
    """Tail beats in the whole clip."""

    def __init__(
        self,
        rng: np.random.Generator,
        variety: Literal["kohaku", "showa"],
        path: Path,
        length: float,
        phase: float,
    ) -> None:
        self._texture = _paint_koi(rng, variety)
        self._path, self._length, self._phase = path, length, phase

    def pose(self, time: float, x: Field, y: Field) -> Layer:
        """Layer at ``time`` (0..1) on a canvas whose pixels have the scene coordinates ``x``, ``y``."""
        step = 1e-3
        before, nose, after = (self._path(time + shift) for shift in (-step, 0.0, step))
        velocity, acceleration = (after - before) / (2 * step), (after - 2 * nose + before) / step**2
        speed = float(np.hypot(*velocity))
        forward = velocity / speed
        turn = (velocity[0] * acceleration[1] - velocity[1] * acceleration[0]) / speed**3 * self._length
        dx, dy = (x - np.float32(nose[0])) / self._length, (y - np.float32(nose[1])) / self._length
        u = -(dx * forward[0] + dy * forward[1])
        v = -dx * forward[1] + dy * forward[0]
        swing = 0.055 * (0.12 + u * u) * np.sin(2 * np.pi * (0.9 * u - self.BEATS * time + self._phase))
        bend = 0.5 * turn * u * u
        return self._texture.look_up(u.astype(np.float32), (v - swing - bend).astype(np.float32), height=9.0)


def _paint_koi(rng: np.random.Generator, variety: Literal["kohaku", "showa"]) -> Texture:
    scale = 380.0
    u, v = _canvas(-0.06, 1.16, -0.3, 0.3, scale)
    along = np.clip(u, 1e-4, 1)
    half = 0.29 * along**0.55 * np.clip(1 - along / 1.03, 0, 1) ** 0.95
    edge = 2.5 / scale
    body = smoothstep(edge, -edge, np.abs(v) - half) * (u > 0) * (u < 0.97)
    tail, rays = _tail(u, v, edge)
    fins = np.maximum(_fin(u, v, edge), _fin(u, -v, edge))
    patches = octave_noise(rng, u.shape, cell=75, octaves=3, falloff=0.4)
    if variety == "kohaku":
        base, patch, fin = (0.96, 0.93, 0.87), (0.87, 0.25, 0.07), (0.93, 0.82, 0.72)
    else:
        base, patch, fin = (0.10, 0.11, 0.15), (0.97, 0.66, 0.12), (0.46, 0.40, 0.34)
    skin = mix(base, patch, smoothstep(-0.05, 0.12, patches))
    skin *= (1 + 0.05 * octave_noise(rng, u.shape, cell=9, octaves=2))[..., None]
    skin *= _relief(u, v, half)[..., None]
    membrane = np.array(fin, np.float32) * (0.88 + 0.12 * rays)[..., None]
    colour = mix(mix(membrane, skin, tail * 0.25 * (u < 0.9)), skin, body)
    for side in (-1, 1):
        eye = smoothstep(0.014, 0.009, np.hypot(u - 0.075, v - side * 0.052))
        colour = mix(colour, (0.02, 0.02, 0.03), eye)
    return Texture(
        np.clip(colour, 0, 1).astype(np.float32), np.maximum.reduce([body, tail, fins]), -0.06, -0.3, scale
    )


def _tail(u: Field, v: Field, edge: float) -> tuple[Field, Field]:
    grown = np.clip((u - 0.8) / 0.32, 0, 1)
    outer = 0.035 + 0.105 * grown**1.1
    end = 1.11 - 0.12 * np.exp(-((v / 0.05) ** 2))
    inside = smoothstep(edge, -edge, np.abs(v) - outer) * smoothstep(edge, -edge, u - end)
    rays = np.cos(v / (0.02 + 0.1 * np.abs(u - 0.55)) * 18).astype(np.float32)
    return np.asarray(inside * (u > 0.8), np.float32), rays


def _fin(u: Field, v: Field, edge: float) -> Field:
    du, dv = u - 0.25, v - 0.09
    along, across = 0.62 * du + 0.78 * dv, -0.78 * du + 0.62 * dv
    return smoothstep(
        4 * edge, -4 * edge, np.hypot((along - 0.06) / 0.1, (across + 0.005) / 0.042) * 0.1 - 0.1
    )


def _relief(u: Field, v: Field, half: Field) -> Field:
    """Light on a round back: bright along the spine, a gloss beside it, faint scales."""
    side = np.clip(v / np.maximum(half, 1e-3), -1, 1)
    round_back = 0.5 + 0.5 * np.sqrt(1 - 0.92 * side * side)
    gloss = 0.22 * np.exp(-(((side + 0.3) / 0.22) ** 2))
    scales = 0.05 * np.cos(u * 210) * np.cos(v * 230) * smoothstep(0.16, 0.24, u)
    spine = 0.16 * np.exp(-((v / 0.006) ** 2)) * smoothstep(0.3, 0.36, u) * smoothstep(0.72, 0.62, u)
    return np.asarray(round_back + gloss + scales - spine, np.float32)


class Leaf:
    """A maple leaf on the water that drifts, turns and tilts."""

    def __init__(self, rng: np.random.Generator, path: Path, radius: float) -> None:
        self._texture = _paint_leaf(rng)
        self._path, self._radius = path, radius

    def pose(self, time: float, x: Field, y: Field) -> Layer:
        """Layer at ``time`` (0..1) on a canvas whose pixels have the scene coordinates ``x``, ``y``."""
        centre = self._path(time)
        dx, dy = (x - np.float32(centre[0])) / self._radius, (y - np.float32(centre[1])) / self._radius
        angle = np.float32(0.5 + 1.7 * time)
        across, down = dx * np.cos(angle) + dy * np.sin(angle), dy * np.cos(angle) - dx * np.sin(angle)
        tilt = np.float32(0.87 + 0.1 * np.sin(7 * time))
        return self._texture.look_up(across / tilt, down, height=4.0)


def _paint_leaf(rng: np.random.Generator) -> Texture:
    scale = 70.0
    x, y = _canvas(-1.3, 1.3, -1.3, 1.6, scale)
    angle, radius = np.arctan2(x, -y), np.hypot(x, y)
    outline = np.full(x.shape, 0.28, np.float32)
    veins = np.zeros(x.shape, np.float32)
    for lobe, reach in ((0.0, 1.1), (0.95, 1.0), (-0.95, 1.0), (1.95, 0.72), (-1.95, 0.72)):
        apart = np.abs((angle - lobe + np.pi) % (2 * np.pi) - np.pi)
        teeth = 1 + 0.1 * np.abs(((apart * 9) % 2) - 1)
        outline = np.maximum(outline, reach * teeth * np.clip(1 - apart / 0.68, 0, 1) ** 0.62)
        veins = np.maximum(veins, smoothstep(0.035, 0.01, apart * radius) * (radius < 0.9 * reach))
    blade = smoothstep(0.02, -0.02, radius - outline)
    stem = smoothstep(0.055, 0.03, np.abs(x - 0.12 * y * y)) * (y > 0) * (y < 1.35)
    tone = octave_noise(rng, x.shape, cell=40, octaves=4)
    colour = mix(
        (0.74, 0.10, 0.07),
        (0.93, 0.42, 0.08),
        smoothstep(-0.6, 1.6, tone),
    )
    colour = mix(colour * (1.05 - 0.25 * radius[..., None]), (0.98, 0.72, 0.42), 0.6 * veins)
    colour = mix(colour, (0.45, 0.12, 0.06), stem * (1 - blade))
    return Texture(np.clip(colour, 0, 1).astype(np.float32), np.maximum(blade, stem), -1.3, -1.3, scale)
