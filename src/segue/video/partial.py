"""Output files that appear under their final name only when they are complete."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from segue.errors import SinkError

_REASONS = {
    errno.ENOSPC: "the disk is full; free some space",
    errno.EDQUOT: "the disk quota is used up; free some space",
    errno.EACCES: "no permission to write there",
    errno.EPERM: "no permission to write there",
    errno.EROFS: "the file system is read-only",
    errno.EFBIG: "the file would be too large for this file system",
    errno.ENOTDIR: "a part of the path is a file, not a folder",
}


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn errors of the system into a SinkError that names ``path``.

    Raises:
        SinkError: in place of any OSError inside the block.
    """
    try:
        yield
    except OSError as error:
        reason = _REASONS.get(error.errno or 0) or error.strerror or str(error)
        raise SinkError(f"{path}: cannot be written ({reason})") from error


class PartialFile:
    """Path to write to in place of ``final``; renamed by :meth:`commit`, removed by :meth:`discard`."""

    def __init__(self, final: Path) -> None:
        self.final = final
        self.path = final.with_name(final.name + ".partial")

    def prepare(self) -> None:
        """Make the folder and see that the file can be written, before any work is spent on it.

        Raises:
            SinkError: it cannot be written there.
        """
        with writing(self.final):
            self.final.parent.mkdir(parents=True, exist_ok=True)
            self.path.open("wb").close()

    def commit(self) -> None:
        """Give the file its final name.

        Raises:
            SinkError: it cannot be renamed.
        """
        with writing(self.final):
            self.path.replace(self.final)

    def discard(self) -> None:
        """Remove the file if it is there."""
        with suppress(OSError):
            self.path.unlink()


def write_complete(path: Path, data: bytes) -> None:
    """Write a whole file in one step: afterwards it is there with all of ``data``, or as it was before.

    Raises:
        SinkError: it cannot be written.
    """
    partial = PartialFile(path)
    try:
        with writing(path):
            partial.path.write_bytes(data)
        partial.commit()
    except SinkError:
        partial.discard()
        raise
