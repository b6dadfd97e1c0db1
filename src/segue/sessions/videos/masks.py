"""Video sessions for networks that take masks: prompts become masks, and sessions track them."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache, partial

import numpy as np

from segue.errors import PromptError
from segue.masks import encode_rle
from segue.models.base import FramePrompts
from segue.prompt_types import Prompt
from segue.prompts import ImagePrompter, ImagePrompts, resolve_prompts
from segue.prompts.annotation import extended_history
from segue.prompts.correction import Click, ClickHistory, clicked_regions
from segue.prompts.motion import MotionPrompter
from segue.sessions.track import TrackSession
from segue.sessions.videos.corrections import (
    ConditioningFrame,
    Layer,
    propagate,
    select_conditioning_frames,
    show_earlier_frames,
    split_overlapping,
)
from segue.sessions.videos.passes import Pass, PreviousMasks, PromptSnapshot, plan
from segue.sessions.videos.provenance import StoredMask, StoredObject, decode
from segue.sessions.videos.session import VideoSession, stored_objects
from segue.types import Frame, Image, ObjectInfo
from segue.utils.arrays import BoolArray
from segue.video import Source

KEPT_FRAMES = 2
"""Frames whose features are kept for further clicks."""


class MaskVideoSession(VideoSession):
    """Tracks objects through a video with a network that takes masks.

    A prompted frame keeps its mask. Passes are planned from the prompts that each mask was made from;
    objects that overlap on a prompted frame are tracked by sessions of their own.

    See :class:`segue.sessions.videos.session.VideoSession` for the arguments.
    """

    def __init__(
        self, session: TrackSession, source: Source, frames: Sequence[int], size: tuple[int, int]
    ) -> None:
        super().__init__(session, source, frames, size)
        self._make = partial(TrackSession, session.prepared, session.schedule)
        self._make_prompter = session.prompter
        self._prompter_on: Callable[[int], ImagePrompter] = lru_cache(KEPT_FRAMES)(self._prompter)

    def prompt(self, frame: Frame, prompts: Sequence[Prompt]) -> None:
        index, previous = frame.index, self.stored_at(frame.index)
        pointed = {item.id for item in prompts if item.corrects} & previous.keys()
        replaced = {item.id for item in prompts if not item.corrects}
        histories = {i: self._history(index, i) for i in previous}
        resolved = resolve_prompts(
            frame,
            prompts,
            fit=self._fit,
            prompter=lambda image: self._prompter_on(index),
            previous_masks={i: decode(previous[i][1], self._size) for i in pointed},
            clicked={i: histories[i] for i in pointed},
        )
        mended = {i for i in pointed - replaced if histories[i].mends}
        regions = self._regions_to_take(index, prompts, resolved, mended) if mended else []
        for number in resolved.removed:
            self.remove_from(number, index)
        for number in resolved.masked:
            masks = self._object(number, resolved)
            inside = resolved.plane(number).numpy()
            corrected = previous[number] if number in resolved.corrected else None
            if number not in replaced and masks.has_lost_all(index, self._size):
                # Clicks took all of it: the earlier clicks that are asked again do not bring it back.
                lost = masks.lost_pixels(index, self._size)
                for region in (region for by, _, region in regions if by == number):
                    lost &= ~region
                inside = inside & ~lost
            is_new = number in previous and number not in pointed - replaced
            if is_new and not np.array_equal(inside, decode(previous[number][1], self._size)):
                self._restore_pixels(number, [index])  # what the clicks took that made the mask before
            score = 1.0 if corrected is None else corrected[0].score
            if corrected is None or not np.array_equal(inside, decode(corrected[1], self._size)):
                score = resolved.expected.get(number, score)
            whole_counts = None if corrected is None else self._corrected_whole_counts(corrected, inside)
            stored = ObjectInfo(number, score=score), encode_rle(inside)["counts"], whole_counts, None
            masks.prompt(index, stored, self._new_revision())
        for number, other, region in regions:
            if other in self.objects:
                self.objects[other].take_pixels(index, number, region, self._new_revision)
        self._note_clicks(index, prompts, resolved.masked, histories)

    def _regions_to_take(
        self, index: int, prompts: Sequence[Prompt], resolved: FramePrompts, mended: Collection[int]
    ) -> list[tuple[int, int, BoolArray]]:
        """Regions, (H, W), of objects that were clicked on others, which lose them.

        Objects that overlap on a prompted frame may share pixels, and those that are clicked inside of a
        region keep it. If clicks on an object took a part of the region from a further one, that one does not
        get it back from either alone.

        Args:
            index: the frame.
            prompts: those of the frame.
            resolved: their masks.
            mended: objects whose clicks correct a mask that clicks alone have not made.

        Returns:
            The object of each region, and the other one that is shown there.
        """
        visible_mask, clicks = self.result(index).mask, dict[int, list[Click]]()
        for item in prompts:
            if item.corrects:
                clicks.setdefault(item.id, []).extend(item.to_image(ImagePrompts()).clicks)
        fixed = {0, *resolved.removed, *resolved.ids} - resolved.corrected
        regions = []
        for number in sorted({*mended} & {*resolved.masked}):
            by_object = clicked_regions(resolved.plane(number).numpy(), visible_mask, clicks[number])
            for other, region in self._with_earlier_owners(index, by_object):
                keeps = any(inside and region[int(y), int(x)] for x, y, inside in clicks.get(other, ()))
                if other not in {*fixed, number} and not keeps and not self._overlap(number, other):
                    regions.append((number, other, region))
        return regions

    def _with_earlier_owners(
        self, index: int, by_object: Mapping[int, BoolArray]
    ) -> Iterator[tuple[int, BoolArray]]:
        """Regions by object, and the parts that clicks on these objects took from others."""
        for number, region in by_object.items():
            yield number, region
            for owner, masks in self.objects.items():
                for change in masks.taken.get(index, ()):
                    if change.by == number and change.region is not None:
                        part = region & decode(change.region, self._size)
                        if part.any():
                            yield owner, part

    def _overlap(self, one: int, other: int) -> bool:
        """Whether two objects overlap on a prompted frame."""
        both = {i: self.objects[i].prompts for i in (one, other)}
        masks = (
            {i: prompts[index].stored[1] for i, prompts in both.items()}
            for index in both[one].keys() & both[other].keys()
        )
        return len(split_overlapping([one, other], masks, self._size)) > 1

    def propagate(self, start: int | None, stop: int | None) -> Iterator[int]:
        begin = self.prompted[0] if start is None else start
        if begin not in self.prompted:
            raise PromptError(f"frame {begin} has no prompt to start from; {self.prompts_text}")
        end = self._frames[-1] if stop is None else stop
        part = None if start is None and stop is None else (begin, end)
        for masks in self.objects.values():
            masks.forget_unused_versions()
        passes = plan(self.objects, self._frames, part)
        snapshots = {
            i: PromptSnapshot(masks, dict(masks.prompts)) for i, masks in sorted(self.objects.items())
        }
        return self._run(passes, snapshots, part)

    def _run(
        self, passes: Sequence[Pass], snapshots: Mapping[int, PromptSnapshot], part: tuple[int, int] | None
    ) -> Iterator[int]:
        """Run passes; yield each frame when its masks are final, then the unchanged ones."""
        low, high = (self._frames[0], self._frames[-1]) if part is None else sorted(part)
        last_pass = {
            index: number
            for number, each in enumerate(passes)
            for frames in each.made_from.values()
            for index in frames
        }
        yielded = set[int]()

        def is_final(index: int, number: int) -> bool:
            return low <= index <= high and index not in yielded and last_pass.get(index, -1) <= number

        if part is not None and part[0] in self.prompted:
            yielded.add(part[0])
            yield part[0]
        for number, each in enumerate(passes):
            if part is None and each.start in self.prompted and is_final(each.start, number):
                yielded.add(each.start)
                yield each.start
            for index in self._track(each, snapshots):
                if is_final(index, number) and (part is None or index != part[0]):
                    yielded.add(index)
                    yield index
        if self.objects:  # else all were removed meanwhile
            order = self._frames if part is None or part[0] < part[1] else self._frames[::-1]
            yield from (i for i in order if low <= i <= high and i not in yielded)

    def _track(self, each: Pass, snapshots: Mapping[int, PromptSnapshot]) -> Iterator[int]:
        """Run a pass and store its masks; yields frame indices."""
        objects = {i: s.current() for i, s in snapshots.items() if self.objects.get(i) is s.masks}
        targets = {
            i
            for i in each.made_from.keys() & objects.keys()
            if (each.carries is None or each.start in objects[i].prompts) and self._has_pixels(objects[i])
        }
        if not targets or not any(each.start in s.prompts for s in objects.values()):
            return
        layers = self._layers(
            each, {i: s for i, s in objects.items() if i in targets or s.is_present(each.start)}, targets
        )
        for _ in show_earlier_frames(layers, each.start, self._source.frame):
            pass
        low, high = sorted((each.start, each.stop))
        way = self._frames[bisect_left(self._frames, low) : bisect_right(self._frames, high)][
            :: each.direction
        ]
        times = {index: self._source.times[index] for index in way}
        for results in propagate(layers, self._source.walk(each.start, each.stop), times, each.start):
            index = results[0].index
            current = [
                i for i in targets if index in each.made_from[i] and self.objects.get(i) is objects[i].masks
            ]
            for result in results:
                for stored in stored_objects(result, current):
                    number = stored[0].id
                    self.objects[number].store(index, StoredMask(stored, each.made_from[number][index]))
            yield index

    def _has_pixels(self, snapshot: PromptSnapshot) -> bool:
        """Whether a prompted mask of an object has pixels; clicks on others may have taken all."""
        return any(decode(stored[1], self._size).any() for stored, _ in snapshot.prompts.values())

    def _layers(self, each: Pass, objects: Mapping[int, PromptSnapshot], targets: set[int]) -> list[Layer]:
        """Group the objects of a pass into sessions, with conditioning frames and previous masks."""
        prompted = sorted({index for snapshot in objects.values() for index in snapshot.prompts})
        frames = select_conditioning_frames(prompted, each.start, each.stop)
        masks = [
            {i: s.prompts[index].stored[1] for i, s in objects.items() if index in s.prompts}
            for index in frames
        ]
        if each.direction == 1:
            on_way = range(each.start + 1, each.stop + 1)
            frames |= {
                index for snapshot in objects.values() for index in snapshot.masks.removed if index in on_way
            }
        layers = []
        for group in split_overlapping([*objects], masks, self._size):
            if not targets & {*group}:
                continue
            of_group = {i: objects[i] for i in group}
            conditioning = {index: self._conditioning_frame(each, index, of_group) for index in frames}
            if any(frame.is_visible for frame in conditioning.values()):
                layers.append(Layer(self._make(), conditioning, PreviousMasks(each, of_group)))
        return layers

    def _conditioning_frame(
        self, each: Pass, index: int, objects: Mapping[int, PromptSnapshot]
    ) -> ConditioningFrame:
        """Conditioning frame for a session of some objects."""
        prompted = {
            i: snapshot.prompts[index] for i, snapshot in objects.items() if index in snapshot.prompts
        }
        changed: BoolArray | None = None
        corrected = set[int]()
        for i, (_, revision) in prompted.items():
            if each.carries is not None and i in each.carries and index == each.start:
                differs = objects[i].masks.difference(
                    each.direction, each.carries[i], (index, revision), self._size
                )
                changed = differs if changed is None else changed | differs
                corrected.add(i)
        return ConditioningFrame.of(
            {i: stored[1] for i, (stored, _) in prompted.items()},
            self._size,
            frozenset(prompted),
            expected={i: stored[0].score for i, (stored, _) in prompted.items() if stored[0].score < 1},
            changed=changed,
            removed=frozenset(
                i for i, s in objects.items() if each.direction == 1 and index in s.masks.removed
            ),
            corrected=frozenset(corrected),
        )

    def _corrected_whole_counts(self, previous: StoredObject, inside: BoolArray) -> str | None:
        """Apply the changes of a visible mask to its whole mask; None if nothing is hidden."""
        _, counts, whole_counts, _ = previous
        if whole_counts is None:
            return None
        plane = decode(whole_counts, self._size)
        np.copyto(plane, inside, where=inside != decode(counts, self._size))
        return encode_rle(plane)["counts"]

    def _history(self, index: int, number: int) -> ClickHistory:
        """Clicks on an object with a mask; one that lost pixels to another is not made by them alone."""
        masks = self.objects[number]
        history = masks.clicks.get(index, ClickHistory(mends=True))
        return replace(history, mends=True) if masks.has_lost_pixels(index) else history

    def _note_clicks(
        self,
        index: int,
        prompts: Sequence[Prompt],
        masked: Collection[int],
        histories: Mapping[int, ClickHistory],
    ) -> None:
        """Store clicks on objects, and how their masks were made.

        Args:
            index: the frame.
            prompts: those of the frame.
            masked: objects with a mask of them, also those of a file of several objects.
            histories: earlier clicks on the objects that had a mask.
        """
        for number in {*masked} & self.objects.keys():
            group = [item for item in prompts if item.id == number]
            if group:
                history = extended_history(histories.get(number, ClickHistory()), group)
            else:  # a file of several objects, whose prompt has the id 0
                history = ClickHistory(mends=True)
            self.objects[number].clicks[index] = history

    def _prompter(self, index: int) -> ImagePrompter:
        image, place = self._source.frame(index).image, bisect_left(self._frames, index)
        neighbours = self._frames[place + 1 : place + 2] or self._frames[max(place - 1, 0) : place]

        def neighbour() -> Image | None:
            return self._source.frame(neighbours[0]).image if neighbours else None

        return MotionPrompter(self._make_prompter(image), image, neighbour)
