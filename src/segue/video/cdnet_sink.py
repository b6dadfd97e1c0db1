"""A folder of foreground masks as the evaluation of CDnet2014 wants them."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
from PIL import Image

from segue.errors import SinkError
from segue.masks import resize_mask
from segue.types import Frame, Segmentation
from segue.video.mask_folder import MaskFolder, Record
from segue.video.sinks import Sink

SHADOW = 50
"""Grey value of shadow; only 255 counts as foreground."""

_OURS = re.compile(r"bin\d{6,}\.png")
_NUMBER = re.compile(r"in([0-9]{1,18})")


class CdnetSink(Sink):
    """Writes ``bin000001.png`` ...: 255 is foreground, 50 what is labelled shadow, 0 the rest.

    A frame from a picture ``in000123.jpg`` gets that number; others are counted from 1 on. The masks that an
    earlier run wrote there are removed when the first new one is written.

    Args:
        folder: folder to write to; made if it is not there.
        size: height and width of the files; masks are brought to it by nearest neighbour. None keeps them.
        names: name (without ending) of the picture by frame index.

    Raises:
        SinkError: the folder cannot be written to, or holds such files that segue did not write.
    """

    def __init__(
        self, folder: Path, *, size: tuple[int, int] | None = None, names: Sequence[str] | None = None
    ) -> None:
        self._folder = MaskFolder(folder)
        self._size = size
        self._names = names
        self._begun = False
        if strangers := self._folder.strangers(lambda name: _OURS.fullmatch(name) is not None):
            raise SinkError(f"{folder}: has {strangers[0]}, which segue did not write; choose another folder")

    def write(self, frame: Frame, segmentation: Segmentation) -> None:
        mask = segmentation.mask if self._size is None else resize_mask(segmentation.mask, self._size)
        values = np.where(mask > 0, 255, 0).astype(np.uint8)
        for item in segmentation.objects:
            if item.label == "shadow":
                values[mask == item.id] = SHADOW
        buffer = io.BytesIO()
        Image.fromarray(values).save(buffer, format="PNG")
        self._begin()
        name = f"bin{self._number(segmentation.index):06d}.png"
        self._folder.put(Record.of(name, segmentation), buffer.getvalue())

    def close(self) -> None:
        self._begin()
        self._folder.end()

    def abort(self) -> None:
        """Leave the masks written so far."""
        if self._begun:
            with suppress(SinkError):
                self._folder.end()

    def _begin(self) -> None:
        if not self._begun:
            self._folder.begin(anew=True)
            self._begun = True

    def _number(self, index: int) -> int:
        known = self._names is not None and index < len(self._names)
        return frame_number(self._names[index] if known and self._names else "", index)


def frame_number(name: str, index: int) -> int:
    """Number of the result of a frame by the name of its picture, without ending, and its index."""
    match = _NUMBER.fullmatch(name)
    return int(match[1]) if match else index + 1
