"""Propagate corrected frames through a part of a video, in either direction.

Every corrected frame becomes memory before the first frame is tracked, so that masks between two corrections
agree with both. Where a frame has been tracked before, only what is connected with a correction changes
(:mod:`segue.flow.change_regions`). Once that region is gone, later frames keep their masks, and no network
runs. Stored masks are run lengths, some hundred bytes for an object on a frame.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np
import torch

from segue.errors import PromptError
from segue.flow.change_regions import ChangeRegion, in_surroundings
from segue.masks import Rle, decode_rle, encode_rle
from segue.masks.pieces import Pieces
from segue.masks.rle import overlapping, rle_box
from segue.masks.unsure import from_runs, resize_nearest, to_runs, unpack
from segue.models.base import FramePrompts, one_image
from segue.prompts.planes import tight_box
from segue.sessions.track import TrackSession
from segue.sessions.videos.provenance import StoredMask, StoredObject
from segue.state import SessionState
from segue.types import Frame, IndexMask, ObjectInfo, ObjectMaps, Segmentation, log_odds, visible_in
from segue.utils.arrays import BoolArray, Box, Float32Array, id_type

MAX_AHEAD = 24
"""Maximum number of corrected frames that a session gets before it starts, the nearest ones."""

OVERLAP = 0.05
"""Objects that share more than this part of the smaller one are tracked in separate layers."""

MAX_FALL = 0.1
"""Maximum loss of an object's score on a frame where its mask changes."""

NOWHERE = (math.inf, math.inf, -math.inf, -math.inf)
EVERYWHERE = (-math.inf, -math.inf, math.inf, math.inf)
"""Boxes of an empty object, and of one with unknown hidden parts."""

MAX_MAPS = 8
"""Objects whose maps are computed at once."""


@dataclass(frozen=True, slots=True)
class ConditioningFrame:
    """A prompted or corrected frame, as memory of a pass.

    Attributes:
        mask: index mask (H, W); known objects without a pixel and without a whole mask are not visible.
        checked: objects whose mask on this frame was checked.
        expected: predicted IoU of masks that no person drew, by object.
        changed: pixels, (H, W), that its corrections changed since the neighbouring frames were tracked; none
            where a person only confirmed them. None where nothing was corrected since.
        removed: objects that are absent from this frame on.
        corrected: the objects of ``changed``; none stands for all that were checked.
        whole: run lengths of the masks of which others hide a part.
    """

    mask: IndexMask
    checked: frozenset[int]
    expected: Mapping[int, float] = field(default_factory=dict)
    changed: BoolArray | None = None
    removed: frozenset[int] = frozenset()
    corrected: frozenset[int] = frozenset()
    whole: Mapping[int, str] = field(default_factory=dict)

    @classmethod
    def of(
        cls, masks: Mapping[int, str], size: tuple[int, int], checked: frozenset[int], **more: Any
    ) -> ConditioningFrame:
        """Make a frame from masks as run lengths, front ones last; ``more`` are further fields."""
        mask: IndexMask = np.zeros(size, id_type(max(masks, default=0)))
        areas = dict[int, int]()
        for number, counts in masks.items():
            plane = decode_rle(Rle(size=list(size), counts=counts))
            mask[plane] = number
            areas[number] = int(np.count_nonzero(plane))
        visible = np.bincount(mask.ravel(), minlength=1 + max(masks, default=0))
        whole = {i: counts for i, counts in masks.items() if visible[i] < areas[i]}
        return cls(mask, checked, whole=whole, **more)

    @property
    def is_visible(self) -> bool:
        """Whether any object has a mask."""
        return bool(self.whole) or bool(self.mask.any())

    @property
    def changed_objects(self) -> frozenset[int]:
        """Objects that were corrected since the neighbouring frames were tracked."""
        return frozenset() if self.changed is None else self.corrected or self.checked

    def prompts(self) -> FramePrompts:
        """Masks of the frame as prompts of a session."""
        size = list(self.mask.shape)
        whole = {
            i: torch.from_numpy(decode_rle(Rle(size=size, counts=counts))) for i, counts in self.whole.items()
        }
        ids = tuple(sorted({*np.unique(self.mask).tolist(), *whole} - {0}))
        expected = {i: score for i, score in self.expected.items() if i in ids}
        mask = torch.from_numpy(self.mask.astype(np.int32))
        return FramePrompts(mask, ids, expected=expected, whole=whole)


@dataclass(slots=True)
class Layer:
    """Objects that one session tracks together.

    Attributes:
        session: tracks them.
        conditioning: their corrected frames by index.
        previous: their masks from an earlier tracking, by frame; where there are some, only what is connected
            with a change on a corrected frame takes their place. A corrected frame keeps those that were made
            from it, if it is nearer than the change.
        region: region that corrections changed, on the last frame; None before the first change.
    """

    session: TrackSession
    conditioning: Mapping[int, ConditioningFrame]
    previous: Mapping[int, Sequence[StoredMask]] = field(default_factory=dict)
    region: ChangeRegion | None = None

    def state(self) -> SessionState:
        """State for :meth:`restore`; it shares tensors with the session."""
        parts = {"session": self.session.state(copy=False)}
        if self.region is not None:
            parts["region"] = self.region.state()
        return SessionState.joined(parts, {})

    def restore(self, state: SessionState) -> None:
        """Continue from a state of the same objects."""
        self.session.restore(state.part("session"))
        self.region = None
        if "region" in state.values["parts"]:
            self.region = ChangeRegion.of_state(state.part("region"))

    def count_needed(self, way: Sequence[int]) -> int:
        """Number of first frames that must be tracked even if the region is gone.

        On the others, all objects have masks before or are corrected, and no further change comes.
        """
        objects = frozenset[int]().union(*(each.checked for each in self.conditioning.values()))
        for place in reversed(range(len(way))):
            conditioning = self.conditioning.get(way[place])
            if conditioning is not None and (conditioning.changed is not None or conditioning.removed):
                return place + 1
            checked = frozenset[int]() if conditioning is None else conditioning.checked
            previous = {mask.stored[0].id for mask in self.previous.get(way[place], ())}
            if not objects <= checked | previous:
                return place + 1
        return 0

    def unchanged(self, index: int, time: float) -> Segmentation:
        """Return the stored result of a frame beyond :meth:`count_needed`, once the region is gone."""
        conditioning, previous = self.conditioning.get(index), self._unchecked(index)
        size, infos = next(iter(self.conditioning.values())).mask.shape, list[ObjectInfo]()
        mask: IndexMask = np.zeros(size, np.uint8)
        if conditioning is not None:
            mask, expected = conditioning.mask, conditioning.expected
            infos = [ObjectInfo(i, score=expected.get(i, 1.0)) for i in sorted(conditioning.checked)]
        mask = _filled(mask, [each.stored for each in previous])
        runs = [each.stored[3] for each in previous if each.stored[3] is not None]
        bits = None if len(runs) < len(previous) else np.packbits(from_runs(runs, size))
        for item, counts, whole_counts, _ in (each.stored for each in previous):
            infos.append(replace(item, whole=whole_counts or counts))
        return Segmentation(index, time, mask, visible_in(mask, infos), _unsure=bits)

    def _unchecked(self, index: int) -> list[StoredMask]:
        """Previous masks of a frame, without those of objects that were checked there."""
        conditioning = self.conditioning.get(index)
        checked = frozenset[int]() if conditioning is None else conditioning.checked
        return [each for each in self.previous.get(index, ()) if each.stored[0].id not in checked]

    def step(self, frame: Frame, start: int) -> Segmentation:
        """Track the next frame."""
        conditioning = self.conditioning.get(frame.index)
        if conditioning is not None and conditioning.removed:
            self.session.remove(conditioning.removed)
        visible = conditioning if conditioning is not None and conditioning.is_visible else None
        if visible is not None:
            result = add_conditioning_frame(self.session, frame, visible)
        elif frame.index == start and not self.session.ids and not self._is_visible_beside(start):
            raise PromptError(f"frame {start} shows no pixel of the objects; start where one is visible")
        else:
            result = self.session.step(frame)
        if self.region is not None:
            self.region.advance(frame.image)
        if conditioning is not None and conditioning.changed is not None:
            if self.region is None:
                self.region = ChangeRegion(frame.image, conditioning.changed)
            else:
                self.region.extend(conditioning.changed)
        previous = self._unchecked(frame.index)
        if frame.index == start or self.region is None or not previous:
            return result
        kept = self._kept(frame.index, previous)
        checked = frozenset[int]() if conditioning is None else conditioning.checked
        return _limited(result, [mask.stored for mask in previous], self.region, checked, kept)

    def _is_visible_beside(self, start: int) -> bool:
        """Whether an object is visible on a corrected frame other than ``start``."""
        return any(each.is_visible for index, each in self.conditioning.items() if index != start)

    def _kept(self, index: int, previous: Sequence[StoredMask]) -> frozenset[int]:
        """Corrected objects whose previous mask was made from a frame nearer than their changed frames."""
        conditioning = self.conditioning
        sources = {mask.stored[0].id: {i for i, _ in mask.made_from.carried} for mask in previous}
        kept = set[int]()
        for number in frozenset[int]().union(*(each.changed_objects for each in conditioning.values())):
            changed = {i for i, each in conditioning.items() if number in each.changed_objects}
            others = (sources.get(number, set()) & conditioning.keys()) - changed
            distances = [abs(i - index) for i in others if number in conditioning[i].checked]
            if distances and min(distances) < min(abs(i - index) for i in changed):
                kept.add(number)
        return frozenset(kept)


def select_conditioning_frames(corrected: Sequence[int], start: int, stop: int) -> set[int]:
    """Select the corrected frames for a session: those on its way, and the nearest others."""
    low, high = sorted((start, stop))
    nearest = sorted(corrected, key=lambda i: max(low - i, i - high, 0))
    return {*nearest[:MAX_AHEAD], *(i for i in corrected if low <= i <= high), start}


def split_overlapping(
    objects: Sequence[int], masks: Iterable[Mapping[int, str]], size: tuple[int, int]
) -> list[list[int]]:
    """Group objects so that those overlapping on a frame are apart; ``masks`` are run lengths by id."""
    conflicts = {number: set[int]() for number in objects}
    for frame in masks:
        masks_of_layer = {i: counts for i, counts in frame.items() if i in conflicts}
        for one, other in overlapping(masks_of_layer, size, OVERLAP):
            conflicts[one].add(other)
            conflicts[other].add(one)
    layers: list[list[int]] = []
    for number in objects:
        layer = next((layer for layer in layers if not conflicts[number] & set(layer)), None)
        if layer is None:
            layers.append([number])
        else:
            layer.append(number)
    return layers


def select_earlier_frames(corrected: Mapping[int, ConditioningFrame], start: int) -> list[int]:
    """Corrected frames besides ``start`` with visible objects, which enter the memory first."""
    earlier = (index for index in corrected if index != start and corrected[index].is_visible)
    return sorted(earlier, key=lambda index: (len(corrected[index].checked), index))


def add_conditioning_frame(
    session: TrackSession, frame: Frame, conditioning: ConditioningFrame
) -> Segmentation:
    """Add a corrected frame to a session."""
    predict = bool(set(session.ids) - conditioning.checked)
    return session.step(frame, conditioning.prompts(), predict=predict)


def show_earlier_frames(
    layers: Sequence[Layer], start: int, read: Callable[[int], Frame]
) -> Iterator[tuple[int, int]]:
    """Add the corrected frames besides ``start`` to the memories of sessions.

    Args:
        layers: the objects.
        start: the frame from which they are tracked.
        read: returns a frame by index.

    Yields:
        How many frames they have taken, and how many they take with ``start``.
    """
    earlier = [(each, index) for each in layers for index in select_earlier_frames(each.conditioning, start)]
    for number, (each, index) in enumerate(earlier):
        yield number, len(earlier) + 1
        add_conditioning_frame(each.session, read(index), each.conditioning[index])
    yield len(earlier), len(earlier) + 1


def propagate(
    layers: Sequence[Layer], frames: Iterable[Frame], times: Mapping[int, float], start: int
) -> Iterator[tuple[Segmentation, ...]]:
    """Track objects that are corrected on ``start`` to neighbouring frames, in either direction.

    Args:
        layers: the objects.
        frames: those from ``start`` on, or those after the last one that the sessions have taken. They are
            read as long as a mask may change.
        times: time of each of these frames by its index, in their order.
        start: the corrected frame, which has no result here.

    Yields:
        The results of a frame, one of each layer.

    Raises:
        PromptError: no object is visible on ``start``.
    """
    for layer in layers:
        if start not in layer.conditioning:
            raise PromptError(f"frame {start} has no corrected object to start from; click one there first")
    way, frames = list(times), iter(frames)
    places = {index: place for place, index in enumerate(way)}
    needed, done = [layer.count_needed(way) for layer in layers], 0
    while not all(over := [_is_over(each, done - count) for each, count in zip(layers, needed, strict=True)]):
        frame = next(frames, None)
        if frame is None:
            return
        with one_image(len(layers)):
            results = tuple(
                layer.unchanged(frame.index, frame.time) if is_over else layer.step(frame, start)
                for layer, is_over in zip(layers, over, strict=True)
            )
        done = places[frame.index] + 1
        if frame.index != start:
            yield results
    for index in way[done:]:
        yield tuple(layer.unchanged(index, times[index]) for layer in layers)


def _is_over(layer: Layer, further: int) -> bool:
    """Whether no later mask of the pass can change."""
    return further >= 0 and layer.region is not None and layer.region.is_gone


def _limited(
    result: Segmentation,
    previous: Sequence[StoredObject],
    region: ChangeRegion,
    checked: Collection[int],
    kept: Collection[int],
) -> Segmentation:
    """Limit a result to changes inside the region of corrections.

    Objects that had no mask before are as in the result, and so are the scores of those that change beside
    the masks of ``checked`` objects. Masks of ``kept`` objects change only where they become surer.
    """
    earlier = _filled(np.zeros_like(result.mask), previous)
    scores = {item.id: item.score for item, *_ in previous}
    fallen = [
        item.id
        for row, item in enumerate(result.objects)
        if item.score < scores.get(item.id, 0.0) - MAX_FALL and not _is_hidden(result, row)
    ]
    stays = np.isin(result.mask, fallen) | np.isin(earlier, fallen)
    new = np.where(stays, earlier, np.where(np.isin(result.mask, [*scores]), result.mask, 0))
    unsure = _unsure_of_both(result, previous)
    judged = unsure and (unsure[0], unsure[1] & ~_contested(result, earlier != new, unsure[1].shape))
    surroundings = region.surroundings(new.shape)
    mask = region.limit(earlier, new, judged, kept)
    is_previous, bits = mask == earlier, None
    if unsure is not None:
        bits = np.packbits(np.where(resize_nearest(is_previous, unsure[0].shape) > 0, *unsure))
    mask = np.where(np.isin(result.mask, [0, *scores]), mask, result.mask)
    if checked:
        earlier = np.where(np.isin(mask, [*checked]), mask, earlier)
    objects = (
        replace(item, score=scores[item.id])
        if item.id in scores and np.array_equal(mask == item.id, earlier == item.id)
        else item
        for item in result.objects
    )
    limited = replace(result, mask=mask, objects=visible_in(mask, objects), _unsure=bits)
    whole_counts = {item.id: whole_counts or counts for item, counts, whole_counts, *_ in previous}
    limited_logits = partial(_limited_logits, limited, result, whole_counts, is_previous, surroundings, kept)
    maps = ObjectMaps(
        limited_logits,
        rows=limited_logits,
        reach=partial(_limited_reach, result, whole_counts),
    )
    return replace(limited, _probabilities=maps)


def _contested(result: Segmentation, differs: BoolArray, size: tuple[int, ...]) -> BoolArray:
    """Pixels, (h, w), under two masks, where the tracker is unsure which object is in front.

    Only objects that may lie on pixels that differ are looked at.
    """
    if len(result.objects) < 2 or not differs.any():
        return np.zeros(size, np.bool_)
    area = tight_box(differs)
    near = [row for row, box in enumerate(_reach_of(result)) if _intersects(box, area)]
    if len(near) < 2:
        return np.zeros(size, np.bool_)
    covers = np.zeros(result.mask.shape, np.uint16)
    for part in (near[start : start + MAX_MAPS] for start in range(0, len(near), MAX_MAPS)):
        for plane in result._masks_of(part):
            covers += plane
    return resize_nearest(covers > 1, size) > 0


def _intersects(one: Box, other: Box) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def _is_hidden(result: Segmentation, row: int) -> bool:
    """Whether the object of a row is completely behind others, so that its score is 0."""
    is_visible = bool((result.mask == result.objects[row].id).any())
    return not is_visible and bool(result._masks_of([row]).any())


def _filled(mask: IndexMask, objects: Sequence[StoredObject]) -> IndexMask:
    """Fill stored objects into the free pixels of an index mask, their hidden parts last."""
    mask = mask.astype(id_type(max(int(mask.max()), *(item.id for item, *_ in objects), 0)))
    visible = [(item.id, counts) for item, counts, *_ in objects]
    whole = [(item.id, counts) for item, _, counts, _ in objects if counts is not None]
    for number, counts in (*visible, *whole):
        mask[decode_rle(Rle(size=list(mask.shape), counts=counts)) & (mask == 0)] = number
    return mask


def _limited_logits(
    limited: Segmentation,
    result: Segmentation,
    previous: Mapping[int, str],
    is_previous: BoolArray,
    surroundings: BoolArray,
    kept: Collection[int],
    rows: Sequence[int] | None = None,
) -> Float32Array:
    """Log-odds (K, H, W) of objects of a result; from previous whole masks where nothing changes.

    Hidden parts change as visible ones do: whole pieces of difference in ``surroundings`` of the region.
    Parts of ``kept`` objects stay.
    """
    rows = range(len(result.ids)) if rows is None else rows
    logits = result._logits_of(rows)
    for logit, row in zip(logits, rows, strict=True):
        number = result.ids[row]
        if (counts := previous.get(number)) is None:
            continue
        plane = decode_rle(Rle(size=list(is_previous.shape), counts=counts))
        stays = is_previous
        if number not in kept:
            is_hidden = (limited.mask != 0) & (limited.mask != number)
            pieces = Pieces.of(is_previous & is_hidden & (plane != (logit > 0)))
            stays = is_previous & ~pieces.where(in_surroundings(pieces, surroundings))
        logit[stays] = log_odds(plane[stays].astype(np.float32))
    return logits


def _limited_reach(result: Segmentation, previous: Mapping[int, str]) -> dict[int, Box | None]:
    """Boxes of objects in a result or before, including hidden parts."""
    size = list(result.mask.shape)
    boxes: dict[int, Box | None] = {}
    for item, reach in zip(result.objects, _reach_of(result), strict=True):
        counts = previous.get(item.id)
        before = None if counts is None else rle_box(Rle(size=size, counts=counts))
        boxes[item.id] = _around(reach, before)
    return boxes


def _unsure_of_both(
    result: Segmentation, previous: Sequence[StoredObject]
) -> tuple[BoolArray, BoolArray] | None:
    """Unsure pixels of the previous masks and of a result, (h, w) each; None if unknown."""
    if result._unsure is None or any(unsure is None for *_, unsure in previous):
        return None
    runs = [unsure for *_, unsure in previous if unsure is not None]
    return from_runs(runs, result.mask.shape), unpack(result._unsure, result.mask.shape)


def to_rle(result: Segmentation, ids: Collection[int]) -> list[StoredObject]:
    """Convert some objects of a result to run lengths."""
    whole_counts, unsure = _partly_hidden(result), to_runs(result._unsure, result.mask.shape)
    return [
        (item, encode_rle(result.mask == item.id)["counts"], whole_counts.get(item.id), unsure)
        for item in result.objects
        if item.id in ids
    ]


def _partly_hidden(result: Segmentation) -> dict[int, str]:
    """Run lengths of the whole masks of partly hidden objects, by id."""
    # Objects apart from each other hide nothing, and their maps need not be computed. Few are computed at
    # once, so that memory does not grow with the number of objects.
    rows = touching(_reach_of(result), [item.box for item in result.objects])
    hidden = {}
    for part in (rows[start : start + MAX_MAPS] for start in range(0, len(rows), MAX_MAPS)):
        for row, plane in zip(part, result._masks_of(part), strict=True):
            if np.count_nonzero(plane) > result.objects[row].area:
                hidden[result.objects[row].id] = encode_rle(plane)["counts"]
    return hidden


def _reach_of(result: Segmentation) -> list[Box]:
    """Boxes of objects including hidden parts; unbounded where unknown."""
    maps = result._probabilities
    reach = maps.reach() if isinstance(maps, ObjectMaps) and maps.reach is not None else None
    boxes = list[Box]()
    for item in result.objects:
        if item.whole is not None:
            boxes.append(EVERYWHERE)
        elif reach is None:
            boxes.append(item.box or EVERYWHERE)
        else:
            boxes.append(_around(item.box, reach.get(item.id)))
    return boxes


def _around(*boxes: Box | None) -> Box:
    """Smallest box around boxes; None is empty."""
    x0, y0, x1, y1 = zip(*(box or NOWHERE for box in boxes), strict=True)
    return min(x0), min(y0), max(x1), max(y1)


def touching(reach: Sequence[Box], boxes: Sequence[Box | None]) -> list[int]:
    """Rows of objects whose reach touches the box of another one."""
    x0, y0, x1, y1 = np.array([box or NOWHERE for box in boxes], np.float64).reshape(-1, 4).T
    left, top, right, bottom = np.array(reach, np.float64).reshape(-1, 4).T
    across = (x0 <= right[:, None]) & (left[:, None] <= x1)
    down = (y0 <= bottom[:, None]) & (top[:, None] <= y1)
    touches = across & down
    np.fill_diagonal(touches, val=False)
    return np.flatnonzero(touches.any(1)).tolist()


def composite(result: Segmentation, hidden: Sequence[StoredObject]) -> Segmentation:
    """Add objects to a result, each behind those before it."""
    if not hidden:
        return result
    highest = max((*result.ids, *(item.id for item, *_ in hidden)))
    mask: IndexMask = result.mask.astype(id_type(highest))
    for item, counts, *_ in hidden:
        inside = decode_rle(Rle(size=list(mask.shape), counts=counts))
        mask[inside & (mask == 0)] = item.id
    behind = [replace(item, whole=whole or counts) for item, counts, whole, *_ in hidden]
    objects = sorted((*result.objects, *visible_in(mask, behind)), key=lambda item: item.id)
    return replace(result, mask=mask, objects=tuple(objects))
