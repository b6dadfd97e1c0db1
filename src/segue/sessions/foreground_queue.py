"""Frames of a foreground session whose results are still due, and results that wait to be given."""

from __future__ import annotations

from collections import deque
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from segue.sessions.align import Matrix
from segue.sessions.base import SessionState
from segue.types import Image, IndexMask, ObjectInfo, Segmentation


@dataclass(frozen=True, slots=True)
class Pending:
    """A frame whose result is still due.

    Attributes:
        image: at the working size, as seen from the reference, RGB, uint8.
        matrix: from the reference to the frame, or None where both are the same.
    """

    index: int
    time: float
    size: tuple[int, int]
    image: Image
    matrix: Matrix | None


def queue_state(pending: deque[Pending], due: deque[Segmentation]) -> SessionState:
    """Both queues, to be saved."""
    arrays: dict[str, npt.NDArray[Any]] = {}
    waiting, results = [], []
    for place, item in enumerate(pending):
        arrays[f"image{place}"] = item.image
        if item.matrix is not None:
            arrays[f"matrix{place}"] = item.matrix
        waiting.append([item.index, item.time, item.size])
    for place, result in enumerate(due):
        arrays[f"mask{place}"] = result.mask.astype(np.int32)
        results.append([result.index, result.time, [asdict(item) for item in result.objects]])
    return SessionState.of(arrays, {"pending": waiting, "due": results})


def queues_of(state: SessionState) -> tuple[deque[Pending], deque[Segmentation]]:
    """What :func:`queue_state` was given."""
    arrays = state.arrays()
    pending = deque(
        Pending(index, time, tuple(size), arrays[f"image{place}"], arrays.get(f"matrix{place}"))
        for place, (index, time, size) in enumerate(state.values["pending"])
    )
    due = deque(
        Segmentation(index, time, _smallest(arrays[f"mask{place}"]), tuple(map(_object, objects)))
        for place, (index, time, objects) in enumerate(state.values["due"])
    )
    return pending, due


def _smallest(mask: npt.NDArray[np.int32]) -> IndexMask:
    return mask.astype(np.uint8 if mask.max(initial=0) < 256 else np.uint16)


def _object(values: dict[str, Any]) -> ObjectInfo:
    box = values.pop("box")
    return ObjectInfo(**values, box=None if box is None else tuple(box))
