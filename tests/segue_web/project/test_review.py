"""Frames on which an object jumps or falls apart are found; those on which it only moves are not."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from segue.utils.arrays import BoolArray
from segue_web.project.annotations import FrameAnnotation
from segue_web.project.project import Project
from segue_web.project.review import Review, Shape, flaws, shape_of

SIZE = (60, 200)


def square(x: int, side: int = 20, y: int = 10) -> BoolArray:
    plane = np.zeros(SIZE, np.bool_)
    plane[y : y + side, x : x + side] = True
    return plane


def shapes(*planes: BoolArray) -> dict[int, Shape]:
    return {frame: shape_of(plane) for frame, plane in enumerate(planes)}


def test_a_shape_is_centre_area_and_parts() -> None:
    plane = square(10) | square(40) | square(80, side=3)

    assert shape_of(square(10)) == Shape(19.5, 19.5, 400, 1)
    assert shape_of(plane).parts == 2, "a speck is no part"


def test_even_motion_and_growth_are_no_flaws() -> None:
    assert flaws(shapes(*(square(4 * i, side=20 + 2 * i) for i in range(10))), ()) == []
    assert flaws(shapes(*(square(18 * i) for i in range(9))), ()) == [], "fast, but evenly so"


def test_jumps_of_area_and_position_and_splits_are_found() -> None:
    planes = [square(2 * i) for i in range(10)]
    planes[3] = square(6, side=30)
    planes[6] = square(90)
    planes[8] = square(16) | square(60)

    assert flaws(shapes(*planes), ()) == [
        (3, "area × 2.2"),
        (4, "area × 0.44"),
        (6, "moves 80 px"),
        (7, "moves 76 px"),
        (8, "2 parts"),
        (9, "area × 0.5"),
    ]
    assert [frame for frame, _ in flaws(shapes(*planes), {3, 6, 8})] == [4, 7, 9], "a person saw these"


def test_returning_after_a_gap_is_no_flaw() -> None:
    assert flaws({0: shape_of(square(0)), 5: shape_of(square(100, side=40))}, ()) == []


def test_the_masks_of_a_project_are_looked_at_once(tmp_path: Path) -> None:
    looked: list[int] = []

    class Counted(Project):
        def decode_mask(self, frame: int, counts: str) -> BoolArray:
            looked.append(frame)
            return super().decode_mask(frame, counts)

    project = Counted(tmp_path / "p", {"width": 200, "height": 60, "frames": 9}, SIZE)
    with project.change("set up"):
        one, two = project.add_object(), project.add_object()
        for frame in range(9):
            steady = square(2 * frame)
            project.put(frame, {one: (steady, FrameAnnotation("tracked", 0.9))})
            jumping = square(100 if frame == 5 else 0)
            project.put(frame, {two: (jumping, FrameAnnotation("tracked", 0.9))})

    async def run(call: Callable[[], Any]) -> Any:
        return call()

    found = Review(project, run)
    jumps = [(5, two, "moves 100 px"), (6, two, "moves 100 px")]
    assert asyncio.run(found.find()) == jumps
    assert len(looked) == 18
    with project.change("correction"):
        project.put(5, {two: (square(0), FrameAnnotation("given"))})
    assert asyncio.run(found.find()) == []
    assert len(looked) == 19
    project.close()
