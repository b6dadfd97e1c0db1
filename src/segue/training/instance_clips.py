"""Training clips with several classed objects: real videos, animated stills, and objects pasted from both.

Each batch is drawn from a generator seeded by (seed, number), so that a run can be resumed at any step.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from segue.datasets.files import Mask
from segue.datasets.instances import Instance
from segue.datasets.ytvis import Video, YTVISDataset
from segue.errors import DatasetError
from segue.models.msstsvis.lite import LITE_NAMES
from segue.training import warp
from segue.training.clips import (
    CUT_OUT,
    HAND_HELD,
    WHOLE_PICTURE,
    Clip,
    ClipShape,
    animation,
    blur,
    crop_around,
    frame_order,
    place_object,
    recolour,
)
from segue.training.footage import object_ids, relabel
from segue.training.instance_losses import ClipTargets
from segue.training.warp import Rng
from segue.types import Image

_ANIMALS = """
animal ape bear bird cat cow deer dog duck eagle earless_seal elephant fish fox frog giant_panda giraffe horse
leopard lizard monkey mouse owl parrot pet poultry rabbit shark sheep snake squirrel tiger turtle whale zebra
"""
_VEHICLES = """
airplane bicycle boat bus car motorbike motorcycle sedan train truck vehicle vehical
"""
"""As YouTube-VIS, OVIS (which writes "vehical"), COCO and ISD call them."""

_CHANNELS = {name: channel for channel, name in LITE_NAMES.items()}


def group_channels(categories: Mapping[int, str]) -> dict[int, int]:
    """Channel of ``msstsvis-lite`` for each category number, by its name.

    What is neither a being nor a vehicle is an object.
    """
    names = {number: name.lower().replace(" ", "_") for number, name in categories.items()}
    # Where there are keyboards, as in COCO, a mouse belongs to one.
    things = {"mouse"} if "keyboard" in names.values() else set()
    return {number: _CHANNELS["object" if name in things else _group(name)] for number, name in names.items()}


def _group(name: str) -> str:
    if name == "person":
        return name
    if name in _ANIMALS.split():
        return "animal"
    return "vehicle" if name in _VEHICLES.split() else "object"


SLOTS = 12
"""Most objects of a clip."""

MOST_OBJECTS = 254
"""Objects of a picture that an index mask has room for."""

LEAST_PIXELS = 64
"""Objects that are smaller on every frame are not asked for."""


@dataclass(frozen=True, slots=True)
class ClassedFootage:
    """A video or, with a single frame, a still image whose objects have classes.

    Attributes:
        dataset: where it is read from.
        video: which one of it.
        channels: class channel of each category; objects of others are background, as are crowds.
    """

    dataset: YTVISDataset
    video: Video
    channels: Mapping[int, int]

    def __len__(self) -> int:
        return len(self.video)

    @property
    def labels(self) -> list[int]:
        """Class of object 1, 2, ... of :meth:`read`."""
        return [self.channels[item.category] for item in self._objects]

    def read(self, index: int) -> tuple[Image, Mask]:
        """Picture (H, W, 3) and index mask (H, W) of a frame, numbered as in ``labels``.

        Where objects overlap, the smaller one counts.
        """
        mask = np.zeros(self.video.size, np.uint8)
        areas = [int(item.masks.areas[index]) for item in self._objects]
        for i in np.argsort(areas)[::-1]:
            if areas[i]:
                mask[self._objects[i].masks.decode(index)] = i + 1
        return self.dataset.read_image(self.video, index), mask

    @property
    def _objects(self) -> list[Instance]:
        found = self.dataset.annotations(self.video)
        return [item for item in found if item.category in self.channels and not item.crowd][:MOST_OBJECTS]


def classed_footage(dataset: YTVISDataset, channels: Mapping[int, int]) -> list[ClassedFootage]:
    """All of a data set that shows an object of a class; arguments as of :class:`ClassedFootage`."""
    footage = [ClassedFootage(dataset, video, channels) for video in dataset.videos]
    return [item for item in footage if item.labels]


class InstanceClipSampler:
    """Draws clips whose objects all have a class.

    Args:
        videos: footage of two or more frames.
        stills: footage of one frame.

    Raises:
        DatasetError: there is nothing to draw from.
    """

    def __init__(self, videos: Sequence[ClassedFootage], stills: Sequence[ClassedFootage]) -> None:
        if not videos and not stills:
            raise DatasetError("no footage with classes: give videos or still images")
        self.videos, self.stills = list(videos), list(stills)

    def draw(self, rng: Rng, shape: ClipShape, video_share: float) -> tuple[Clip, list[int]]:
        """One clip, and the class of each of its objects 1, 2, ..."""
        from_video = bool(self.videos) and (not self.stills or rng.random() < video_share)
        pool = self.videos if from_video else self.stills
        clip, labels = self._whole(rng, _pick(rng, pool), shape)
        for _ in range(int(rng.choice(4, p=(0.35, 0.3, 0.2, 0.15)))):
            if len(labels) < SLOTS:
                self._paste(rng, clip, labels, shape)
        return recolour(rng, clip), labels

    def _whole(self, rng: Rng, source: ClassedFootage, shape: ClipShape) -> tuple[Clip, list[int]]:
        """Frames of a source around one of its objects, under a moving camera."""
        count = len(source)
        order = frame_order(rng, count, shape.frames, 6) if count > 1 else [0] * shape.frames
        pairs = [source.read(i) for i in dict.fromkeys(order)]
        of = dict(zip(dict.fromkeys(order), pairs, strict=True))
        around = object_ids(of[order[0]][1], least=LEAST_PIXELS)
        chosen = int(rng.choice(around)) if around else 0
        matrix = crop_around(rng, of[order[0]][1] == chosen, shape.side)
        motion = HAND_HELD if count > 1 else WHOLE_PICTURE
        clip = Clip([], [])
        for i, (step, field) in zip(order, animation(rng, motion, shape, shape.pace), strict=True):
            field = None if count > 1 else field
            picture, mask = of[i]
            clip.frames.append(warp.apply(picture, step @ matrix, shape.side, field))
            clip.masks.append(warp.apply(mask, step @ matrix, shape.side, field, mask=True))
        keep = [i + 1 for i in range(len(source.labels)) if any((mask == i + 1).any() for mask in clip.masks)]
        keep = keep[:SLOTS]
        clip.masks = [relabel(mask, keep) for mask in clip.masks]
        return clip, [source.labels[i - 1] for i in keep]

    def _paste(self, rng: Rng, clip: Clip, labels: list[int], shape: ClipShape) -> None:
        """Paste one object of another source, moving by itself, before or behind what is there."""
        source = _pick(rng, self.stills or self.videos)
        if self.videos and rng.random() < 0.4:
            source = _pick(rng, self.videos)
        count = len(source)
        order = frame_order(rng, count, shape.frames, 3) if count > 1 else [0] * shape.frames
        of = {i: source.read(i) for i in set(order)}
        present = object_ids(of[order[0]][1], least=400)
        if not present:
            return
        chosen = int(rng.choice(present))
        matrix = place_object(rng, of[order[0]][1] == chosen, shape.side)
        frames, alphas = [], []
        for i, (step, field) in zip(order, animation(rng, CUT_OUT, shape, shape.pace), strict=True):
            picture, mask = of[i]
            frames.append(warp.apply(picture, step @ matrix, shape.side, field))
            solid = (mask == chosen).astype(np.uint8) * np.uint8(255)
            alphas.append(blur(warp.apply(solid, step @ matrix, shape.side, field, mask=True), 3, 0.8))
        labels.append(source.labels[chosen - 1])
        clip.paste(frames, alphas, len(labels), bool(labels[1:]) and bool(rng.random() < 0.3))


class InstanceBatches(Dataset[dict[str, Tensor]]):
    """Whole batches by number.

    Args:
        sampler: draws the clips.
        shape: size of a batch.
        count: number of batches.
        seed: of everything random.
        video_share: share of clips that start from a video.
        single_share: share of the batches, the first ones, whose clips have a single frame; they have as many
            frames in all as the others.
    """

    def __init__(
        self,
        sampler: InstanceClipSampler,
        shape: ClipShape,
        count: int,
        seed: int,
        video_share: float = 0.5,
        single_share: float = 0.0,
    ) -> None:
        self.sampler, self.shape, self.count, self.seed = sampler, shape, count, seed
        self.video_share, self.single_share = video_share, single_share

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, number: int) -> dict[str, Tensor]:
        """``frames`` (N, T, S, S, 3) and ``masks`` (N, T, S, S), uint8; ``labels`` (N, SLOTS), 0 for none."""
        rng = np.random.default_rng((self.seed, number))
        # Half of the batches move slowly, as most videos do.
        shape = replace(self.shape, pace=float(rng.uniform(0.1, 0.5)) if rng.random() < 0.5 else 1.0)
        if number < self.single_share * self.count:
            shape = replace(shape, batch=shape.batch * shape.frames, frames=1)
        drawn = [self.sampler.draw(rng, shape, self.video_share) for _ in range(shape.batch)]
        labels = torch.zeros(shape.batch, SLOTS, dtype=torch.int64)
        for row, (_, classes) in zip(labels, drawn, strict=True):
            row[: len(classes)] = torch.tensor(classes, dtype=torch.int64)
        return {
            "frames": torch.from_numpy(np.stack([np.stack(clip.frames) for clip, _ in drawn])),
            "masks": torch.from_numpy(np.stack([np.stack(clip.masks) for clip, _ in drawn])),
            "labels": labels,
        }


def targets(masks: Tensor, labels: Tensor) -> list[ClipTargets]:
    """Objects of each clip of a batch.

    Args:
        masks: index masks (N, T, H, W).
        labels: (N, slots), class of object 1, 2, ...; 0 where there is none.
    """
    return [_targets(*clip) for clip in zip(masks, labels, strict=True)]


def _targets(masks: Tensor, labels: Tensor) -> ClipTargets:
    ids = torch.arange(1, len(labels) + 1, device=masks.device)
    planes = masks[None] == ids[:, None, None, None]
    seen = (labels > 0) & (planes.flatten(2).sum(2).amax(1) >= LEAST_PIXELS)
    planes = planes[seen]
    return ClipTargets(labels[seen], normalised_boxes(planes), planes)


def normalised_boxes(planes: Tensor) -> Tensor:
    """Boxes (..., 4), cx, cy, width, height in 0..1, of masks (..., H, W); zeros where there is no pixel."""
    height, width = planes.shape[-2:]
    extents = []
    for axis, size in ((-2, width), (-1, height)):
        line = planes.any(axis).float()
        first = line.argmax(-1)
        last = size - line.flip(-1).argmax(-1)
        extents.append((first / size, last / size))
    (x0, x1), (y0, y1) = extents
    boxes = torch.stack(((x0 + x1) / 2, (y0 + y1) / 2, x1 - x0, y1 - y0), -1)
    return boxes * planes.flatten(-2).any(-1)[..., None]


def _pick(rng: Rng, pool: Sequence[ClassedFootage]) -> ClassedFootage:
    return pool[int(rng.integers(len(pool)))]
