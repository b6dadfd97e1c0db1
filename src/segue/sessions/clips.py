"""What a video instance network says of one clip: chosen queries, their scores and masks."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import PIL.Image
import torch
import torch.nn.functional as F
from torch import Tensor

from segue.masks.rle import encode_rle
from segue.models.base import InstanceNetwork
from segue.types import Image

SHORT_SIDE = 360
"""Short side at which the published systems look at a video."""

NO_MASK_BELOW = 0.001
"""Score under which the official results hold no masks."""


@dataclass(frozen=True)
class Found:
    """Entries of a clip's score table, best first.

    Attributes:
        queries: (n,), int64; a query may occur with several classes.
        classes: (n,), int64, channels of the class output.
        scores: (n,), float32, in 0..1.
    """

    queries: Tensor
    classes: Tensor
    scores: Tensor

    def __len__(self) -> int:
        return len(self.scores)


def resized(image: Image, short_side: int = SHORT_SIDE) -> Image:
    """A frame reduced or enlarged to a short side, as the published inference does (Pillow, bilinear)."""
    height, width = image.shape[:2]
    short, long = min(height, width), max(height, width)
    if short == short_side:
        return image
    other = int(short_side * long / short)
    size = (short_side, other) if width <= height else (other, short_side)
    return np.asarray(PIL.Image.fromarray(image).resize(size, PIL.Image.Resampling.BILINEAR))


def as_tensor(images: Sequence[Image], device: torch.device, dtype: torch.dtype) -> Tensor:
    """Pictures of one size → (1, T, 3, H, W) in [0, 1]."""
    stacked = torch.from_numpy(np.stack(images)).to(device)
    return (stacked.permute(0, 3, 1, 2).to(dtype) / 255)[None]


def encode_frames(network: InstanceNetwork, frames: Iterable[Tensor]) -> Any:
    """Look at the frames of one clip, each (1, 1, 3, H, W).

    Where frames do not see each other they are encoded one by one, in the memory of one.
    """
    if network.relates_frames:
        return network.encode(torch.cat(list(frames), 1))
    return network.join([network.encode(frame) for frame in frames])


def best_entries(logits: Tensor, top: int, allowed: Collection[int] | None = None) -> Found:
    """The ``top`` best (query, class) pairs of class logits (Q, classes), as in the official inference.

    Args:
        logits: before the sigmoid.
        top: number of pairs.
        allowed: class channels that may be found; None is all of them.
    """
    scores = logits.float().sigmoid()
    if allowed is not None:
        keep = torch.zeros(scores.shape[1], dtype=torch.bool, device=scores.device)
        keep[sorted(allowed)] = True
        scores = scores.masked_fill(~keep, -1.0)
    best = scores.flatten().topk(min(top, scores.numel()))
    real = best.values >= 0
    indices = best.indices[real]
    classes = scores.shape[1]
    return Found(indices // classes, indices % classes, best.values[real])


def best_per_query(logits: Tensor, top: int, least: float, allowed: Collection[int] | None = None) -> Found:
    """At most ``top`` queries with their best class each, of at least the score ``least``."""
    found = best_entries(logits, logits.numel(), allowed)
    seen: set[int] = set()
    keep: list[int] = []
    for i, (query, score) in enumerate(zip(found.queries.tolist(), found.scores.tolist(), strict=True)):
        if score < least or len(keep) == top:
            break
        if query not in seen:
            seen.add(query)
            keep.append(i)
    return Found(found.queries[keep], found.classes[keep], found.scores[keep])


def enlarged(logits: Tensor, size: tuple[int, int]) -> Tensor:
    """Mask logits (K, h, w) of one frame at the size of the video."""
    if len(logits) == 0:
        return logits.new_zeros(0, *size, dtype=torch.float32)
    return F.interpolate(logits[None].float(), size, mode="bilinear", align_corners=False)[0]


def official_records(
    network: InstanceNetwork,
    memory: Any,
    decoded: Any,
    size: tuple[int, int],
    *,
    video_id: int,
    top: int = 10,
) -> list[dict[str, Any]]:
    """Entries of a YouTube-VIS result file for one clip, equal to those of the published inference.

    The ten best pairs of query and class count; there is no threshold and no suppression, and a query
    without any pixel is left out.

    Args:
        network: what made them.
        memory, decoded: of the whole clip.
        size: height and width of the video.
        video_id: what the file calls the video.
        top: number of pairs.
    """
    found = best_entries(network.class_logits(decoded)[0], top)
    queries = list(dict.fromkeys(found.queries.tolist()))
    logits = network.mask_logits(memory, decoded, 0, torch.tensor(queries, device=found.queries.device))
    run_lengths: dict[int, list[dict[str, Any]]] = {query: [] for query in queries}
    visible = dict.fromkeys(queries, False)
    for frame in range(logits.shape[1]):
        planes = (enlarged(logits[:, frame], size).sigmoid() > 0.5).cpu().numpy()
        for query, plane in zip(queries, planes, strict=True):
            visible[query] |= bool(plane.any())
            run_lengths[query].append(dict(encode_rle(plane)))
    return [
        {
            "video_id": video_id,
            "score": score,
            "category_id": label,
            "segmentations": run_lengths[query] if score >= NO_MASK_BELOW else [None] * logits.shape[1],
        }
        for query in queries
        if visible[query]
        for label, score in _labels_of(found, query)
    ]


def _labels_of(found: Found, query: int) -> Iterator[tuple[int, float]]:
    for i in (found.queries == query).nonzero().flatten().tolist():
        yield int(found.classes[i]), float(found.scores[i])
