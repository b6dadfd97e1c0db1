"""Array types for signatures, and conversion of arrays and tensors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from numbers import Real
from typing import Any, Protocol, SupportsFloat, SupportsInt, TypeVar

import numpy as np
import numpy.typing as npt

from segue.errors import ArgumentError, PromptError

MAX_ID = 65535
"""Largest id that an index mask file can hold."""

BoolArray = npt.NDArray[np.bool_]
UInt8Array = npt.NDArray[np.uint8]
UInt16Array = npt.NDArray[np.uint16]
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
    """Anything that NumPy converts to an array, such as a PyTorch tensor on the CPU."""

    def __array__(self) -> npt.NDArray[Any]: ...


BoxLike = Sequence[SupportsFloat] | SupportsArray
BoxesLike = Mapping[int, BoxLike] | Sequence[BoxLike] | SupportsArray
PointLike = Sequence[SupportsFloat] | SupportsArray
PointsLike = PointLike | Sequence[PointLike]
LabelsLike = Sequence[SupportsInt] | SupportsArray


def id_type(highest: int) -> type[np.uint8 | np.uint16]:
    """Type of an index mask with ids up to ``highest``."""
    return np.uint8 if highest < 256 else np.uint16


def as_array(value: Any) -> Any:
    """Convert arrays of PyTorch, Dask and others to NumPy, masked values as 0; keep anything else."""
    # PyTorch is not imported for it.
    if isinstance(value, np.ma.MaskedArray):
        return value.filled(0)
    if not hasattr(value, "detach"):
        converts = hasattr(type(value), "__array__") and not isinstance(value, (np.ndarray, np.generic))
        return np.asarray(value) if converts else value
    try:
        value = value.detach().cpu()
        try:
            return value.numpy()
        except TypeError:  # such as bfloat16
            return value.float().numpy()
    except (
        NotImplementedError,
        RuntimeError,
        TypeError,
    ) as error:  # sparse, quantized, meta
        raise ArgumentError(f"a tensor that NumPy cannot hold: {str(error).splitlines()[0]}") from error


def whole_mask(value: Any, where: str, error: type[Exception]) -> npt.NDArray[Any]:
    """Validate a mask of a caller, (H, W), of booleans or integers; ``error`` for anything else."""
    mask = np.asarray(as_array(value))
    if mask.ndim != 2:
        raise error(f"{where}: shape {mask.shape}; give a mask (H, W)")
    if mask.dtype.kind == "f" and not np.array_equal(mask, np.trunc(mask)):
        raise error(
            f"{where}: {mask.dtype} with fractions; compare probabilities with a threshold first, "
            "as in mask > 0.5"
        )
    return mask


def in_rgb(value: Any) -> Any:
    """Convert BGR arrays and tensors (H, W, 3) and (H, W, 4) to RGB, also in containers; keep others."""
    if isinstance(value, Mapping):
        return {key: in_rgb(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(map(in_rgb, value))
    image = as_array(value)
    if not (isinstance(image, np.ndarray) and image.ndim == 3 and image.dtype == np.uint8):
        return value
    if image.shape[2] not in (3, 4) or image.shape[0] in (1, 3, 4):
        return value
    return np.ascontiguousarray(image[..., [2, 1, 0, 3][: image.shape[2]]])


def check_id(id: Any) -> int:
    """Return the id if it is an integer that an index mask can hold."""
    number = float(id) if isinstance(id, Real) and id is not True else 0.5
    if not number.is_integer():
        raise PromptError(
            f"object id {id!r}: give a whole number from 1 to {MAX_ID}; a name is a label, as in "
            'BoxPrompt(1, box, label="goat")'
        )
    if not 1 <= number <= MAX_ID:
        raise PromptError(f"object id {id} is out of range; ids go from 1 to {MAX_ID}")
    return int(number)


def same_values(self: Any, other: Any) -> Any:
    """Compare two objects of one dataclass whose fields may be arrays, by content; stands for ``__eq__``."""
    if type(other) is not type(self):
        return NotImplemented
    compared = (item.name for item in fields(other) if item.compare)
    return all(_same(getattr(self, name), getattr(other, name)) for name in compared)


def _same(one: object, other: object) -> bool:
    if isinstance(one, np.ndarray) and isinstance(other, np.ndarray):
        return one is other or (one.dtype == other.dtype and np.array_equal(one, other))
    return isinstance(one, np.ndarray) == isinstance(other, np.ndarray) and bool(one == other)
