"""Records of a folder of masks: its marker, and a line per frame."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from segue.errors import SinkError, SourceError
from segue.masks import Rle
from segue.masks.rle import stored_mask
from segue.masks.values import MAX_ID
from segue.types import ObjectInfo
from segue.utils.inputs import is_number, parse_json

if TYPE_CHECKING:
    pass


MARKER = ".segue.json"
"""File in the folder that says with which settings it was made and whether it is complete."""

RECORDS = ".segue.jsonl"
"""File in the folder with one line a frame: name, index, time, and the objects with their scores."""

MAX_RECORD_BYTES = 1 << 24
"""Maximum bytes of a line of ``RECORDS``, and of ``MARKER``: a frame with 65,535 objects takes fewer."""


@dataclass(frozen=True, slots=True)
class Record:
    """Record of a mask file by its name; boxes and areas of the objects are not stored.

    ``whole`` has the run lengths of objects that are partly behind others, by id, where they are recorded.
    """

    file: str
    index: int
    time: float
    objects: tuple[ObjectInfo, ...] = ()
    whole_masks: Mapping[int, Rle] = field(default_factory=dict)

    @classmethod
    def read(cls, line: str) -> Record:
        """Parse an untrusted line."""
        values = parse_json(line)
        name, index, time = values["file"], values["index"], values["time"]
        if not isinstance(name, str) or Path(name).name != name or not name.endswith(".png") or "\0" in name:
            raise ValueError("its file is not the plain name of a mask")
        if type(index) is not int or not 0 <= index < 2**63 or not is_number(time):
            raise ValueError("its frame is not a number")
        objects = tuple(ObjectInfo(item["id"], item["label"], item["score"]) for item in values["objects"])
        for item in objects:
            if type(item.id) is not int or not 0 <= item.id <= MAX_ID or not is_number(item.score):
                raise ValueError("an object without a number")
            if not isinstance(item.label, str | None):
                raise ValueError("a label that is no text")
        ids = {item.id for item in objects}
        whole_masks = {item["id"]: _lengths(item["whole"]) for item in values["objects"] if "whole" in item}
        return cls(
            name, index, float(time), objects, {i: each for i, each in whole_masks.items() if i in ids}
        )

    def line(self) -> str:
        """Format the line for :meth:`read`; undecodable names are kept."""
        objects = [
            {"id": item.id, "label": item.label, "score": item.score}
            | ({"whole": self.whole_masks[item.id]} if item.id in self.whole_masks else {})
            for item in self.objects
        ]
        values = {"file": self.file, "index": self.index, "time": self.time, "objects": objects}
        return json.dumps(values) + "\n"


def _lengths(value: object) -> Rle:
    """Validate run lengths of a record."""
    lengths = stored_mask(value)
    if isinstance(lengths, str):
        raise ValueError("a mask without run lengths")
    return lengths


def refuse_other_masks(folder: Path, *, replaces: bool) -> None:
    """Raise SinkError if a folder has images of others, or masks that a run does not replace."""
    marker = read_marker(folder)
    if marker is None:
        if any(path.suffix.lower() == ".png" for path in folder.iterdir()):
            raise SinkError(f"{folder}: has images that segue did not write; choose another folder")
    elif not replaces:
        state = "masks" if marker["complete"] else "the masks of an interrupted run"
        raise SinkError(f"{folder}: has {state} already; give --overwrite or --resume, or another folder")


def read_marker(folder: Path) -> dict[str, Any] | None:
    """Read the marker that segue writes into a mask folder.

    Args:
        folder: folder of masks.

    Returns:
        ``complete``, False for an interrupted run, and ``settings``; None if there is no marker.

    Raises:
        SinkError: it is damaged.
    """
    path = folder / MARKER
    if not path.exists():
        return None
    try:
        if not path.is_file() or path.stat().st_size > MAX_RECORD_BYTES:
            raise ValueError("too large")
        marker = parse_json(path.read_text("utf-8"))
        if type(marker["complete"]) is not bool or not isinstance(marker["settings"], dict):
            raise ValueError("not a marker")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SinkError(f"{path}: damaged; remove the folder or choose another") from error
    return dict(marker)


def read_records(folder: Path) -> dict[int, Record]:
    """Read the records of the frames whose mask file exists, by frame index, in order."""
    records = records_of(folder)
    try:
        present = {path.name for path in folder.iterdir()}
    except OSError as error:
        raise SourceError(f"{folder}: cannot be read ({error.strerror})") from error
    return {index: record for index, record in sorted(records.items()) if record.file in present}


def records_of(folder: Path) -> dict[int, Record]:
    """Read all records of a folder by frame index."""
    path = folder / RECORDS
    records: dict[int, Record] = {}
    line = ""
    try:
        if not path.exists():
            return {}
        if not path.is_file():
            raise ValueError("not a regular file")
        with path.open(encoding="utf-8", newline="\n") as stream:
            while line := stream.readline(MAX_RECORD_BYTES):
                if not line.endswith("\n"):
                    if len(line) == MAX_RECORD_BYTES:
                        raise ValueError("too long")
                    break  # torn by an interruption
                record = Record.read(line)
                records[record.index] = record
    except OSError as error:
        raise SourceError(f"{path}: cannot be read ({error.strerror})") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise SourceError(
            f"{path}: damaged record {line[:40]!r}; remove the folder or choose another"
        ) from error
    return records
