"""How long images and clips of events are kept, what tables say of deleted ones, and how long disks last."""

from __future__ import annotations

import os
import re
import shutil
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from segue.errors import SegueError, SinkError
from segue.events.marks import CHANGING, EVENT_FILE, NAME, Marks, MarksError
from segue.utils.files import rewriting, writing
from segue.utils.notices import warn_caller

DELETED = "deleted"
"""What a table says in place of the name of a file that is gone."""

ROOM = 0.95
"""Share of the limit in bytes down to which files are deleted, so that it does not happen all the time."""

LOST = "lost"
"""What a table says in place of the name of a clip that was never completed."""

JOURNAL = ".deleted"
"""File beside the images that lists what is deleted or lost until the table of events says so."""

MARK_RATE = 1000.0
"""Bytes a second that writing a table anew may take in the mean: for 66 MB once in 18 hours."""

MIN_TENTHS = 5
"""Tenths of a limit in bytes from which on it is reported how much kept files take of it."""

Report = Callable[[str, str], object]
"""Receives a topic, and what a person should know of it; an empty text where all is well."""

_DAY = 86400.0
_TIMES = {"h": 3600.0, "d": _DAY, "w": 7 * _DAY}
_SIZES = {"MB": 10**6, "GB": 10**9, "TB": 10**12}
_LIMIT = re.compile(r"(\d{1,9}(?:\.\d{1,6})?)\s*(h|d|w|MB|GB|TB)")
_NAMES = re.compile(NAME.encode())


class RetentionWarning(UserWarning):
    """Images and clips of events are not deleted as they should be, or there is no room for new ones."""


@dataclass(frozen=True, slots=True)
class Stored:
    """An image or a clip on the disk."""

    path: Path
    size: int
    time: float


@dataclass(frozen=True, slots=True)
class Retention:
    """What is kept of the images and clips of a camera.

    Attributes:
        seconds: older ones are deleted; None keeps them.
        size: bytes that all of them may have; the oldest are deleted first.
    """

    seconds: float | None = None
    size: int | None = None

    @classmethod
    def parse(cls, texts: Sequence[str]) -> Retention | None:
        """Read limits as ``--keep`` takes them.

        Args:
            texts: such as ``30d`` and ``50GB``, one of each kind at most.

        Returns:
            The limits; None without any.

        Raises:
            SegueError: a text is no limit, or there are two of a kind.
        """
        limits: dict[str, float] = {}
        for text in texts:
            match = _LIMIT.fullmatch(text.strip())
            if match is None or not float(match[1]):
                raise SegueError(
                    f"--keep {text}: write a time such as 12h, 30d or 4w, or a size such as 50GB"
                )
            kind = "seconds" if match[2] in _TIMES else "size"
            if kind in limits:
                raise SegueError(f"--keep {text}: give one time and one size at most")
            limits[kind] = float(match[1]) * (_TIMES | _SIZES)[match[2]]
        if not limits:
            return None
        return cls(limits.get("seconds"), int(limits["size"]) if "size" in limits else None)

    def expired(self, files: Iterable[Stored], retained: Collection[Path], now: float) -> list[Stored]:
        """The files that are to go, oldest first.

        Args:
            files: all files that there are.
            retained: files that stay whatever happens; their bytes count.
            now: seconds of the epoch.

        Returns:
            Those that are too old, and the oldest ones until the others have room.
        """
        ordered = sorted(files, key=lambda each: (each.time, each.path.name))
        total = sum(each.size for each in ordered)
        full = self.size is not None and total > self.size
        expired = []
        for each in (each for each in ordered if each.path not in retained):
            old = self.seconds is not None and each.time < now - self.seconds
            if old or (full and self.size is not None and total > ROOM * self.size):
                expired.append(each)
                total -= each.size
        return expired


def stored(folder: Path) -> list[Stored]:
    """The images and clips in a folder; none where there is no folder."""
    try:
        with os.scandir(folder) as entries:
            names = [entry for entry in entries if EVENT_FILE.fullmatch(entry.name)]
    except OSError:
        return []
    files = []
    for entry in names:
        try:
            about = entry.stat(follow_symlinks=False)
        except OSError:  # deleted meanwhile
            continue
        files.append(Stored(folder / entry.name, about.st_size, about.st_mtime))
    return files


def stored_in(folders: Iterable[Path]) -> list[Stored]:
    """The images and clips in folders, each once, however often its folder is named."""
    return [each for folder in dict.fromkeys(folders) for each in stored(folder)]


def delete_expired(
    folders: Sequence[Path],
    retention: Retention,
    now: float | None = None,
    report: Report = lambda *_: None,
) -> dict[Path, set[str]]:
    """Delete what is not to be kept of the images and clips in folders, unless somebody keeps it meanwhile.

    Nothing is deleted from a folder whose marks cannot be read; then the others are not made to pay for its
    bytes either.

    Args:
        folders: all of a camera.
        retention: the limits of all of them together.
        now: seconds of the epoch; None is this moment.
        report: receives what a person should know of a file or folder; an empty text where all is well.

    Returns:
        The names of the files that are gone, by their folders; they also stand in the journals of these.
    """
    files, now = stored_in(folders), time.time() if now is None else now
    marks = _read_marks({file.path.parent for file in files}, report)
    readable = [file for file in files if file.path.parent in marks]
    retained = {folder / name for folder, each in marks.items() for name in each.retained}
    if len(readable) < len(files):
        retention = replace(retention, size=None)
    elif retention.size is not None and folders:
        used = sum(file.size for file in files if file.path in retained)
        report(f"kept in {folders[0]}", _kept_text(folders[0], used, retention.size))
    expired: dict[Path, set[str]] = {}
    failures: dict[Path, str] = {}
    for each in retention.expired(readable, retained, now):
        folder = each.path.parent
        try:
            if _delete(each.path, marks[folder]):
                expired.setdefault(folder, set()).add(each.path.name)
        except SinkError as error:
            failures.setdefault(folder, f"{folder}: images and clips stay that are to be deleted: {error}")
    for folder, folder_marks in marks.items():
        report(f"deleted in {folder}", failures.get(folder, ""))
        if folder in expired:
            with suppress(SinkError):  # on a full disk; no file has such a name again
                folder_marks.forget(expired[folder])
    return expired


def _read_marks(folders: Iterable[Path], report: Report) -> dict[Path, Marks]:
    """The marks of folders; which cannot be read is reported."""
    marks = {}
    for folder in folders:
        text = ""
        try:
            marks[folder] = Marks(folder)
        except MarksError as error:
            text = f"{error}; nothing is deleted there, and no event can be marked"
        report(f"marks in {folder}", text)
    return marks


def _kept_text(folder: Path, used: int, limit: int) -> str:
    """What to say of files that are kept, by the bytes that they take, in tenths of the limit."""
    tenths = min(10, 10 * used // limit)
    if tenths < MIN_TENTHS:
        return ""
    return (
        f"{folder}: images and clips that are marked as kept take {10 * tenths} % or more of the "
        f"{in_bytes(limit)} of --keep; all others have the rest, and the oldest of them are deleted: raise "
        "the limit, or keep fewer"
    )


def _delete(path: Path, marks: Marks) -> bool:
    """Delete a file, unless somebody has marked it as kept since it was chosen."""
    with CHANGING:
        marks.refresh()
        if path.name in marks.retained:
            return False
        with writing(path):
            path.unlink(missing_ok=True)
        DeletionJournal(path.parent).add([path.name])
    return True


def warn_once(topic: str, text: str) -> None:
    """Warn of a topic unless the last warning of it said the same; an empty text ends that."""
    with CHANGING:
        previous = _warned.pop(topic, "")
        if text:
            _warned[topic] = text
    if text and text != previous:
        warn_caller(text, RetentionWarning)


_warned: dict[str, str] = {}


_unwritten: dict[Path, dict[str, str]] = {}
"""Names that wait for room on the disk, and what is to be said of them, by the file of their journal."""


class DeletionJournal:
    """Names of images and clips of a folder that are gone, of which the table does not say so yet.

    They are in a hidden file.

    Args:
        folder: folder of the images.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / JOURNAL

    def add(self, names: Iterable[str], word: str = DELETED) -> None:
        """Note names; where the disk is full they wait in memory for the next time.

        The file begins with the moment of the first one.

        Args:
            names: names of files.
            word: what the table is to say in place of them.
        """
        with CHANGING:
            words = _unwritten.pop(self._path, {}) | dict.fromkeys(names, word)
            # A line that a crash has cut off stays apart.
            lines = "".join(
                f"\n{name}{'' if each == DELETED else f' {each}'}" for name, each in sorted(words.items())
            )
            try:
                with self._path.open("ab", buffering=0) as stream:
                    start = "" if stream.tell() else f"{time.time():.0f}"
                    is_complete = stream.write((start + lines).encode()) == len(start + lines)
            except OSError:
                is_complete = False
            if not is_complete:
                _unwritten[self._path] = words

    def words(self) -> dict[str, str]:
        """What the table is to say in place of each name in it."""
        with CHANGING:
            parts = (line.partition(" ") for line in self._lines()[1:])
            words = {name: word or DELETED for name, _, word in parts if EVENT_FILE.fullmatch(name)}
            return {name: word for name, word in words.items() if word in (DELETED, LOST)} | _unwritten.get(
                self._path, {}
            )

    def names(self) -> set[str]:
        """All names in it."""
        return {*self.words()}

    def needs_update(self, table: Path, now: float | None = None) -> bool:
        """Whether the table is to be written anew, now or at a time; a large one is so less often."""
        lines = self._lines()
        if not lines:
            return False
        first = float(lines[0]) if lines[0].isdecimal() else 0.0
        size = table.stat().st_size if table.exists() else 0
        return abs((time.time() if now is None else now) - first) >= size / MARK_RATE

    def remove(self, names: Collection[str]) -> None:
        """Names are marked in the table."""
        with CHANGING:
            remaining = {name: word for name, word in self.words().items() if name not in names}
            _unwritten.pop(self._path, None)
            self._path.unlink(missing_ok=True)
            for word in {*remaining.values()}:
                self.add((name for name, each in remaining.items() if each == word), word)

    def _lines(self) -> list[str]:
        try:
            return self._path.read_text("utf-8", "replace").split("\n")
        except FileNotFoundError:
            return []


def _journal_line(name: str, word: str) -> str:
    return name if word == DELETED else f"{name} {word}"


def note_deleted(table: Path, names: Collection[str] | Mapping[str, str]) -> None:
    """Let a table of events that nobody has open say that images and clips are gone.

    It stays where a link leads, with its mode.

    Args:
        table: the file.
        names: names of files that are deleted; or what is said in place of each.
    """
    words = names if isinstance(names, Mapping) else dict.fromkeys(names, DELETED)
    codes = {name.encode(): word.encode() for name, word in words.items()}
    with rewriting(table) as new, table.open("rb") as old:
        for line in old:
            new.write(_NAMES.sub(lambda match: codes.get(match[0], match[0]), line))


MIN_SPAN = 120.0
"""Seconds for which a rate of bytes is taken at least: one clip right after the start is none."""


@dataclass(frozen=True, slots=True)
class DiskUse:
    """What the images and clips of a camera take.

    Attributes:
        used: bytes of all of them.
        per_day: bytes that come in a day, by the last day.
        free: bytes that are free where they are.
        limit: bytes that they may have in the end; None without a limit.
    """

    used: int
    per_day: float
    free: int
    limit: float | None


def disk_use(
    folders: Sequence[Path], retention: Retention | None, now: float | None = None
) -> DiskUse | None:
    """Look at the folders of a camera; None where there is none yet."""
    now = time.time() if now is None else now
    existing = next((folder for folder in folders if folder.is_dir()), None)
    if existing is None:
        return None
    files = stored_in(folders)
    recent = [each for each in files if each.time > now - _DAY]
    # With less than a day, as after the first start, the rate is that of the time that there is.
    span = min(_DAY, max(now - min((each.time for each in files), default=now), MIN_SPAN))
    per_day = sum(each.size for each in recent) * _DAY / span
    limits = (
        []
        if retention is None
        else [retention.size, retention.seconds and per_day * retention.seconds / _DAY]
    )
    limit = min((float(each) for each in limits if each is not None), default=None)
    return DiskUse(sum(each.size for each in files), per_day, shutil.disk_usage(existing).free, limit)


def in_bytes(size: float) -> str:
    """A number of bytes as `--keep` has it, such as ``1.5 GB``."""
    unit = next((name for name, value in reversed(_SIZES.items()) if size >= value), "MB")
    return f"{size / _SIZES[unit]:.3g} {unit}"


def days_left(uses: Iterable[DiskUse]) -> float | None:
    """Days until the disk of some cameras is full; None where their limits keep it from that."""
    uses = [*uses]
    if not uses:
        return None
    free = min(use.free for use in uses)
    growing = [use for use in uses if use.limit is None]
    bounded = sum(max(0.0, use.limit - use.used) for use in uses if use.limit is not None)
    rate = sum(use.per_day for use in growing)
    if not rate and bounded <= free:
        return None
    rate = rate or sum(use.per_day for use in uses)
    return round(max(0.0, free - (bounded if growing else 0.0)) / rate, 1) if rate else None
