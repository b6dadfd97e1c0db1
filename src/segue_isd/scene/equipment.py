"""Larger and rarer furniture: see :mod:`.furniture`."""

from __future__ import annotations

import numpy as np

from segue_isd.scene import furniture as f
from segue_isd.scene.furniture import Piece, Seat
from segue_isd.scene.parts import Part, Surface, ball, box, cylinder, panel, placed, sheet, transformed, wheel


def bed(rng: np.random.Generator) -> Piece:
    """A bed, head at +y."""
    frame, cover = f.metal(rng), Surface(f.pick(rng, (*f.CLOTHS, (0.9, 0.92, 0.95)), 0.1), "fabric", 0.7)
    parts = [
        box((1.0, 2.0, 0.12), (0, 0, 0.3), frame),
        box((0.96, 1.9, 0.18), (0, 0, 0.42), Surface((0.94, 0.94, 0.94), "fabric", 0.7)),
        box((1.02, 1.3, 0.06), (0, -0.32, 0.58), cover),
        ball((0.3, 0.2, 0.08), (0, 0.75, 0.62), Surface((0.97, 0.97, 0.97), "fabric", 0.5)),
        box((1.0, 0.05, 0.95), (0, 1.0, 0), frame),
        box((1.0, 0.05, 0.65), (0, -1.0, 0), frame),
    ]
    return Piece(parts, 1.1, 2.1, (Seat(-0.62, 0, np.pi, False),))


def counter(rng: np.random.Generator) -> Piece:
    """A long counter; staff stands behind it."""
    width = rng.uniform(1.8, 3.2)
    front, top = f.wood(rng), Surface(f.pick(rng, f.GREYS), "speckles", 0.6, gloss=0.4)
    parts = [
        box((width, 0.55, 1.0), (0, 0, 0), front),
        box((width + 0.1, 0.68, 0.05), (0, 0, 1.0), top),
        *f.things(rng, width, 0.5, 1.05),
        box((0.4, 0.05, 0.3), (width / 4, 0.1, 1.05), Surface((0.1, 0.1, 0.1), gloss=0.3)),
    ]
    return Piece(parts, width, 1.2, (Seat(0, 0.6, -np.pi / 2, False), Seat(0.3, -0.6, np.pi / 2, False)))


def kitchen_block(rng: np.random.Generator) -> Piece:
    """Kitchen cupboards with a stove or sink, and cupboards above."""
    width = rng.uniform(1.8, 3.0)
    body, top = f.wood(rng), Surface(f.pick(rng, f.GREYS), "speckles", 0.5, gloss=0.4)
    handle, stove = Surface((0.3, 0.3, 0.3), gloss=0.5), Surface((0.1, 0.1, 0.1), gloss=0.6)
    count = int(width / 0.6)
    parts = [box((width, 0.58, 0.86), (0, 0, 0), body), box((width + 0.04, 0.64, 0.05), (0, 0, 0.86), top)]
    for i in range(count):
        x = (i + 0.5 - count / 2) * width / count
        parts += [
            box((width / count - 0.04, 0.02, 0.7), (x, -0.29, 0.1), body),
            box((0.16, 0.02, 0.02), (x, -0.31, 0.7), handle),
        ]
    parts += [
        box((width, 0.34, 0.65), (0, 0.12, 1.5), body),
        box((0.5, 0.42, 0.02), (width / 5, 0, 0.9), stove),
        *f.things(rng, width, 0.45, 0.91),
    ]
    return Piece(parts, width, 0.64, (Seat(0, -0.6, np.pi / 2, False),))


def fridge(rng: np.random.Generator) -> Piece:
    """A refrigerator or vending machine."""
    surface = Surface(f.pick(rng, (*f.GREYS, (0.6, 0.15, 0.15))), "plain", 0.8, gloss=0.5)
    parts = [box((0.7, 0.7, rng.uniform(1.6, 1.95)), (0, 0, 0), surface)]
    if rng.random() < 0.4:
        parts.append(panel(0.5, 1.0, (-0.05, -0.36, 0.6), Surface((1, 1, 1), "goods", 0, glow=0.25)))
    else:
        parts += [
            box((0.03, 0.04, 0.6), (0.28, -0.37, 0.8), Surface((0.4, 0.4, 0.4), gloss=0.6)),
            panel(0.2, 0.3, (-0.1, -0.36, 1.1), Surface((1, 1, 1), "papers", 0)),
        ]
    return Piece(parts, 0.75, 0.75)


def plant(rng: np.random.Generator) -> Piece:
    """A plant in a pot; its leaves may sway."""
    tall = rng.uniform(0.7, 1.6)
    tone = f.pick(rng, ((0.6, 0.35, 0.22), (0.9, 0.9, 0.88), (0.25, 0.25, 0.27)))
    pot, stem = Surface(tone, "plain", 0.4, gloss=0.2), Surface((0.35, 0.28, 0.2))
    parts = [cylinder(0.17, 0.3, (0, 0, 0), pot), cylinder(0.02, tall * 0.6, (0, 0, 0.3), stem)]
    leaves = []
    for i in range(5):
        pose = placed(0, 0, 0.3 + tall * rng.uniform(0.35, 0.7), i * 0.63)
        share = rng.uniform(0.6, 1)
        surface = Surface((0.75 * share, 0.95 * share, 0.7 * share), "leaves", 0)
        leaves.append(sheet(tall * 0.8, tall * 0.8, pose, surface))
    return Piece(parts, 0.5, 0.5, plants=tuple(leaves))


def lab_bench(rng: np.random.Generator) -> Piece:
    """A laboratory bench with apparatus."""
    width = rng.uniform(1.8, 2.6)
    body = Surface(f.pick(rng, f.GREYS), "plain", 0.8)
    top = Surface((0.25, 0.26, 0.28), "speckles", 0.6, gloss=0.5)
    parts = [box((width, 0.7, 0.85), (0, 0, 0), body), box((width + 0.06, 0.76, 0.04), (0, 0, 0.85), top)]
    for x in np.linspace(-0.35, 0.35, 4) * width:
        if rng.random() < 0.7:
            size = rng.uniform((0.2, 0.2, 0.15), (0.45, 0.45, 0.5))
            parts.append(box(size, (x, rng.uniform(-0.1, 0.1), 0.89), f.metal(rng)))
        else:
            glass = Surface((0.75, 0.85, 0.9), gloss=0.8)
            parts.append(cylinder(0.06, 0.25, (x, 0, 0.89), glass))
    return Piece(parts, width, 1.2, (Seat(0, -0.62, np.pi / 2, False), Seat(0.3, 0.62, -np.pi / 2, False)))


def school_desk(rng: np.random.Generator) -> Piece:
    """A school desk with two chairs, facing +y."""
    top, frame = f.wood(rng), f.metal(rng)
    parts = [box((1.2, 0.5, 0.03), (0, 0, 0.72), top), *f.legs_of(1.2, 0.5, 0.72, frame, 0.03)]
    seats = []
    seat = f.chair(rng)
    for x in (-0.3, 0.3):
        parts += transformed(seat.parts, placed(x, -0.45, 0, np.pi + rng.uniform(-0.2, 0.2)))
        seats.append(Seat(x, -0.43, np.pi / 2, True))
    if rng.random() < 0.6:
        parts += f.things(rng, 1.1, 0.4, 0.75)
    return Piece(parts, 1.25, 1.2, tuple(seats))


def dining(rng: np.random.Generator) -> Piece:
    """A table with chairs around it."""
    base = f.table(rng)
    seat = f.chair(rng)
    parts, seats = list(base.parts), []
    for side in (-1, 1):
        for x in (-base.width / 4, base.width / 4):
            y = side * (base.depth / 2 + 0.2)
            turn = np.pi * (side < 0) + rng.uniform(-0.3, 0.3)
            parts += transformed(seat.parts, placed(x, y, 0, turn))
            seats.append(Seat(x, y, -side * np.pi / 2, True))
    return Piece(parts, base.width, base.depth + 1.0, tuple(seats))


def pillar(rng: np.random.Generator) -> Piece:
    """A column."""
    surface = Surface(f.pick(rng, f.GREYS), str(rng.choice(["concrete", "plaster", "tiles"])), 1.0)
    side = rng.uniform(0.3, 0.55)
    if rng.random() < 0.5:
        return Piece([cylinder(side / 2, 3.6, (0, 0, 0), surface)], side, side)
    stripe = Surface((0.9, 0.75, 0.1), "stripes", 0.5)
    border = box((side + 0.02, side + 0.02, 0.5), (0, 0, 0.5), stripe)
    return Piece([box((side, side, 3.6), (0, 0, 0), surface), border], side, side)


def car(rng: np.random.Generator) -> Piece:
    """A parked car, its nose at +x."""
    return Piece(car_parts(rng), 4.4, 2.0)


def car_parts(rng: np.random.Generator) -> list[Part]:
    """Solids of a car about 4.2 m long."""
    tones = [(0.6, 0.1, 0.1), (0.15, 0.2, 0.4), (0.85, 0.85, 0.87), (0.1, 0.1, 0.11), (0.5, 0.52, 0.55)]
    r, g, b = rng.choice(tones)
    paint, glass = Surface((r, g, b), gloss=0.8), Surface((0.1, 0.13, 0.16), gloss=0.9)
    tyre, lamp = Surface((0.07, 0.07, 0.07)), Surface((0.95, 0.95, 0.85), gloss=0.6, glow=0.1)
    return [
        box((4.2, 1.7, 0.5), (0, 0, 0.3), paint),
        ball((2.15, 0.84, 0.33), (0, 0, 0.72), paint),
        ball((1.15, 0.76, 0.52), (-0.25, 0, 0.92), glass),
        ball((0.95, 0.7, 0.42), (-0.28, 0, 1.06), paint),
        *(wheel(0.32, 0.18, (x, y + 0.18, 0.32), tyre) for x in (-1.3, 1.3) for y in (-0.86, 0.68)),
        *(box((0.05, 0.3, 0.14), (2.09, y, 0.56), lamp) for y in (-0.6, 0.6)),
    ]


def stairs(rng: np.random.Generator) -> Piece:
    """A flight of stairs that rises towards +y."""
    width, count = rng.uniform(1.6, 2.6), int(rng.integers(7, 12))
    surface = Surface(f.pick(rng, f.GREYS), str(rng.choice(["concrete", "speckles", "tiles"])), 0.8)
    edge, rail = Surface((0.25, 0.25, 0.25)), f.metal(rng)
    parts = []
    for step in range(count):
        y, z = (step - count / 2) * 0.29, 0.17 * (step + 1)
        parts += [
            box((width, 0.29, z), (0, y, 0), surface),
            box((width, 0.03, 0.012), (0, y - 0.13, z), edge),
            *(cylinder(0.015, 0.9, (x, y, z), rail) for x in (-width / 2 + 0.04, width / 2 - 0.04)),
        ]
    return Piece(parts, width, 0.29 * count)
