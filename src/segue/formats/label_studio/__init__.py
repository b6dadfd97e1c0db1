"""Tasks of Label Studio: brushes, polygons, rectangles and ellipses of images, boxes of videos."""

from __future__ import annotations

from segue.entries.formats import Format, Holds
from segue.formats.files import Files, json_entries
from segue.formats.folders import ANNOTATION_TOOLS
from segue.formats.label_studio.brush import decode_brush as decode_brush
from segue.formats.label_studio.brush import encode_brush as encode_brush
from segue.formats.label_studio.labels import corners_of_box as corners_of_box
from segue.formats.label_studio.labels import frames_in_tag as frames_in_tag
from segue.formats.label_studio.labels import index_at as index_at
from segue.formats.label_studio.labels import is_task, read_tasks
from segue.formats.label_studio.labels import tag_position as tag_position
from segue.formats.label_studio.writer import LabelStudioWriter
from segue.formats.labels import Frames, Labels


def _is_export(files: Files) -> bool:
    """Whether the annotation file is a task of Label Studio, or a list of tasks."""
    if (text := files.annotation_ending(".json")) is None:
        return False
    if text.lstrip()[:1] == "[":
        return is_task(next((item for _, _, item in json_entries(text, files.names[0])), None))
    return '"data"' in text and is_task({key: None for key, _, _ in json_entries(text, files.names[0])})


def _read(files: Files, video: Frames) -> Labels:
    labels = Labels(video.size)
    name, text = files.annotation or ("", "")
    read_tasks(labels, text, files.where(name), video, files.config)
    return labels


ENTRIES = (
    Format(
        "labelstudio",
        "labelstudio",
        LabelStudioWriter,
        needs_frames=True,
        holds=Holds(
            layers=True,
            max_id=65535,
            classes=True,
            colours=True,
            attributes=True,
            frame_attributes=True,
            schema=True,
        ),
        sniff=lambda files: 0.7 if _is_export(files) else 0.0,
        read=_read,
        endings=(".json",),
        title="Label Studio",
        about="brush labels, images and configuration",
        group=ANNOTATION_TOOLS,
        known_only=True,
    ),
)
