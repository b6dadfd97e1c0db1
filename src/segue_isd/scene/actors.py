"""Moving objects of a scene: people, carried and pushed things, pets, robots, balls and cars.

Each has a number in the instance map and a class. At a moment in seconds it has solids, always as many and in
the same order, and spheres that keep ambient light away.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from segue.utils.arrays import Float64Array
from segue_isd.scene.figures import SITTING, STANDING, Build, Pose, Wardrobe, blend, figure, walking
from segue_isd.scene.parts import (
    Part,
    Shape,
    Surface,
    ball,
    box,
    chained,
    cylinder,
    numbered,
    placed,
    scaled,
    stems,
    transformed,
    wheel,
)
from segue_isd.scene.paths import Walk

AWAY = placed(0, 0, -50.0)
"""Position of objects outside of the scene."""

Sphere = tuple[float, float, float, float]
"""Centre and radius."""


@dataclass(frozen=True)
class Spell:
    """Part of a schedule: a way to ``walk``, or None for staying at ``place`` in a ``pose``."""

    start: float
    end: float
    walk: Walk | None
    place: tuple[float, float, float] = (0.0, 0.0, 0.0)
    pose: Pose = STANDING

    def distance(self, time: float) -> float:
        """Distance walked so far, in metres."""
        return 0.0 if self.walk is None else (time - self.start) / (self.end - self.start) * self.walk.length

    def at(self, time: float) -> tuple[float, float, float]:
        """x, y and direction."""
        if self.walk is None:
            return self.place
        distance = self.distance(time)
        return (*self.walk.at(distance), self.walk.heading(distance))


TURNING = 0.5
"""Duration of changes of pose and direction in seconds."""


@dataclass
class Person:
    """A person who walks, stays and acts by a schedule, and is absent otherwise."""

    id: int
    build: Build
    wear: Wardrobe
    schedule: Sequence[Spell]
    phase: float
    fidget: Float64Array
    kind: str = "person"
    rides: bool = False
    _cache: dict[float, tuple[list[Part], Float64Array]] = field(default_factory=dict, repr=False)

    def parts(self, time: float) -> list[Part]:
        return self._posed(time)[0]

    def hand_pose(self, time: float) -> Float64Array:
        """Position of the right hand, (3,)."""
        return np.asarray(self._posed(time)[1][1])

    def spheres(self, time: float) -> list[Sphere]:
        x, y, _ = self.place(time)
        h = self.build.height
        return [(x, y, 0.1, 0.16), (x, y, 0.35 * h, 0.16), (x, y, 0.68 * h, 0.2)]

    def place(self, time: float) -> tuple[float, float, float]:
        """x, y and direction; far away outside of the schedule."""
        spell = self._spell(time)
        return (-50.0, -50.0, 0.0) if spell is None else spell.at(time)

    def _spell(self, time: float) -> Spell | None:
        return next((spell for spell in self.schedule if spell.start <= time < spell.end), None)

    def _pose(self, spell: Spell, time: float) -> Pose:
        if self.rides:
            return SITTING
        if spell.walk is None:
            pose, wave = spell.pose, np.sin(self.fidget[:4] * time + self.fidget[4:8])
            return replace(
                pose,
                head_turn=pose.head_turn + 0.5 * float(wave[0]),
                sway=pose.sway + 0.04 * float(wave[1]),
                twist=pose.twist + 0.12 * float(wave[2]),
                elbow=(pose.elbow[0] + 0.12 * float(wave[3]), pose.elbow[1] - 0.1 * float(wave[0])),
            )
        speed = spell.walk.length / (spell.end - spell.start)
        stride = 0.78 * self.build.height * (0.55 + 0.45 * min(speed / 1.3, 1.8))
        turn = 2 * np.pi * spell.distance(time) / max(stride, 0.2) + self.phase
        return walking(turn, float(np.clip(speed / 1.25, 0.35, 1.7)))

    def _blended(self, spell: Spell, time: float) -> tuple[Pose, Float64Array]:
        """Pose and place, blended at the borders of spells."""
        pose, (x, y, direction) = self._pose(spell, time), spell.at(time)
        for border, other in ((spell.start, spell.start - 1e-3), (spell.end, spell.end + 1e-3)):
            gap = abs(time - border)
            if gap < TURNING / 2 and (neighbour := self._spell(other)) is not None:
                share = 0.5 * (1 - gap / (TURNING / 2))
                pose = blend(pose, self._pose(neighbour, other), share)
                turn = (neighbour.at(other)[2] - direction + np.pi) % (2 * np.pi) - np.pi
                direction += share * turn
        return pose, placed(x, y, 0, direction)

    def _posed(self, time: float) -> tuple[list[Part], Float64Array]:
        if time not in self._cache:
            if len(self._cache) > 8:  # moments of one frame and the next
                self._cache.clear()
            spell = self._spell(time)
            pose, where = (STANDING, AWAY) if spell is None else self._blended(spell, time)
            parts, hands = figure(self.build, self.wear, pose)
            hand_places = hands @ where[:, :3].T + where[:, 3]
            self._cache[time] = numbered(transformed(parts, where), self.id), hand_places
        return self._cache[time]


@dataclass
class Bag:
    """A bag that is carried, left behind at a moment, or picked up."""

    id: int
    owner: Person
    surface: Surface
    changes: float  # moment at which it is put down or taken
    left: bool  # True if it is put down then, False if it is taken then
    was_background: bool = False  # True if it belonged to the background until it was taken
    kind: str = "bag"

    def parts(self, time: float) -> list[Part]:
        if (time >= self.changes) == self.left:
            where = self._standing()
        else:
            x, y, z = self.owner.hand_pose(time) - (0, 0, 0.18)
            where = placed(x, y, z, self.owner.place(time)[2])
        still_background = self.was_background and time < self.changes
        pose = chained(where, scaled((0.42, 0.16, 0.28)))
        return [Part(Shape.BOX, pose, self.surface, id=0 if still_background else self.id)]

    def spheres(self, time: float) -> list[Sphere]:
        """Bounding sphere of a standing bag."""
        if (time >= self.changes) != self.left or (self.was_background and time < self.changes):
            return []
        x, y, z = (float(v) for v in self._standing()[:, 3])
        return [(x, y, z, 0.16)]

    def _standing(self) -> Float64Array:
        x, y, turn = self.owner.place(self.changes)
        return chained(placed(x, y, 0, turn), placed(0.1, -0.38, 0.14))


@dataclass
class Pushed:
    """A pushed object: a trolley, or the wheelchair of its owner."""

    id: int
    kind: str
    owner: Person
    solids: Sequence[Part]
    ahead: float

    def parts(self, time: float) -> list[Part]:
        x, y, turn = self.owner.place(time)
        where = AWAY if x < -40 else chained(placed(x, y, 0, turn), placed(self.ahead, 0))
        return numbered(transformed(self.solids, where), self.id)

    def spheres(self, time: float) -> list[Sphere]:
        x, y, turn = self.owner.place(time)
        return [(x + self.ahead * float(np.cos(turn)), y + self.ahead * float(np.sin(turn)), 0.25, 0.25)]


@dataclass
class Roller:
    """An object with constant speed along a way: a robot, car, ball or pet."""

    id: int
    kind: str
    walk: Walk
    speed: float
    solids: Sequence[Part]
    radius: float
    hops: float = 0.0
    legs: Surface | None = None

    def parts(self, time: float) -> list[Part]:
        """Solids at a time; a pet's legs swing, a ball turns and hops."""
        where = self._pose(time)
        parts = transformed(self.solids, where)
        if self.legs is not None:
            parts += transformed(_pet_legs(self.legs, self.radius, 9 * self._way(time)[0]), where)
        return numbered(parts, self.id)

    def spheres(self, time: float) -> list[Sphere]:
        x, y, z = (float(v) for v in self._pose(time)[:, 3])
        return [(x, y, z + self.radius, self.radius)]

    def _way(self, time: float) -> tuple[float, bool]:
        """Position on the way in metres, there and back, and whether it is on its way back."""
        length = self.walk.length
        travelled = time * self.speed % (2 * length)
        return (travelled, False) if travelled < length else (2 * length - travelled, True)

    def _pose(self, time: float) -> Float64Array:
        distance, is_returning = self._way(time)
        x, y = self.walk.at(distance)
        turn = self.walk.heading(distance) + (np.pi if is_returning else 0.0)
        if not self.hops:
            return placed(x, y, 0, turn)
        lift = self.hops * abs(float(np.sin(3.5 * time)))
        roll = distance / self.radius
        c, s = np.cos(roll), np.sin(roll)
        spin = np.array([[c, 0, s, 0], [0, 1, 0, 0], [-s, 0, c, 0]])
        return chained(placed(x, y, lift + self.radius, turn), spin)


Actor = Person | Bag | Pushed | Roller
"""Something of the foreground."""


def pet_solids(coat: Surface, size: float) -> list[Part]:
    """Body, head, ears and tail of a four-legged animal; ``size`` is its shoulder height."""
    s = size
    starts = s * np.array([(-0.55, 0, 0.85), (0.5, 0, 0.95), (0.8, 0, 1.25), (-0.6, 0, 0.95)])
    ends = s * np.array([(0.5, 0, 0.9), (0.75, 0, 1.2), (1.05, 0, 1.15), (-1.0, 0, 1.3)])
    radii = s * np.array([(0.24, 0.26), (0.15, 0.15), (0.15, 0.15), (0.06, 0.06)])
    poses = stems(starts, ends, radii, np.tile((0.0, 1.0, 0.0), (4, 1)))
    tapers = (0.95, 0.9, 0.6, 0.5)
    return [
        *(Part(Shape.TUBE, pose, coat, taper) for pose, taper in zip(poses, tapers, strict=True)),
        *(ball((0.05 * s, 0.05 * s, 0.12 * s), (0.78 * s, y * s, 1.42 * s), coat) for y in (-0.1, 0.1)),
    ]


def _pet_legs(coat: Surface, radius: float, phase: float) -> list[Part]:
    s = radius / 0.6
    hips = np.array([(x * s, y * s, 0.8 * s) for x in (-0.45, 0.42) for y in (-0.14, 0.14)])
    swing = 0.45 * np.sin(phase + np.array([0, np.pi, np.pi, 0]))
    feet = hips + np.stack([0.7 * s * np.sin(swing), 0 * swing, -0.72 * s * np.cos(swing)], axis=1)
    poses = stems(hips, feet, np.full((4, 2), 0.085 * s), np.tile((0.0, 1.0, 0.0), (4, 1)))
    return [Part(Shape.TUBE, pose, coat, 0.6) for pose in poses]


def trolley(rng: np.random.Generator) -> list[Part]:
    """A cart with boxes on it."""
    frame = Surface((0.55, 0.57, 0.6), "metal", 0.5, gloss=0.5)
    load, tyre = Surface((1, 1, 1), "cardboard", 0), Surface((0.1, 0.1, 0.1))
    return [
        *(box((0.8, 0.5, 0.04), (0, 0, z), frame) for z in (0.18, 0.7)),
        *(box((0.03, 0.03, 0.85), (x, y, 0.15), frame) for x in (-0.38, 0.38) for y in (-0.23, 0.23)),
        *(ball((0.06, 0.03, 0.06), (x, y, 0.07), tyre) for x in (-0.35, 0.35) for y in (-0.2, 0.2)),
        box((0.5, 0.4, rng.uniform(0.15, 0.4)), (0.05, 0, 0.74), load),
        box((0.6, 0.4, 0.25), (0, 0, 0.22), load),
    ]


def wheelchair() -> list[Part]:
    """A wheelchair for a sitting person."""
    frame, tyre = Surface((0.3, 0.3, 0.32), gloss=0.5), Surface((0.1, 0.1, 0.1))
    return [
        box((0.45, 0.48, 0.05), (0.05, 0, 0.42), frame),
        box((0.05, 0.46, 0.5), (-0.2, 0, 0.45), frame),
        box((0.2, 0.36, 0.03), (0.5, 0, 0.1), frame),
        wheel(0.3, 0.04, (-0.1, -0.3 + 0.04, 0.3), tyre),
        ball((0.07, 0.025, 0.07), (0.4, -0.3 * 0.8, 0.07), tyre),
        wheel(0.3, 0.04, (-0.1, 0.26 + 0.04, 0.3), tyre),
        ball((0.07, 0.025, 0.07), (0.4, 0.26 * 0.8, 0.07), tyre),
    ]


def robot_solids(rng: np.random.Generator) -> list[Part]:
    """A floor-cleaning or delivery robot."""
    surface = Surface((0.85, 0.85, 0.87) if rng.random() < 0.5 else (0.15, 0.15, 0.17), gloss=0.6)
    parts = [
        cylinder(0.18, 0.09, (0, 0, 0.01), surface),
        cylinder(0.06, 0.03, (0.05, 0, 0.1), Surface((0.3, 0.5, 0.9))),
    ]
    if rng.random() < 0.4:
        screen = Surface((0.2, 0.8, 0.9), glow=0.6)
        parts += [box((0.3, 0.28, 0.7), (0, 0, 0.1), surface), box((0.02, 0.2, 0.14), (0.15, 0, 0.6), screen)]
    return parts
