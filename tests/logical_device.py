"""A device that is none: tensors say that they are elsewhere, and are computed on the processor.

Operations get the values that they would get on a GPU, so that steps that depend on values run as well. An
operation on tensors of two devices fails as it does on a GPU, and whatever makes the processor wait for
the device is counted. A download that does not wait holds wrong values until something else has waited. An
upload waits unless it comes from pinned memory and is said to be ``non_blocking``. There is no float64, as on
Apple's GPUs.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any, ClassVar
from unittest.mock import patch

import numpy as np
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

DEVICE = torch.device("lazy")
"""A type of device that PyTorch knows by name, and that no build runs on."""

WAITS = {"_local_scalar_dense", "item", "is_nonzero", "equal", "allclose", "nonzero", "masked_select"} | {
    "_unique2", "unique_dim", "unique_consecutive", "nonzero_numpy", "bincount",
}  # fmt: skip
"""Operations whose result, or its size, the processor has to know before it goes on."""


class LogicalTensor(Tensor):
    """A tensor that says it is on :data:`DEVICE`."""

    held: Tensor
    waits: ClassVar[Counter[str]] = Counter()
    """What waited for the device, by operation and line."""
    arriving: ClassVar[list[tuple[Tensor, Tensor]]] = []
    """Downloads that nothing has waited for, and their values; until then they hold something else."""

    @staticmethod
    def __new__(cls, inner: Tensor) -> LogicalTensor:
        made = torch.Tensor._make_wrapper_subclass(
            cls,
            inner.shape,
            strides=inner.stride(),
            storage_offset=inner.storage_offset(),
            dtype=inner.dtype,
            device=DEVICE,
            requires_grad=False,
        )
        made.held = inner
        return made

    def __repr__(self, *, tensor_contents: Any = None) -> str:  # type: ignore[override]
        return f"LogicalTensor({self.held!r})"

    def numpy(self, *, force: bool = False) -> Any:
        if force:
            return self.detach().cpu().numpy()
        raise TypeError("a tensor on a device has no array; call cpu() first")

    def untyped_storage(self) -> torch.UntypedStorage:
        return self.held.untyped_storage()

    def __getitem__(self, index: Any) -> Any:
        # PyTorch makes the tensor of a list in C++, where no mode sees it.
        parts = index if isinstance(index, tuple) else (index,)
        if not any(isinstance(part, list | np.ndarray) for part in parts):
            return super().__getitem__(index)
        self.waits[f"list index {caller()}"] += 1
        return super().__getitem__(
            tuple(
                torch.from_numpy(np.array(part, None if len(part) else np.int64)).to(DEVICE)
                if isinstance(part, list | np.ndarray)
                else part
                for part in parts
            )
        )

    def new_tensor(self, data: Any, **how: Any) -> Tensor:  # type: ignore[override]
        return torch.tensor(data, dtype=how.get("dtype", self.dtype)).to(how.get("device", DEVICE))

    def tolist(self) -> Any:
        return self.cpu().tolist()

    @classmethod
    def __torch_dispatch__(  # type: ignore[override]
        cls,
        func: Any,
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        return run(func, args, dict(kwargs or {}))


class _Factories(TorchFunctionMode):
    """Makes tensors of numbers, which PyTorch does in C++, where no other mode sees their device."""

    def __torch_function__(
        self,
        func: Any,
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        how = dict(kwargs or {})
        if func is torch.tensor and how.get("device") == DEVICE:
            del how["device"]
            return func(*args, **how).to(DEVICE)
        return func(*args, **how)


_AUTOCAST = torch.autocast


def _autocast(device_type: str, *how: Any, **more: Any) -> Any:
    """PyTorch refuses devices that it does not know; ours computes as it is told in any case."""
    return nullcontext() if device_type == DEVICE.type else _AUTOCAST(device_type, *how, **more)


class LogicalDevice(TorchDispatchMode):
    """While it is active, :data:`DEVICE` exists."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._factories: Any = _Factories()
        self._autocast = patch.object(torch, "autocast", _autocast)

    def __enter__(self) -> Any:
        self._autocast.start()
        self._factories.__enter__()
        return super().__enter__()  # type: ignore[no-untyped-call]

    def __exit__(self, *error: Any) -> None:
        super().__exit__(*error)  # type: ignore[no-untyped-call]
        self._factories.__exit__(*error)
        self._autocast.stop()

    def __torch_dispatch__(
        self,
        func: Any,
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        return run(func, args, dict(kwargs or {}))


def run(func: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
    """Run an operation on the inner tensors, where the devices of its tensors agree."""
    name = func.overloadpacket.__name__
    if name == "is_pinned":
        return False
    if name in ("pin_memory", "_pin_memory"):
        pinned: Tensor = args[0].clone()
        pinned.is_pinned_here = True  # type: ignore[attr-defined]
        return pinned
    flat: list[Any] = []
    _each((args, *kwargs.values()), flat.append)
    tensors = [value for value in flat if isinstance(value, Tensor)]
    logical = [value for value in tensors if isinstance(value, LogicalTensor)]
    moved = next((value == DEVICE for value in flat if isinstance(value, torch.device)), None)
    moves = name in ("copy_", "_to_copy", "to")
    if logical and not moves:
        for value in tensors:
            indices = name in ("index", "index_put", "index_put_") and value is not tensors[0]
            if not isinstance(value, LogicalTensor) and value.ndim and not indices:
                raise RuntimeError(f"{func}: tensors on {DEVICE.type} and cpu, {tuple(value.shape)}")
    if moves and moved and not logical:
        (source,) = tensors
        if not kwargs.get("non_blocking"):
            LogicalTensor.waits[f"upload {caller()}"] += 1
        elif not getattr(source, "is_pinned_here", False):
            raise RuntimeError("an upload that does not wait must read pinned memory")
    later = bool(logical) and moves and moved is False and bool(kwargs.get("non_blocking"))
    if logical and not later and waits_for_device(name, tensors, moved):
        LogicalTensor.waits[f"{name} {caller()}"] += 1
        for held, value in LogicalTensor.arriving:
            held.copy_(value)
        LogicalTensor.arriving.clear()
    own = {id(value.held): value for value in logical}
    result = func(*_each(args, _plain), **{key: _each(value, _plain) for key, value in kwargs.items()})
    if name == "copy_":
        return args[0]
    there = bool(logical) if moved is None else moved
    if moves and moved is not None and any(result is _plain(value) for value in tensors):
        result = result.clone()
    if later:
        LogicalTensor.arriving.append((result, result.clone()))
        result.fill_(1)
    if not there:
        return result
    # Views of weights, which are no inference tensors, must be none either.
    with torch.inference_mode(False), torch.no_grad():
        return _each(result, partial(_logical, own))


def _logical(own: Mapping[int, LogicalTensor], value: Any) -> Any:
    """A result on the device; an operation in place gives the very tensor that it changed."""
    if not isinstance(value, Tensor):
        return value
    if value.dtype == torch.float64:
        raise TypeError(f"the device has no float64 ({caller()})")
    return own[id(value)] if id(value) in own else LogicalTensor(value)


def _each(values: Any, change: Callable[[Any], Any]) -> Any:
    """``change`` of each value in tuples and lists; PyTorch's own walk takes longer than most operations."""
    kind = type(values)
    return kind(_each(value, change) for value in values) if kind in (tuple, list) else change(values)


def _plain(value: Any) -> Any:
    """An argument for the processor."""
    if isinstance(value, LogicalTensor):
        return value.held
    return torch.device("cpu") if isinstance(value, torch.device) else value


def waits_for_device(name: str, tensors: Sequence[Tensor], moved: bool | None) -> bool:
    """Whether an operation with tensors of the device makes the processor wait."""
    if name == "copy_":
        return not isinstance(tensors[0], LogicalTensor)
    if name in ("_to_copy", "to"):
        return moved is False
    masks = name in ("index", "index_put", "index_put_") and any(
        value.dtype in (torch.bool, torch.uint8) for value in tensors[1:]
    )
    return masks or name in WAITS


def caller() -> str:
    """The line of ours that an operation comes from."""
    frame = sys._getframe()
    while frame := frame.f_back:  # type: ignore[assignment]
        path = Path(frame.f_code.co_filename)
        if "segue" in path.parts and "src" in path.parts:
            return f"{path.name}:{frame.f_lineno} {frame.f_code.co_name}"
    return "tests"


def count(call: Callable[[], object]) -> Counter[str]:
    """What waits for the device in a call."""
    LogicalTensor.waits.clear()
    with LogicalDevice():
        call()
    return Counter(LogicalTensor.waits)
