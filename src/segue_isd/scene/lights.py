"""Lamps and the sun in a room, and their changes during a clip."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from segue.utils.arrays import Float64Array
from segue_isd.render.gl import LIGHTS
from segue_isd.scene.camera import facing, homogeneous, perspective
from segue_isd.scene.rooms import Room

Rgb = tuple[float, float, float]


@dataclass(frozen=True)
class Light:
    """A light that casts shadows."""

    place: Float64Array  # (3,), metres; for the sun a point on the way of its rays to the middle of the room
    towards: Float64Array  # (3,), unit vector along the middle of its rays
    power: Rgb  # linear RGB; what a wall at one metre gets (lamp) or any wall (sun)
    cone: float  # half angle of a lamp in radians; 0 for the sun
    reach: float = 0.0  # half width of what the sun's shadow map covers, metres
    softness: float = 1.5  # of its shadows, in texels of the map

    @property
    def is_sun(self) -> bool:
        return self.cone == 0.0

    @cached_property
    def projection(self) -> Float64Array:
        """(4, 4), world to the clip space of its shadow map."""
        aside = (1, 0, 0) if abs(self.towards[2]) > 0.9 else (0, 0, 1)
        pose = homogeneous(facing(self.place, self.towards, aside))
        if self.is_sun:
            lens = np.diag([1 / self.reach, 1 / self.reach, 2 / 40.0, 1])  # depths from 0 to 40 m
            lens[2, 3] = -1
            return lens @ pose
        wide = 1 / np.tan(self.cone)
        return perspective(wide, wide, 0.15, 30.0) @ pose


@dataclass(frozen=True)
class Lighting:
    """Light of a room: shadow casters, ambient light from the walls, and exposure."""

    name: str
    lights: tuple[Light, ...]  # at most :data:`~.gl.LIGHTS`
    up: Rgb  # linear RGB that comes from below, as ``down`` does from above
    down: Rgb
    exposure: float  # factor before the tone curve
    tint: Rgb = (1.0, 1.0, 1.0)  # colour cast of the camera's white balance


@dataclass(frozen=True)
class LightEvent:
    """A change of light."""

    kind: str  # "switch" and back, "flicker", "drift" (slow wave), "flash" (short glare) or "screen"
    light: int  # number of the light, or -1 for all light
    start: float  # seconds
    length: float  # seconds until the end of a switch or flash, or of one period
    strength: float  # change relative to full power
    phase: float = 0.0  # radians

    def gain(self, time: float) -> float:
        """Factor of the light at a time in seconds."""
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
    """Factors of all light at one moment: each caster, ambient light, and exposure."""

    lights: tuple[float, ...]
    ambient: float
    exposure: float


def gains_at(events: tuple[LightEvent, ...], count: int, time: float, automatic: float) -> Gains:
    """Gains of all lights at a time."""
    lights, ambient = _power(events, count, time)
    delayed = [_power(events, count, time - lag) for lag in (0.15, 0.35, 0.6)]
    level = float(np.mean([np.mean([*group, ambient]) for group, ambient in delayed]))
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


class Conditions(NamedTuple):
    """Number and strength of lamps, ambient light, and target mean in [0, 1] of the exposure."""

    lamps: int
    strength: float
    ambient: float
    brightness: float


LIGHTINGS = {
    "day": Conditions(0, 0.5, 0.34, 0.47),
    "neon": Conditions(LIGHTS, 0.5, 0.36, 0.45),
    "mixed": Conditions(1, 0.6, 0.3, 0.43),
    "evening": Conditions(2, 0.7, 0.2, 0.36),
    "night": Conditions(1, 0.35, 0.1, 0.24),
}


def draw_lighting(rng: np.random.Generator, room: Room, name: str) -> Lighting:
    """Draw the light of a room, one of :data:`LIGHTINGS`."""
    lights: list[Light] = []
    if name in ("day", "mixed"):
        lights += _daylight(rng, room)
    if name == "day" and not lights:
        name = "neon"
    like = LIGHTINGS[name]
    count = 1 if name == "day" and rng.random() < 0.3 else like.lamps
    by_night, else_ = rng.uniform(-0.1, 0.25), rng.uniform(-0.06, 0.08)
    warmth = {"evening": 0.25, "night": by_night, "mixed": 0.12}.get(name, else_)
    count = min(count, LIGHTS - len(lights))
    lights += _lamps(rng, room, count, like.strength, _warm(warmth), soft=name == "neon")
    ambient = like.ambient * rng.uniform(0.7, 1.4)
    up = 0.25 * ambient + 0.35 * ambient * np.asarray(room.floor.colour) ** 2
    down = ambient * np.asarray(_warm(warmth * 0.6))
    cast = np.exp(rng.normal(0, 0.05, 3))
    return Lighting(name, tuple(lights), _rgb(up), _rgb(down), 1.0, _rgb(cast / cast.mean()))


def _rgb(values: Float64Array) -> Rgb:
    r, g, b = values.tolist()
    return r, g, b


def _warm(amount: float) -> Rgb:
    return 1.0 + amount, 1.0, 1.0 - 1.2 * amount


def _daylight(rng: np.random.Generator, room: Room) -> list[Light]:
    """Sky light through at most two windows, and a sunbeam through one."""
    lights = []
    for place, inward in room.windows[:2]:
        down = inward - np.array([0, 0, rng.uniform(0.35, 0.7)])
        power = rng.uniform(5, 11) * np.asarray((0.92, 0.98, 1.06))
        down /= np.linalg.norm(down)
        lights.append(Light(place + 0.03 * inward, down, _rgb(power), 1.3, softness=2.5))
    if room.windows and rng.random() < 0.5:
        place, inward = room.windows[0]
        aside = np.cross(inward, (0, 0, 1)) * rng.uniform(-0.7, 0.7)
        way = inward + aside - np.array([0, 0, rng.uniform(0.5, 1.1)])
        power = rng.uniform(0.8, 2.2) * np.asarray((1.1, 1.0, 0.86))
        reach = rng.uniform(0.45, 0.7)
        lights.append(Light(place, way / np.linalg.norm(way), _rgb(power), 0.0, reach=reach, softness=1.0))
    return lights


def _lamps(
    rng: np.random.Generator, room: Room, count: int, strength: float, tint: Rgb, soft: bool
) -> list[Light]:
    """Lamps below the ceiling, spread over the length of the room."""
    w, d, h = room.size.tolist()
    lights = []
    for number in range(count):
        share = (number + 0.5) / count + rng.uniform(-0.12, 0.12)
        across = rng.uniform(0.3, 0.7)
        x, y = (share * w, across * d) if w > d else (across * w, share * d)
        tilt = np.array([rng.normal(0, 0.15), rng.normal(0, 0.15), -1.0])
        power = strength * rng.uniform(0.7, 1.4) * (0.3 + h * h) * np.asarray(tint)
        softness = float(rng.uniform(3.0, 6.0) if soft else rng.uniform(1.0, 2.5))
        place = np.array([x, y, h - 0.08])
        lights.append(Light(place, tilt / np.linalg.norm(tilt), _rgb(power), 1.25, softness=softness))
    return lights


# Of each kind of change: how likely it is, limits of its start (in clips), its length and its strength.
_CHANGES = {
    "switch": (0.6, (0.15, 0.85), (0.2, 1.5), (-0.5, 0.8)),  # its length, too, is in clips
    "flicker": (0.7, (0.0, 0.0), (0.05, 0.6), (0.02, 0.12)),
    "drift": (1.0, (0.0, 0.0), (4.0, 30.0), (0.1, 0.35)),
    "flash": (0.3, (0.0, 0.9), (0.3, 1.5), (0.3, 1.2)),
    "screen": (0.4, (0.0, 0.0), (0.3, 2.0), (0.05, 0.2)),  # in the dark
}


def draw_events(
    rng: np.random.Generator, lighting: Lighting, length: float, probability: float
) -> tuple[LightEvent, ...]:
    """Draw changes of light in a clip of ``length`` seconds; ``probability`` is of common ones."""
    which, phase = int(rng.integers(-1, max(len(lighting.lights), 1))), rng.uniform(0, 6)
    events = []
    for kind, (share, starts, lengths, strengths) in _CHANGES.items():
        if rng.random() < probability * share and (kind != "screen" or lighting.name in ("night", "evening")):
            start, lasting = length * rng.uniform(*starts), rng.uniform(*lengths)
            lasting *= length if kind == "switch" else 1
            events.append(LightEvent(kind, which, start, lasting, rng.uniform(*strengths), phase))
    return tuple(events)
