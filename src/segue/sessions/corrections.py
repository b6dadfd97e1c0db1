"""Follow objects from corrected frames through a part of a video, in either direction.

Every corrected frame becomes memory before the first frame is tracked, so that masks between two corrections
agree with both. Masks that are kept are run lengths, some hundred bytes for an object on a frame.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from segue.errors import PromptError
from segue.masks import Rle, decode_rle, encode_rle, measure
from segue.masks.rle import overlapping
from segue.models.base import one_image
from segue.sessions.track import TrackSession
from segue.types import Frame, IndexMask, MaskPrompt, ObjectInfo, Segmentation
from segue.utils.arrays import id_type

SHOWN_AHEAD = 24
"""Corrected frames that a tracking is shown before it starts; those nearest to its way."""

OVERLAP = 0.05
"""Objects that share more than this part of the smaller one are tracked one over the other."""

StoredObject = tuple[ObjectInfo, str]
"""An object on a frame and the run lengths of its mask."""


@dataclass(frozen=True, slots=True)
class Corrected:
    """A corrected frame; known objects without a pixel are not visible there."""

    mask: IndexMask  # (H, W); known objects without a pixel are not visible
    known: frozenset[int]  # objects that were checked
    expected: Mapping[int, float] = field(default_factory=dict)  # IoU of masks that no person drew


def frames_shown(corrected: Sequence[int], start: int, stop: int) -> set[int]:
    """The corrected frames that a tracking is shown: those on its way, and the nearest of the others."""
    low, high = sorted((start, stop))
    nearest = sorted(corrected, key=lambda i: max(low - i, i - high, 0))
    return {*nearest[:SHOWN_AHEAD], *(i for i in corrected if low <= i <= high), start}


def layers_of(
    objects: Sequence[int], masks: Iterable[Mapping[int, str]], size: tuple[int, int]
) -> list[list[int]]:
    """Objects, apart from those that they overlap on a frame; ``masks`` has run lengths by id for each."""
    apart = {number: set[int]() for number in objects}
    for frame in masks:
        own = {i: counts for i, counts in frame.items() if i in apart}
        for one, other in overlapping(own, size, OVERLAP):
            apart[one].add(other)
            apart[other].add(one)
    layers: list[list[int]] = []
    for number in objects:
        layer = next((layer for layer in layers if not apart[number] & set(layer)), None)
        if layer is None:
            layers.append([number])
        else:
            layer.append(number)
    return layers


def shown_before(corrected: Mapping[int, Corrected], start: int) -> list[int]:
    """The corrected frames besides ``start`` that show an object: all are memory from the beginning."""
    others = (index for index in corrected if index != start and corrected[index].mask.any())
    return sorted(others, key=lambda index: (len(corrected[index].known), index))


def show(session: TrackSession, frame: Frame, given: Corrected) -> Segmentation:
    """Give a corrected frame to a session."""
    ids = [int(i) for i in np.unique(given.mask) if i]
    prompts = [MaskPrompt(i, given.mask == i, given.expected.get(i)) for i in ids]
    return session.step(frame, prompts, predict=bool(set(session.ids) - given.known))


def follow(
    layers: Sequence[tuple[TrackSession, Mapping[int, Corrected]]], frames: Iterable[Frame], start: int
) -> Iterator[tuple[Segmentation, ...]]:
    """Results of neighbouring frames, in either direction, of objects that are corrected on ``start``.

    Args:
        layers: sessions, each with the corrected frames of its objects by index.
        frames: those from ``start`` on, or those after the last one that the sessions have taken.
        start: its own result is not among them.

    Yields:
        The results of a frame, one of each session.

    Raises:
        PromptError: no object is visible on ``start``.
    """
    for _, corrected in layers:
        if start not in corrected:
            raise PromptError(f"frame {start} has no corrected object to start from; click one there first")

    def step(session: TrackSession, frame: Frame, given: Corrected | None) -> Segmentation:
        if given is not None and given.mask.any():
            return show(session, frame, given)
        if not session.ids:
            raise PromptError(f"frame {start} shows no pixel of the objects; start where one is visible")
        return session.step(frame)

    for frame in frames:
        with one_image(len(layers)):
            results = tuple(step(session, frame, corrected.get(frame.index)) for session, corrected in layers)
        if frame.index != start:
            yield results


def stored(result: Segmentation, ids: Collection[int]) -> list[StoredObject]:
    """Some objects of a result, to be kept."""
    return [(item, encode_rle(result.mask == item.id)["counts"]) for item in result.objects if item.id in ids]


def with_stored(result: Segmentation, found: Sequence[StoredObject]) -> Segmentation:
    """A result with further objects, each behind those before it."""
    if not found:
        return result
    highest = max((*result.ids, *(item.id for item, _ in found)))
    mask: IndexMask = result.mask.astype(id_type(highest))
    for item, counts in found:
        inside = decode_rle(Rle(size=list(mask.shape), counts=counts))
        mask[inside & (mask == 0)] = item.id
    extents = measure(mask)
    objects = list(result.objects)
    for item, _ in found:
        extent = extents.get(item.id)
        if extent is None:
            objects.append(replace(item, score=0.0, box=None, area=0))
        else:
            objects.append(replace(item, box=extent.box, area=extent.area))
    objects.sort(key=lambda item: item.id)
    return replace(result, mask=mask, objects=tuple(objects), _probabilities=None)
