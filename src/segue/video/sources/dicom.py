"""DICOM files as a source, read by pydicom: recordings, and series of single images."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from segue.errors import MissingExtraError, SourceError
from segue.masks.files import check_pixels
from segue.types import Image
from segue.utils.cancel import CancelToken
from segue.utils.extras import requires_extra
from segue.utils.inputs import first_line
from segue.utils.naming import natural_key
from segue.video.decoding.damage import DamageError
from segue.video.decoding.levels import SAMPLES, LevelKind, Range
from segue.video.decoding.readers import DEFAULT_FPS, Reader, SourceImage, as_rgb

DICOM_SUFFIXES = frozenset({".dcm", ".dicom"})

_MAGIC_AT, _MAGIC = 128, b"DICM"
_MAX_FRAMES = 1_000_000


def is_dicom(path: Path) -> bool:
    """Whether a file has the DICOM signature; its name does not matter."""
    try:
        with path.open("rb") as file:
            file.seek(_MAGIC_AT)
            return file.read(len(_MAGIC)) == _MAGIC
    except OSError:
        return False


class DicomReader(Reader):
    """Reads the frames of a DICOM file, or of a series in order of instance numbers.

    Args:
        files: files of one series.
        name: short name.
        where: file or folder, for messages.
        fps: frames a second where the files have no clock.
    """

    def __init__(self, files: Sequence[Path], name: str, where: str, fps: float | None) -> None:
        self.name, self.where = name, where
        headers = sorted(
            map(_header, files), key=lambda each: (_instance(each[1]), natural_key(each[0].name))
        )
        self.files = tuple(path for path, _ in headers)
        self._frames = [(path, i) for path, header in headers for i in range(_count(header, where))]
        first = headers[0][1]
        self.size = int(first.Rows), int(first.Columns)
        self.total = len(self._frames)
        self.fps = _rate(first) or fps or DEFAULT_FPS
        self._is_inverted = str(first.get("PhotometricInterpretation", "")) == "MONOCHROME1"
        samples = [self._values(index) for index in range(0, self.total, max(1, -(-self.total // SAMPLES)))]
        self._range = None if samples[0].dtype == np.uint8 else Range.of(samples)
        self.bits = 8 if self._range is None else 16
        stems = tuple(path.stem for path in self.files)
        self.names = stems if len(files) == self.total == len(set(stems)) > 1 else None

    @property
    def count(self) -> int:
        return len(self._frames)

    def images(self, start: int | float = 0) -> Iterator[SourceImage]:
        for index in range(start if isinstance(start, int) else 0, self.count):
            yield self._image(index)

    def load(self, index: int, cancel: CancelToken | None = None) -> SourceImage:
        self._check(index)
        return self._image(index)

    def _image(self, index: int) -> SourceImage:
        deep = None if self._range is None else partial(self._levels, index, np.uint16)
        return SourceImage(index, index / (self.fps or DEFAULT_FPS), partial(self._rgb, index), deep)

    def _rgb(self, index: int) -> Image:
        return as_rgb(self._levels(index, np.uint8), self.where)

    def _levels(self, index: int, kind: type[LevelKind]) -> npt.NDArray[LevelKind]:
        """Levels of a frame, RGB, (H, W, 3)."""
        values = self._values(index)
        levels = values if self._range is None else self._range.to_levels(values, kind)
        levels = np.invert(levels) if self._is_inverted else levels
        return levels if levels.ndim == 3 else np.repeat(levels[..., None], 3, 2)

    def _values(self, index: int) -> npt.NDArray[Any]:
        """Stored values of a frame, (H, W) or RGB (H, W, 3)."""
        from pydicom.pixels.utils import pixel_array

        path, number = self._frames[index]
        try:
            with _decoding(path):
                values: npt.NDArray[Any] = pixel_array(path, index=number)
        except SourceError as error:
            raise DamageError(f"{self.where}: frame {index} cannot be decoded ({error})") from error
        return values


@contextmanager
def _decoding(path: Path) -> Iterator[None]:
    """Convert errors of pydicom inside the block to SourceError."""
    try:
        yield
    except MissingExtraError:
        raise
    except Exception as error:  # pydicom raises many kinds for damaged files and missing decoders
        raise SourceError(f"{path}: a DICOM file that cannot be read ({first_line(error)})") from error


def _header(path: Path) -> tuple[Path, Any]:
    """Open a file and read its header, without pixels."""
    with requires_extra("dicom"):
        import pydicom
    with _decoding(path):
        header = pydicom.dcmread(path, stop_before_pixels=True)
        check_pixels(int(header.Rows), int(header.Columns), str(path))
    return path, header


def _instance(header: Any) -> int:
    return int(header.get("InstanceNumber") or 0)


def _count(header: Any, where: str) -> int:
    count = int(header.get("NumberOfFrames") or 1)
    if not 0 < count <= _MAX_FRAMES:
        raise SourceError(f"{where}: claims {count} frames; at most {_MAX_FRAMES} are read")
    return count


def _rate(header: Any) -> float | None:
    """Frame rate according to the file."""
    milliseconds = float(header.get("FrameTime") or 0)
    rate = 1000 / milliseconds if milliseconds > 0 else float(header.get("CineRate") or 0)
    return rate if 0 < rate < 1000 else None
