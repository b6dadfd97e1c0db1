"""Index masks as PNG files, in the one palette of the project: the colours of PASCAL VOC and DAVIS."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, TypeAlias

import numpy as np
import numpy.typing as npt
from PIL import Image

from segue.errors import SinkError, SourceError
from segue.inputs import check_file, first_line
from segue.types import IndexMask


def davis_palette() -> npt.NDArray[np.uint8]:
    """Compute the palette of PASCAL VOC and DAVIS.

    The three lowest bits of an id become the highest bits of red, green and blue, the next three the second
    highest, and so on.

    Returns:
        Colour of every id, (256, 3), uint8, RGB; 0 is black.
    """
    ids = np.arange(256)
    palette = np.zeros((256, 3), np.uint8)
    for place in range(8):
        level, channel = divmod(place, 3)
        palette[:, channel] |= ((ids >> place & 1) << (7 - level)).astype(np.uint8)
    return palette


DAVIS_PALETTE = davis_palette()
"""The result of :func:`davis_palette`, computed once; do not write to it."""
DAVIS_PALETTE.setflags(write=False)


def fold_ids(mask: IndexMask) -> npt.NDArray[np.uint8]:
    """Find a palette entry for every id; ids beyond 255 start again at 1.

    Args:
        mask: index mask (H, W).

    Returns:
        Palette entries (H, W), uint8; 0 only for the background.
    """
    if mask.dtype == np.uint8:
        return np.asarray(mask, np.uint8)
    folded = np.where(mask > 0, (mask.astype(np.int64) - 1) % 255 + 1, 0)
    return folded.astype(np.uint8)


StoredMask: TypeAlias = npt.NDArray[np.uint8] | npt.NDArray[np.uint16]
"""Values of a mask file, (H, W)."""

MAX_PIXELS = 2**28
"""An image with more pixels is refused: no camera makes it, but a damaged header can claim it."""

MAX_ID = 65535
"""Largest id that an index mask file can hold."""

IMAGE_FORMATS = ("BMP", "JPEG", "PNG", "PPM", "TIFF", "WEBP")
"""Formats that Pillow may open. By default it tries all formats and passes EPS to Ghostscript."""

IMAGE_ERRORS = (
    *(OSError, SyntaxError, ValueError, EOFError, TypeError, IndexError, KeyError, MemoryError),
    Image.DecompressionBombError,
)
"""Errors of Pillow and its codecs for damaged files."""


def read_index_mask(path: str | Path) -> StoredMask:
    """Read a mask file as an index mask, (H, W), uint8 or (16-bit files) uint16.

    A grey image gives its values, and so does a palette image whose palette is grey; another palette
    image gives its indices. A grey image with no values but 0 and 255 (as in DAVIS 2016), or with one bit
    a pixel, is binary: its object gets id 1.

    Args:
        path: image file, of any of the formats BMP, PNG, PPM, TIFF and WebP.

    Returns:
        Index mask, (H, W): 0 is background, every other value an id, up to 255 (uint8) or 65535 (uint16).

    Raises:
        SourceError: the file is missing or damaged, is a colour image, has more than 2**28 pixels or ids
            outside 0 to 65535, or was stored as JPEG, whose compression changes ids.
    """
    with _opened(path, str(path)) as image:
        return index_values(image, str(path))


def index_values(image: Image.Image, where: str) -> StoredMask:
    """The index mask (H, W) of a decoded image, as :func:`read_index_mask` gives it."""
    values = _stored_values(image, where)
    is_object = values == 255
    indices = image.mode == "P" and _grey_levels(image) is None
    if indices or values.dtype != np.uint8 or not is_object.any() or values[~is_object].any():
        return values
    return np.asarray(is_object, np.uint8)


def read_stored_mask(file: str | Path | IO[bytes], where: str) -> StoredMask:
    """Read the values of a mask file as they are stored.

    Args:
        file: path or open file.
        where: name of the file in messages.

    Returns:
        Values (H, W), uint8 or (16-bit files) uint16: those of a grey image, also where its palette is grey;
        indices of other palette images; 0 and 1 of images with one bit a pixel.

    Raises:
        SourceError: as :func:`read_index_mask`.
    """
    with _opened(file, where) as image:
        return _stored_values(image, where)


@contextmanager
def _opened(file: str | Path | IO[bytes], where: str) -> Iterator[Image.Image]:
    """The image of a file, decoded; errors of Pillow come as SourceError."""
    try:
        if isinstance(file, str | Path):
            check_file(Path(file), SourceError)
        with Image.open(file, formats=IMAGE_FORMATS) as image:
            if image.width * image.height > MAX_PIXELS:
                raise SourceError(f"{where}: a mask of {image.width}x{image.height} is refused")
            if image.format in ("JPEG", "MPO"):
                raise SourceError(f"{where}: a JPEG cannot hold an index mask without loss; save it as PNG")
            image.load()
            yield image
    except IMAGE_ERRORS as error:
        raise SourceError(f"{where}: not a readable mask image ({first_line(error)})") from error


def _stored_values(image: Image.Image, where: str) -> StoredMask:
    if image.mode in ("P", "1", "L"):
        values = np.array(image, np.uint8)
        levels = _grey_levels(image)
        return values if levels is None else levels[values]
    if image.mode == "LA":
        return np.array(image.getchannel("L"), np.uint8)
    if image.mode in ("I", "I;16", "I;16L", "I;16B"):
        values = np.array(image)
        if values.min(initial=0) < 0 or values.max(initial=0) > MAX_ID:
            raise SourceError(f"{where}: ids outside 0..{MAX_ID}")
        return values.astype(np.uint16)
    if image.mode in ("RGB", "RGBA"):
        channels = np.array(image)[..., :3]
        if (channels == channels[..., :1]).all():
            return np.array(channels[..., 0], np.uint8)
    raise SourceError(
        f"{where}: a colour image (mode {image.mode}) is no index mask; save it as indexed or grey PNG"
    )


def _grey_levels(image: Image.Image) -> npt.NDArray[np.uint8] | None:
    """Grey level of each entry of a grey palette, (256,), uint8; None where the indices are the values."""
    if image.mode != "P":
        return None
    colours = np.zeros((256, 3), np.uint8)
    given = np.array(image.getpalette("RGB") or [], np.uint8).reshape(-1, 3)
    colours[: len(given)] = given
    levels = colours[:, 0]
    used = levels[np.unique(np.array(image))]
    is_grey = bool((given == given[:, :1]).all()) and len(given) > 0
    return levels if is_grey and len(np.unique(used)) == len(used) else None


def encode_index_mask(mask: IndexMask, *, wide: bool = False) -> bytes:
    """PNG file of an index mask, (H, W), with 16 bits where an id or ``wide`` asks for them."""
    low, high = int(mask.min(initial=0)), int(mask.max(initial=0))
    if low < 0 or high > MAX_ID:
        raise SinkError(f"id {low if low < 0 else high} does not fit a mask file; ids go from 0 to {MAX_ID}")
    if high > 255 or wide:
        return encode_png(np.asarray(mask, np.uint16))
    return encode_png(np.asarray(mask, np.uint8), DAVIS_PALETTE.tobytes())


def encode_png(values: npt.NDArray[Any], palette: bytes | None = None) -> bytes:
    """PNG file of grey values, (H, W), uint8 or uint16, of palette entries, or of RGB, (H, W, 3), uint8."""
    image = Image.fromarray(np.ascontiguousarray(values))
    if palette is not None:
        image.putpalette(palette)
    buffer = io.BytesIO()
    image.save(buffer, format="PNG")
    return buffer.getvalue()


def write_index_mask(path: str | Path, mask: IndexMask) -> None:
    """Write an index mask as PNG with :data:`DAVIS_PALETTE`, or 16-bit grey for ids beyond 255.

    Args:
        path: file to write; an existing one is replaced.
        mask: index mask (H, W), ids from 0 to 65535.

    Raises:
        SinkError: an id is negative or larger than 65535, or the file cannot be written.
    """
    data = encode_index_mask(mask)
    try:
        Path(path).write_bytes(data)
    except OSError as error:
        raise SinkError(f"{path}: cannot be written ({error.strerror or error})") from error
