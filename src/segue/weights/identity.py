"""Identity of weights, so that a session resumes only with the same weights."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn

from segue.errors import CheckpointError


@dataclass(frozen=True, slots=True)
class WeightsIdentity:
    """Identity of the weights of a network, independent of the file."""

    network: str
    digest: str

    @classmethod
    def of(cls, network: nn.Module) -> WeightsIdentity:
        """The identity of a network as it is now."""
        return cls(type(network).__name__, _digest_of(network.state_dict()))

    def difference(self, now: WeightsIdentity) -> str | None:
        """The difference between these weights and others; None if they are the same."""
        if self.network != now.network:
            return f"the network was {self.network}, now it is {now.network}"
        if self.digest != now.digest:
            return f"the weights of {self.network} were {self.digest[:12]}, now they are {now.digest[:12]}"
        return None

    def to_json(self) -> dict[str, Any]:
        """All attributes as JSON values, for :meth:`from_json`."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: object) -> WeightsIdentity:
        """The identity that :meth:`to_json` gave; the values may come from anywhere."""
        if not isinstance(values, Mapping) or set(values) != {"network", "digest"}:
            raise CheckpointError("no identity of weights: its parts are network and digest")
        if not all(isinstance(value, str) for value in values.values()):
            raise CheckpointError("no identity of weights: network and digest are texts")
        return cls(**values)


def _digest_of(tensors: Mapping[str, Tensor]) -> str:
    digest = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {tensor.dtype} {list(tensor.shape)}\n".encode())
        flat = tensor.detach().cpu().contiguous().flatten()
        digest.update(flat.view(torch.uint8).numpy().data)
    return digest.hexdigest()
