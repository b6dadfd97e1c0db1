"""segue-prompt: segment the object at a box, clicks, scribble or earlier mask, in one crop.

Prompts are drawn into planes and meet the features of the image only behind the encoder (late fusion), as in
the click networks after Sofiiuk et al., "Reviving Iterative Training with Mask Guidance for Interactive
Segmentation" (ICIP 2022), so that the features of a crop are kept while a person clicks. Beside the planes
themselves the decoder sees how much each place resembles what the prompts lie on. Several masks with a
predicted IoU each (the first is the answer) follow Kirillov et al., "Segment Anything" (ICCV 2023).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from segue.layers.activated import ConvNormReLU, Stages
from segue.layers.mobilenet import MobileNetV2Trunk

POSITIVE, NEGATIVE, BOX, PREVIOUS = range(4)
"""Prompt planes: positive disks and strokes, negative ones, the filled box, the previous mask."""

PLANES = 4
MASKS = 3
PROMPT_WIDTHS = (8, 16, 32, 64)
"""Channels of the prompt branch at strides 2, 4, 8 and 16."""

WIDTHS = (16, 32, 64, 128)
"""Channels of the decoder at strides 2, 4, 8 and 16."""

KEYS = (16, 32)
"""Key channels at strides 8 and 16."""

_STATISTICS = 2


class SeguePrompt(nn.Module):
    """Masks of one object in a square crop, side a multiple of 32, with predicted IoU."""

    size_multiple = 32

    def __init__(self) -> None:
        super().__init__()
        self.encoder = MobileNetV2Trunk(32)
        f2, f4, f8, f16, f32 = self.encoder.channels
        w2, w4, w8, w16 = WIDTHS
        p2, p4, p8, p16 = PROMPT_WIDTHS
        self.prompt = Stages(
            ConvNormReLU(cin, cout, 3, stride=2)
            for cin, cout in zip((PLANES, *PROMPT_WIDTHS[:-1]), PROMPT_WIDTHS, strict=True)
        )
        self.key8 = nn.Conv2d(f8, KEYS[0], 1)
        self.key16 = nn.Conv2d(f16 + f32, KEYS[1], 1)
        self.join16 = ConvNormReLU(f16 + f32 + p16 + PLANES, w16)
        self.context = nn.Sequential(Separable(w16, 5), Separable(w16, 5))
        self.blocks16 = nn.Sequential(*(Separable(w16, 5) for _ in range(3)))
        self.join8 = Join(w16, f8 + p8 + PLANES, w8)
        self.blocks8 = nn.Sequential(Separable(w8, 5), Separable(w8, 5))
        self.join4 = Join(w8, f4 + p4, w4)
        self.blocks4 = nn.Sequential(Separable(w4, 3), Separable(w4, 3))
        self.join2 = Join(w4, f2 + p2, w2)
        self.blocks2 = Separable(w2, 3)
        self.head = nn.Conv2d(w2, MASKS, 1)
        self.judge = nn.Sequential(nn.Linear(w16 + 2 * w8 + _STATISTICS, 64), nn.ReLU(), nn.Linear(64, 1))

    def encode(self, images: Tensor) -> tuple[Tensor, ...]:
        """Maps (N, C, h, w) at strides 2 to 32 of crops (N, 3, S, S) in [0, 1]; S is a multiple of 32."""
        return self.encoder(images * 2 - 1)

    def decode(self, features: tuple[Tensor, ...], prompts: Tensor) -> tuple[Tensor, Tensor]:
        """Decode logits (N, 3, S/2, S/2) of three candidate masks, and logits (N, 3) of their IoU.

        ``prompts``: planes (N, 4, S, S) in [0, 1], 0 where there is no prompt; see :data:`POSITIVE`.
        """
        f2, f4, f8, f16, f32 = features
        p2, p4, p8, p16 = self.prompt(prompts)
        deep = torch.cat([f16, F.interpolate(f32, size=f16.shape[-2:], mode="bilinear")], 1)
        x = self.join16(torch.cat([deep, p16, likeness(self.key16(deep), prompts)], 1))
        context = self.context(F.avg_pool2d(x, 2))
        x16 = self.blocks16(x + F.interpolate(context, size=x.shape[-2:], mode="bilinear"))
        x8 = self.blocks8(self.join8(x16, torch.cat([f8, p8, likeness(self.key8(f8), prompts)], 1)))
        x4 = self.blocks4(self.join4(x8, torch.cat([f4, p4], 1)))
        x2 = self.blocks2(self.join2(x4, torch.cat([f2, p2], 1)))
        masks = self.head(x2).contiguous()
        return masks, self._judged(masks.detach(), x16, x8)

    def forward(self, images: Tensor, prompts: Tensor) -> tuple[Tensor, Tensor]:
        """:meth:`encode` and :meth:`decode`."""
        return self.decode(self.encode(images), prompts)

    def _judged(self, masks: Tensor, x16: Tensor, x8: Tensor) -> Tensor:
        """Predict IoU logits (N, 3) from the crop, masked features and mask statistics."""
        probability = masks.float().sigmoid()
        hard = (probability > 0.5).float()
        certainty = (probability * hard).sum((2, 3)) / torch.maximum(probability, hard).sum((2, 3)).clamp(
            min=1
        )
        statistics = torch.stack([certainty, hard.mean((2, 3)).sqrt()], 2)
        weight = F.adaptive_avg_pool2d(probability, (x8.shape[2], x8.shape[3])).flatten(2)
        weight = weight / weight.sum(2, keepdim=True).clamp(min=1e-3)
        inside = weight @ x8.float().flatten(2).transpose(1, 2)
        image_features = torch.cat([x16.float().mean((2, 3)), x8.float().mean((2, 3))], 1)
        described = torch.cat([image_features[:, None].expand(-1, MASKS, -1), inside, statistics], 2)
        return self.judge(described.to(x16.dtype))[..., 0]


def likeness(keys: Tensor, prompts: Tensor) -> Tensor:
    """Cosine similarity (N, 4, h, w) of keys (N, C, h, w) to the mean key under prompts (N, 4, S, S)."""
    weights = F.adaptive_avg_pool2d(prompts.float(), (keys.shape[2], keys.shape[3])).flatten(2)
    is_prompted = (weights.amax(2, keepdim=True) > 0).float()
    kinds = [weights[:, k : k + 1] for k in range(PLANES)]
    kinds[BOX] = is_prompted[:, BOX : BOX + 1] - kinds[BOX]
    weights = torch.cat(kinds, 1)
    unit = F.normalize(keys.float().flatten(2), dim=1)
    # In float16, to which autocast turns products, a mean of nothing would be divided by 0.
    means = F.normalize((weights @ unit.transpose(1, 2)).float(), dim=2)
    similarity = ((means @ unit) * is_prompted).unflatten(2, keys.shape[2:]).to(keys.dtype)
    return similarity.contiguous(memory_format=torch.channels_last)  # as the maps that it stands beside


class Separable(nn.Module):
    """Depthwise and 1x1 convolution with a residual."""

    def __init__(self, width: int, kernel: int) -> None:
        super().__init__()
        self.depthwise = ConvNormReLU(width, width, kernel, groups=width)
        self.pointwise = ConvNormReLU(width, width)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, h, w) to the same."""
        return x + self.pointwise(self.depthwise(x))


class Join(nn.Module):
    """Enlarges a coarse map, and joins it with the next finer stride."""

    def __init__(self, below: int, skip: int, width: int) -> None:
        super().__init__()
        self.below = nn.Conv2d(below, width, 1)
        self.skip = ConvNormReLU(skip, width)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        """(N, below, h, w) and (N, skip, 2h, 2w) to (N, cout, 2h, 2w)."""
        y: Tensor = self.skip(skip)
        return y + F.interpolate(self.below(x), size=y.shape[-2:], mode="bilinear")
