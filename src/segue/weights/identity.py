"""Identity of weights, so that a session resumes only with the same weights."""

from __future__ import annotations

import hashlib

import torch
from torch import nn


def network_digest(network: nn.Module) -> str:
    """SHA-256 of names, types, shapes and values of a network's current weights, hexadecimal."""
    digest = hashlib.sha256()
    for name, tensor in sorted(network.state_dict().items()):
        digest.update(f"{name} {tensor.dtype} {list(tensor.shape)}\n".encode())
        flat = tensor.detach().cpu().contiguous().flatten()
        digest.update(flat.view(torch.uint8).numpy().data)
    return digest.hexdigest()
