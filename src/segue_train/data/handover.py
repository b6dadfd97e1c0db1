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
"""Free bytes of shared memory from which on tensors go through it; Docker gives 64 MB in all."""


def hand_over(batch: Any) -> dict[str, Any]:
    """Convert a batch in the worker: to tensors, or to arrays that go through its pipe.

    A tensor for which shared memory has no room is lost in a thread of PyTorch, and the training would wait
    for it for ever.
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
