"""Sources that a program has opened: captures of OpenCV, PIL images, and file objects."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeAlias, cast

import cv2
from PIL.Image import Image as PillowImage

from segue.errors import SourceError
from segue.masks.files import IMAGE_ERRORS, open_image
from segue.types import Image, SupportsArray
from segue.utils.inputs import exists, kind_of

NAME = "video"
"""Name of a source without one, also for the folder of its results."""


Capture = cv2.VideoCapture
"""A capture of OpenCV."""

SourceLike: TypeAlias = str | os.PathLike[str] | int | Iterable[Any] | SupportsArray | PillowImage | Capture
"""Arguments that :func:`segue.open_source` accepts."""


def images_of(capture: Capture) -> Iterator[Image]:
    """Iterate over the remaining images of an open capture, BGR (H, W, 3), uint8."""
    while True:
        read, image = capture.read()
        if not read:
            return
        yield cast(Image, image)


def check_open(capture: Capture) -> float | None:
    """Raise an error unless a capture is open; returns its frame rate, or None."""
    if not capture.isOpened():
        raise SourceError("source: this cv2.VideoCapture is not open; see that its file or camera is there")
    fps = float(capture.get(cv2.CAP_PROP_FPS))
    return fps if 0 < fps < 1000 else None


def frames_of_image(image: PillowImage) -> Sequence[PillowImage]:
    """Frames of a PIL image, all of them for an animation."""
    if getattr(image, "n_frames", 1) < 2:
        return [image]
    return _Animation(image)


class _Animation(Sequence[PillowImage]):
    """Frames of an open animation, decoded on demand."""

    def __init__(self, image: PillowImage) -> None:
        self._image = image

    def __len__(self) -> int:
        return int(getattr(self._image, "n_frames", 1))

    def __getitem__(self, index: Any) -> Any:
        if not 0 <= index < len(self):
            raise IndexError(index)
        self._image.seek(index)
        return self._image.convert("RGB")


def path_of(file: Any) -> tuple[Path, object]:
    """Path of the content of an open binary file, and the temporary copy, if any."""
    name = getattr(file, "name", None)
    if isinstance(name, str) and exists(Path(name)):
        return Path(name), None
    copy = tempfile.NamedTemporaryFile(suffix=".mp4")  # noqa: SIM115  it goes with the reader
    try:
        shutil.copyfileobj(file, copy)
    except TypeError:
        raise SourceError(f"source: {kind_of(file)} gives text; open the file in binary mode, 'rb'") from None
    copy.flush()
    try:
        with open_image(copy.name, "source") as image:
            suffix = f".{(image.format or 'png').lower()}"
    except (*IMAGE_ERRORS, SourceError):
        return Path(copy.name), copy
    renamed = tempfile.NamedTemporaryFile(suffix=suffix)  # noqa: SIM115
    copy.seek(0)
    shutil.copyfileobj(copy, renamed)
    renamed.flush()
    return Path(renamed.name), renamed
