"""Labels of foreground data sets: every one read as the label values of CDnet2014.

| value | CDnet2014 | meaning |
| --- | --- | --- |
| 0 | static | background |
| 50 | hard shadow | background; foreground there also counts as a shadow error |
| 85 | outside | not labelled: outside the region of interest or the labelled frames |
| 170 | unknown | not counted: motion blur, transparent objects |
| 255 | motion | foreground |
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from io import BytesIO
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from segue.datasets.files import opened, read_rgb
from segue.errors import DatasetError
from segue.masks.files import OtherSizeError

STATIC, SHADOW, OUTSIDE, UNKNOWN, MOTION = 0, 50, 85, 170, 255

Labels = npt.NDArray[np.uint8]
"""Label values of CDnet2014, (H, W), uint8."""

LabelReader = Callable[[Path], Labels]
"""Reads a label file of some data set as :data:`Labels`."""

StaticAs = Literal["foreground", "background", "ignore"]
"""Label of a moving object that stays still for a while (LASIESTA)."""

STATIC_LABELS: Mapping[StaticAs, int] = {"foreground": MOTION, "background": STATIC, "ignore": UNKNOWN}

_GREY_MODES = frozenset({"1", "L", "LA", "P", "PA", "RGB", "RGBA"})


def read_grey(file: Path | BytesIO, where: str = "", size: tuple[int, int] | None = None) -> Labels:
    """Read the grey values of an image of a size; palette images give colours, not indices."""
    where = where or str(file)
    with opened(file, where) as image:
        if size is not None and (image.height, image.width) != size:
            message = f"{where}: is {image.width}x{image.height}, its labels are {size[1]}x{size[0]}"
            raise OtherSizeError(message, (image.height, image.width))
        if image.format == "BMP":
            return _read_grey_bitmap(file)
        if image.mode not in _GREY_MODES:
            raise DatasetError(f"{where} is an image of mode {image.mode}; labels have 8 bits a pixel")
        if image.mode != "P":
            return np.array(image if image.mode == "L" else image.convert("L"))
        indices, levels = np.array(image), _grey_levels(bytes(image.getpalette() or ()))
        return indices if levels is None else np.asarray(levels[indices])


@lru_cache(maxsize=16)
def _grey_levels(palette: bytes) -> Labels | None:
    """Grey value by palette index, (256,); None if each index equals its grey value."""
    colours = np.frombuffer(palette, np.uint8).reshape(-1, 3)
    levels = np.zeros(256, np.uint8)
    levels[: len(colours)] = np.array(Image.fromarray(colours[None]).convert("L"))
    return None if np.array_equal(levels[: len(colours)], np.arange(len(colours))) else levels


def _read_grey_bitmap(file: Path | BytesIO) -> Labels:
    # Pillow takes 8-bit images with a table of two colours, as CDnet2014 has them, for 1-bit images.
    data = file.read_bytes() if isinstance(file, Path) else file.getvalue()
    values = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_GRAYSCALE)
    if values is None:
        raise ValueError("damaged bitmap")
    return np.asarray(values, np.uint8)


def read_region(path: Path, size: tuple[int, int]) -> npt.NDArray[np.bool_]:
    """Region of interest of a file, for frames of ``size`` (H, W): every pixel that is not black."""
    inside = read_grey(path)[: size[0], : size[1]] > 0
    return np.pad(inside, [(0, size[0] - inside.shape[0]), (0, size[1] - inside.shape[1])])


def read_binary_labels(path: Path, positive: int | None = None) -> Labels:
    """Read a mask, (H, W), uint8: 255 where the image is ``positive``, by default not black; else 0."""
    values = read_grey(path)
    marked = values > 0 if positive is None else values == positive
    return np.asarray(np.where(marked, np.uint8(MOTION), np.uint8(STATIC)))


_SBI_TABLE = np.zeros(256, np.uint8)
_SBI_TABLE[64:205] = UNKNOWN
_SBI_TABLE[[1, 255]] = MOTION  # some masks have 1 for 255


def read_sbi_labels(path: Path) -> Labels:
    """Masks made for SBI2015, (H, W), uint8, as the authors of FgSegNet read them."""
    return np.asarray(_SBI_TABLE[read_grey(path)])


def read_lasiesta_labels(path: Path, static_as: StaticAs = "foreground") -> Labels:
    """Coloured labels of LASIESTA, (H, W), uint8: objects, uncertain outlines, objects that stay still."""
    red, green, blue = np.moveaxis(read_rgb(path), 2, 0)
    labels = np.zeros(red.shape, np.uint8)
    labels[(blue == 0) & ((red == 255) | (green == 255))] = MOTION  # red, green, yellow: objects 1 to 3
    labels[(red == 128) & (green == 128) & (blue == 128)] = UNKNOWN
    labels[(red == 255) & (green == 255) & (blue == 255)] = STATIC_LABELS[static_as]
    return labels
