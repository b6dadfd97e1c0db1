"""Loss of FgSegNet_v2: cross-entropy as it was meant, and the loss that the released code ran with.

The code calls its backend's cross-entropy with labels and probabilities exchanged (Keras 2.0.6 takes the
output first). What it minimised is, for each pixel, the cross-entropy of the *probability* as a target under
the *label* as a certain prediction: a line in the probability, ``15.942 (1 - p)`` where something moves and
``16.118 p`` elsewhere, thus a scaled absolute difference. Its weights for rare classes were passed in a form
that this version ignores.
"""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

CLIP = 1e-7
"""Distance of probabilities from 0 and 1."""

Kind = Literal["bce", "l1_as_run"]
ClassWeight = Literal["none", "balanced"]


def fgsegnet_loss(
    probability: Tensor,
    target: Tensor,
    known: Tensor,
    kind: Kind = "bce",
    class_weight: ClassWeight = "none",
) -> Tensor:
    """Mean over the known pixels of the batch; 0 where none is known.

    Args:
        probability: of foreground, (N, H, W) in [0, 1].
        target: 1 where something moves, else 0, (N, H, W).
        known: 0 where a pixel takes no part, else 1, (N, H, W).
        kind: ``bce`` is what was meant (ours by default), ``l1_as_run`` what the release ran with.
        class_weight: ``balanced`` weighs the classes of each picture by ``n / (2 n_c)``, as was meant.
    """
    if kind == "bce":
        losses = _entropy(prediction=probability, truth=target)
    else:
        losses = _entropy(prediction=target, truth=probability)
    weight = known * balanced_weights(target, known) if class_weight == "balanced" else known
    return (losses * weight).sum() / known.sum().clamp(min=1)


def balanced_weights(target: Tensor, known: Tensor) -> Tensor:
    """Weights of the pixels, (N, H, W): classes count equally in each picture, and the weights have mean 1.

    A picture with one class has weight 1/2 everywhere, by the formula.
    """
    pixels = known.sum((-1, -2), keepdim=True)
    moving = (known * target).sum((-1, -2), keepdim=True)
    own = torch.where(target > 0, moving, pixels - moving)
    return pixels / (2 * own.clamp(min=1))


def _entropy(*, prediction: Tensor, truth: Tensor) -> Tensor:
    """Cross-entropy by way of the log-odds of the clipped prediction, as Keras computes it."""
    clipped = prediction.clamp(CLIP, 1 - CLIP)
    return F.binary_cross_entropy_with_logits(torch.log(clipped / (1 - clipped)), truth, reduction="none")
