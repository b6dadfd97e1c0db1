"""Templates of twelve kinds of rooms."""

from __future__ import annotations

from dataclasses import dataclass

from segue_isd.scene import equipment as e
from segue_isd.scene import furniture as f
from segue_isd.scene.parts import Colour


@dataclass(frozen=True)
class Template:
    """Template of a kind of room; lengths are in metres."""

    width: tuple[float, float]  # limits, as are depth and height
    depth: tuple[float, float]
    height: tuple[float, float]
    floors: tuple[tuple[str, tuple[Colour, ...], float, float], ...]  # texture, colours, repeat, mirror share
    walls: tuple[tuple[str, float], ...]  # texture, length of a repeat
    along: tuple[f.Maker, ...]  # furniture against the walls, each as often as drawn
    islands: tuple[f.Maker, ...]  # furniture in rows in the middle
    gap: float  # between the rows
    fill: float  # share of the places along walls that are taken
    windows: int  # most windows
    tint: tuple[Colour, ...]  # colours of the walls


_WARM: tuple[Colour, ...] = ((0.9, 0.86, 0.78), (0.86, 0.8, 0.7), (0.8, 0.83, 0.76), (0.93, 0.92, 0.9))
_COOL: tuple[Colour, ...] = ((0.86, 0.89, 0.92), (0.8, 0.84, 0.82), (0.93, 0.93, 0.93), (0.7, 0.77, 0.83))
_RAW: tuple[Colour, ...] = ((0.66, 0.66, 0.64), (0.75, 0.73, 0.7), (0.85, 0.85, 0.82))
_OAK: tuple[Colour, ...] = ((0.8, 0.62, 0.42), (0.6, 0.43, 0.3), (0.92, 0.82, 0.66), (0.45, 0.33, 0.26))
_STONE: tuple[Colour, ...] = ((0.8, 0.78, 0.74), (0.6, 0.6, 0.6), (0.45, 0.46, 0.5), (0.9, 0.88, 0.84))
_PILE: tuple[Colour, ...] = ((0.35, 0.38, 0.45), (0.5, 0.45, 0.4), (0.42, 0.3, 0.3), (0.3, 0.4, 0.36))

_CARPETS = ("carpet", _PILE, 1.2, 0.0)
_BOARDS = ("planks", _OAK, 1.2, 0.06)
_BLOCKS = ("parquet", _OAK, 1.4, 0.12)
_TILES = ("tiles", _STONE, 1.0, 0.14)
_CHECKS = ("checks", _STONE, 1.6, 0.12)
_TERRAZZO = ("speckles", _STONE, 0.9, 0.25)
_CONCRETE = ("concrete", _RAW, 3.0, 0.0)

TEMPLATES: dict[str, Template] = {
    "office": Template(
        (6, 10), (5, 9), (2.6, 3.1), (_CARPETS, _BOARDS, _TERRAZZO), (("plaster", 3.0), ("boards", 1.6)),
        (f.cabinet, f.shelf, f.desk, e.plant, f.table, f.bin_), (f.desk,), 1.2, 0.75, 3, _WARM + _COOL,
    ),
    "corridor": Template(
        (2.6, 3.8), (9, 15), (2.5, 3.2), (_TERRAZZO, _TILES, _CARPETS),
        (("plaster", 3.0), ("tiles", 0.8), ("boards", 1.4)),
        (e.plant, f.bin_, f.lockers, f.chair, f.cabinet), (), 9.0, 0.3, 1, _WARM + _COOL,
    ),
    "shop": Template(
        (7, 12), (6, 10), (2.8, 3.6), (_TILES, _CHECKS, _TERRAZZO), (("plain", 2.0), ("boards", 1.2)),
        (f.shelf, f.rack, e.fridge, e.counter, f.shelf), (f.shelf, f.rack), 1.5, 0.85, 2, _COOL + _WARM,
    ),
    "lobby": Template(
        (8, 14), (7, 11), (3.2, 4.5), (_TERRAZZO, _CHECKS, _BLOCKS),
        (("plain", 2.5), ("tiles", 1.6), ("boards", 1.0)),
        (f.sofa, e.plant, e.counter, f.table, e.fridge), (e.pillar, f.sofa), 3.0, 0.5, 3, _WARM,
    ),
    "living": Template(
        (4.5, 7), (4, 6.5), (2.5, 2.9), (_BOARDS, _BLOCKS, _CARPETS), (("wallpaper", 0.9), ("plaster", 2.5)),
        (f.sofa, f.shelf, f.cabinet, e.plant, f.table, f.chair), (f.table, e.dining), 1.6, 0.75, 2, _WARM,
    ),
    "kitchen": Template(
        (4, 6.5), (4, 6), (2.5, 2.9), (_TILES, _CHECKS, _BOARDS), (("tiles", 0.6), ("plaster", 2.5)),
        (e.kitchen_block, e.fridge, e.kitchen_block, f.cabinet, f.bin_), (e.dining,),
        1.6, 0.85, 2, _WARM + _COOL,
    ),
    "warehouse": Template(
        (9, 16), (8, 14), (4.0, 5.5), (_CONCRETE,), (("concrete", 3.0), ("brick", 1.2), ("boards", 0.8)),
        (f.rack, f.cartons, f.rack, f.lockers), (f.rack, f.cartons), 2.0, 0.8, 1, _RAW,
    ),
    "classroom": Template(
        (7, 10), (6, 9), (2.8, 3.3), (_BLOCKS, _TERRAZZO, _CARPETS), (("plaster", 3.0), ("plain", 2.0)),
        (f.shelf, f.cabinet, f.table, f.bin_), (e.school_desk,), 0.9, 0.5, 3, _WARM + _COOL,
    ),
    "hall": Template(
        (7, 11), (7, 11), (3.4, 4.6), (_TERRAZZO, _TILES, _BLOCKS),
        (("plaster", 3.0), ("brick", 1.2), ("tiles", 1.2)),
        (e.stairs, e.plant, f.lockers, f.chair, f.cabinet), (e.pillar,), 3.5, 0.5, 2, _WARM + _RAW,
    ),
    "parking": Template(
        (12, 18), (10, 16), (2.7, 3.2), (_CONCRETE,), (("concrete", 3.0), ("stripes", 2.5)),
        (e.car, e.pillar, f.bin_), (e.car, e.pillar), 2.6, 0.6, 0, _RAW,
    ),
    "ward": Template(
        (5, 8), (4.5, 7.5), (2.6, 3.0), (_TERRAZZO, _TILES), (("plain", 2.0), ("plaster", 3.0)),
        (e.bed, f.cabinet, f.chair, e.bed, f.table), (e.bed,), 1.8, 0.7, 2, _COOL,
    ),
    "lab": Template(
        (6, 9), (5.5, 8.5), (2.7, 3.2), (_TERRAZZO, _TILES), (("plain", 2.0), ("tiles", 0.5)),
        (e.lab_bench, e.fridge, f.cabinet, f.shelf, f.bin_), (e.lab_bench,), 1.4, 0.75, 2, _COOL,
    ),
}  # fmt: skip
