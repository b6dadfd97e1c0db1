"""Furniture of rooms. Each piece faces -y, is centred at the origin, and has a footprint."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from segue_isd.scene.parts import Colour, Part, Surface, ball, box, cylinder, panel, placed, transformed


@dataclass(frozen=True)
class Seat:
    """A seat or workplace in its owner's coordinates: position, direction, and whether on a chair."""

    x: float
    y: float
    turn: float
    sitting: bool


@dataclass(frozen=True)
class Piece:
    """A piece of furniture, ``width`` metres along x and ``depth`` along y."""

    parts: list[Part]
    width: float
    depth: float
    seats: tuple[Seat, ...] = ()
    screens: tuple[Part, ...] = ()
    plants: tuple[Part, ...] = ()


Maker = Callable[[np.random.Generator], Piece]

WOODS: tuple[Colour, ...] = (
    (0.72, 0.52, 0.34),
    (0.55, 0.38, 0.25),
    (0.9, 0.78, 0.6),
    (0.4, 0.27, 0.2),
    (0.92, 0.9, 0.86),
)
GREYS: tuple[Colour, ...] = (
    (0.3, 0.3, 0.32),
    (0.55, 0.56, 0.58),
    (0.8, 0.8, 0.8),
    (0.16, 0.16, 0.18),
    (0.93, 0.93, 0.92),
)
CLOTHS: tuple[Colour, ...] = (
    (0.25, 0.32, 0.48),
    (0.5, 0.2, 0.2),
    (0.35, 0.4, 0.33),
    (0.6, 0.55, 0.48),
    (0.2, 0.2, 0.22),
    (0.66, 0.5, 0.28),
)


def pick(rng: np.random.Generator, colours: tuple[Colour, ...], spread: float = 0.06) -> Colour:
    """Pick a colour, slightly varied."""
    base = np.asarray(colours[rng.integers(len(colours))])
    r, g, b = np.clip(base + rng.normal(0, spread, 3) * 0.5 + rng.normal(0, spread), 0.03, 1)
    return float(r), float(g), float(b)


def wood(rng: np.random.Generator) -> Surface:
    """Draw a wooden or painted surface."""
    return Surface(pick(rng, WOODS), "wood", 0.8, gloss=0.15)


def metal(rng: np.random.Generator) -> Surface:
    """Draw painted or bare metal."""
    return Surface(pick(rng, GREYS), "metal", 0.6, gloss=0.35)


def cloth(rng: np.random.Generator) -> Surface:
    """Draw upholstery."""
    colour = pick(rng, CLOTHS)
    return Surface(colour, str(rng.choice(["fabric", "fabric", "denim", "plaid"])), 0.5, gloss=0.02)


def legs_of(
    width: float, depth: float, height: float, surface: Surface, thickness: float = 0.05
) -> list[Part]:
    """Four legs at the corners of a rectangle."""
    x, y = width / 2 - thickness, depth / 2 - thickness
    return [
        box((thickness, thickness, height), (sx * x, sy * y, 0), surface) for sx in (-1, 1) for sy in (-1, 1)
    ]


def table(rng: np.random.Generator) -> Piece:
    """A table, optionally with objects on it."""
    width, depth, height = rng.uniform(1.0, 1.9), rng.uniform(0.65, 0.95), rng.uniform(0.7, 0.78)
    top = wood(rng)
    parts = [box((width, depth, 0.04), (0, 0, height), top), *legs_of(width, depth, height, top)]
    return Piece(parts + things(rng, width, depth, height + 0.04), width, depth)


def things(rng: np.random.Generator, width: float, depth: float, height: float) -> list[Part]:
    """Cups, books and boxes on a surface."""
    parts = []
    for _ in range(rng.integers(1, 6)):
        x, y = rng.uniform(-0.42, 0.42) * width, rng.uniform(-0.38, 0.38) * depth
        surface = Surface(pick(rng, CLOTHS + GREYS, 0.2), "plain", 0.5, gloss=0.3)
        kind = rng.integers(3)
        if kind == 0:
            parts.append(cylinder(rng.uniform(0.03, 0.06), rng.uniform(0.08, 0.25), (x, y, height), surface))
        elif kind == 1:
            size = rng.uniform((0.1, 0.1, 0.02), (0.3, 0.25, 0.12))
            parts.append(box(size, (x, y, height), surface, rng.uniform(0, 3)))
        else:
            sheet = Surface((0.93, 0.93, 0.9), "papers", 0)
            parts.append(box((0.21, 0.3, 0.006), (x, y, height), sheet, rng.uniform(-0.6, 0.6)))
    return parts


def chair(rng: np.random.Generator) -> Piece:
    """A chair; a person on it looks towards -y."""
    seat, legs = cloth(rng), metal(rng)
    parts = [
        box((0.44, 0.44, 0.06), (0, 0, 0.42), seat),
        box((0.42, 0.05, 0.42), (0, 0.21, 0.52), seat),
        *legs_of(0.44, 0.44, 0.42, legs, 0.035),
    ]
    return Piece(parts, 0.5, 0.5, (Seat(0, -0.02, -np.pi / 2, True),))


def office_chair(rng: np.random.Generator) -> Piece:
    """A swivel chair."""
    seat, foot = cloth(rng), Surface((0.15, 0.15, 0.16), gloss=0.3)
    parts = [
        box((0.5, 0.48, 0.08), (0, 0, 0.43), seat),
        box((0.46, 0.07, 0.56), (0, 0.24, 0.56), seat),
        cylinder(0.035, 0.4, (0, 0, 0.05), foot),
        box((0.58, 0.06, 0.05), (0, 0, 0.03), foot, 0.4),
        box((0.58, 0.06, 0.05), (0, 0, 0.03), foot, 0.4 + np.pi / 2),
    ]
    return Piece(parts, 0.6, 0.6, (Seat(0, -0.02, -np.pi / 2, True),))


def desk(rng: np.random.Generator) -> Piece:
    """An office desk with a screen and a chair; a person there looks towards +y."""
    width, depth, height = rng.uniform(1.3, 1.8), 0.75, 0.73
    top, frame = wood(rng), metal(rng)
    parts = [
        box((width, depth, 0.04), (0, 0, height), top),
        *legs_of(width, depth, height, frame),
        box((0.42, 0.6, 0.6), (width / 2 - 0.26, 0.02, 0.05), frame),
        box((0.44, 0.15, 0.025), (-0.1, -0.12, height + 0.04), Surface(texture="keyboard", tile=0)),
        cylinder(0.1, 0.015, (-0.1, 0.16, height + 0.04), Surface((0.1, 0.1, 0.1), gloss=0.4)),
        box((0.06, 0.04, 0.2), (-0.1, 0.19, height + 0.04), Surface((0.12, 0.12, 0.12), gloss=0.4)),
        box((0.58, 0.04, 0.36), (-0.1, 0.2, height + 0.17), Surface((0.08, 0.08, 0.09), gloss=0.4)),
    ]
    image = Surface((1, 1, 1), f"desktop{rng.integers(2)}", 0, glow=0.35)
    screen = panel(0.54, 0.32, (-0.1, 0.173, height + 0.19), image)
    parts += things(rng, width, depth * 0.7, height + 0.04)
    seat = office_chair(rng)
    turned = placed(rng.uniform(-0.15, 0.05), -0.62, 0, np.pi + rng.uniform(-0.5, 0.5))
    parts += transformed(seat.parts, turned)
    screens = (screen,) if rng.random() < 0.4 else ()
    if not screens:
        parts.append(screen)
    return Piece(parts, width, depth + 1.1, (Seat(-0.1, -0.62, np.pi / 2, True),), screens)


def shelf(rng: np.random.Generator) -> Piece:
    """A full shelf."""
    width, depth, height = rng.uniform(0.8, 1.8), rng.uniform(0.3, 0.45), rng.uniform(1.4, 2.2)
    frame = wood(rng)
    content = Surface((1, 1, 1), str(rng.choice(["books", "goods"])), 0)
    parts = [
        box((width, depth, height), (0, 0, 0), frame),
        panel(width - 0.08, height - 0.12, (0, -depth / 2 - 0.002, 0.06), content),
    ]
    return Piece(parts, width, depth)


def rack(rng: np.random.Generator) -> Piece:
    """An open rack with boxes on each board."""
    width, depth, height = rng.uniform(1.6, 2.6), rng.uniform(0.5, 0.9), rng.uniform(1.8, 2.6)
    frame = Surface(pick(rng, ((0.2, 0.3, 0.6), (0.8, 0.4, 0.1), (0.5, 0.5, 0.5))), "metal", 0.5, gloss=0.3)
    parts = legs_of(width, depth, height, frame, 0.07)
    boards = int(rng.integers(3, 5))
    for board in range(boards):
        z = 0.12 + board * (height - 0.15) / (boards - 0.5)
        parts.append(box((width, depth, 0.04), (0, 0, z), frame))
        x = -width / 2 + 0.1
        while x < width / 2 - 0.3:
            w, tall = rng.uniform(0.25, 0.6), rng.uniform(0.2, 0.42)
            surface = _carton(rng)
            if rng.random() < 0.85 and x + w < width / 2:
                parts.append(
                    box((w, depth * rng.uniform(0.6, 0.95), tall), (x + w / 2, 0, z + 0.04), surface)
                )
            x += w + rng.uniform(0.02, 0.15)
    return Piece(parts, width, depth)


def _carton(rng: np.random.Generator) -> Surface:
    if rng.random() < 0.65:
        return Surface(pick(rng, ((1, 1, 1), (0.85, 0.85, 0.85))), "cardboard", 0)
    return Surface(pick(rng, CLOTHS + GREYS, 0.15), "plain", 0.5)


def cartons(rng: np.random.Generator) -> Piece:
    """A pile of boxes."""
    parts, z = [], 0.0
    side = rng.uniform(0.5, 1.0)
    for _ in range(rng.integers(1, 4)):
        tall = rng.uniform(0.25, 0.6)
        size = (side, side * rng.uniform(0.7, 1), tall)
        parts.append(box(size, (0, 0, z), _carton(rng), rng.uniform(-0.2, 0.2)))
        z, side = z + tall, side * rng.uniform(0.7, 1)
    return Piece(parts, 1.0, 1.0)


def cabinet(rng: np.random.Generator) -> Piece:
    """A closed cabinet with drawers."""
    width, depth, height = rng.uniform(0.5, 1.3), rng.uniform(0.4, 0.6), rng.uniform(0.7, 1.9)
    body = wood(rng) if rng.random() < 0.5 else metal(rng)
    handle = Surface((0.2, 0.2, 0.2), gloss=0.4)
    parts = [box((width, depth, height), (0, 0, 0), body)]
    rows = max(2, int(height / 0.35))
    for row in range(rows):
        z = 0.06 + row * (height - 0.06) / rows
        parts.append(box((width - 0.06, 0.02, (height - 0.06) / rows - 0.03), (0, -depth / 2, z), body))
        parts.append(box((0.14, 0.03, 0.025), (0, -depth / 2 - 0.02, z + 0.2 * height / rows), handle))
    return Piece(parts + things(rng, width, depth, height), width, depth)


def lockers(rng: np.random.Generator) -> Piece:
    """A row of lockers."""
    count, height = int(rng.integers(3, 7)), rng.uniform(1.7, 1.95)
    first, second = metal(rng), Surface(pick(rng, CLOTHS, 0.1), "metal", 0.6, gloss=0.3)
    parts = [box((0.38 * count, 0.48, height), (0, 0, 0), first)]
    for i in range(count):
        x = (i - (count - 1) / 2) * 0.38
        parts += [
            box((0.34, 0.02, height - 0.1), (x, -0.24, 0.05), second),
            box((0.03, 0.03, 0.12), (x + 0.12, -0.26, height * 0.55), first),
        ]
    return Piece(parts, 0.38 * count, 0.5)


def sofa(rng: np.random.Generator) -> Piece:
    """A sofa for two or three."""
    width = rng.uniform(1.5, 2.2)
    surface = cloth(rng)
    pillow = Surface(pick(rng, CLOTHS, 0.2), str(rng.choice(["stripes", "dots", "plaid"])), 0.4)
    parts = [
        box((width, 0.85, 0.4), (0, 0, 0.05), surface),
        box((width, 0.22, 0.45), (0, 0.33, 0.42), surface),
        box((0.2, 0.85, 0.58), (-width / 2 + 0.1, 0, 0.05), surface),
        box((0.2, 0.85, 0.58), (width / 2 - 0.1, 0, 0.05), surface),
        ball((0.2, 0.1, 0.2), (-width / 4, 0.15, 0.6), pillow),
    ]
    seats = tuple(Seat(x, -0.15, -np.pi / 2, True) for x in (-width / 4, width / 4))
    return Piece(parts, width, 0.9, seats)


def bin_(rng: np.random.Generator) -> Piece:
    """A waste bin."""
    surface = Surface(pick(rng, GREYS), "metal", 0.4, gloss=0.3)
    return Piece([cylinder(rng.uniform(0.13, 0.24), rng.uniform(0.35, 0.8), (0, 0, 0), surface)], 0.5, 0.5)
