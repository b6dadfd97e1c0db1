"""Masks of an object in a video, and the prompts that each was made from.

A tracked mask was made from prompted frames, each with the revision of its prompts. It is stale if the
nearest prompted frames are others now, or have another revision, and if one that it was made from is no
longer prompted. This is computed on each access. A pass (:mod:`segue.sessions.videos.passes`) adds masks and
deletes nothing: a mask that is replaced counts again if the prompts after it are withdrawn.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise, takewhile
from typing import Literal, NamedTuple

import numpy as np

from segue.masks import Rle, decode_rle, encode_rle
from segue.prompts.correction import ClickHistory
from segue.types import ObjectInfo
from segue.utils.arrays import BoolArray

StoredObject = tuple[ObjectInfo, str, str | None, str | None]
"""An object on a frame with three run lengths: of its mask, of its whole mask where a part is behind others,
and of the pixels where its session was not sure (:mod:`segue.masks.unsure`), if they are known."""

Revision = int
"""Version of an object's prompts on a frame; each change creates a new, unique one."""

Source = tuple[int, Revision]
"""A prompted frame of an object, and the revision of its prompts there."""

Direction = Literal[1, -1]
"""Direction of tracking: 1 is forwards."""


class MadeFrom(NamedTuple):
    """Prompted frames that a mask was tracked from.

    Attributes:
        carried: prompted frames whose masks were tracked to it, in this order.
        shielding: others that the trackers knew: where one was nearer, the mask has stayed as it was.
    """

    carried: tuple[Source, ...]
    shielding: tuple[Source, ...] = ()

    def with_change(self, source: Source, sources: Sources) -> MadeFrom:
        """Add a source whose change a pass has carried to the mask."""
        carried = *(each for each in self.carried if each != source), source
        shielding = (each for each in (*self.shielding, *sources) if each is not None and each not in carried)
        return MadeFrom(carried, tuple(dict.fromkeys(shielding)))


class Sources(NamedTuple):
    """Nearest prompted frames on both sides of a frame; None on a side without one."""

    previous: Source | None = None
    following: Source | None = None

    @classmethod
    def of(cls, carried: Iterable[Source], frame: int) -> Sources:
        """Nearest carried sources of a frame; the later one of two revisions."""
        previous = following = None
        for source in carried:
            if source[0] < frame and (previous is None or source[0] >= previous[0]):
                previous = source
            elif source[0] > frame and (following is None or source[0] <= following[0]):
                following = source
        return cls(previous, following)

    def behind(self, direction: int) -> Source | None:
        """Prompted frame from which a pass in a direction comes."""
        return self.previous if direction == 1 else self.following


class StoredMask(NamedTuple):
    """A tracked mask and its sources."""

    stored: StoredObject
    made_from: MadeFrom


class PromptedMask(NamedTuple):
    """Mask of a prompted frame and the revision of its prompts."""

    stored: StoredObject
    revision: Revision


OWN = 0
"""Number in place of another object's: a prompt of the object itself."""


class TakenPixels(NamedTuple):
    """A change of a prompted mask: pixels that clicks on another object took, or a later prompt of its own.

    Attributes:
        by: the other object; :data:`OWN` for a prompt of the object itself.
        revision: revision of the mask after the change.
        previous: the prompted mask before it; None where the frame had no prompt of the object.
        region: run lengths of the region of the clicks; None in states of earlier versions, and of a prompt.
    """

    by: int
    revision: Revision
    previous: PromptedMask | None
    region: str | None = None


@dataclass(eq=False)
class ObjectMasks:
    """All masks of an object in a video.

    Attributes:
        label: class or name.
        prompts: masks of prompted frames.
        clicks: clicks that made or corrected them, by frame.
        removed: frames from which on the object is absent, until the next prompted one.
        tracked: tracked masks by frame, the newest last.
        versions: run lengths of prompted masks by frame and revision; earlier ones as long as masks were made
            from them.
        taken: by frame the pixels that clicks on other objects took from its mask, and its prompts since the
            first of them, the last ones last.
    """

    label: str | None = None
    prompts: dict[int, PromptedMask] = field(default_factory=dict)
    clicks: dict[int, ClickHistory] = field(default_factory=dict)
    removed: set[int] = field(default_factory=set)
    tracked: dict[int, list[StoredMask]] = field(default_factory=dict)
    versions: dict[int, dict[Revision, str]] = field(default_factory=dict)
    taken: dict[int, list[TakenPixels]] = field(default_factory=dict)

    @property
    def is_prompted(self) -> bool:
        """Whether it has a prompt; tracked masks that lost pixels to clicks on other objects are none."""
        return any(map(self.has_own_prompt, self.prompts))

    def has_lost_pixels(self, frame: int) -> bool:
        """Whether clicks on other objects took pixels of a frame since its last prompt there."""
        changes = self.taken.get(frame, [])
        return bool(changes) and changes[-1].by != OWN

    def has_lost_all(self, frame: int, size: tuple[int, int]) -> bool:
        """Whether clicks on other objects took all that it had on a frame since its last prompt there."""
        return self.has_lost_pixels(frame) and not decode(self.prompts[frame].stored[1], size).any()

    def lost_pixels(self, frame: int, size: tuple[int, int]) -> BoolArray:
        """Pixels, (H, W), that clicks on other objects took since its last prompt on a frame."""
        lost = np.zeros(size, np.bool_)
        for change in takewhile(lambda each: each.by != OWN, reversed(self.taken.get(frame, []))):
            if change.region is not None:
                lost |= decode(change.region, size)
        return lost

    def has_own_prompt(self, frame: int) -> bool:
        """Whether it has a prompt on a frame, and has not only lost pixels to other objects there."""
        if frame not in self.prompts:
            return False
        changes = self.taken.get(frame)
        return not changes or changes[0].previous is not None or any(each.by == OWN for each in changes)

    def prompt(self, frame: int, stored: StoredObject, revision: Revision) -> None:
        """Store the mask of a prompted frame; an equal mask keeps its revision."""
        before = self.prompts.get(frame)
        self._store_prompt(frame, stored, revision)
        if self.has_lost_pixels(frame):
            self.taken[frame].append(TakenPixels(OWN, self.prompts[frame].revision, before))

    def take_pixels(
        self, frame: int, by: int, region: BoolArray, new_revision: Callable[[], Revision]
    ) -> None:
        """Store the mask of a frame without a region, (H, W), that clicks on another object took."""
        current, before = self.at(frame), self.prompts.get(frame)
        if current is None:
            return
        left = without(current, region)
        if left[1] == current[1] and before is None:
            return
        self._store_prompt(frame, left, new_revision())
        change = TakenPixels(by, self.prompts[frame].revision, before, encode_rle(region)["counts"])
        self.taken.setdefault(frame, []).append(change)

    def _store_prompt(self, frame: int, stored: StoredObject, revision: Revision) -> None:
        current = self.prompts.get(frame)
        if current is not None and current.stored[1:] == stored[1:]:
            revision = current.revision
        self.prompts[frame] = PromptedMask(stored, revision)
        self.versions.setdefault(frame, {})[revision] = stored[1]
        self.removed.discard(frame)

    def restore_pixels(
        self, frame: int, by: int, size: tuple[int, int], new_revision: Callable[[], Revision]
    ) -> None:
        """Restore the pixels of a frame that clicks on another object took, unless it was prompted since.

        Args:
            frame: index of the frame.
            by: the other object; :data:`OWN` withdraws the prompts of the object itself, and other objects
                keep the pixels that clicks on them took.
            size: height and width of the frame.
            new_revision: makes revisions, of masks without pixels that clicks on further objects took.
        """
        changes = self.taken.get(frame, [])
        first = 0 if by == OWN else next((i for i, each in enumerate(changes) if each.by == by), None)
        if first is None or not changes or frame not in self.prompts:
            return
        before = changes[first].previous
        after = [*(each.previous for each in changes[first + 1 :]), self.prompts[frame]]
        clicks = self.clicks.get(frame)
        if by == OWN or before is None:
            self.withdraw(frame)
        else:
            self._store_prompt(frame, *before)
            self.taken[frame] = changes[:first]
            if not first:
                del self.taken[frame]
        previous = self.at(frame) if before is None else before.stored
        for change, mask in zip(changes[first:], after, strict=True):
            assert mask is not None  # only the first change may have no prompt before it
            if change.by == OWN and by != OWN:
                self.prompt(frame, *mask)
            elif change.by not in (by, OWN) and change.region is not None:
                self.take_pixels(frame, change.by, decode(change.region, size), new_revision)
            elif change.by not in (by, OWN) and previous is not None:
                region = decode(previous[1], size) & ~decode(mask.stored[1], size)
                self.take_pixels(frame, change.by, region, new_revision)
            previous = mask.stored
        if by != OWN and clicks is not None and frame in self.prompts:
            self.clicks[frame] = clicks

    def withdraw_own(self, frame: int, size: tuple[int, int], new_revision: Callable[[], Revision]) -> None:
        """Withdraw the prompts on a frame; other objects keep the pixels that clicks on them took."""
        if frame in self.taken and self.has_own_prompt(frame):
            self.restore_pixels(frame, OWN, size, new_revision)
        else:
            self.withdraw(frame)

    def withdraw(self, frame: int) -> None:
        """Withdraw the prompts on a frame, or the object's removal there."""
        self.prompts.pop(frame, None)
        self.clicks.pop(frame, None)
        self.versions.pop(frame, None)
        self.taken.pop(frame, None)
        self.removed.discard(frame)

    def remove_from(self, frame: int) -> None:
        """Make the object absent from a frame on, and withdraw its prompts there and later."""
        for index in [index for index in (*self.prompts, *self.removed) if index >= frame]:
            self.withdraw(index)
        self.removed.add(frame)

    def store(self, frame: int, mask: StoredMask) -> None:
        """Store a tracked mask, unless one of its prompts was withdrawn meanwhile."""
        if not self.is_valid(mask):
            return
        frames = _frames_of(mask)
        earlier = [each for each in self.tracked.get(frame, ()) if each.made_from != mask.made_from]
        # Prompts are withdrawn by frame, so that of masks of the same frames the newest is enough. The last
        # one is also what an interrupted pass has replaced.
        retained = [each for each in earlier[:-1] if self.is_valid(each) and _frames_of(each) != frames]
        self.tracked[frame] = [*retained, *earlier[-1:], mask]

    def forget_unused_versions(self) -> None:
        """Drop earlier versions of prompts that no tracked mask was made from."""
        used = self._used()
        for frame, versions in self.versions.items():
            current = self.prompts[frame].revision
            self.versions[frame] = {
                n: counts for n, counts in versions.items() if n == current or (frame, n) in used
            }

    def earlier_versions(self) -> Iterator[tuple[int, Revision, str]]:
        """Frame, revision and run lengths of replaced prompts that masks were made from."""
        for frame, revision in sorted(self._used()):
            versions = self.versions.get(frame, {})
            if revision in versions and revision != self.prompts[frame].revision:
                yield frame, revision, versions[revision]

    def _used(self) -> set[Source]:
        masks = (mask for of_frame in self.tracked.values() for mask in of_frame)
        return {source for mask in masks for part in mask.made_from for source in part}

    def at(self, frame: int) -> StoredObject | None:
        """Mask of a frame; None if unknown, or if the object is absent."""
        if frame in self.prompts:
            return self.prompts[frame].stored
        mask = None if self.is_absent(frame) else self.tracked_at(frame)
        return None if mask is None else mask.stored

    def tracked_at(self, frame: int) -> StoredMask | None:
        """Tracked mask of a frame: one of the present prompts, else the newest valid one."""
        masks = self.tracked.get(frame, ())
        if len(masks) > 1:
            sources = self.sources(frame)
            valid = [mask for mask in reversed(masks) if self.is_valid(mask)]
            current = (mask for mask in valid if not self.stale(frame, mask, sources))
            return next(current, (valid or masks[-1:])[0])
        return masks[0] if masks else None

    def is_absent(self, frame: int) -> bool:
        """Whether the object was removed on or before this frame and not prompted since."""
        return bool(self.removed) and self.sources(frame) == Sources() and frame not in self.prompts

    def sources(self, frame: int) -> Sources:
        """Nearest prompted frames of a frame; none where the object is absent."""
        previous = max((index for index in (*self.prompts, *self.removed) if index < frame), default=None)
        following = min((index for index in (*self.prompts, *self.removed) if index > frame), default=None)
        return self._between(frame if frame in self.removed else previous, following)

    def _between(self, previous: int | None, following: int | None) -> Sources:
        """Sources between two neighbouring frames with prompts or a removal."""
        if previous in self.removed:
            return Sources()
        return Sources(self._source(previous), self._source(following))

    def _source(self, frame: int | None) -> Source | None:
        return None if frame is None or frame in self.removed else (frame, self.prompts[frame].revision)

    def segments(self, frames: Sequence[int]) -> Iterator[tuple[Sequence[int], Sources]]:
        """Split ascending frames into runs with equal sources, where the object is present."""
        for previous, following in pairwise([None, *sorted((*self.prompts, *self.removed)), None]):
            sources = self._between(previous, following)
            if sources != Sources():
                low = 0 if previous is None else bisect_right(frames, previous)
                high = len(frames) if following is None else bisect_left(frames, following)
                yield frames[low:high], sources

    def stale(self, frame: int, mask: StoredMask, sources: Sources) -> list[Direction]:
        """Directions of the passes that bring a mask up to date.

        Args:
            frame: index of its frame.
            mask: one that was made from no withdrawn prompt.
            sources: the present sources of the frame.

        Returns:
            The directions; empty if the mask is up to date.
        """
        made_from = Sources.of(mask.made_from.carried, frame)
        both: tuple[Direction, Direction] = (1, -1)
        return [d for d in both if self._changed(d, made_from.behind(d), sources.behind(d))]

    def _changed(self, direction: Direction, earlier: Source | None, source: Source | None) -> bool:
        if source is None or source == earlier:
            return False
        replaced = self._replaced(direction, earlier, source)
        return replaced is None or self.versions[source[0]][source[1]] not in replaced

    def _replaced(
        self, direction: Direction, earlier: Source | None, source: Source
    ) -> tuple[str, str] | None:
        """Run lengths of a prompted frame's visible and whole mask as known to masks of an earlier source."""
        frame = source[0]
        if earlier is not None and earlier[0] == frame:
            counts = self.versions[frame][earlier[1]]
            return counts, counts
        mask = self.baseline(frame, direction, earlier)
        if mask is None:
            mask = next(filter(self.is_valid, reversed(self.tracked.get(frame, ()))), None)
        if mask is None:
            return None
        _, visible, whole, _ = mask.stored
        return visible, whole or visible

    def difference(
        self, direction: Direction, earlier: Source | None, source: Source, size: tuple[int, int]
    ) -> BoolArray:
        """Pixels, (H, W), of a prompted frame that changed since masks of an earlier source.

        A prompt says nothing of parts that others hid and that it lacks.
        """
        replaced = self._replaced(direction, earlier, source)
        mask = decode(self.versions[source[0]][source[1]], size)
        if replaced is None:
            return mask
        visible, whole = (decode(counts, size) for counts in replaced)
        return (mask & ~whole) | (visible & ~mask)

    def baseline(self, frame: int, direction: Direction, source: Source | None) -> StoredMask | None:
        """Newest mask of a frame that a pass from another frame than ``source`` will replace."""
        for mask in reversed(self.tracked.get(frame, ())):
            is_of_source = Sources.of(mask.made_from.carried, frame).behind(direction) == source
            if is_of_source and self.is_valid(mask):
                return mask
        return None

    def is_valid(self, mask: StoredMask) -> bool:
        """Whether no prompt that a mask was made from was withdrawn."""
        sources = (source for part in mask.made_from for source in part)
        return all(revision in self.versions.get(frame, ()) for frame, revision in sources)


def present(sources: Sources) -> MadeFrom:
    """Sources of a mask that is tracked from scratch."""
    return MadeFrom(tuple(source for source in sources if source is not None))


def _frames_of(mask: StoredMask) -> set[int]:
    return {frame for part in mask.made_from for frame, _ in part}


def decode(counts: str, size: tuple[int, int]) -> BoolArray:
    """Decode checked run lengths to a mask, (H, W)."""
    return decode_rle(Rle(size=list(size), counts=counts))


def without(stored: StoredObject, region: BoolArray) -> StoredObject:
    """A mask and its hidden parts without a region, (H, W)."""

    def left(counts: str) -> str:
        return encode_rle(decode(counts, size) & ~region)["counts"]

    size = region.shape[0], region.shape[1]
    info, counts, whole_counts, _ = stored
    return info, left(counts), None if whole_counts is None else left(whole_counts), None
