"""Map images, points and masks between a video and the square input of SAM 2."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import PIL.Image
import torch
import torch.nn.functional as F
from torch import Tensor

from segue.layers.colours import normalise_planes
from segue.models.sam2.masks import BOTTOM_RIGHT, NEGATIVE, POSITIVE, TOP_LEFT
from segue.types import Box, Image, Point
from segue.utils.devices import to_device


def video_image(image: Image, side: int, device: torch.device) -> Tensor:
    """Resize a frame to (1, 3, side, side) on a device: bicubic, 8 bits, like Pillow in the release.

    A GPU resizes the frame itself; a value may differ by two of 255 steps.
    """
    if device.type in ("cpu", "mps"):
        resized = PIL.Image.fromarray(image).resize((side, side), PIL.Image.Resampling.BICUBIC)
        planes = torch.from_numpy((np.asarray(resized) / 255.0).astype(np.float32)).permute(2, 0, 1)[None]
        planes = planes.to(device)
    else:
        pixels = to_device(torch.from_numpy(np.array(image)), device).permute(2, 0, 1)[None].float()
        for size in ((image.shape[0], side), (side, side)):  # rounded between the axes, as Pillow does
            pixels = F.interpolate(pixels, size=size, mode="bicubic", antialias=True)
            pixels = pixels.round_().clamp_(0, 255)
        planes = pixels / 255
    return normalise_planes(planes).contiguous(memory_format=torch.channels_last)


def still_image(image: Image, side: int, device: torch.device) -> Tensor:
    """Resize an image to (1, 3, side, side): bilinear, antialiased, like the release's image predictor."""
    pixels = torch.from_numpy(np.array(image))
    if device.type != "mps":  # which has no such resizing in all versions of PyTorch
        pixels = to_device(pixels, device)
    planes = pixels.permute(2, 0, 1)[None].float() / 255
    resized = F.interpolate(planes, size=(side, side), mode="bilinear", antialias=True)
    return normalise_planes(resized.to(device)).contiguous(memory_format=torch.channels_last)


def square_mask(mask: Tensor, side: int) -> Tensor:
    """Resize a binary mask (H, W) to the square input, (1, 1, side, side), float32."""
    plane = mask[None, None].float()
    if mask.shape != (side, side):
        plane = (F.interpolate(plane, size=(side, side), mode="bilinear", antialias=True) >= 0.5).float()
    return plane


def video_logits(low: Tensor, size: tuple[int, int]) -> Tensor:
    """Resize mask logits (1, K, h, w) to the video, bilinear. Returns (K, H, W)."""
    return F.interpolate(low, size=size, mode="bilinear")[0]


def points_on_square(
    positive: Sequence[Point],
    negative: Sequence[Point],
    box: Box | None,
    size: tuple[int, int],
    side: int,
    device: torch.device,
) -> tuple[Tensor, Tensor]:
    """Points (1, N, 2) in pixels of the square and labels (1, N), corners of the box first."""
    corners = [] if box is None else [(box[:2], TOP_LEFT), (box[2:], BOTTOM_RIGHT)]
    marks = [*corners, *((p, POSITIVE) for p in positive), *((p, NEGATIVE) for p in negative)]
    return labelled(
        np.array([point for point, _ in marks], np.float32), [label for _, label in marks], size, side, device
    )


def labelled(
    points: npt.NDArray[np.float32],
    labels: Sequence[int],
    size: tuple[int, int],
    side: int,
    device: torch.device,
) -> tuple[Tensor, Tensor]:
    """Map points (N, 2) of the video to the square, (1, N, 2), with labels (1, N)."""
    scale = torch.tensor([size[1], size[0]], dtype=torch.float32)
    places = torch.from_numpy(points).view(1, -1, 2) / scale * side
    return to_device(places, device), to_device(torch.tensor([list(labels)]), device)
