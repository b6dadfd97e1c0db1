"""Foreground-background separability: a discriminator learns to tell true masks, the network to deceive it.

Thawakar et al., "MS-STS VIS" (ECCV 2022), section 3.3. What goes in, and how it is weighed, is our reading.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call

from segue.models.seqformer import Memory
from segue.models.seqformer.masks import to_maps

WEIGHT = 0.1
"""What the adversarial loss counts beside the others (our choice; the paper gives none)."""


def separability_losses(
    discriminator: nn.Module, memory: Memory, frames: Tensor, true: Tensor, predicted: Tensor
) -> tuple[Tensor, Tensor]:
    """Loss of the network and loss of the discriminator, from one forward pass.

    The network's loss does not reach the discriminator's parameters and the other way round, so that both can
    be added and differentiated at once.

    Args:
        discriminator: judges (frames, masks, features), see :class:`segue.models.msstsvis.Discriminator`.
        memory: of the clips.
        frames: normalised frames, (N, T, 3, H, W).
        true: foreground at stride 4, (N, T, h, w), bool.
        predicted: foreground at stride 4 in 0..1, of the same shape.
    """
    levels = to_maps(memory.tokens.flatten(0, 1), memory.levels.shapes, 3)
    size = levels[0].shape[-2:]
    pictures = F.interpolate(frames.flatten(0, 1), size, mode="bilinear", align_corners=False)
    real = true.flatten(0, 1)[:, None, ::2, ::2].to(pictures)
    fake = F.avg_pool2d(predicted.flatten(0, 1)[:, None], 2)
    frozen = {name: parameter.detach() for name, parameter in discriminator.named_parameters()}
    deceived = functional_call(discriminator, frozen, (pictures, fake, levels))
    apart = [level.detach() for level in levels]
    judged = discriminator(pictures, real, apart), discriminator(pictures, fake.detach(), apart)
    adversarial = F.binary_cross_entropy_with_logits(deceived, torch.ones_like(deceived))
    recognised = [
        F.binary_cross_entropy_with_logits(logits, torch.full_like(logits, target))
        for logits, target in zip(judged, (1.0, 0.0), strict=True)
    ]
    return adversarial, 0.5 * (recognised[0] + recognised[1])


def soft_union(logits: Sequence[Tensor], like: Tensor) -> Tensor:
    """Probability that any object has a pixel, (N, T, h, w), from mask logits (n, T, h, w) of each clip.

    Computed as ``1 - exp(-Σ softplus(logit))``, which stays exact for logits of thousands.
    """
    unions = [
        1 - torch.exp(-F.softplus(masks).sum(0)) if len(masks) else torch.zeros_like(empty)
        for masks, empty in zip(logits, like, strict=True)
    ]
    return torch.stack(unions)
