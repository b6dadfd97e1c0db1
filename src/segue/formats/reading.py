"""Detect the format of annotations, and read them."""

from __future__ import annotations

import os
import xml.etree.ElementTree as ET
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from pydantic import ValidationError

from segue.errors import DatasetError, SegueError
from segue.formats.files import DAMAGED, Files, read_text
from segue.formats.labels import Frames, Labels
from segue.formats.others import name_program
from segue.formats.text import first_problem
from segue.formats.videos import LabelledVideo
from segue.registry import FORMATS, Format
from segue.utils.inputs import first_line, parse_json, user_path
from segue.utils.keywords import suggests_names
from segue.utils.naming import first_few

RECORD = "job.json"
"""File with the record of a run in its output folder."""

RESULT_FORMATS = ("masks", "cdnet", "ytvis.json", "coco.json")
"""Results of segue in the folder of a video, in the order of search."""


@suggests_names
def read_labels(
    path: str | os.PathLike[str], video: Frames | str | os.PathLike[str], name: str | None = None
) -> Labels:
    """Read labels in any readable format of :data:`segue.registry.FORMATS`.

    Args:
        path: a folder, an archive or an image of masks, a matte, a JSON, XML or text file.
        video: the video that the labels belong to, a file, a folder of images, or what is known of one; it
            decides size, frame numbers and times.
        name: name of the file in errors; by default its path.

    Returns:
        Objects and masks, by the frames of the video. Objects have the ids of the file; if it gives none, or
        one id to several objects, they are numbered.

    Raises:
        SegueError: if the file is of no known kind, cannot be read, or does not fit the video.

    Example:
        >>> labels = segue.read_labels("cvat.zip", "street.mp4")
        >>> labels.names, labels.mask(0).shape
    """
    if isinstance(video, str | os.PathLike):
        with closing(LabelledVideo(video)) as opened:
            return read_labels(path, opened, name)
    path = user_path(path)
    where = name or str(path)
    with _with_location(where, path):
        if not path.exists():
            raise DatasetError("no such file or folder")
        if path.is_dir():
            names = _files_of_results(path)
            path = next((path / name for name in names if (path / name).exists()), path)
        files = Files(path, video)
        entry = format_of_files(files)
        if entry is not None and entry.read is not None:
            return _labels_of(entry, files, video)
        if not files.is_file:
            raise DatasetError("there are no PNG masks")
    raise SegueError(
        f"{where}: give a folder or .zip of masks, a .png, .tif, a black and white video, a .json of COCO, "
        "YouTube-VIS, Label Studio, labelme, X-AnyLabeling or VIA, a CVAT .xml, a .txt of MOT or MOTS, or a "
        "folder or .zip of these or of YOLO labels"
    )


def _files_of_results(folder: Path) -> list[str]:
    """Output names of formats that can be read back, first those of the latest run into a folder."""
    record = folder / RECORD
    if not record.is_file():
        return [*RESULT_FORMATS]
    readable = [entry for entry in FORMATS if isinstance(entry, Format) and entry.holds is not None]
    names = dict.fromkeys((*RESULT_FORMATS, *(entry.file for entry in readable if entry.file)))
    formats = _formats_of(record)
    latest = {entry.file for entry in FORMATS if isinstance(entry, Format) and entry.name in formats}
    return sorted(names, key=lambda name: name not in latest)


def _formats_of(record: Path) -> set[object]:
    """Formats that the run of a record wrote; none if it is damaged."""
    try:
        return {*parse_json(read_text(record))["outputs"]["formats"]}
    except (SegueError, OSError, ValueError, LookupError, TypeError):
        return set()


def format_of_files(files: Files) -> Format | None:
    """Most likely format of files, the first of equals; None if none fits."""
    best: tuple[float, Format | None] = 0.0, None
    for entry in FORMATS:
        if isinstance(entry, Format) and entry.sniff is not None and (score := entry.sniff(files)) > best[0]:
            best = score, entry
    if len(files.selected) > 1 and best[0] < 1:
        _refuse_several(files)
    return best[1]


def _labels_of(entry: Format, files: Files, video: Frames) -> Labels:
    """Read files in a format, and collect the frames if it gives frames only."""
    assert entry.read is not None
    read = entry.read(files, video)
    labels = read if isinstance(read, Labels) else Labels.of_frames(read, video)
    if labels.skipped and not labels.names:
        raise DatasetError(f"holds no areas, only {skipped_text(labels)}")
    labels.settle_ids()
    labels.settle_layers()
    return labels


def _refuse_several(files: Files) -> None:
    """Raise DatasetError for several annotation files, or for one of an unsupported program."""
    first = files.selected[0]
    if first.lower().endswith(".json") and (program := name_program(files.text(first), first)) is not None:
        raise DatasetError(f"is a file of {program}")
    raise DatasetError(
        f"holds several annotation files, {first_few(files.selected)}; give the one of this video"
    )


def skipped_text(labels: Labels) -> str:
    """List the shapes of a file that were skipped, such as ``3 points, 2 tags``."""
    return ", ".join(f"{number} {kind}" for kind, number in labels.skipped.items())


@contextmanager
def _with_location(where: str, path: Path) -> Iterator[None]:
    """Convert errors of readers to one line that calls the file ``where``."""
    try:
        yield
    except SegueError as error:
        text = str(error).replace(str(path), where)
        raise SegueError(f"{where}: {text.removeprefix(f'{where}: ')}") from None
    except KeyError as error:
        raise SegueError(f"{where}: an entry has no {str(error)[:80]}") from None
    except DAMAGED as error:
        reason = "it is damaged, or of another format"
        if isinstance(error, ValidationError):
            reason = first_problem(error.errors())
        elif isinstance(error, OSError | zipfile.BadZipFile | zlib.error | ET.ParseError):
            reason = getattr(error, "strerror", None) or first_line(error)
        raise SegueError(f"{where}: cannot be read ({reason[:200]})") from None
