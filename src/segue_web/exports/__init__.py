"""Masks of a project for other programs: data sets, annotation tools, editors."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import NamedTuple

from segue_web.exports import data_sets, videos
from segue_web.exports import tools as annotation_tools
from segue_web.exports.cvat import cvat
from segue_web.exports.snapshot import Snapshot, snapshot
from segue_web.exports.writing import Writer, remove_unfinished
from segue_web.video import Video
from segue_web.worker import Tools

__all__ = [
    "FORMATS",
    "Format",
    "Snapshot",
    "export_job",
    "free_path",
    "remove_unfinished",
    "snapshot",
    "steps",
]


class Format(NamedTuple):
    """Options of an export."""

    suffix: str  # none for a folder
    write: Writer
    known_only: bool = False  # can leave out frames without annotation


FORMATS = {
    "davis": Format("", data_sets.davis, known_only=True),
    "coco": Format(".json", data_sets.coco, known_only=True),
    "coco_images": Format("", data_sets.coco_images, known_only=True),
    "ytvis": Format(".json", data_sets.ytvis),
    "yolo": Format("", data_sets.yolo, known_only=True),
    "mot": Format("", data_sets.mot, known_only=True),
    "mots": Format("", data_sets.mots, known_only=True),
    "cvat": Format(".xml", cvat),
    "labelstudio": Format("", annotation_tools.labelstudio, known_only=True),
    "overlay": Format(".mp4", videos.overlay),
    "prores": Format(".mov", videos.prores),
    "vp9": Format(".webm", videos.vp9),
    "png": Format("", videos.pictures),
}


def free_path(folder: Path, name: str, form: str) -> Path:
    """Output path of an export; it must not exist."""
    plain = "".join(sign if sign.isalnum() or sign in "-_" else "_" for sign in name)[:60] or "video"
    taken = {path.name for path in folder.iterdir()}
    ends = (f"{'' if number == 1 else f'-{number}'}{FORMATS[form].suffix}" for number in count(1))
    return folder / next(path for end in ends if (path := f"{plain}-{form}{end}") not in taken)


def steps(video: Video, taken: Snapshot, form: str) -> int:
    """Number of frames in an export."""
    return len(taken.frames(video) if FORMATS[form].known_only else taken.span(video))


def export_job(tools: Tools, taken: Snapshot, form: str, target: Path) -> Iterator[int]:
    """Job of :meth:`segue_web.worker.Worker.steps` that writes an export."""
    yield from FORMATS[form].write(tools.video, taken, target)
