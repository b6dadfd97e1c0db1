"""Passes that bring the masks of a video up to date with its prompts."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from segue.sessions.videos.provenance import (
    Direction,
    MadeFrom,
    ObjectMasks,
    PromptedMask,
    Source,
    Sources,
    StoredMask,
    present,
)


@dataclass(frozen=True, slots=True)
class Pass:
    """Frames to track from a prompted one.

    Attributes:
        start: index of the prompted frame.
        stop: index of the last frame; before ``start`` it is tracked backwards.
        made_from: for each object, the frames whose masks are stored, with what these are made from.
        carries: for each object, the source so far of the masks that change near the difference alone. None
            where masks are tracked anew.
    """

    start: int
    stop: int
    made_from: Mapping[int, Mapping[int, MadeFrom]]
    carries: Mapping[int, Source | None] | None = None

    @property
    def direction(self) -> Direction:
        """Direction of the pass."""
        return 1 if self.start < self.stop else -1


_Frames = dict[int, MadeFrom]
"""Frames of an object, ascending, with the sources of their future masks."""

_Changes = dict[tuple[int, Direction, int | None], dict[int, dict[Source | None, _Frames]]]
"""Masks to change, by the prompted frame and the direction from which the change comes, the next prompted
frame, the object, and the source of its masks so far."""


def plan(
    objects: Mapping[int, ObjectMasks], frames: Sequence[int], part: tuple[int, int] | None = None
) -> list[Pass]:
    """Plan the passes that are needed.

    Args:
        objects: the objects by id.
        frames: indices of all frames of the video, ascending.
        part: the frame from which and the one to which to track; masks of others stay. None is all frames.

    Returns:
        Passes in their order: masks that are tracked anew, forwards and then backwards, then the changes of
        each prompted frame, in both directions.
    """
    if part is not None:
        low, high = sorted(part)
        selected = frames[bisect_left(frames, low) : bisect_right(frames, high)]
        frames = [index for index in selected if index != part[0]]
    untracked: list[tuple[int, int, _Frames]] = []  # start, object
    changes: _Changes = {}
    for number, masks in objects.items():
        for segment, sources in masks.segments(frames):
            missing: _Frames = {}
            for frame in segment:
                mask = next(filter(masks.is_valid, reversed(masks.tracked.get(frame, ()))), None)
                if mask is None:
                    missing[frame] = present(sources)
                    continue
                current = masks.tracked_at(frame)
                if current is None or not masks.stale(frame, current, sources):
                    continue
                made_from = mask.made_from
                for direction in masks.stale(frame, mask, sources):
                    source = sources.behind(direction)
                    assert source is not None
                    made_from = made_from.with_change(source, sources)
                    earlier = Sources.of(mask.made_from.carried, frame).behind(direction)
                    ahead = sources.behind(-direction)
                    way = source[0], direction, None if ahead is None else ahead[0]
                    by_source = changes.setdefault(way, {}).setdefault(number, {})
                    by_source.setdefault(earlier, {})[frame] = made_from
            if missing:
                start = sources.previous or sources.following
                assert start is not None
                untracked.append((start[0], number, missing))
    passes = _tracking_passes(untracked, frames) if part is None else _from(part[0], untracked)
    return [*passes, *_carrying(changes)]


def _tracking_passes(missing: Sequence[tuple[int, int, _Frames]], frames: Sequence[int]) -> Iterator[Pass]:
    """Passes over frames without masks; overlapping ones are joined."""
    directions: tuple[Direction, Direction] = (1, -1)
    for direction in directions:
        ways = [way for way in missing if (min(way[2]) > way[0]) == (direction == 1)]
        ways.sort(key=lambda way: way[0] * direction)
        while ways:
            start, stop = ways[0][0], ways[0][0]
            joined = 0
            while joined < len(ways) and (_next(frames, stop, direction) - ways[joined][0]) * direction >= 0:
                last = max(ways[joined][2], key=lambda frame: frame * direction)
                stop = max(stop, last, key=lambda frame: frame * direction)
                joined += 1
            yield Pass(start, stop, _by_object(ways[:joined]))
            ways = ways[joined:]


def _next(frames: Sequence[int], frame: int, direction: Direction) -> int:
    """Neighbour of a frame in a direction, or the frame itself at the end of the video."""
    place = bisect_left(frames, frame) + direction
    return frames[place] if 0 <= place < len(frames) else frame


def _from(start: int, missing: Iterable[tuple[int, int, _Frames]]) -> Iterator[Pass]:
    """A pass over frames without masks on one side of a frame."""
    frames = [frame for *_, each in missing for frame in each]
    if frames:
        yield Pass(start, max(frames, key=lambda frame: abs(frame - start)), _by_object(missing))


def _by_object(ways: Iterable[tuple[int, int, _Frames]]) -> dict[int, _Frames]:
    by_object: dict[int, _Frames] = {}
    for _, number, frames in ways:
        by_object.setdefault(number, {}).update(frames)
    return by_object


def _carrying(changes: _Changes) -> Iterator[Pass]:
    """Passes that carry changes of prompted frames; objects with one range share a pass."""
    for (start, _, _), objects in sorted(changes.items(), key=lambda item: (item[0][0], -item[0][1])):
        for count in range(max(map(len, objects.values()))):
            several = {i: [*each.items()][count] for i, each in objects.items() if count < len(each)}
            made_from = {i: frames for i, (_, frames) in several.items()}
            last = max((f for frames in made_from.values() for f in frames), key=lambda f: abs(f - start))
            yield Pass(start, last, made_from, {i: source for i, (source, _) in several.items()})


@dataclass(frozen=True, slots=True)
class PromptSnapshot:
    """An object and its prompts when a pass was planned.

    Attributes:
        masks: the object.
        prompts: its prompts, by frame, when the tracking was planned.
    """

    masks: ObjectMasks
    prompts: Mapping[int, PromptedMask]

    def current(self) -> PromptSnapshot:
        """Copy without prompts that were withdrawn since."""
        return PromptSnapshot(
            self.masks, {i: each for i, each in self.prompts.items() if i in self.masks.prompts}
        )

    def is_present(self, frame: int) -> bool:
        """Whether the object is prompted and not removed before a frame."""
        return bool(self.prompts) and not self.masks.is_absent(frame)


class PreviousMasks(Mapping[int, Sequence[StoredMask]]):
    """Masks that a pass may change, by frame, looked up when needed."""

    def __init__(self, each: Pass, objects: Mapping[int, PromptSnapshot]) -> None:
        self._pass, self._objects = each, objects

    def __getitem__(self, index: int) -> Sequence[StoredMask]:
        return [*self._masks(index)]

    def _masks(self, index: int) -> Iterator[StoredMask]:
        for i, snapshot in self._objects.items():
            masks, carries = snapshot.masks, self._pass.carries or {}
            mask = masks.baseline(index, self._pass.direction, carries[i]) if i in carries else None
            mask = mask or masks.tracked_at(index)
            if mask is not None and not masks.is_absent(index):
                yield mask

    def __iter__(self) -> Iterator[int]:
        return iter({index for snapshot in self._objects.values() for index in snapshot.masks.tracked})

    def __len__(self) -> int:
        return len({index for snapshot in self._objects.values() for index in snapshot.masks.tracked})
