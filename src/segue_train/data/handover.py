"""Pass batches from worker processes, even with little shared memory, as in containers."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import default_convert

SHARED_MEMORY = Path("/dev/shm")  # where Linux has it; nothing is written by a name
MIN_FREE = 512 << 20
"""Minimum free bytes of shared memory for passing tensors through it; Docker provides 64 MB."""


def hand_over(batch: Any) -> dict[str, Any]:
    """Convert a batch in a worker: to tensors, or to arrays that are sent through its pipe.

    If shared memory is full, PyTorch loses the tensor in a thread, and the training would wait for ever.
    """
    tensors: dict[str, Any] = default_convert(batch)
    if not SHARED_MEMORY.is_dir() or shutil.disk_usage(SHARED_MEMORY).free >= MIN_FREE:
        return tensors
    return {name: value.numpy() if isinstance(value, Tensor) else value for name, value in tensors.items()}


def take_over(batch: dict[str, Any]) -> dict[str, Tensor]:
    """Convert a batch of :func:`hand_over` to tensors."""
    return {
        name: torch.from_numpy(value) if isinstance(value, np.ndarray) else value
        for name, value in batch.items()
    }
