"""Labelled videos in DAVIS-style folders and still images with masks, decoded on use."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

from segue.datasets.check import recognise
from segue.datasets.davis import DAVIS_VAL, DavisFolder, ImageMaskFolder, Sequence
from segue.datasets.files import ByName, read_text
from segue.datasets.opening import open_labels
from segue.datasets.outlined import open_outlined
from segue.datasets.stills import StillImages, open_stills
from segue.errors import DatasetError
from segue.registry import DATASETS, DatasetEntry
from segue.types import Image
from segue.utils.arrays import UInt8Array
from segue.utils.inputs import user_path
from segue.utils.naming import first_few

VOID = 255  # value of pixels that nobody labelled; they take no part in any loss
_TIMES = re.compile(r"([1-9][0-9]*)@(.+)")  # how often ``5@SOURCE`` counts, and the source


@dataclass(frozen=True, slots=True)
class Footage:
    """Labelled images of one video, or a single labelled still image."""

    name: str
    source: Sequence | StillImages
    frames: tuple[int, ...]  # their indices in ``source``, in order of time
    spacing: int = 1  # frames of the video from one labelled image to the next; 5 in YouTube-VOS

    def __len__(self) -> int:
        return len(self.frames)

    def read(self, index: int) -> tuple[Image, UInt8Array]:
        """Read RGB image (H, W, 3) and index mask (H, W), 0 background, :data:`VOID` unlabelled."""
        return self.read_image(index), self.source.read_mask(self.frames[index])

    def read_image(self, index: int) -> Image:
        """Read an image without its mask: RGB (H, W, 3), uint8."""
        return self.source.read_image(self.frames[index])

    def as_stills(self) -> list[Footage]:
        """Treat each labelled image as a still image."""
        return [Footage(f"{self.name}/{frame}", self.source, (frame,)) for frame in self.frames]


@dataclass(slots=True)
class Material:
    """All footage of a training, in order of the folders; names may repeat."""

    videos: list[Footage] = field(default_factory=list)
    stills: list[Footage] = field(default_factory=list)


def gather(
    folders: Iterable[str],
    *,
    exclude: Collection[str] = (),
    subsets: Mapping[str, Collection[str]] | None = None,
    include_val: bool = False,
    report: Callable[[str], None],
) -> Material:
    """List the footage in folders."""
    material = Material()
    names: set[str] = set()
    subsets = dict(subsets or {})
    for text in folders:
        repeated = _TIMES.fullmatch(text)
        times, text = (int(repeated[1]), repeated[2]) if repeated else (1, text)
        folder = user_path(text)
        is_layout = "=" in text and text.partition("=")[0] in DATASETS
        if is_layout or _holds_videos(folder):
            subset = subsets.pop(text, None)
            sequences: ByName[Sequence] = named_data(text, "masks")[1] if is_layout else DavisFolder(folder)
            if subset is not None:
                sequences = sequences.select(list(subset))
            videos = [
                Footage(sequence.name, sequence, tuple(sequence.annotations), _spacing(sequence))
                for sequence in sequences
            ]
            names.update(video.name for video in videos)
            videos = [video for video in videos if video.name not in exclude]
            held_out = [] if include_val else [video.name for video in videos if video.name in DAVIS_VAL]
            if held_out:
                report(
                    f"{folder}: left out {len(held_out)} sequences of DAVIS val, which serve for scores "
                    f"({first_few(held_out)}); --include-val takes them too"
                )
            material.videos.extend([video for video in videos if video.name not in held_out] * times)
        else:
            material.stills.extend(_stills(text) * times)
    if subsets:
        raise DatasetError(
            f"no folder {first_few(sorted(subsets))} of videos among the data, to take a part of"
        )
    unknown = sorted(set(exclude) - names)
    if unknown:
        raise DatasetError(f"no sequence {first_few(unknown)} to exclude; check the spelling")
    return material


def read_subset(path: Path) -> list[str]:
    """Read sequence names, one per line, like the subset published with STCN."""
    names = [line.strip() for line in read_text(path).splitlines() if line.strip()]
    if not names:
        raise DatasetError(f"{path}: names no sequence; put one on each line")
    return list(dict.fromkeys(names))


def _holds_videos(folder: Path) -> bool:
    """Whether images are in subfolders; in PASCAL VOC they are side by side."""
    return (folder / "JPEGImages").is_dir() and not (folder / "SegmentationObject").is_dir()


def named_data(text: str, kind: Literal["masks", "videos", "instances"]) -> tuple[DatasetEntry, Any]:
    """Registry entry and opened labels of ``LAYOUT=FOLDER``."""
    layout, _, folder = text.partition("=")
    entry = DATASETS.find(layout) if folder and layout in DATASETS else None
    if entry is None or getattr(entry, kind) is None:
        layouts = ", ".join(sorted(other.name for other in DATASETS if getattr(other, kind)))
        raise DatasetError(f"--data {text}: give LAYOUT=FOLDER, with LAYOUT one of {layouts}")
    return entry, open_labels(entry, kind, user_path(folder))


def with_layout(text: str, kind: Literal["masks", "videos", "instances"]) -> str:
    """Prefix a folder with ``LAYOUT=`` if it has the layout of a data set; other texts stay."""
    folder = user_path(text)
    entry = recognise(folder) if folder.is_dir() else None
    return text if entry is None or getattr(entry, kind) is None else f"{entry.name}={text}"


def object_ids(mask: UInt8Array, min_pixels: int = 1) -> list[int]:
    """Ids of the objects of a mask, ascending, without void."""
    counts = np.bincount(mask.ravel(), minlength=VOID + 1)[1:VOID]
    return [int(i) + 1 for i in np.flatnonzero(counts >= min_pixels)]


def relabel(mask: UInt8Array, ids: Iterable[int]) -> UInt8Array:
    """Keep some objects as 1, 2, ... and void; the rest becomes background."""
    table = np.zeros(VOID + 1, np.uint8)
    table[VOID] = VOID
    for new, old in enumerate(ids, start=1):
        table[old] = new
    return table[mask]


def _stills(text: str) -> list[Footage]:
    images, colon, masks = text.rpartition(":")
    stills: StillImages
    if colon and not user_path(text).is_dir():
        stills = ImageMaskFolder(images, masks)
    elif user_path(text).is_dir():
        try:
            stills = open_stills(user_path(text))
        except DatasetError as error:
            outlined = open_outlined(user_path(text))
            if outlined is None:
                raise DatasetError(
                    f"{error}; outlines of YOLO or labelme; videos lie in JPEGImages and Annotations, and "
                    "folders of other names can be given as IMAGES:MASKS"
                ) from None
            stills = outlined
    else:
        raise DatasetError(f"no folder {text}; folders of images and masks can be given as IMAGES:MASKS")
    return [Footage(name, stills, (i,)) for i, name in enumerate(stills.names)]


def _spacing(sequence: Sequence) -> int:
    """Typical distance of annotated frames, by the numbers in their names if all have one."""
    stems = [sequence.frames[i].stem for i in sequence.annotations]
    numbers = [int(stem) for stem in stems] if all(s.isdecimal() for s in stems) else [*sequence.annotations]
    return max(1, int(np.median(np.diff(numbers)))) if len(numbers) > 1 else 1
