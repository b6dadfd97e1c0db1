"""Convert annotations between formats, with the video if a format needs it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from segue.entries.formats import Format
from segue.errors import DatasetError, SinkError, SourceError
from segue.formats.labels import Labels
from segue.formats.reading import read_labels
from segue.formats.videos import LabelledVideo
from segue.masks import DAVIS_PALETTE
from segue.masks.splines import shape_runs
from segue.registry import FORMATS
from segue.utils.files import locked
from segue.utils.inputs import user_path
from segue.utils.keywords import suggests_names
from segue.video.sources.images import is_source
from segue.video.sources.kinds import is_image

IMAGES = ("JPEGImages/*/*", "images/*", "frames", "images", "")
"""Image folders of data sets, beside their labels, in the order of search."""


@dataclass(frozen=True, slots=True)
class Converted:
    """Result of a conversion.

    Attributes:
        path: the file or folder.
        format: name of its format.
        objects: number of objects.
        frames: number of frames that are written.
        skipped: shapes that are no areas, by their kind.
    """

    path: Path
    format: str
    objects: int
    frames: int
    skipped: Mapping[str, int]


@suggests_names
def convert(
    source: str | os.PathLike[str],
    target: str | os.PathLike[str],
    *,
    video: str | os.PathLike[str] | None = None,
    format: str | None = None,
    all_frames: bool = False,
    overwrite: bool = False,
) -> Converted:
    """Convert annotations or results of a video from one format to another.

    Args:
        source: file, folder or archive in any format that segue reads.
        target: file or folder to write.
        video: the video or folder of images; by default the images in ``source``.
        format: name of the format to write; by default that of the ending of ``target``.
        all_frames: write frames without annotation, too, as frames without objects.
        overwrite: replace an existing file; folders are never replaced.

    Returns:
        A summary of the written labels.

    Raises:
        SegueError: the source cannot be read, does not fit the video, or the target cannot be written.

    Example:
        >>> convert("cvat.xml", "yolo", video="street.mp4", format="yolo")
    """
    source, target = user_path(source), user_path(target)
    entry = _format_of(target, format)
    place = _images_of(source) if video is None else user_path(video)
    if place is None:
        raise SourceError(f"{source}: has no images of its own; give the video")
    with closing(LabelledVideo(place)) as opened:
        labels = read_labels(source, opened)
        frames = save_labels(labels, target, opened, entry, all_frames=all_frames, overwrite=overwrite)
        return Converted(target, entry.name, len(labels.names), frames, dict(labels.skipped))


def save(
    labels: Labels,
    target: str | os.PathLike[str],
    video: str | os.PathLike[str],
    *,
    format: str | None = None,
    all_frames: bool = False,
    overwrite: bool = False,
) -> None:
    """Write labels of a video; see :meth:`segue.formats.labels.Labels.save`."""
    place = user_path(target)
    entry = _format_of(place, format)
    with closing(LabelledVideo(video)) as opened:
        save_labels(labels, place, opened, entry, all_frames=all_frames, overwrite=overwrite)


def save_labels(
    labels: Labels,
    target: Path,
    video: LabelledVideo,
    entry: Format,
    *,
    all_frames: bool = False,
    overwrite: bool = False,
) -> int:
    """Write labels in a format; returns the number of written frames."""
    assert entry.open is not None
    if target.exists() and (target.is_dir() or not overwrite):
        raise SinkError(f"{target}: exists already; give another target" + " or overwrite" * target.is_file())
    if target.is_file() and any(target.samefile(file) for file in video.files):
        raise SinkError(f"{target}: the frames come from there; choose another target")
    if labels.size != video.size:
        (height, width), (rows, columns) = labels.size, video.size
        raise DatasetError(f"{target}: the labels are {width}x{height}, the video is {columns}x{rows}")
    if (last := max(labels.masks, default=0)) >= video.count:
        raise DatasetError(f"{target}: frame {last} is none of the video, which has {video.count}")
    prepared = to_write(labels)
    span = range(video.count)
    frames = span if all_frames or not entry.known_only else sorted(prepared.masks)
    with locked([target]), entry.open(target, video.options(prepared, span)) as writer:
        for index in frames:
            writer.add(prepared.at(index, video.time(index), partial(video.frame, index)))
    return len(frames)


def to_write(labels: Labels) -> Labels:
    """Prepare labels for writing: valid ids, class names, and all colours."""
    labels = replace(labels)
    labels.settle_ids()
    classes = {number: labels.class_of.get(number) or name for number, name in labels.names.items()}
    colours: dict[str, str] = {one.name: one.colour for one in labels.schema.classes if one.colour}
    for number in sorted(labels.names):
        colour = labels.colour_of.get(number)
        colours.setdefault(classes[number], colour or _colour(len(colours) + 1))
    objects = [
        {
            "id": number,
            "name": name,
            "category": classes[number],
            "colour": labels.colour_of.get(number) or colours[classes[number]],
        }
        for number, name in labels.names.items()
    ]
    shapes = {number: each for number, each in labels.shapes.items() if _is_shaped(labels, number)}
    return replace(labels, names=classes, colours=colours, objects=objects, shapes=shapes)


def _is_shaped(labels: Labels, number: int) -> bool:
    """Whether the keyed shapes of an object make up all of its masks."""
    shapes = labels.shapes[number]
    covered = {frame for shape in shapes for frame in shape.span}
    frames = {index for index, masks in labels.masks.items() if number in masks}
    if any(shape.hole for shape in shapes) or not frames <= covered:
        return False
    return all(
        (shape_runs(shapes, index, labels.size) or None) == labels.masks.get(index, {}).get(number)
        for index in covered
    )


def _colour(number: int) -> str:
    red, green, blue = np.asarray(DAVIS_PALETTE)[number % 256].tolist()
    return f"#{red:02x}{green:02x}{blue:02x}"


def _format_of(target: Path, name: str | None) -> Format:
    """Select the format by its name or the suffix of the target."""
    writable = [entry for entry in FORMATS if isinstance(entry, Format) and entry.open is not None]
    suffix = target.suffix.lower()
    if name is None:
        entry = next((entry for entry in writable if suffix and entry.suffix == suffix), None)
        if entry is None:
            names = ", ".join(entry.name for entry in writable)
            raise SinkError(f"{target}: no format ends so; give the format: {names}")
        return entry
    entry = next((entry for entry in writable if name in (entry.name, entry.export_name)), None)
    if entry is None:
        raise SinkError(f"format {name!r}: choose one of {', '.join(entry.name for entry in writable)}")
    if entry.suffix != suffix and (entry.suffix or suffix in _suffixes(writable)):
        expected = f"a file that ends in {entry.suffix}" if entry.suffix else "a folder"
        raise SinkError(f"{target}: {entry.name} is {expected}")
    return entry


def _suffixes(entries: list[Format]) -> set[str]:
    return {entry.suffix for entry in entries} - {""}


def _images_of(source: Path) -> Path | None:
    """The only image folder of a data set, beside its labels."""
    if not source.is_dir():
        source = source.parent
    for pattern in IMAGES:
        folders = [folder for folder in (source.glob(pattern) if pattern else [source]) if folder.is_dir()]
        with_images = [folder for folder in folders if any(_is_photograph(path) for path in folder.iterdir())]
        if len(with_images) == 1 and is_source(with_images[0]):
            return with_images[0]
    return None


def _is_photograph(path: Path) -> bool:
    """Whether a file may be an image of a video; PNG files are usually masks."""
    return is_image(path) and path.suffix.lower() in (".jpg", ".jpeg")
