"""The published inference of instance networks: a whole video is one clip; its ten best answers count."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import torch

from segue.datasets.ytvis import Video, YTVISDataset
from segue.masks import decode_rle
from segue.models.base import InstanceNetwork
from segue.sessions.base import ready
from segue.sessions.clips import SHORT_SIDE, as_tensor, encode_frames, official_records, resized
from segue.types import Frame, Image, Segmentation

Records = list[dict[str, Any]]


def whole_clip(
    network: InstanceNetwork,
    pictures: Iterable[Image],
    size: tuple[int, int],
    *,
    short_side: int = SHORT_SIDE,
    device: str | torch.device | None = None,
    fast: bool = False,
) -> Records:
    """Entries of a YouTube-VIS result file for a video whose number is 1; memory grows with its length.

    Args:
        network: in evaluation mode; it is not changed.
        pictures: all frames, RGB, (H, W, 3), uint8.
        size: height and width of the masks.
        short_side: pictures are resized to this short side.
        device: None takes a GPU if there is one.
        fast: bfloat16 where the processor or GPU has it.
    """
    copy, place, dtype = ready(network, device, fast)
    return _records(copy, pictures, size, 1, place, dtype, short_side)


def sure_results(records: Records, frames: Sequence[Frame], least: float) -> Iterator[Segmentation]:
    """Entries of :func:`whole_clip` of at least a score, each frame drawn with the best on top."""
    shown = sorted((record for record in records if record["score"] >= least), key=lambda item: item["score"])
    for t, frame in enumerate(frames):
        mask = np.zeros(frame.size, np.uint8)
        for number, record in enumerate(shown, start=1):
            if record["segmentations"][t] is not None:
                mask[decode_rle(record["segmentations"][t])] = number
        yield Segmentation(frame.index, frame.time, mask, ())


def video_records(
    network: InstanceNetwork,
    dataset: YTVISDataset,
    video: Video,
    device: torch.device,
    dtype: torch.dtype,
    short_side: int = SHORT_SIDE,
) -> Records:
    """Entries of the result file for one video, which is one clip, by a network on this device, of this type.

    Raises:
        DatasetError: a picture is missing or damaged.
    """
    pictures = (dataset.read_image(video, t) for t in range(len(video)))
    return _records(network, pictures, video.size, video.id, device, dtype, short_side)


@torch.inference_mode()
def _records(
    network: InstanceNetwork,
    pictures: Iterable[Image],
    size: tuple[int, int],
    number: int,
    device: torch.device,
    dtype: torch.dtype,
    short_side: int,
) -> Records:
    tensors = (as_tensor([resized(picture, short_side)], device, dtype) for picture in pictures)
    memory = encode_frames(network, tensors)
    return official_records(network, memory, network.decode(memory), size, video_id=number)
