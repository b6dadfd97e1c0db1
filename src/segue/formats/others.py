"""Recognise annotation files of unsupported programs, with advice."""

from __future__ import annotations

from typing import Any

from segue.errors import SegueError
from segue.formats.files import json_entries

_PROGRAMS: tuple[tuple[frozenset[str], str, str], ...] = (
    (frozenset({"item", "annotations"}), "V7 Darwin", "export it as COCO or CVAT"),
    (frozenset({"imgHeight", "imgWidth", "objects"}), "Cityscapes", "give the PNG files with its instances"),
    (frozenset({"categories", "items"}), "Datumaro", "convert it to COCO or CVAT"),
    (frozenset({"sequences", "split"}), "BURST", "give its masks as PNG files"),
    (frozenset({"masklet"}), "SA-V", "give its folder of PNG files"),
    (frozenset({"data_row", "projects"}), "Labelbox", "export it as COCO"),
    (frozenset({"asset", "regions"}), "VoTT", "export it as COCO"),
    (frozenset({"openlabel"}), "OpenLABEL", "convert it to COCO"),
    (frozenset({"name", "labels"}), "Scalabel or BDD100K", "convert it to COCO"),
    (frozenset({"name", "frames"}), "Scalabel or BDD100K", "convert it to COCO"),
    (frozenset({"image", "annotations"}), "Create ML", "export it as COCO"),
    (frozenset({"size", "objects", "tags"}), "Supervisely", "export it as COCO"),
    (frozenset({"size", "figures"}), "Supervisely", "export it as COCO"),
    (frozenset({"size", "frames", "objects"}), "Supervisely", "export it as COCO"),
)
"""Keys of a file or of the first entry of a list, the program that writes them, and an alternative."""

_PANOPTIC = (
    "COCO panoptic, without its masks: panopticapi converts it to COCO (panoptic2detection_coco_format.py)"
)


def name_program(text: str, where: str) -> str | None:
    """Name the program of a JSON text, with advice; None if it is unknown."""
    keys: set[str] = set()
    try:
        for key, place, value in json_entries(text, where):
            if key == "annotations" and place == 0 and _has(value, "segments_info"):
                return _PANOPTIC
            if not key:  # a list
                keys = {*value} if isinstance(value, dict) else set()
                break
            keys.add(key)
    except SegueError:
        return None
    if {"images", "annotations"} <= keys:
        return None
    programs = (f"{program}: {advice}" for marks, program, advice in _PROGRAMS if marks <= keys)
    return next(programs, None)


def _has(value: Any, key: str) -> bool:
    return isinstance(value, dict) and key in value
