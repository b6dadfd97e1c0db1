"""XML of CVAT: for video 1.1 and for images 1.1, of a task, a job or a project."""

from __future__ import annotations

from segue.entries.formats import Format, Holds
from segue.formats.cvat.labels import read_cvat
from segue.formats.cvat.writer import open_cvat
from segue.formats.files import Files
from segue.formats.folders import ANNOTATION_TOOLS
from segue.formats.labels import Frames, Labels


def _read(files: Files, video: Frames) -> Labels:
    labels = Labels(video.size)
    read_cvat(labels, files.annotation_ending(".xml") or "", video)
    return labels


ENTRIES = (
    Format(
        "cvat",
        "cvat.xml",
        open_cvat,
        holds=Holds(
            layers=True,
            max_id=65535,
            classes=True,
            colours=True,
            attributes=True,
            frame_attributes=True,
            schema=True,
            keys=True,
        ),
        sniff=lambda files: 0.9 if files.annotation_ending(".xml") else 0.0,
        read=_read,
        endings=(".xml",),
        title="CVAT for video 1.1",
        about="one XML file: masks, and polygons for shapes with keys",
        group=ANNOTATION_TOOLS,
    ),
)
