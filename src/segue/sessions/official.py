"""The published inference of instance networks: a whole video is one clip; its ten best answers count."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import PIL.Image
import torch
import torch.nn.functional as F
from torch import Tensor

from segue.layers.running import prepare_for_inference, weights_apart
from segue.masks import decode_rle, resize_mask
from segue.masks.rle import encode_rle
from segue.models.base import InstanceNetwork
from segue.types import Frame, Image, Segmentation

if TYPE_CHECKING:
    from segue.datasets.ytvis import Video, YTVISDataset

Records = list[dict[str, Any]]  # entries of a YouTube-VIS result file

SHORT_SIDE = 360  # short side at which the published systems look at a video
NO_MASK_BELOW = 0.001  # score under which the official results hold no masks


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
        short_side: images are resized to this short side, in pixels.
        device: None takes a GPU if there is one.
        fast: bfloat16 on GPUs and processors that are faster with it.

    Returns:
        At most ten entries with ``video_id`` (1), ``score`` (0..1), ``category_id`` (channel of the class
        output, from 0) and ``segmentations``: for each frame the compressed run lengths of a mask of
        ``size``, or None where the score is below 0.001. Entries of one query stand together, those of the
        query with the best score first.

    Raises:
        CheckpointError: a weight of the network is NaN or infinite.
        ArgumentError: there is no such device here.
    """
    copy, place, dtype = prepare_for_inference(network, device, fast)
    frames = (as_tensor([resized(picture, short_side)], place, dtype) for picture in pictures)
    return clip_records(copy, frames, size, video_id=1)


def sure_results(records: Records, frames: Sequence[Frame], least: float) -> Iterator[Segmentation]:
    """Entries of :func:`whole_clip` of at least a score, each frame drawn with the best on top."""
    shown = sorted((record for record in records if record["score"] >= least), key=lambda item: item["score"])
    for t, frame in enumerate(frames):
        mask = np.zeros(frame.size, np.uint8)
        for number, record in enumerate(shown, start=1):
            if record["segmentations"][t] is not None:
                mask[resize_mask(decode_rle(record["segmentations"][t]), frame.size)] = number
        yield Segmentation(frame.index, frame.time, mask, ())


def video_records(
    network: InstanceNetwork,
    dataset: YTVISDataset,
    video: Video,
    device: torch.device,
    dtype: torch.dtype,
    short_side: int = SHORT_SIDE,
) -> Records:
    """Entries for one video, which is one clip, by a network on this device, of this type."""
    pictures = (resized(dataset.read_image(video, t), short_side) for t in range(len(video)))
    frames = (as_tensor([picture], device, dtype) for picture in pictures)
    return clip_records(network, frames, video.size, video.id)


@torch.inference_mode()
def clip_records(
    network: InstanceNetwork, frames: Iterable[Tensor], size: tuple[int, int], video_id: int, top: int = 10
) -> Records:
    """Entries for one clip of frames (1, 1, 3, H, W), equal to the published inference."""
    with weights_apart(network):
        memory = encode_frames(network, frames)
        decoded = network.decode(memory)
        found = best_entries(network.class_logits(decoded)[0], top)
        entries = list(
            zip(found.queries.tolist(), found.classes.tolist(), found.scores.tolist(), strict=True)
        )
        queries = list(dict.fromkeys(query for query, _, _ in entries))
        logits = network.mask_logits(memory, decoded, 0, torch.tensor(queries, device=found.queries.device))
    run_lengths: dict[int, list[dict[str, Any]]] = {query: [] for query in queries}
    visible = set()
    for frame in range(logits.shape[1]):
        planes = (enlarged(logits[:, frame], size).sigmoid() > 0.5).cpu().numpy()
        for query, plane in zip(queries, planes, strict=True):
            if plane.any():
                visible.add(query)
            run_lengths[query].append(dict(encode_rle(plane)))
    return [
        {
            "video_id": video_id,
            "score": score,
            "category_id": label,
            "segmentations": run_lengths[query] if score >= NO_MASK_BELOW else [None] * logits.shape[1],
        }
        for query in queries
        for owner, label, score in entries
        if owner == query and query in visible
    ]


@dataclass(frozen=True)
class BestEntries:
    """Entries of a clip's score table, best first."""

    queries: Tensor  # (n,), int64; a query may occur with several classes
    classes: Tensor  # (n,), int64, channels of the class output
    scores: Tensor  # (n,), float32, in 0..1


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
    stacked = torch.from_numpy(np.stack(images)).to(device)
    return (stacked.permute(0, 3, 1, 2).to(dtype) / 255)[None]


def encode_frames(network: InstanceNetwork, frames: Iterable[Tensor]) -> Any:
    """Encode the frames (1, 1, 3, H, W), float in [0, 1], of one clip."""
    if network.relates_frames:
        return network.encode(torch.cat(list(frames), 1))
    return network.join([network.encode(frame) for frame in frames])


def best_entries(logits: Tensor, top: int, allowed: Collection[int] | None = None) -> BestEntries:
    """The ``top`` best (query, class) pairs of class logits (Q, classes), as in the official inference."""
    scores = logits.float().sigmoid()
    classes = scores.shape[1]
    if allowed is not None:
        scores[:, [label for label in range(classes) if label not in allowed]] = -1.0
    best = scores.flatten().topk(min(top, scores.numel()))
    real = best.values >= 0
    indices = best.indices[real]
    return BestEntries(indices // classes, indices % classes, best.values[real])


def best_queries(logits: Tensor, top: int, least: float, allowed: Collection[int] | None = None) -> Tensor:
    """At most ``top`` queries, (n,), of logits (Q, classes), best first, whose score is ``least`` or more."""
    found = best_entries(logits, logits.numel(), allowed)
    sure = found.queries[found.scores >= least].tolist()
    return found.queries.new_tensor(list(dict.fromkeys(sure))[:top])


def enlarged(logits: Tensor, size: tuple[int, int]) -> Tensor:
    """Mask logits (K, h, w) of one frame at the size of the video. Returns (K, H, W)."""
    if len(logits) == 0:
        return logits.new_zeros(0, *size, dtype=torch.float32)
    return F.interpolate(logits[None].float(), size, mode="bilinear", align_corners=False)[0]
