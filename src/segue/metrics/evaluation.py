"""What every evaluation gives: one shape for tables, files, reports and comparisons."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from segue.types import Image, IndexMask

Measures = Mapping[str, float]
"""Values by the official name of their column, such as ``J-Mean`` or ``AP50``."""


@dataclass(frozen=True, slots=True)
class Series:
    """A measure over time.

    Attributes:
        frames: names of the scored frames, in order.
        values: one value a frame, (frames,), float64; NaN is a frame without a value.
    """

    frames: tuple[str, ...]
    values: npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class FrameView:
    """One scored frame to look at.

    Attributes:
        truth: what is right, index mask (H, W).
        result: what was scored, index mask (H, W).
        ignored: pixels that count for nothing, (H, W), bool.
        image: the picture itself, RGB, if the data set holds it.
    """

    truth: IndexMask
    result: IndexMask
    ignored: npt.NDArray[np.bool_]
    image: Image | None = None


@dataclass(frozen=True)
class Evaluation:
    """Scores of a set of results under one protocol.

    Attributes:
        protocol: its full name, such as ``DAVIS 2017 semi-supervised, val``; numbers of different protocols
            must not be compared.
        headline: the one measure that the benchmark ranks by; ``overall`` and ``sequences`` hold it.
        overall: measures of the whole set, in the order of the official table.
        sequences: measures of each sequence, in the order of the data set.
        objects: measures of each object or class, where the protocol has them.
        categories: measures of each group of sequences or classes, where the protocol has them.
        series: for each sequence measures over time, such as ``J``.
        remarks: what a reader must know: frames or objects that are missing, what was scored instead.
        files: text of the official result files by name.
        view: gives a frame of a series to look at, by sequence and frame name; None where nothing can be
            shown.
    """

    protocol: str
    headline: str
    overall: Measures
    sequences: Mapping[str, Measures]
    objects: Mapping[str, Measures] = field(default_factory=dict)
    categories: Mapping[str, Measures] = field(default_factory=dict)
    series: Mapping[str, Mapping[str, Series]] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()
    files: Mapping[str, str] = field(default_factory=dict)
    view: Callable[[str, str], FrameView] | None = field(default=None, compare=False, repr=False)
