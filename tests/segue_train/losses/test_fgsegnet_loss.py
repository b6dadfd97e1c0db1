"""The losses of FgSegNet_v2: what was meant, and what the released code ran with."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from segue.models.fgsegnet import FgSegNetV2
from segue_train.losses.masks import fgsegnet_loss
from tests.fill import fill
from tests.golden_arrays import Golden

GoldenReader = Callable[[str], Golden]


def test_fgsegnet_losses_equal_the_release(golden: GoldenReader) -> None:
    expected = golden("fgsegnet_v2")
    network = FgSegNetV2()
    fill(network, "fgsegnet_v2")
    with torch.inference_mode():
        probability = torch.sigmoid(network(torch.from_numpy(expected["image_u8"]).float() / 255))[0]
    labels = torch.from_numpy(expected["loss.gt"])[None]
    target, known = labels.clamp(min=0), (labels >= 0).float()
    for kind, key in (("bce", "loss.standard"), ("l1_as_run", "loss.keras206_as_run")):
        kind_: Any = kind
        np.testing.assert_allclose(fgsegnet_loss(probability, target, known, kind_), expected[key], rtol=1e-5)
