"""A folder of mask files: one PNG a frame, and what a later run must know to go on with it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from segue.errors import SinkError, SourceError
from segue.inputs import is_number, parse_json, whole_number
from segue.masks import measure, read_index_mask, resize_mask
from segue.masks.files import MAX_ID, encode_index_mask
from segue.types import Frame, IndexMask, ObjectInfo, Segmentation
from segue.video.partial import remove_partial, sync_folder, write_complete, writing
from segue.video.sinks import Sink

MARKER = ".segue.json"
"""File in the folder that says with which settings it was made and whether it is complete."""

RECORDS = ".segue.jsonl"
"""File in the folder with one line a frame: name, index, time, and the objects with their scores."""

LARGEST_RECORD = 1 << 24
"""Bytes of one line of ``RECORDS``, and of ``MARKER``: a frame with 65,535 objects takes fewer."""

Settings = Mapping[str, Any]
"""Everything that the masks depend on, as JSON values."""


@dataclass(frozen=True, slots=True)
class Record:
    """What is known of a mask file.

    Attributes:
        file: its plain name in the folder, ending in ``.png``.
        index, time: of its frame.
        objects: id, label and score of each; boxes and areas are not kept.
    """

    file: str
    index: int
    time: float
    objects: tuple[ObjectInfo, ...] = ()

    @classmethod
    def of(cls, name: str, segmentation: Segmentation) -> Record:
        """The record of a result."""
        return cls(name, segmentation.index, segmentation.time, segmentation.objects)

    @classmethod
    def read(cls, line: str) -> Record:
        """Read a line of ``RECORDS``; it may come from anywhere.

        Raises:
            ValueError: it is no record, or names anything but a mask file of the folder itself.
        """
        found = parse_json(line)
        name, index, time = found["file"], found["index"], found["time"]
        if not isinstance(name, str) or Path(name).name != name or not name.endswith(".png") or "\0" in name:
            raise ValueError("its file is not the plain name of a mask")
        if type(index) is not int or not 0 <= index < 2**63 or not is_number(time):
            raise ValueError("its frame is not a number")
        objects = tuple(ObjectInfo(item["id"], item["label"], item["score"]) for item in found["objects"])
        for item in objects:
            if type(item.id) is not int or not 0 <= item.id <= MAX_ID or not is_number(item.score):
                raise ValueError("an object without a number")
            if not isinstance(item.label, str | None):
                raise ValueError("a label that is no text")
        return cls(name, index, float(time), objects)

    def line(self) -> str:
        """The line that :meth:`read` takes; names that are no valid text are kept as they are."""
        objects = [{"id": item.id, "label": item.label, "score": item.score} for item in self.objects]
        values = {"file": self.file, "index": self.index, "time": self.time, "objects": objects}
        return json.dumps(values) + "\n"


class MaskFolder:
    """A folder of mask files that knows which of them it wrote.

    Every file is on record before it is there, so that whatever a run leaves behind, a later one knows.

    Args:
        folder: the folder; made if it is not there.

    Raises:
        SinkError: it cannot be made.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder
        with writing(folder):
            folder.mkdir(parents=True, exist_ok=True)

    def strangers(self, is_mask: Callable[[str], bool]) -> list[str]:
        """Names of mask files that are not on record."""
        known = {record.file for record in records_of(self.path).values()}
        return sorted(
            path.name for path in self.path.iterdir() if is_mask(path.name) and path.name not in known
        )

    def begin(self, *, anew: bool) -> None:
        """Open the records; ``anew`` removes the files on record first, and nothing else."""
        path = self.path / RECORDS
        with writing(self.path):
            remove_partial(self.path)
            if anew:
                for record in records_of(self.path).values():
                    (self.path / record.file).unlink(missing_ok=True)
                path.unlink(missing_ok=True)
            elif path.exists():
                _drop_torn_line(path)
            self._known = {record.file for record in records_of(self.path).values()}
            self._records = path.open("a", encoding="utf-8")

    def put(self, record: Record, data: bytes) -> None:
        """Write a mask file, its record first.

        Raises:
            SinkError: there is a file of that name that is not on record, or it cannot be written.
        """
        if record.file not in self._known and (self.path / record.file).exists():
            raise SinkError(
                f"{self.path / record.file}: segue did not write this file; choose another folder"
            )
        self._known.add(record.file)
        with writing(self.path / RECORDS):
            self._records.write(record.line())
            self._records.flush()
        write_complete(self.path / record.file, data)

    def end(self) -> None:
        """Close the records; all files have reached the disk."""
        with writing(self.path / RECORDS):
            self._records.flush()
            os.fsync(self._records.fileno())
            self._records.close()
        sync_folder(self.path)


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
        self._folder = MaskFolder(folder)
        self._size = size
        self._names = names
        self._settings = json.loads(json.dumps(dict(settings or {})))
        self._anew = overwrite
        self._begun = False
        self._check(overwrite, resume)

    def write(self, frame: Frame, segmentation: Segmentation) -> None:
        mask = segmentation.mask if self._size is None else resize_mask(segmentation.mask, self._size)
        try:
            data = encode_index_mask(mask)
        except SinkError as error:
            raise SinkError(f"frame {segmentation.index}: {error}") from error
        self._begin()
        self._folder.put(Record.of(self._name(segmentation.index), segmentation), data)

    def flush(self) -> None:
        """See that the folder says whose masks it holds, even if there are none yet."""
        self._begin()

    def close(self) -> None:
        """Mark the folder as complete."""
        self._begin()
        self._folder.end()
        self._mark(complete=True)

    def abort(self) -> None:
        """Leave the masks written so far for a later run with ``resume``."""
        if self._begun:
            with suppress(SinkError):
                self._folder.end()

    def completed_frames(self) -> list[int]:
        """Indices of the frames whose masks are in the folder, in order."""
        return sorted(read_records(self._folder.path))

    def _begin(self) -> None:
        """Take the folder over, when the first result is there: until then an earlier run's masks stay."""
        if not self._begun:
            self._mark(complete=False)
            self._folder.begin(anew=self._anew)
            self._begun = True

    def _name(self, index: int) -> str:
        stem = self._names[index] if self._names is not None and index < len(self._names) else f"{index:05d}"
        return f"{stem}.png"

    def _mark(self, *, complete: bool) -> None:
        marker = {"complete": complete, "settings": self._settings}
        write_complete(self._folder.path / MARKER, json.dumps(marker, indent=1).encode())

    def _check(self, overwrite: bool, resume: bool) -> None:
        folder = self._folder.path
        marker = read_marker(folder)
        if marker is None:
            if any(path.suffix.lower() == ".png" for path in folder.iterdir()):
                raise SinkError(f"{folder}: has pictures that segue did not write; choose another folder")
        elif resume:
            done = max(records_of(folder), default=-2)
            _check_settings(folder, _until(marker["settings"], done), _until(self._settings, done))
        elif overwrite:
            records_of(folder)
        else:
            state = "masks" if marker["complete"] else "the masks of an interrupted run"
            raise SinkError(f"{folder}: has {state} already; give --overwrite or --resume, or another folder")


def read_marker(folder: Path) -> dict[str, Any] | None:
    """What the marker of a mask folder says (``complete``, ``settings``), or None if there is none.

    Raises:
        SinkError: it is damaged.
    """
    path = folder / MARKER
    if not path.exists():
        return None
    try:
        if not path.is_file() or path.stat().st_size > LARGEST_RECORD:
            raise ValueError("too large")
        marker = parse_json(path.read_text("utf-8"))
        if type(marker["complete"]) is not bool or not isinstance(marker["settings"], dict):
            raise ValueError("not a marker")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SinkError(f"{path}: damaged; remove the folder or choose another") from error
    return dict(marker)


def read_records(folder: Path) -> dict[int, Record]:
    """The record of each frame of a mask folder whose mask file is there, by frame index, in order.

    Where a frame was written twice, the later record counts.
    """
    records = records_of(folder)
    try:
        present = {path.name for path in folder.iterdir()}
    except OSError as error:
        raise SourceError(f"{folder}: cannot be read ({error.strerror})") from error
    return {index: record for index, record in sorted(records.items()) if record.file in present}


def records_of(folder: Path) -> dict[int, Record]:
    """All records of a folder by frame index."""
    path = folder / RECORDS
    records: dict[int, Record] = {}
    line = ""
    try:
        if not path.exists():
            return {}
        if not path.is_file():
            raise ValueError("not a regular file")
        with path.open(encoding="utf-8", newline="\n") as stream:
            while line := stream.readline(LARGEST_RECORD):
                if not line.endswith("\n"):
                    if len(line) == LARGEST_RECORD:
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
        mask = read_index_mask(folder / record.file)
        yield Segmentation(index, record.time, mask, _to_objects(record, mask))


def _to_objects(record: Record, mask: IndexMask) -> tuple[ObjectInfo, ...]:
    extents = measure(mask)
    objects = []
    for item in record.objects:
        extent = extents.get(item.id)
        box, area = (None, 0) if extent is None else (extent.box, extent.area)
        objects.append(replace(item, box=box, area=area))
    return tuple(objects)


def _until(settings: Settings, last: int) -> Settings:
    """The settings without the prompts of frames behind ``last``, which may still change.

    Prompts are under ``prompts`` by frame index; those of the first frame, whichever that is, under -1.
    """
    prompts = settings.get("prompts")
    if not isinstance(prompts, dict):
        return settings
    reached = {name: texts for name, texts in prompts.items() if _index(name) <= last}
    return {**settings, "prompts": reached}


def _index(name: str) -> int:
    number = whole_number(name)
    return -1 if number is None else number


def _check_settings(folder: Path, old: Settings, new: Settings) -> None:
    changed = sorted(key for key in {*old, *new} if old.get(key) != new.get(key))
    if not changed:
        return
    key = changed[0]
    before, now = old.get(key), new.get(key)
    if isinstance(before, dict) and isinstance(now, dict) and key != "prompts":
        _check_settings(folder, before, now)
    raise SinkError(
        f"{folder}: was begun with {key}={before!r}, now it is {now!r}; "
        "resume with the old settings, or give --overwrite"
    )


def _drop_torn_line(path: Path) -> None:
    """Cut off a last line that an interrupted run did not finish."""
    if path.exists():
        data = path.read_bytes()
        whole = data.rfind(b"\n") + 1
        if whole < len(data):
            with writing(path):
                os.truncate(path, whole)
