"""The bundled video in the forms in which tools post it, and what is on it."""

from __future__ import annotations

import base64
import functools
import io
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image as PillowImage

import segue
from segue.masks import read_index_mask
from segue.types import Image
from segue_web.services.assistant import Assistant

VIDEO = Path(segue.__file__).parent / "assets" / "sample" / "video.mp4"


@functools.cache
def assistant() -> Assistant:
    """The networks of the package, loaded once for all tests."""
    return Assistant(device="cpu")


@functools.cache
def images(count: int = 4) -> list[Image]:
    """The first frames of the bundled video."""
    with segue.open_source(VIDEO, end=count) as source:
        return [frame.image for frame in source]


@functools.cache
def truth(number: int = 1) -> npt.NDArray[np.bool_]:
    """Where an object is on the first frame."""
    return np.asarray(read_index_mask(VIDEO.with_name("first.png"))) == number


def centre() -> tuple[int, int]:
    """A place ``(x, y)`` on object 1 of the first frame."""
    rows, columns = np.nonzero(truth())
    middle = np.argmin((rows - rows.mean()) ** 2 + (columns - columns.mean()) ** 2)
    return int(columns[middle]), int(rows[middle])


def tight(number: int = 1) -> tuple[int, int, int, int]:
    """The box of an object on the first frame."""
    rows, columns = np.nonzero(truth(number))
    return int(columns.min()), int(rows.min()), int(columns.max()) + 1, int(rows.max()) + 1


def png(image: Image) -> bytes:
    """An image as a file."""
    stream = io.BytesIO()
    PillowImage.fromarray(image).save(stream, "png", compress_level=1)
    return stream.getvalue()


def encoded(image: Image) -> str:
    """An image in base64."""
    return base64.b64encode(png(image)).decode()


def overlap(one: npt.NDArray[np.bool_], other: npt.NDArray[np.bool_]) -> float:
    """Intersection over union."""
    return float((one & other).sum() / (one | other).sum())
