"""Find frames to review: an object jumps in area or position, or falls apart."""

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

MAX_SHIFT_SHARE = 0.5
"""A centre moves by less than this part of the object's size, the root of its area ..."""

FASTER = 3.0
"""... or by less than so many times its usual way."""

BATCH_FRAMES = 50
"""Number of frames read before other requests may use the project."""


@dataclass(frozen=True, slots=True)
class Shape:
    """Centre, area and number of parts of a non-empty mask; specks do not count."""

    x: float
    y: float
    area: int
    parts: int


def shape_of(plane: BoolArray) -> Shape:
    """Shape of a non-empty mask, (H, W), bool."""
    pieces = Pieces.of(plane)
    parts = int(np.count_nonzero(pieces.areas >= max(1.0, SPECK * pieces.areas.max())))
    moments = cv2.moments(plane.view(np.uint8), binaryImage=True)
    return Shape(moments["m10"] / moments["m00"], moments["m01"] / moments["m00"], int(moments["m00"]), parts)


def flaws(shapes: Mapping[int, Shape], given_frames: Collection[int]) -> list[tuple[int, str]]:
    """Frames on which an object changes suddenly, and how; frames edited by a person are correct."""
    steps = [
        (frame, shapes[previous], shapes[frame])
        for previous, frame in pairwise(sorted(shapes))
        if frame == previous + 1
    ]
    ways = [math.hypot(new.x - old.x, new.y - old.y) for _, old, new in steps]
    usual = statistics.median(ways) if ways else 0.0
    frames_with_flaws = []
    for (frame, old, new), way in zip(steps, ways, strict=True):
        if frame in given_frames:
            continue
        factor = new.area / old.area
        if new.parts > old.parts:
            frames_with_flaws.append((frame, f"{new.parts} parts"))
        elif max(factor, 1 / factor) >= AREA_JUMP:
            frames_with_flaws.append((frame, f"area × {factor:.2g}"))
        elif way >= max(MAX_SHIFT_SHARE * math.sqrt(old.area), FASTER * usual):
            frames_with_flaws.append((frame, f"moves {way:.0f} px"))
    return frames_with_flaws


class Review:
    """Finds such frames, and caches the shapes of unchanged masks."""

    def __init__(self, project: Project, run: Run) -> None:
        self._project, self._run = project, run
        self._cache: dict[tuple[int, int], tuple[int, Shape]] = {}

    async def find(self) -> list[tuple[int, int, str]]:
        """Frame, object and problem, for all objects."""
        listed = []
        for row in await self._run(self._project.objects):
            number = row["id"]
            masks = await self._run(partial(self._project.masks_of, number))
            shapes: dict[int, Shape] = {}
            coming = iter(sorted(frame for frame, (_, counts) in masks.items() if counts))
            while frames := list(islice(coming, BATCH_FRAMES)):
                shapes |= await self._run(partial(self._shapes, number, frames, masks))
            given_frames = {frame for frame, (kind, _) in masks.items() if kind == "given"}
            listed += [(frame, number, what) for frame, what in flaws(shapes, given_frames)]
        return listed

    def _shapes(
        self, number: int, frames: list[int], masks: Mapping[int, tuple[str, str]]
    ) -> dict[int, Shape]:
        for frame in frames:
            counts = masks[frame][1]
            cached = self._cache.get((frame, number))
            if cached is None or cached[0] != hash(counts):
                plane = self._project.decode_mask(frame, counts)
                self._cache[frame, number] = hash(counts), shape_of(plane)
        return {frame: self._cache[frame, number][1] for frame in frames}
