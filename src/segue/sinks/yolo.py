"""Results as a data set of ultralytics: images, outlines as text, and the list of classes."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import cv2
import numpy as np

from segue.errors import SinkError
from segue.masks import resize_mask
from segue.masks.outlines import yolo_line, yolo_list
from segue.sinks.base import Sink, frame_name, sized_masks
from segue.types import Frame, Segmentation
from segue.utils.arrays import BoolArray
from segue.utils.files import make_folder, writing
from segue.utils.naming import first_few
from segue.utils.system import rename, sync_folder, sync_tree

LIST = "data.yaml"
HEADER = "# written by segue\n"
"""First line of the list of classes, by which a folder may be replaced."""

_OWN_FILE = re.compile(r"data\.yaml|images/train/[^/]+\.jpg|labels/train/[^/]+\.txt|labels/train\.cache")
"""What lies in the folder: what is written here, and the list that ultralytics keeps of it."""

QUALITY = 95


class YoloSink(Sink):
    """Writes the frames and one polygon for each object, as segmentation models of ultralytics are trained.

    Lines join the parts and holes of an object. Classes count from 0 in the order of ``categories``, then in
    that of their first object; one without a label is an "object".

    Args:
        folder: folder to write; it appears when it is complete.
        names: name of each frame without ending, if it has one; others are called ``00012``.
        categories: number of each label that the run knows.
        whole: write the outline of the whole mask of each object, also behind others; else of what is
            visible.
    """

    def __init__(
        self,
        folder: str | Path,
        *,
        names: Sequence[str] | None = None,
        categories: Mapping[str, int] | None = None,
        whole: bool = False,
    ) -> None:
        self._folder, self._names, self._whole_masks = Path(folder), names, whole
        numbers = categories or {}
        self._classes = {label: place for place, label in enumerate(sorted(numbers, key=numbers.__getitem__))}
        self._partial = self._folder.with_name(f".{self._folder.name}.segue.partial")
        self._old = self._folder.with_name(f".{self._folder.name}.segue.old")
        shutil.rmtree(self._partial, ignore_errors=True)
        with writing(self._folder):
            self._finish_replacement()
            self._refuse_other_files()
            for part in ("images", "labels"):
                make_folder(self._partial / part / "train")

    def write(self, frame: Frame, segmentation: Segmentation) -> None:
        planes = self._planes(segmentation, frame.size)
        lines = [
            yolo_line(self._class(item.label), plane)
            for item, plane in zip(segmentation.objects, planes, strict=True)
            if (plane.any() if self._whole_masks else item.area)
        ]
        name = frame_name(self._names, segmentation.index)
        image = cv2.cvtColor(frame.image, cv2.COLOR_RGB2BGR)
        coded = cv2.imencode(".jpg", image, (cv2.IMWRITE_JPEG_QUALITY, QUALITY))[1].tobytes()
        with writing(self._folder):
            (self._partial / "images" / "train" / f"{name}.jpg").write_bytes(coded)
            (self._partial / "labels" / "train" / f"{name}.txt").write_text("".join(lines))

    def _planes(self, segmentation: Segmentation, size: tuple[int, int]) -> Iterator[BoolArray]:
        """The mask of each object at a size."""
        if self._whole_masks:
            return (plane for _, plane in sized_masks(segmentation, size))
        mask = resize_mask(segmentation.mask, size)
        return (np.asarray(mask == item.id) for item in segmentation.objects)

    def close(self) -> None:
        names = {number: label for label, number in self._classes.items()}
        try:
            with writing(self._folder):
                (self._partial / LIST).write_text(HEADER + yolo_list(names), "utf-8")
                sync_tree(self._partial)
                self._refuse_other_files()  # a person may have added some meanwhile
                self._replace()
        finally:
            self.abort()

    def abort(self) -> None:
        shutil.rmtree(self._partial, ignore_errors=True)

    def _class(self, label: str | None) -> int:
        return self._classes.setdefault("object" if label is None else label, len(self._classes))

    def _replace(self) -> None:
        """Give the new folder its name; the one before is removed once it is there."""
        if self._folder.exists():
            rename(self._folder, self._old)
        try:
            rename(self._partial, self._folder)
        finally:
            self._finish_replacement()
        sync_folder(self._folder.parent)

    def _finish_replacement(self) -> None:
        """Remove the folder before, or give it its name again where a run ended before the new one came."""
        if self._old.exists() and not self._folder.exists():
            rename(self._old, self._folder)
        shutil.rmtree(self._old, ignore_errors=True)

    def _refuse_other_files(self) -> None:
        """See that nothing would be removed that segue did not write, such as a split made by hand."""
        if not self._folder.exists():
            return
        if not self._has_header():
            raise SinkError(f"{self._folder}: is no data set of segue; choose another folder")
        files = (path.relative_to(self._folder) for path in self._folder.rglob("*") if not path.is_dir())
        other = sorted(path.as_posix() for path in files if not _OWN_FILE.fullmatch(path.as_posix()))
        if other:
            raise SinkError(
                f"{self._folder}: holds {first_few(other)}, which segue did not write and --overwrite would "
                "remove; move the folder, or choose another one"
            )

    def _has_header(self) -> bool:
        with suppress(OSError, UnicodeDecodeError):
            return (self._folder / LIST).read_text("utf-8").startswith(HEADER)
        return False
