"""ImageNet normalisation, and cues from the past of each pixel.

The last is ours; for the planes of a scene see :class:`segue.sessions.foreground.background.quantiles.Scene`.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any, cast

import cv2
import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import skip_init

from segue.layers.activated import ConvNormReLU, PreparedConv, Stages
from segue.layers.residual import NO_NORM, norm_relu
from segue.utils.arrays import Float32Array

MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)
"""Mean and standard deviation of RGB in [0, 1] that ImageNet networks expect."""

SCENE_PLANES = 21
"""Number of planes of the background model."""

RECURRENCE_PLANES = 6
"""Number of planes with the frequency of a frame's colours, and of foreground, at each place before."""

LEVELS = 255
"""Steps of an unsigned 8-bit number."""


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
    """Mean and standard deviation as new (1, 3, 1, 1) tensors, for buffers."""
    return torch.tensor(MEAN).view(1, 3, 1, 1), torch.tensor(STD).view(1, 3, 1, 1)


CONTRAST = 4.0  # factor on the differences, which are small beside the features that they are joined with
PAST = (16, 24, 32, 32)  # channels of the maps of the past at strides 2, 4, 8 and 16
IMAGE = slice(3, 6)  # the planes of a scene that are its image


def past_cues(frame: Tensor, planes: Tensor, context: Sequence[Tensor]) -> Tensor:
    """Signed differences of a frame to its past, and the statistics of each pixel.

    The frame (N, 3, H, W), the planes (N, 21, H, W), see :class:`.quantiles.Scene`, and the K
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
    noise = ((frame - median) / (high - low + QUANTISATION)).clamp(-MAX_NOISE_UNITS, MAX_NOISE_UNITS)
    cues = torch.cat([*differences, shares, noise], 1)
    cues[:, : sum(each.shape[1] for each in differences)].mul_(CONTRAST)
    return cues


NOISE_CUES = 3  # channels of the difference to the background in units of the noise of each pixel
QUANTISATION = 4 / 255  # added to a measured range: a few 8-bit frames do not show a narrower one
MAX_NOISE_UNITS = 3.0  # larger differences say nothing more


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
        """Continue from the first map, (N, C, H/2, W/2)."""
        return [x, *Stages(self.stages[1:])(x)]


NOISE_LEVELS = 42.0  # of 8 bits for a unit of noise: the largest differences still fit
NO_NOISE = 128.0  # level of a pixel that is as its median


class CuesByScene(nn.Module):
    """First layer of a :class:`PastPyramid` as a sum over frame, context and scene, for inference.

    It takes images of 8 bits, whose pixels are packed: four channels, the last one of no weight, are one
    number, so that they are copied side by side without a look at each.

    Attributes:
        fine_int8: layers whose pixels and weights, of two parts, lose nothing in 8-bit integers.
        in_int8: whether they compute in 8-bit integers; noise has 42 steps then.
    """

    fine_int8 = ("frames",)

    def __init__(self, first: ConvNormReLU, context: int) -> None:
        super().__init__()
        weight, bias = first.conv.weight, first.conv.bias
        assert bias is not None
        inside, inside_all, median, median_all, widths, *outside, shares, noise = weight.split(
            (3, 3, 3, 3, 2, *[3] * context, 3, NOISE_CUES), 1
        )
        frame = CONTRAST * sum((inside, inside_all, median, median_all, *outside))
        bounded = -CONTRAST * inside, -CONTRAST * inside_all
        pixels = [each / LEVELS for each in (frame, *(-CONTRAST * each for each in outside), *bounded)]
        parts = [F.pad(each, (0, 0, 0, 0, 0, 1)) for each in (*pixels, noise / NOISE_LEVELS)]
        self.frames: nn.Module = _halving(parts)
        usual = -NO_NOISE / NOISE_LEVELS * noise.sum(1, keepdim=True)
        scene_weights = -CONTRAST * median, -CONTRAST * median_all, CONTRAST * widths, shares, usual
        self.scene = _halving([each / LEVELS for each in scene_weights], bias)
        self.in_int8 = False

    def of_scene(self, planes: Tensor) -> tuple[Tensor, ...]:
        """Bounds of the cues, factor and summand of the noise, and the scene's part, (N, C, h, w).

        ``planes``: (N, 21, H, W) in [0, 1], see :class:`.quantiles.Scene`. Bounds are packed,
        (N, 3, H, W); what gives the levels of the noise is packed, too, (N, 1, H, W).
        """
        levels = [_levels_of(scene) for scene in planes.contiguous().numpy()]
        *bounds_and_noise, cues = (torch.from_numpy(np.stack(each)) for each in zip(*levels, strict=True))
        return *bounds_and_noise, self.scene(cues.permute(0, 3, 1, 2).float())

    def forward(self, frame: Tensor, context: Sequence[Tensor], scene: Sequence[Tensor]) -> Tensor:
        """Apply the layer, (N, C, h, w), to a frame and context, each packed, (N, 1, H, W), and a scene."""
        low, high, scale, shift, cues = scene
        pixels = frame.contiguous().view(torch.uint8)
        bounded = torch.clamp(pixels, low.view(torch.uint8), high.view(torch.uint8))
        noise = torch.addcmul(shift.view(torch.float32), bounded[:, -1:].float(), scale.view(torch.float32))
        planes = [frame, *context, *bounded.view(torch.int32).split(1, 1)]
        if self.in_int8:
            planes[-1] = noise.round_().to(torch.uint8).view(torch.int32)
        rows = frame.new_empty(len(frame), *frame.shape[2:], len(planes))
        for place, each in enumerate(planes):
            rows[..., place] = each[:, 0]
        rows = rows.view(torch.uint8)
        if not self.in_int8:
            rows = rows.float()
            # Four floats at a time, as above four bytes.
            rows.view(torch.complex128)[..., -1] = noise.view(torch.complex128)[:, 0]
        return norm_relu(cast(PreparedConv, self.frames), NO_NORM, rows.permute(0, 3, 1, 2), cues)


def packed_image(frames: Tensor) -> Tensor:
    """Pack 8-bit images, (N, 3, H, W) in [0, 1], into one number of four bytes per pixel, (N, 1, H, W)."""
    images = frames.permute(0, 2, 3, 1).contiguous().numpy()
    levels = (cv2.convertScaleAbs(image, alpha=LEVELS) for image in images)
    wide = np.stack([np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2RGBA), np.uint8) for image in levels])
    return torch.from_numpy(wide.view(np.int32)[..., 0])[:, None]


def _packed(planes: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Pack three planes, (3, H, W), uint8 or float32, into one number of four values per pixel, (H, W)."""
    wide = cv2.merge([*planes, np.zeros_like(planes[0])])
    return np.asarray(wide.view(np.int32 if planes.dtype == np.uint8 else np.complex128)[..., 0])


def _levels_of(scene: Float32Array) -> tuple[npt.NDArray[Any], ...]:
    """:meth:`CuesByScene.of_scene` for one scene, (21, H, W) in [0, 1].

    The last are levels that its part is made of, (H, W, 12).
    """
    _, height, width = scene.shape
    levels = np.asarray(cv2.convertScaleAbs(scene.reshape(-1, width), alpha=LEVELS))
    low, median, high, low_all, median_all, high_all, shares = levels.reshape(7, 3 * height, width)
    spread = cv2.subtract(high, low)
    unit = np.arange(256) + LEVELS * QUANTISATION
    reach = cv2.LUT(spread, np.minimum(np.rint(MAX_NOISE_UNITS * unit), LEVELS).astype(np.uint8))
    scale = np.asarray(cv2.LUT(spread, (NOISE_LEVELS / unit).astype(np.float32)))
    bounds = (low, low_all, cv2.subtract(median, reach)), (high, high_all, cv2.add(median, reach))
    shape = (3, height, width)
    packed = (np.stack([_packed(np.asarray(each).reshape(shape)) for each in side]) for side in bounds)
    shift = np.float32(NO_NOISE) - median * scale
    widths = (np.asarray(each).reshape(shape).max(0) for each in (spread, cv2.subtract(high_all, low_all)))
    planes = *median.reshape(shape), *median_all.reshape(shape), *widths, *shares.reshape(shape)
    cues = np.asarray(cv2.merge([*planes, np.full_like(planes[0], LEVELS)]))
    return *packed, *(_packed(each.reshape(shape))[None] for each in (scale, shift)), cues


def _halving(weights: Sequence[Tensor], bias: Tensor | None = None) -> nn.Conv2d:
    """A 3x3 convolution with stride 2 from weights (C, cin, 3, 3)."""
    weight = torch.cat(list(weights), 1)
    # Without random weights, which would take numbers from the generator of the program.
    conv: nn.Conv2d = skip_init(
        nn.Conv2d, weight.shape[1], weight.shape[0], 3, stride=2, padding=1, bias=bias is not None
    )
    conv.weight = nn.Parameter(weight.detach().clone(), requires_grad=False)
    if bias is not None:
        conv.bias = nn.Parameter(bias.detach().clone(), requires_grad=False)
    return conv
