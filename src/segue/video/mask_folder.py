"""A folder of mask files: one PNG a frame, and what a later run must know to go on with it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from segue.errors import SinkError, SourceError
from segue.masks import measure, read_index_mask, resize_mask
from segue.masks.files import encode_index_mask
from segue.types import Frame, IndexMask, ObjectInfo, Segmentation
from segue.video.partial import write_complete, writing
from segue.video.sinks import Sink

MARKER = ".segue.json"
"""File in the folder that says with which settings it was made and whether it is complete."""

RECORDS = ".segue.jsonl"
"""File in the folder with one line a frame: name, index, time, and the objects with their scores."""

Settings = Mapping[str, Any]
"""Everything that the masks depend on, as JSON values."""


class PngSink(Sink):
    """Writes one index mask a frame into a folder, as PNG with the DAVIS palette.

    Every file appears under its name when it is complete. The folder can be gone on with: see
    ``resume`` and :func:`replay`. A frame that is written again replaces its file.

    Args:
        folder: folder to write to; made if it is not there.
        size: height and width of the files; masks are brought to it by nearest neighbour. None keeps them.
        names: name (without ending) by frame index; other frames get their index, ``00012.png``.
        settings: what the masks depend on; a resumed run must have the same.
        overwrite: remove the masks of an earlier run from the folder.
        resume: keep the masks of an earlier, interrupted run.

    Raises:
        SinkError: the folder has masks and neither ``overwrite`` nor ``resume`` is given, has files that are
            not of segue, was made with other settings, or cannot be written to.
    """

    def __init__(
        self,
        folder: Path,
        *,
        size: tuple[int, int] | None = None,
        names: Sequence[str] | None = None,
        settings: Settings | None = None,
        overwrite: bool = False,
        resume: bool = False,
    ) -> None:
        self._folder = folder
        self._size = size
        self._names = names
        self._settings = json.loads(json.dumps(dict(settings or {})))
        with writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
        self._take_over(overwrite, resume)
        self._mark(complete=False)
        with writing(folder / RECORDS):
            self._records = (folder / RECORDS).open("a", encoding="utf-8")

    def write(self, frame: Frame, segmentation: Segmentation) -> None:
        """Write the mask of one frame."""
        mask = segmentation.mask if self._size is None else resize_mask(segmentation.mask, self._size)
        name = self._name(segmentation.index)
        try:
            data = encode_index_mask(mask)
        except SinkError as error:
            raise SinkError(f"frame {segmentation.index}: {error}") from error
        # The record goes first: then every mask file of ours is on record, whenever a run is interrupted.
        with writing(self._folder / RECORDS):
            self._records.write(json.dumps(_to_record(name, segmentation)) + "\n")
            self._records.flush()
        write_complete(self._folder / name, data)

    def close(self) -> None:
        """Mark the folder as complete."""
        self._close_records()
        self._mark(complete=True)

    def abort(self) -> None:
        """Leave the masks written so far for a later run with ``resume``."""
        with suppress(SinkError):
            self._close_records()

    def completed_frames(self) -> list[int]:
        """Indices of the frames whose masks are in the folder, in order."""
        return sorted(read_records(self._folder))

    def _name(self, index: int) -> str:
        stem = self._names[index] if self._names is not None and index < len(self._names) else f"{index:05d}"
        return f"{stem}.png"

    def _close_records(self) -> None:
        with writing(self._folder / RECORDS):
            self._records.close()

    def _mark(self, *, complete: bool) -> None:
        marker = {"complete": complete, "settings": self._settings}
        write_complete(self._folder / MARKER, json.dumps(marker, indent=1).encode())

    def _take_over(self, overwrite: bool, resume: bool) -> None:
        folder = self._folder
        marker = read_marker(folder)
        if marker is None:
            if any(path.suffix.lower() == ".png" for path in folder.iterdir()):
                raise SinkError(f"{folder}: has pictures that segue did not write; choose another folder")
        elif resume:
            _check_settings(folder, marker.get("settings", {}), self._settings)
            _drop_torn_line(folder / RECORDS)
        elif overwrite:
            _clear(folder)
        else:
            state = "masks" if marker.get("complete") else "the masks of an interrupted run"
            raise SinkError(f"{folder}: has {state} already; give --overwrite or --resume, or another folder")


def read_marker(folder: Path) -> dict[str, Any] | None:
    """What the marker of a mask folder says (``complete``, ``settings``), or None if there is none."""
    try:
        marker = json.loads((folder / MARKER).read_text("utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise SinkError(f"{folder / MARKER}: damaged; remove the folder or choose another") from error
    return marker if isinstance(marker, dict) else {}


def read_records(folder: Path) -> dict[int, dict[str, Any]]:
    """The record of each frame of a mask folder whose mask file is there, by frame index, in order.

    Where a frame was written twice, the later record counts.
    """
    present = {entry.name for entry in folder.iterdir()}
    return {
        index: record for index, record in sorted(_records_of(folder).items()) if record["file"] in present
    }


def _records_of(folder: Path) -> dict[int, dict[str, Any]]:
    path = folder / RECORDS
    if not path.exists():
        return {}
    records = {}
    for line in path.read_text("utf-8").splitlines(keepends=True):
        if not line.endswith("\n"):
            break  # torn by an interruption
        try:
            record = json.loads(line)
            records[int(record["index"])] = record
        except (ValueError, KeyError, TypeError) as error:
            raise SourceError(f"{path}: damaged record {line[:40]!r}") from error
    return records


def replay(folder: Path, before: int | None = None) -> Iterator[Segmentation]:
    """Results of an earlier run, read from its mask folder, in order of frames.

    Labels and scores come back as they were; boxes and areas are those of the pixels in the file.

    Args:
        folder: a folder that :class:`PngSink` wrote.
        before: stop at this frame index.

    Raises:
        SourceError: a mask or the record of it is damaged.
    """
    for index, record in read_records(folder).items():
        if before is not None and index >= before:
            return
        mask = read_index_mask(folder / record["file"])
        yield Segmentation(index, float(record["time"]), mask, _to_objects(record["objects"], mask))


def _to_record(name: str, segmentation: Segmentation) -> dict[str, Any]:
    objects = [{"id": item.id, "label": item.label, "score": item.score} for item in segmentation.objects]
    return {"file": name, "index": segmentation.index, "time": segmentation.time, "objects": objects}


def _to_objects(items: Iterable[Mapping[str, Any]], mask: IndexMask) -> tuple[ObjectInfo, ...]:
    extents = measure(mask)
    objects = []
    for item in items:
        extent = extents.get(item["id"])
        box, area = (None, 0) if extent is None else (extent.box, extent.area)
        objects.append(ObjectInfo(item["id"], item["label"], item["score"], box, area))
    return tuple(objects)


def _check_settings(folder: Path, old: Settings, new: Settings) -> None:
    changed = sorted(key for key in {*old, *new} if old.get(key) != new.get(key))
    if changed:
        key = changed[0]
        raise SinkError(
            f"{folder}: was begun with {key}={old.get(key)!r}, now it is {new.get(key)!r}; "
            "resume with the old settings, or give --overwrite"
        )


def _clear(folder: Path) -> None:
    """Remove what an earlier run wrote, and nothing else."""
    with writing(folder):
        for record in _records_of(folder).values():
            (folder / record["file"]).unlink(missing_ok=True)
        (folder / RECORDS).unlink(missing_ok=True)


def _drop_torn_line(path: Path) -> None:
    """Cut off a last line that an interrupted run did not finish."""
    if path.exists():
        data = path.read_bytes()
        whole = data.rfind(b"\n") + 1
        if whole < len(data):
            with writing(path):
                os.truncate(path, whole)
