"""``segue.Video`` where people add, correct, withdraw, track, stop, save and restore in any order.

The network gives masks in closed form, and one cell more for no reason where an object was prompted twice.
"""

from __future__ import annotations

import json
import os
import pickle
from collections.abc import Callable, Collection, Iterator, Sequence
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ClassVar, NamedTuple

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

import segue
from segue.prompt_types import RemovePrompt
from segue.types import Segmentation
from tests.nearest_mask import (
    RESTLESS,
    CellPrompter,
    Cells,
    NearestMask,
    cells_of,
    centre_of,
    images,
    mask_of,
    whole_masks,
)

COUNT = 9
IMAGES = images(COUNT)
NETWORK = NearestMask()
FRAMES = st.integers(0, COUNT - 1)
NUMBERS = st.sampled_from([1, 2])
CELLS = st.frozensets(st.integers(1, RESTLESS - 1)).map(lambda cells: cells | {0})

Table = dict[tuple[int, int], Cells]
"""Cells by frame and object."""


class Taken(NamedTuple):
    """What a click on an object took from the prompt of another one, and that prompt before."""

    by: int
    before: Cells | None
    hidden: Cells


def opened() -> segue.Video:
    """A video without prompts."""
    return segue.Video(IMAGES, model=NETWORK, prompter=CellPrompter, device="cpu")


def saved_and_restored(video: segue.Video, how: str, make: Callable[[], segue.Video]) -> segue.Video:
    """Save a video as ``json``, ``pickle`` or ``state``, and restore it; JSON in a new video of ``make``."""
    if how == "pickle":
        restored: segue.Video = pickle.loads(pickle.dumps(video))
        return restored
    if how == "json":
        state = json.loads(json.dumps(video.state()))
        restored = make()
        restored.restore(state)
        assert json.loads(json.dumps(restored.state())) == state
        return restored
    with TemporaryDirectory() as folder:
        video.save_state(Path(folder) / "video.state")
        video.reset()
        video.restore(Path(folder) / "video.state")
    return video


class VideoMachine(RuleBasedStateMachine):
    """A video, and what is known of its masks."""

    rows: ClassVar[dict[int, int]] = {1: 0, 2: 1}  # of the cells of each object

    @initialize()
    def begin(self) -> None:
        self.video = segue.Video(IMAGES, model=NETWORK, prompter=CellPrompter, device="cpu")
        self.confirmed = set[tuple[int, int]]()  # prompts by frame and object that say nothing of other masks
        self.replaced: dict[tuple[int, int], list[Cells]] = {}  # earlier prompts by frame and object
        self.taken: dict[tuple[int, int], list[Taken]] = {}  # by frame and object, the last ones last
        self.prompts: dict[int, dict[int, Cells]] = {}  # by object and frame
        self.removed: dict[int, set[int]] = {}
        self.hidden: dict[
            tuple[int, int], Cells
        ] = {}  # cells of which a prompt said nothing, as they were hidden
        self.settle()

    # What people do

    @rule(frame=FRAMES, number=NUMBERS, cells=CELLS)
    def add_or_correct(self, frame: int, number: int, cells: Cells) -> None:
        self.add_masks(frame, {number: cells})

    def add_masks(self, frame: int, masks: dict[int, Cells]) -> None:
        """Add masks by object in one call."""
        before, result = self.table(), self.video[frame]
        self.video.add(frame, masks={i: mask_of(cells, self.rows[i]) for i, cells in masks.items()})
        for number, cells in masks.items():
            if self.prompts.get(number, {}).get(frame) != cells:
                self.taken.pop((frame, number), None)
            earlier = before.get((frame, number))
            visible = cells_of(result.mask == number, self.rows[number])
            known = self.prompts.get(number, {})
            hidden = self.hidden.get((frame, number), frozenset()) if frame in known else frozenset()
            hidden = (hidden | (earlier or frozenset()) - visible) - cells
            is_passed = earlier is None and any(i == number and index not in known for index, i in before)
            if is_passed or number in self.withdrawn:  # it has no mask to compare with others
                hidden = frozenset(range(RESTLESS)) - cells
            self.hidden[frame, number] = hidden
            confirms = earlier == cells and ((frame, number) in self.confirmed or frame not in known)
            # Where a tracking stopped, its neighbours may be made from other prompts than the mask before it.
            (self.confirmed.add if confirms or self.is_partial else self.confirmed.discard)((frame, number))
            self.note_prompt(frame, number, cells, earlier)

    def note_prompt(self, frame: int, number: int, cells: Cells, before: Cells | None) -> None:
        if frame in self.prompts.get(number, ()):
            self.replaced.setdefault((frame, number), []).append(self.prompts[number][frame])
        self.prompts.setdefault(number, {})[frame] = cells
        if frame in self.removed.get(number, ()):
            self.removed[number].remove(frame)
            self.withdrawn.add(number)
        changed = frozenset(range(RESTLESS + 1)) if before is None else before ^ cells
        of_object = self.touched.setdefault(number, {})
        of_object[frame] = of_object.get(frame, frozenset()) | changed

    @precondition(lambda self: self.prompts)
    @rule(data=st.data(), cell=st.integers(0, RESTLESS - 1))
    def click(self, data: st.DataObject, cell: int) -> None:
        """Click a cell of an object; who is shown there loses it, if the objects do not overlap."""
        before = self.table()
        frame, number = data.draw(st.sampled_from(sorted(before)))
        mask = self.video[frame].mask
        shown = {i: cells_of(mask == i, row) for i, row in self.rows.items()}
        # What hides a part of an object, and whether it was given so, is not known here.
        if cell in shown[number] or any(before.get((frame, i), set()) - shown[i] for i in shown):
            return
        self.video.add(frame, points=[centre_of(cell, self.rows[number])], id=number)
        changed = {number: before[frame, number] | {cell}}
        owners = [
            i
            for i, cells in shown.items()
            if self.rows[i] == self.rows[number] and cell in cells and not self.overlap(i, number)
        ]
        for other in owners:
            changed[other] = before[frame, other] - {cell}
            earlier, hidden = self.prompts[other].get(frame), self.hidden.get((frame, other), frozenset())
            self.taken.setdefault((frame, other), []).append(Taken(number, earlier, hidden))
        for i, cells in changed.items():
            self.hidden[frame, i] = frozenset()
            self.note_prompt(frame, i, cells, before[frame, i])
        self.taken.pop((frame, number), None)

    def overlap(self, one: int, other: int) -> bool:
        """Whether prompts of two objects have a cell in common."""
        told = [
            {
                i: cells - self.hidden.get((i, number), frozenset())
                for i, cells in self.prompts[number].items()
            }
            for number in (one, other)
        ]
        return any(told[0][i] & told[1][i] for i in told[0].keys() & told[1].keys())

    def give_back(self, number: int, frames: Collection[int]) -> None:
        """What clicks on an object took is given back where they are withdrawn."""
        for (frame, other), taken in [*self.taken.items()]:
            while frame in frames and taken and taken[-1].by == number:
                _, earlier, self.hidden[frame, other] = taken.pop()
                self.prompts[other].pop(frame)
                if earlier is not None:
                    self.prompts[other][frame] = earlier
                self.withdrawn.add(other)
            if other != number and other in self.prompts and not self.prompts[other]:
                self.forget(other)

    @precondition(lambda self: self.tracked())
    @rule(data=st.data())
    def confirm(self, data: st.DataObject) -> None:
        frame, number = data.draw(st.sampled_from(self.tracked()))
        self.add_or_correct(frame, number, self.table()[frame, number])

    @precondition(lambda self: self.prompts)
    @rule(data=st.data())
    def withdraw(self, data: st.DataObject) -> None:
        number = data.draw(st.sampled_from(sorted(self.prompts)))
        frame = data.draw(st.sampled_from(sorted({*self.prompts[number], *self.removed.get(number, ())})))
        self.video.remove(number, frame)
        self.prompts[number].pop(frame, None)
        self.removed.get(number, set()).discard(frame)
        self.taken.pop((frame, number), None)
        self.give_back(number, [frame])
        self.forget(number)

    @precondition(lambda self: self.prompts)
    @rule(data=st.data())
    def remove(self, data: st.DataObject) -> None:
        number = data.draw(st.sampled_from(sorted(self.prompts)))
        self.video.remove(number)
        self.withdraw_all(number, self.prompts[number])
        self.prompts[number] = {}
        self.forget(number)

    def withdraw_all(self, number: int, frames: Collection[int]) -> None:
        for frame in frames:
            self.taken.pop((frame, number), None)
        self.give_back(number, frames)

    @precondition(lambda self: self.prompts)
    @rule(data=st.data(), frame=FRAMES)
    def remove_from(self, data: st.DataObject, frame: int) -> None:
        number = data.draw(st.sampled_from(sorted(self.prompts)))
        self.video.add(frame, [RemovePrompt(number)])
        self.withdraw_all(number, [i for i in self.prompts[number] if i >= frame])
        self.prompts[number] = {i: cells for i, cells in self.prompts[number].items() if i < frame}
        self.removed[number] = {i for i in self.removed.get(number, ()) if i < frame} | {frame}
        self.forget(number)

    @precondition(lambda self: self.prompts)
    @rule()
    def track_all(self) -> None:
        assert sorted(result.index for result in self.video.propagate()) == [*range(COUNT)]
        assert [result.index for result in self.video] == [*range(COUNT)]
        self.check_settled()

    @precondition(lambda self: self.prompts)
    @rule(data=st.data(), stop=FRAMES)
    def track_part(self, data: st.DataObject, stop: int) -> None:
        start = data.draw(st.sampled_from(self.video.prompted))
        before, self.is_partial = self.table(), True
        low, high = sorted((start, stop))
        given = [result.index for result in self.video.propagate(start, stop)]
        assert given[0] == start
        assert sorted(given) == [*range(low, high + 1)]
        after = self.table()
        assert all(after[key] == cells for key, cells in before.items() if not low <= key[0] <= high)

    @precondition(lambda self: self.prompts)
    @rule(count=st.integers(0, 5))
    def stop_in_the_middle(self, count: int) -> None:
        self.is_partial = True
        list(islice(self.video.propagate(), count))

    @precondition(lambda self: self.prompts)
    @rule(data=st.data(), count=st.integers(0, 5))
    def change_while_it_runs(self, data: st.DataObject, count: int) -> None:
        running: Iterator[Segmentation] = self.video.propagate()
        list(islice(running, count))
        self.is_partial = True
        what: Any = data.draw(st.sampled_from(["add_or_correct", "withdraw", "remove", "remove_from"]))
        if what == "add_or_correct":
            frame, number, cells = data.draw(FRAMES), data.draw(NUMBERS), data.draw(CELLS)
            is_known = number not in self.prompts or (frame, number) in self.table()
            self.add_or_correct(frame, number, cells)
            if not is_known:  # the pass may come to the frame yet, and find any cell hidden
                self.hidden[frame, number] = frozenset(range(RESTLESS)) - cells
        elif what == "remove_from":
            self.remove_from(data, data.draw(FRAMES))
        else:
            getattr(self, what)(data)
        self.consistent()
        for result in running:
            assert result == self.video[result.index]

    @rule(how=st.sampled_from(["json", "pickle", "state"]))
    def save_and_restore(self, how: str) -> None:
        before = self.table()
        self.video = saved_and_restored(self.video, how, opened)
        assert self.table() == before

    @rule()
    def close(self) -> None:
        self.video.close()

    @precondition(lambda self: self.prompts)
    @rule(frame=FRAMES, number=NUMBERS, cells=CELLS, count=st.integers(0, 20))
    def correct_and_withdraw(self, frame: int, number: int, cells: Cells, count: int) -> None:
        """A correction that is withdrawn leaves the masks as if it had never been."""
        if frame in self.prompts.get(number, ()) or number not in self.prompts or self.absent(frame, number):
            return
        self.track_all()
        before = self.table()
        self.video.add(frame, masks={number: mask_of(cells, self.rows[number])})
        list(islice(self.video.propagate(), count))
        self.video.remove(number, frame)
        list(self.video.propagate())
        assert self.table() == before

    @precondition(lambda self: self.prompts)
    @rule(first=FRAMES, second=FRAMES, one=CELLS, other=CELLS, number=NUMBERS)
    def two_corrections_commute(self, first: int, second: int, one: Cells, other: Cells, number: int) -> None:
        """In either order, where a prompted frame lies between them."""
        between = [i for i in self.prompts.get(number, ()) if min(first, second) < i < max(first, second)]
        if not between:
            return
        self.track_all()
        state = self.video.state()
        tables = []
        for order in ((first, one), (second, other)), ((second, other), (first, one)):
            self.video.restore(state)
            for frame, cells in order:
                self.video.add(frame, masks={number: mask_of(cells, self.rows[number])})
                list(self.video.propagate())
            tables.append(self.table())
        self.video.restore(state)
        assert tables[0] == tables[1]

    # What holds

    @invariant()
    def consistent(self) -> None:
        """Prompted masks are as given, nothing is where it was removed, and everything is made of cells."""
        table = self.table()
        assert self.video.ids == tuple(sorted(self.prompts))
        for number, prompts in self.prompts.items():
            for frame, cells in prompts.items():
                assert table[frame, number] == cells
        assert all(number in self.prompts and not self.absent(frame, number) for frame, number in table)

    def check_settled(self) -> None:
        """See that all has been tracked, and that only what is near a change has changed."""
        steps, table = NearestMask.steps, self.table()
        list(self.video.propagate())
        assert (NearestMask.steps, self.table()) == (steps, table), "tracking twice is tracking once"
        for number, prompts in self.prompts.items():
            for frame in range(COUNT):
                if self.absent(frame, number):
                    continue
                first, last = min(prompts), max(prompts)
                # Before the first prompt and behind the last one, that alone says what is there.
                says = [first] if frame < first else [last] if frame > last else [*prompts]
                for cell in range(RESTLESS):
                    has = cell in table[frame, number]
                    silent = any(
                        cell in self.hidden.get((i, number), ()) or (i, number) in self.confirmed
                        for i in says
                    )
                    told = [prompts[i] for i in says] + self.replaced_versions(frame, number, says)
                    assert silent or any((cell in cells) is has for cells in told), (
                        f"no prompt says so of cell {cell} of object {number} on frame {frame}"
                    )
        for (frame, number), cells in self.settled.items():
            if number not in self.withdrawn and frame not in self.touched.get(number, ()):
                near = self.nearest(frame, number)
                touched = self.touched.get(number, {})
                allowed = frozenset[int]().union(*touched.values()) if near & {*touched} else frozenset()
                assert cells ^ table[frame, number] <= allowed, f"object {number} on frame {frame}"
        self.settle()

    def replaced_versions(self, frame: int, number: int, says: Collection[int]) -> list[Cells]:
        """Prompts that were replaced, whose masks a frame keeps that is nearer to another prompt."""
        return [
            cells
            for i in says
            if any(abs(other - frame) <= abs(i - frame) for other in says if other != i)
            for cells in self.replaced.get((i, number), ())
        ]

    # What is known

    def settle(self) -> None:
        self.settled, self.is_partial = self.table(), False
        self.touched: dict[int, dict[int, Cells]] = {}  # what prompts have changed since, by object and frame
        self.withdrawn = set[int]()  # objects of which a prompt was withdrawn since

    def forget(self, number: int) -> None:
        self.withdrawn.add(number)
        if not self.prompts[number]:
            del self.prompts[number]
            self.removed.pop(number, None)

    def table(self) -> Table:
        return {
            (frame, number): cells_of(mask, self.rows[number])
            for frame in range(COUNT)
            for number, mask in whole_masks(self.video[frame]).items()
        }

    def tracked(self) -> list[tuple[int, int]]:
        return [(frame, i) for frame, i in self.table() if frame not in self.prompts[i]]

    def absent(self, frame: int, number: int) -> bool:
        """Whether nothing may be there: it was removed before, or nothing leads to the frame."""
        removed, prompts = self.removed.get(number, set()), self.prompts[number]
        last = max((i for i in (*removed, *prompts) if i <= frame), default=None)
        if last is None:
            following = min((i for i in (*removed, *prompts) if i > frame), default=None)
            return following not in prompts
        return last not in prompts

    def nearest(self, frame: int, number: int) -> set[int]:
        """The nearest frames on both sides on which an object is prompted or removed."""
        events = [*self.prompts[number], *self.removed.get(number, ())]
        before = max((i for i in events if i < frame), default=-1)
        return {before, min((i for i in events if i > frame), default=-1)}


LONG = int(os.environ.get("SEGUE_STATE_EXAMPLES", "200"))
"""Sequences of the slow test; each run draws others."""

VideoMachine.TestCase.settings = settings(
    max_examples=12, stateful_step_count=12, deadline=None, suppress_health_check=list(HealthCheck)
)
TestVideo = VideoMachine.TestCase


def test_a_confirmed_frame_keeps_no_mask_that_came_of_another_one() -> None:
    """Frame 4 is nearer to frame 3, which was confirmed, but its mask came of frame 6 alone."""
    video = segue.Video(IMAGES, model=NETWORK, device="cpu")

    def add(frame: int, cells: set[int]) -> None:
        video.add(frame, masks={1: mask_of(cells, 0)})
        if frame != 8:
            list(video.propagate())

    def cells_on(frame: int) -> Cells:
        return cells_of(video[frame].mask == 1, 0)

    add(8, {0})
    add(6, {0, 1, 2, 3})
    add(0, {0})
    add(3, set(cells_on(3)))
    assert 1 in cells_on(4)
    assert 1 not in cells_on(3)
    add(6, {0, 2, 3})
    assert 1 not in cells_on(4)


def test_a_correction_keeps_parts_that_were_behind_an_object_of_another_session() -> None:
    """Both objects are tracked together until one frame shows that they overlap."""
    video = segue.Video(IMAGES, model=NETWORK, device="cpu")
    video.add(4, masks={1: mask_of({0, 1, 2, 3}, 0)})
    video.add(5, masks={2: mask_of({0, 3}, 0)})
    list(video.propagate())
    assert cells_of(whole_masks(video[0])[2], 0) >= {0, 3}
    video.add(5, masks={1: mask_of({0, 1, 3}, 0), 2: mask_of({0}, 0)})
    list(video.propagate())
    assert cells_of(whole_masks(video[0])[2], 0) - {RESTLESS} == {0}


def test_a_correction_carries_to_an_object_that_is_wholly_hidden() -> None:
    """Both objects have one mask, so that one of them shows no pixel and has no score."""
    video = segue.Video(IMAGES, model=NETWORK, device="cpu")
    video.add(0, masks={1: mask_of({0}, 0)})
    list(video.propagate())
    for cells in ({0, 1}, {0}):
        video.add(1, masks={2: mask_of(cells, 0)})
        list(video.propagate())
    assert all(cells_of(whole_masks(video[index])[2], 0) == {0} for index in range(COUNT))


def test_a_correction_carries_where_another_object_lies_too() -> None:
    """Where both lie the tracker is unsure which is in front, which says nothing of the correction."""
    video = segue.Video(IMAGES, model=NETWORK, device="cpu")
    video.add(0, masks={2: mask_of({0, 1}, 0)})
    for cells in ({0}, {0, 1}):
        video.add(1, masks={1: mask_of(cells, 0)})
        list(video.propagate())
    assert all(cells_of(whole_masks(video[index])[1], 0) == {0, 1} for index in range(COUNT))


def test_a_correction_carries_to_parts_that_another_object_hides() -> None:
    """Object 1 lies in front of cell 1 of object 2, which a correction removes, and shows no difference."""
    video = segue.Video(IMAGES, model=NETWORK, device="cpu")
    video.add(1, masks={1: mask_of({0, 1}, 0)})
    for cells in ({0, 1, 2}, {0}):
        video.add(0, masks={2: mask_of(cells, 0)})
        list(video.propagate())
    assert all(cells_of(whole_masks(video[index])[2], 0) == {0} for index in range(COUNT))


def test_a_part_that_was_hidden_and_is_given_is_no_change() -> None:
    """Object 1 hides cells 0 and 3 of object 2 on frame 4; a correction gives them and removes cell 4."""
    video = segue.Video(IMAGES, model=NETWORK, device="cpu")
    video.add(0, masks={1: mask_of({0, 1}, 0)})
    list(video.propagate())
    video.add(6, masks={1: mask_of({0, 1, 2, 3}, 0)})
    video.add(5, masks={2: mask_of({0, 3}, 0)})
    video.add(1, masks={2: mask_of({0}, 0)})
    list(video.propagate())
    before = cells_of(whole_masks(video[3])[2], 0)
    video.add(4, masks={2: mask_of({0, 3}, 0)})
    list(video.propagate())
    assert before ^ cells_of(whole_masks(video[3])[2], 0) <= {RESTLESS}


def test_a_part_gives_each_frame_once() -> None:
    """A stop in the middle leaves frames of two kinds, which two passes reach."""
    video = segue.Video(IMAGES, model=NETWORK, device="cpu")
    video.add(5, masks={1: mask_of({0, 1}, 0)})
    list(islice(video.propagate(), 5))
    video.add(5, masks={1: mask_of({0}, 0)})
    indices = [result.index for result in video.propagate(5, 0)]
    assert indices[0] == 5
    assert sorted(indices) == [0, 1, 2, 3, 4, 5]


@pytest.mark.parametrize("prompted", [(0, 1), (7, 8), (3, 8), (0, 4, 8)])
@pytest.mark.parametrize("part", [True, False])
def test_every_frame_comes_also_those_that_are_prompted_only(prompted: tuple[int, ...], part: bool) -> None:
    video = segue.Video(IMAGES, model=NETWORK, device="cpu")
    for index in prompted:
        video.add(index, mask_of({0}, 0))
    if not part:
        assert sorted(result.index for result in video.propagate()) == [*range(COUNT)]
        return
    first, last = prompted[0], prompted[-1]
    assert [result.index for result in video.propagate(first, last)] == [*range(first, last + 1)]


@pytest.mark.parametrize("prompted", [range(COUNT), [0]])
def test_frames_that_need_no_tracking_come_and_are_saved(prompted: Sequence[int], tmp_path: Path) -> None:
    """All frames are prompted, or the object is removed from the second one on."""
    video = segue.Video(IMAGES, model=NETWORK, device="cpu")
    for index in prompted:
        video.add(index, mask_of({0}, 0))
    if len(prompted) == 1:
        video.add(1, [RemovePrompt(1)])
    assert [result.index for result in video.propagate()] == [*range(COUNT)]
    assert [bool(result.mask.any()) for result in video] == [index in prompted for index in range(COUNT)]
    assert len([*video.save(tmp_path / "out", formats=["png"])["png"].glob("*.png")]) == COUNT


class OverlappingMachine(VideoMachine):
    """Objects of one row, which overlap in any way; each is as if it were alone."""

    rows: ClassVar[dict[int, int]] = {1: 0, 2: 0}

    @rule(frame=FRAMES, one=CELLS, other=CELLS, reverse=st.booleans())
    def add_both(self, frame: int, one: Cells, other: Cells, reverse: bool) -> None:
        """Masks of one call, in any order."""
        both = {1: one, 2: other}
        self.add_masks(frame, {i: both[i] for i in ((2, 1) if reverse else (1, 2))})


OverlappingMachine.TestCase.settings = VideoMachine.TestCase.settings
TestOverlapping = OverlappingMachine.TestCase


class _LongMachine(VideoMachine):
    pass


class _LongOverlappingMachine(OverlappingMachine):
    pass


_LongMachine.TestCase.settings = settings(
    max_examples=LONG,
    stateful_step_count=30,
    deadline=None,
    derandomize=False,
    database=None,
    suppress_health_check=list(HealthCheck),
)
_LongOverlappingMachine.TestCase.settings = _LongMachine.TestCase.settings


@pytest.mark.slow
class TestVideoForLong(_LongMachine.TestCase):  # type: ignore[misc, name-defined]
    """The same with many steps."""


@pytest.mark.slow
class TestOverlappingForLong(_LongOverlappingMachine.TestCase):  # type: ignore[misc, name-defined]
    """The same with objects that overlap."""


def test_a_state_has_prompts_on_frames_that_numpy_counted(tmp_path: Path) -> None:
    video, other = (segue.Video(IMAGES, model=NETWORK, device="cpu") for _ in range(2))
    video.add(np.int64(2), mask_of({0}, 0))
    other.restore(json.loads(json.dumps(video.state())))
    video.save_state(tmp_path / "state")
    other.restore(tmp_path / "state")
    assert other.prompted == (2,)
