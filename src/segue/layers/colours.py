"""ImageNet normalisation, and what the past of each pixel says.

The last is ours; for the planes of a scene see :class:`segue.sessions.empty_scene.Scene`.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from segue.layers.activated import ConvNormReLU, Stages
from segue.layers.residual import norm_relu

MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)
"""Mean and standard deviation of RGB in [0, 1] that ImageNet networks expect."""


def normalise(image: Tensor) -> Tensor:
    """(H, W, 3) uint8 → (1, 3, H, W) float32 with mean 0 and deviation 1 over ImageNet."""
    planes = zip(image.unbind(-1), MEAN, STD, strict=True)
    return torch.stack([(plane / 255 - mean) / std for plane, mean, std in planes])[None]


def normalise_planes(frames: Tensor) -> Tensor:
    """(N, 3, H, W) RGB in [0, 1] → the same with mean 0 and deviation 1 over ImageNet."""
    if frames.device.type != "cpu":  # where new constants would wait for the device
        planes = zip(frames.unbind(1), MEAN, STD, strict=True)
        return torch.stack([(plane - mean) / std for plane, mean, std in planes], 1)
    # Constants for whole rows: three values at a time take PyTorch ten times as long where channels are last.
    width = frames.shape[-1]
    rows: Tensor = frames.new_tensor((MEAN, STD)).repeat(1, width).view(2, width, 3)
    mean, std = rows.transpose(1, 2)[:, :, None].unbind()
    return (frames - mean) / std


def image_statistics() -> tuple[Tensor, Tensor]:
    """Mean and standard deviation as fresh (1, 3, 1, 1) tensors, to be kept as buffers."""
    return torch.tensor(MEAN).view(1, 3, 1, 1), torch.tensor(STD).view(1, 3, 1, 1)


CONTRAST = 4.0  # factor on the differences, which are small beside the features that they are joined with
PAST = (16, 24, 32, 32)  # channels of the maps of the past at strides 2, 4, 8 and 16
IMAGE = slice(3, 6)  # the planes of a scene that are its image


def past_cues(frame: Tensor, planes: Tensor, context: Sequence[Tensor]) -> Tensor:
    """Signed differences of a frame to its past, and what is known of each pixel.

    The frame (N, 3, H, W), the planes (N, 21, H, W), see :class:`segue.sessions.empty_scene.Scene`, and the K
    frames before it are in [0, 1].
    """
    # Plane by plane, where a few planes of many lie side by side in memory.
    frame, planes, *context = (each.contiguous() for each in (frame, planes, *context))
    low, median, high, low_all, median_all, high_all, shares = planes.split(3, 1)
    differences = [
        frame - frame.clamp(low, high),
        frame - frame.clamp(low_all, high_all),
        frame - median,
        frame - median_all,
        (high - low).amax(1, keepdim=True),
        (high_all - low_all).amax(1, keepdim=True),
        *(frame - other for other in context),
    ]
    # All at once: each copy of so many planes at full resolution is felt.
    noise = ((frame - median) / (high - low + QUANTISATION)).clamp(-MOST_NOISE_UNITS, MOST_NOISE_UNITS)
    cues = torch.cat([*differences, shares, noise], 1)
    cues[:, : sum(each.shape[1] for each in differences)].mul_(CONTRAST)
    return cues


NOISE_CUES = 3  # channels of the difference to the background in units of the noise of each pixel
QUANTISATION = 4 / 255  # added to a measured range: a few 8-bit frames do not show a narrower one
MOST_NOISE_UNITS = 3.0  # larger differences say nothing more


class PastPyramid(nn.Module):
    """Cues at full resolution → maps at strides 2, 4, 8 and 16."""

    def __init__(self, context: int) -> None:
        super().__init__()
        pairs = itertools.pairwise((17 + 3 * context + NOISE_CUES, *PAST))
        self.stages = Stages(ConvNormReLU(cin, cout, 3, stride=2) for cin, cout in pairs)

    def forward(self, cues: Tensor) -> list[Tensor]:
        """(N, cues, H, W) to maps (N, C, H/s, W/s) for s = 2, 4, 8, 16."""
        return self.stages(cues)

    def after_first(self, x: Tensor) -> list[Tensor]:
        """The same maps from the first of them, (N, C, H/2, W/2)."""
        return [x, *Stages(self.stages[1:])(x)]


class CuesByScene(nn.Module):
    """The first layer of a :class:`PastPyramid` as a sum over frame, context and scene, for inference."""

    def __init__(self, first: ConvNormReLU, context: int) -> None:
        super().__init__()
        weight, bias = first.conv.weight, first.conv.bias
        assert bias is not None
        inside, inside_all, median, median_all, widths, *beside, shares, noise = weight.split(
            (3, 3, 3, 3, 2, *[3] * context, 3, NOISE_CUES), 1
        )
        frame = CONTRAST * sum((inside, inside_all, median, median_all, *beside))
        bounded = -CONTRAST * inside, -CONTRAST * inside_all, noise
        self.frames = _halving([frame, *(-CONTRAST * each for each in beside), *bounded])
        self.scene = _halving(
            [-CONTRAST * median, -CONTRAST * median_all, CONTRAST * widths, shares, -noise], bias
        )

    def of_scene(self, planes: Tensor) -> tuple[Tensor, ...]:
        """Bounds of the cues, each (N, 9, H, W), units, (N, 3, H, W), and the scene's part, (N, C, h, w).

        ``planes``: (N, 21, H, W) in [0, 1], see :class:`segue.sessions.empty_scene.Scene`.
        """
        low, median, high, low_all, median_all, high_all, shares = planes.split(3, 1)
        unit = high - low + QUANTISATION
        reach = MOST_NOISE_UNITS * unit
        widths = [(top - bottom).amax(1, keepdim=True) for top, bottom in ((high, low), (high_all, low_all))]
        known = torch.cat([median, median_all, *widths, shares, median / unit], 1)
        own = self.scene(known.contiguous(memory_format=torch.channels_last))
        bounds = (low, low_all, median - reach), (high, high_all, median + reach)
        return *(torch.cat(parts, 1) for parts in bounds), 1 / unit, own

    def forward(self, frame: Tensor, context: Sequence[Tensor], scene: Sequence[Tensor]) -> Tensor:
        """The layer, (N, C, h, w), for a frame, context frames, each (N, 3, H, W), and a scene."""
        low, high, scale, known = scene
        planes = [frame, *context]
        # Plane by plane and put in order once: single pixels of few channels take four times as long.
        cues = frame.new_empty((len(frame), 3 * len(planes) + low.shape[1], *frame.shape[2:]))
        for place, each in enumerate(planes):
            cues[:, 3 * place : 3 * place + 3] = each
        pixels, bounded = cues[:, :3], cues[:, 3 * len(planes) :]
        for first in range(0, low.shape[1], 3):
            part = slice(first, first + 3)
            torch.clamp(pixels, low[:, part], high[:, part], out=bounded[:, part])
        bounded[:, -NOISE_CUES:].mul_(scale)
        return norm_relu(
            self.frames, nn.Identity(), cues.contiguous(memory_format=torch.channels_last), known
        )


def _halving(weights: Sequence[Tensor], bias: Tensor | None = None) -> nn.Conv2d:
    """A 3x3 convolution with stride 2 of weights (C, cin, 3, 3) side by side."""
    weight = torch.cat(list(weights), 1)
    conv = nn.Conv2d(weight.shape[1], weight.shape[0], 3, 2, 1, bias=bias is not None)
    conv.weight = nn.Parameter(weight.detach().clone(), requires_grad=False)
    if bias is not None:
        conv.bias = nn.Parameter(bias.detach().clone(), requires_grad=False)
    return conv
