"""Instances of categories with masks: what the readers of YouTube-VIS and COCO files give."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PureWindowsPath
from typing import Annotated

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field

from segue.datasets.files import read_rgb
from segue.errors import DatasetError
from segue.masks.tracks import RleTrack
from segue.types import Image

MAX_CLIP_BYTES = 2**32
"""Most bytes that the decoded masks of one clip may take."""


@dataclass(frozen=True, slots=True, eq=False)
class Instance:
    """An annotated object.

    Attributes:
        id: number of the annotation.
        category: number of its category.
        masks: its masks, one for each frame of the video.
        mean_area: mean area in pixels over the frames where it is seen, as the file has it; benchmarks sort
            objects into small, medium and large ones by it.
        crowd: whether it is a group that is not annotated one by one.
    """

    id: int
    category: int
    masks: RleTrack
    mean_area: float
    crowd: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class DetectedInstance:
    """An object that some program found.

    Attributes:
        category: number of its category.
        score: the higher the surer.
        masks: its masks by frame.
    """

    category: int
    score: float
    masks: RleTrack


@dataclass(frozen=True, slots=True, eq=False)
class ClipInstances:
    """Decoded instances of K objects on T frames.

    Attributes:
        ids: numbers of the annotations, (K,), int64.
        labels: numbers of the categories, (K,), int64.
        crowd: whether each is a group, (K,), bool.
        masks: (K, T, H, W), bool.
        boxes: tight ``(x0, y0, x1, y1)`` in pixels, exclusive at the far side, (K, T, 4), float32; zeros
            where the object is not visible.
        visible: whether any pixel is set, (K, T), bool.
    """

    ids: npt.NDArray[np.int64]
    labels: npt.NDArray[np.int64]
    crowd: npt.NDArray[np.bool_]
    masks: npt.NDArray[np.bool_]
    boxes: npt.NDArray[np.float32]
    visible: npt.NDArray[np.bool_]


def decode_clip(instances: Iterable[Instance], frames: Sequence[int], size: tuple[int, int]) -> ClipInstances:
    """Decode the instances that are visible on at least one of ``frames``, in their order."""
    chosen = list(frames)
    seen = [item for item in instances if item.masks.areas[chosen].any()]
    shape = (len(seen), len(chosen), *size)
    if np.prod(shape, dtype=np.float64) > MAX_CLIP_BYTES:
        raise DatasetError(f"masks of {len(seen)} objects on {len(chosen)} frames are too large; take fewer")
    masks = np.zeros(shape, np.bool_)
    boxes = np.zeros((*shape[:2], 4), np.float32)
    visible = np.zeros(shape[:2], np.bool_)
    for k, item in enumerate(seen):
        visible[k] = item.masks.areas[chosen] > 0
        for place in np.flatnonzero(visible[k]):
            masks[k, place] = item.masks.decode(chosen[place])
            boxes[k, place] = item.masks.box(chosen[place])
    return ClipInstances(
        ids=np.array([item.id for item in seen], np.int64),
        labels=np.array([item.category for item in seen], np.int64),
        crowd=np.array([item.crowd for item in seen], np.bool_),
        masks=masks,
        boxes=boxes,
        visible=visible,
    )


Number = Annotated[int, Field(ge=0, lt=2**63)]
"""Number of a video, picture or category."""

AnnotationNumber = Annotated[int, Field(ge=1, lt=2**63)]
"""Number of an annotation; to the official evaluations a 0 means that nothing was matched."""

Area = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class Record(BaseModel):
    """Base of the records of annotation files: types are not converted, unknown keys are left alone."""

    model_config = ConfigDict(strict=True, frozen=True, extra="ignore")


class CategoryRecord(Record):
    """One of ``categories``."""

    id: Number
    name: str = Field(min_length=1)


def add_category(names: dict[int, str], record: CategoryRecord, where: str) -> None:
    """Add a category to ``names``."""
    if record.id in names or record.name in names.values():
        raise DatasetError(f"{where}: id {record.id} or name {record.name!r} occurs twice")
    names[record.id] = record.name


def read_picture(root: Path | None, name: str, size: tuple[int, int]) -> Image:
    """Picture ``name`` of an annotation file, RGB, (H, W, 3), uint8.

    Args:
        root: folder of the pictures; None where the reader was opened without one.
        name: path below ``root``, from the file.
        size: height and width that the file promises.

    Raises:
        DatasetError: there is no folder, the name leads out of it, or the picture is missing or of
            another size.
    """
    if root is None:
        raise DatasetError("no folder of pictures was given, so that none can be read; give one")
    windows = PureWindowsPath(name)  # knows both kinds of separators
    if windows.drive or windows.root or ".." in windows.parts or "\0" in name:
        raise DatasetError(
            f"picture {name!r} leads out of its folder {root}; the annotation file is not sound"
        )
    image = read_rgb(root / name)
    if image.shape[:2] != size:
        raise DatasetError(
            f"{root / name} is {image.shape[1]}x{image.shape[0]}, but annotated as {size[1]}x{size[0]}"
        )
    return image
