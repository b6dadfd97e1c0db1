"""Choose the people of a scene and their activities."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import binary_dilation

from segue_isd.scene import figures, furniture
from segue_isd.scene.actors import (
    Actor,
    Bag,
    Person,
    Pushed,
    Roller,
    Spell,
    pet_solids,
    robot_solids,
    trolley,
    wheelchair,
)
from segue_isd.scene.camera import View
from segue_isd.scene.equipment import car_parts
from segue_isd.scene.figures import Pose, dressed, grown
from segue_isd.scene.parts import Surface, ball
from segue_isd.scene.paths import OccupancyGrid, Walk, find_way, nearest_free, smooth_way
from segue_isd.scene.rooms import CELL, Room

LEAD = 30.0
"""Seconds of the actors' day beyond the length of a clip."""

_STANDING_POSES = (
    figures.STANDING, figures.PHONE, figures.REACHING, figures.WAVING, figures.ARMS_CROSSED, figures.BENDING,
    figures.STANDING,
)  # fmt: skip
_SITTING_POSES = (figures.SITTING, figures.TYPING, figures.TYPING)


@dataclass(frozen=True)
class CastOptions:
    """Probabilities of a preset, in [0, 1]."""

    people: tuple[int, int] = (1, 5)  # limits of their number, the upper one exclusive
    present: float = 0.35  # that somebody is there from the first frame on
    camouflage: float = 0.15  # that somebody looks like the room
    stops: float = 0.3  # that somebody who arrives stays for long
    bags: float = 0.3  # of a bag left or taken
    extras: float = 0.15  # of each kind of pet, robot, trolley, ball and car


class Cast:
    """Draws the actors of a clip of ``length`` seconds that begins with ``view``."""

    def __init__(
        self,
        rng: np.random.Generator,
        room: Room,
        view: View,
        size: tuple[int, int],
        length: float,
        options: CastOptions,
    ) -> None:
        self._rng, self._room, self._options = rng, room, options
        self._end = length + LEAD
        self._grid: OccupancyGrid = room.occupied.copy()
        self._grid[[0, -1]] = True
        self._grid[:, [0, -1]] = True
        free = np.argwhere(~self._grid)
        is_visible = view.shows(np.column_stack([(free + 0.5) * CELL, np.full(len(free), 0.9)]), size, 0.8)
        self._visible, self._hidden = free[is_visible], free[~is_visible]
        self._ids = itertools.count(1)
        self.tags: set[str] = set()

    def draw(self) -> list[Actor]:
        """Draw all actors; ids count from 1."""
        rng, options = self._rng, self._options
        actors: list[Actor] = []
        if not len(self._visible):
            return actors
        for _ in range(rng.integers(*options.people)):
            person = self._person()
            if person is not None:
                actors.append(person)
                actors += self._belongings(person)
        for kind in ("pet", "robot", "ball", "car"):
            if rng.random() < options.extras * 0.4:
                extra = self._extra(kind)
                if extra is not None:
                    actors.append(extra)
        return actors

    def _goal(self) -> tuple[float, float]:
        cells = self._visible[self._rng.integers(len(self._visible))]
        x, y = (cells + self._rng.uniform(0.2, 0.8, 2)) * CELL
        return float(x), float(y)

    def _outside(self) -> tuple[float, float]:
        """Positions for entering out of view, or else at a door."""
        rng, room = self._rng, self._room
        if room.openings and (not len(self._hidden) or rng.random() < 0.4):
            return room.openings[rng.integers(len(room.openings))]
        if not len(self._hidden):
            return self._goal()
        x, y = (self._hidden[rng.integers(len(self._hidden))] + 0.5) * CELL
        return float(x), float(y)

    def _way(self, start: tuple[float, float], goal: tuple[float, float], grid: OccupancyGrid) -> Walk | None:
        first, last = nearest_free(start, grid), nearest_free(goal, grid)
        if first is None or last is None or first == last:
            return None
        cells = find_way(grid, first, last)
        if cells is None:
            return None
        points = np.vstack([[start], smooth_way(grid, cells)[1:-1], [goal]])
        points = points[np.append(True, np.linalg.norm(np.diff(points, axis=0), axis=1) > 1e-3)]
        return Walk(points) if len(points) > 1 else None

    def _schedule(self, speed: float, sits: bool) -> list[Spell]:
        rng, options = self._rng, self._options
        spells: list[Spell] = []
        if rng.random() < options.present:
            now, where = 0.0, self._goal()
            spells.append(self._stay(now, rng.uniform(1, self._end * 0.8), where, rng.uniform(-3, 3)))
            now = spells[-1].end
        else:
            now, where = rng.uniform(0, self._end * 0.5), self._outside()
        while now < self._end:
            seat = None
            if sits and self._room.seats and rng.random() < 0.35:
                seat = self._room.seats[rng.integers(len(self._room.seats))]
            goal = (seat[0], seat[1]) if seat else self._goal()
            if rng.random() < 0.12 and spells:
                goal = self._outside()
            way = self._way(where, goal, self._grid)
            if way is None or way.length < 0.3:
                now += 1.0
                if not spells or spells[-1].end < now:
                    spells.append(self._stay(now - 1.0, 1.0, where, rng.uniform(-3, 3)))
                continue
            pace = speed * rng.uniform(0.85, 1.15)
            spells.append(Spell(now, now + way.length / pace, way))
            now, where = spells[-1].end, goal
            long = rng.random() < options.stops
            stay = rng.uniform(6, 25) if long else rng.exponential(2.0)
            if stay > 0.5:
                facing = seat[2] if seat else way.heading(way.length) + rng.normal(0, 0.6)
                spells.append(self._stay(now, stay, where, facing, bool(seat and seat[3])))
                now = spells[-1].end
        return spells

    def _stay(
        self, start: float, length: float, where: tuple[float, float], facing: float, sitting: bool = False
    ) -> Spell:
        poses: tuple[Pose, ...] = _SITTING_POSES if sitting else _STANDING_POSES
        pose = poses[self._rng.integers(len(poses))]
        return Spell(start, start + length, None, (*where, facing), pose)

    def _person(self) -> Person | None:
        rng, room = self._rng, self._room
        hidden = (room.wall, room.floor) if rng.random() < self._options.camouflage else None
        if hidden:
            self.tags.add("camouflage")
        speed = rng.uniform(2.0, 3.0) if rng.random() < 0.1 else rng.uniform(0.7, 1.5)
        rides = rng.random() < 0.05
        spells = self._schedule(speed * (0.6 if rides else 1), sits=not rides)
        if not spells:
            return None
        wear = dressed(rng, hidden)
        phase, fidget = rng.uniform(0, 6), rng.uniform(0.3, 2.0, 8)
        return Person(next(self._ids), grown(rng), wear, spells, phase, fidget, rides=rides)

    def _belongings(self, person: Person) -> list[Actor]:
        rng, options = self._rng, self._options
        if person.rides:
            return [Pushed(next(self._ids), "wheelchair", person, wheelchair(), 0.0)]
        if rng.random() < options.bags:
            stays = [spell for spell in person.schedule if spell.walk is None and spell.start > 0]
            colour = furniture.pick(rng, furniture.CLOTHS, 0.1)
            surface = Surface(colour, str(rng.choice(["fabric", "plain"])), 0.4)
            moment = stays[rng.integers(len(stays))].start + 0.4 if stays else 1e9
            left = rng.random() < 0.6
            was_background = not left and rng.random() < 0.5
            self.tags.add("left_bag" if left else "ghost" if was_background else "taken_bag")
            return [Bag(next(self._ids), person, surface, moment, left, was_background)]
        if rng.random() < options.extras * 0.6:
            return [Pushed(next(self._ids), "trolley", person, trolley(rng), 0.75)]
        return []

    def _rounds(self, min_length: float, grid: OccupancyGrid) -> Walk | None:
        for _ in range(4):
            start = self._outside() if self._rng.random() < 0.5 else self._goal()
            way = self._way(start, self._goal(), grid)
            if way is not None and way.length > min_length:
                return way
        return None

    def _extra(self, kind: str) -> Roller | None:
        """A pet, robot, ball or car on a round trip, or None without a way."""
        rng, wide = self._rng, kind == "car"
        if wide and self._room.template != "parking":
            return None
        grid = binary_dilation(self._grid, iterations=3) if wide else self._grid
        way = self._rounds({"pet": 1.5, "robot": 1.0, "ball": 2.0, "car": 4.0}[kind], grid)
        if way is None:
            return None
        number = next(self._ids)
        if kind == "car":
            return Roller(number, kind, way, rng.uniform(1.5, 4), car_parts(rng), 0.9)
        if kind == "pet":
            tones = ((0.75, 0.6, 0.4), (0.15, 0.13, 0.12), (0.9, 0.88, 0.84), (0.5, 0.35, 0.22))
            coat, size = Surface(furniture.pick(rng, tones), "hair", 0.2), rng.uniform(0.25, 0.55)
            speed = rng.uniform(0.6, 2.2)
            return Roller(number, kind, way, speed, pet_solids(coat, size), 0.6 * size, legs=coat)
        if kind == "robot":
            return Roller(number, kind, way, rng.uniform(0.2, 0.6), robot_solids(rng), 0.2)
        radius, colour = rng.uniform(0.08, 0.2), furniture.pick(rng, furniture.CLOTHS, 0.3)
        surface = Surface(colour, str(rng.choice(["checks", "stripes", "dots"])), 0, gloss=0.3)
        hops, speed = rng.uniform(0.1, 0.8), rng.uniform(1, 3)
        return Roller(number, kind, way, speed, [ball((radius,) * 3, (0, 0, 0), surface)], radius, hops)
