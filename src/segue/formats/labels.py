"""Labels of a video: objects and masks from annotation files of any kind, within limits."""

from __future__ import annotations

import os
import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, Protocol, TypeVar

import numpy as np

from segue.errors import DatasetError
from segue.formats.frames import FrameObjects, layer_order
from segue.formats.schema import (
    CHECKED,
    MAX_ATTRIBUTES,
    MAX_NAME_LENGTH,
    MAX_VALUE_LENGTH,
    OCCLUDED,
    UNCHECKED,
    AttributeDefinition,
    LabelSchema,
)
from segue.formats.text import without_controls
from segue.masks import Rle, decode_rle, encode_objects, measure, rle_area
from segue.masks.shapes import Canvas
from segue.masks.splines import KeyedShape
from segue.masks.values import MAX_ID
from segue.types import Frame, IndexMask
from segue.utils.arrays import BoolArray, id_type
from segue.utils.inputs import user_path
from segue.utils.lazy import LazyCallable
from segue.utils.naming import frame_stem, match_frames

MAX_OBJECTS = 10_000
"""Objects that are taken from one file; the page has to list them."""

_COLOUR = re.compile(r"#[0-9a-fA-F]{6}")

MAX_MASKS = 300_000
"""Masks of objects on frames that are taken from one JSON or XML file."""

_OCCLUDED = LabelSchema(attributes=(AttributeDefinition(name=OCCLUDED, type="check", of="frame"),))

DEFAULT_COLOUR = "#35b6f2"
"""Colour of a class that has neither a colour nor objects."""

CLOCK = 1e-3
"""Rounding of times by other programs, in seconds."""

T = TypeVar("T")

_SAVE = LazyCallable("segue.formats.conversion:save")
"""Imported late: it is in a higher layer than labels."""


class Frames(Protocol):
    """Properties of a video that readers of labels need."""

    @property
    def size(self) -> tuple[int, int]:
        """Height and width in pixels."""

    @property
    def count(self) -> int:
        """Number of frames."""

    @property
    def names(self) -> tuple[str, ...] | None:
        """File names of the frames; None for a video file."""

    @property
    def fps(self) -> float | None:
        """Mean frames per second; None if frames have no times."""

    def time(self, index: int) -> float:
        """Get the time of a frame.

        Args:
            index: index of the frame.

        Returns:
            Seconds from the first frame.
        """


def held_at(values: Mapping[int, str], frame: int) -> str | None:
    """Value that holds on a frame: the last one up to it, or None before the first."""
    key_frames = [index for index in values if index <= frame]
    return values[max(key_frames)] if key_frames else None


def decode_mask(counts: str, size: tuple[int, int]) -> BoolArray:
    """Decode compressed run lengths to a mask, (H, W), bool."""
    return decode_rle({"size": [*size], "counts": counts})


def composed(masks: Mapping[int, str], size: tuple[int, int]) -> IndexMask:
    """Compose run lengths by object to an index mask, (H, W), uint8 or uint16; later ones on top."""
    mask = np.zeros(size, id_type(max(masks, default=0)))
    for number, counts in masks.items():
        mask[decode_mask(counts, size)] = number
    return mask


@dataclass(slots=True)
class Labels:
    """Objects and masks of a video, as compressed run lengths.

    Attributes:
        size: height and width of the video.
        names: names by id, from below: the last object is on top.
        masks: run lengths by frame and id; objects without an entry are not visible.
        scores: scores by frame and id.
        attributes: values by id and name; ``group`` is one of them.
        frame_attributes: values by id, name and frame; each holds until the next one.
        schema: classes and attributes of the file.
        ids: ids in the file, by id; ids that are not unique in the file are replaced.
        class_of: class by id.
        colour_of: colour by id, ``#rrggbb``.
        shapes: shapes by id, of objects whose file has them; ``masks`` has these objects, too.
        skipped: numbers of shapes that are no areas, by kind.
        colours: colour by class or name, of those that are written.
        objects: id, name, category and colour of each object that is written.
    """

    size: tuple[int, int]
    names: dict[int, str] = field(default_factory=dict)
    masks: dict[int, dict[int, str]] = field(default_factory=dict)
    scores: dict[tuple[int, int], float] = field(default_factory=dict)
    attributes: dict[int, dict[str, str]] = field(default_factory=dict)
    frame_attributes: dict[int, dict[str, dict[int, str]]] = field(default_factory=dict)
    schema: LabelSchema = field(default_factory=LabelSchema)
    ids: dict[int, int] = field(default_factory=dict)
    class_of: dict[int, str] = field(default_factory=dict)
    colour_of: dict[int, str] = field(default_factory=dict)
    shapes: dict[int, list[KeyedShape]] = field(default_factory=dict)
    skipped: Counter[str] = field(default_factory=Counter)
    _count: int = 0
    colours: Mapping[str, str] = field(default_factory=dict)
    objects: Sequence[Mapping[str, Any]] = ()

    @classmethod
    def of_frames(cls, frames: Iterable[FrameObjects], video: Frames) -> Labels:
        """Collect the objects of frames in any order; run lengths are validated."""
        labels, canvas = cls(video.size), Canvas.of(video.size)
        for objects in frames:
            if not 0 <= objects.index < video.count:
                raise DatasetError(f"frame {objects.index} is none of the video, which has {video.count}")
            labels.masks.setdefault(objects.index, {})
            for item in objects.objects:
                about, lengths = objects.attributes.get(item.id), objects.lengths[item.id]
                if tuple(lengths["size"]) != video.size:
                    (height, width), (rows, columns) = lengths["size"], video.size
                    raise DatasetError(f"a mask is {width}x{height}, the video {columns}x{rows}")
                labels.add_object(item.id, item.label, item.id, about, category=item.label)
                labels.add_mask(objects.index, item.id, canvas.segmentation(dict(lengths)), item.score)
        labels.order_layers({number: place for place, number in enumerate(labels.names)})
        return labels

    def at(
        self,
        index: int,
        time: float = 0.0,
        frame: Callable[[], Frame] | None = None,
        jpeg: Callable[[], bytes] | None = None,
    ) -> FrameObjects:
        """Objects of a frame, for a format; see :class:`segue.formats.frames.FrameObjects`."""
        masks = self.masks.get(index, {})
        return FrameObjects(
            index,
            {i: Rle(size=[*self.size], counts=counts) for i, counts in masks.items()},
            self.size,
            time=time,
            labels=self.names,
            scores={i: self.score(index, i) for i in masks},
            attributes={i: self.values_at(index, i) for i in masks},
            frame=frame,
            jpeg=jpeg,
        )

    def save(
        self,
        target: str | os.PathLike[str],
        video: str | os.PathLike[str],
        *,
        format: str | None = None,
        all_frames: bool = False,
        overwrite: bool = False,
    ) -> Path:
        """Write the labels in a format.

        Args:
            target: file or folder to write.
            video: the video or folder of images that they belong to.
            format: name of the format; by default that of the ending of ``target``.
            all_frames: write frames without annotation, too, as frames without objects.
            overwrite: replace an existing file; folders are never replaced.

        Returns:
            The file or folder.

        Raises:
            SegueError: it cannot be written.
        """
        about = {"format": format, "all_frames": all_frames, "overwrite": overwrite}
        _SAVE(self, target, video, **about)
        return user_path(target)

    def __iter__(self) -> Iterator[FrameObjects]:
        """Iterate over annotated frames in order."""
        return (self.at(index) for index in sorted(self.masks))

    def categories(self) -> dict[str, int]:
        """Number each class that is written, from 1 on: the names of the objects."""
        return {name: number for number, name in enumerate(self.colours, 1)}

    def levels(self) -> dict[int, int]:
        """Layer number of each object, growing upwards: its id, if ids are in that order."""
        return dict(zip(self.names, sorted(self.names), strict=True))

    def planes(self, index: int) -> dict[int, BoolArray]:
        """Decode the masks of the objects on a frame.

        Args:
            index: index of the frame.

        Returns:
            Masks (H, W), bool, by id; they may overlap, and the last one is on top.
        """
        return {
            number: decode_mask(counts, self.size) for number, counts in self.masks.get(index, {}).items()
        }

    def mask(self, index: int) -> IndexMask:
        """Merge the masks of the objects on a frame.

        Args:
            index: index of the frame.

        Returns:
            Index mask (H, W); zeros without annotations.
        """
        return composed(self.masks.get(index, {}), self.size)

    def area(self, index: int, number: int) -> int:
        """Count the pixels of an object on a frame.

        Args:
            index: index of a frame that shows it.
            number: id of the object.

        Returns:
            Area in pixels.

        Raises:
            KeyError: the frame does not show the object.
        """
        return rle_area(Rle(size=[*self.size], counts=self.masks[index][number]))

    def score(self, frame: int, number: int) -> float:
        """Get the score of an object on a frame.

        Args:
            frame: index of the frame.
            number: id of the object.

        Returns:
            The score; 1 by default.
        """
        return self.scores.get((frame, number), 1.0)

    def attributes_at(self, frame: int, number: int) -> dict[str, str]:
        """Get the attributes of an object on a frame.

        Args:
            frame: index of the frame.
            number: id of the object.

        Returns:
            Values by name: those of the object, and those of frames, which hold until the next value.
        """
        points = self.frame_attributes.get(number, {})
        frame_values = {name: held_at(values, frame) for name, values in points.items()}
        return self.attributes.get(number, {}) | {
            name: value for name, value in frame_values.items() if value
        }

    def fields(self) -> list[tuple[str | None, AttributeDefinition]]:
        """All attributes, each with its class, or None for any class.

        Attributes outside the schema are texts.
        """
        defined = [*self.schema.all_attributes()]
        free_fields: dict[str, AttributeDefinition] = {}
        for number, name in sorted(self.names.items()):
            for of, names in (("object", self.attributes), ("frame", self.frame_attributes)):
                for attribute in names.get(number, ()):
                    if self.schema.attribute(name, attribute) is None:
                        # By no check: a group is no attribute of a schema.
                        free = AttributeDefinition.model_construct(
                            name=attribute, type="text", of=of, values=()
                        )
                        free_fields.setdefault(attribute, free)
        return [*((None, one) for one in free_fields.values()), *defined]

    def fields_of(self, name: str) -> list[AttributeDefinition]:
        """Attributes of a class or name; a class may define one that is a text elsewhere."""
        fields = [one for of, one in self.fields() if of in (None, name)]
        return list({one.name: one for one in fields}.values())

    def values_at(self, frame: int, number: int) -> dict[str, str | bool]:
        """Attributes of an object on a frame; check boxes are True or False."""
        about = self.attributes_at(frame, number)
        values: dict[str, str | bool] = {**about}
        for one in self.schema.attributes_of(self.names[number]):
            if one.type == "check" and one.name in about:
                values[one.name] = about[one.name] == CHECKED
        return values

    def add_object(
        self,
        number: int,
        name: str | None,
        recorded_id: object = None,
        about: object = None,
        **appearance: object,
    ) -> None:
        """Add an object, or more attributes of it, within the limits of a project.

        ``appearance`` are its ``category`` and ``colour``.
        """
        if number not in self.names:
            if len(self.names) >= MAX_OBJECTS:
                raise DatasetError(f"has more than {MAX_OBJECTS} objects; import it in parts")
            self.names[number] = without_controls(name or "")[:MAX_NAME_LENGTH] or f"Object {number}"
            if isinstance(recorded_id, int):
                self.ids[number] = recorded_id
            if isinstance(category := appearance.get("category"), str):
                self.class_of[number] = without_controls(category)[:MAX_NAME_LENGTH]
            if isinstance(colour := appearance.get("colour"), str) and _COLOUR.fullmatch(colour):
                self.colour_of[number] = colour.lower()
        for key, value in about.items() if isinstance(about, dict) else ():
            self._take(self.attributes.setdefault(number, {}), key, value)

    def add_frame_attributes(self, frame: int, number: int, about: Mapping[str, object]) -> None:
        """Add attributes of an object on a frame."""
        points = self.frame_attributes.setdefault(number, {})
        texts: dict[str, str] = {}
        for key, value in about.items():
            self._take(texts, key, value)
        for key, text in texts.items():
            if key in points or len(points) < MAX_ATTRIBUTES:
                points.setdefault(key, {})[frame] = text

    def settle_frame_attributes(self) -> None:
        """After reading, end values on frames without one, and drop unused check boxes.

        A shape that some file calls occluded makes that an attribute of the schema.
        """
        frames_of: dict[int, list[int]] = {}
        for frame, masks in self.masks.items():
            for number in masks:
                frames_of.setdefault(number, []).append(frame)
        for number, points in self.frame_attributes.items():
            for name, values in [*points.items()]:
                defined = self.schema.attribute(self.class_of.get(number), name)
                of_box = name == OCCLUDED if defined is None else defined.type == "check"
                for frame in frames_of.get(number, ()):
                    values.setdefault(frame, UNCHECKED if of_box else "")
                if of_box:  # one that was never ticked says nothing
                    first = min((frame for frame, value in values.items() if value == CHECKED), default=None)
                    changes = {
                        frame: value
                        for frame, value in values.items()
                        if first is not None and frame >= first
                    }
                    points[name] = changes
                    if changes and defined is None:
                        self.schema = self.schema.with_additions(_OCCLUDED)
        self.frame_attributes = {
            number: {name: values for name, values in points.items() if values}
            for number, points in self.frame_attributes.items()
        }

    @staticmethod
    def _take(texts: dict[str, str], key: str, value: object) -> None:
        key = without_controls(key)
        room = key in texts or len(texts) < MAX_ATTRIBUTES
        if isinstance(value, bool):
            value = CHECKED if value else UNCHECKED
        if room and 0 < len(key) <= MAX_NAME_LENGTH and isinstance(value, str | int | float):
            texts[key] = without_controls(str(value))[:MAX_VALUE_LENGTH]

    def add_mask(self, frame: int, number: int, counts: bytes | None, score: float | None = None) -> None:
        """Add validated run lengths of an object on a frame, merged with earlier ones."""
        self._count += 1
        if self._count > MAX_MASKS:
            raise DatasetError(f"has more than {MAX_MASKS} masks; import it in parts")
        masks = self.masks.setdefault(frame, {})
        if counts:
            from pycocotools import mask as coco_mask  # late: it takes long to import

            masks_to_merge = [each for each in (masks.get(number), counts) if each]
            united = coco_mask.merge([{"size": self.size, "counts": each} for each in masks_to_merge])
            if coco_mask.area(united):
                masks[number] = united["counts"].decode()
        if score is not None:
            self.scores[frame, number] = score

    def add_files(self, files: Mapping[int, Callable[[], IndexMask]]) -> None:
        """Add mask files by frame; if no object has a name, all their objects are added."""
        has_names = bool(self.names)
        for index, read in files.items():
            mask = read()
            if mask.shape != self.size:
                shape, video = (f"{width}x{height}" for height, width in (mask.shape, self.size))
                turned = "; turn it as the video is" if mask.shape == self.size[::-1] else ""
                raise DatasetError(f"a mask is {shape}, the video {video}{turned}")
            numbers = [number for number in measure(mask) if number in self.names or not has_names]
            if not has_names:
                for number in numbers:
                    self.add_object(number, None, number)
            encoded = encode_objects(mask, numbers)
            self.masks[index] = {number: rle["counts"] for number, rle in encoded.items()}
        if not has_names:
            self.sort_objects(int)

    def leave_void_out(self, _: str) -> None:
        """Count void in a mask, which is no object."""
        self.skipped["areas of void"] += 1

    def sort_objects(self, key: Callable[[int], Any]) -> None:
        """Sort the objects by a key; the last one is on top."""
        self.names = {number: self.names[number] for number in sorted(self.names, key=key)}

    def order_layers(self, rank: Mapping[int, Any]) -> None:
        """Sort the objects by the layer order of their masks on all frames.

        Objects that no frame orders, and all if frames contradict each other, are sorted by ``rank``.
        """
        order = layer_order(map(list, self.masks.values()), rank) or sorted(rank, key=rank.__getitem__)
        self.names = {number: self.names[number] for number in order}

    def settle_ids(self) -> None:
        """Number the objects by their ids in the file if these are valid, else keep valid numbers."""
        recorded = {number: self.ids.get(number, 0) for number in self.names}
        kept = {number: number for number in self.names}
        counted = {number: place for place, number in enumerate(sorted(self.names), 1)}
        ids = next((each for each in (recorded, kept) if _are_ids(each.values())), counted)
        if ids == kept:
            return
        self.masks = {
            index: {ids[number]: counts for number, counts in masks.items()}
            for index, masks in self.masks.items()
        }
        self.scores = {(index, ids[n]): score for (index, n), score in self.scores.items() if n in ids}
        for name in ("names", "attributes", "frame_attributes", "ids", "class_of", "colour_of", "shapes"):
            setattr(self, name, {ids[n]: value for n, value in getattr(self, name).items() if n in ids})

    def settle_layers(self) -> None:
        """After reading, put the masks of each frame in the order of the objects."""
        place = {number: place for place, number in enumerate(self.names)}
        for index, masks in self.masks.items():
            self.masks[index] = dict(sorted(masks.items(), key=lambda item: place[item[0]]))


def _are_ids(numbers: Collection[int]) -> bool:
    """Whether numbers are different ids of an index mask."""
    return len({*numbers}) == len(numbers) and all(1 <= i <= MAX_ID for i in numbers)


class Numbering:
    """Numbers objects of annotated images by their ids, or else by class and position."""

    def __init__(self) -> None:
        self._numbers: dict[object, int] = {}
        self._counts: Counter[object] = Counter()

    def number(self, frame: int, category: object, recorded_id: object = None) -> int:
        """Number of an object on a frame, from 1 on."""
        key = (category, self._counts[frame, category]) if recorded_id is None else (None, recorded_id)
        self._counts[frame, category] += 1
        return self._numbers.setdefault(key, len(self._numbers) + 1)


def by_frame(by_name: Mapping[str, T], video: Frames) -> dict[int, T]:
    """Map named items to frames; see :func:`segue.utils.naming.match_frames`."""
    return dict(zip(match_frames([*by_name], video.count, video.names), by_name.values(), strict=True))


def frame_at(video: Frames, seconds: float) -> int:
    """Frame shown at a time: the last one that begins before it; -1 or ``count`` if none."""
    if not video.fps:
        raise DatasetError("has times, but the video has no frame rate")
    if seconds + CLOCK >= video.time(video.count - 1) + 1 / video.fps:
        return video.count
    return bisect_right(range(video.count), seconds + CLOCK, key=video.time) - 1


def check_images(number: int, video: Frames, advice: str = "") -> None:
    """Raise an error if a file has more images than the video frames."""
    if number > video.count:
        one = f"one is expected{advice and '; '}{advice}"
        frames = one if video.count == 1 else f"the video has {video.count} frames"
        raise DatasetError(f"it has {number} images, but {frames}")


def other_videos(annotated: Sequence[str], video: Frames) -> set[str]:
    """Describe the videos of a file other than this one."""
    if len(annotated) < 2:
        return set()
    # Label Studio puts a random prefix before the names of files that are uploaded.
    video_name = getattr(video, "name", None)
    names = {name: PurePosixPath(frame_stem(name)).stem for name in annotated}
    same = [
        name
        for name, stem in names.items()
        if video_name and (stem == video_name or stem.endswith(f"-{video_name}"))
    ]
    if len(same) != 1:
        raise DatasetError("it is of several videos; export this one alone")
    return {*annotated} - {*same}
