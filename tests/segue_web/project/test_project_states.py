"""A project where people click, clear, review, track, stop, resume, undo and open it again in any order.

The network gives masks in closed form, see :mod:`tests.nearest_mask`.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from itertools import islice
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from segue.errors import PromptError
from segue.types import Frame
from segue_web.project.annotations import Correction, FrameAnnotation, MarkedMask
from segue_web.project.memory import TrackingMemory
from segue_web.project.project import Project
from segue_web.project.tracking import (
    ConditioningProgress,
    Direction,
    InterruptedTracking,
    begin_plan,
    interrupted,
    planned,
    previous_masks,
    resumed,
    store_tracked,
    track_job,
)
from tests.api.test_video_states import LONG
from tests.nearest_mask import RESTLESS, SIZE, Cells, NearestMask, cells_of, images, mask_of

COUNT = 9
NETWORK = NearestMask()
FRAMES = st.integers(0, COUNT - 1)
NUMBERS = st.sampled_from([1, 2])
CELLS = st.frozensets(st.integers(1, RESTLESS - 1)).map(lambda cells: cells | {0})
DIRECTIONS: tuple[Direction, Direction] = ("forward", "back")
WAYS: st.SearchStrategy[Direction] = st.sampled_from([*DIRECTIONS, "between"])

Table = dict[tuple[int, int], Cells]
"""Cells by frame and object."""


class Clip:
    """The video of a page."""

    size, count = SIZE, COUNT

    def __init__(self) -> None:
        self._images = images(COUNT)

    def describe(self) -> dict[str, Any]:
        return {"name": "a.mp4", "width": SIZE[1], "height": SIZE[0], "frames": COUNT}

    def frame(self, index: int) -> Frame:
        return Frame(index, index / 25, self._images[index])

    def time(self, index: int) -> float:
        return index / 25

    def walk(self, start: int, stop: int) -> Iterator[Frame]:
        step = 1 if start <= stop else -1
        return map(self.frame, range(start, stop + step, step))


CLIP: Any = Clip()


class ProjectMachine(RuleBasedStateMachine):
    """A project, and the tables that its steps came from."""

    @initialize()
    def begin(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="segue-project-"))
        self.project = self.opened()
        with self.project.change("objects"):
            for _ in range(2):
                self.project.add_object()
        self.undone: list[Table] = []
        self.before: list[Table] = []  # the tables before the steps of the history
        self.is_followed = True  # whether nothing was withdrawn, reviewed or undone since all was tracked

    def teardown(self) -> None:
        if hasattr(self, "project"):
            self.project.close()
            shutil.rmtree(self.folder)

    def opened(self) -> Project:
        return Project(self.folder / "p", CLIP.describe(), SIZE)

    # What people do

    @rule(frame=FRAMES, number=NUMBERS, cells=CELLS)
    def click(self, frame: int, number: int, cells: Cells) -> None:
        self.step()
        with self.project.change("click"):
            mask = mask_of(cells, number - 1)
            self.project.put(frame, {number: (mask, FrameAnnotation("given"))})
            self.project.correct(frame, number, Correction())
        assert self.table()[frame, number] == cells

    @precondition(lambda self: self.tracked())
    @rule(data=st.data())
    def confirm(self, data: st.DataObject) -> None:
        """Give a tracked mask as it is."""
        frame, number = data.draw(st.sampled_from(self.tracked()))
        self.click(frame, number, self.table()[frame, number])  # type: ignore[arg-type]

    @precondition(lambda self: self.table())
    @rule(data=st.data())
    def clear(self, data: st.DataObject) -> None:
        frame, number = data.draw(st.sampled_from(sorted(self.table())))
        self.step()
        self.is_followed = False
        with self.project.change("clear"):
            self.project.clear(frame, number)
        assert (frame, number) not in self.table()

    @precondition(lambda self: self.table())
    @rule(data=st.data(), reviewed=st.booleans())
    def review(self, data: st.DataObject, reviewed: bool) -> None:
        frame, number = data.draw(st.sampled_from(sorted(self.table())))
        self.step()
        self.is_followed = False
        with self.project.change("review"):
            self.project.set_reviewed(number, [frame], reviewed)

    @rule(frame=FRAMES, direction=WAYS, due=st.booleans(), count=st.none() | st.integers(0, 4))
    def track(self, frame: int, direction: Direction, due: bool, count: int | None) -> None:
        with suppress(PromptError):
            plan = planned(self.project, CLIP, direction, frame, due=due)
            self.run(InterruptedTracking(plan, plan.begin), count)

    @rule(frame=FRAMES, direction=WAYS, count=st.integers(0, 4), of=FRAMES, number=NUMBERS, cells=CELLS)
    def click_while_it_runs(
        self, frame: int, direction: Direction, count: int, of: int, number: int, cells: Cells
    ) -> None:
        """A tracking has not seen what is clicked while it runs."""
        with suppress(PromptError):
            plan = planned(self.project, CLIP, direction, frame)
            self.run(InterruptedTracking(plan, plan.begin), None, (count, of, number, cells))

    @precondition(lambda self: interrupted(self.project) is not None)
    @rule(count=st.none() | st.integers(0, 4))
    def resume(self, count: int | None) -> None:
        tracking = interrupted(self.project)
        assert tracking is not None
        try:
            self.run(resumed(self.project, tracking), count)
        except PromptError:
            self.project.note("tracking", None)

    @precondition(lambda self: self.before)
    @rule()
    def undo(self) -> None:
        self.is_followed = False
        now, expected = self.table(), self.before.pop()
        assert self.project.undo() is not None
        assert self.table() == expected
        self.undone.append(now)

    @precondition(lambda self: self.undone)
    @rule()
    def redo(self) -> None:
        self.is_followed = False
        now, expected = self.table(), self.undone.pop()
        assert self.project.undo(redo=True) is not None
        assert self.table() == expected
        self.before.append(now)

    @rule()
    def open_again(self) -> None:
        before, timeline = self.table(), self.project.timeline()
        self.project.close()
        self.project = self.opened()
        assert (self.table(), self.project.timeline()) == (before, timeline)

    @precondition(lambda self: any(self.project.frames_of([number]) for number in (1, 2)))
    @rule()
    def track_all(self) -> None:
        """From each corrected frame in both directions: what no correction says is nowhere."""
        given = self.project.frames_of([1, 2])
        for direction, frames in zip(DIRECTIONS, (given, given[::-1]), strict=True):
            for frame in frames:
                self.track(frame, direction, False, None)  # type: ignore[arg-type]
        self.is_followed = not any(self.project.reviewed_frames([number]) for number in (1, 2))
        table = self.table()
        for (frame, number), cells in table.items():
            # Trackers see tracked masks of corrected frames, and reviewed ones, as well.
            frames = {*given, *self.project.reviewed_frames([number])}
            shown = [table[index, number] for index in frames if (index, number) in table]
            if frame not in frames and self.project.frames_of([number]):
                assert all(any(cell in each for each in shown) for cell in cells - {RESTLESS}), (
                    frame,
                    number,
                )

    @precondition(lambda self: any(self.project.frames_of([number]) for number in (1, 2)))
    @rule()
    def track_corrections(self) -> None:
        """Each from its frame, as the page does; each cell is there or not because a correction says so."""
        for number in (1, 2):
            for frame in self.project.untracked(number):
                for direction in DIRECTIONS:
                    if direction in self.project.untracked(number).get(frame, ()):
                        with suppress(PromptError):
                            plan = planned(self.project, CLIP, direction, frame, objects=[number], due=True)
                            self.run(InterruptedTracking(plan, plan.begin), None)
        if self.is_followed:
            self.check_followed()

    # What holds

    @invariant()
    def masks_are_made_of_cells(self) -> None:
        if hasattr(self, "project"):
            self.table()

    def check_followed(self) -> None:
        """See that each cell is there, or not, because a correction says so.

        Before the first one and behind the last one, that alone says what is there.
        """
        table = self.table()
        for (frame, number), cells in table.items():
            given = self.project.frames_of([number])
            if given and not given[0] <= frame <= given[-1]:
                given = given[:1] if frame < given[0] else given[-1:]
            says = [table[index, number] for index in given]
            for cell in range(RESTLESS) if says else ():
                assert any((cell in each) is (cell in cells) for each in says), (
                    f"no correction says so of cell {cell} of object {number} on frame {frame}"
                )

    # What is known

    def run(
        self,
        tracking: InterruptedTracking,
        count: int | None,
        click: tuple[int, int, int, Cells] | None = None,
    ) -> None:
        """Track as :class:`segue_web.trackings.Trackings` does, and stop after some frames.

        ``click``: after how many frames a person clicks, frame, object, and cells.
        """
        if self.undone and len(tracking.plan.objects) < 2:
            return  # steps of the other object stay to be redone, and come before this one
        project = self.project
        before, kinds = self.table(), self.kinds()
        plan, layers = begin_plan(project, tracking)
        previous = previous_masks(project, plan)
        project.note("tracking", InterruptedTracking(plan, tracking.start, tracking.done).as_json())
        carried: dict[int, list[int]] = {}
        for index, by_object in (plan.earlier or {}).items():
            for number in by_object:
                carried.setdefault(int(number), []).append(int(index))
        touched = {
            number: frozenset[int]().union(
                *(
                    self.cells(
                        project.decode_mask(index, (plan.earlier or {})[str(index)][str(number)]), number
                    )
                    ^ before[index, number]
                    for index in indices
                )
            )
            for number, indices in carried.items()
        }
        tools: Any = SimpleNamespace(network=NETWORK, video=CLIP, device="cpu")
        memory = TrackingMemory(project.folder, plan.run)
        steps: Any = track_job(
            tools,
            layers,
            plan.begin,
            plan.stop,
            [*plan.objects],
            range(COUNT),
            previous,
            memory,
            tracking.start,
        )
        entry, done, last = None, tracking.done, tracking.start
        found = (step for step in steps if not isinstance(step, ConditioningProgress))
        clicked = None
        for index, objects in islice(found, count):
            if click is not None and done - tracking.done == click[0]:
                self.click(*click[1:])  # type: ignore[arg-type]
                clicked, entry = click[1:3], None
            if entry is None:
                self.step()
            masks: dict[int, MarkedMask] = dict(objects)
            with project.change("tracking", entry=entry, of=plan.objects):
                store_tracked(project, plan, index, masks)
                done, last = done + 1, index
                project.note("tracking", InterruptedTracking(plan, index, done).as_json())
            entry = project.last_entry
        steps.close()
        if last == plan.stop:
            project.note("tracking", None)
        after = self.table()
        forward = plan.begin < plan.stop
        for key, cells in before.items():
            index, number = key
            if key == clicked:
                continue
            kind, reviewed = kinds[key]
            on_way = min(plan.begin, plan.stop) <= index <= max(plan.begin, plan.stop)
            if kind == "given" or reviewed or not on_way:
                assert after[key] == cells, "what a person gave or saw, and what is not on the way, stays"
            known = any(mask.stored[0].id == number for mask in previous.get(index, ()))
            starts = [i for each in carried.values() for i in each]
            if known and starts and all(i < index if forward else i > index for i in starts):
                assert after[key] ^ cells <= touched.get(number, frozenset()), (index, number)

    def tracked(self) -> list[tuple[int, int]]:
        return [key for key, (kind, _) in self.kinds().items() if kind == "tracked"]

    def step(self) -> None:
        """Remember the table before a step of the history."""
        self.before.append(self.table())
        self.undone = []

    def cells(self, mask: Any, number: int) -> Cells:
        return cells_of(mask, number - 1)

    def kinds(self) -> dict[tuple[int, int], tuple[str, bool]]:
        marks = {frame: self.project.marks(frame) for frame in range(COUNT)}
        return {(f, i): (m.kind, m.reviewed) for f, each in marks.items() for i, m in each.items()}

    def table(self) -> Table:
        project = self.project
        return {
            (frame, number): self.cells(project.plane(frame, number), number)
            for frame in range(COUNT)
            for number in project.marks(frame)
        }


def test_a_correction_that_is_withdrawn_while_another_waits_leaves_nothing() -> None:
    machine = ProjectMachine()
    machine.begin()
    try:
        machine.click(0, 1, frozenset({0}))
        machine.track(0, "forward", False, None)
        machine.click(4, 1, frozenset({0, 3}))  # wrong: cell 3 belongs to something else
        machine.track(4, "forward", False, None)
        assert 3 in machine.table()[8, 1]
        machine.click(2, 1, frozenset({0, 1}))
        with machine.project.change("clear"):
            machine.project.clear(4, 1)
        machine.track(2, "forward", False, None)
        table = machine.table()
        assert [table[frame, 1] - {RESTLESS} for frame in range(2, COUNT)] == [{0, 1}] * (COUNT - 2)
    finally:
        machine.teardown()


def test_a_running_tracking_ignores_later_corrections() -> None:
    machine = ProjectMachine()
    machine.begin()
    try:
        machine.click(0, 1, frozenset({0}))
        machine.click_while_it_runs(0, "forward", 2, 5, 1, frozenset({0, 3}))
        machine.track_corrections()
        assert {frame for frame in range(COUNT) if 3 in machine.table()[frame, 1]} == {3, 4, 5, 6, 7, 8}
    finally:
        machine.teardown()


def test_masks_of_a_withdrawn_correction_are_no_memory() -> None:
    """Object 2 was corrected on frame 0, where the mask of object 1 came of a frame that is withdrawn."""
    machine = ProjectMachine()
    machine.begin()
    try:
        machine.click(6, 1, frozenset({0, 1}))
        machine.track(6, "back", False, None)
        machine.click(0, 2, frozenset({0}))
        with machine.project.change("clear"):
            machine.project.clear(6, 1)
        machine.click(8, 1, frozenset({0}))
        machine.track(8, "back", False, None)
        assert {frame for frame in range(8) if 1 in machine.table()[frame, 1]} == set()
    finally:
        machine.teardown()


def test_a_correction_of_one_object_keeps_nothing_of_another_one() -> None:
    """A tracking that carries a change of object 2 tracks object 1 anew from its new first frame."""
    machine = ProjectMachine()
    machine.begin()
    try:
        machine.click(4, 1, frozenset({0, 1}))
        machine.click(4, 2, frozenset({0}))
        machine.track(4, "back", False, None)
        machine.click(0, 2, frozenset({0, 2}))
        with machine.project.change("clear"):
            machine.project.clear(2, 1)
        machine.click(2, 1, frozenset({0}))
        machine.track(2, "back", False, None)
        table = machine.table()
        assert [table[frame, 1] - {RESTLESS} for frame in (0, 1)] == [{0}, {0}]
        assert table[0, 2] == {0, 2}
    finally:
        machine.teardown()


def test_a_confirmed_object_leaves_the_correction_of_another_one_alone() -> None:
    """Object 1 was confirmed on the frame on which object 2 was corrected, and came of frame 8."""
    machine = ProjectMachine()
    machine.begin()
    try:
        machine.click(2, 2, frozenset({0}))
        machine.click(8, 1, frozenset({0, 1}))
        machine.track_corrections()
        machine.click(2, 2, frozenset({0, 1, 2}))
        machine.click(2, 1, machine.table()[2, 1])
        machine.track(2, "forward", True, None)
        assert [machine.table()[frame, 2] - {RESTLESS} for frame in range(3, COUNT)] == [{0, 1, 2}] * 6
    finally:
        machine.teardown()


def test_a_tracking_from_a_tracked_frame_leaves_the_correction_ahead_to_be_tracked() -> None:
    """The tracking sees the correction of frame 3; frame 0, where it begins, still disagrees with that."""
    machine = ProjectMachine()
    machine.begin()
    try:
        machine.click(3, 2, frozenset({0, 1}))
        machine.track_corrections()
        machine.click(0, 1, frozenset({0}))
        machine.click(3, 2, frozenset({0}))
        machine.track(0, "forward", False, None)
        machine.track_corrections()
        assert [machine.table()[frame, 2] - {RESTLESS} for frame in range(COUNT)] == [{0}] * COUNT
        assert not machine.project.untracked(2)[3]
    finally:
        machine.teardown()


@pytest.mark.parametrize("how", ["confirm", "review"])
def test_a_frame_that_was_confirmed_or_reviewed_keeps_no_mask_that_came_of_another_one(how: str) -> None:
    """Frame 4 is nearer to frame 3, which was confirmed, but its mask came of frame 6 alone."""
    machine = ProjectMachine()
    machine.begin()
    try:
        machine.click(8, 1, frozenset({0}))
        machine.track(8, "back", False, None)
        machine.click(6, 1, frozenset({0, 1, 2, 3}))
        machine.track(6, "back", False, None)
        machine.click(0, 1, frozenset({0}))
        machine.track(0, "forward", False, None)
        cells = machine.table()[3, 1]
        if how == "confirm":
            machine.click(3, 1, cells)
            machine.track(3, "forward", False, None)
            machine.track(3, "back", False, None)
        else:
            with machine.project.change("review"):
                machine.project.set_reviewed(1, [3], True)
        assert 1 in machine.table()[4, 1]
        assert 1 not in cells
        machine.click(6, 1, frozenset({0, 2, 3}))
        machine.track(6, "back", False, None)
        assert 1 not in machine.table()[4, 1]
    finally:
        machine.teardown()


ProjectMachine.TestCase.settings = settings(
    max_examples=10, stateful_step_count=12, deadline=None, suppress_health_check=list(HealthCheck)
)
TestProject = ProjectMachine.TestCase


class _LongMachine(ProjectMachine):
    pass


_LongMachine.TestCase.settings = settings(
    max_examples=LONG,
    stateful_step_count=25,
    deadline=None,
    derandomize=False,
    database=None,
    suppress_health_check=list(HealthCheck),
)


@pytest.mark.slow
class TestProjectForLong(_LongMachine.TestCase):  # type: ignore[misc, name-defined]
    """The same with many steps."""
