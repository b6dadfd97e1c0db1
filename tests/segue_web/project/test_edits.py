"""Painted and erased pixels stay, in whatever order a person clicks, draws boxes, paints and erases."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import Any, cast

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from segue.errors import PromptError
from segue.prompts import ImagePrompts
from segue.prompts.correction import ClickHistory
from segue.utils.arrays import BoolArray
from segue_web.project.annotations import Correction, FrameAnnotation
from segue_web.project.edits import NEAREST, Edits
from segue_web.project.project import Project
from segue_web.server.messages import Click

SIZE = (40, 60)


class WanderingWorker:
    """Answers with disks around the clicks and the box, wherever the mask was before."""

    def __init__(self) -> None:
        self.corrected: list[tuple[int, int]] = []
        self.asked, self.known = 0, 3

    async def ask(self, what: str, _: int, *given: Any) -> Any:
        self.asked += 1
        return getattr(self, what)(*given)

    def candidates(self, prompts: ImagePrompts) -> Any:
        """Smaller and smaller disks around a click; the first is the answer to it."""
        (x, y) = prompts.points[0]
        radii = ((9, 0.9), (6, 0.7), (3, 0.4))[: self.known]
        disks = [cv2.circle(np.zeros(SIZE, np.uint8), (int(x), int(y)), radius, 1, -1) for radius, _ in radii]
        return [(disk > 0, score) for disk, (_, score) in zip(disks, radii, strict=True)]

    def readings(self, mask: BoolArray, prompts: ImagePrompts) -> Any:
        """The mask, and the whole of its clicks."""
        return [(mask, None), self.click(prompts)]

    def correct(self, mask: BoolArray, clicks: list[Click], new: int) -> Any:
        """What the last clicks change under them."""
        self.corrected = [*self.corrected, (len(clicks), new)]
        for x, y, inside in clicks[-new:]:
            disk = np.zeros(SIZE, np.uint8)
            cv2.circle(disk, (int(x), int(y)), 3, 1, -1)
            mask = mask | (disk > 0) if inside else mask & (disk == 0)
        return mask, 0.7

    def click(
        self, prompts: ImagePrompts, history: ClickHistory | None = None, new: Sequence[Click] = ()
    ) -> Any:
        plane = np.zeros(SIZE, np.uint8)
        if prompts.box is not None:
            x0, y0, x1, y1 = map(int, prompts.box)
            plane[y0:y1, x0:x1] = 1
        strokes = [point for stroke in prompts.scribble for point in stroke]
        for value, points in ((1, [*prompts.points, *strokes]), (0, prompts.negative)):
            for x, y in points:
                cv2.circle(plane, (int(x), int(y)), 9, value, -1)
        found = plane > 0
        adds = history is None or any(inside for _, _, inside in new)
        return (found if adds else found & prompts.mask), 0.9


class Desk:
    """One object on one frame, edited as the page does."""

    def __init__(self, folder: Path) -> None:
        self.project = Project(folder, {"width": SIZE[1], "height": SIZE[0], "frames": 1}, SIZE)
        with self.project.change("object"):
            self.project.add_object()
        video = cast(Any, SimpleNamespace(size=SIZE))

        async def run(call: Callable[[], Any]) -> Any:
            return call()

        self.worker = WanderingWorker()
        wandering = cast(Any, self.worker)
        self.edits = Edits(video, self.project, cast(Callable[..., Awaitable[Any]], run), wandering)

    @property
    def plane(self) -> BoolArray:
        return self.project.plane(0, 1)

    def about(self) -> dict[str, Any]:
        return {"frame": 0, "object": 1, "seen": self.project.last_change("frame", 0).revision}

    def click(self, x: float, y: float, positive: bool) -> None:
        said = self.project.prompts(0).get(1, {"points": [], "box": None})
        points = (*map(tuple, said["points"]), (x, y, positive))
        box = said["box"] and tuple(said["box"])
        asyncio.run(self.edits.click(**self.about(), points=points, box=box))

    def box(self, x0: float, y0: float, x1: float, y1: float) -> None:
        asyncio.run(self.edits.click(**self.about(), box=(x0, y0, x1, y1)))

    def scribble(self, path: list[tuple[float, float]]) -> None:
        asyncio.run(self.edits.scribble(**self.about(), path=path))

    def stroke(self, path: list[tuple[float, float]], width: float | None, add: bool) -> None:
        self.edits.stroke(**self.about(), add=add, path=path, width=width)


def test_a_scribble_makes_a_mask_and_then_corrects_it(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    desk.scribble([(10, 10), (20, 10), (900, 10)])
    assert desk.plane[10, 12], "the answer of the prompter to the stroke"
    assert desk.plane[10, SIZE[1] - 1], "what is drawn beyond the frame counts at its border"
    before = desk.plane
    desk.scribble([(30, 30), (40, 30), (50, 30)])
    assert desk.worker.corrected == [(3, 3)]
    assert (desk.plane & ~before)[30, 40]
    assert not (before & ~desk.plane).any()
    desk.stroke([(30, 30)], 4, False)
    desk.click(10, 20, True)
    assert not desk.plane[30, 30], "what was erased stays erased"
    assert desk.plane[30, 40], "and a click leaves what strokes have made"
    desk.project.undo()
    desk.project.undo()
    assert desk.plane[30, 30]


PLACE = st.tuples(st.integers(2, SIZE[1] - 3), st.integers(2, SIZE[0] - 3))
EDITS = st.one_of(
    st.tuples(st.just("click"), PLACE, st.booleans()),
    st.tuples(st.just("box"), PLACE, PLACE),
    st.tuples(st.just("brush"), PLACE, st.booleans()),
    st.tuples(st.just("polygon"), PLACE),
    st.tuples(st.just("undo")),
)


@settings(max_examples=25, deadline=None)
@given(st.lists(EDITS, min_size=2, max_size=8))
def test_painted_and_erased_pixels_stay_unless_a_click_right_on_them_says_otherwise(
    sequence: list[tuple[Any, ...]],
) -> None:
    rows, columns = np.indices(SIZE) + 0.5
    with TemporaryDirectory() as folder:
        desk = Desk(Path(folder))
        # What must be in the mask and what must not, with the mask, after each step of the history.
        states = [(np.zeros(SIZE, np.bool_), np.zeros(SIZE, np.bool_), np.zeros(SIZE, np.bool_))]
        for what, *values in sequence:
            on, off, before = states[-1]
            try:
                if what == "undo":
                    if len(states) == 1:
                        continue
                    states.pop()
                    desk.project.undo()
                elif what == "click":
                    (x, y), positive = values
                    desk.click(x, y, positive)
                    far = np.hypot(rows - y, columns - x) > NEAREST
                    states.append((on & far, off, before) if not positive else (on, off & far, before))
                elif what == "box":
                    (x0, y0), (x1, y1) = values
                    desk.box(min(x0, x1), min(y0, y1), max(x0, x1) + 1, max(y0, y1) + 1)
                    states.append((on, off, before))
                else:
                    x, y = values[0]
                    adds = what == "polygon" or values[1]
                    corners = [(x - 2, y - 2), (x + 3, y - 2), (x + 3, y + 3), (x - 2, y + 3)]
                    path, width = (corners, None) if what == "polygon" else ([(x, y)], 5)
                    desk.stroke(path, width, adds)
                    distance = np.hypot(rows - y, columns - x)
                    # Between core and edge the stroke may or may not lie on older paint.
                    core, beyond = distance < 1.5, distance > 6
                    kept = (on | core, off & beyond) if adds else (on & beyond, off | core)
                    states.append((*kept, before))
            except PromptError:
                assert np.array_equal(desk.plane, before), "what is refused changes nothing"
                continue
            on, off, shown = states[-1]
            assert desk.plane[on].all()
            assert not desk.plane[off].any()
            if what == "undo":
                assert np.array_equal(desk.plane, shown)
            states[-1] = (on, off, desk.plane)
        desk.project.close()


def test_a_click_keeps_what_was_painted_and_erased_elsewhere(tmp_path: Path) -> None:
    desk = Desk(tmp_path / "p")
    desk.click(15, 15, True)
    desk.stroke([(45, 20), (52, 20)], 6, True)
    desk.stroke([(12, 15)], 5, False)
    desk.click(20, 25, True)

    assert desk.plane[20, 48], "painted"
    assert not desk.plane[15, 12], "erased"
    assert desk.plane[25, 20], "clicked"
    assert desk.plane[15, 20], "the first click counts after strokes, too"

    desk.click(15, 30, False)
    assert desk.plane[20, 48], "a negative click elsewhere takes no paint away"
    desk.click(48, 20, False)
    assert not desk.plane[20, 48], "one right on the paint does, near itself"
    desk.click(12, 15, True)
    assert desk.plane[15, 12]


def test_a_box_keeps_a_polygon_and_the_clicks_go_on_from_it(tmp_path: Path) -> None:
    desk = Desk(tmp_path / "p")
    desk.stroke([(2, 2), (12, 2), (12, 12), (2, 12)], None, True)
    desk.box(30, 20, 50, 35)
    expected = np.zeros(SIZE, np.bool_)
    expected[2:12, 2:12] = expected[20:35, 30:50] = True

    assert np.array_equal(desk.plane, expected)
    desk.project.undo()
    assert desk.plane.sum() == 100
    assert desk.project.prompts(0) == {}
    desk.click(7, 7, False)
    assert desk.plane.sum() < 100
    assert desk.plane[2:12, 2].all(), "far from the click"


def square() -> BoolArray:
    plane = np.zeros(SIZE, np.bool_)
    plane[5:25, 5:25] = True
    return plane


def with_mask(folder: Path, kind: Any) -> Desk:
    """A desk with a mask that no click has made: tracked, imported, suggested or pasted."""
    desk = Desk(folder)
    with desk.project.change("mask"):
        mark = FrameAnnotation("given" if kind in ("suggested", "pasted") else kind, 0.6)
        desk.project.put(0, {1: (square(), mark)})
        if mark.kind == "given":
            desk.project.correct(0, 1, Correction())
    if kind == "pasted":
        desk.edits.paste(**desk.about(), of_frame=0, of_object=1)
    return desk


FOUND = pytest.mark.parametrize("kind", ["tracked", "imported", "suggested", "pasted"])


@FOUND
def test_clicks_on_a_mask_that_no_click_has_made_leave_the_rest_of_it(tmp_path: Path, kind: Any) -> None:
    desk = with_mask(tmp_path / "p", kind)
    desk.click(40, 20, True)
    desk.click(10, 10, False)

    assert desk.worker.corrected == [(1, 1), (2, 1)], "each click is new once"
    changed = desk.plane != square()
    rows, columns = np.nonzero(changed)
    assert (np.minimum(np.hypot(columns - 40, rows - 20), np.hypot(columns - 10, rows - 10)) <= 4).all()
    assert desk.plane[20, 40]
    assert not desk.plane[10, 10]


@FOUND
@pytest.mark.parametrize("add", [True, False], ids=["brush", "eraser"])
def test_clicks_after_a_stroke_on_such_a_mask_leave_the_rest_of_it_too(
    tmp_path: Path, kind: Any, add: bool
) -> None:
    desk = with_mask(tmp_path / "p", kind)
    desk.stroke([(50, 8)] if add else [(8, 8)], 4, add)
    painted = desk.plane
    desk.click(40, 30, True)

    assert desk.worker.corrected == [(1, 1)]
    rows, columns = np.nonzero(desk.plane != painted)
    assert (np.hypot(columns - 40, rows - 30) <= 4).all()


@FOUND
def test_the_whole_object_can_be_asked_for_anew(tmp_path: Path, kind: Any) -> None:
    desk = with_mask(tmp_path / "p", kind)
    said = asyncio.run(desk.edits.click(**desk.about(), points=((40, 20, True),), whole=True))

    assert desk.worker.corrected == []
    assert said["replaced"] == {"before": 400, "after": desk.plane.sum()}
    if kind != "pasted":  # which is as good as painted
        assert not desk.plane[6, 6]
    desk.click(30, 20, True)
    assert desk.worker.corrected == [], "clicks go on from what they have made"


@pytest.mark.parametrize("kind", ["tracked", "imported", "suggested"])
def test_a_box_reports_the_area_that_it_replaces(tmp_path: Path, kind: Any) -> None:
    desk = with_mask(tmp_path / "p", kind)
    desk.click(40, 20, True)
    mended = int(desk.plane.sum())
    box = (30, 20, 40, 26)
    assert asyncio.run(desk.edits.click(**desk.about(), box=box))["replaced"] == {
        "before": mended,
        "after": 60,
    }
    assert desk.project.undo() is not None
    assert desk.plane.sum() == mended
    desk.project.undo()
    assert np.array_equal(desk.plane, square())


def test_a_box_on_a_mask_of_clicks_and_boxes_replaces_nothing_else(tmp_path: Path) -> None:
    desk = Desk(tmp_path / "p")
    for box in ((10, 10, 30, 30), (12, 10, 30, 30)):
        assert asyncio.run(desk.edits.click(**desk.about(), box=box)) == {"object": 1}


def test_not_visible_is_a_correction_of_the_mask_that_was_tracked(tmp_path: Path) -> None:
    desk = Desk(tmp_path / "p")
    tracked = np.zeros(SIZE, np.bool_)
    tracked[10:20, 10:20] = True
    with desk.project.change("tracking"):
        desk.project.put(0, {1: (tracked, FrameAnnotation("tracked", 0.5))})
    desk.edits.forget(**desk.about(), hidden=True)
    correction = desk.project.correction(0, 1)
    assert correction is not None
    assert {*correction.earlier} == {"forward", "back"}, "neighbours change near it alone"
    assert not desk.plane.any()


def test_a_click_where_there_is_nothing_to_remove_from_says_what_to_do(tmp_path: Path) -> None:
    desk = Desk(tmp_path / "p")
    with pytest.raises(PromptError, match="click on the object first"):
        desk.click(15, 15, False)
    desk.edits.forget(**desk.about(), hidden=True)
    with pytest.raises(PromptError, match="click on the object first"):
        desk.click(15, 15, False)
    with pytest.raises(PromptError, match="click on the object first"):
        asyncio.run(desk.edits.click(**desk.about() | {"object": None}, points=((15, 15, False),)))
    assert desk.worker.asked == 0
    desk.stroke([(15, 15)], 9, True)
    desk.click(15, 15, False)
    assert desk.worker.asked == 1


def test_the_masks_that_a_click_may_mean_come_one_after_the_other(tmp_path: Path) -> None:
    desk = Desk(tmp_path / "p")
    desk.click(30, 20, True)
    desk.stroke([(50, 5)], 5, True)
    areas, places = [desk.plane.sum()], [0]
    for _ in range(3):
        said = asyncio.run(desk.edits.candidate(**desk.about()))
        assert said["scores"] == [0.9, 0.7, 0.4]
        places.append(said["place"])
        areas.append(desk.plane.sum())
        assert desk.plane[5, 50], "what was painted stays"
        assert desk.project.marks(0)[1].score == said["scores"][said["place"]]

    assert places == [0, 1, 2, 0]
    assert areas[0] == areas[3] > areas[1] > areas[2]
    desk.project.undo()
    assert desk.plane.sum() == areas[2], "each is a step of the history"
    desk.project.undo()
    assert asyncio.run(desk.edits.candidate(**desk.about()))["place"] == 2, "it goes on from what is shown"


def test_candidate_keeps_the_only_mask_of_a_click(tmp_path: Path) -> None:
    desk = Desk(tmp_path / "p")
    desk.worker.known = 1
    desk.click(30, 20, True)
    revision = desk.project.revision
    assert asyncio.run(desk.edits.candidate(**desk.about())) == {"object": 1, "place": 0, "scores": [0.9]}
    assert desk.project.revision == revision


def test_a_mask_without_clicks_has_no_other_ones(tmp_path: Path) -> None:
    desk = Desk(tmp_path / "p")
    with pytest.raises(PromptError):
        asyncio.run(desk.edits.candidate(**desk.about()))
    with pytest.raises(PromptError):
        asyncio.run(desk.edits.candidate(0, None, desk.project.last_change("frame", 0).revision))
    desk.box(10, 10, 30, 30)
    with pytest.raises(PromptError):
        asyncio.run(desk.edits.candidate(**desk.about()))


def test_a_corrected_mask_and_the_whole_object_come_one_after_the_other(tmp_path: Path) -> None:
    mended = with_mask(tmp_path / "q", "tracked")
    mended.click(40, 20, True)
    corrected, places, asked = mended.plane, [0], mended.worker.asked
    for _ in range(3):
        places.append(asyncio.run(mended.edits.candidate(**mended.about()))["place"])
        assert np.array_equal(mended.plane, corrected) is (places[-1] == 0)
    assert places == [0, 1, 0, 1]
    assert mended.worker.asked == asked + 1, "the readings stay the same while one of them is shown"


def test_clicks_that_made_a_mask_go_on_making_it(tmp_path: Path) -> None:
    desk = Desk(tmp_path / "p")
    desk.click(15, 15, True)
    desk.click(40, 20, True)
    assert desk.worker.corrected == []
