"""What may be ordered: sizes and contents of generated data sets."""

from __future__ import annotations

from dataclasses import dataclass

from segue_isd.casting import CastOptions
from segue_isd.scene import SceneOptions
from segue_isd.templates import TEMPLATES

COMMON = SceneOptions(
    cast=CastOptions(),
    moods=(("day", 0.3), ("neon", 0.25), ("mixed", 0.2), ("evening", 0.15), ("night", 0.1)),
    cameras=(("static", 0.6), ("jitter", 0.15), ("pan", 0.07), ("steps", 0.08), ("hand", 0.10)),
    liveliness=0.35,
    events=0.3,
    rates=(5.0, 8.0, 10.0, 15.0, 25.0, 30.0),
    thermal=0.03,
)
HARD = SceneOptions(
    cast=CastOptions(people=(1, 7), present=0.5, camouflage=0.5, stops=0.6, bags=0.5, extras=0.3),
    moods=(("night", 0.5), ("evening", 0.25), ("mixed", 0.25)),
    cameras=(("static", 0.3), ("jitter", 0.25), ("pan", 0.15), ("steps", 0.15), ("hand", 0.15)),
    liveliness=0.7,
    events=0.7,
    rates=(1.0, 2.0, 4.0, 8.0, 25.0),
    thermal=0.05,
)

HELD_OUT = {"val": ("hall",), "test": ("ward", "lab")}
"""Kinds of rooms that training never sees."""
TRAINED = tuple(name for name in TEMPLATES if name not in {n for names in HELD_OUT.values() for n in names})


@dataclass(frozen=True)
class Preset:
    """An order.

    Attributes:
        clips: how many.
        length: frames of a clip.
        size: height and width.
        options: contents.
    """

    clips: int
    length: int
    size: tuple[int, int]
    options: SceneOptions


PRESETS: dict[str, Preset] = {
    "tiny": Preset(6, 12, (64, 96), COMMON),
    "smoke": Preset(24, 60, (120, 160), COMMON),
    "isd-like": Preset(600, 250, (240, 320), COMMON),
    "hard": Preset(200, 400, (240, 320), HARD),
}


def split_of(index: int) -> tuple[str, tuple[str, ...]]:
    """Split of the scene with a number, and the kinds of rooms it may show: 8 in 10 train, 1 val, 1 test."""
    if index % 10 == 4:
        return "val", HELD_OUT["val"]
    if index % 10 == 9:
        return "test", HELD_OUT["test"]
    return "train", TRAINED
