"""Foreground masks in the layout of the evaluation of CDnet2014."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import partial
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import numpy as np

from segue.entries.formats import Format
from segue.errors import DatasetError, SinkError
from segue.formats.frames import FrameObjects, Size, frame_name
from segue.formats.mask_records import records_of
from segue.formats.png import MaskFolderSink
from segue.masks import StoredMask
from segue.masks.files import encode_png, read_levels

if TYPE_CHECKING:
    from segue.formats.files import Files
    from segue.formats.labels import Frames, Labels

SHADOW, FOREGROUND = 50, 255
"""Grey values of shadow and foreground in CDnet2014."""

_CDNET = re.compile(r"bin\d{6,}\.png")
_CDNET_IMAGE = re.compile(r"in([0-9]{1,18})")


class CdnetSink(MaskFolderSink):
    """Writes ``bin000001.png`` and so on, as the evaluation of CDnet2014 expects.

    255 is foreground, 50 objects labelled shadow, 0 the rest. A frame from an image ``in000123.jpg`` gets
    that number; others are counted from 1 on. The masks that an earlier run wrote there are removed when the
    first new one is written.

    Args:
        folder: folder to write to; made if it is not there.
        size: height and width of the files; masks are brought to it by nearest neighbour. None keeps them.
        names: name (without ending) of the image by frame index.

    Raises:
        SinkError: the folder cannot be written to, or holds such files that segue did not write.
    """

    def __init__(self, folder: str | Path, *, size: Size = None, names: Sequence[str] | None = None) -> None:
        folder = Path(folder)
        super().__init__(folder, size, names, replaces=True, syncs_records=True)
        recorded = {record.file for record in records_of(folder).values()}
        unknown = {path.name for path in folder.iterdir() if _CDNET.fullmatch(path.name)} - recorded
        if unknown:
            raise SinkError(f"{folder}: has {min(unknown)}, which segue did not write; choose another folder")

    def add(self, objects: FrameObjects) -> None:
        mask, index = objects.mask, objects.index
        values = np.where(mask > 0, FOREGROUND, 0).astype(np.uint8)
        for item in objects.objects:
            if item.label == "shadow":
                values[mask == item.id] = SHADOW
        name = f"bin{frame_number(frame_name(self._names, index), index):06d}.png"
        self._write_mask(name, objects, encode_png(values))


def frame_number(name: str, index: int) -> int:
    """CDnet2014 number of a frame, from the name of its image without suffix, or its index."""
    match = _CDNET_IMAGE.fullmatch(name)
    return int(match[1]) if match else index + 1


def _read(files: Files, video: Frames) -> Labels:
    """Read the foreground as one object; shadow is none."""
    from segue.formats.labels import Labels  # late: runs that write masks read none

    labels = Labels(video.size)
    index_of = {frame_number(frame_name(video.names, i), i): i for i in range(video.count)}
    paths = {int(PurePosixPath(name).stem.removeprefix("bin")): name for name in files.masks}
    if unknown := sorted(paths.keys() - index_of.keys()):
        raise DatasetError(f"{paths[unknown[0]]} names no frame of the video, which has {video.count}")
    labels.add_files({index_of[number]: partial(_foreground, files, name) for number, name in paths.items()})
    return labels


def _foreground(files: Files, name: str) -> StoredMask:
    levels = read_levels(files.mask_file(name), files.where(name), size=files.video.size)
    if unexpected := set(np.unique(levels).tolist()) - {0, SHADOW, FOREGROUND}:
        raise DatasetError(
            f"{name} holds {max(unexpected)}; masks of CDnet2014 are 0, {SHADOW} and {FOREGROUND}"
        )
    return np.asarray(levels == FOREGROUND, np.uint8)


def _sniff(files: Files) -> float:
    names = [PurePosixPath(name).name for name in files.masks]
    is_cdnet = all(map(_CDNET.fullmatch, names)) and "bin000000.png" not in names  # numbers count from 1
    return 0.6 if names and is_cdnet else 0.0


ENTRIES = (
    Format(
        "cdnet",
        "cdnet",
        lambda path, run: CdnetSink(path, size=run.source_size, names=run.names),
        sniff=_sniff,
        read=_read,
        title="CDnet2014",
        about="black and white PNG files of the foreground",
        in_place=True,
    ),
)
