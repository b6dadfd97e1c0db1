"""Frames of a foreground session whose results are still due, and results that wait to be given."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Any

import numpy.typing as npt

from segue.sessions.align import Matrix
from segue.sessions.base import SessionState, restored_result, saved_result
from segue.types import Image, Segmentation


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
        arrays[f"mask{place}"], described = saved_result(result)
        results.append(described)
    return SessionState.of(arrays, {"pending": waiting, "due": results})


def queues_of(state: SessionState) -> tuple[deque[Pending], deque[Segmentation]]:
    """What :func:`queue_state` was given."""
    arrays = state.arrays()
    pending = deque(
        Pending(index, time, tuple(size), arrays[f"image{place}"], arrays.get(f"matrix{place}"))
        for place, (index, time, size) in enumerate(state.values["pending"])
    )
    due = deque(
        restored_result(arrays[f"mask{place}"], described)
        for place, described in enumerate(state.values["due"])
    )
    return pending, due
