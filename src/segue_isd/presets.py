"""Presets: sizes and contents of generated data sets."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from segue_isd.scene.casting import CastOptions
from segue_isd.scene.scene import Scene, SceneOptions, Setting, build_scene, scene_seed
from segue_isd.scene.templates import TEMPLATES

COMMON = SceneOptions(
    cast=CastOptions(),
    lightings=(("day", 0.3), ("neon", 0.25), ("mixed", 0.2), ("evening", 0.15), ("night", 0.1)),
    cameras=(("static", 0.6), ("jitter", 0.15), ("pan", 0.07), ("steps", 0.08), ("hand", 0.10)),
    liveliness=0.35,
    events=0.3,
    rates=(5.0, 8.0, 10.0, 15.0, 25.0, 30.0),
)
HARD = SceneOptions(
    cast=CastOptions(people=(1, 7), present=0.5, camouflage=0.5, stops=0.6, bags=0.5, extras=0.3),
    lightings=(("night", 0.5), ("evening", 0.25), ("mixed", 0.25)),
    cameras=(("static", 0.3), ("jitter", 0.25), ("pan", 0.15), ("steps", 0.15), ("hand", 0.15)),
    liveliness=0.7,
    events=0.7,
    rates=(1.0, 2.0, 4.0, 8.0, 25.0),
)

HELD_OUT = {"val": ("hall",), "test": ("ward", "lab")}
"""Kinds of rooms that training never sees."""
TRAINED = tuple(name for name in TEMPLATES if name not in {n for names in HELD_OUT.values() for n in names})


@dataclass(frozen=True)
class Preset:
    """Contents of a data set: clips of ``length`` frames of a size (height, width)."""

    clips: int
    length: int
    size: tuple[int, int]
    options: SceneOptions
    rooms: int | None = None  # rooms that all clips share in turn; None: one for each clip
    lights: int | None = None  # conditions of light that all clips share in turn; None: one each

    @property
    def order(self) -> str:
        """Differences of its scenes from the plain preset; empty for the plain preset."""
        cameras = "" if len(self.options.cameras) > 1 else "/still"
        lights = "" if self.lights is None else f"/{self.lights} lights of all rooms"
        return ("" if self.rooms is None else f"/{self.rooms} rooms") + lights + cameras

    def setting(self, seed: int, number: int) -> Setting:
        """Shared properties of clip ``number`` in a data set with a seed."""
        light = None if self.lights is None else number // (self.rooms or 1) % self.lights
        if self.rooms is None:
            return None, light
        kinds = np.random.default_rng(scene_seed(seed, 0, "/kinds")).permutation(TRAINED)
        place = number % self.rooms
        return (scene_seed(seed, place, "/room"), str(kinds[place % len(kinds)])), light

    def scene(self, seed: int, number: int, frames: int) -> Scene:
        """Build the scene of a clip."""
        seed_of_scene = scene_seed(seed, number, self.order)
        _, templates = self.split(number)
        return build_scene(
            seed_of_scene, frames, self.size, self.options, templates, self.setting(seed, number)
        )

    def split(self, number: int) -> tuple[str, tuple[str, ...]]:
        """Split and kinds of rooms of a clip: 8 in 10 train, 1 val, 1 test.

        Shared rooms are all there to train.
        """
        split = "train" if self.rooms else {4: "val", 9: "test"}.get(number % 10, "train")
        return split, HELD_OUT.get(split, TRAINED)


def composed(preset: Preset, rooms: int | None, lights: int | None, *, still: bool) -> Preset:
    """Create a preset with shared rooms, constant shared lights, and static cameras."""
    options = preset.options
    if lights is not None:
        options = replace(options, events=0.0)
    if still:
        options = replace(options, cameras=(("static", 1.0),))
    return replace(preset, options=options, rooms=rooms, lights=lights)


PRESETS: dict[str, Preset] = {
    "tiny": Preset(6, 12, (64, 96), COMMON),
    "smoke": Preset(24, 60, (120, 160), COMMON),
    "isd-like": Preset(600, 250, (240, 320), COMMON),
    "hard": Preset(200, 400, (240, 320), HARD),
}
