"""stcn-lite with weights that anybody can regenerate: untrained, but every object leaves its mark."""

from __future__ import annotations

import numpy as np
import torch

from segue.models.stcn_lite import STCNLite
from tests.fill import fill_value


def lively_lite() -> STCNLite:
    """A network in evaluation mode, whose masks depend on picture, given masks and memory."""
    network = STCNLite()
    with torch.no_grad():
        for name, tensor in network.state_dict().items():
            tensor.copy_(torch.from_numpy(fill_value(name, tuple(tensor.shape)).astype(np.float32)))
        # Keys close to one another mix frames; log-odds around zero let all objects be seen.
        network.key_proj.weight *= 0.3
        network.value_encoder.conv1.weight[:, 3:] *= 8
        network.decoder.pred.weight *= 0.3
        network.decoder.pred.bias -= 1
    return network.eval()
