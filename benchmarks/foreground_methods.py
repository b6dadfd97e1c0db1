"""The ways to find foreground that the benchmarks compare, by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import cast

import torch
from torch import nn

from segue.models.foreground import ForegroundNetwork
from segue.moving import make_model
from segue.sessions.foreground import ForegroundSession
from segue.sessions.segmenters import Segmenter
from segue.sessions.subtractors import BackgroundDifference, FrameDifference, Subtractor
from segue.weights.catalogue import find

CLASSICAL: Mapping[str, Callable[[], Segmenter]] = {
    "mog2": lambda: Subtractor("mog2", median=1),
    "mog2, median 5": lambda: Subtractor("mog2", median=5),
    "mog2 100, rate .001, median 9": lambda: Subtractor("mog2", threshold=100, learning_rate=0.001, median=9),
    "knn": lambda: Subtractor("knn", threshold=400, median=1),
    "knn, median 9": lambda: Subtractor("knn", threshold=400, median=9),
    "knn 800, median 9": lambda: Subtractor("knn", threshold=800, median=9),
    "median": BackgroundDifference,
    "difference": FrameDifference,
}
"""OpenCV's subtractors with several settings, and plain differences."""


def session(
    method: str,
    *,
    weights: Path | None = None,
    align: bool = True,
    device: str = "cpu",
    fast: bool = False,
    untrained: bool = False,
) -> ForegroundSession:
    """A fresh session.

    Args:
        method: a key of :data:`CLASSICAL`, or the name of a network.
        weights: weight file of the network; None takes the bundled one.
        align: hold a shaken camera still.
        device: for networks.
        fast: bfloat16.
        untrained: take the network with random weights, to time it.
    """
    if method in CLASSICAL:
        return ForegroundSession(CLASSICAL[method](), align=align)
    model = make_model(_random(method)) if untrained else make_model(method, weights)
    return ForegroundSession(cast(ForegroundNetwork, model), align=align, device=device, fast=fast)


def _random(name: str) -> ForegroundNetwork:
    torch.manual_seed(0)
    network: nn.Module = find(name).build()
    return cast(ForegroundNetwork, network.eval())
