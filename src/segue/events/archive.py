"""The archive of a camera: its events in all their parts, with images, clips, marks, and the bytes of all."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from segue.events.marks import EVENT_FILE, Marks
from segue.events.retention import (
    DELETED,
    LOST,
    DeletionJournal,
    DiskUse,
    Report,
    Retention,
    delete_expired,
    disk_use,
    note_deleted,
    warn_once,
)
from segue.sinks.rotation import order_of_part, part_names, part_path

PENDING = ".pending"
"""Ending of the hidden file of a clip that is not complete: it is empty, or has the packets of its frames."""

FileState = Literal["", "complete", "pending", "lost", "deleted"]
"""What there is of the image or clip of an event; nothing where a run has none."""


def pending_path(clip: Path) -> Path:
    """The hidden file of a clip that is not complete."""
    return clip.with_name(f".{clip.name}{PENDING}")


@dataclass(frozen=True, slots=True)
class ArchivePart:
    """A table of events, and the folder of its images.

    Attributes:
        name: that of a part as of `--rotate`; empty for what a run without parts writes.
        table: the file.
        folder: where images, clips and marks are; None where a run has none.
    """

    name: str
    table: Path
    folder: Path | None

    def marks(self) -> Marks | None:
        """What people have noted of its events; None without images. Raises MarksError."""
        return None if self.folder is None else Marks(self.folder)

    def file(self, name: str) -> Path | None:
        """Where an image or a clip of this name is, if it is there; None where there can be none."""
        return None if self.folder is None or not EVENT_FILE.fullmatch(name) else self.folder / name

    def state_of(self, name: str) -> FileState:
        """What there is of the image or clip that a row of the table names."""
        if name in (DELETED, LOST):
            return "deleted" if name == DELETED else "lost"
        path = self.file(name)
        if path is None:
            return ""
        if path.exists():
            return "complete"
        return "pending" if pending_path(path).exists() else "lost"

    def note_deleted(self) -> None:
        """Let a table that nobody writes say what is gone, if that is due; raises SinkError or OSError."""
        if self.folder is None:
            return
        journal = DeletionJournal(self.folder)
        if journal.needs_update(self.table):
            words = journal.words()
            if self.table.exists():
                note_deleted(self.table, words)
            journal.remove(words)


@dataclass(frozen=True, slots=True)
class EventArchive:
    """All parts of the events of a camera, whether its runs had ``rotate`` or not.

    Attributes:
        table: file of a run without parts.
        images: folder of images of such a run, with a folder for each part in it; None without images.
        output: folder in which each part has a folder, where the table stands in it.
    """

    table: Path
    images: Path | None
    output: Path | None = None

    def part(self, name: str) -> ArchivePart:
        """The part of a name, whether it is there or not.

        Args:
            name: that of a part, or nothing.

        Returns:
            Its places.

        Raises:
            ValueError: there can be no part of this name.
        """
        if name and not order_of_part(name)[0]:
            raise ValueError(f"{name}: is no name of a part")
        images = self.images
        folder = images if images is None or not name else part_path(images, name)
        if not name:
            return ArchivePart(name, self.table, folder)
        if self._has_folders:
            return ArchivePart(name, self.table.parent / name / self.table.name, folder)
        return ArchivePart(name, part_path(self.table, name), folder)

    def parts(self) -> list[ArchivePart]:
        """All parts of which there is a table or a folder, in order of time, and the one without a name."""
        return [self.part(name) for name in sorted({"", *self._names()}, key=order_of_part)]

    def folders(self) -> list[Path]:
        """The folders of images of all parts."""
        return [part.folder for part in self.parts() if part.folder is not None]

    def tables(self) -> list[Path]:
        """The tables of all parts, in order of time."""
        return [part.table for part in self.parts()]

    def disk_use(self, retention: Retention | None) -> DiskUse | None:
        """What its images and clips take; None where there are none yet."""
        return disk_use(self.folders(), retention)

    def delete_expired(self, retention: Retention, *further: Path, report: Report = warn_once) -> None:
        """Delete images and clips that are not to be kept, of all parts and of further folders."""
        delete_expired([*further, *self.folders()], retention, report=report)

    @property
    def _has_folders(self) -> bool:
        return self.table.parent == self.output

    def _names(self) -> Iterator[str]:
        yield from part_names(self.table.parent if self._has_folders else self.table)
        if self.images is not None:
            yield from part_names(self.images)
