"""Which lights a room has, and how they change."""

from __future__ import annotations

import numpy as np

from segue_isd.lights import Light, LightEvent, Mood, Rgb
from segue_isd.parts import Floats
from segue_isd.rooms import Room
from segue_isd.shaders import LIGHTS


def draw_mood(rng: np.random.Generator, room: Room, name: str) -> Mood:
    """The light of a room: "day", "evening", "night", "mixed" or "neon"."""
    lights: list[Light] = []
    if name in ("day", "mixed"):
        lights += _daylight(rng, room)
    if name == "day" and not lights:
        name = "neon"
    count = {"day": 0, "evening": 2, "night": 1, "mixed": 1, "neon": LIGHTS}[name]
    if name == "day" and rng.random() < 0.3:
        count = 1
    warmth = {"evening": 0.25, "night": rng.uniform(-0.1, 0.25), "mixed": 0.12}.get(
        name, rng.uniform(-0.06, 0.08)
    )
    strength = {"day": 0.5, "evening": 0.7, "night": 0.35, "mixed": 0.6, "neon": 0.5}[name]
    lights += _lamps(
        rng, room, min(count, LIGHTS - len(lights)), strength, _warm(warmth), soft=name == "neon"
    )
    around = {"day": 0.34, "evening": 0.2, "night": 0.1, "mixed": 0.3, "neon": 0.36}[name] * rng.uniform(
        0.7, 1.4
    )
    floor = np.asarray(room.floor.colour) ** 2
    up = 0.25 * around + 0.35 * around * floor
    down = around * np.asarray(_warm(warmth * 0.6))
    cast = np.exp(rng.normal(0, 0.05, 3))
    return Mood(name, tuple(lights[:LIGHTS]), _rgb(up), _rgb(down), 1.0, _rgb(cast / cast.mean()))


def _rgb(values: Floats) -> Rgb:
    r, g, b = (float(v) for v in values)
    return r, g, b


def _warm(amount: float) -> Rgb:
    return 1.0 + amount, 1.0, 1.0 - 1.2 * amount


def _daylight(rng: np.random.Generator, room: Room) -> list[Light]:
    """Sky light through at most two windows, and a beam of the sun through one."""
    lights = []
    for place, inward in room.windows[:2]:
        down = inward - np.array([0, 0, rng.uniform(0.35, 0.7)])
        power = rng.uniform(5, 11) * np.asarray((0.92, 0.98, 1.06))
        lights.append(
            Light(place + 0.03 * inward, down / np.linalg.norm(down), _rgb(power), 1.3, softness=2.5)
        )
    if room.windows and rng.random() < 0.5:
        place, inward = room.windows[0]
        aside = np.cross(inward, (0, 0, 1)) * rng.uniform(-0.7, 0.7)
        way = inward + aside - np.array([0, 0, rng.uniform(0.5, 1.1)])
        power = rng.uniform(0.8, 2.2) * np.asarray((1.1, 1.0, 0.86))
        reach = float(rng.uniform(0.45, 0.7))
        lights.append(Light(place, way / np.linalg.norm(way), _rgb(power), 0.0, reach=reach, softness=1.0))
    return lights


def _lamps(
    rng: np.random.Generator, room: Room, count: int, strength: float, tint: Rgb, soft: bool
) -> list[Light]:
    """Lamps below the ceiling, spread over the length of the room."""
    w, d, h = (float(v) for v in room.size)
    lights = []
    for number in range(count):
        share = (number + 0.5) / count + float(rng.uniform(-0.12, 0.12))
        across = float(rng.uniform(0.3, 0.7))
        x, y = (share * w, across * d) if w > d else (across * w, share * d)
        tilt = np.array([rng.normal(0, 0.15), rng.normal(0, 0.15), -1.0])
        power = strength * rng.uniform(0.7, 1.4) * (0.3 + h * h) * np.asarray(tint)
        softness = float(rng.uniform(3.0, 6.0) if soft else rng.uniform(1.0, 2.5))
        place = np.array([x, y, h - 0.08])
        lights.append(Light(place, tilt / np.linalg.norm(tilt), _rgb(power), 1.25, softness=softness))
    return lights


def draw_events(rng: np.random.Generator, mood: Mood, length: float, chance: float) -> tuple[LightEvent, ...]:
    """Changes of light in a clip of ``length`` seconds; ``chance`` is that of the common ones."""
    events = []
    count = max(len(mood.lights), 1)
    draws = rng.random(5)
    which = int(rng.integers(-1, count))
    phase = float(rng.uniform(0, 6))
    if draws[0] < chance * 0.6:
        start = float(rng.uniform(0.15, 0.85)) * length
        lasting = float(rng.uniform(0.2, 1.5)) * length
        events.append(LightEvent("switch", which, start, lasting, float(rng.uniform(-0.5, 0.8))))
    if draws[1] < chance * 0.7:
        strength = float(rng.uniform(0.02, 0.12))
        events.append(LightEvent("flicker", which, 0.0, float(rng.uniform(0.05, 0.6)), strength, phase))
    if draws[2] < chance:
        strength = float(rng.uniform(0.1, 0.35))
        events.append(LightEvent("drift", which, 0.0, float(rng.uniform(4, 30)), strength, phase))
    if draws[3] < chance * 0.3:
        start = float(rng.uniform(0.0, 0.9)) * length
        events.append(
            LightEvent("flash", which, start, float(rng.uniform(0.3, 1.5)), float(rng.uniform(0.3, 1.2)))
        )
    if draws[4] < chance * 0.4 and mood.name in ("night", "evening"):
        strength = float(rng.uniform(0.05, 0.2))
        events.append(LightEvent("screen", which, 0.0, float(rng.uniform(0.3, 2.0)), strength, phase))
    return tuple(events)
