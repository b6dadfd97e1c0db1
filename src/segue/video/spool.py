"""Results that wait on disk until a file can be written as a whole."""

from __future__ import annotations

import struct
import tempfile
from collections.abc import Iterator
from pathlib import Path

from segue.video.partial import writing

_LENGTH = struct.Struct("<Q")


class Spool:
    """A list of byte strings in a nameless file beside the output: memory stays flat for long videos.

    Args:
        beside: the output file.

    Raises:
        SinkError: the file cannot be written.
    """

    def __init__(self, beside: Path) -> None:
        self._beside = beside
        with writing(beside):
            # Nameless: it is gone when the process is, however that ends.
            self._file = tempfile.TemporaryFile(dir=beside.parent)  # noqa: SIM115

    def append(self, data: bytes) -> None:
        """Add one entry."""
        with writing(self._beside):
            self._file.write(_LENGTH.pack(len(data)))
            self._file.write(data)

    def __iter__(self) -> Iterator[bytes]:
        """Entries in order; nothing may be appended meanwhile."""
        with writing(self._beside):
            self._file.flush()
        self._file.seek(0)
        while header := self._file.read(_LENGTH.size):
            yield self._file.read(_LENGTH.unpack(header)[0])

    def close(self) -> None:
        """Remove the file."""
        with writing(self._beside):
            self._file.close()
