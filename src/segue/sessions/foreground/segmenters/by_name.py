"""Create the segmenter of a foreground session from a name, a network or a segmenter."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any, cast, get_args

import torch
from torch import nn

from segue.errors import ArgumentError
from segue.flow import flow_provider
from segue.flow.providers import FlowName
from segue.models.base import ForegroundNetwork, foreground_capabilities
from segue.models.hofam import HOFAM
from segue.registry import MODELS
from segue.sessions.foreground.segmenters.base import NetworkSegmenter, Segmenter
from segue.sessions.foreground.segmenters.extra_inputs import FlowNetwork
from segue.sessions.networks import check_network
from segue.weights import Prepared, load_for, prepare
from segue.weights.prepared import running_options


def foreground_segmenter(
    model: str | ForegroundNetwork | HOFAM | Prepared[ForegroundNetwork] | Segmenter,
    weights: str | Path | None = None,
    flow: FlowName | str | Path | None = None,
    flow_weights: str | Path | None = None,
    *,
    device: str | int | torch.device | None = None,
    fast: bool = False,
    frames: int | None = None,
) -> Segmenter:
    """Create a segmenter from the name of a network or method, a network, or a segmenter.

    ``flow``: source of optical flow: the name of a method, a folder of flow files that come with the frames,
    or None for the network's default. ``frames``: length of a window, if it differs from training.
    """
    if not isinstance(model, (str, nn.Module, Prepared)) and hasattr(model, "step"):
        return cast(Segmenter, model)
    is_from_registry = isinstance(model, (str, HOFAM))
    if isinstance(model, HOFAM):  # as segue.load gives it
        device, fast = running_options(model, device, fast)
        model = FlowNetwork(model)
    check_network("foreground", model, weights)
    entry = MODELS.find(model) if isinstance(model, str) else None
    if isinstance(model, str) and entry is not None and entry.signature is None:
        method = load_for("foreground", model, weights)
        return cast(Segmenter, method if frames is None else _window_of(frames)(method))
    adapt: Callable[[Any], Any] | None = None
    if entry is not None and entry.needs_flow:
        adapt = FlowNetwork
    if frames is not None:
        adapt = _window_of(frames)
        if not isinstance(model, str):
            network = model.network if isinstance(model, Prepared) else model
            model = cast(ForegroundNetwork, adapt(deepcopy(network)))
    prepared = prepare(model, weights, task="foreground", device=device, fast=fast, adapt=adapt)
    provider = None
    if is_from_registry and foreground_capabilities(prepared.network).flow:
        flow = getattr(prepared.network, "flow_name", None) or "dis" if flow is None else flow
        in_files = flow not in get_args(FlowName) and Path(flow).is_dir()
        provider = None if in_files else flow_provider(flow, flow_weights, prepared.device)
    return NetworkSegmenter(prepared, flow=provider)


@cache
def _window_of(frames: int) -> Callable[[Any], Any]:
    """Function that adapts a network to another window length than in training; one per length."""

    def use_window(network: Any) -> Any:
        if not hasattr(network, "use_window"):
            raise ArgumentError(f"frames={frames}: only mustan2 takes other windows than in its training")
        try:
            network.use_window(frames)
        except ValueError as error:
            raise ArgumentError(f"frames={frames}: {error}") from None
        return network

    return use_window
