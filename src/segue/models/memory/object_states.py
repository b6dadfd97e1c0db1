"""Tensors that a tracker keeps of single objects, such as recurrent states ("sensory memory")."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import torch
from torch import Tensor


class ObjectStates:
    """Tensors of single objects in one view; values of a frame take effect at its end."""

    def __init__(self) -> None:
        self.kept: dict[str, dict[int, Tensor]] = {}
        self._coming: dict[str, dict[int, Tensor]] = {}

    def of(self, name: str, ids: Sequence[int], fresh: Tensor) -> Tensor:
        """States (K, ...) of objects, from the frame in progress if it has any."""
        known = self.kept.get(name, {}) | self._coming.get(name, {})
        return torch.stack([known.get(i, fresh) for i in ids])

    def keep(self, name: str, ids: Sequence[int], states: Tensor) -> None:
        """Keep states (K, ...) of objects from :meth:`commit` on, instead of earlier ones."""
        self._coming.setdefault(name, {}).update(zip(ids, states.unbind(), strict=True))

    def commit(self) -> None:
        """Let the states of the frame in progress take effect."""
        for name, states in self._coming.items():
            self.kept.setdefault(name, {}).update(states)
        self._coming = {}

    def discard(self) -> None:
        """Drop the states of a frame that was not finished."""
        self._coming = {}

    def forget(self, ids: Collection[int]) -> None:
        """Remove objects."""
        for states in self.kept.values():
            for i in ids:
                states.pop(i, None)

    def state(self) -> dict[str, Tensor]:
        """Give all that :meth:`restore` needs."""
        return {f"{name}.{i}": tensor for name, states in self.kept.items() for i, tensor in states.items()}

    def restore(self, tensors: dict[str, Tensor]) -> None:
        """Take over what :meth:`state` gave; the tensors are copied."""
        for name, tensor in tensors.items():
            kind, _, i = name.rpartition(".")
            self.kept.setdefault(kind, {})[int(i)] = tensor.clone()
