"""The videos of a batch, read from a folder, a pattern or a list."""

from __future__ import annotations

import csv
import glob
import io
import os
import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.pool import ThreadPool
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar

from segue.batch.names import SUBFOLDER, check_name
from segue.batch.places import files_below, hide_secrets, is_remote, is_result, remote_identity
from segue.errors import SegueError, SourceError
from segue.naming import natural_key
from segue.video.identity import SourceIdentity

VIDEO_SUFFIXES = frozenset({".avi", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".ts", ".webm", ".wmv"})

PROMPTS = ("mask", "box", "point", "remove", "classes", "with")
"""Columns whose values are options of that name; several values are parted by semicolons."""

PLACES = ("roi", "depth", "flow")
"""Columns whose values are files or folders that lie beside the list, for ``foreground``."""

KNOWN_COLUMNS = frozenset({"source", "name", "auto", "options", *PROMPTS, *PLACES})

Item = TypeVar("Item")
Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class Task:
    """One video that is to be done.

    Attributes:
        name: name of its results, a relative path without a suffix.
        source: file, folder or address.
        arguments: options that are its own, such as prompts, as a list has them; with the source they tell it
            from the other videos.
        identity: what the source was known by when the video was planned; None where that is not known.
        job: what is done with it, as JSON of a :data:`segue.jobs.values.Job`, whatever its source says.
    """

    name: str
    source: str
    arguments: tuple[str, ...] = ()
    identity: SourceIdentity | None = None
    job: str = ""

    @property
    def size(self) -> int:
        """Bytes of the source, 0 where they are not known."""
        return (self.identity and self.identity.size) or 0


def read_tasks(sources: Sequence[str]) -> list[Task]:
    """The videos that folders, patterns, lists and single videos name, without duplicates.

    A folder stands for the videos below it; where there are none, each folder of images in it is a video. A
    text file has one source a line (empty lines and those that begin with # do not count); CSV has the column
    ``source`` and may have ``name``, ``mask``, ``box``, ``point``, ``remove``, ``auto``, ``classes``,
    ``with``, ``roi``, ``depth``, ``flow`` and ``options``. Relative paths in a list begin at the list. What
    segue wrote is no source: folders and patterns leave it out.

    Args:
        sources: paths of videos and folders, patterns with ``*``, ``?`` and ``[]``, addresses of remote
            videos and folders, and lists, which end in ``.txt``, ``.list``, ``.csv`` or ``.tsv``.

    Returns:
        One task for each pair of source and options, at least one, in the order of ``sources``; the videos of
        a local folder or a pattern are in natural order. ``identity`` is None and ``job`` is empty.

    Raises:
        SourceError: nothing is there, a list cannot be read or has a wrong row, or a source is a result of
            segue.
    """
    tasks = [task for text in sources for task in _expanded(text)]
    if not tasks:
        named = ", ".join(map(hide_secrets, sources)) or "nothing"
        raise SourceError(f"{named}: there are no videos; results of segue do not count")
    return list({(task.source, task.arguments): task for task in tasks}.values())


@contextmanager
def errors_of(task: Task) -> Iterator[None]:
    """Errors from within name the video, where they may come of options of its own."""
    try:
        yield
    except SegueError as error:
        if not task.arguments:
            raise
        raise SegueError(f"{task.name} ({hide_secrets(task.source)}): {error}") from None


def in_threads(function: Callable[[Item], Value], items: Sequence[Item]) -> Iterator[tuple[Item, Value]]:
    """Items with what a function that waits for a disk says of them, in their order."""
    with ThreadPool(8) as pool:  # the disk answers several at once
        yield from zip(items, pool.imap(function, items, chunksize=64), strict=True)


def identity_now(task: Task) -> SourceIdentity | None:
    """The identity of a source; taken from the plan if size and time are equal."""
    if task.identity is not None and task.identity.kind == "file":
        with suppress(OSError, ValueError):
            status = os.stat(task.source)  # noqa: PTH116 - of very many files
            if (status.st_size, status.st_mtime_ns) == (task.identity.size, task.identity.modified_ns):
                return task.identity
    return identity_of(task.source)


def identity_of(source: str) -> SourceIdentity | None:
    """Present identity of a source; None if unknown or missing."""
    if is_remote(source):
        return remote_identity(source)
    try:
        return SourceIdentity.of(source)
    except SourceError:
        return None


def _expanded(text: str) -> Iterator[Task]:
    path = _path_of(text) if is_remote(text) else text
    suffix = PurePosixPath(path).suffix.lower()
    if suffix in (".csv", ".tsv"):
        yield from _from_rows(_csv_rows(Path(text)), text)
    elif suffix in (".txt", ".list"):
        lines = (line.strip() for line in _text_of(Path(text)).splitlines())
        yield from _from_rows(({"source": line} for line in lines if line and line[0] != "#"), text)
    elif is_remote(text):
        if suffix in VIDEO_SUFFIXES:
            yield Task(PurePosixPath(path).stem, text)
        else:
            for item in files_below(text, VIDEO_SUFFIXES):
                yield Task(os.path.splitext(item[len(text) :].lstrip("/"))[0], item)  # noqa: PTH122
    elif Path(text).is_dir():
        _refuse_result(Path(text), text)
        yield from _below(Path(text).absolute())
    elif Path(text).is_file():
        _refuse_result(Path(text).parent, text)
        yield Task(Path(text).stem, text)
    elif glob.has_magic(text):
        for each in sorted(glob.glob(text, recursive=True), key=natural_key):  # noqa: PTH207
            place = Path(each)
            if SUBFOLDER in place.parts or any(map(is_result, (place, *place.parents[:-1]))):
                continue
            yield from [Task(place.name, each)] if place.is_dir() else _expanded(each)
    else:
        raise SourceError(f"{text}: no such file, folder or list")


def _refuse_result(folder: Path, text: str) -> None:
    """What segue wrote is no source: a batch would follow its own overlays."""
    if is_result(folder):
        raise SourceError(f"{text}: results of segue are no source; give the video that they were made of")


def _path_of(address: str) -> str:
    """The path of an address, without its query."""
    return address.partition("://")[2].partition("?")[0].partition("#")[0]


def _below(folder: Path) -> Iterator[Task]:
    films: list[str] = []
    for place, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if name != SUBFOLDER and not is_result(Path(place, name))]
        start = os.path.join(place, "")  # noqa: PTH118 - pathlib takes as long as all else for many videos
        films += filter(os.path.isfile, (start + name for name in names if _is_film(name)))
    films.sort(key=natural_key)
    length = len(os.path.join(folder, ""))  # noqa: PTH118
    for film in films:
        yield Task(os.path.splitext(film[length:])[0].replace(os.sep, "/"), film)  # noqa: PTH122
    if not films:
        inner = [path for path in folder.iterdir() if path.is_dir() and path.name != SUBFOLDER]
        pictures = [path for path in inner if not is_result(path)]
        for item in sorted(pictures, key=lambda path: natural_key(path.name)) or [folder] * (not inner):
            yield Task(item.name or item.resolve().name, str(item))


def _is_film(name: str) -> bool:
    stem, dot, ending = name.rpartition(".")
    return bool(stem) and dot + ending.lower() in VIDEO_SUFFIXES


def _from_rows(rows: Iterable[Mapping[str, Any]], place: str) -> Iterator[Task]:
    folder = None if is_remote(place) else Path(place).parent
    names: dict[tuple[str, tuple[str, ...]], str] = {}
    for number, row in enumerate(rows, 1):
        source = str(row.get("source") or "").strip()
        if not source:
            raise SourceError(f"{place}: row {number} has no source")
        unknown = sorted(set(row) - KNOWN_COLUMNS)
        if unknown:
            raise SourceError(
                f"{place}: column {unknown[0]!r} is not known; choose from {', '.join(sorted(KNOWN_COLUMNS))}"
            )
        plain = _path_of(source) if is_remote(source) else source
        name = str(row.get("name") or "") or PurePosixPath(plain).stem
        try:
            check_name(name, SourceError)
        except SourceError as error:
            raise SourceError(f"{place}: row {number}: {error}") from None
        if not is_remote(source):
            _refuse_result((folder or Path()) / Path(source).parent, f"{place}: row {number}: {source}")
        task = Task(name, _beside(folder, source), tuple(_arguments(row, folder, f"{place}: row {number}")))
        if names.setdefault((task.source, task.arguments), name) != name:
            raise SourceError(
                f"{place}: row {number}: the same video with the same options as an earlier row, by another "
                "name; leave one of them out"
            )
        yield task


def _arguments(row: Mapping[str, Any], folder: Path | None, where: str) -> Iterator[str]:
    for column in PROMPTS:
        for value in filter(None, map(str.strip, str(row.get(column) or "").split(";"))):
            yield from (f"--{column}", _mask(folder, value) if column == "mask" else value)
    for column in PLACES:
        if value := str(row.get(column) or "").strip():
            yield from (f"--{column}", _beside(folder, value))
    if str(row.get("auto") or "").strip().lower() in ("1", "true", "yes", "auto"):
        yield "--auto"
    try:
        yield from shlex.split(str(row.get("options") or ""))
    except ValueError as error:
        raise SourceError(f"{where}: the options cannot be read ({error})") from None


def _mask(folder: Path | None, value: str) -> str:
    """``[FRAME@][ID=]PATH`` with the path taken from the list's folder."""
    head, mark, path = value.rpartition("=" if "=" in value else "@")
    return f"{head}{mark}{_beside(folder, path)}"


def _beside(folder: Path | None, path: str) -> str:
    return path if folder is None or is_remote(path) else str((folder / path).absolute())


def _text_of(path: Path) -> str:
    try:
        return path.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise SourceError(f"{path}: the list cannot be read ({error})") from None


def _csv_rows(path: Path) -> Iterator[dict[str, Any]]:
    delimiter = "\t" if path.suffix.lower() == ".tsv" else ","
    for row in csv.DictReader(io.StringIO(_text_of(path)), delimiter=delimiter):
        if None in row:
            raise SourceError(f"{path}: a row has more values than columns; quote those with commas")
        yield row
