"""Resolve the network of a session: a name, a network or a prepared one."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch

from segue.errors import ArgumentError
from segue.models.base import InstanceNetwork, TrackNetwork
from segue.registry import MODELS, NetworkTask
from segue.utils.inputs import kind_of
from segue.weights import Prepared, prepare

_INTERFACES: dict[str, tuple[str, tuple[str, ...]]] = {
    "track": ("segue.models.base.TrackNetwork", ("schedule", "tracker")),
    "foreground": ("segue.models.base.ForegroundNetwork", ("encode", "decode", "context", "current")),
    "instances": ("segue.models.base.InstanceNetwork", ("encode", "decode", "class_logits", "mask_logits")),
}
"""Protocol of networks by task, and the attributes that identify it."""


def track_network(
    model: str | TrackNetwork | Prepared[TrackNetwork],
    weights: str | Path | None = None,
    *,
    device: str | int | torch.device | None = None,
    fast: bool = False,
) -> Prepared[TrackNetwork]:
    """Prepare a tracking network given by name or object."""
    check_network("track", model, weights)
    return prepare(model, weights, task="track", device=device, fast=fast)


def instance_network(
    model: str | InstanceNetwork | Prepared[InstanceNetwork],
    weights: str | Path | None = None,
    *,
    device: str | int | torch.device | None = None,
    fast: bool = False,
) -> Prepared[InstanceNetwork]:
    """Prepare an instance network given by name or object."""
    check_network("instances", model, weights)
    return prepare(model, weights, task="instances", device=device, fast=fast)


def check_network(task: NetworkTask, model: Any, weights: Any) -> None:
    """Raise ArgumentError unless a model is a name, or a network with the interface of a task."""
    if isinstance(model, str):
        check_path("weights", weights)
        return
    network = model.network if isinstance(model, Prepared) else model
    protocol, names = _INTERFACES[task]
    missing = [name for name in names if not hasattr(network, name)]
    if missing or isinstance(network, type):
        fitting = ", ".join(entry.name for entry in MODELS if entry.task == task)
        raise ArgumentError(
            f"model: {kind_of(network)}; give a name ({fitting}) or a network with the interface of "
            f"{protocol}"
        )


def check_path(name: str, value: object) -> None:
    """Raise ArgumentError unless an argument is a path or None."""
    if value is not None and not isinstance(value, (str, os.PathLike)):
        raise ArgumentError(f"{name}: {kind_of(value)}; give the path of a file or folder")
