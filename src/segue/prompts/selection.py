"""From what a detector finds to the objects that are followed."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np

from segue.arrays import BoolArray, FloatingArray
from segue.errors import PromptError
from segue.masks import ObjectExtent, measure
from segue.types import Frame, IndexMask, ObjectInfo, Segmentation


@dataclass(frozen=True, slots=True)
class Rules:
    """Selection of detections as objects."""

    score: float = 0.5  # at least, in 0..1
    probability: float = 0.5  # pixels of at least this probability belong to a mask
    min_area: float = 0.0005  # masks of fewer pixels are dropped; a share of the image
    covered: float = 0.8  # so is one that shares more than this of the smaller of both with a better one
    max_objects: int = 10
    classes: frozenset[str] | None = None  # labels that are wanted; None is all

    def checked(self, names: Mapping[int, str]) -> Rules:
        """The same, for a detector that knows classes of these names."""
        known = set(names.values())
        if unknown := sorted(set(self.classes or ()) - known):
            raise PromptError(
                f"class {unknown[0]!r} is unknown to this detector; it knows {', '.join(sorted(known))}"
            )
        return self


def found_in(frame: Frame, mask: IndexMask) -> Segmentation:
    """The objects of an index mask (H, W), the best first; scores say only the order."""
    extents = measure(mask)
    objects = _objects(extents, [None] * len(extents), 1.0 / np.array(list(extents), int))
    return Segmentation(frame.index, frame.time, mask, objects)


def select(
    frame: Frame,
    probabilities: FloatingArray,
    scores: FloatingArray,
    labels: Collection[str | None],
    rules: Rules | None = None,
) -> Segmentation:
    """Apply the rules to the detections of a frame: probabilities (N, H, W) and scores (N,), both in 0..1.

    A pixel that several objects claim goes to the most probable of them, of equals to the better one; the
    probabilities of the result are the masks (K+1, H, W) before that, in 0 and 1.
    """
    rules = rules or Rules()
    names, size = list(labels), probabilities.shape[1:]
    least = max(1, rules.min_area * size[0] * size[1])
    kept: list[int] = []
    planes: list[BoolArray] = []
    for i in np.argsort(-scores, kind="stable").tolist():
        if scores[i] < rules.score or not (rules.classes is None or names[i] in rules.classes):
            continue
        plane = probabilities[i] >= rules.probability
        area = plane.sum()
        if area < least or any(
            (plane & other).sum() / min(area, other.sum()) > rules.covered for other in planes
        ):
            continue
        kept.append(i)
        planes.append(plane)
        if len(kept) == rules.max_objects:
            break
    if not kept:
        return Segmentation(frame.index, frame.time, np.zeros(size, np.uint8))
    claimed = np.where(planes, probabilities[kept], -1.0)
    owner = np.where(np.any(planes, axis=0), claimed.argmax(0) + 1, 0)
    alive = np.bincount(owner.ravel(), minlength=len(kept) + 1)[1:] >= least
    ids = np.append(0, alive.cumsum() * alive).astype(np.uint8)
    mask, numbers = ids[owner], np.array(kept)[alive]
    objects = _objects(measure(mask), [names[i] for i in numbers], scores[numbers])
    claims = np.stack([mask == 0, *np.asarray(planes)[alive]])
    return Segmentation(frame.index, frame.time, mask, objects, partial(claims.astype, np.float32))


def _objects(
    extents: Mapping[int, ObjectExtent], labels: Iterable[str | None], scores: FloatingArray
) -> tuple[ObjectInfo, ...]:
    return tuple(
        ObjectInfo(id, label, float(score), extent.box, extent.area)
        for (id, extent), label, score in zip(extents.items(), labels, scores, strict=True)
    )
