"""The network or method of a session, by its name or as the caller has it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast, get_args

import torch
from torch import nn

from segue.errors import ArgumentError
from segue.flow import flow_provider
from segue.flow.providers import FlowName
from segue.models.base import ForegroundNetwork, InstanceNetwork, TrackNetwork, foreground_capabilities
from segue.registry import MODELS, NetworkTask
from segue.utils.inputs import kind_of
from segue.weights import Prepared, load_for, prepare

if TYPE_CHECKING:
    from segue.sessions.foreground.segmenters.base import Segmenter

_INTERFACES: dict[str, tuple[str, tuple[str, ...]]] = {
    "track": ("segue.models.base.TrackNetwork", ("schedule", "tracker")),
    "foreground": ("segue.models.base.ForegroundNetwork", ("encode", "decode", "context", "current")),
    "instances": ("segue.models.base.InstanceNetwork", ("encode", "decode", "class_logits", "mask_logits")),
}
"""By task the protocol that a network fulfils, and attributes that tell whether it does."""


def track_network(
    model: str | TrackNetwork | Prepared[TrackNetwork],
    weights: str | Path | None = None,
    *,
    device: str | int | torch.device | None = None,
    fast: bool = False,
) -> Prepared[TrackNetwork]:
    """A network for tracking, ready to run: by its name, or as the caller has it."""
    _check("track", model, weights)
    return prepare(model, weights, task="track", device=device, fast=fast)


def instance_network(
    model: str | InstanceNetwork | Prepared[InstanceNetwork],
    weights: str | Path | None = None,
    *,
    device: str | int | torch.device | None = None,
    fast: bool = False,
) -> Prepared[InstanceNetwork]:
    """A network that finds instances, ready to run: by its name, or as the caller has it."""
    _check("instances", model, weights)
    return prepare(model, weights, task="instances", device=device, fast=fast)


def foreground_segmenter(
    model: str | ForegroundNetwork | Prepared[ForegroundNetwork] | Segmenter,
    weights: str | Path | None = None,
    flow: FlowName | str | Path | None = None,
    flow_weights: str | Path | None = None,
    *,
    device: str | int | torch.device | None = None,
    fast: bool = False,
) -> Segmenter:
    """What segments frames: a network or method by its name, or as the caller has it.

    ``flow`` is how a network that looks at flow gets it: the name of a method, a folder of flow files that
    frames bring, or None for the network's own choice.
    """
    from segue.sessions.foreground.segmenters.base import NetworkSegmenter  # methods need no network

    if not isinstance(model, (str, nn.Module, Prepared)) and hasattr(model, "step"):
        return cast("Segmenter", model)
    _check("foreground", model, weights)
    named = isinstance(model, str)
    entry = MODELS.find(model) if isinstance(model, str) else None
    if isinstance(model, str) and entry is not None and entry.signature is None:
        return cast("Segmenter", load_for("foreground", model, weights))
    adapt = None
    if entry is not None and entry.needs_flow:
        from segue.sessions.foreground.segmenters.extra_inputs import FlowNetwork  # few networks look at flow

        adapt = FlowNetwork
    prepared = prepare(model, weights, task="foreground", device=device, fast=fast, adapt=adapt)
    provider = None
    if named and foreground_capabilities(prepared.network).flow:
        flow = getattr(prepared.network, "flow_name", None) or "dis" if flow is None else flow
        in_files = flow not in get_args(FlowName) and Path(flow).is_dir()
        provider = None if in_files else flow_provider(flow, flow_weights, prepared.device)
    return NetworkSegmenter(prepared, flow=provider)


def _check(task: NetworkTask, model: Any, weights: Any) -> None:
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
    """See that an argument is a path or None."""
    if value is not None and not isinstance(value, (str, os.PathLike)):
        raise ArgumentError(f"{name}: {kind_of(value)}; give the path of a file or folder")
