"""From what a detector finds to the objects that are followed."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from segue.arrays import BoolArray, FloatingArray
from segue.errors import PromptError
from segue.masks import ObjectExtent, measure
from segue.types import IndexMask, ObjectInfo, same_values


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


@dataclass(frozen=True, eq=False)
class Found:
    """Objects of one image."""

    mask: IndexMask  # (H, W), uint8; ids from 1 in descending score
    objects: tuple[ObjectInfo, ...]
    planes: BoolArray  # mask of each object before overlaps were resolved, (K, H, W)

    __eq__ = same_values
    __hash__ = None  # type: ignore[assignment]

    def __len__(self) -> int:
        return len(self.objects)


def found_in(mask: IndexMask) -> Found:
    """The objects of an index mask (H, W), the best first; scores say only the order."""
    extents = measure(mask)
    ids = np.array(list(extents), int)
    objects = _objects(extents, [None] * len(ids), 1.0 / ids)
    return Found(mask, objects, mask[None] == ids[:, None, None])


def select(
    probabilities: FloatingArray,
    scores: FloatingArray,
    labels: Collection[str | None],
    rules: Rules | None = None,
) -> Found:
    """Apply the rules to the detections of an image: probabilities (N, H, W) and scores (N,), both in 0..1.

    A pixel that several objects claim goes to the most probable of them, of equals to the better one.
    """
    rules = rules or Rules()
    names, size = list(labels), probabilities.shape[1:]
    least = rules.min_area * size[0] * size[1]
    order = [
        int(i)
        for i in np.argsort(-scores, kind="stable")
        if scores[i] >= rules.score and (rules.classes is None or names[i] in rules.classes)
    ]
    kept = _apart(probabilities, order, rules, least)
    mask, numbers = _resolved(probabilities, kept, rules.probability, least)
    objects = _objects(measure(mask), [names[i] for i in numbers], scores[numbers])
    return Found(mask, objects, probabilities[numbers] >= rules.probability)


def _objects(
    extents: Mapping[int, ObjectExtent], labels: Iterable[str | None], scores: FloatingArray
) -> tuple[ObjectInfo, ...]:
    return tuple(
        ObjectInfo(id, label, float(score), extent.box, extent.area)
        for (id, extent), label, score in zip(extents.items(), labels, scores, strict=True)
    )


def _apart(probabilities: FloatingArray, order: list[int], rules: Rules, least: float) -> list[int]:
    """Indices of the masks that are large enough and not covered by a better one, best first."""
    kept: list[int] = []
    planes: list[BoolArray] = []
    for i in order:
        plane = probabilities[i] >= rules.probability
        area = int(plane.sum())
        if area < least or area == 0:
            continue
        covered = ((plane & other).sum() / min(area, other.sum()) for other in planes)
        if any(share > rules.covered for share in covered):
            continue
        kept.append(i)
        planes.append(plane)
        if len(kept) == rules.max_objects:
            break
    return kept


def _resolved(
    probabilities: FloatingArray, kept: list[int], threshold: float, least: float
) -> tuple[npt.NDArray[np.uint8], list[int]]:
    """Index mask, and which detection each id is; what ends too small is left out."""
    if not kept:
        return np.zeros(probabilities.shape[1:], np.uint8), []
    chosen = probabilities[kept]
    claimed = np.where(chosen >= threshold, chosen, -1.0)
    owner = np.where(claimed.max(0) >= 0, claimed.argmax(0) + 1, 0)
    areas = np.bincount(owner.ravel(), minlength=len(kept) + 1)[1:]
    alive = (areas > 0) & (areas >= least)
    ids = np.append(0, alive.cumsum() * alive).astype(np.uint8)
    return ids[owner], np.array(kept)[alive].tolist()
