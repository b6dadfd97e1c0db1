"""Masks of a project for other programs: data sets, annotation tools, editors."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from itertools import count
from pathlib import Path
from typing import NamedTuple

from segue.sinks.overlay import PRORES, VP9
from segue_web.exports import annotation_tools, data_sets, videos
from segue_web.exports.snapshot import Snapshot, Writer, complete_folder, remove_unfinished, snapshot
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
        "", data_sets.davis, _SETS, "DAVIS folder", "indexed PNG, JPEG and lists", known_only=True
    ),
    "coco": Format(
        ".json", data_sets.coco, _SETS, "COCO", "one JSON, run lengths for each frame", known_only=True
    ),
    "coco_images": Format(
        "",
        data_sets.coco_images,
        _SETS,
        "COCO with images",
        "the same, and the frames as JPEG",
        known_only=True,
    ),
    "ytvis": Format(".json", data_sets.ytvis, _SETS, "YouTube-VIS", "one JSON, a track for each object"),
    "yolo": Format(
        "",
        data_sets.yolo,
        _SETS,
        "YOLO segmentation",
        "images and outlines, for ultralytics",
        known_only=True,
    ),
    "cvat": Format(".xml", annotation_tools.cvat, _TOOLS, "CVAT for video 1.1", "one XML of masks"),
    "labelstudio": Format(
        "",
        annotation_tools.label_studio,
        _TOOLS,
        "Label Studio",
        "brush labels, images, set-up",
        known_only=True,
    ),
    "labelme": Format(
        "",
        annotation_tools.labelme,
        _TOOLS,
        "labelme, X-AnyLabeling",
        "images, and polygons of each",
        known_only=True,
    ),
    "overlay": Format(".mp4", videos.overlay, _VIDEOS, "Overlay video", "mp4 with the masks drawn over it"),
    "prores": Format(
        ".mov",
        partial(videos.matte, encoding=PRORES),
        _VIDEOS,
        "Cut-out, ProRes 4444",
        "mov with transparency",
    ),
    "vp9": Format(
        ".webm", partial(videos.matte, encoding=VP9), _VIDEOS, "Cut-out, VP9", "webm with transparency"
    ),
    "png": Format("", videos.images, _VIDEOS, "Cut-out, PNG sequence", "images with transparency"),
}


def free_path(folder: Path, name: str, form: str, suffix: str | None = None) -> Path:
    """Output path of an export, which may have another suffix than its format; it must not exist."""
    suffix = FORMATS[form].suffix if suffix is None else suffix
    plain = "".join(sign if sign.isalnum() or sign in "-_" else "_" for sign in name)[:60] or "video"
    used = {path.name for path in folder.iterdir()}
    ends = (f"{'' if number == 1 else f'-{number}'}{suffix}" for number in count(1))
    return folder / next(path for end in ends if (path := f"{plain}-{form}{end}") not in used)


def steps(annotations: Snapshot, form: str) -> int:
    """Number of frames in an export."""
    return len(annotations.frames if FORMATS[form].known_only else annotations.span)


def export_job(tools: Tools, annotations: Snapshot, form: str, target: Path) -> Iterator[int]:
    """Job of :meth:`segue_web.server.worker.Worker.steps` that writes an export."""
    return write_export(tools.video, annotations, form, target)


def write_export(video: Video, annotations: Snapshot, form: str, target: Path) -> Iterator[int]:
    """Write an export, yielding each frame that is done."""
    return FORMATS[form].write(video, annotations, target)
