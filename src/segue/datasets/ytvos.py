"""Reader of YouTube-VOS 2018 and 2019; files are decoded when used.

Layout of each part of the data set, such as ``train``::

    meta.json                        {"videos": {video: {"objects": {id: {"category", "frames"}}}}}
    JPEGImages/<video>/00005.jpg     frame numbers have gaps
    Annotations/<video>/00005.png    palette PNG with the ids of meta.json

The first frame in an object's list is the one in which it is given. ``valid`` has every fifth frame of its
videos; all of them are published apart, as ``valid_all_frames/JPEGImages``.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, Field, StringConstraints

from segue.datasets.files import IMAGE_SUFFIXES, ByName, files_by_stem, read_mask_of, read_rgb, read_text
from segue.errors import DatasetError
from segue.types import Image
from segue.utils.arrays import UInt8Array
from segue.utils.inputs import user_path
from segue.utils.json_files import read_members, validated
from segue.utils.naming import first_few, natural_key

_FileName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-][A-Za-z0-9_.-]*$", max_length=200)]
"""A name that stays inside its folder."""


class _ObjectRecord(BaseModel):
    category: str
    frames: list[_FileName] = Field(min_length=1)


class _VideoRecord(BaseModel):
    objects: dict[Annotated[int, Field(ge=1, le=254)], _ObjectRecord]


class _Meta(BaseModel):
    videos: dict[_FileName, _VideoRecord]


@dataclass(frozen=True, slots=True)
class YtvosObject:
    """An object of a video: its value in masks, its class, and its first frame."""

    id: int
    category: str
    given: str


@dataclass(frozen=True)
class YtvosVideo:
    """A video of YouTube-VOS.

    Attributes:
        name: name of its folders.
        objects: in the order of their ids.
        frames: images by name, in natural order.
        annotations: masks by name, in natural order; usually of every fifth frame.
        required: names of the frames whose masks are wanted, in natural order: those that the description
            lists for any object, and those that are annotated.
    """

    name: str
    objects: tuple[YtvosObject, ...]
    frames: Mapping[str, Path] = field(hash=False)
    annotations: Mapping[str, Path] = field(hash=False)
    required: tuple[str, ...] = ()

    def read_image(self, name: str) -> Image:
        """Read a frame.

        Args:
            name: name of the frame, such as ``00005``.

        Returns:
            RGB image (H, W, 3), uint8.
        """
        return read_rgb(self._path(self.frames, name))

    def read_mask(self, name: str) -> UInt8Array:
        """Read the mask of a frame.

        Args:
            name: name of the frame, such as ``00005``.

        Returns:
            Index mask (H, W), uint8, 0 is background.
        """
        return read_mask_of(self._path(self.frames, name), self._path(self.annotations, name))

    def _path(self, files: Mapping[str, Path], name: str) -> Path:
        if name not in files:
            raise DatasetError(
                f"video {self.name}: frame {name} has no such file; there are {first_few(files)}"
            )
        return files[name]


class YtvosFolder(ByName[YtvosVideo]):
    """Videos of one part of YouTube-VOS.

    >>> videos = YtvosFolder("YouTube-VOS/train")
    >>> videos["003234408d"].objects

    Args:
        root: folder that holds ``JPEGImages`` and ``Annotations``.
        meta: description of the videos; default: ``meta.json`` in ``root``.
        videos: names of the videos to take; default: all that ``meta`` describes.
        images: folder of the images; default: ``JPEGImages`` in ``root``. See :func:`all_frames_folder`.

    Raises:
        DatasetError: a file is missing or does not fit.
    """

    def __init__(
        self,
        root: Path | str,
        *,
        meta: Path | str | None = None,
        videos: Collection[str] | None = None,
        images: Path | str | None = None,
    ) -> None:
        self.root = user_path(root)
        self.images = self.root / "JPEGImages" if images is None else user_path(images)
        path = self.root / "meta.json" if meta is None else user_path(meta)
        records = _read_meta(path).videos
        names = sorted(records if videos is None else videos, key=natural_key)
        if unknown := [name for name in names if name not in records]:
            raise DatasetError(f"{path} does not describe video {first_few(unknown)}")
        if not names:
            raise DatasetError(f"{path} describes no video")
        self._videos = {name: self._find(name, records[name]) for name in names}

    def _find(self, name: str, record: _VideoRecord) -> YtvosVideo:
        frames = files_by_stem(self.images / name, IMAGE_SUFFIXES)
        annotations = files_by_stem(self.root / "Annotations" / name, {".png"})
        if lonely := [stem for stem in annotations if stem not in frames]:
            raise DatasetError(f"video {name}: no image of the annotated frames {first_few(lonely)}")
        objects = tuple(
            YtvosObject(id, item.category, item.frames[0]) for id, item in sorted(record.objects.items())
        )
        if missing := [f"{item.id} ({item.given})" for item in objects if item.given not in annotations]:
            raise DatasetError(
                f"video {name}: the frame in which an object is given has no annotation: {first_few(missing)}"
            )
        listed = {frame for item in record.objects.values() for frame in item.frames}
        required = tuple(sorted({*listed, *annotations}, key=natural_key))
        if missing := [stem for stem in required if stem not in frames]:
            raise DatasetError(
                f"video {name}: no image of the frames that are asked for: {first_few(missing)}"
            )
        return YtvosVideo(name, objects, frames, annotations, required)


def all_frames_folder(part: Path | str) -> Path | None:
    """Folder with all frames of a part, such as ``valid``; None if it is missing."""
    part = user_path(part).absolute()
    name = f"{part.name}_all_frames"
    places = (part.parent / name / "JPEGImages", part.parent / "all_frames" / name / "JPEGImages")
    return next((place for place in places if place.is_dir()), None)


def read_categories(path: Path | str) -> frozenset[str]:
    """Read the names of categories.

    Args:
        path: a ``meta.json`` of YouTube-VOS, or a text file with one name a line.

    Returns:
        The names, at least one.

    Raises:
        DatasetError: the file cannot be read or names none.
    """
    path = user_path(path)
    if path.suffix.lower() == ".json":
        videos = _read_meta(path).videos.values()
        categories = {item.category for video in videos for item in video.objects.values()}
    else:
        categories = {line.strip() for line in read_text(path).splitlines()} - {""}
    if not categories:
        raise DatasetError(f"{path} names no category")
    return frozenset(categories)


@dataclass(frozen=True, slots=True)
class WantedMasks:
    """Required results of a video: frames listed by any object, in natural order, and all ids."""

    frames: tuple[str, ...]
    ids: tuple[int, ...]


def wanted_masks(part: Path | str) -> dict[str, WantedMasks]:
    """Required results of each video of a part, from ``meta.json``; images may be missing."""
    by_video = {}
    for name, record in _read_meta(user_path(part) / "meta.json").videos.items():
        frames = {frame for item in record.objects.values() for frame in item.frames}
        by_video[name] = WantedMasks(tuple(sorted(frames, key=natural_key)), tuple(sorted(record.objects)))
    return by_video


def _read_meta(path: Path) -> _Meta:
    return validated(_Meta, read_members(path), f"{path}: ")
