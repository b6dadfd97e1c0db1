"""Folders that get their final names when they are complete."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from segue.errors import SinkError
from segue.formats.base import Writer
from segue.utils.files import PartialFile, make_folder, writing
from segue.utils.naming import first_few
from segue.utils.system import rename, sync_folder, sync_tree

MARK_FILE = ".segue.folder"
"""Marker file in the folder of a run; a later run may replace a folder with it."""

DATA_SETS, ANNOTATION_TOOLS, VIDEOS = "Data sets", "Annotation tools", "Videos"
"""Groups of formats on the page."""


@contextmanager
def complete_folder(final: Path) -> Iterator[Path]:
    """Create a folder under a hidden name with a token, and rename it when it is complete."""
    path = PartialFile(final).path
    try:
        with writing(final):
            path.mkdir(parents=True)
            yield path
            sync_tree(path)
            rename(path, final)
            sync_folder(final.parent)
    finally:
        shutil.rmtree(path, ignore_errors=True)


class FolderWriter(Writer):
    """Writes a folder; when complete, it replaces an earlier one of segue.

    Args:
        folder: the folder.
        own_files: pattern of the files in it, by their paths; others are never removed.
        marks: whether ``MARK_FILE`` says that segue wrote it, so that a later run may replace it;
            else ``was_written_by_segue``.
        was_written_by_segue: whether segue wrote a folder.
    """

    def __init__(
        self,
        folder: str | Path,
        own_files: str,
        *,
        marks: bool = True,
        was_written_by_segue: Callable[[Path], bool] = lambda folder: (folder / MARK_FILE).is_file(),
    ) -> None:
        self._folder = Path(folder)
        self._own_file = re.compile(rf"(?:{own_files})|{re.escape(MARK_FILE)}")
        self._marks, self._was_written_by_segue = marks, was_written_by_segue
        self._partial = PartialFile(self._folder).path
        self._old = self._folder.with_name(f".{self._folder.name}.segue.old")
        with writing(self._folder):
            self._finish_replacement()
            self._refuse_other_files()
            make_folder(self._partial)

    def subfolder(self, *parts: str) -> Path:
        """Create a folder below the written one.

        Args:
            parts: its path, one name each.

        Returns:
            The folder, which may exist.

        Raises:
            SinkError: it cannot be created.
        """
        folder = self._partial.joinpath(*parts)
        with writing(self._folder):
            make_folder(folder)
        return folder

    def put(self, path: Path, data: bytes) -> None:
        """Write a file of the folder.

        Args:
            path: path of the file, as from :meth:`subfolder`.
            data: its bytes.

        Raises:
            SinkError: it cannot be written.
        """
        with writing(self._folder):
            path.write_bytes(data)

    def _complete(self) -> None:
        """Write the rest of the folder."""

    def close(self) -> None:
        try:
            with writing(self._folder):
                self._complete()
                if self._marks:
                    (self._partial / MARK_FILE).touch()
                sync_tree(self._partial)
                self._refuse_other_files()  # a person may have added some meanwhile
                self._replace()
        finally:
            self.abort()

    def abort(self) -> None:
        shutil.rmtree(self._partial, ignore_errors=True)

    def _replace(self) -> None:
        """Rename the new folder to its name, then remove the previous one."""
        if self._folder.exists():
            rename(self._folder, self._old)
        try:
            rename(self._partial, self._folder)
        finally:
            self._finish_replacement()
        sync_folder(self._folder.parent)

    def _finish_replacement(self) -> None:
        """Finish or undo an interrupted replacement."""
        if self._old.exists() and not self._folder.exists():
            rename(self._old, self._folder)
        shutil.rmtree(self._old, ignore_errors=True)

    def _refuse_other_files(self) -> None:
        """Raise an error if replacing would remove files of others, such as a manual split."""
        if not self._folder.exists():
            return
        if not self._was_written_by_segue(self._folder):
            raise SinkError(f"{self._folder}: is no folder that segue wrote; choose another folder")
        files = (path.relative_to(self._folder) for path in self._folder.rglob("*") if not path.is_dir())
        other = sorted(path.as_posix() for path in files if not self._own_file.fullmatch(path.as_posix()))
        if other:
            raise SinkError(
                f"{self._folder}: holds {first_few(other)}, which segue did not write and --overwrite would "
                "remove; move the folder, or choose another one"
            )
