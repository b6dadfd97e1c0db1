"""Videos of a batch from folders, patterns and lists, and names of their results."""

from __future__ import annotations

import csv
import glob
import io
import os
import shlex
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.pool import ThreadPool
from pathlib import Path, PurePath, PurePosixPath
from typing import Any, Literal, TypeVar

from segue.batch.places import (
    files_below,
    hide_secrets,
    is_result,
    lacks_secrets,
    read_remote,
    remote_identity,
    without_secrets,
)
from segue.errors import SegueError, SourceError
from segue.jobs.values import VideoJob
from segue.prompt_inputs.texts import split_mask
from segue.utils.inputs import matching_paths, text_of, user_path
from segue.utils.naming import first_few, is_hidden, natural_key
from segue.utils.notices import notice
from segue.utils.system import WINDOWS
from segue.video.sources.addresses import SCHEMES, is_url, public_address
from segue.video.sources.identity import SourceIdentity
from segue.video.sources.kinds import IMAGE_SUFFIXES, LIST_SUFFIXES, VIDEO_SUFFIXES, is_video

LIVE_SCHEMES = SCHEMES - {"http", "https"}
"""Schemes of addresses of streams, which have no end."""

MAX_LIST = 256 << 20
"""Maximum bytes of a list at an address."""

REPORT = "report.html"
"""The page of a batch, in the output."""

RESERVED_NAMES = frozenset({"results.json", REPORT})
"""Files beside the results of videos; names that begin with ``.segue`` are reserved too."""

PROMPTS = ("mask", "box", "point", "remove", "classes", "with")
"""Columns whose values are options of that name; semicolons separate several values."""

PLACES = ("roi", "depth", "flow")
"""Columns of files or folders, relative to the list, for ``foreground``."""

KNOWN_COLUMNS = frozenset({"source", "name", "auto", "options", *PROMPTS, *PLACES})

Value = TypeVar("Value")

State = Literal["queued", "running", "done", "failed"]


@dataclass(frozen=True, slots=True)
class OptionRow:
    """Options in a row of a list.

    Attributes:
        values: options in columns of the same name.
        words: the column ``options``, as words of a command line.
    """

    values: Mapping[str, Any]
    words: tuple[str, ...]

    @property
    def arguments(self) -> tuple[str, ...]:
        """All options as command-line words, which identify the video in the ledger."""
        lists = {name: value if isinstance(value, list) else [value] for name, value in self.values.items()}
        pairs = ((f"--{name}", *(() if item is True else (item,))) for name in lists for item in lists[name])
        return (*(word for pair in pairs for word in pair), *self.words)


@dataclass(frozen=True, slots=True)
class Task:
    """A video of a batch: job and outcome.

    Attributes:
        name: name of its results, a relative path without a suffix.
        source: file, folder or address.
        arguments: options of this video, such as prompts, as written in a list; together with the source,
            they identify the video.
        identity: identity of the source when the video was planned; None if it is not known.
        job: job of the video; None if only the list was read.
        state: queued, running, done or failed.
        worker: host and process that processed it.
        tries: number of tries.
        error: reason for its failure, one line.
        frames: number of frames with results.
        seconds: duration of its last try, including downloads and uploads.
        pace: seconds per frame of the networks, without reading and writing.
        digest: SHA-256 over names and contents of its results.
        stamp: SHA-256 over names, sizes and times of its results, None at an address.
        image: JPEG of one frame with its objects, until the report has it.
        refused: whether it failed because the store refused its results; not stored in the ledger.
        row: origin of ``arguments`` for a video of a list; not stored in the ledger.
    """

    name: str
    source: str
    arguments: tuple[str, ...] = ()
    identity: SourceIdentity | None = None
    job: VideoJob | None = None
    state: State = "queued"
    worker: str | None = None
    tries: int = 0
    error: str | None = None
    frames: int = 0
    seconds: float | None = None
    pace: float | None = None
    digest: str | None = None
    stamp: str | None = None
    image: bytes = b""
    refused: bool = False
    row: OptionRow | None = field(default=None, compare=False)

    @property
    def key(self) -> tuple[str, tuple[str, ...]]:
        """Source and arguments that identify the video in the ledger."""
        return without_secrets(self.source), tuple(map(without_secrets, self.arguments))

    @property
    def size(self) -> int:
        """Bytes of the source; 0 if unknown."""
        return (self.identity and self.identity.size) or 0


def read_tasks(sources: Sequence[str]) -> list[Task]:
    """Read the videos of folders, patterns, lists and single videos, without duplicates.

    A folder stands for the videos below it; without videos, each folder of images in it is a video. A text
    file has one source per line (empty lines and lines that begin with # are ignored). CSV has the column
    ``source`` and may have ``name``, ``mask``, ``box``, ``point``, ``remove``, ``auto``, ``classes``,
    ``with``, ``roi``, ``depth``, ``flow`` and ``options``. Paths in a list are relative to the list. Folders
    and patterns skip results of segue and hidden files. A notice counts other files below a folder by their
    extensions.

    Args:
        sources: paths of videos and folders, patterns with ``*``, ``?`` and ``[]``, addresses of remote
            videos and folders, and lists, which end in ``.txt``, ``.list``, ``.csv`` or ``.tsv``.

    Returns:
        One task for each pair of source and options, at least one, in the order of ``sources``; the videos of
        a local folder or a pattern are in natural order. Paths are absolute; ``identity`` and ``job`` are
        None.

    Raises:
        SourceError: there is no video, a list cannot be read or has a wrong row, or a source is a result of
            segue or an endless stream.
    """
    tasks = {(task.source, task.arguments): task for text in sources for task in _expanded(text)}
    if not tasks:
        sources_text = ", ".join(map(hide_secrets, sources)) or "nothing"
        raise SourceError(f"{sources_text}: there are no videos; results of segue do not count")
    return list(tasks.values())


def check_name(name: str, error: type[SegueError] = SegueError) -> None:
    """Raise an error unless a name is valid for results."""
    parts = name.split("/")
    other = WINDOWS and PurePath(name).parts != tuple(parts)  # backslashes and drives
    if "\0" in name or other or not {"", ".", ".."}.isdisjoint(parts):
        raise error(
            f"the name {name!r} must stay inside the output: a relative path without empty parts, . and .."
        )
    if reserved := [part for part in parts if part.startswith(".segue") or part in RESERVED_NAMES]:
        raise error(f"the name {name!r}: {reserved[0]} is what segue itself writes; choose another")


def check_names(names: Iterable[str]) -> None:
    """Raise an error unless these names are valid for results, and none equals or contains another."""
    counts = Counter(names)
    folders: set[str] = set()
    for name in counts:
        check_name(name)
        while (name := os.path.dirname(name)) and name not in folders:  # noqa: PTH120 - of very many names
            folders.add(name)
    if shared := [repr(name) for name, count in counts.items() if count > 1 or name in folders]:
        raise SegueError(
            f"several videos would write to {first_few(shared)}; list them in a table, with other names in "
            "its column `name`"
        )


def jobs_of(tasks: Iterable[Task]) -> list[VideoJob]:
    """Distinct jobs of videos; most videos share one."""
    return list({id(task.job): task.job for task in tasks if task.job is not None}.values())


def in_threads(function: Callable[[Task], Value], tasks: Sequence[Task]) -> Iterator[tuple[Task, Value]]:
    """Call a disk-bound function for each video in threads; results are in order."""
    with ThreadPool(8) as pool:  # the disk answers several at once
        yield from zip(tasks, pool.imap(function, tasks, chunksize=64), strict=True)


def identity_now(task: Task) -> SourceIdentity | None:
    """Current identity of a source, None if unknown; the planned one if size and time are equal."""
    if is_url(task.source):
        return None if lacks_secrets(task.source) else remote_identity(task.source)
    if task.identity is not None and task.identity.kind == "file":
        with suppress(OSError, ValueError):
            status = os.stat(task.source)  # noqa: PTH116 - of very many files
            if (status.st_size, status.st_mtime_ns) == (task.identity.size, task.identity.modified_ns):
                return task.identity
    with suppress(SourceError):
        return SourceIdentity.of(task.source)
    return None


def _expanded(text: str) -> Iterator[Task]:
    path = PurePosixPath(_path_of(text))
    if glob.has_magic(text) and not is_url(text) and not Path(text).exists():
        yield from _matching(text)
    elif path.suffix.lower() in LIST_SUFFIXES:
        yield from _listed(text if is_url(text) else str(user_path(text)))
    elif is_url(text) and (path.suffix.lower() in VIDEO_SUFFIXES or _is_live(text)):
        _refuse_live(text)
        yield Task(path.stem, text)
    elif is_url(text):
        for item in files_below(text, VIDEO_SUFFIXES):
            name = os.path.splitext(item[len(text) :].lstrip("/"))[0]  # noqa: PTH122
            try:
                check_name(name)
            except SegueError as error:  # keys of a store may be any text
                notice(f"{hide_secrets(item)}: is left out: {error}; list it in a table with a `name`")
            else:
                yield Task(name, item)
    elif (place := user_path(text).absolute()).is_dir():
        _refuse_result(place, text)
        yield from _below(place)
    elif place.is_file():
        _refuse_result(place.parent, text)
        yield Task(place.stem, str(place))
    else:
        raise SourceError(f"{text}: no such file, folder or list")


def _matching(pattern: str) -> Iterator[Task]:
    """Folders, lists and files that match a pattern; an open ending matches videos only."""
    any_ending = glob.has_magic(Path(pattern).suffix) or not Path(pattern).suffix
    left: Counter[str] = Counter()
    for each in sorted(matching_paths(pattern), key=natural_key):
        place = Path(each)
        if is_hidden(place.name) or any(map(is_result, (place, *place.parents[:-1]))):
            continue
        if place.is_dir():
            yield Task(place.name, str(place.absolute()))
        elif any_ending and not (is_video(place) or place.suffix.lower() in LIST_SUFFIXES | IMAGE_SUFFIXES):
            left[place.suffix.lower()] += 1
        else:
            yield from _expanded(each)
    _report_left(pattern, left)


def _report_left(where: str, left: Mapping[str, int]) -> None:
    """Report skipped files by suffix."""
    if left:
        counts = (f"{count} {ending or 'without an ending'}" for ending, count in sorted(left.items()))
        notice(f"{where}: {sum(left.values())} files are left out, by their endings: {first_few(counts, 12)}")


def _is_live(address: str) -> bool:
    """Whether an address is an endless stream, by its scheme or playlist."""
    playlist = _path_of(address).lower().endswith((".m3u8", ".mpd", ".sdp"))
    return playlist or address.partition("://")[0].lower() in LIVE_SCHEMES


def _refuse_live(address: str) -> None:
    if _is_live(address):
        raise SourceError(
            f"{public_address(address)}: is a stream, which has no end; a batch takes videos. "
            "Follow it with `segue track`, `segue foreground` or `segue instances`, perhaps with --duration"
        )


def _refuse_result(folder: Path, text: str) -> None:
    """Raise an error for results of segue, so that a batch does not process its own overlays."""
    if is_result(folder):
        raise SourceError(f"{text}: results of segue are no source; give the video that they were made of")


def _path_of(place: str) -> str:
    """Path of a file or address, without query."""
    return place.partition("://")[2].partition("?")[0].partition("#")[0] if is_url(place) else place


def _below(folder: Path) -> Iterator[Task]:
    videos: list[tuple[str, str]] = []
    left: Counter[str] = Counter()
    # The functions of os.path: pathlib takes as long as all else for very many videos.
    start = os.path.join(folder, "")  # noqa: PTH118
    for place, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not is_hidden(name) and not is_result(Path(place, name))]
        for name in names:
            path = os.path.join(place, name)  # noqa: PTH118
            stem, suffix = os.path.splitext(path)  # noqa: PTH122
            if is_hidden(name):
                continue
            if suffix.lower() not in VIDEO_SUFFIXES:
                left[suffix.lower()] += 1
            elif os.path.isfile(path):  # noqa: PTH113
                videos.append((stem[len(start) :].replace(os.sep, "/"), path))
    if videos:
        _report_left(str(folder), left)
    for name, path in sorted(videos, key=lambda video: natural_key(video[1])):
        yield Task(name, path)
    if not videos:
        inner = [path for path in folder.iterdir() if path.is_dir() and not is_hidden(path.name)]
        images = [path for path in inner if not is_result(path)]
        for item in sorted(images, key=lambda path: natural_key(path.name)) or [folder] * (not inner):
            yield Task(item.name or item.resolve().name, str(item))


def _listed(path: str) -> Iterator[Task]:
    """Videos of a list, which may be remote."""
    public = hide_secrets(path)
    names: dict[tuple[str, tuple[str, ...]], str] = {}
    for number, row in enumerate(_rows(path), 1):
        source = str(row.get("source") or "").strip()
        if not source:
            raise SourceError(f"{public}: row {number} has no source")
        name = str(row.get("name") or "") or PurePosixPath(_path_of(source)).stem
        try:
            check_name(name)
            row_options = _options(row, path)
            task = Task(name, _relative_to(path, source), row_options.arguments, row=row_options)
        except SegueError as error:
            raise SourceError(f"{public}: row {number}: {error}") from None
        if is_url(task.source):
            _refuse_live(task.source)
        else:
            _refuse_result(Path(task.source).parent, f"{public}: row {number}: {source}")
        if names.setdefault((task.source, task.arguments), name) != name:
            raise SourceError(
                f"{public}: row {number}: the same video with the same options as an earlier row, by another "
                "name; leave one of them out"
            )
        yield task


def _rows(path: str) -> Iterator[Mapping[str, Any]]:
    """Rows of a table, or of a text with one source per line."""
    public, suffix = hide_secrets(path), PurePosixPath(_path_of(path)).suffix.lower()
    try:
        text = text_of(read_remote(path, MAX_LIST) if is_url(path) else Path(path).read_bytes())
    except (OSError, UnicodeDecodeError) as error:
        raise SourceError(f"{public}: the list cannot be read ({error})") from None
    if suffix in (".txt", ".list"):
        sources = (_without_quotes(line.strip()) for line in text.splitlines())
        yield from ({"source": source} for source in sources if source and source[0] != "#")
        return
    table = csv.DictReader(io.StringIO(text), delimiter=_delimiter(text, suffix))
    if unknown := sorted(set(table.fieldnames or ()) - KNOWN_COLUMNS):
        columns_text = ", ".join(sorted(KNOWN_COLUMNS))
        raise SourceError(f"{public}: column {unknown[0]!r} is not known; choose from {columns_text}")
    for row in table:
        if None in row:
            raise SourceError(f"{public}: a row has more values than columns; quote those with commas")
        yield row


def _without_quotes(line: str) -> str:
    """Remove quotes around a line, as Windows Explorer copies paths with them."""
    return line[1:-1] if len(line) > 2 and line[0] == line[-1] == '"' else line


def _delimiter(text: str, suffix: str) -> str:
    """Column separator of a table: comma, semicolon or tab."""
    usual = "\t" if suffix == ".tsv" else ","
    head = next(csv.reader([text.partition("\n")[0].rstrip("\r")], delimiter=usual), [])
    if not set(head) <= KNOWN_COLUMNS:
        for other in ";\t,":
            columns = next(csv.reader([text.partition("\n")[0].rstrip("\r")], delimiter=other), [])
            if len(columns) > 1 and set(columns) <= KNOWN_COLUMNS:
                return other
    return usual


def _options(row: Mapping[str, Any], table: str) -> OptionRow:
    options: dict[str, Any] = {}
    for column in PROMPTS:
        if values := [*filter(None, map(str.strip, str(row.get(column) or "").split(";")))]:
            options[column] = [_mask(table, value) if column == "mask" else value for value in values]
    for column in PLACES:
        if value := str(row.get(column) or "").strip():
            resolve = _relative_to if column == "roi" else _folder_relative_to
            options[column] = resolve(table, value)
    if str(row.get("auto") or "").strip().lower() in ("1", "true", "yes", "auto"):
        options["auto"] = True
    try:
        return OptionRow(options, tuple(shlex.split(str(row.get("options") or ""))))
    except ValueError as error:
        raise SourceError(f"the options cannot be read ({error})") from None


def _of_this_system(path: Path) -> Path:
    """Path of a list; Windows separators are converted if such a file exists.

    Raises:
        SourceError: it has backslashes, and there is no such file.
    """
    if os.sep == "\\" or "\\" not in path.name or path.exists():
        return path
    other = Path(str(path).replace("\\", "/"))
    if not other.exists():
        raise SourceError(f"{path}: backslashes separate no folders here, and {other} is not there; write /")
    return other


def _mask(table: str, value: str) -> str:
    """Resolve ``[FRAME@][ID=]PATH`` relative to the table's folder."""
    prefix, path = split_mask(value)
    return f"{prefix}{_relative_to(table, path)}"


def _folder_relative_to(table: str, path: str) -> str:
    """Resolve a local folder relative to a table's folder."""
    if is_url(table) and not is_url(path) and not user_path(path).is_absolute():
        raise SourceError(
            f"{path}: lies beside a list at an address; masks and folders are read from local paths"
        )
    return _relative_to(table, path)


def _relative_to(table: str, path: str) -> str:
    """Resolve a path or address relative to a table's folder."""
    if is_url(path):
        return path
    place = user_path(path)
    if not is_url(table):
        return str(_of_this_system((Path(table).parent / place).absolute()))
    if place.is_absolute():
        return str(place)
    folder = table.partition("?")[0].partition("#")[0].rpartition("/")[0]
    return f"{folder}/{PurePosixPath(path.replace(os.sep, '/'))}"
