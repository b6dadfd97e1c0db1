"""Lamps and the sun, and what happens to light in the course of a clip."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from segue_isd.parts import Floats

Rgb = tuple[float, float, float]


@dataclass(frozen=True)
class Light:
    """A light that casts shadows.

    Attributes:
        place: (3,), metres; for the sun a point on the way of its rays to the middle of the room.
        towards: (3,), unit vector along the middle of its rays.
        power: linear RGB; what a wall at one metre gets (lamp) or any wall (sun).
        cone: half angle of a lamp in radians; 0 for the sun.
        reach: half width of what the sun's shadow map covers, metres.
        softness: of its shadows, in texels of the map.
    """

    place: Floats
    towards: Floats
    power: Rgb
    cone: float
    reach: float = 0.0
    softness: float = 1.5

    @property
    def is_sun(self) -> bool:
        """Whether its rays are parallel."""
        return self.cone == 0.0

    @cached_property
    def projection(self) -> Floats:
        """(4, 4), world to the clip space of its shadow map."""
        aside = np.array([1.0, 0, 0]) if abs(self.towards[2]) > 0.9 else np.array([0.0, 0, 1])
        right = np.cross(self.towards, aside)
        right /= np.linalg.norm(right)
        down = np.cross(self.towards, right)
        turn = np.stack([right, down, self.towards])
        pose = np.vstack([np.column_stack([turn, -turn @ self.place]), [0, 0, 0, 1]])
        lens = np.zeros((4, 4))
        if self.is_sun:
            near, far = 0.0, 40.0
            lens[0, 0] = lens[1, 1] = 1 / self.reach
            lens[2, 2], lens[2, 3], lens[3, 3] = 2 / (far - near), -(far + near) / (far - near), 1
        else:
            near, far = 0.15, 30.0
            lens[0, 0] = lens[1, 1] = 1 / np.tan(self.cone)
            lens[2, 2] = (far + near) / (far - near)
            lens[2, 3] = -2 * far * near / (far - near)
            lens[3, 2] = 1
        return np.asarray(lens @ pose)


@dataclass(frozen=True)
class Mood:
    """The light of a room: its shadow casters, what the walls throw back, and exposure.

    Attributes:
        name: "day", "evening", "night", "mixed" or "neon".
        lights: at most :data:`~.shaders.LIGHTS`.
        up: linear RGB that comes from below.
        down: linear RGB that comes from above.
        exposure: factor before the tone curve.
        tint: (3,), colour cast of the camera's white balance.
    """

    name: str
    lights: tuple[Light, ...]
    up: Rgb
    down: Rgb
    exposure: float
    tint: Rgb = (1.0, 1.0, 1.0)


@dataclass(frozen=True)
class LightEvent:
    """A change of light.

    Attributes:
        kind: "switch" (to a share of the power and back), "flicker", "drift" (slow wave), "flash" (short
            glare as of a passing headlight) or "screen" (glow of a changing screen).
        light: number of the light, or -1 for all light.
        start: seconds.
        length: seconds until the end of a switch or flash, or of one period.
        strength: change relative to full power.
        phase: radians.
    """

    kind: str
    light: int
    start: float
    length: float
    strength: float
    phase: float = 0.0

    def gain(self, time: float) -> float:
        """Factor at a moment in seconds."""
        since = time - self.start
        if self.kind == "switch":
            return 1 - self.strength if 0 <= since < self.length else 1.0
        if self.kind == "flash":
            return 1 + self.strength * float(np.exp(-(((since / self.length) - 0.5) ** 2) * 18))
        wave = np.sin(2 * np.pi * since / self.length + self.phase)
        if self.kind == "screen":
            wave = np.sign(wave) * 0.5 + 0.5 * np.sin(3.1 * 2 * np.pi * since / self.length)
        return 1 + self.strength * float(wave)


@dataclass(frozen=True)
class Gains:
    """Factors of all light at one moment: of each caster, of the light around, and the camera's answer."""

    lights: tuple[float, ...]
    ambient: float
    exposure: float


def gains_at(events: tuple[LightEvent, ...], count: int, time: float, automatic: float) -> Gains:
    """Gains at a moment.

    Args:
        events: all changes of the clip.
        count: number of lights.
        time: seconds.
        automatic: share of a change that the camera's exposure takes back within half a second.
    """
    lights, ambient = _power(events, count, time)
    before = [_power(events, count, time - lag) for lag in (0.15, 0.35, 0.6)]
    level = float(np.mean([np.mean([*group, around]) for group, around in before]))
    return Gains(lights, ambient, level**-automatic if level > 0 else 1.0)


def _power(events: tuple[LightEvent, ...], count: int, time: float) -> tuple[tuple[float, ...], float]:
    lights, ambient = [1.0] * count, 1.0
    for event in events:
        gain = event.gain(time)
        if event.light < 0:
            lights, ambient = [value * gain for value in lights], ambient * gain
        elif event.light < count:
            lights[event.light] *= gain
            ambient *= 1 + (gain - 1) / (count + 1)
    return tuple(lights), ambient
