"""The published inference of instance networks: a whole video is one clip; its ten best answers count."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import PIL.Image
import torch
import torch.nn.functional as F
from torch import Tensor

from segue.masks import decode_rle, resize_mask
from segue.masks.rle import encode_rle
from segue.models.base import InstanceNetwork
from segue.types import Frame, Image, Segmentation
from segue.utils.devices import to_device
from segue.weights import Prepared, prepare

Records = list[dict[str, Any]]  # entries of a YouTube-VIS result file

SHORT_SIDE = 360  # short side at which the published systems look at a video
NO_MASK_BELOW = 0.001  # score under which the official results hold no masks


@torch.inference_mode()
def whole_clip(
    network: InstanceNetwork | Prepared[InstanceNetwork],
    images: Iterable[Image],
    size: tuple[int, int],
    *,
    short_side: int = SHORT_SIDE,
    device: str | int | torch.device | None = None,
    fast: bool = False,
) -> Records:
    """Entries of a YouTube-VIS result file for a video whose number is 1; memory grows with its length.

    Args:
        network: a network, which is not changed, or one that is prepared.
        images: all frames, RGB, (H, W, 3), uint8.
        size: height and width of the masks.
        short_side: images are resized to this short side, in pixels.
        device: None takes a GPU if there is one.
        fast: half precision or 8-bit integers, where the device is faster with them.

    Returns:
        At most ten entries with ``video_id`` (1), ``score`` (0..1), ``category_id`` (channel of the class
        output, from 0) and ``segmentations``: for each frame the compressed run lengths of a mask of
        ``size``, or None where the score is below 0.001. Entries of one query stand together, those of the
        query with the best score first.

    Raises:
        CheckpointError: a weight of the network is NaN or infinite.
        ArgumentError: there is no such device here.
    """
    prepared: Prepared[InstanceNetwork] = prepare(network, device=device, fast=fast)
    network, place, dtype = prepared.network, prepared.device, prepared.dtype
    with prepared.inference_guard():
        memory = encode_frames(
            network, (as_tensor([resized(image, short_side)], place, dtype) for image in images)
        )
        decoded = network.decode(memory)
        entries = best_entries(network.class_logits(decoded)[0])
        queries = list(dict.fromkeys(query for query, _, _ in entries))
        logits = network.mask_logits(memory, decoded, 0, torch.tensor(queries, device=place))
    empty = encode_rle(np.zeros(size, np.bool_))
    frames = ((upsample(each, size).sigmoid() > 0.5).cpu().numpy() for each in logits.unbind(1))
    masks = [[*map(encode_rle, planes)] for planes in frames]
    return [
        {
            "video_id": 1,
            "score": score,
            "category_id": label,
            "segmentations": [dict(each[number]) if score >= NO_MASK_BELOW else None for each in masks],
        }
        for number, query in enumerate(queries)
        if any(each[number] != empty for each in masks)
        for answer, label, score in entries
        if answer == query
    ]


def sure_results(records: Records, frames: Sequence[Frame], least: float) -> Iterator[Segmentation]:
    """Entries of :func:`whole_clip` of at least a score, each frame drawn with the best on top."""
    shown = sorted((record for record in records if record["score"] >= least), key=lambda item: item["score"])
    for t, frame in enumerate(frames):
        mask = np.zeros(frame.size, np.uint8)
        for number, record in enumerate(shown, start=1):
            if record["segmentations"][t] is not None:
                mask[resize_mask(decode_rle(record["segmentations"][t]), frame.size)] = number
        yield Segmentation(frame.index, frame.time, mask, ())


def resized(image: Image, short_side: int = SHORT_SIDE) -> Image:
    """A frame brought to a short side, as the published inference does (Pillow, bilinear)."""
    height, width = image.shape[:2]
    short, long = min(height, width), max(height, width)
    if short == short_side:
        return image
    other = int(short_side * long / short)
    size = (short_side, other) if width <= height else (other, short_side)
    return np.asarray(PIL.Image.fromarray(image).resize(size, PIL.Image.Resampling.BILINEAR))


def as_tensor(images: Sequence[Image], device: torch.device, dtype: torch.dtype) -> Tensor:
    """Images of one size → (1, T, 3, H, W) in [0, 1]. ``images``: RGB (H, W, 3), uint8, T of them."""
    stacked = to_device(torch.from_numpy(np.stack(images)), device)
    return (stacked.permute(0, 3, 1, 2).to(dtype) / 255)[None]


def encode_frames(network: InstanceNetwork, frames: Iterable[Tensor]) -> Any:
    """Encode the frames (1, 1, 3, H, W), float in [0, 1], of one clip."""
    if network.relates_frames:
        return network.encode(torch.cat(list(frames), 1))
    return network.join([network.encode(frame) for frame in frames])


def best_entries(logits: Tensor, top: int = 10) -> list[tuple[int, int, float]]:
    """The best ``top`` (query, class, score) of class logits (Q, classes), as in the official inference."""
    scores = logits.float().sigmoid()
    best = scores.flatten().topk(min(top, scores.numel()))
    places = (divmod(place, scores.shape[1]) for place in best.indices.tolist())
    return [(*place, score) for place, score in zip(places, best.values.tolist(), strict=True)]


def upsample(logits: Tensor, size: tuple[int, int]) -> Tensor:
    """Mask logits (K, h, w) of one frame at the size of the video. Returns (K, H, W)."""
    if len(logits) == 0:
        return logits.new_zeros(0, *size, dtype=torch.float32)
    return F.interpolate(logits[None].float(), size, mode="bilinear", align_corners=False)[0]
