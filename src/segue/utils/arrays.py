"""Types of arrays by their element, for signatures, and tensors as arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, SupportsFloat, SupportsInt, TypeVar

import numpy as np
import numpy.typing as npt

BoolArray = npt.NDArray[np.bool_]
UInt8Array = npt.NDArray[np.uint8]
Float32Array = npt.NDArray[np.float32]
Float64Array = npt.NDArray[np.float64]
FloatingArray = npt.NDArray[np.floating]
Level = TypeVar("Level", np.uint8, np.float32)
"""Type of the levels of an image."""

# Public as names of segue.types.
Image = npt.NDArray[np.uint8]
IndexMask = npt.NDArray[np.integer]
Box = tuple[float, float, float, float]
Point = tuple[float, float]


class SupportsArray(Protocol):
    """What NumPy takes for an array: an array, a tensor of PyTorch on the processor, and others."""

    def __array__(self) -> npt.NDArray[Any]: ...


BoxLike = Sequence[SupportsFloat] | SupportsArray
BoxesLike = Mapping[int, BoxLike] | Sequence[BoxLike] | SupportsArray
PointLike = Sequence[SupportsFloat] | SupportsArray
PointsLike = PointLike | Sequence[PointLike]
LabelsLike = Sequence[SupportsInt] | SupportsArray


def id_type(highest: int) -> type[np.uint8 | np.uint16]:
    """Type of an index mask whose highest id is that."""
    return np.uint8 if highest < 256 else np.uint16


def as_array(value: Any) -> Any:
    """A tensor of PyTorch as an array; anything else as it is. PyTorch is not imported for it."""
    if not hasattr(value, "detach"):
        return value
    value = value.detach().cpu()
    try:
        return value.numpy()
    except TypeError:
        return value.float().numpy()
