"""Masks of a project for other programs: data sets, annotation tools, editors."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from itertools import count
from pathlib import Path
from typing import NamedTuple

import numpy as np

from segue.sinks.overlay import PRORES, VP9
from segue_web.exports import annotation_tools, data_sets, videos
from segue_web.exports.snapshot import (
    Snapshot,
    Writer,
    complete_folder,
    plain_name,
    remove_unfinished,
    snapshot,
)
from segue_web.server.worker import Tools
from segue_web.video import Video

__all__ = [
    "FORMATS",
    "Format",
    "Snapshot",
    "complete_folder",
    "export_job",
    "free_path",
    "remove_unfinished",
    "snapshot",
    "steps",
    "suffix_of",
    "write_export",
]


class Format(NamedTuple):
    """An export, and what the page says of it."""

    suffix: str  # none for a folder
    write: Writer
    group: str
    name: str
    text: str
    known_only: bool = False  # can leave out frames without annotation


_SETS, _TOOLS, _VIDEOS = "Data sets", "Annotation tools", "Videos"

FORMATS = {
    "davis": Format(
        "", data_sets.davis, _SETS, "DAVIS folder", "indexed PNG, JPEG and image sets", known_only=True
    ),
    "coco": Format(
        ".json", data_sets.coco, _SETS, "COCO", "one JSON file with masks per frame", known_only=True
    ),
    "coco_images": Format(
        "",
        data_sets.coco_images,
        _SETS,
        "COCO with images",
        "the JSON file and the frames as JPEG",
        known_only=True,
    ),
    "ytvis": Format(".json", data_sets.ytvis, _SETS, "YouTube-VIS", "one JSON file with a track per object"),
    "yolo": Format(
        "",
        data_sets.yolo,
        _SETS,
        "YOLO segmentation",
        "images and outlines for Ultralytics",
        known_only=True,
    ),
    "cvat": Format(".xml", annotation_tools.cvat, _TOOLS, "CVAT for video 1.1", "one XML file with masks"),
    "labelstudio": Format(
        "",
        annotation_tools.label_studio,
        _TOOLS,
        "Label Studio",
        "brush labels, images and configuration",
        known_only=True,
    ),
    "labelme": Format(
        "",
        annotation_tools.labelme,
        _TOOLS,
        "labelme, X-AnyLabeling",
        "images and polygons",
        known_only=True,
    ),
    "overlay": Format(
        ".mp4", videos.overlay, _VIDEOS, "Overlay video", "MP4 with the masks drawn on the frames"
    ),
    "prores": Format(
        ".mov",
        partial(videos.cut_outs, encoding=PRORES),
        _VIDEOS,
        "Cut-out, ProRes 4444",
        "MOV with transparency",
    ),
    "vp9": Format(
        ".webm", partial(videos.cut_outs, encoding=VP9), _VIDEOS, "Cut-out, VP9", "WebM with transparency"
    ),
    "png": Format(
        "",
        partial(videos.images, depth=np.uint8),
        _VIDEOS,
        "Cut-out, PNG sequence",
        "images with transparency",
    ),
    "png16": Format(
        "",
        partial(videos.images, depth=np.uint16),
        _VIDEOS,
        "Cut-out, 16-bit PNG",
        "images with transparency",
    ),
    "exr": Format("", videos.exr, _VIDEOS, "Cut-out, OpenEXR", "half float, linear, one layer per object"),
    "matte": Format("", videos.mattes, _VIDEOS, "Matte, 16-bit PNG", "opacity as grey images"),
}


def free_path(folder: Path, name: str, form: str, suffix: str | None = None) -> Path:
    """Output path of an export, which may have another suffix than its format; it must not exist."""
    suffix = FORMATS[form].suffix if suffix is None else suffix
    plain = plain_name(name) or "video"
    used = {path.name for path in folder.iterdir()}
    ends = (f"{'' if number == 1 else f'-{number}'}{suffix}" for number in count(1))
    return folder / next(path for end in ends if (path := f"{plain}-{form}{end}") not in used)


def steps(annotations: Snapshot, form: str) -> int:
    """Number of frames in an export."""
    frames = len(annotations.frames if FORMATS[form].known_only else annotations.span)
    return frames * len(annotations.names) if annotations.each else frames


def suffix_of(form: str, each: bool) -> str:
    """The ending of an export; objects by themselves are in a folder."""
    return "" if each else FORMATS[form].suffix


def export_job(tools: Tools, annotations: Snapshot, form: str, target: Path) -> Iterator[int]:
    """Job of :meth:`segue_web.server.worker.Worker.steps` that writes an export."""
    return write_export(tools.video, annotations, form, target)


def write_export(video: Video, annotations: Snapshot, form: str, target: Path) -> Iterator[int]:
    """Write an export, yielding each frame that is done."""
    about = FORMATS[form]
    if not annotations.each:
        yield from about.write(video, annotations, target)
        return
    with complete_folder(target) as folder:
        for number, name in annotations.file_names().items():
            yield from about.write(video, annotations.only(number), folder / f"{name}{about.suffix}")
