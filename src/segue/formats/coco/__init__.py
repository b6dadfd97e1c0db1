"""COCO and YouTube-VIS: reading, writing, and the entries of the formats."""

from __future__ import annotations

from functools import partial

from segue.entries.formats import Format, Holds
from segue.errors import DatasetError, SegueError
from segue.formats.coco.image import from_coco as from_coco
from segue.formats.coco.labels import read_coco
from segue.formats.coco.writers import CocoImagesWriter, open_coco, open_ytvis
from segue.formats.coco.writers import CocoSink as CocoSink
from segue.formats.files import DAMAGED, Files
from segue.formats.folders import DATA_SETS
from segue.formats.labels import Frames, Labels
from segue.formats.others import name_program


def _read(files: Files, video: Frames) -> Labels:
    labels = Labels(video.size)
    assert files.annotation is not None
    name, text = files.annotation
    try:
        read_coco(labels, text, files.where(name), video)
    except (*DAMAGED, SegueError):
        if (program := name_program(text, name)) is not None:
            raise DatasetError(f"is a file of {program}") from None
        raise
    return labels


def _sniff(files: Files) -> float:
    """Accept any JSON with half confidence; the reader names other programs."""
    return 0.5 if files.annotation is not None and files.annotation[0].lower().endswith(".json") else 0.0


_HOLDS = Holds(
    layers=True, max_id=65535, classes=True, names=True, colours=True, scores=True, attributes=True,
    frame_attributes=True, schema=True,
)  # fmt: skip

ENTRIES = (
    Format(
        "coco",
        "coco.json",
        open_coco,
        holds=_HOLDS,
        sniff=_sniff,
        read=_read,
        endings=(".json",),
        title="COCO",
        about="one JSON file with masks per frame",
        group=DATA_SETS,
        known_only=True,
    ),
    Format(
        "coco-images",
        "coco",
        CocoImagesWriter,
        needs_frames=True,
        title="COCO with images",
        about="the JSON file and the frames as JPEG",
        group=DATA_SETS,
        export="coco_images",
        known_only=True,
    ),
    Format(
        "ytvis",
        "ytvis.json",
        open_ytvis,
        holds=Holds(layers=True, max_id=65535, classes=True, names=True, colours=True, attributes=True),
        title="YouTube-VIS",
        about="one JSON file with a track per object",
        group=DATA_SETS,
    ),
    Format(
        "coco-polygons",
        "coco-polygons.json",
        partial(open_coco, polygons=True),
        holds=_HOLDS,
        title="COCO, polygons",
    ),
)
