"""Small networks with weights that anybody can regenerate: untrained, but every object leaves its mark."""

from __future__ import annotations

from functools import cache

import numpy as np
import torch

from segue.models.msstsvis.lite import MSSTSVISLite
from segue.models.stcn import STCNLite
from segue.weights import Prepared, load, prepare
from tests.fill import fill_value

_PREPARED: list[Prepared[STCNLite]] = []
"""Stays as long as the network does."""


@cache
def lively_lite() -> STCNLite:
    """A network in evaluation mode, whose masks depend on image, prompts and memory; do not change it.

    Making it, and arranging its weights in the first frames, takes longer than most sessions of a test.
    """
    network = STCNLite()
    with torch.no_grad():
        for name, tensor in network.state_dict().items():
            tensor.copy_(torch.from_numpy(fill_value(name, tuple(tensor.shape)).astype(np.float32)))
        # Keys close to one another mix frames; log-odds around zero let all objects be seen.
        network.key_proj.weight *= 0.3
        network.value_encoder.conv1.weight[:, 3:] *= 8
        network.decoder.pred.weight *= 0.3
        network.decoder.pred.bias -= 1
    _PREPARED.append(prepare(network.eval(), device="cpu"))
    return network


def lively_instances(parts: str = "") -> MSSTSVISLite:
    """A network in evaluation mode on the detector that comes with segue, that finds something everywhere."""
    torch.manual_seed(0)
    network = MSSTSVISLite(parts)
    network.detector.load_state_dict(load("nanodet").state_dict())
    return network.eval()
