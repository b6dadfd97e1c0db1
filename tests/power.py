"""What a power cut leaves: only what was synced, at any moment of a piece of work."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

Entries = dict[str, int]
"""Inodes in a folder by their names."""


@dataclass
class Recorder:
    """The disk below a folder as it would be found after a cut behind each sync.

    The worst that POSIX allows: the content of a file is that of its last ``fsync``, and nothing where there
    was none; the names in a folder are those of its last ``fsync``, whatever was made, renamed or removed
    since. (Files that stay in the same place under SQLite's care are not watched: it syncs them in C.)
    """

    root: Path
    contents: list[dict[int, bytes]] = field(default_factory=list)
    folders: list[dict[int, Entries]] = field(default_factory=list)
    held: list[int] = field(default_factory=list)
    """Descriptors that keep the inodes of removed files from being given out again."""

    def start(self) -> None:
        """Take what is there as synced."""
        files: dict[int, bytes] = {}
        folders: dict[int, Entries] = {}
        for place, _, names in os.walk(self.root):
            folders[Path(place).stat().st_ino] = entries_of(Path(place))
            files.update({(path := Path(place) / name).stat().st_ino: path.read_bytes() for name in names})
        self.contents, self.folders = [files], [folders]

    def synced(self, descriptor: int) -> None:
        status = os.fstat(descriptor)
        files, folders = dict(self.contents[-1]), dict(self.folders[-1])
        path = Path(f"/proc/self/fd/{descriptor}").readlink()
        if not path.is_relative_to(self.root):
            return
        self.held.append(os.dup(descriptor))
        if stat.S_ISDIR(status.st_mode):
            folders[status.st_ino] = entries_of(path)
        else:
            files[status.st_ino] = path.read_bytes()
        self.contents.append(files)
        self.folders.append(folders)

    def __len__(self) -> int:
        return len(self.contents)

    def restore(self, moment: int, target: Path) -> None:
        """Write what a cut behind so many syncs would leave into an empty folder."""
        self._write(self.root.stat().st_ino, moment, target)

    def _write(self, inode: int, moment: int, target: Path) -> None:
        target.mkdir(exist_ok=True)
        for name, inner in self.folders[moment].get(inode, {}).items():
            if inner < 0:
                self._write(-inner, moment, target / name)
            else:
                (target / name).write_bytes(self.contents[moment].get(inner, b""))


def entries_of(folder: Path) -> Entries:
    """Names in a folder with their inodes, which are negative for folders."""
    with os.scandir(folder) as found:
        return {entry.name: entry.inode() * (-1 if entry.is_dir() else 1) for entry in found}


@contextmanager
def recorded(root: Path) -> Iterator[Recorder]:
    """Watch the syncs of this process below a folder while the block runs (Linux)."""
    recorder, fsync = Recorder(root), os.fsync
    recorder.start()

    def syncing(descriptor: int) -> None:
        fsync(descriptor)
        recorder.synced(descriptor)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", syncing)
        yield recorder
    for descriptor in recorder.held:
        os.close(descriptor)
