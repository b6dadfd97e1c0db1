"""Attributes of an object as a state, and back: a class names those that are kept, and no more."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import fields, is_dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from segue.sessions.base import SessionState
from segue.types import Frame, ObjectInfo, Segmentation


class Kept:
    """Can be saved: its attributes are JSON values, arrays, tensors, or collections and dataclasses of them.

    Attributes:
        kept: names of the attributes, separated by spaces. One that can be saved itself is a part.
        kinds: dataclasses that occur in them; fields that do not compare are left out.
    """

    kept: ClassVar[str]
    kinds: ClassVar[tuple[type, ...]] = ()

    def _origin(self) -> dict[str, Any]:
        """What a saved state belongs to, as JSON gives it back: it must be the same when it is restored."""
        return {}

    def state(self, *, copy: bool = True) -> SessionState:
        """All that :meth:`restore` needs to go on identically; see :meth:`segue.sessions.Session.state`."""
        tensors: dict[str, Tensor] = {}
        parts: dict[str, SessionState] = {}
        values: dict[str, Any] = {}
        for name in self.kept.split():
            value = getattr(self, name)
            if hasattr(value, "restore"):
                parts[name] = value.state(copy=copy)
            else:
                values[name] = _packed(value, name, tensors)
        joined = SessionState.joined(parts, {**self._origin(), **values})
        return SessionState({**joined.tensors, **tensors}, joined.values)

    def restore(self, state: SessionState) -> None:
        """Go on from where :meth:`state` was called.

        Raises:
            CheckpointError: it was saved with other settings, or by something else.
        """
        state.require(self._origin())
        kinds = {kind.__name__: kind for kind in (*self.kinds, Frame, ObjectInfo, Segmentation)}
        place = getattr(self, "device", torch.device("cpu"))
        for name in self.kept.split():
            if name in state.values["parts"]:
                getattr(self, name).restore(state.part(name))
            else:
                setattr(self, name, _unpacked(state.values[name], name, state.tensors, kinds, place))


def _packed(value: Any, path: str, tensors: dict[str, Tensor]) -> Any:
    """A value for JSON; arrays and tensors go to ``tensors``, under the path that leads to them."""
    if isinstance(value, Tensor):
        tensors[path] = value.detach().clone()
        return {"tensor": None}
    if isinstance(value, np.ndarray):
        stored = value.view(np.int16) if value.dtype == np.uint16 else value
        tensors[path] = torch.from_numpy(np.array(stored))
        return {"array": value.dtype.name}
    if is_dataclass(value):
        shown = {item.name: getattr(value, item.name) for item in fields(value) if item.compare}
        return {type(value).__name__: {n: _packed(v, f"{path}.{n}", tensors) for n, v in shown.items()}}
    if isinstance(value, dict):
        pairs = enumerate(value.items())
        return {"dict": [[key, _packed(item, f"{path}.{i}", tensors)] for i, (key, item) in pairs]}
    if isinstance(value, (tuple, list, deque)):
        listed = [_packed(item, f"{path}.{i}", tensors) for i, item in enumerate(value)]
        return (
            {"deque": [value.maxlen, *listed]} if isinstance(value, deque) else {type(value).__name__: listed}
        )
    return value.item() if isinstance(value, np.generic) else value


def _unpacked(
    form: Any, path: str, tensors: dict[str, Tensor], kinds: dict[str, type], place: torch.device
) -> Any:
    """What :func:`_packed` was given; tensors go to a place."""
    if not isinstance(form, dict):
        return form
    ((kind, content),) = form.items()

    def each(items: Sequence[Any]) -> list[Any]:
        return [_unpacked(item, f"{path}.{i}", tensors, kinds, place) for i, item in enumerate(items)]

    if kind == "tensor":
        return tensors[path].to(place)
    if kind == "array":
        array = np.array(tensors[path].numpy())
        return array.view(np.uint16) if content == "uint16" else array
    if kind == "dict":
        return dict(zip((key for key, _ in content), each([item for _, item in content]), strict=True))
    if kind == "deque":
        return deque(each(content[1:]), maxlen=content[0])
    if kind in ("tuple", "list"):
        return tuple(each(content)) if kind == "tuple" else each(content)
    described = {n: _unpacked(v, f"{path}.{n}", tensors, kinds, place) for n, v in content.items()}
    return kinds[kind](**described)
