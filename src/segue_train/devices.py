"""Processes of a training: started here or by ``torchrun``."""

from __future__ import annotations

import os
from dataclasses import dataclass

import torch

from segue.errors import TrainingError


@dataclass(frozen=True, slots=True)
class Devices:
    """Processes of a training, each with a device."""

    local: int
    nodes: int = 1

    @property
    def total(self) -> int:
        """All of them; a step takes batches of each."""
        return self.local * self.nodes


def devices_of(wanted: int) -> Devices:
    """The processes of a training that is asked for so many devices on a machine."""
    if not torch.distributed.is_available() or not torch.distributed.is_torchelastic_launched():
        return Devices(wanted)
    local, world = int(os.environ["LOCAL_WORLD_SIZE"]), int(os.environ["WORLD_SIZE"])
    if wanted not in (1, local):
        raise TrainingError(
            f"--devices {wanted}, but torchrun started {local} on this machine; leave out --devices"
        )
    if world % local:
        raise TrainingError(
            f"{world} processes in all cannot be {local} on each machine; start as many on each"
        )
    return Devices(local, world // local)
