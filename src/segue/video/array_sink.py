"""Masks as a numpy archive, and results that wait on disk until a file can be written as a whole."""

from __future__ import annotations

import struct
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from segue.types import Frame, Segmentation
from segue.video.partial import writing
from segue.video.sinks import FileSink, sized_mask

_LENGTH = struct.Struct("<Q")


class Spool:
    """A list of byte strings in a nameless file beside the output: memory stays flat for long videos."""

    def __init__(self, beside: Path) -> None:
        self._beside = beside
        with writing(beside):
            # Nameless: it is gone when the process is, however that ends.
            self._file = tempfile.TemporaryFile(dir=beside.parent)  # noqa: SIM115

    def append(self, data: bytes) -> None:
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
        with suppress(OSError):  # nobody reads it any more
            self._file.close()


class NpzSink(FileSink):
    """Writes ``masks`` (T, H, W), ``frames`` (T,), ``times`` (T,) and ``ids`` (K,) for :func:`numpy.load`.

    ``masks`` is uint8, or uint16 if an id is beyond 255; ``frames`` are indices in the source, int64;
    ``times`` are seconds, float64; ``ids`` are all ids that were followed, sorted. The masks wait compressed
    on disk, never all of them in memory.

    Args:
        path: file to write, ending in ``.npz``.
        size: height and width of the masks; None keeps that of the first one.
    """

    def __init__(self, path: Path, *, size: tuple[int, int] | None = None) -> None:
        super().__init__(path, size)
        self._frames: list[int] = []
        self._times: list[float] = []
        self._ids: set[int] = set()
        self._dtype: npt.DTypeLike = np.uint8
        self._spool = Spool(path)

    def write(self, frame: Frame, segmentation: Segmentation) -> None:
        mask = sized_mask(segmentation, self._size).astype("<u2")
        self._size = mask.shape
        if mask.max(initial=0) > 255:
            self._dtype = np.uint16
        self._spool.append(zlib.compress(mask.tobytes(), 1))
        self._frames.append(segmentation.index)
        self._times.append(segmentation.time)
        self._ids.update(segmentation.ids)

    def _complete(self) -> None:
        with zipfile.ZipFile(self._file.path, "w", zipfile.ZIP_DEFLATED) as archive:
            self._write_masks(archive)
            _write_array(archive, "frames", np.array(self._frames, np.int64))
            _write_array(archive, "times", np.array(self._times, np.float64))
            _write_array(archive, "ids", np.array(sorted(self._ids), np.int64))

    def _release(self) -> None:
        self._spool.close()

    def _write_masks(self, archive: zipfile.ZipFile) -> None:
        shape = (len(self._frames), *(self._size or (0, 0)))
        header: dict[str, Any] = {
            "shape": shape,
            "fortran_order": False,
            "descr": np.lib.format.dtype_to_descr(np.dtype(self._dtype)),
        }
        with archive.open(_member("masks"), "w", force_zip64=True) as stream:
            np.lib.format.write_array_header_1_0(stream, header)
            for data in self._spool:
                mask = np.frombuffer(zlib.decompress(data), "<u2")
                stream.write(mask.astype(self._dtype).tobytes())


def _write_array(archive: zipfile.ZipFile, name: str, values: npt.NDArray[Any]) -> None:
    with archive.open(_member(name), "w") as stream:
        np.lib.format.write_array(stream, values, allow_pickle=False)


def _member(name: str) -> zipfile.ZipInfo:
    """An archive member without the time of writing, so that equal results are equal files."""
    info = zipfile.ZipInfo(f"{name}.npy")
    info.compress_type = zipfile.ZIP_DEFLATED
    return info
