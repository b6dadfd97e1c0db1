"""Published inference of instance networks: the whole video is one clip; the ten best answers count."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import PIL.Image
import torch
import torch.nn.functional as F
from torch import Tensor

from segue.errors import SourceDamageError
from segue.masks import Rle, decode_rle, encode_rle, resize_mask
from segue.models.base import InstanceNetwork
from segue.sessions.session import FindingSession, Passes
from segue.state import checkpointed
from segue.types import Frame, Image, ObjectInfo, Segmentation, visible_in
from segue.utils.arrays import BoolArray
from segue.utils.devices import to_device
from segue.weights import Prepared, prepare

Records = list[dict[str, Any]]  # entries of a YouTube-VIS result file

SHORT_SIDE = 360  # short side at which the published systems look at a video
NO_MASK_BELOW = 0.001  # score under which the official results hold no masks


class Clip:
    """Frames of a video that a network processes together; memory grows with their number.

    Args:
        network: one that is prepared.
        short_side: images are resized to this short side, in pixels.
    """

    def __init__(self, network: Prepared[InstanceNetwork], short_side: int = SHORT_SIDE) -> None:
        self._prepared, self._short_side = network, short_side
        self._parts: list[Any] = []  # of each frame its tensor, or what the network keeps of it

    @torch.inference_mode()
    def add(self, image: Image) -> None:
        """Add the next frame, RGB, (H, W, 3), uint8."""
        network, device, dtype = self._prepared.network, self._prepared.device, self._prepared.dtype
        with self._prepared.inference_guard():
            frame = as_tensor([resized(image, self._short_side)], device, dtype)
            self._parts.append(frame if network.relates_frames else network.encode(frame))

    @torch.inference_mode()
    def records(self, size: tuple[int, int]) -> Records:
        """Convert the result of :func:`whole_clip` to records with masks of a size."""
        network, device = self._prepared.network, self._prepared.device
        with self._prepared.inference_guard():
            together = network.relates_frames
            memory = network.encode(torch.cat(self._parts, 1)) if together else network.join(self._parts)
            decoded = network.decode(memory)
            entries = best_entries(network.class_logits(decoded)[0])
            queries = list(dict.fromkeys(query for query, _, _ in entries))
            logits = network.mask_logits(memory, decoded, 0, torch.tensor(queries, device=device))
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


def whole_clip(
    network: InstanceNetwork | Prepared[InstanceNetwork],
    images: Iterable[Image],
    size: tuple[int, int],
    *,
    short_side: int = SHORT_SIDE,
    device: str | int | torch.device | None = None,
    fast: bool = False,
) -> Records:
    """Entries of a YouTube-VIS result file for a video with number 1; memory grows with its length.

    Args:
        network: a network, which is not changed, or one that is prepared.
        images: all frames, RGB, (H, W, 3), uint8.
        size: height and width of the masks.
        short_side: images are resized to this short side, in pixels.
        device: None selects a GPU if there is one.
        fast: half precision or 8-bit integers if they are faster on the device.

    Returns:
        At most ten entries with ``video_id`` (1), ``score`` (0..1), ``category_id`` (channel of the class
        output, from 0) and ``segmentations``: for each frame the compressed run lengths of a mask of
        ``size``, or None if the score is below 0.001. Entries of one query are adjacent, and the query with
        the best score comes first.

    Raises:
        CheckpointError: a weight of the network is NaN or infinite.
        ArgumentError: there is no such device here.
    """
    clip = Clip(prepare(network, device=device, fast=fast), short_side)
    for image in images:
        clip.add(image)
    return clip.records(size)


class WholeVideo(Passes):
    """Frames of a video for one clip, read in the first pass.

    Args:
        network: one that is prepared.
        frames: opens the frames of the video from the beginning; damage ends the clip.
        size: returns the height and width of the masks, from the first frame on; None is that of the frames.
        short_side: images are resized to this short side, in pixels.
        images: returns at the start of the first pass whether the second one reads images again.
        read_once: ``frames`` can be called only once, so that images are kept in memory.

    Attributes:
        records: result of :func:`whole_clip`; empty before the end of the first pass.
        precision: precision of the convolutions.
    """

    def __init__(
        self,
        network: Prepared[InstanceNetwork],
        frames: Callable[[], Iterable[Frame]],
        size: Callable[[], tuple[int, int] | None],
        *,
        short_side: int,
        images: Callable[[], bool] = lambda: True,
        read_once: bool = False,
    ) -> None:
        self._network, self._frames, self._size, self._short_side = network, frames, size, short_side
        self.precision = network.precision
        self._images, self._read_once = images, read_once
        self._rereads = False  # whether the second pass reads the frames once more
        self._frames_read: list[Frame] = []
        self.records: Records = []

    def learning(self) -> Iterator[int]:
        """Read all frames; yields the number of frames so far."""
        clip, images = Clip(self._network, self._short_side), self._images()
        self._rereads = images and not self._read_once
        keeps = images and self._read_once
        try:
            for frame in self._frames():
                clip.add(frame.image)
                self._frames_read.append(
                    frame if keeps else replace(frame, image=_no_image(frame.size), deep=None)
                )
                self.latest = frame
                yield len(self._frames_read)
        except SourceDamageError:  # the second pass gives the frames before it, and meets it again
            if not self._frames_read:
                raise
            self._rereads = True
        if self._frames_read:
            self.records = clip.records(self._size() or self._frames_read[0].size)

    def second(self) -> Iterator[Frame]:
        """Iterate over the frames again; images are omitted if they are not needed."""
        yield from self._frames() if self._rereads else self._frames_read


class WholeVideoSession(FindingSession):
    """Returns the results of :class:`WholeVideo` frame by frame, the most confident on top.

    Args:
        video: its first pass is run before the first frame.
        names: class names by number.
        score: minimum score of shown results, 0 to 1.
    """

    restorable = False
    _taken: int = checkpointed(0)

    def __init__(self, video: WholeVideo, names: Mapping[int, str], score: float) -> None:
        self._video, self._names, self._score = video, names, score
        self.precision = video.precision
        self.reset()

    def _take(self, frame: Frame, prepared: None) -> None:
        result = sure_result(self._video.records, self._taken, frame, self._score, self._names)
        self._due.append((result, None))
        self._taken += 1


def _no_image(size: tuple[int, int]) -> Image:
    """Black image without memory of its own."""
    return np.broadcast_to(np.zeros(3, np.uint8), (*size, 3))


def sure_result(
    records: Records, place: int, frame: Frame, min_score: float, names: Mapping[int, str]
) -> Segmentation:
    """Result of entries of :func:`whole_clip` above a score on one frame, the best on top."""
    visible = sorted(
        (record for record in records if record["score"] >= min_score), key=lambda item: item["score"]
    )
    mask = np.zeros(frame.size, np.uint8)
    lengths = [record["segmentations"][place] for record in visible]
    objects = list[ObjectInfo]()
    for number, (record, plane) in enumerate(
        zip(visible, _decoded(lengths, frame.size), strict=True), start=1
    ):
        mask[plane] = number
        label, whole = names.get(record["category_id"]), encode_rle(plane)["counts"]
        objects.append(ObjectInfo(number, label, record["score"], whole=whole))
    return Segmentation(frame.index, frame.time, mask, visible_in(mask, objects))


def _decoded(lengths: Sequence[Rle | None], size: tuple[int, int]) -> Iterator[BoolArray]:
    """Decode run lengths to masks (H, W) of a size; None is an empty mask."""
    for each in lengths:
        yield np.zeros(size, np.bool_) if each is None else resize_mask(decode_rle(each), size)


def resized(image: Image, short_side: int = SHORT_SIDE) -> Image:
    """Resize a frame to a short side as the published inference does (Pillow, bilinear)."""
    height, width = image.shape[:2]
    short, long = min(height, width), max(height, width)
    if short == short_side:
        return image
    other = int(short_side * long / short)
    size = (short_side, other) if width <= height else (other, short_side)
    return np.asarray(PIL.Image.fromarray(image).resize(size, PIL.Image.Resampling.BILINEAR))


def as_tensor(images: Sequence[Image], device: torch.device, dtype: torch.dtype) -> Tensor:
    """Stack T images, RGB (H, W, 3), uint8, of one size → (1, T, 3, H, W) in [0, 1]."""
    stacked = to_device(torch.from_numpy(np.stack(images)), device)
    return (stacked.permute(0, 3, 1, 2).to(dtype) / 255)[None]


def best_entries(logits: Tensor, top: int = 10) -> list[tuple[int, int, float]]:
    """The ``top`` best (query, class, score) of class logits (Q, classes), as in the official inference."""
    scores = logits.float().sigmoid()
    best = scores.flatten().topk(min(top, scores.numel()))
    places = (divmod(place, scores.shape[1]) for place in best.indices.tolist())
    return [(*place, score) for place, score in zip(places, best.values.tolist(), strict=True)]


def upsample(logits: Tensor, size: tuple[int, int]) -> Tensor:
    """Upsample mask logits (K, h, w) of one frame to the size of the video. Returns (K, H, W)."""
    if len(logits) == 0:
        return logits.new_zeros(0, *size, dtype=torch.float32)
    return F.interpolate(logits[None].float(), size, mode="bilinear", align_corners=False)[0]
