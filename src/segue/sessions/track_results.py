"""Results from the outputs of trackers."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from segue.flow.crowd import draw
from segue.masks import measure
from segue.masks.unsure import unsure_bits
from segue.models.base import (
    Highest,
    PredictedObjects,
    TrackOutput,
)
from segue.types import Box, IndexMask, ObjectInfo, ObjectMaps, Segmentation, log_odds
from segue.utils.arrays import Float32Array, id_type
from segue.utils.devices import to_cpu

FIRST_WEIGHT = 0.25
"""Weight of a first mask's predicted IoU in later scores; chosen on the development videos."""

REACH = 4
"""Margin of an object's reach, in positions of the small log-odds."""


def segmentation_of(
    index: int,
    time: float,
    tracked: TrackOutput,
    info: Mapping[int, tuple[str | None, float | None]],
    expected: Mapping[int, float],
    confidence: tuple[float, float],
) -> Segmentation:
    """Convert the output of a tracker to the result of a frame.

    ``info`` has the label of each object and the predicted IoU of its first mask, ``expected`` those of masks
    of this frame, and ``confidence`` is that of the network.
    """
    highest = tracked.highest
    if highest is None:
        assert tracked.probabilities is not None
        highest = Highest.of(tracked.probabilities)
    scores = highest.sums if tracked.scores is None else tracked.scores
    compact = tracked.probabilities if tracked.compact is None else tracked.compact
    assert compact is not None
    channels, best, totals, scores, compact = to_cpu(
        highest.channel, highest.best, highest.sums, scores, compact
    )
    numbers = np.array([0, *tracked.ids])
    mask = np.zeros(channels.shape, id_type(numbers.max()))
    pixels = np.flatnonzero(channels.numpy())  # of objects, a small part of most images
    owners = channels.numpy().ravel()[pixels]
    mask.ravel()[pixels] = numbers[owners]
    inside = np.bincount(owners, best.numpy().ravel()[pixels], minlength=len(numbers))
    extents = measure(mask)
    objects = []
    for k, (inner, total, i) in enumerate(zip(inside[1:], totals.tolist()[1:], tracked.ids, strict=True)):
        extent, (label, first) = extents.get(i), info.get(i, (None, None))
        if extent is None:
            objects.append(ObjectInfo(i, label, score=0.0))
        else:
            if tracked.scores is not None:
                score = float(scores[k])
            else:
                score = expected_overlap(float(inner), total, extent.area, confidence)
                if first is not None:
                    score = expected.get(i, score ** (1 - FIRST_WEIGHT) * first**FIRST_WEIGHT)
            objects.append(ObjectInfo(i, label, score, extent.box, extent.area))
    get_probabilities = partial(expanded, compact, tracked.expand)
    rows = reach = None
    if tracked.logits is not None:
        logits = partial(expanded, compact, tracked.logits)
        if tracked.by_object:
            rows = partial(_expanded_rows, compact, tracked.logits)
            reach = partial(_reach, compact, tracked.ids, mask.shape)
    elif tracked.predicted is not None:
        (low,) = to_cpu(tracked.predicted.compact)
        logits = partial(
            _logits_with_predicted,
            get_probabilities,
            tracked.ids,
            replace(tracked.predicted, compact=low),
        )
        if tracked.by_object:
            rows = partial(_rows_with_predicted, mask, tracked.ids, replace(tracked.predicted, compact=low))
            reach = partial(_reach, low, tracked.predicted.ids, mask.shape)
    else:
        logits = partial(_logits_of, get_probabilities)
    maps = ObjectMaps(logits, get_probabilities, rows, reach=reach)
    return Segmentation(index, time, mask, tuple(objects), maps, _unsure=unsure_bits(best.numpy()))


def with_crowd(
    result: Segmentation, crowd: Mapping[int, Float32Array], labels: Mapping[int, str | None]
) -> Segmentation:
    """Draw the small objects of a crowd in front of the objects of a tracker."""
    mask: IndexMask = result.mask.astype(id_type(max((*result.ids, *crowd))))
    draw(mask, crowd)
    extents, by_id = measure(mask), {item.id: item for item in result.objects}
    objects = []
    for i in sorted((*by_id, *crowd)):
        item = by_id.get(i) or ObjectInfo(i, labels.get(i))
        extent = extents.get(i)
        if extent is None:
            objects.append(replace(item, score=0.0, box=None, area=0))
        else:
            score = item.score if i in by_id else min(1.0, extent.area / len(crowd[i]))
            objects.append(replace(item, score=score, box=extent.box, area=extent.area))
    ids = tuple(sorted(crowd))
    visible = np.where(np.isin(mask, ids), mask, 0)
    maps = ObjectMaps(
        partial(_logits_with_crowd, result, visible, ids),
        partial(_planes_with_crowd, result, visible, ids),
        partial(_rows_with_crowd, result, visible, ids),
    )
    return Segmentation(result.index, result.time, mask, tuple(objects), maps, _unsure=result._unsure)


def _reach(compact: Tensor, ids: Sequence[int], size: tuple[int, ...]) -> dict[int, Box | None]:
    """Boxes of positive log-odds in an image (H, W), from those (K, h, w) of a small tensor."""
    boxes: dict[int, Box | None] = {}
    scales = [side / length for side, length in zip(size, compact.shape[1:], strict=True)]
    for i, plane in zip(ids, (compact > 0).numpy(), strict=True):
        spans = [np.flatnonzero(plane.any(axis)) for axis in (1, 0)]
        if not len(spans[0]):
            boxes[i] = None
            continue
        # Log-odds are enlarged by their neighbours, and the image may be padded by up to half a stride.
        (y0, y1), (x0, x1) = (
            (float(span[0] - REACH) * scale, float(span[-1] + 1 + REACH) * scale)
            for span, scale in zip(spans, scales, strict=True)
        )
        boxes[i] = x0, y0, x1, y1
    return boxes


def _planes_with_crowd(
    result: Segmentation, crowd_mask: npt.NDArray[np.integer], ids: Sequence[int]
) -> npt.NDArray[np.float32]:
    """Probabilities of a tracker's result with drawn objects in front, (H, W)."""
    free = (crowd_mask == 0).astype(np.float32)
    background, *planes = result.probabilities
    planes_by_id = dict(zip(result.ids, planes, strict=True))
    return np.stack(
        [
            background * free,
            *(
                (crowd_mask == i).astype(np.float32) if i in ids else planes_by_id[i] * free
                for i in sorted((*planes_by_id, *ids))
            ),
        ]
    )


def _logits_with_crowd(
    result: Segmentation, crowd_mask: npt.NDArray[np.integer], ids: Sequence[int]
) -> npt.NDArray[np.float32]:
    """Log-odds of a tracker's result with drawn objects in front, (H, W)."""
    tracked = dict(zip(result.ids, result.logits, strict=True))
    planes = [
        log_odds((crowd_mask == i).astype(np.float32)) if i in ids else tracked[i]
        for i in sorted((*tracked, *ids))
    ]
    return np.stack(planes)


def _rows_with_crowd(
    result: Segmentation, crowd_mask: npt.NDArray[np.integer], ids: Sequence[int], rows: Sequence[int]
) -> Float32Array:
    """Log-odds of :func:`_logits_with_crowd` for the objects of some rows."""
    numbers = sorted((*result.ids, *ids))
    tracked = [result.ids.index(numbers[row]) for row in rows if numbers[row] not in ids]
    of_result = iter(result._logits_of(tracked) if tracked else ())
    planes = [
        log_odds((crowd_mask == numbers[row]).astype(np.float32)) if numbers[row] in ids else next(of_result)
        for row in rows
    ]
    return np.stack(planes)


def _expanded_rows(compact: Tensor, logits: Callable[[Tensor], Tensor], rows: Sequence[int]) -> Float32Array:
    """Log-odds for the objects of some rows, (k, H, W)."""
    return expanded(compact[list(rows)], logits)


def _rows_with_predicted(
    mask: IndexMask, ids: Sequence[int], predicted: PredictedObjects, rows: Sequence[int]
) -> Float32Array:
    """Log-odds for the objects of some rows: predicted, or from an index mask, (H, W)."""
    places = [predicted.ids.index(ids[row]) for row in rows if ids[row] in predicted.ids]
    of_predicted = iter(expanded(predicted.compact[places], predicted.expand) if places else ())
    planes = [
        next(of_predicted) if ids[row] in predicted.ids else log_odds((mask == ids[row]).astype(np.float32))
        for row in rows
    ]
    return np.stack(planes)


def _logits_with_predicted(
    probabilities: Callable[[], Float32Array], ids: Sequence[int], predicted: PredictedObjects
) -> Float32Array:
    """Log-odds (K, H, W): predicted where available, otherwise from probabilities."""
    logits = _logits_of(probabilities)
    logits[[ids.index(i) for i in predicted.ids]] = expanded(predicted.compact, predicted.expand)
    return logits


def _logits_of(probabilities: Callable[[], npt.NDArray[np.float32]]) -> npt.NDArray[np.float32]:
    """Log-odds (K, H, W) from probabilities (K+1, H, W)."""
    return log_odds(probabilities()[1:])


def expected_overlap(inside: float, total: float, area: int, confidence: tuple[float, float]) -> float:
    """Expected IoU of a mask with the truth, in [0, 1], from its probabilities."""
    share = min(max(inside / (area + max(total - inside, 0.0)), 1e-6), 1 - 1e-6)
    factor, offset = confidence
    return 1 / (1 + math.exp(-offset) * float(((1 - share) / share) ** factor))


@torch.inference_mode()
def expanded(compact: Tensor, expand: Callable[[Tensor], Tensor] | None) -> npt.NDArray[np.float32]:
    """Full-size probabilities (K+1, H, W), or log-odds, as a new array."""
    return np.array((compact if expand is None else expand(compact)).numpy(), np.float32)
