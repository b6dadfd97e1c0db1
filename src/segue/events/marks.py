"""What people have noted of events: reviewed, and kept; in a file beside their images."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, Literal, get_args

from segue.errors import SegueError, SinkError
from segue.utils.files import rewriting, write_complete, writing
from segue.utils.inputs import parse_json

NAME = r"\d{5,}-[a-z-]+-\d+\.(?:jpg|mp4)"
"""Names of images and clips of events."""

EVENT_FILE = re.compile(NAME)

MARKS = "marks.json"
"""File beside the images that says which events are reviewed and kept."""

Mark = Literal["reviewed", "kept"]
MARK_NAMES = get_args(Mark)

CHANGING = threading.RLock()
"""Held while a mark is changed, and while a file is deleted that might be marked."""

_saves = 0
"""Times that this process has written marks: the system may give two of them one time, size and number."""


class MarksError(SinkError):
    """Marks cannot be read: nobody knows what is to be kept."""


class Marks:
    """The marks of the events of a folder of images.

    A file that is not there marks nothing. One that cannot be read, or that holds anything else, is left as
    it is, and no mark is changed before somebody has mended it.

    Args:
        folder: folder of the images, by whose names events are known.

    Raises:
        MarksError: the file cannot be read.
    """

    def __init__(self, folder: Path) -> None:
        self._folder, self._path = folder, folder / MARKS
        self._marks: dict[str, dict[str, Any]] = {}
        self._stamp: object = None
        self.refresh()

    def refresh(self) -> None:
        """Read the file again if it has changed; raises MarksError."""
        with CHANGING:
            try:
                if (stamp := self._current_stamp()) != self._stamp:
                    self._marks = {} if stamp == _ABSENT else _parsed(self._path.read_bytes())
                    self._stamp = stamp
            except (OSError, ValueError) as error:
                reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
                raise MarksError(f"{self._path}: cannot be read ({reason}); mend the file") from error

    def _current_stamp(self) -> object:
        try:
            about = self._path.stat()
        except FileNotFoundError:
            if self._path.is_symlink():  # as of a disk that is not mounted
                raise
            return _ABSENT
        return about.st_mtime_ns, about.st_ctime_ns, about.st_size, about.st_ino, _saves

    def of(self, image: str) -> dict[str, bool]:
        """Whether the event of an image is reviewed, and whether it is kept."""
        mark = self._marks.get(image, {})
        return {"reviewed": mark.get("reviewed", False), "kept": mark.get("kept", False)}

    @property
    def retained(self) -> set[str]:
        """Names of images and clips that are not deleted."""
        return {
            name
            for image, mark in self._marks.items()
            if mark.get("kept")
            for name in (image, mark.get("clip"))
            if name
        }

    def reviewer(self, image: str) -> str:
        """Name of who has reviewed the event of an image; empty where nobody has, or has given no name."""
        mark = self._marks.get(image, {})
        return str(mark.get("by", "")) if mark.get("reviewed") else ""

    def change(self, image: str, mark: Mark, value: bool, clip: str = "") -> dict[str, bool]:
        """Set one mark of the event of an image, as :meth:`change_all` does; gives its marks now."""
        return self.change_all({image: clip}, mark, value)[image]

    def change_all(
        self, clips: Mapping[str, str], mark: Mark, value: bool, user: str = ""
    ) -> dict[str, dict[str, bool]]:
        """Set one mark of some events; others stay as they are in the file now.

        Args:
            clips: names of their images, each with that of its clip, which may be that of other events, too;
                empty for none.
            mark: what is changed.
            value: whether it is so.
            user: name of who changes it.

        Returns:
            The marks of those events now whose images are there.

        Raises:
            MarksError: the file cannot be read; it stays.
            SegueError: all images are deleted.
        """
        with CHANGING:
            self.refresh()
            present = [image for image in clips if (self._folder / image).is_file()]
            if not present:
                raise SegueError("this event has no image any more")
            marks = dict(self._marks)
            for image in present:
                changed = marks.pop(image, {}) | {mark: value}
                changed |= {"clip": clips[image] or changed.get("clip", "")}
                if mark == "reviewed":
                    changed.pop("by", None)
                    changed |= {"by": user} if user else {}
                if changed.get("reviewed") or changed.get("kept"):
                    marks[image] = changed
            self._save(marks)
            return {image: self.of(image) for image in present}

    def forget(self, names: Collection[str]) -> None:
        """Remove the marks of images that are gone."""
        with CHANGING:
            self.refresh()
            marks = {name: mark for name, mark in self._marks.items() if name not in names}
            if len(marks) < len(self._marks):
                self._save(marks)

    def _save(self, marks: dict[str, dict[str, Any]]) -> None:
        global _saves
        data = json.dumps(marks, indent=0).encode()
        with writing(self._path):
            if self._path.exists():
                with rewriting(self._path) as stream:
                    stream.write(data)
            else:
                write_complete(self._path, data)
        _saves += 1
        self._marks, self._stamp = marks, self._current_stamp()


_ABSENT = "absent"


def _parsed(data: bytes) -> dict[str, dict[str, Any]]:
    """The marks in a file; raises ValueError where it holds anything else."""
    marks = parse_json(data.decode())
    if not isinstance(marks, dict):
        raise ValueError("is no table of marks")
    for name, mark in marks.items():
        flags = [mark.get(key, False) for key in MARK_NAMES] if isinstance(mark, dict) else [None]
        if not EVENT_FILE.fullmatch(name) or not all(isinstance(flag, bool) for flag in flags):
            raise ValueError(f"means nothing at {name!r}")
        if not isinstance(clip := mark.get("clip", ""), str) or (clip and not EVENT_FILE.fullmatch(clip)):
            raise ValueError(f"names no clip at {name!r}")
        if not isinstance(mark.get("by", ""), str):
            raise ValueError(f"names nobody at {name!r}")
    return marks
