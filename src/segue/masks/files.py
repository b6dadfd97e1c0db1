"""Index masks as PNG files: lossless, with the DAVIS palette up to id 255, 16-bit grey beyond."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from segue.errors import SinkError, SourceError
from segue.masks.palette import DAVIS_PALETTE
from segue.types import IndexMask

MAX_ID = 65535
"""Largest id that an index mask file can hold."""

_UNREADABLE = (OSError, SyntaxError, ValueError, Image.DecompressionBombError)
"""What Pillow raises for a damaged file."""


def read_index_mask(path: str | Path) -> npt.NDArray[np.uint8] | npt.NDArray[np.uint16]:
    """Read a mask file as an index mask, (H, W), uint8 or (16-bit files) uint16.

    A palette picture gives its indices and a grey picture its values. A grey picture with no values but 0
    and 255 (as in DAVIS 2016), or with one bit a pixel, is binary: its object gets id 1.

    Raises:
        SourceError: the file is missing or damaged, is a colour picture, or was stored as JPEG, whose
            compression changes ids.
    """
    try:
        with Image.open(path) as picture:
            if picture.format in ("JPEG", "MPO"):
                raise SourceError(f"{path}: a JPEG cannot hold an index mask without loss; save it as PNG")
            picture.load()
            return _indices(picture, path)
    except FileNotFoundError:
        raise SourceError(f"{path}: no such mask file") from None
    except _UNREADABLE as error:
        raise SourceError(f"{path}: not a readable mask picture ({_reason(error)})") from error


def _indices(picture: Image.Image, path: str | Path) -> npt.NDArray[Any]:
    if picture.mode == "P":
        return np.array(picture, np.uint8)
    if picture.mode == "1":
        return np.array(picture, np.uint8)
    if picture.mode == "LA":
        picture = picture.getchannel("L")
    if picture.mode == "L":
        return _binary_to_one(np.array(picture, np.uint8))
    if picture.mode in ("I", "I;16", "I;16L", "I;16B"):
        values = np.array(picture)
        if values.min(initial=0) < 0 or values.max(initial=0) > MAX_ID:
            raise SourceError(f"{path}: ids outside 0..{MAX_ID}")
        return values.astype(np.uint16)
    if picture.mode in ("RGB", "RGBA"):
        channels = np.array(picture)[..., :3]
        if (channels == channels[..., :1]).all():
            return _binary_to_one(np.ascontiguousarray(channels[..., 0]))
    raise SourceError(
        f"{path}: a colour picture (mode {picture.mode}) is no index mask; save it as indexed or grey PNG"
    )


def _binary_to_one(values: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    is_object = values == 255
    if is_object.any() and np.count_nonzero(values) == np.count_nonzero(is_object):
        return np.asarray(is_object, np.uint8)
    return values


def _reason(error: BaseException) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__


def encode_index_mask(mask: IndexMask) -> bytes:
    """PNG file of an index mask, (H, W); the same mask always gives the same bytes.

    Raises:
        SinkError: an id is negative or larger than 65535.
    """
    low, high = int(mask.min(initial=0)), int(mask.max(initial=0))
    if low < 0 or high > MAX_ID:
        raise SinkError(f"id {low if low < 0 else high} does not fit a mask file; ids go from 0 to {MAX_ID}")
    if high <= 255:
        picture = Image.fromarray(np.ascontiguousarray(mask, np.uint8))
        picture.putpalette(DAVIS_PALETTE.tobytes())
    else:
        picture = Image.fromarray(np.ascontiguousarray(mask, np.uint16))
    buffer = io.BytesIO()
    picture.save(buffer, format="PNG")
    return buffer.getvalue()


def write_index_mask(path: str | Path, mask: IndexMask) -> None:
    """Write an index mask, (H, W), as indexed PNG, or as 16-bit grey PNG if an id is beyond 255.

    Raises:
        SinkError: the ids do not fit (see :func:`encode_index_mask`) or the file cannot be written.
    """
    data = encode_index_mask(mask)
    try:
        Path(path).write_bytes(data)
    except OSError as error:
        raise SinkError(f"{path}: cannot be written ({error.strerror or error})") from error
