"""Agreement between the masks of two annotators."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from pycocotools import mask as coco_mask

from segue.formats.labels import Labels
from segue.utils.arrays import Float64Array


@dataclass(frozen=True, slots=True)
class ObjectAgreement:
    """Agreement of two annotators on an object.

    Attributes:
        first: name of the object of the first person; None where the second one alone has it.
        second: name of the object of the second person; None where the first one alone has it.
        iou: mean IoU over the frames on which one of them has a mask of it; 0 where one alone has the object.
        frames: number of these frames.
    """

    first: str | None
    second: str | None
    iou: float
    frames: int


def agreement(first: Labels, second: Labels) -> list[ObjectAgreement]:
    """Compare the masks of two annotators by object, on frames that both annotated.

    An object is compared with that of the other person with which it agrees best, each with one.

    Args:
        first: masks of a person.
        second: masks of another person, of the same video.

    Returns:
        The objects of the first person in their order, then those that the second one alone has. Objects
        without a mask on frames that both have annotated are left out.
    """
    frames = sorted({*first.masks} & {*second.masks})
    sums, counts, used = _compared(first, second, frames)
    rows, columns = [*first.names], [*second.names]
    means = sums / np.maximum(counts, 1)
    pairs = _matched(means)
    listed = []
    for row, number in enumerate(rows):
        column = pairs.get(row)
        if column is not None:
            name = second.names[columns[column]]
            fit, shared = float(means[row, column]), int(counts[row, column])
            listed.append(ObjectAgreement(first.names[number], name, fit, shared))
        elif used[0][row]:
            listed.append(ObjectAgreement(first.names[number], None, 0.0, used[0][row]))
    for column, number in enumerate(columns):
        if column not in pairs.values() and used[1][column]:
            listed.append(ObjectAgreement(None, second.names[number], 0.0, used[1][column]))
    return listed


def _compared(
    first: Labels, second: Labels, frames: list[int]
) -> tuple[Float64Array, Float64Array, tuple[list[int], list[int]]]:
    """Summed IoU and number of frames of each pair of objects, and the frames of each object."""
    places = [{number: place for place, number in enumerate(each.names)} for each in (first, second)]
    shape = len(first.names), len(second.names)
    sums, both = np.zeros(shape), np.zeros(shape)
    used = [0] * shape[0], [0] * shape[1]
    for frame in frames:
        present = [
            {places[side][i]: counts for i, counts in labels.masks[frame].items() if i in places[side]}
            for side, labels in enumerate((first, second))
        ]
        for side in (0, 1):
            for place in present[side]:
                used[side][place] += 1
        if not present[0] or not present[1]:
            continue
        runs = [[{"size": [*first.size], "counts": counts} for counts in each.values()] for each in present]
        overlap = coco_mask.iou(*runs, [0] * len(runs[1]))
        where = np.ix_([*present[0]], [*present[1]])
        sums[where] += overlap
        both[where] += 1
    counts = np.array(used[0])[:, None] + np.array(used[1])[None] - both
    return sums, counts, used


def _matched(means: Float64Array) -> dict[int, int]:
    """Match objects one to one for the largest sum of IoU; pairs without overlap are dropped."""
    from scipy.optimize import linear_sum_assignment  # takes long to import

    pairs = zip(*linear_sum_assignment(-means), strict=True)
    return {int(row): int(column) for row, column in pairs if means[row, column] > 0}
