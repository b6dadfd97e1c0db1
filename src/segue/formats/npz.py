"""Masks of a run in one NumPy archive."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from segue.entries.formats import Format, Holds
from segue.errors import DatasetError
from segue.formats.base import SpooledSink
from segue.formats.files import Files
from segue.formats.frames import FrameObjects, Size, known_size
from segue.formats.labels import Frames, check_images
from segue.masks import encode_objects, measure
from segue.utils.inputs import check_file


class NpzSink(SpooledSink):
    """Writes ``masks`` (T, H, W), ``frames`` (T,), ``times`` (T,) and ``ids`` (K,) for :func:`numpy.load`.

    ``masks`` is uint8, or uint16 if an id is beyond 255; ``frames`` are indices in the source, int64;
    ``times`` are seconds, float64; ``ids`` are all ids that were followed, sorted. The masks wait compressed
    on disk, never all of them in memory.

    Args:
        path: file to write, ending in ``.npz``.
        size: height and width of the masks; None keeps the size of the first one.
    """

    def __init__(self, path: str | Path, *, size: Size = None) -> None:
        super().__init__(path, size)
        self._frames: list[int] = []
        self._times: list[float] = []
        self._ids: set[int] = set()
        self._dtype: npt.DTypeLike = np.uint8

    def add(self, objects: FrameObjects) -> None:
        mask = objects.mask.astype("<u2")
        self._size = mask.shape
        if mask.max(initial=0) > 255:
            self._dtype = np.uint16
        self._append_entry(zlib.compress(mask.tobytes(), 1))
        self._frames.append(objects.index)
        self._times.append(objects.time)
        self._ids.update(objects.ids)

    def _complete(self) -> None:
        header: dict[str, Any] = {
            "shape": (len(self._frames), *(known_size(self._size) or (0, 0))),
            "fortran_order": False,
            "descr": np.lib.format.dtype_to_descr(np.dtype(self._dtype)),
        }
        arrays = {
            "frames": np.array(self._frames, np.int64),
            "times": np.array(self._times, np.float64),
            "ids": np.array(sorted(self._ids), np.int64),
        }
        with zipfile.ZipFile(self._file.path, "w", zipfile.ZIP_DEFLATED) as archive:
            with archive.open(_member("masks"), "w", force_zip64=True) as stream:
                np.lib.format.write_array_header_1_0(stream, header)
                for data in self._entries():
                    mask = np.frombuffer(zlib.decompress(data), "<u2")
                    stream.write(mask.astype(self._dtype).tobytes())
            for name, values in arrays.items():
                with archive.open(_member(name), "w") as stream:
                    np.lib.format.write_array(stream, values, allow_pickle=False)


def _member(name: str) -> zipfile.ZipInfo:
    """Archive member without a time, so that equal results are equal files."""
    info = zipfile.ZipInfo(f"{name}.npy")
    info.compress_type = zipfile.ZIP_DEFLATED
    return info


def _read(files: Files, video: Frames) -> Iterator[FrameObjects]:
    """Read the masks of an archive frame by frame."""
    check_file(files.path, DatasetError)
    with zipfile.ZipFile(files.path) as archive, archive.open("masks.npy") as stream:
        (count, *size), kind = _head_of(stream)
        if tuple(size) != video.size:
            height, width = (*size, 0, 0)[:2]
            raise DatasetError(f"its masks are {width}x{height}, the video {video.size[1]}x{video.size[0]}")
        check_images(count, video)
        indices = _indices(archive, count)
        length = int(np.prod(size)) * kind.itemsize
        for index in indices:
            mask = np.frombuffer(stream.read(length), kind).reshape(video.size)
            if not 0 <= index < video.count:
                raise DatasetError(f"has a mask of frame {index}, but the video has {video.count}")
            numbers = sorted(measure(mask))
            yield FrameObjects(index, encode_objects(mask, numbers), video.size)


def _head_of(stream: IO[bytes]) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Read shape and type of an array of ids."""
    version = np.lib.format.read_magic(stream)
    if version != (1, 0):
        raise DatasetError(f"version {version} of numpy's format; save its masks anew")
    shape, fortran, kind = np.lib.format.read_array_header_1_0(stream)
    if len(shape) != 3 or fortran or kind not in (np.dtype("<u1"), np.dtype("<u2")):
        raise DatasetError("its masks are not (frames, height, width) of uint8 or uint16")
    return shape, kind


def _indices(archive: zipfile.ZipFile, count: int) -> list[int]:
    """Frame index of each mask."""
    with archive.open("frames.npy") as stream:
        version = np.lib.format.read_magic(stream)
        if version != (1, 0):
            raise DatasetError(f"version {version} of numpy's format; save its frames anew")
        shape, _, kind = np.lib.format.read_array_header_1_0(stream)
        if shape != (count,) or kind != np.dtype("<i8"):
            raise DatasetError(f"has {count} masks, but not as many frames")
        return [int(index) for index in np.frombuffer(stream.read(8 * count), kind)]


def _sniff(files: Files) -> float:
    return 1.0 if files.is_file and files.path.suffix.lower() == ".npz" else 0.0


ENTRIES = (
    Format(
        "npz",
        "masks.npz",
        lambda path, run: NpzSink(path, size=run.source_size),
        holds=Holds(masks="visible", max_id=65535, empty=True),
        sniff=_sniff,
        read=_read,
        endings=(".npz",),
        title="numpy archive",
        about="all masks, ids and times",
    ),
)
