"""Processes of a training: started here or by ``torchrun``."""

from __future__ import annotations

import os

import torch

from segue.errors import TrainingError


def devices_of(wanted: int) -> tuple[int, int]:
    """Devices of each machine, and machines, of a training that is asked for so many devices on a machine."""
    if not torch.distributed.is_available() or not torch.distributed.is_torchelastic_launched():
        return wanted, 1
    local, world = int(os.environ["LOCAL_WORLD_SIZE"]), int(os.environ["WORLD_SIZE"])
    if wanted not in (1, local):
        raise TrainingError(
            f"--devices {wanted}, but torchrun started {local} on this machine; leave out --devices"
        )
    if world % local:
        raise TrainingError(
            f"{world} processes in all cannot be {local} on each machine; start as many on each"
        )
    return local, world // local
