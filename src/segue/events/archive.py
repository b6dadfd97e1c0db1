"""Files of the events of a camera: its store, the tables of all parts, and their images and clips."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from segue.sinks.rotation import order_of_part, part_names, part_path

NAME = r"\d{5,}-[a-z-]+-\d+\.(?:jpg|mp4)"
"""Names of images and clips: number of the event, its kind, and the id of its object."""

EVENT_FILE = re.compile(NAME)

PENDING = ".pending"
"""Ending of the hidden file of a clip that is not complete: it is empty, or has the packets of its frames."""


def pending_path(clip: Path) -> Path:
    """Path of the hidden file of an incomplete clip."""
    return clip.with_name(f".{clip.name}{PENDING}")


@dataclass(frozen=True, slots=True)
class EventPart:
    """Table of events of a part, and the folder of its images.

    Attributes:
        name: name of a part of `--rotate`; empty for a run without parts.
        table: the file.
        folder: folder of images and clips; None without any.
    """

    name: str
    table: Path
    folder: Path | None

    def file(self, name: str) -> Path | None:
        """Path of an image or clip by its name; None if the part has no images or the name is invalid."""
        return None if self.folder is None or not EVENT_FILE.fullmatch(name) else self.folder / name


@dataclass(frozen=True, slots=True)
class EventArchive:
    """All parts of the events of a camera, with and without ``rotate``.

    Attributes:
        table: file of a run without parts.
        images: folder of images of such a run, with a folder for each part in it; None without images.
        output: folder with a folder for each part, if tables are inside of these.
    """

    table: Path
    images: Path | None
    output: Path | None = None

    @property
    def store(self) -> Path:
        """Path of the store of all parts."""
        return self.table.with_suffix(".db")

    def part(self, name: str) -> EventPart:
        """Part of a name, whether it exists or not.

        Args:
            name: name of a part, or empty.

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
            return EventPart(name, self.table, folder)
        if self.has_folders:
            return EventPart(name, self.table.parent / name / self.table.name, folder)
        return EventPart(name, part_path(self.table, name), folder)

    def parts(self) -> list[EventPart]:
        """Existing parts in order of time, including the unnamed one."""
        return [self.part(name) for name in sorted({"", *self._names()}, key=order_of_part)]

    def part_of(self, table: Path) -> str:
        """Name of the part that a table belongs to."""
        return next((part.name for part in self.parts() if part.table == table), "")

    @property
    def has_folders(self) -> bool:
        """Whether each part has a folder of its own, with its table."""
        return self.table.parent == self.output

    def _names(self) -> Iterator[str]:
        yield from part_names(self.table.parent if self.has_folders else self.table)
        if self.images is not None:
            yield from part_names(self.images)
