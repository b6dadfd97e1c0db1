"""Training clips with several classed objects: real videos, animated stills, and objects pasted from both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from segue.datasets.instances import Instance
from segue.datasets.ytvis import YTVISDataset, YTVISVideo
from segue.errors import DatasetError
from segue.models.detection.classes import COCO_NAMES
from segue.types import Image
from segue.utils.arrays import UInt8Array
from segue.utils.json_files import read_json
from segue.utils.naming import first_few
from segue_train.data import clips
from segue_train.data.clips import Clip, ClipShape, Pairs
from segue_train.data.footage import VOID, Footage, object_ids, relabel
from segue_train.data.warp import Kinds, Rng
from segue_train.data.ytvis_clips import opened
from segue_train.losses.instances import ClipTargets, centred, tight_boxes
from segue_train.recipe import Batch, Batches, stacked

# Categories of YouTube-VIS, OVIS (which writes "vehical") and ISD that COCO knows by another name.
_OTHERWISE = dict.fromkeys(("sedan", "vehicle", "vehical"), "car")
_OTHERWISE |= dict.fromkeys(("duck", "owl", "eagle", "parrot", "poultry"), "bird")
_OTHERWISE |= {"motorbike": "motorcycle", "flying_disc": "frisbee"}
_NUMBERS = {name: number for number, name in COCO_NAMES.items()}
UNKNOWN = -1  # label of an object without a class; the detector gives one


def coco_number(name: str) -> int:
    """COCO's number of a category name."""
    plain = name.lower().replace(" ", "_")
    return _NUMBERS.get(_OTHERWISE.get(plain, plain.replace("_", " ")), UNKNOWN)


SLOTS = 12  # most objects of a clip
MAX_OBJECTS = 254  # objects of an image that an index mask has room for
MIN_PIXELS = 64  # objects that are smaller on every frame are not asked for


@dataclass(frozen=True, slots=True)
class ClassedFootage:
    """A video or image of a data set with categories; crowds are background."""

    dataset: YTVISDataset
    video: YTVISVideo

    complete: ClassVar[bool] = True
    """Whether all objects of the classes are labelled; else unlabelled ones are ignored."""

    def __len__(self) -> int:
        return len(self.video)

    def label(self, number: int) -> int:
        """COCO's number for object 1, 2, ... of :meth:`read`, or :data:`UNKNOWN`."""
        return coco_number(self.dataset.categories[self._objects[number - 1].category])

    def read(self, index: int) -> tuple[Image, UInt8Array]:
        """Read image (H, W, 3) and index mask (H, W); smaller objects are on top."""
        mask = np.zeros(self.video.size, np.uint8)
        areas = [int(item.masks.areas[index]) for item in self._objects]
        for i in np.argsort(areas)[::-1]:
            if areas[i]:
                mask[self._objects[i].masks.decode(index)] = i + 1
        return self.dataset.read_image(self.video, index), mask

    @property
    def _objects(self) -> list[Instance]:
        annotations = self.dataset.annotations(self.video)
        return [item for item in annotations if not item.crowd][:MAX_OBJECTS]


@dataclass(frozen=True, slots=True)
class NamedFootage:
    """Footage of folders with class names: a list for each, one name for all, or None."""

    footage: Footage
    names: tuple[str, ...] | str | None

    @classmethod
    def of(cls, footage: Footage, names: Mapping[str, str | tuple[str, ...]]) -> NamedFootage:
        """Name footage after itself, or after its kind, the part before an underscore."""
        return cls(footage, names.get(footage.name, names.get(footage.name.split("_")[0])))

    def __len__(self) -> int:
        return len(self.footage)

    @property
    def complete(self) -> bool:
        return isinstance(self.names, tuple)

    def label(self, number: int) -> int:
        """COCO's number for an object."""
        if self.names is None:
            return UNKNOWN
        if isinstance(self.names, str):
            return coco_number(self.names)
        return coco_number(self.names[number - 1]) if number <= len(self.names) else UNKNOWN

    def read(self, index: int) -> tuple[Image, UInt8Array]:
        """Read image (H, W, 3) and index mask (H, W), uint8; unlabelled pixels are background."""
        image, mask = self.footage.read(index)
        return image, np.where(mask == VOID, np.uint8(0), mask)


def read_class_names(path: Path) -> dict[str, str | tuple[str, ...]]:
    """Read COCO category names of objects from a JSON object."""
    names = read_json(dict[str, str | tuple[str, ...]], path, "JSON object of names or lists of names")
    for key, value in names.items():
        unknown = [name for name in ([value] if isinstance(value, str) else value) if coco_number(name) < 0]
        if unknown:
            raise DatasetError(f"{path}: {key}: COCO has no category {first_few(unknown)}")
    return names


def annotated_footage(text: str) -> list[ClassedFootage]:
    """List the videos or images of an annotated data set that show an object."""
    dataset = opened(text)
    return [ClassedFootage(dataset, video) for video in dataset.videos if dataset.annotations(video)]


Classed = ClassedFootage | NamedFootage

Groups = Sequence[tuple[float, Sequence[Classed]]]
"""Footage of each kind, and how often it is drawn."""


@dataclass(slots=True)
class LabelledClip:
    """A clip with index masks of objects 1, 2, ..., classes, and whether it is fully labelled."""

    clip: Clip
    labels: list[int]
    complete: bool


class InstanceClipSampler:
    """Draws clips of objects with classes."""

    def __init__(self, groups: Groups) -> None:
        if not any(footage for _, footage in groups):
            raise DatasetError("no footage with classes: give videos or still images")
        self.kinds = Kinds(groups)

    def draw(self, rng: Rng, shape: ClipShape) -> LabelledClip:
        clip_with_labels = self._full_clip(rng, self.kinds.draw(rng), shape)
        for _ in range(int(rng.choice(4, p=(0.35, 0.3, 0.2, 0.15)))):
            if len(clip_with_labels.labels) < SLOTS:
                self._paste(rng, clip_with_labels, shape)
        clips.recolour(rng, clip_with_labels.clip)
        return clip_with_labels

    @staticmethod
    def _full_clip(rng: Rng, source: Classed, shape: ClipShape) -> LabelledClip:
        """Draw frames around an object of a source, with a moving camera."""
        pairs = _frames(rng, source, shape, 6)
        object_id = clips.random_object(rng, pairs[0][1], min_pixels=MIN_PIXELS)
        matrix = clips.crop_to_object(rng, pairs[0][1] == object_id, shape)
        moving = len(source) > 1
        motion = clips.HANDHELD_CAMERA if moving else clips.WHOLE_IMAGE
        steps = clips.animation(rng, motion, shape, shape.pace, bends=not moving)
        clip = Clip.animated(pairs, matrix, steps, shape.side)
        keep = object_ids(np.stack(clip.masks))
        # Of more than there is room for, the others are there, but not labelled.
        complete, keep = source.complete and len(keep) <= SLOTS, keep[:SLOTS]
        clip.masks = [relabel(mask, keep) for mask in clip.masks]
        return LabelledClip(clip, [source.label(i) for i in keep], complete)

    def _paste(self, rng: Rng, target: LabelledClip, shape: ClipShape) -> None:
        """Paste a moving object of another source, before or behind the others."""
        source = self.kinds.draw(rng)
        cut_out_of_video = clips.cut_out_of(rng, _frames(rng, source, shape, 3), shape, min_pixels=400)
        if cut_out_of_video is None:
            return
        object_id, cut_out = cut_out_of_video
        target.labels.append(source.label(object_id))
        behind = len(target.labels) > 1 and bool(rng.random() < 0.3)
        target.clip.paste(cut_out, len(target.labels), behind)


def _frames(rng: Rng, source: Classed, shape: ClipShape, max_gap: int) -> Pairs:
    """Draw frames of a video, or repeat a still image; each is read once."""
    count = len(source)
    order = clips.frame_order(rng, count, shape.frames, max_gap) if count > 1 else [0] * shape.frames
    read = {i: source.read(i) for i in set(order)}
    return [read[i] for i in order]


@dataclass(frozen=True)
class InstanceBatches(Batches):
    """Batches of classed clips.

    Items hold ``frames`` (N, T, S, S, 3) and ``masks`` (N, T, S, S), uint8; ``labels`` (N, SLOTS), 0 for
    none; ``complete`` (N,), bool.
    """

    sampler: InstanceClipSampler
    shape: ClipShape
    single_share: float = 0.0

    def batch_of(self, number: int) -> Batch:
        rng = np.random.default_rng((self.seed, number))
        # Half of the batches move slowly, as most videos do.
        shape = replace(self.shape, pace=float(rng.uniform(0.1, 0.5)) if rng.random() < 0.5 else 1.0)
        if number < self.single_share * self.count:
            shape = replace(shape, batch=shape.batch * shape.frames, frames=1)
        sampled = [self.sampler.draw(rng, shape) for _ in range(shape.batch)]
        labels = torch.zeros(shape.batch, SLOTS, dtype=torch.int64)
        for row, item in zip(labels, sampled, strict=True):
            row[: len(item.labels)] = torch.tensor(item.labels, dtype=torch.int64)
        return {
            "frames": stacked(np.stack(item.clip.frames) for item in sampled),
            "masks": stacked(np.stack(item.clip.masks) for item in sampled),
            "labels": labels,
            "complete": torch.tensor([item.complete for item in sampled]),
        }


def targets(masks: Tensor, labels: Tensor) -> list[ClipTargets]:
    """Objects of clips of index masks (N, T, H, W) with labels (N, slots)."""
    ids, clip_targets = torch.arange(1, labels.shape[1] + 1, device=masks.device), []
    for clip, clip_labels in zip(masks, labels, strict=True):
        planes = clip[None] == ids[:, None, None, None]
        is_visible = (clip_labels != 0) & (planes.flatten(2).sum(2).amax(1) >= MIN_PIXELS)
        planes = planes[is_visible]
        clip_targets.append(
            ClipTargets(clip_labels[is_visible], centred(tight_boxes(planes), clip.shape[-2:]), planes)
        )
    return clip_targets
