"""How long images and clips of events are kept, which of them are marked, and how long the disk lasts."""

from __future__ import annotations

import json
import os
import re
import shutil
import threading
import time
from collections.abc import Collection, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from segue.errors import SegueError, SinkError
from segue.utils.files import replacing, write_complete, writing

NAME = r"\d{5,}-[a-z-]+-\d+\.(?:jpg|mp4)"
"""Names of images and clips of events."""

DELETED = "deleted"
"""What a table says in place of the name of a file that is gone."""

ROOM = 0.95
"""Share of the limit in bytes down to which files are deleted, so that it does not happen all the time."""

MARKS = "marks.json"
"""File beside the images that says which events are reviewed and kept."""

_DAY = 86400.0
_TIMES = {"h": 3600.0, "d": _DAY, "w": 7 * _DAY}
_SIZES = {"MB": 10**6, "GB": 10**9, "TB": 10**12}
_LIMIT = re.compile(r"(\d{1,9}(?:\.\d{1,6})?)\s*(h|d|w|MB|GB|TB)")
_FILE = re.compile(NAME)
_NAMES = re.compile(NAME.encode())


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

    def expired(self, files: Iterable[Stored], kept: Collection[Path], now: float) -> list[Stored]:
        """The files that are to go, oldest first.

        Args:
            files: all files that there are.
            kept: files that stay whatever happens; their bytes count.
            now: seconds of the epoch.

        Returns:
            Those that are too old, and the oldest ones until the others have room.
        """
        ordered = sorted(files, key=lambda each: (each.time, each.path.name))
        total = sum(each.size for each in ordered)
        full = self.size is not None and total > self.size
        gone = []
        for each in (each for each in ordered if each.path not in kept):
            old = self.seconds is not None and each.time < now - self.seconds
            if old or (full and self.size is not None and total > ROOM * self.size):
                gone.append(each)
                total -= each.size
        return gone


def stored(folder: Path) -> list[Stored]:
    """The images and clips in a folder; none where there is no folder."""
    try:
        with os.scandir(folder) as entries:
            found = [entry for entry in entries if _FILE.fullmatch(entry.name)]
    except OSError:
        return []
    files = []
    for entry in found:
        try:
            about = entry.stat(follow_symlinks=False)
        except OSError:  # deleted meanwhile
            continue
        files.append(Stored(folder / entry.name, about.st_size, about.st_mtime))
    return files


def delete_expired(
    folders: Sequence[Path], retention: Retention, now: float | None = None
) -> dict[Path, set[str]]:
    """Delete what is not to be kept of the images and clips in folders.

    Args:
        folders: all of a camera.
        retention: the limits of all of them together.
        now: seconds of the epoch; None is this moment.

    Returns:
        The names of the files that are gone, by their folders.
    """
    files = [each for folder in folders for each in stored(folder)]
    kept = {folder / name for folder in folders for name in Marks(folder).kept}
    gone: dict[Path, set[str]] = {}
    for each in retention.expired(files, kept, time.time() if now is None else now):
        with writing(each.path):
            each.path.unlink(missing_ok=True)
        gone.setdefault(each.path.parent, set()).add(each.path.name)
    for folder, names in gone.items():
        with suppress(SinkError):  # on a full disk; no file has such a name again
            Marks(folder).forget(names)
    return gone


def note_deleted(table: Path, names: Collection[str]) -> None:
    """Let a table of events that nobody has open say that images and clips are deleted."""
    with replacing(table) as new, table.open("rb") as old, new.open("wb") as stream:
        for line in old:
            stream.write(_NAMES.sub(lambda match: _or_deleted(match[0], names), line))


def _or_deleted(name: bytes, names: Collection[str]) -> bytes:
    return DELETED.encode() if name.decode() in names else name


_CHANGING = threading.Lock()  # a person marks an event while others are deleted


class Marks:
    """What people have noted of events: reviewed, and kept; in a file beside the images.

    Args:
        folder: folder of the images, by whose names events are known.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / MARKS
        self._marks = self._read()

    def _read(self) -> dict[str, dict[str, Any]]:
        try:
            found = json.loads(self._path.read_bytes())
        except (OSError, ValueError):
            found = {}
        return {
            str(name): mark
            for name, mark in (found.items() if isinstance(found, dict) else ())
            if _FILE.fullmatch(str(name)) and isinstance(mark, dict)
        }

    def of(self, image: str) -> dict[str, bool]:
        """Whether the event of an image is reviewed, and whether it is kept."""
        mark = self._marks.get(image, {})
        return {"reviewed": bool(mark.get("reviewed")), "kept": bool(mark.get("kept"))}

    @property
    def kept(self) -> set[str]:
        """Names of images and clips that are not deleted."""
        return {
            str(name)
            for image, mark in self._marks.items()
            if mark.get("kept")
            for name in (image, mark.get("clip"))
            if name
        }

    def change(self, image: str, clip: str, *, reviewed: bool, kept: bool) -> None:
        """Note what somebody has said of the event of an image, whose clip may be that of others, too."""
        with _CHANGING:
            self._marks = self._read()
            self._marks.pop(image, None)
            if reviewed or kept:
                self._marks[image] = {"reviewed": reviewed, "kept": kept, "clip": clip}
            self._save()

    def forget(self, names: Collection[str]) -> None:
        """Images are gone, and what was noted of them."""
        with _CHANGING:
            before = self._read()
            self._marks = {name: mark for name, mark in before.items() if name not in names}
            if len(self._marks) < len(before):
                self._save()

    def _save(self) -> None:
        with writing(self._path):
            write_complete(self._path, json.dumps(self._marks, indent=0).encode())


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
    there = next((folder for folder in folders if folder.is_dir()), None)
    if there is None:
        return None
    files = [each for folder in folders for each in stored(folder)]
    recent = [each for each in files if each.time > now - _DAY]
    # With less than a day, as after the first start, the rate is that of the time that there is.
    span = min(_DAY, max(now - min((each.time for each in files), default=now), 3600.0))
    per_day = sum(each.size for each in recent) * _DAY / span
    limits = (
        []
        if retention is None
        else [retention.size, retention.seconds and per_day * retention.seconds / _DAY]
    )
    limit = min((float(each) for each in limits if each is not None), default=None)
    return DiskUse(sum(each.size for each in files), per_day, shutil.disk_usage(there).free, limit)


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
