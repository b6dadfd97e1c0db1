"""Retention of images and clips of events, and the time until disks are full."""

from __future__ import annotations

import re
import shutil
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from segue.errors import SegueError, SinkError
from segue.events.archive import EventArchive
from segue.events.store.importing import retry_marks_import, unread_parts
from segue.events.store.notices import RetentionWarning as RetentionWarning
from segue.events.store.notices import warn_on_change as warn_on_change
from segue.events.store.store import EventStore
from segue.utils.files import writing

ROOM = 0.95
"""Share of a size limit down to which files are deleted; smaller values delete less often."""

MIN_TENTHS = 5
"""The size of kept files is reported from so many tenths of the limit on."""

FILES_PER_BATCH = 50
"""Files deleted at a time, during which no visit can be marked."""

Report = Callable[[str, str], object]
"""Receives a topic and a message about it; an empty message means that all is well."""

_DAY = 86400.0
_TIMES = {"h": 3600.0, "d": _DAY, "w": 7 * _DAY}
_SIZES = {"MB": 10**6, "GB": 10**9, "TB": 10**12}
_LIMIT = re.compile(r"(\d{1,9}(?:\.\d{1,6})?)\s*(h|d|w|MB|GB|TB)")


@dataclass(frozen=True, slots=True)
class Retention:
    """Rules for deleting images and clips of a camera.

    Attributes:
        seconds: older ones are deleted; None keeps them.
        size: bytes that all of them may have; the oldest are deleted first.
    """

    seconds: float | None = None
    size: int | None = None

    @classmethod
    def parse(cls, texts: Sequence[str]) -> Retention | None:
        """Parse limits in the format of ``--keep``.

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


def note_limits(store: EventStore, archive: EventArchive, texts: Sequence[str]) -> None:
    """Note limits and places of the files of a camera in its store, for :func:`noted_limits`."""
    folder, images = archive.table.parent.absolute(), archive.images
    if images is not None:  # the folder of all may be moved
        images = images.absolute()
        images = images.relative_to(folder) if images.is_relative_to(folder) else images
    store.set(
        keep=" ".join(texts),
        table=archive.table.name,
        images="" if images is None else str(images),
        parts="folders" if archive.has_folders else "",
    )


def noted_limits(store: EventStore, path: Path) -> tuple[EventArchive, Retention | None]:
    """Files of a camera that may be in no file of cameras, and its last limits, by its store and its path."""
    settings = store.settings()
    table = path.with_name(Path(settings.get("table", f"{path.stem}.csv")).name)
    images = settings.get("images", path.stem)
    archive = EventArchive(
        table, table.parent / images if images else None, table.parent if settings.get("parts") else None
    )
    return archive, Retention.parse(settings.get("keep", "").split())


_MARKED = """
    select part, snapshot from events where visit in (select id from visits where kept = 1) and snapshot != ''
    union
    select part, clip from events where visit in (select id from visits where kept = 1) and clip != ''
"""
"""Images and clips of visits that are kept, whenever they were marked."""


def delete_expired(
    store: EventStore, archive: EventArchive, retention: Retention, report: Report = lambda *_: None
) -> int:
    """Delete expired images and clips of a camera, the oldest first.

    Nothing of a kept visit is deleted, also where somebody keeps it meanwhile. Their age is that of the clock
    of the store, which a wrong clock of the machine does not change.

    Args:
        store: store of the camera.
        archive: place of its images and clips.
        retention: the limits of all of it together.
        report: receives a message for a person; empty if all is well.

    Returns:
        The number of files that are gone.

    Raises:
        SinkError: the store cannot be read or written.
    """
    images = archive.images
    if images is None:
        return 0
    report(f"marks of {store.path}", retry_marks_import(store, archive))
    store.flush()
    report(f"clock of {archive.store}", store.clock.problem if retention.seconds is not None else "")
    num_deleted, problem, tried = 0, "", set[tuple[int, str]]()
    while True:
        with store.changing() as base:  # nobody marks a visit meanwhile
            candidates = (each for each in _expired(base, retention, store) if each[:2] not in tried)
            expired = [*islice(candidates, FILES_PER_BATCH)]
            for number, name, part in expired:
                tried.add((number, name))
                path = archive.part(part).file(name)
                try:
                    if path is not None:
                        with writing(path):
                            path.unlink(missing_ok=True)
                except SinkError as error:
                    problem = f"{images}: images and clips stay that are to be deleted: {error}"
                    continue
                base.execute("update media set state = 'deleted' where part = ? and name = ?", (number, name))
                num_deleted += 1
        if len(expired) < FILES_PER_BATCH:
            break
    report(f"deleted in {images}", problem)
    if retention.size is not None:
        report(f"kept in {images}", _kept_text(images, store, retention.size))
    return num_deleted


def _expired(
    base: sqlite3.Connection, retention: Retention, store: EventStore
) -> Iterator[tuple[int, str, str]]:
    """Expired files, oldest first: those too old, then as many as exceed the size limit."""
    unread = unread_parts(store)
    over = 0.0
    # Whose room is taken by images that cannot be deleted is not known: others do not pay for it.
    if retention.size is not None and not unread:
        used = base.execute("select coalesce(sum(bytes), 0) from media where state = 'complete'").fetchone()[
            0
        ]
        over = used - ROOM * retention.size if used > retention.size else 0.0
    oldest = None if retention.seconds is None else store.clock.now() - retention.seconds
    if over <= 0 and oldest is None:
        return
    rows = base.execute(
        "select part, media.name, parts.name, created, bytes from media join parts on parts.id = part"
        f" where state = 'complete' and (part, media.name) not in ({_MARKED}) order by created, media.name"
    )
    for number, name, part, created, size in rows:
        if over <= 0 and (oldest is None or created >= oldest):
            return
        if part not in unread:
            over -= size
            yield number, name, part


def _kept_text(images: Path, store: EventStore, limit: int) -> str:
    """Message about files that are kept, with their size in tenths of the limit."""
    rows = store.read(
        f"select coalesce(sum(bytes), 0) from media where state = 'complete' and (part, name) in ({_MARKED})"
    )
    tenths = min(10, 10 * rows[0][0] // limit)
    if tenths < MIN_TENTHS:
        return ""
    return (
        f"{images}: images and clips that are marked as kept take {10 * tenths} % or more of the "
        f"{in_bytes(limit)} of --keep; all others have the rest, and the oldest of them are deleted: raise "
        "the limit, or keep fewer"
    )


MIN_SPAN = 120.0
"""Minimum seconds for estimating a rate of bytes; a single clip at the start is none."""


@dataclass(frozen=True, slots=True)
class DiskUse:
    """Disk use of the images and clips of a camera.

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


def disk_use(store: EventStore, archive: EventArchive, retention: Retention | None) -> DiskUse | None:
    """Disk use of the images and clips of a camera; None without a folder."""
    images = archive.images
    if images is None or not images.is_dir():
        return None
    now = store.clock.now()
    rows = store.read(
        "select coalesce(sum(bytes), 0), min(created), coalesce(sum(iif(created > ?, bytes, 0)), 0)"
        " from media where state = 'complete'",
        now - _DAY,
    )
    used, first, recent = rows[0]
    # With less than a day, as after the first start, the rate is that of the time that there is.
    span = min(_DAY, max(now - (now if first is None else first), MIN_SPAN))
    per_day = recent * _DAY / span
    limits = (
        []
        if retention is None
        else [retention.size, retention.seconds and per_day * retention.seconds / _DAY]
    )
    limit = min((float(each) for each in limits if each is not None), default=None)
    return DiskUse(used, per_day, shutil.disk_usage(images).free, limit)


def in_bytes(size: float) -> str:
    """Format a size like `--keep`, such as ``1.5 GB``."""
    unit = next((name for name, value in reversed(_SIZES.items()) if size >= value), "MB")
    return f"{size / _SIZES[unit]:.3g} {unit}"


def days_left(uses: Iterable[DiskUse]) -> float | None:
    """Days until the disk of some cameras is full; None if their limits prevent that."""
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
