"""Weights of Detectron 2: pickles of NumPy arrays, read without executing code."""

from __future__ import annotations

import pickle
import re
from collections import OrderedDict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from segue.errors import CheckpointError

MAX_FILE_BYTES = 1 << 30
"""Bytes that such a file may have."""


_NUMBERS = re.compile(r"[fiu][1248]")


class _Dtype:
    """A numeric type; NumPy's own would accept objects and pointers."""

    def __init__(self, code: str, *_: object) -> None:
        if not _NUMBERS.fullmatch(code):
            raise ValueError(f"an array of type {code!r}")
        self.dtype = np.dtype(code)

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.dtype = self.dtype.newbyteorder(state[1])


class _Array:
    """An array, or a scalar with a type, such as a counter."""

    values: npt.NDArray[Any]

    def __init__(self, *_: object) -> None:
        """Create an empty array, as NumPy does first."""

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, shape, kind, by_column, data = state
        self.values = np.frombuffer(data, kind.dtype).reshape(shape, order="F" if by_column else "C")


def _from_buffer(data: bytes, kind: _Dtype, shape: tuple[int, ...] = (), axes: str = "C") -> _Array:
    array = _Array()
    array.__setstate__((1, shape, kind, axes == "F", data))
    return array


def _encode(text: str, codec: str) -> bytes:
    """Restore bytes that an old protocol stored as text."""
    if codec != "latin1":
        raise ValueError(f"text in {codec!r}")
    return text.encode("latin1")


_RESTORED: dict[tuple[str, str], Callable[..., object]] = {
    ("numpy", "dtype"): _Dtype,
    ("numpy", "ndarray"): _Array,
    ("_codecs", "encode"): _encode,
    ("collections", "OrderedDict"): OrderedDict,
    **{
        (f"numpy.{core}.{module}", name): restore
        for core in ("core", "_core")
        for module, name, restore in (
            ("multiarray", "_reconstruct", _Array),
            ("multiarray", "scalar", lambda kind, data: _from_buffer(data, kind)),
            ("numeric", "_frombuffer", _from_buffer),
        )
    },
}
"""Globals that a pickle may request, and their replacements."""


class _Reader(pickle.Unpickler):
    """Restores arrays and containers only."""

    def find_class(self, module: str, name: str) -> Any:
        """Substitute for a class in the pickle."""
        if (module, name) not in _RESTORED:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}")
        return _RESTORED[module, name]


def read_detectron(path: Path) -> dict[str, Tensor]:
    """Read tensors by name from a file ``{"model": {name: array}, ...}``."""
    try:
        size = path.stat().st_size
        if size > MAX_FILE_BYTES:
            raise ValueError(f"more than {MAX_FILE_BYTES >> 20} MiB")
        with path.open("rb") as file:
            content = _Reader(file, encoding="latin1").load()
        return _tensors(content, size)
    except pickle.UnpicklingError as error:
        raise CheckpointError(
            f"{path}: holds more than arrays, which could run foreign code, and is not read ({error})"
        ) from error
    except Exception as error:
        # The reader raises whatever its parsing of damaged bytes runs into, from EOFError to IndexError.
        raise CheckpointError(f"{path}: damaged or no weights of Detectron 2 ({error})") from error


def _tensors(content: object, size: int) -> dict[str, Tensor]:
    model = content.get("model") if isinstance(content, Mapping) else None
    if not isinstance(model, Mapping) or not all(isinstance(value, _Array) for value in model.values()):
        raise ValueError("no arrays by name under 'model'")
    arrays = {str(name): array.values for name, array in model.items()}
    # One stretch of the file may stand under many names; copies of it would know no bound.
    if sum(array.nbytes for array in arrays.values()) > size:
        raise ValueError("arrays that share their data")
    return {
        name: torch.from_numpy(np.array(array, array.dtype.newbyteorder("=")))
        for name, array in arrays.items()
    }
