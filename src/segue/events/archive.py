"""The events of a camera in all their parts: tables, and folders of images, clips and marks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from segue.sinks.rotation import order_of_part, part_names, part_path


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

    @property
    def _has_folders(self) -> bool:
        return self.table.parent == self.output

    def _names(self) -> Iterator[str]:
        yield from part_names(self.table.parent if self._has_folders else self.table)
        if self.images is not None:
            yield from part_names(self.images)
