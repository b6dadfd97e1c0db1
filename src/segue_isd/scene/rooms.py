"""Furnish rooms by rules from a seed."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from segue.utils.arrays import Float64Array
from segue_isd.scene import furniture as f
from segue_isd.scene.moving import Mover, Slide, curtain, door, fan, hanging_sign, swaying
from segue_isd.scene.parts import Part, Surface, box, chained, numbered, panel, placed, transformed
from segue_isd.scene.templates import TEMPLATES, Template

CELL = 0.25
"""Side of a cell of the plan of free floor, metres."""


NIGHT_GLOW = 0.05
"""Light that a window sends out at night."""


@dataclass
class Room:
    """A furnished room of ``size`` (3,) metres; its walls are x = 0, x = width, y = 0, y = depth."""

    template: str
    size: Float64Array
    parts: list[Part]
    floor: Surface
    wall: Surface
    occupied: npt.NDArray[np.bool_]  # cells (x, y) that no feet fit
    movers: list[Mover] = field(default_factory=list)
    seats: list[tuple[float, float, float, bool]] = field(default_factory=list)  # x, y, turn, on a chair
    openings: list[tuple[float, float]] = field(default_factory=list)  # x, y just inside of doors
    windows: list[tuple[Float64Array, Float64Array]] = field(default_factory=list)  # middle, inward
    mirror: Float64Array | None = None  # plane of the mirroring surface


def furnish(rng: np.random.Generator, template: str, liveliness: float) -> Room:
    """Furnish a room of a kind, by day."""
    plan = TEMPLATES[template]
    size = np.array([rng.uniform(*plan.width), rng.uniform(*plan.depth), rng.uniform(*plan.height)])
    texture, colours, tile, mirror = plan.floors[rng.integers(len(plan.floors))]
    floor = Surface(f.pick(rng, colours), texture, tile, gloss=0.1 + mirror)
    if rng.random() < 0.6:
        floor = replace(floor, mirror=mirror)
    kind, tile = plan.walls[rng.integers(len(plan.walls))]
    wall = Surface(f.pick(rng, plan.tint), kind, tile, gloss=0.05)
    occupied = np.zeros((int(size[0] / CELL), int(size[1] / CELL)), bool)
    room = Room(template, size, [], floor, wall, occupied)
    _Builder(rng, plan, room, liveliness).build()
    if floor.mirror and room.mirror is None:
        room.mirror = np.array([0.0, 0.0, 1.0, 0.0])
    return room


def darken(room: Room) -> None:
    """Copy a room with night behind its windows."""
    room.parts = [
        replace(part, surface=replace(part.surface, texture="night", glow=NIGHT_GLOW))
        if part.surface.texture == "street"
        else part
        for part in room.parts
    ]


class _Builder:
    """Adds furniture to one room."""

    def __init__(self, rng: np.random.Generator, plan: Template, room: Room, liveliness: float) -> None:
        self.rng, self.plan, self.room, self.liveliness = rng, plan, room, liveliness
        self.spots: list[list[float]] = [[], [], [], []]

    def build(self) -> None:
        self._shell()
        self._openings()
        self._islands()
        self._along_walls()
        self._hang()
        self._ceiling()

    def _wall(self, number: int) -> tuple[Float64Array, float]:
        """Pose at a wall with -y into the room and x along the wall, and the wall's length."""
        w, d, _ = self.room.size
        middle = ((w / 2, d, 0.0), (w, d / 2, -np.pi / 2), (w / 2, 0, np.pi), (0, d / 2, np.pi / 2))[number]
        return placed(middle[0], middle[1], 0, middle[2]), float((w, d, w, d)[number])

    def _shell(self) -> None:
        w, d, h = self.room.size
        wall, room = self.room.wall, self.room
        texture = str(self.rng.choice(["plaster", "tiles", "plain"]))
        ceiling = Surface((0.93, 0.93, 0.92), texture, 1.3, gloss=0)
        room.parts += [
            box((w + 0.4, d + 0.4, 0.2), (w / 2, d / 2, -0.2), room.floor),
            box((w + 0.4, d + 0.4, 0.2), (w / 2, d / 2, h), ceiling),
        ]
        accent = replace(wall, colour=f.pick(self.rng, self.plan.tint, 0.15))
        skirting = Surface(f.pick(self.rng, f.WOODS + f.GREYS), "plain", 1.0)
        for number in range(4):
            pose, length = self._wall(number)
            surface = accent if number == 1 else wall
            parts = [box((length + 0.4, 0.2, h), (0, 0.1, 0), surface)]
            if self.room.template not in ("warehouse", "parking"):
                parts.append(box((length, 0.02, 0.09), (0, -0.01, 0), skirting))
            room.parts += transformed(parts, pose)

    def _openings(self) -> None:
        rng, room = self.rng, self.room
        h = float(room.size[2])
        for number in rng.permutation(4).tolist()[: rng.integers(1, 4)]:
            pose, length = self._wall(number)
            x = rng.uniform(-0.5, 0.5) * max(length - 1.6, 0.1)
            tall = min(2.1, h - 0.2)
            frame = Surface(f.pick(rng, f.WOODS + f.GREYS), "plain", 1.0)
            leaf = Surface(f.pick(rng, f.WOODS + f.GREYS), "door", 0, gloss=0.2)
            parts = [
                box((0.08, 0.06, tall + 0.08), (x - 0.5, -0.03, 0), frame),
                box((0.08, 0.06, tall + 0.08), (x + 0.5, -0.03, 0), frame),
                box((1.08, 0.06, 0.08), (x, -0.03, tall), frame),
            ]
            kind = rng.random()
            leaf_parts = [box((0.92, 0.04, tall), (0.46, 0, 0), leaf)]
            hinge = chained(pose, placed(x - 0.46, -0.04))
            if kind < 0.3:
                parts.append(panel(0.92, tall, (x, -0.012, 0), Surface((0.1, 0.1, 0.11))))
            elif kind < 0.3 + 0.4 * self.liveliness:
                parts.append(panel(0.92, tall, (x, -0.005, 0), Surface((0.12, 0.12, 0.13))))
                room.movers.append(door(rng, hinge, leaf_parts))
            else:
                parts += transformed(leaf_parts, placed(x - 0.46, -0.02))
            room.parts += transformed(parts, pose)
            self.spots[number].append(x)
            inside_x, inside_y, _ = chained(pose, placed(x, -0.5))[:, 3].tolist()
            room.openings.append((inside_x, inside_y))
        for _ in range(rng.integers(0, self.plan.windows + 1)):
            self._window()

    def _window(self) -> None:
        rng, room = self.rng, self.room
        number = int(rng.integers(4))
        pose, length = self._wall(number)
        width, tall = rng.uniform(1.0, 2.2), rng.uniform(1.0, 1.5)
        x = rng.uniform(-0.5, 0.5) * max(length - width, 0.1)
        if any(abs(x - other) < width / 2 + 0.8 for other in self.spots[number]):
            return
        self.spots[number].append(x)
        sill = 0.9
        view = Surface((1, 1, 1), "street", 0, glow=rng.uniform(0.6, 1.6), gloss=0.3)
        parts = [
            panel(width, tall, (x, -0.011, sill), view),
            box((width + 0.1, 0.16, 0.04), (x, -0.06, sill - 0.04), Surface((0.9, 0.9, 0.88))),
        ]
        if rng.random() < 0.3:
            blinds = Surface(f.pick(rng, (*f.GREYS, (0.9, 0.85, 0.75))), "blinds", 0)
            down = tall * rng.uniform(0.2, 0.8)
            parts.append(panel(width, down, (x, -0.05, sill + tall - down), blinds))
        room.parts += transformed(parts, pose)
        place = chained(pose, placed(x, 0, sill + tall / 2))[:, 3]
        room.windows.append((place, -pose[:, 1]))
        if rng.random() < 0.6:
            colour = f.pick(rng, (*f.CLOTHS, (0.9, 0.88, 0.82)), 0.15)
            surface = Surface(colour, str(rng.choice(["fabric", "stripes", "dots"])), 0.5)
            for side in (-1, 1):
                spread = width * rng.uniform(0.25, 0.5)
                hung = chained(pose, placed(x + side * (width / 2 + 0.1 - spread / 2), -0.12, sill - 0.5))
                self._draught(curtain(rng, spread, tall + 0.6, hung, surface))

    def _stand(self, piece: f.Piece, pose: Float64Array) -> bool:
        """Add a piece unless it overlaps others or a doorway."""
        room = self.room
        sides = itertools.product((-1, 1), repeat=2)
        corners = np.array([[x * piece.width / 2, y * piece.depth / 2, 0] for x, y in sides])
        spots = corners @ pose[:, :3].T + pose[:, 3]
        low, high = spots[:, :2].min(axis=0), spots[:, :2].max(axis=0)
        if (low < -0.05).any() or (high > room.size[:2] + 0.05).any():
            return False
        cells = np.array([low, high]) / CELL
        x0, y0 = np.maximum(cells[0].astype(int), 0)
        x1, y1 = np.ceil(cells[1]).astype(int)
        doors = np.reshape(room.openings, (-1, 2))
        in_doorway = ((low - 0.4 < doors) & (doors < high + 0.4)).all(axis=1)
        if room.occupied[x0:x1, y0:y1].any() or in_doorway.any():
            return False
        room.occupied[x0:x1, y0:y1] = True
        room.parts += transformed(piece.parts, pose)
        angle = float(np.arctan2(pose[1, 0], pose[0, 0]))
        for seat in piece.seats:
            x, y, _ = chained(pose, placed(seat.x, seat.y))[:, 3].tolist()
            room.seats.append((x, y, angle + seat.turn, seat.sitting))
        if piece.screens:
            screens = tuple(transformed(piece.screens, pose))
            room.movers.append(Slide("screen", screens, (0, 0), self.rng.uniform(0.5, 3)))
        if piece.plants:
            self._draught(swaying(self.rng, piece.plants, pose))
        return True

    def _draught(self, waving: Slide) -> None:
        """Add a waving part, at rest unless the room is lively."""
        if self.rng.random() < self.liveliness:
            self.room.movers.append(waving)
        else:
            self.room.parts += numbered(waving.solids, 0)

    def _islands(self) -> None:
        rng, plan, room = self.rng, self.plan, self.room
        if not plan.islands:
            return
        w, d, _ = room.size
        maker = plan.islands[rng.integers(len(plan.islands))]
        sample = maker(rng)
        step_x = sample.width + max(0.7, plan.gap * 0.6)
        step_y = sample.depth + plan.gap
        turn = float(rng.choice([0, np.pi / 2, np.pi]))
        if turn == np.pi / 2:
            step_x, step_y = step_y, step_x
        same = rng.random() < 0.5
        columns, rows = int((w - 2.0) / step_x), int((d - 2.0) / step_y)
        for column in range(columns):
            for row in range(rows):
                if rng.random() < 0.25:
                    continue
                x = w / 2 + (column - (columns - 1) / 2) * step_x
                y = d / 2 + (row - (rows - 1) / 2) * step_y
                choice = maker if rng.random() < 0.8 else plan.islands[rng.integers(len(plan.islands))]
                piece = sample if same and choice is maker else choice(rng)
                self._stand(piece, placed(x, y, 0, turn + rng.normal(0, 0.04)))

    def _along_walls(self) -> None:
        rng, plan = self.rng, self.plan
        for number in range(4):
            pose, length = self._wall(number)
            x = -length / 2 + 0.3
            while x < length / 2 - 0.5:
                piece = plan.along[rng.integers(len(plan.along))](rng)
                if rng.random() < plan.fill and x + piece.width < length / 2:
                    spot = chained(pose, placed(x + piece.width / 2, -piece.depth / 2 - 0.04))
                    self._stand(piece, spot)
                x += piece.width + rng.uniform(0.05, 0.8)

    def _hang(self) -> None:
        rng, room = self.rng, self.room
        prints = ["portrait0", "portrait1", "portrait2", "landscape", "papers", "whiteboard", "sign"]
        for number in range(4):
            pose, length = self._wall(number)
            for _ in range(rng.integers(1, 5)):
                x = rng.uniform(-0.5, 0.5) * (length - 1.2)
                if any(abs(x - other) < 1.5 for other in self.spots[number]):
                    continue
                self.spots[number].append(x)
                kind = rng.random()
                if kind < 0.1 and room.mirror is None:
                    glass = Surface((0.6, 0.63, 0.65), gloss=0.2, mirror=0.95)
                    room.parts += transformed([panel(0.9, 1.5, (x, -0.012, 0.5), glass)], pose)
                    inward = -pose[:, 1]
                    front = chained(pose, placed(x, -0.024))[:, 3]
                    room.mirror = np.array([*inward, -inward @ front])
                elif kind < 0.1 + 0.15 * (1 + self.liveliness):
                    image = Surface((1, 1, 1), "broadcast", 1.6, glow=0.5, gloss=0.2)
                    frame = Surface((0.08, 0.08, 0.08), gloss=0.4)
                    room.parts += transformed([box((1.1, 0.06, 0.68), (x, -0.03, 1.35), frame)], pose)
                    solids = tuple(transformed([panel(1.0, 0.58, (x, -0.055, 1.4), image)], pose))
                    jump = rng.uniform(0.2, 2.5) if rng.random() < 0.6 else 0.0
                    room.movers.append(Slide("screen", solids, (0.2, 0.05), jump))
                else:
                    surface = Surface((1, 1, 1), str(rng.choice(prints)), 0, gloss=0.1)
                    wide, tall = rng.uniform(0.4, 1.5), rng.uniform(0.4, 1.1)
                    room.parts += transformed(
                        [panel(wide, tall, (x, -0.012, rng.uniform(1.2, 1.5)), surface)], pose
                    )

    def _ceiling(self) -> None:
        rng, room = self.rng, self.room
        w, d, h = room.size.tolist()
        if rng.random() < self.liveliness * 0.6 and room.template not in ("parking", "warehouse"):
            hub = placed(w * rng.uniform(0.35, 0.65), d * rng.uniform(0.35, 0.65), h - 0.3)
            room.movers.append(fan(rng, hub, f.wood(rng)))
            room.parts.append(box((0.06, 0.06, 0.3), hub[:, 3], Surface((0.7, 0.7, 0.7))))
        if rng.random() < self.liveliness * 0.5:
            room.movers.append(hanging_sign(rng, (w * rng.uniform(0.3, 0.7), d * rng.uniform(0.3, 0.7), h)))
        if rng.random() < self.liveliness * 0.5:
            self._belt_or_tank()

    def _belt_or_tank(self) -> None:
        rng, room = self.rng, self.room
        wide = rng.uniform(1.0, 1.8)
        if room.template in ("shop", "warehouse", "lab", "lobby"):
            stand = [box((wide, 0.56, 0.78), (0, 0, 0), f.metal(rng))]
            sliding = box((wide, 0.5, 0.02), (0, 0, 0.8), Surface((0.4, 0.4, 0.42), "belt", 0.5))
            speed = (rng.uniform(0.2, 1.0), 0.0)
        else:
            base, water = f.wood(rng), Surface((0.8, 0.95, 1), "water", 0.7, gloss=0.5, glow=0.12)
            stand = [box((wide, 0.45, 0.75), (0, 0, 0), base), box((wide, 0.45, 0.04), (0, 0, 1.25), base)]
            sliding = box((wide * 0.95, 0.4, 0.5), (0, 0, 0.75), water)
            speed = (rng.uniform(-0.2, 0.2), rng.uniform(0.1, 0.5))
        for number in rng.permutation(4).tolist():
            pose, length = self._wall(number)
            spot = chained(pose, placed(rng.uniform(-0.5, 0.5) * max(length - wide, 0.1), -0.35))
            if self._stand(f.Piece(stand, wide, 0.6), spot):
                room.movers.append(Slide(sliding.surface.texture, tuple(transformed([sliding], spot)), speed))
                return
