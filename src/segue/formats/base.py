"""Base classes of sinks and writers; output appears when it is complete."""

from __future__ import annotations

import struct
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from segue.errors import SinkError
from segue.formats.frames import FrameObjects, Size
from segue.types import Frame, Segmentation
from segue.utils.files import PartialFile, writing
from segue.video.decoding.readers import ConnectionChange

if TYPE_CHECKING:
    from typing import Self

_LENGTH = struct.Struct("<Q")


class Sink:
    """Writes results in order of time.

    Used as a context manager it commits at the end, and aborts when an exception passes through.
    """

    def write(self, frame: Frame, segmentation: Segmentation) -> None:
        """Write the result of one frame.

        Args:
            frame: the frame that the result is of.
            segmentation: the result; results come in order of time.

        Raises:
            SinkError: it cannot be written.
        """
        raise NotImplementedError

    def flush(self) -> None:
        """Hand everything written so far to the operating system."""

    def connection(self, change: ConnectionChange) -> None:
        """Report that a live source was lost or is back; no frames come in between.

        Args:
            change: which, when and why.
        """

    def events(self, events: Sequence[Any], objects: Mapping[int, Any]) -> None:
        """Write the events up to the newest frame, after its :meth:`write` or between two frames.

        Args:
            events: new events in order, each a ``segue.events.Event``.
            objects: the objects of the newest frame, each as an event there.

        Raises:
            SinkError: they cannot be written.
        """

    def close(self) -> None:
        """Complete the output and give it its final name.

        Raises:
            SinkError: it cannot be completed; then nothing appears under the final name.
        """

    def suspend(self) -> None:
        """Complete the output for now, so that a later run can continue it."""
        self.close()

    def abort(self) -> None:
        """Remove incomplete output; keep what a later run can continue."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self.close()
        else:
            self.abort()


class Writer(Sink):
    """Writes the objects of frames in a format."""

    _size: Size = None
    """Height and width of the masks of results; None keeps the size of each."""

    _whole_masks = False
    """Whether to write whole masks, including hidden parts; else only visible parts."""

    def add(self, objects: FrameObjects) -> None:
        """Write the objects of a frame; frames come in order.

        Args:
            objects: the objects.

        Raises:
            SinkError: they cannot be written.
        """
        raise NotImplementedError

    def write(self, frame: Frame, segmentation: Segmentation) -> None:
        self.add(FrameObjects.of_result(segmentation, frame, self._size, whole=self._whole_masks))


class FileSink(Writer):
    """A writer of one file, under a hidden name until it is complete."""

    def __init__(self, path: str | Path, size: Size = None) -> None:
        self._size = size
        self._file = PartialFile(Path(path))
        self._file.prepare()

    def close(self) -> None:
        try:
            with writing(self._file.final):
                self._complete()
            self._file.commit()
        finally:
            self.abort()

    def abort(self) -> None:
        self._release()
        self._file.discard()

    def _complete(self) -> None:
        """Write the rest of the file."""
        raise NotImplementedError

    def _release(self) -> None:
        """Close open files; may be called more than once."""


class TextSink(FileSink):
    """A writer of one text file.

    Attributes:
        stream: the text, UTF-8.
    """

    def __init__(self, path: str | Path, *, size: Size = None) -> None:
        super().__init__(path, size)
        self.stream = self._file.path.open("w", encoding="utf-8")

    def _complete(self) -> None:
        self.stream.close()

    def _release(self) -> None:
        self.stream.close()


class SpooledSink(FileSink):
    """A sink that keeps results in a temporary file, so that memory does not grow with the video."""

    def __init__(self, path: str | Path, size: Size) -> None:
        path = Path(path)
        super().__init__(path, size)
        try:
            with writing(path):
                # Nameless: it is gone when the process is, however that ends.
                self._spool = tempfile.TemporaryFile(dir=path.parent)  # noqa: SIM115
        except SinkError:
            self._file.discard()
            raise

    def _append_entry(self, entry: bytes) -> None:
        with writing(self._file.final):
            self._spool.write(_LENGTH.pack(len(entry)) + entry)

    def _entries(self) -> Iterator[bytes]:
        """Iterate over all items in order; none may be added meanwhile."""
        self._spool.seek(0)
        while header := self._spool.read(_LENGTH.size):
            yield self._spool.read(_LENGTH.unpack(header)[0])

    def _release(self) -> None:
        with suppress(OSError):  # nobody reads it any more
            self._spool.close()
