"""``segue.Video`` with a network that takes boxes and points itself, where people do things in any order.

The network gives the mask of the nearest prompted frame, and changes cells under points and in boxes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Any, Literal

import numpy as np
import torch
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

import segue
from segue.models.base import Setup, TrackCapabilities, TrackOutput
from segue.prompt_types import RemovePrompt
from segue.registry import PromptKind
from segue.state import Checkpointable, checkpointed
from segue.types import Box, Image, Point
from tests.api.test_video_states import saved_and_restored
from tests.nearest_mask import (
    GAP,
    RESTLESS,
    SIDE,
    SIZE,
    Cells,
    NearestMask,
    NearestTracker,
    cells_of,
    centre_of,
    images,
    log_odds_of,
    mask_of,
    merged,
    whole_masks,
)

COUNT = 7
IMAGES = images(COUNT)
FRAMES = st.integers(0, COUNT - 1)
NUMBERS = st.sampled_from([1, 2])
CELLS = st.frozensets(st.integers(1, RESTLESS)).map(lambda cells: cells | {0})

Table = dict[tuple[int, int], Cells]
"""Cells by frame and object."""


class NativeNearestTracker(NearestTracker):
    """Takes boxes and points, in a video alone."""

    prompts: frozenset[PromptKind] = frozenset({"box", "point"})


class NearestVideoTracker(Checkpointable):
    """Gives the mask of the nearest prompted frame, the earlier of two."""

    _prompted: dict[int, dict[int, torch.Tensor]] = checkpointed(dict)  # masks by object and frame
    _tracked: dict[int, dict[int, torch.Tensor]] = checkpointed(dict)

    def reset(self) -> None:
        self.restart()

    @property
    def ids(self) -> tuple[int, ...]:
        return tuple(self._prompted)

    def click(
        self,
        frame: int,
        id: int,
        points: Sequence[Point] = (),
        labels: Sequence[int] | None = None,
        *,
        box: Box | None = None,
        add: bool = False,
    ) -> None:
        current = self._record(id, frame)
        mask = np.zeros(SIZE, np.bool_) if current is None or box is not None else current.numpy().copy()
        if box is not None:
            x0, y0, x1, y1 = map(int, box)
            mask[y0:y1, x0:x1] = True
        for (x, y), inside in zip(points, labels or [1] * len(points), strict=True):
            mask[mask_of([int(x) // (SIDE + GAP)], int(y) // (SIDE + GAP))] = inside
        self.mask(frame, id, mask)

    def mask(self, frame: int, id: int, mask: Any) -> None:
        self._prompted.setdefault(id, {})[frame] = torch.from_numpy(mask.copy())
        self._tracked.setdefault(id, {}).pop(frame, None)

    def unprompt(self, frame: int, id: int) -> None:
        mask = self._prompted[id].pop(frame, None)
        if mask is not None:
            self._tracked[id][frame] = mask

    def remove(self, id: int) -> None:
        del self._prompted[id], self._tracked[id]

    def propagate(
        self, start: int | None = None, *, reverse: bool = False, frames: int | None = None
    ) -> Iterator[int]:
        assert start is not None
        assert frames is not None
        for frame in range(start, start - frames - 1, -1) if reverse else range(start, start + frames + 1):
            for id, prompted in self._prompted.items():
                if prompted and frame not in prompted:
                    nearest = min(prompted, key=lambda index: (abs(index - frame), index))
                    self._tracked[id][frame] = prompted[nearest]
            yield frame

    def is_prompted(self, frame: int, id: int) -> bool:
        return frame in self._prompted.get(id, ())

    def output(self, frame: int) -> TrackOutput | None:
        masks = {i: mask for i in sorted(self.ids) if (mask := self._record(i, frame)) is not None}
        if not masks:
            return None
        planes = torch.stack([*masks.values()]).float()
        scores = torch.full((len(masks),), 0.9)
        return TrackOutput(tuple(masks), merged(planes), planes, merged, scores=scores, logits=log_odds_of)

    def _record(self, id: int, frame: int) -> torch.Tensor | None:
        return self._prompted.get(id, {}).get(frame, self._tracked.get(id, {}).get(frame))


class NativeNearestMask(NearestMask):
    """The network."""

    tracker = NativeNearestTracker

    @property
    def capabilities(self) -> TrackCapabilities:
        """It takes boxes and points of a whole video."""
        return TrackCapabilities(video=_video_tracker)


def _video_tracker(
    network: NativeNearestMask,
    setup: Setup,
    frames: Callable[[int], Image],
    count: int,
    *,
    keep_corrections: bool,
) -> NearestVideoTracker:
    tracker = NearestVideoTracker()
    tracker.reset()
    return tracker


NETWORK = NativeNearestMask()


def opened() -> segue.Video:
    return segue.Video(IMAGES, model=NETWORK, device="cpu")


class NativeVideoMachine(RuleBasedStateMachine):
    """A video, its prompts, and the frames from which objects are absent."""

    @initialize(same_row=st.booleans())
    def begin(self, same_row: bool) -> None:
        self.video = opened()
        self.rows = {1: 0, 2: 0 if same_row else 1}
        self.prompts: dict[int, dict[int, Cells]] = {}  # by object and frame
        self.removed: dict[int, set[int]] = {}

    # What people do

    @rule(frame=FRAMES, number=NUMBERS, cells=CELLS)
    def give_mask(self, frame: int, number: int, cells: Cells) -> None:
        self.video.add(frame, masks={number: mask_of(cells, self.rows[number])})
        self.note(frame, number, cells)

    @rule(frame=FRAMES, number=NUMBERS, cell=st.integers(0, RESTLESS))
    def give_box(self, frame: int, number: int, cell: int) -> None:
        rows, columns = np.nonzero(mask_of([cell], self.rows[number]))
        box = (int(columns.min()), int(rows.min()), int(columns.max()) + 1, int(rows.max()) + 1)
        self.video.add(frame, box=box, id=number)
        self.note(frame, number, frozenset({cell}))

    @rule(frame=FRAMES, number=NUMBERS, cell=st.integers(0, RESTLESS), inside=st.booleans())
    def click(self, frame: int, number: int, cell: int, inside: bool) -> None:
        before = self.table().get((frame, number))
        if before is None and not inside:
            return
        labels: list[Literal[0, 1]] = [1 if inside else 0]
        at = [centre_of(cell, self.rows[number])]
        if (before is not None and cell in before) == inside:
            return
        x, y = at[0]
        self.clicks = getattr(self, "clicks", 0) + 1  # clicks on one place are not equal
        self.video.add(
            frame, points=[(x + self.clicks % 5 / 8, y + self.clicks / 1000)], labels=labels, id=number
        )
        cells = before or frozenset()
        self.note(frame, number, cells | {cell} if inside else cells - {cell})

    def note(self, frame: int, number: int, cells: Cells) -> None:
        self.prompts.setdefault(number, {})[frame] = cells
        self.removed.setdefault(number, set()).discard(frame)

    @precondition(lambda self: self.prompts)
    @rule(data=st.data())
    def withdraw(self, data: st.DataObject) -> None:
        number = data.draw(st.sampled_from(sorted(self.prompts)))
        frame = data.draw(st.sampled_from(sorted({*self.prompts[number], *self.removed[number]})))
        self.video.remove(number, frame)
        self.prompts[number].pop(frame, None)
        self.removed[number].discard(frame)
        self.forget(number)

    @precondition(lambda self: self.prompts)
    @rule(data=st.data())
    def remove(self, data: st.DataObject) -> None:
        number = data.draw(st.sampled_from(sorted(self.prompts)))
        self.video.remove(number)
        self.prompts[number] = {}
        self.forget(number)

    @precondition(lambda self: self.prompts)
    @rule(data=st.data(), frame=FRAMES)
    def remove_from(self, data: st.DataObject, frame: int) -> None:
        number = data.draw(st.sampled_from(sorted(self.prompts)))
        self.video.add(frame, [RemovePrompt(number)])
        self.prompts[number] = {i: cells for i, cells in self.prompts[number].items() if i < frame}
        self.removed[number] = {i for i in self.removed[number] if i < frame} | {frame}
        self.forget(number)

    def forget(self, number: int) -> None:
        if not self.prompts[number]:
            del self.prompts[number], self.removed[number]

    @precondition(lambda self: self.prompts)
    @rule()
    def track_all(self) -> None:
        indices = []
        for result in self.video.propagate():
            assert result == self.video[result.index]
            indices.append(result.index)
        assert sorted(indices) == [*range(COUNT)]
        self.consistent()
        expected = {
            (frame, number): prompts[min(prompts, key=lambda i: (abs(i - frame), i))]
            for number, prompts in self.prompts.items()
            for frame in range(COUNT)
            if not self.absent(frame, number)
        }
        assert self.table() == expected

    @precondition(lambda self: self.prompts)
    @rule(data=st.data(), stop=FRAMES)
    def track_part(self, data: st.DataObject, stop: int) -> None:
        start = data.draw(st.sampled_from(self.video.prompted))
        before, (low, high) = self.table(), sorted((start, stop))
        indices = [result.index for result in self.video.propagate(start, stop)]
        assert indices == [*range(start, stop + 1)] if start <= stop else [*range(start, stop - 1, -1)]
        after = self.table()
        assert all(after[key] == cells for key, cells in before.items() if not low <= key[0] <= high)

    @precondition(lambda self: self.prompts)
    @rule(data=st.data(), count=st.integers(0, 5))
    def change_while_it_runs(self, data: st.DataObject, count: int) -> None:
        running = self.video.propagate()
        list(islice(running, count))
        what: Any = data.draw(st.sampled_from(["give_mask", "withdraw", "remove", "remove_from", "stop"]))
        if what == "give_mask":
            self.give_mask(data.draw(FRAMES), data.draw(NUMBERS), data.draw(CELLS))
        elif what == "remove_from":
            self.remove_from(data, data.draw(FRAMES))
        elif what != "stop":
            getattr(self, what)(data)
        self.consistent()
        for result in running if what != "stop" else ():
            assert result == self.video[result.index]

    @rule(how=st.sampled_from(["json", "pickle", "state"]))
    def save_and_restore(self, how: str) -> None:
        before = self.table()
        self.video = saved_and_restored(self.video, how, opened)
        assert self.table() == before

    # What holds

    @invariant()
    def consistent(self) -> None:
        """Prompted masks are as given, and nothing is where it was removed."""
        table = self.table()
        assert self.video.ids == tuple(sorted(self.prompts))
        assert self.video.prompted == tuple(sorted({i for of_one in self.prompts.values() for i in of_one}))
        for number, prompts in self.prompts.items():
            for frame, cells in prompts.items():
                assert table[frame, number] == cells
        assert all(number in self.prompts and not self.absent(frame, number) for frame, number in table)

    # What is known

    def table(self) -> Table:
        return {
            (frame, number): cells_of(mask, self.rows[number])
            for frame in range(COUNT)
            for number, mask in whole_masks(self.video[frame]).items()
        }

    def absent(self, frame: int, number: int) -> bool:
        """Whether the object was removed before a frame and not prompted since."""
        removed, prompts = self.removed[number], self.prompts[number]
        last = max((i for i in (*removed, *prompts) if i <= frame), default=None)
        if last is None:
            return min((i for i in (*removed, *prompts) if i > frame), default=None) not in prompts
        return last not in prompts


NativeVideoMachine.TestCase.settings = settings(
    max_examples=12, stateful_step_count=12, deadline=None, suppress_health_check=list(HealthCheck)
)
TestNativeVideo = NativeVideoMachine.TestCase
