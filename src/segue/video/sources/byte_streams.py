"""Byte streams of live sources: HTTP answers that may be endless and no video, and growing files."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import av

from segue.errors import SourceError
from segue.utils.cancel import CancelToken

MAX_BYTES_OF_FRAME = 32 << 20
"""Bytes without a frame after which an answer is no video; a JPEG of 8K has some 10 MB."""

_READ_BYTES = 1 << 16

_GROWS_SECONDS = 0.1
"""Seconds between two checks of a growing file."""


class BoundedAnswer:
    """Reads an answer through FFmpeg's connection; fails if no frame follows from the bytes read.

    FFmpeg itself reads without limit while it searches for the end of an image.

    Args:
        address: HTTP address.
        where: its name in errors.
        options: options of FFmpeg for the connection.
        timeout: maximum seconds without an answer, and until the first frame.
    """

    def __init__(self, address: str, where: str, options: dict[str, str], timeout: float) -> None:
        self._where = where
        self._deadline: float | None = time.monotonic() + timeout
        options = {**options, "raw_packet_size": str(_READ_BYTES)}
        self._container = av.open(address, format="data", container_options=options, timeout=timeout)
        self._parts: Iterator[Any] = cast(Any, self._container).demux()
        self._unread = b""
        self._bytes = 0

    def __enter__(self) -> BoundedAnswer:
        return self

    def __exit__(self, *_: object) -> None:
        self._container.close()

    def count_frame(self) -> None:
        """Note that a frame was decoded."""
        self._deadline, self._bytes = None, 0

    def read(self, size: int = -1, /) -> bytes:
        """Read at most ``size`` bytes; none at the end."""
        if not self._unread:
            self._unread = self._next()
        size = len(self._unread) if size < 0 else size
        data, self._unread = self._unread[:size], self._unread[size:]
        return data

    def _next(self) -> bytes:
        late = self._deadline is not None and time.monotonic() > self._deadline
        if late or self._bytes > MAX_BYTES_OF_FRAME:
            raise SourceError(f"{self._where}: answers with no video, stream or image that FFmpeg can read")
        data = bytes(next(self._parts, b""))
        self._bytes += len(data)
        return data


class GrowingFile:
    """A file that is still being written: reads wait at its end until it is replaced.

    Args:
        path: the file.
        where: its name in errors.
        stopped: ends the wait.

    Attributes:
        is_current: whether it was read to its end, so that further data are new.
    """

    def __init__(self, path: Path, where: str, stopped: CancelToken) -> None:
        self._path, self._stopped = path, stopped
        self.is_current = False
        try:
            self._file = path.open("rb")
        except OSError as error:
            raise SourceError(f"{where}: cannot be opened ({error.strerror})") from error

    def __enter__(self) -> GrowingFile:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def read(self, size: int = -1, /) -> bytes:
        """Read the next bytes; none if the file was replaced or reading is stopped."""
        while not self._stopped.cancelled:
            if data := self._file.read(size):
                return data
            if self._was_replaced():
                break
            self.is_current = True
            self._stopped.wait(_GROWS_SECONDS)
        return b""

    def _was_replaced(self) -> bool:
        """Whether the file was truncated or replaced."""
        about = os.fstat(self._file.fileno())
        try:
            now = self._path.stat()
        except OSError:  # removed
            return True
        return (now.st_dev, now.st_ino) != (about.st_dev, about.st_ino) or now.st_size < self._file.tell()
