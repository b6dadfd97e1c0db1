"""ImageNet normalisation, and what the past of each pixel says.

The last is ours; for the planes of a scene see :class:`segue.sessions.empty_scene.Scene`.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from segue.layers.activated import ConvNormReLU, Stages

MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)
"""Mean and standard deviation of RGB in [0, 1] that ImageNet networks expect."""


def normalise(image: Tensor) -> Tensor:
    """(H, W, 3) uint8 → (1, 3, H, W) float32 with mean 0 and deviation 1 over ImageNet.

    The constants stay numbers of the program: as buffers they would be rounded with a network that is cast
    to half precision.

    Args:
        image: RGB (H, W, 3), values of 0 to 255.

    Returns:
        (1, 3, H, W), float32.
    """
    planes = zip(image.unbind(-1), MEAN, STD, strict=True)
    return torch.stack([(plane / 255 - mean) / std for plane, mean, std in planes])[None]


def normalise_planes(frames: Tensor) -> Tensor:
    """(N, 3, H, W) RGB in [0, 1] → the same with mean 0 and deviation 1 over ImageNet.

    Args:
        frames: RGB (N, 3, H, W), in [0, 1].

    Returns:
        (N, 3, H, W).
    """
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
PICTURE = slice(3, 6)  # the planes of a scene that are its picture


def past_cues(
    frame: Tensor, planes: Tensor, context: Sequence[Tensor], *, noise_units: bool = False
) -> Tensor:
    """Signed differences of a frame to its past, and what is known of each pixel.

    The frame (N, 3, H, W), the planes (N, 21, H, W), see :class:`segue.sessions.empty_scene.Scene`, and the K
    frames before it are in [0, 1].

    Args:
        frame: (N, 3, H, W), in [0, 1].
        planes: (N, 21, H, W), in [0, 1].
        context: K earlier frames (N, 3, H, W), in [0, 1].
        noise_units: append differences in units of each pixel's noise.

    Returns:
        (N, 17 + 3 K, H, W): distances to the range of what was background and of all that was there, 0
        inside; differences to both medians; widths of both ranges, largest of the three colours; differences
        to the context; shares of foreground and changes, and number of frames. With ``noise_units``
        :func:`noise_cues` come after them.
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
    more = [noise_cues(frame, planes)] if noise_units else []
    cues = torch.cat([*differences, shares, *more], 1)
    cues[:, : sum(each.shape[1] for each in differences)].mul_(CONTRAST)
    return cues


NOISE_CUES = 3  # channels of :func:`noise_cues`
QUANTISATION = 4 / 255  # added to a measured range: a few 8-bit frames do not show a narrower one
MOST_NOISE_UNITS = 3.0  # larger differences say nothing more


def noise_cues(frame: Tensor, planes: Tensor) -> Tensor:
    """Signed differences of a frame to the background in units of the noise of each pixel.

    The unit is the width of the 10-90 % range of the background, 2.56 standard deviations of normal noise,
    plus :data:`QUANTISATION`. A difference of eight levels is none on a noisy pixel, and a clear one in fog.

    Args:
        frame: (N, 3, H, W) in [0, 1].
        planes: (N, 21, H, W) in [0, 1], see :class:`segue.sessions.empty_scene.Scene`.

    Returns:
        (N, 3, H, W) in [-3, 3].
    """
    low, median, high = planes[:, 0:3], planes[:, 3:6], planes[:, 6:9]
    return ((frame - median) / (high - low + QUANTISATION)).clamp(-MOST_NOISE_UNITS, MOST_NOISE_UNITS)


class PastPyramid(nn.Module):
    """Cues at full resolution → maps at strides 2, 4, 8 and 16.

    Args:
        context: number of context frames that the cues compare with, see :func:`past_cues`.
        more: channels of other cues after those.
    """

    def __init__(self, context: int, more: int = 0) -> None:
        super().__init__()
        pairs = itertools.pairwise((17 + 3 * context + more, *PAST))
        self.stages = Stages(ConvNormReLU(cin, cout, 3, stride=2) for cin, cout in pairs)

    def forward(self, cues: Tensor) -> list[Tensor]:
        """(N, cues, H, W) to maps (N, C, H/s, W/s) for s = 2, 4, 8, 16."""
        return self.stages(cues)
