"""Text files of the MOT Challenge: boxes (MOT) and run lengths (MOTS), a line per object and frame."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import numpy as np

from segue.entries.formats import Format, Holds
from segue.errors import DatasetError, SinkError
from segue.formats.base import TextSink
from segue.formats.files import Files
from segue.formats.frames import FrameObjects, Size
from segue.formats.labels import MAX_MASKS, Frames, Labels
from segue.masks import encode_objects, measure
from segue.masks.shapes import Canvas
from segue.types import Box
from segue.utils.naming import first_few, frame_stem

MOTS_CLASSES = {"car": 1, "pedestrian": 2, "person": 2}
"""Classes of MOTS by name."""

MAX_LINE = 1 << 20
"""Characters of the first line of a file."""

MOTS_FREE, MOTS_IGNORED = 3, 10
"""First number of additional classes, and the number of ignored regions, which is skipped."""

MOTS_OBJECTS = 1000
"""MOTS writes an object as this number times its class, plus its own id, which is smaller."""


class MotSink(TextSink):
    """Writes results of the MOT Challenge: ``frame, id, left, top, width, height, score, -1, -1, -1``.

    Pixels are counted from 1, as there. An object has a line on each frame on which it is visible.

    Args:
        path: file to write, ending in ``.txt``.
        size: height and width to which boxes refer; None is the size of the masks.
        whole: write boxes around whole masks, including hidden parts; else around visible parts.
    """

    def __init__(self, path: str | Path, *, size: Size = None, whole: bool = False) -> None:
        super().__init__(path, size=size)
        self._whole_masks = whole

    def add(self, objects: FrameObjects) -> None:
        boxes = self._boxes(objects)
        for item in objects.objects:
            if item.id in boxes:
                x0, y0, x1, y1 = (int(side) for side in boxes[item.id])
                place = f"{x0 + 1},{y0 + 1},{x1 - x0},{y1 - y0}"
                self.stream.write(f"{objects.index + 1},{item.id},{place},{item.score:g},-1,-1,-1\n")

    def _boxes(self, objects: FrameObjects) -> dict[int, Box]:
        """Boxes of the objects by id."""
        if not self._whole_masks:
            return {number: extent.box for number, extent in measure(objects.mask).items()}
        planes = objects.planes()
        return {number: measure(plane.view(np.uint8))[1].box for number, plane in planes if plane.any()}


class MotsSink(TextSink):
    """Writes MOTS: ``frame 1000*class+id class height width run-lengths``.

    Class 1 is a car and 2 a pedestrian; other labels get the next free numbers, objects without a label 2.

    Args:
        path: file to write, ending in ``.txt``.
        size: height and width of the masks; None keeps the size of each mask.

    Raises:
        SinkError: an object has an id beyond 999, for which the format has no room.
    """

    def __init__(self, path: str | Path, *, size: Size = None) -> None:
        super().__init__(path, size=size)
        self._classes: dict[str, int] = dict(MOTS_CLASSES)

    def add(self, objects: FrameObjects) -> None:
        mask = objects.mask
        height, width = mask.shape
        visible = measure(mask)
        kinds = {item.id: self._class(item.label) for item in objects.objects if item.id in visible}
        for number, rle in encode_objects(mask, kinds).items():
            if number >= MOTS_OBJECTS:
                raise SinkError(f"frame {objects.index}: MOTS has no room for object {number}, only to 999")
            kind = kinds[number]
            self.stream.write(
                f"{objects.index + 1} {MOTS_OBJECTS * kind + number} {kind} {height} {width} "
                f"{rle['counts']}\n"
            )

    def _class(self, label: str | None) -> int:
        if label is None:
            return MOTS_CLASSES["pedestrian"]
        name = label.lower()
        if name not in self._classes:
            number = max(MOTS_FREE, max(self._classes.values()) + 1)
            self._classes[name] = number + (number == MOTS_IGNORED)
        return self._classes[name]


_MOT_LINE = re.compile(r"\d{1,9}(?:\.0*)?,\d{1,9}(?:\.0*)?(?:,-?\d{1,9}(?:\.\d*)?(?:e-?\d+)?){4,8}")
_MOTS_LINE = re.compile(r"(\d{1,9}) (\d{1,9}) (\d{1,3}) (\d{1,6}) (\d{1,6}) (\S+)")


def _files_of(files: Files, line: re.Pattern[str]) -> list[str]:
    """Text files whose first line has the format of a challenge."""
    texts = files.label_files()
    if not texts or not _begins_with(files.text(texts[0]), line):
        return []
    return [name for name in texts if _begins_with(files.text(name), line)]


def _begins_with(text: str, line: re.Pattern[str]) -> bool:
    return line.fullmatch(text[:MAX_LINE].partition("\n")[0].strip()) is not None


def _lines(files: Files, video: Frames, line: re.Pattern[str]) -> Iterator[tuple[str, str]]:
    """Iterate over position and text of each line of the file of a video."""
    names = _files_of(files, line)
    if len(names) > 1:
        video_name = getattr(video, "name", None)
        same = [name for name in names if video_name and PurePosixPath(name).stem == frame_stem(video_name)]
        if len(same) != 1:
            listed = first_few(names)
            raise DatasetError(f"holds files of several videos, {listed}; give the one of this video")
        names = same
    for number, text in enumerate(files.text(names[0]).splitlines(), 1):
        if number > MAX_MASKS:
            raise DatasetError(f"has more than {MAX_MASKS} lines; import it in parts")
        if text.strip():
            if not line.fullmatch(text.strip()):
                raise DatasetError(f"line {number}: {text.strip()[:40]!r} is none of this format")
            yield f"line {number}", text.strip()


def _read_mot(files: Files, video: Frames) -> Labels:
    """Read boxes; each id is an object."""
    labels, canvas = Labels(video.size), Canvas.of(video.size)
    for where, text in _lines(files, video, _MOT_LINE):
        frame, track, left, top, width, height, *rest = (float(value) for value in text.split(","))
        index, number = int(frame) - 1, int(track)
        _check_frame(index, video, where)
        labels.add_object(number, None, number)
        counts = canvas.box(left - 1, top - 1, width, height)
        labels.add_mask(index, number, counts, rest[0] if rest and 0 <= rest[0] <= 1 else None)
    labels.sort_objects(int)
    return labels


def _read_mots(files: Files, video: Frames) -> Labels:
    """Read run lengths; ids count the objects of a class."""
    labels, canvas = Labels(video.size), Canvas.of(video.size)
    numbers: dict[int, int] = {}
    names = {number: name for name, number in MOTS_CLASSES.items() if name != "person"}
    lines = ((where, _MOTS_LINE.fullmatch(text)) for where, text in _lines(files, video, _MOTS_LINE))
    tracks = [(where, match) for where, match in lines if match is not None]
    ids = {int(match[2]) for _, match in tracks}
    by_own_id = len({number % MOTS_OBJECTS for number in ids}) == len(ids) and 0 not in {
        number % MOTS_OBJECTS for number in ids
    }
    for where, match in tracks:
        index, track, kind = int(match[1]) - 1, int(match[2]), int(match[3])
        _check_frame(index, video, where)
        if kind == MOTS_IGNORED:
            labels.skipped["ignored regions"] += 1
            continue
        number = track % MOTS_OBJECTS if by_own_id else numbers.setdefault(track, len(numbers) + 1)
        name = names.get(kind, f"class {kind}")
        labels.add_object(number, name, track % MOTS_OBJECTS, category=name)
        size = [int(match[4]), int(match[5])]
        counts = canvas.segmentation({"size": size, "counts": match[6]})
        labels.add_mask(index, number, counts)
    labels.sort_objects(int)
    return labels


def _check_frame(index: int, video: Frames, where: str) -> None:
    if not 0 <= index < video.count:
        raise DatasetError(f"{where}: frame {index + 1} is none of the video, which has {video.count}")


ENTRIES = (
    Format(
        "mot",
        "mot.txt",
        lambda path, run: MotSink(path, size=run.source_size, whole=run.whole),
        holds=Holds(masks="boxes", max_id=65535, scores=True),
        sniff=lambda files: 0.6 if not files.selected and _files_of(files, _MOT_LINE) else 0.0,
        read=_read_mot,
        endings=(".txt",),
        title="MOT Challenge",
        about="boxes, one line per object and frame",
    ),
    Format(
        "mots",
        "mots.txt",
        lambda path, run: MotsSink(path, size=run.source_size),
        holds=Holds(masks="visible", max_id=999),
        sniff=lambda files: 0.6 if not files.selected and _files_of(files, _MOTS_LINE) else 0.0,
        read=_read_mots,
        endings=(".txt",),
        title="MOTS",
        about="run lengths, one line per object and frame",
    ),
)
