"""Weights of Detectron 2 as it publishes them: pickles of NumPy arrays, read without any code of theirs."""

from __future__ import annotations

import math
import pickle
import re
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from segue.errors import CheckpointError

LARGEST = 1 << 30
"""Bytes that such a file may have."""

_NUMBERS = re.compile(r"[fiu][1248]")


class _Part:
    """Keeps what an object of NumPy is made of; the classes below only tell its kind."""

    def __init__(self, *given: Any) -> None:
        self.given = given
        self.state: tuple[Any, ...] = ()

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.state = state


class _Dtype(_Part):
    """A type of numbers."""


class _Array(_Part):
    """An array."""


class _Buffer(_Array):
    """An array with its numbers first, as protocol 5 has it, which Python 3.14 takes by itself."""


class _Scalar(_Array):
    """A number with a type, such as a counter."""


class _Bytes:
    """Bytes that an old protocol stored as text."""

    def __new__(cls, text: str, codec: str) -> bytes:  # type: ignore[misc]
        if codec != "latin1":
            raise ValueError(f"text in {codec!r}")
        return text.encode("latin1")

    def __setstate__(self, state: object) -> None:
        raise ValueError("bytes have no state")


_STAND_INS: dict[tuple[str, str], type] = {
    ("numpy", "dtype"): _Dtype,
    ("numpy", "ndarray"): _Array,
    ("_codecs", "encode"): _Bytes,
    ("collections", "OrderedDict"): OrderedDict,
    **{
        (f"numpy.{core}.{module}", name): stand_in
        for core in ("core", "_core")
        for module, name, stand_in in (
            ("multiarray", "_reconstruct", _Array),
            ("multiarray", "scalar", _Scalar),
            ("numeric", "_frombuffer", _Buffer),
        )
    },
}


class _Reader(pickle.Unpickler):
    """Knows the placeholders and nothing else."""

    def find_class(self, module: str, name: str) -> Any:
        """The placeholder of a name."""
        if (module, name) not in _STAND_INS:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}")
        return _STAND_INS[module, name]


def read_detectron(path: Path) -> dict[str, Tensor]:
    """Tensors by name of a file ``{"model": {name: array}, ...}``."""
    try:
        size = path.stat().st_size
        if size > LARGEST:
            raise ValueError(f"more than {LARGEST >> 20} MiB")
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


def _values(array: _Array) -> npt.NDArray[Any]:
    """The array itself, if it is one of plain numbers and its parts fit each other."""
    if isinstance(array, _Scalar):
        shape, by_column, (dtype, data) = (), False, array.given
    elif isinstance(array, _Buffer):
        data, dtype, shape, axes = array.given
        by_column = axes == "F"
    else:
        _, shape, dtype, by_column, data = array.state
    code, order = dtype.given[0], dtype.state[1] if dtype.state else "|"
    if not _NUMBERS.fullmatch(code) or order not in ("<", ">", "|", "="):
        raise ValueError(f"an array of type {code!r}")
    kind = np.dtype(order.replace("|", "=") + code)
    if not isinstance(data, bytes | bytearray) or len(data) != math.prod(shape) * kind.itemsize:
        raise ValueError("an array whose data do not fit its shape")
    return np.frombuffer(data, kind).reshape(shape, order="F" if by_column else "C")


def _tensors(content: object, size: int) -> dict[str, Tensor]:
    model = content.get("model") if isinstance(content, Mapping) else None
    if not isinstance(model, Mapping) or not all(isinstance(value, _Array) for value in model.values()):
        raise ValueError("no arrays by name under 'model'")
    arrays = {str(name): _values(value) for name, value in model.items()}
    # One stretch of the file may stand under many names; copies of it would know no bound.
    if sum(array.nbytes for array in arrays.values()) > size:
        raise ValueError("arrays that share their data")
    return {
        name: torch.from_numpy(np.array(array, array.dtype.newbyteorder("=")))
        for name, array in arrays.items()
    }
