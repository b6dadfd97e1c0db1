"""The network or method of a session, by its name or as the caller has it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast, get_args

from torch import nn

from segue.errors import ArgumentError
from segue.flow import flow_provider
from segue.flow.providers import FlowName
from segue.inputs import kind_of
from segue.models.base import ForegroundNetwork, InstanceNetwork, TrackNetwork, foreground_capabilities
from segue.registry import MODELS, NetworkTask
from segue.weights import load_for

if TYPE_CHECKING:
    from segue.sessions.segmenters import Segmenter

_INTERFACES: dict[str, tuple[str, tuple[str, ...]]] = {
    "track": ("segue.models.base.TrackNetwork", ("schedule", "tracker")),
    "foreground": ("segue.models.base.ForegroundNetwork", ("encode", "decode", "context", "current")),
    "instances": ("segue.models.base.InstanceNetwork", ("encode", "decode", "class_logits", "mask_logits")),
}
"""By task the protocol that a network fulfils, and attributes that tell whether it does."""


def track_network(model: str | TrackNetwork, weights: str | Path | None = None) -> TrackNetwork:
    """A network for tracking, by its name, or as it is."""
    return cast(TrackNetwork, _network("track", model, weights))


def instance_network(model: str | InstanceNetwork, weights: str | Path | None = None) -> InstanceNetwork:
    """A network that finds instances, by its name, or as it is."""
    return cast(InstanceNetwork, _network("instances", model, weights))


def foreground_model(
    model: str | ForegroundNetwork | Segmenter,
    weights: str | Path | None = None,
    flow: FlowName | str | Path | None = None,
    flow_weights: str | Path | None = None,
) -> ForegroundNetwork | Segmenter:
    """A network or method for foreground, by its name, or as it is."""
    if not isinstance(model, str):
        if isinstance(model, nn.Module) or not hasattr(model, "step"):
            _network("foreground", model, weights)
        return model
    network = load_for("foreground", model, weights)
    takes_flow = isinstance(network, nn.Module) and foreground_capabilities(network).flow
    if not takes_flow and not MODELS.find(model).needs_flow:
        return cast("ForegroundNetwork | Segmenter", network)
    flow = getattr(network, "flow_name", None) or "dis" if flow is None else flow
    from segue.sessions.extra_inputs import FlowNetwork, computing_flow  # late, as flow is rare

    if MODELS.find(model).needs_flow:
        network = FlowNetwork(network)
    in_files = flow not in get_args(FlowName) and Path(flow).is_dir()
    return network if in_files else computing_flow(network, flow_provider(flow, flow_weights))


def _network(task: NetworkTask, model: Any, weights: Any) -> Any:
    if isinstance(model, str):
        check_path("weights", weights)
        return load_for(task, model, weights)
    protocol, names = _INTERFACES[task]
    missing = [name for name in names if not hasattr(model, name)]
    if missing or isinstance(model, type):
        fitting = ", ".join(entry.name for entry in MODELS if entry.task == task)
        raise ArgumentError(
            f"model: {kind_of(model)}; give a name ({fitting}) or a network with the interface of {protocol}"
        )
    return model


def check_path(name: str, value: object) -> None:
    """See that an argument is a path or None."""
    if value is not None and not isinstance(value, (str, os.PathLike)):
        raise ArgumentError(f"{name}: {kind_of(value)}; give the path of a file or folder")
