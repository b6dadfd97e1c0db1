"""Moving background: curtains, fans, screens, plants, water, belts, signs and doors.

At each moment in seconds it has as many solids, in the same order.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from segue.utils.arrays import Float64Array
from segue_isd.scene.parts import (
    MOVING_BACKGROUND,
    UNDECIDED,
    Part,
    Shape,
    Surface,
    Wave,
    box,
    chained,
    numbered,
    placed,
    scaled,
    sheet,
    transformed,
)


@dataclass(frozen=True)
class Slide:
    """Surfaces that wave (curtains), slide (water), or change every few seconds (screens)."""

    kind: str
    solids: tuple[Part, ...]
    speed: tuple[float, float] = (0.0, 0.0)
    jump: float = 0.0

    def parts(self, time: float) -> list[Part]:
        across, down = (self.speed[0] * time, self.speed[1] * time)
        if self.jump:
            count = int(np.floor(time / self.jump))
            across, down = 0.37 * count, 0.61 * count
        shift = (across % 1.0, down % 1.0)
        return [
            replace(part, surface=replace(part.surface, shift=shift), id=MOVING_BACKGROUND)
            for part in self.solids
        ]


@dataclass(frozen=True)
class Turning:
    """Parts that rotate about the axis x or z of a pose ``pivot`` (3, 4) by a function of time."""

    kind: str
    pivot: Float64Array
    solids: Sequence[Part]
    angle: Callable[[float], float]
    about: Literal["x", "z"] = "z"
    id: int = MOVING_BACKGROUND

    def parts(self, time: float) -> list[Part]:
        turn = placed(0, 0, 0, self.angle(time))
        if self.about == "x":
            turn[:, :3] = np.roll(turn[:, :3], 1, (0, 1))
        return numbered(transformed(self.solids, chained(self.pivot, turn)), self.id)


Mover = Slide | Turning


def fan(rng: np.random.Generator, hub: Float64Array, surface: Surface) -> Turning:
    """A ceiling fan of four blades. ``hub``: (3, 4), its centre to the world."""
    length, speed = rng.uniform(0.45, 0.65), rng.uniform(2, 14)
    blade = Part(Shape.BOX, scaled((length, 0.14, 0.015), (length / 2 + 0.08, 0, 0)), surface)
    blades = [part for turn in range(4) for part in transformed([blade], placed(0, 0, 0, turn * np.pi / 2))]
    return Turning("fan", hub, blades, lambda time: speed * time)


def door(rng: np.random.Generator, hinge: Float64Array, solids: Sequence[Part]) -> Turning:
    """A door that opens at times, labelled as unknown. ``hinge``: (3, 4), to the world."""
    moments = rng.uniform(0, 30, 4)

    def angle(time: float) -> float:
        return 1.35 * float(np.exp(-(((time - moments) / 1.1) ** 4)).max())

    return Turning("door", hinge, solids, angle, id=UNDECIDED)


def curtain(
    rng: np.random.Generator, width: float, height: float, pose: Float64Array, surface: Surface
) -> Slide:
    """A curtain in a draught; ``pose`` (3, 4) is the centre of its lower edge."""
    hanging = sheet(width, height, chained(pose, placed(0, 0, height / 2)), surface)
    wave = Wave(rng.uniform(0.02, 0.09), rng.uniform(2, 5), rng.uniform(0.6, 3.0), rng.uniform(0, 6))
    return Slide("curtain", (replace(hanging, id=MOVING_BACKGROUND, wave=wave),))


def swaying(rng: np.random.Generator, leaves: Sequence[Part], pose: Float64Array) -> Slide:
    """Leaves of a plant in a draught. ``pose``: (3, 4), the plant's frame to the world."""
    solids = []
    for leaf in leaves:
        wave = Wave(rng.uniform(0.02, 0.07), rng.uniform(0.3, 0.8), rng.uniform(1, 4), rng.uniform(0, 6))
        solids.append(replace(leaf, wave=wave, id=MOVING_BACKGROUND))
    return Slide("plant", tuple(transformed(solids, pose)))


def hanging_sign(rng: np.random.Generator, place: tuple[float, float, float]) -> Turning:
    """A sign on two cords that meet the ceiling at ``place``."""
    surface = Surface((1, 1, 1), "sign", 0, gloss=0.3)
    cord = Surface((0.2, 0.2, 0.2))
    drop = rng.uniform(0.2, 0.5)
    solids = (
        box((0.9, 0.03, 0.35), (0, 0, -drop - 0.35), surface),
        box((0.01, 0.01, drop), (-0.35, 0, -drop), cord),
        box((0.01, 0.01, drop), (0.35, 0, -drop), cord),
    )
    turn = placed(*place, float(rng.choice([0, np.pi / 2])))
    amplitude, speed = rng.uniform(0.05, 0.3), rng.uniform(1.5, 3.5)
    return Turning("sign", turn, solids, lambda time: amplitude * float(np.sin(speed * time)), "x")
