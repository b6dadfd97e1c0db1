"""Read optical flow from Middlebury ``.flo`` files, KITTI's 16-bit PNG and flow images.

A ``.flo`` file is the number 202021.25 (float32), width and height (int32) and for each pixel its motion to
the right and down (float32, little-endian); what is not known is larger than 1e9. KITTI's PNG has three
channels of 16 bits: (u, v) * 64 + 2^15, and whether the pixel is known. A flow image is a PNG of three
channels of 8 bits as in HOFAM's composites: lengths of the flow to three earlier frames, the largest distance
in red, black where nothing moves. The first two are lengths in pixels of the file's own size, and are counted
in pixels of a 256 x 256 image, the size of the training.
"""

from __future__ import annotations

import struct
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from segue.errors import FlowError
from segue.flow.providers import SCALE, SIDE, Flow, lengths
from segue.types import Image
from segue.utils.inputs import check_file, user_path
from segue.utils.naming import natural_key

SUFFIXES = frozenset({".flo", ".png"})
MAX_PIXELS = 2**26  # a flow file of more pixels is refused before anything is made room for

_MAGIC = struct.pack("<f", 202021.25)
_FLO_HEADER = 12
_PNG_MAGIC = b"\x89PNG\r\n\x1a\n"
_PNG_HEADER = 26
_COLOURS = 2  # colour type of a PNG with three channels
_UNKNOWN = 1e9
_WHITE = 250


def read_flow(path: str | Path) -> Flow:
    """Read optical flow from a file.

    Args:
        path: ``.flo`` file of Middlebury or PNG of KITTI, of at most 2^26 pixels.

    Returns:
        Motion in pixels, right and down, (H, W, 2), float32; 0 where the file does not know it.

    Raises:
        FlowError: it cannot be read, or is something else.
    """
    values = _values(user_path(path))
    if values.dtype == np.uint8:
        raise FlowError(f"{path}: a flow image, where flow itself is needed")
    return _flow(values)


def read_flow_image(path: str | Path) -> Image:
    """Read the flow image for networks such as HOFAM.

    Args:
        path: a flow image as :class:`FlowImages` makes it, or one flow as :func:`read_flow` reads it.

    Returns:
        Lengths of flow, uint8: (H, W, 3) as stored in a flow image, or (H, W, 1) of one flow, where 255 is 20
        pixels or more of an image of 256 x 256.

    Raises:
        FlowError: it cannot be read, or shows flow by a colour wheel, which does not tell lengths in pixels.
    """
    values = _values(user_path(path))
    if values.dtype == np.uint8:
        if float((values >= _WHITE).all(axis=2).mean()) > 0.5:
            raise FlowError(
                f"{path}: white where nothing moves, as the colour wheel paints flow; its lengths are not in "
                "pixels. Give .flo files, PNG of KITTI, or images of lengths, black where nothing moves"
            )
        return np.asarray(values, np.uint8)
    flow = _flow(values)
    height, width = flow.shape[:2]
    return lengths(flow * np.array((SIDE / width, SIDE / height), np.float32), SCALE)[..., None]


def _flow(values: npt.NDArray[np.number]) -> Flow:
    """Flow from the content of a file: Middlebury's, or KITTI's 16 bits."""
    if values.dtype == np.uint16:
        flow: Flow = (values[..., :2].astype(np.float32) - np.float32(2**15)) / np.float32(64)
        flow[values[..., 2] == 0] = 0
    else:
        flow = values.astype(np.float32)
    flow[~np.isfinite(flow).all(axis=2) | (np.abs(flow) > _UNKNOWN).any(axis=2)] = 0
    return flow


class FlowFiles:
    """Flow images of a video from files, one per frame, in natural order of their names.

    Flow images lie in ``folder`` itself, and so does flow to a single earlier frame. Flow to several earlier
    frames lies in subfolders named after the gaps: ``1``, ``3`` and ``5``. The first frames, which have no
    frame at that distance, may lack a file if all others have one; they then have no motion.

    Args:
        folder: folder of the files.
        gaps: growing distances of the earlier frames, in frames.
        frames: number of frames of the video; None does not check it.

    Raises:
        FlowError: there are no such files, or not as many as frames.
    """

    def __init__(self, folder: str | Path, gaps: tuple[int, ...], frames: int | None = None) -> None:
        folder = user_path(folder)
        inner = {gap: folder / str(gap) for gap in gaps}
        self._gaps = gaps
        self._has_subfolders = any(place.is_dir() for place in inner.values())
        places = inner if self._has_subfolders else {gaps[0]: folder}
        self._files = {gap: _files_in(place, gap, frames) for gap, place in places.items()}

    def __call__(self, index: int) -> Image:
        """Flow image of the frame with this index in the video, (H, W, number of gaps), uint8."""
        if not self._has_subfolders:
            image, path = self._read(self._gaps[0], index)
            if image.shape[2] < len(self._gaps):
                names = ", ".join(map(str, self._gaps))
                raise FlowError(
                    f"{path}: one flow, but the network looks at {len(self._gaps)}: give the folders {names} "
                    f"in {path.parent}, with the flow of each frame to the one so many frames before it"
                )
            return image[..., : len(self._gaps)]
        channels = []
        for gap in reversed(self._gaps):
            image, path = self._read(gap, index)
            if image.shape[2] > 1:
                raise FlowError(
                    f"{path}: a flow image; in folders by distance lie .flo files or PNG of KITTI"
                )
            channels.append(image)
        if len({channel.shape for channel in channels}) > 1:
            raise FlowError(f"frame {index}: the flow files of its gaps differ in size")
        return np.concatenate(channels, axis=2)

    def _read(self, gap: int, index: int) -> tuple[Image, Path]:
        files, late = self._files[gap]
        place = max(index - late, 0)
        if place >= len(files):
            raise FlowError(f"{files[0].parent}: {len(files)} flow files, none for frame {index}")
        image = read_flow_image(files[place])
        return (np.zeros_like(image) if index < late else image), files[place]


def _files_in(folder: Path, gap: int, frames: int | None) -> tuple[list[Path], int]:
    """Flow files of a folder, and the number of first frames without one."""
    try:
        paths = [path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES and path.name[0] != "."]
    except OSError as error:
        raise FlowError(f"{folder}: no folder of flow files ({error.strerror})") from None
    if not paths:
        raise FlowError(f"{folder}: no flow files here (.flo or .png)")
    late = 0 if frames is None else frames - len(paths)
    if late not in (0, gap):
        raise FlowError(
            f"{folder}: {len(paths)} flow files for {frames} frames; give one for each frame, "
            f"or for each but the first {gap}"
        )
    return sorted(paths, key=lambda path: natural_key(path.name)), late


def _values(path: Path) -> npt.NDArray[np.number]:
    """Content of a file: flow (H, W, 2), float32, or the channels of a PNG (H, W, 3), uint8 or uint16."""
    check_file(path, FlowError, _FLO_HEADER + 8 * MAX_PIXELS)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise FlowError(f"{path}: cannot be read ({error.strerror})") from None
    return _middlebury(path, data) if path.suffix.lower() == ".flo" else _png(path, data)


def _check_size(path: Path, width: int, height: int) -> None:
    if not (width > 0 and height > 0 and width * height <= MAX_PIXELS):
        raise FlowError(f"{path}: flow of {width}x{height} is refused (limit {MAX_PIXELS} pixels)")


def _middlebury(path: Path, data: bytes) -> Flow:
    if len(data) < _FLO_HEADER or data[:4] != _MAGIC:
        raise FlowError(f"{path}: no .flo file of Middlebury")
    width, height = struct.unpack("<ii", data[4:_FLO_HEADER])
    _check_size(path, width, height)
    if len(data) != _FLO_HEADER + 8 * width * height:
        raise FlowError(f"{path}: has {len(data)} bytes, which is not flow of {width}x{height}")
    return np.frombuffer(data, "<f4", offset=_FLO_HEADER).reshape(height, width, 2)


def _png(path: Path, data: bytes) -> npt.NDArray[np.number]:
    if len(data) < _PNG_HEADER or data[:8] != _PNG_MAGIC or data[12:16] != b"IHDR":
        raise FlowError(f"{path}: no PNG")
    width, height, _, colours = struct.unpack(">IIBB", data[16:_PNG_HEADER])
    _check_size(path, width, height)
    if colours != _COLOURS:
        raise FlowError(f"{path}: flow in a PNG has three channels, of 8 bits (an image) or 16 (KITTI)")
    pixels: npt.NDArray[np.number] | None
    try:
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error as error:
        raise FlowError(f"{path}: damaged PNG ({error.err})") from None
    if pixels is None or pixels.shape != (height, width, 3):
        raise FlowError(f"{path}: damaged PNG")
    return pixels[..., ::-1]  # in the order of the file
