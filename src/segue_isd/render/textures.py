"""Textures of all surfaces: materials, prints, screens and faces, painted for each scene."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

import cv2
import numpy as np

from segue_isd.render import patterns
from segue_isd.render.patterns import SIDE, Painter, Pattern, Texture, U, V, cells, grey, noise, tinted


class Textures(Mapping[str, Texture]):
    """Textures of a scene by name, (SIDE, SIDE, 4), uint8, RGBA; painted when first read."""

    def __init__(self, rng: np.random.Generator) -> None:
        self._rngs = dict(zip(_PAINTERS, rng.spawn(len(_PAINTERS)), strict=True))
        self._rngs["leaves"] = rng.spawn(1)[0]
        self._painted: dict[str, Texture] = {}

    def __getitem__(self, name: str) -> Texture:
        if name not in self._painted:
            self._painted[name] = self._paint(name, self._rngs[name])
        return self._painted[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._rngs)

    def __len__(self) -> int:
        return len(self._rngs)

    @staticmethod
    def _paint(name: str, rng: np.random.Generator) -> Texture:
        if name == "leaves":
            return _leaves(rng)
        colour = np.clip(_PAINTERS[name](rng) * 255, 0, 255).astype(np.uint8)
        return np.dstack([colour, np.full((SIDE, SIDE), 255, np.uint8)])


def _rough(level: float, *waves: tuple[Any, ...]) -> Painter:
    """Painter of a grey level with several noises, given as amplitude and arguments of :func:`noise`."""

    def paint(rng: np.random.Generator) -> Pattern:
        field: Any = level
        for amplitude, *shape in waves:
            field = field + amplitude * noise(rng, *shape)
        return grey(field)

    return paint


_plain = _rough(0.97, (0.012, 0.8))
_carpet = _rough(0.8, (0.10, 0.15), (0.04, 1.3))
_fabric = _rough(0.84, (0.05, 2.2, (0.5, 1.3)), (0.04, 0.1))


def _concrete(rng: np.random.Generator) -> Pattern:
    stains = np.clip(noise(rng, 1.6, (0.6, 1)), -2, 2)
    return grey(0.82 + 0.06 * stains + 0.04 * noise(rng, 0.4))


def _wood(rng: np.random.Generator) -> Pattern:
    wavy = noise(rng, 1.7, (5, 0.7))
    grain = 0.5 + 0.5 * np.sin(9 * wavy + 40 * V) * 0.35 + 0.12 * noise(rng, 0.6, (1, 8))
    return tinted(grain, (0.62, 0.52, 0.42), (0.98, 0.9, 0.8))


def _laid(
    rows: tuple[int, int],
    columns: tuple[int, int],
    joint: tuple[float, float, float],
    tones: tuple[float, float] = (1.0, 1.0),
    material: Painter = _plain,
    shift: float = 0.0,
) -> Painter:
    """Painter of rows of pieces, which are ``tones`` times a material.

    ``rows`` and ``columns``: limits of their number; ``joint``: its tone, and the distances from the border
    in pixels at which it begins to end and has ended.
    """

    def paint(rng: np.random.Generator) -> Pattern:
        down, across = (int(rng.integers(*limits, endpoint=True)) for limits in (rows, columns))
        cell, border = cells(down, across, shift)
        tone = rng.uniform(*tones, down * across)[cell]
        dark, begin, end = joint
        share = dark + (1 - dark) * np.clip((border - begin) / (end - begin), 0, 1)
        return np.asarray(material(rng) * (tone * share)[..., None], np.float32)

    return paint


def _checks(rng: np.random.Generator) -> Pattern:
    cell, _ = cells(4, 4)
    is_light = ((cell // 4 + cell) % 2).astype(np.float32)
    dark = rng.uniform(0.2, 0.75)
    return grey((dark + (1 - dark) * is_light) * (0.95 + 0.03 * noise(rng, 1.0)))


def _speckles(rng: np.random.Generator) -> Pattern:
    base = grey(0.88 + 0.02 * noise(rng, 1.0))
    for _ in range(260):
        centre, tone = rng.integers(0, SIDE, 2).tolist(), rng.uniform(0.35, 1.0, 3).tolist()
        cv2.circle(base, centre, int(rng.integers(1, 3)), tone, -1)
    return base


def _brick(rng: np.random.Generator) -> Pattern:
    cell, border = cells(10, 4, shift=0.5)
    tone = rng.uniform(0.6, 1.0, 64).astype(np.float32)[cell]
    stone = np.asarray((0.85, 0.55, 0.45)) * (tone + 0.06 * noise(rng, 0.6))[..., None]
    joint = np.clip(border - 0.7, 0, 1)[..., None]
    return np.asarray(stone * joint + 0.8 * (1 - joint), np.float32)


def _wallpaper(rng: np.random.Generator) -> Pattern:
    waves = [
        np.sin(2 * np.pi * (a * U + b * V) + p) for a, b, p in zip(*rng.integers(-4, 5, (3, 4)), strict=True)
    ]
    field = np.tanh(2 * np.sum(waves, axis=0))
    return grey(np.asarray(0.9 + 0.07 * field + 0.01 * noise(rng, 0.4), np.float32))


def _stripes(rng: np.random.Generator) -> Pattern:
    count, second = rng.integers(3, 9), rng.uniform(0.15, 1.0, 3)
    band = (np.sin(2 * np.pi * count * V) > rng.uniform(-0.5, 0.6)).astype(np.float32)
    return np.asarray(tinted(band, second, (1, 1, 1)) * _fabric(rng) * np.float32(1.1), np.float32)


def _plaid(rng: np.random.Generator) -> Pattern:
    colours = rng.uniform(0.2, 1.0, (3, 3))
    count = int(rng.integers(3, 6))
    u = (np.sin(2 * np.pi * count * U) > 0.2).astype(np.float32)
    v = (np.sin(2 * np.pi * count * V) > 0.2).astype(np.float32)
    cloth = 0.5 * (tinted(u, colours[0], colours[1]) + tinted(v, colours[1], colours[2]))
    return np.asarray(cloth * _fabric(rng) * 1.15, np.float32)


def _dots(rng: np.random.Generator) -> Pattern:
    count, second = int(rng.integers(6, 11)), rng.uniform(0.1, 1, 3)
    row = np.floor(V * count)
    distance = np.hypot((U * count + 0.5 * (row % 2)) % 1 - 0.5, V * count % 1 - 0.5)
    ground = (distance > 0.27).astype(np.float32)
    return np.asarray(tinted(ground, second, (1, 1, 1)) * _fabric(rng) * np.float32(1.1), np.float32)


def _blotches(rng: np.random.Generator) -> Pattern:
    colours = rng.uniform(0.25, 1.0, (3, 3)).astype(np.float32)
    image = np.broadcast_to(colours[0], (SIDE, SIDE, 3)).copy()
    for colour in colours[1:]:
        image[noise(rng, 1.6) > 0.5] = colour
    return np.asarray(image * _fabric(rng) * np.float32(1.1), np.float32)


def _logo(rng: np.random.Generator) -> Pattern:
    cloth = _fabric(rng) * np.float32(1.1)
    mark = rng.uniform(0, 1, 3)
    # A cloth runs once around the body; its front is at a quarter turn, its back at three quarters.
    for middle in (SIDE // 4, 3 * SIDE // 4)[: int(rng.integers(1, 3))]:
        place = (middle, int(rng.integers(45, 75)))
        axes = (int(rng.integers(6, 14)), int(rng.integers(6, 16)))
        cv2.ellipse(cloth, place, axes, rng.uniform(0, 90), 0, 360, tuple(map(float, mark)), -1)
    return np.asarray(cloth, np.float32)


def _cardboard(rng: np.random.Generator) -> Pattern:
    image = grey(0.88 + 0.03 * noise(rng, 1.2)) * np.asarray((0.95, 0.78, 0.58), np.float32)
    cv2.rectangle(image, (56, 0), (72, SIDE), (0.82, 0.72, 0.55), -1)
    x, y = (int(v) for v in rng.integers(8, 80, 2))
    cv2.rectangle(image, (x, y), (x + 26, y + 18), (0.95, 0.95, 0.93), -1)
    for line in range(3):
        cv2.line(image, (x + 3, y + 4 + 5 * line), (x + 21, y + 4 + 5 * line), (0.2, 0.2, 0.2), 1)
    return image


def _rug(rng: np.random.Generator) -> Pattern:
    colours = rng.uniform(0.15, 0.9, (4, 3)).astype(np.float32)
    fold = np.maximum(np.abs(U - 0.5), np.abs(V - 0.5))
    ornament = np.sin(24 * np.abs(U - 0.5)) * np.sin(24 * np.abs(V - 0.5))
    image = np.where((ornament > rng.uniform(-0.3, 0.3))[..., None], colours[0], colours[1])
    image = np.where((fold > 0.4)[..., None], colours[2], image)
    image = np.where((fold > 0.46)[..., None], colours[3], image)
    return np.asarray(image * _carpet(rng) * np.float32(1.15), np.float32)


def _door(rng: np.random.Generator) -> Pattern:
    image = _wood(rng) if rng.random() < 0.5 else _plain(rng)
    for top, bottom in ((12, 54), (66, 116)):
        cv2.rectangle(image, (18, top), (110, bottom), (0.6, 0.55, 0.5), 2)
    cv2.circle(image, (116, 66), 3, (0.75, 0.72, 0.6), -1)
    return image


def _blinds(rng: np.random.Generator) -> Pattern:
    slat = 0.72 + 0.28 * np.sin(2 * np.pi * int(rng.integers(10, 18)) * V)
    return grey(np.asarray(slat, np.float32))


def _water(rng: np.random.Generator) -> Pattern:
    ripple = np.abs(noise(rng, 1.5, (1.4, 0.8)))
    return tinted(np.exp(-3 * ripple), (0.25, 0.5, 0.6), (0.85, 0.97, 1.0))


def _leaves(rng: np.random.Generator) -> Texture:
    texture = np.zeros((SIDE, SIDE, 4), np.uint8)
    for _ in range(46):
        angle, reach = rng.uniform(0, 360), rng.uniform(5, 52)
        x, y = (SIDE / 2 + reach * along(np.radians(angle)) for along in (np.cos, np.sin))
        tone = rng.uniform(0.5, 1.0) * np.asarray((0.55, 0.85, 0.4)) * 255
        axes = (int(rng.integers(9, 16)), int(rng.integers(3, 7)))
        cv2.ellipse(texture, (int(x), int(y)), axes, angle, 0, 360, (*tone.tolist(), 255.0), -1)
    return texture


_PAINTERS: dict[str, Painter] = {
    "plain": _plain,
    "plaster": _rough(0.93, (0.025, 0.5), (0.03, 1.8)),
    "concrete": _concrete,
    "carpet": _carpet,
    "wood": _wood,
    "planks": _laid((5, 8), (1, 1), (0.55, 0.0, 1.5), (0.75, 1.0), _wood),
    "parquet": _laid((8, 8), (3, 3), (0.7, 0.0, 1.0), (0.7, 1.0), _wood, shift=0.5),
    "tiles": _laid((2, 4), (2, 4), (0.62, 0.6, 1.6), (0.88, 1.0)),
    "checks": _checks,
    "speckles": _speckles,
    "brick": _brick,
    "boards": _laid((1, 1), (2, 4), (0.7, 0.0, 1.5)),
    "wallpaper": _wallpaper,
    "fabric": _fabric,
    "denim": _rough(0.78, (0.07, 1.9, (0.6, 1.2)), (0.06, 0.2, (3, 0.6))),
    "stripes": _stripes,
    "plaid": _plaid,
    "dots": _dots,
    "blotches": _blotches,
    "logo": _logo,
    "metal": _rough(0.85, (0.05, 0.5, (0.3, 6)), (0.03, 1.5)),
    "cardboard": _cardboard,
    "books": partial(patterns.shelf, rows=4, widths=(4, 10), depth=0.55),
    "goods": partial(patterns.shelf, rows=3, widths=(10, 24), depth=0.4),
    "papers": patterns.papers,
    "whiteboard": patterns.whiteboard,
    "portrait0": patterns.portrait,
    "portrait1": patterns.portrait,
    "portrait2": patterns.portrait,
    "landscape": patterns.landscape,
    "street": patterns.street,
    "night": patterns.night,
    "desktop0": patterns.desktop,
    "desktop1": patterns.desktop,
    "broadcast": patterns.broadcast,
    "keyboard": _laid((5, 5), (14, 14), (0.4, 0.5, 1.5), (0.9, 1.0), _rough(0.6, (0.02, 0.5))),
    "rug": _rug,
    "face": patterns.face,
    "hair": _rough(0.75, (0.16, 0.7, (0.3, 4))),
    "door": _door,
    "blinds": _blinds,
    "sign": patterns.sign,
    "water": _water,
    "belt": _laid((10, 10), (1, 1), (0.45, 0.0, 2.0), material=_rough(0.55, (0.05, 0.5))),
}
