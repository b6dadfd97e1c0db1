"""Frames that a person should look at: where an object jumps in area or position, or falls apart."""

from __future__ import annotations

import math
import statistics
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import islice, pairwise

import cv2
import numpy as np

from segue.masks.pieces import Pieces
from segue.utils.arrays import BoolArray
from segue_web.project.edits import SPECK
from segue_web.project.project import Project
from segue_web.server.server import Run

AREA_JUMP = 1.5
"""From one frame to the next an area changes by less than this factor."""

FAR = 0.5
"""A centre moves by less than this part of the object's size, the root of its area ..."""

FASTER = 3.0
"""... or by less than so many times its usual way."""

AT_ONCE = 50
"""Masks that are looked at before others may use the project."""


@dataclass(frozen=True, slots=True)
class Shape:
    """Centre, area and number of parts of a mask that has pixels; specks are no parts."""

    x: float
    y: float
    area: int
    parts: int


def shape_of(plane: BoolArray) -> Shape:
    """The shape of a mask, (H, W), bool, with at least one pixel."""
    pieces = Pieces.of(plane)
    parts = int(np.count_nonzero(pieces.areas >= max(1.0, SPECK * pieces.areas.max())))
    moments = cv2.moments(plane.view(np.uint8), binaryImage=True)
    return Shape(moments["m10"] / moments["m00"], moments["m01"] / moments["m00"], int(moments["m00"]), parts)


def flaws(shapes: Mapping[int, Shape], given: Collection[int]) -> list[tuple[int, str]]:
    """Frames on which an object is not as on the one before, and in what; frames of a person are right."""
    steps = [
        (frame, shapes[before], shapes[frame])
        for before, frame in pairwise(sorted(shapes))
        if frame == before + 1
    ]
    ways = [math.hypot(new.x - old.x, new.y - old.y) for _, old, new in steps]
    usual = statistics.median(ways) if ways else 0.0
    found = []
    for (frame, old, new), way in zip(steps, ways, strict=True):
        if frame in given:
            continue
        factor = new.area / old.area
        if new.parts > old.parts:
            found.append((frame, f"{new.parts} parts"))
        elif max(factor, 1 / factor) >= AREA_JUMP:
            found.append((frame, f"area × {factor:.2g}"))
        elif way >= max(FAR * math.sqrt(old.area), FASTER * usual):
            found.append((frame, f"moves {way:.0f} px"))
    return found


class Review:
    """Finds such frames of a project, and keeps the shapes of masks that stay as they are."""

    def __init__(self, project: Project, run: Run) -> None:
        self._project, self._run = project, run
        self._known: dict[tuple[int, int], tuple[int, Shape]] = {}

    async def find(self) -> list[tuple[int, int, str]]:
        """Frame, object, and what is strange there, of all objects."""
        found = []
        for row in await self._run(self._project.objects):
            number = row["id"]
            masks = await self._run(partial(self._project.masks_of, number))
            shapes: dict[int, Shape] = {}
            coming = iter(sorted(frame for frame, (_, counts) in masks.items() if counts))
            while frames := list(islice(coming, AT_ONCE)):
                shapes |= await self._run(partial(self._shapes, number, frames, masks))
            given = {frame for frame, (kind, _) in masks.items() if kind == "given"}
            found += [(frame, number, what) for frame, what in flaws(shapes, given)]
        return found

    def _shapes(
        self, number: int, frames: list[int], masks: Mapping[int, tuple[str, str]]
    ) -> dict[int, Shape]:
        for frame in frames:
            counts = masks[frame][1]
            known = self._known.get((frame, number))
            if known is None or known[0] != hash(counts):
                plane = self._project.decoded(frame, counts)
                self._known[frame, number] = hash(counts), shape_of(plane)
        return {frame: self._known[frame, number][1] for frame in frames}
