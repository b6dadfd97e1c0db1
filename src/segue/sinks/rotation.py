"""Outputs of endless sources, in consecutive complete parts."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from segue.formats.base import Sink
from segue.registry import FORMATS
from segue.types import Frame, Segmentation
from segue.utils.files import remove_abandoned
from segue.video.decoding.readers import ConnectionChange


class RotatingSink(Sink):
    """Writes to consecutive sinks, each for ``seconds`` of frame time.

    ``open_part`` opens the sink of the part that begins at a time; the first one is opened now. ``final``
    gives the last events, where no further part can be opened.
    """

    def __init__(
        self,
        open_part: Callable[[float], Sink],
        seconds: float,
        final: Callable[[], Sequence[Any]] = lambda: (),
    ) -> None:
        self._open_part, self._seconds, self._final = open_part, seconds, final
        self._part: Sink | None = open_part(0.0)
        self._begin = 0.0

    def write(self, frame: Frame, segmentation: Segmentation) -> None:
        if frame.time >= self._begin + self._seconds:
            # Parts begin at multiples of their length, whatever frames are lost between.
            self._begin = frame.time // self._seconds * self._seconds
            self._rotate()
        if self._part is not None:
            self._part.write(frame, segmentation)

    def _rotate(self) -> None:
        """Close the part and open the next one; if that fails, objects end with the part."""
        complete, self._part = self._part, None
        with ExitStack() as after_failure:
            if complete is not None:
                after_failure.callback(complete.abort)
            try:
                following = self._open_part(self._begin)
            except BaseException:
                if complete is not None:
                    complete.events(self._final(), {})
                    complete.close()
                    after_failure.pop_all()
                raise
            after_failure.callback(following.abort)
            if complete is not None:
                complete.close()
            after_failure.pop_all()
        self._part = following

    def flush(self) -> None:
        if self._part is not None:
            self._part.flush()

    def connection(self, change: ConnectionChange) -> None:
        if self._part is not None:
            self._part.connection(change)

    def events(self, events: Sequence[Any], objects: Mapping[int, Any]) -> None:
        if self._part is not None:
            self._part.events(events, objects)

    def close(self) -> None:
        if self._part is not None:
            self._part.close()

    def abort(self) -> None:
        """Abort the current part; earlier ones stay."""
        if self._part is not None:
            self._part.abort()


def part_name(now: datetime | None = None) -> str:
    """Name of a part that begins now, in UTC, such as ``20261121T205300Z``; names sort by time."""
    return (now or datetime.now(UTC)).strftime("%Y%m%dT%H%M%SZ")


PART = r"\d{8}T\d{6}Z(?:-\d+)?"
"""Names of parts."""

_PART = re.compile(r"(\d{8}T\d{6}Z)(?:-(\d+))?")


def part_names(output: Path) -> list[str]:
    """Names of the existing parts of an output, by time."""
    folder = output.parent if _is_file(output) else output
    start = f"{output.stem}-" if _is_file(output) else ""
    end = output.suffix if _is_file(output) else ""
    names = []
    with suppress(FileNotFoundError, NotADirectoryError), os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith(start) and entry.name.endswith(end):
                names.append(entry.name.removeprefix(start).removesuffix(end))
    return sorted({name for name in names if _PART.fullmatch(name)}, key=order_of_part)


def order_of_part(name: str) -> tuple[str, int]:
    """Sort key of part names by time; output without parts comes first."""
    part = _PART.fullmatch(name)
    return ("", 0) if part is None else (part[1], int(part[2] or 1))


def parts_of(output: Path) -> list[Path]:
    """Existing parts of an output, as :func:`part_path` names them, by time."""
    return [part_path(output, name) for name in part_names(output)]


def clear_parts(output: Path) -> None:
    """Remove what a killed run has left of its last parts; complete files stay."""
    if _is_file(output):
        remove_abandoned(output.parent, f"{re.escape(output.stem)}-{PART}{re.escape(output.suffix)}")
        return
    for part in parts_of(output)[-2:]:  # one is closed while the next one is open
        remove_abandoned(part, ".*")


def _is_file(output: Path) -> bool:
    suffix = output.suffix.lower()
    return suffix != "" and any(suffix == Path(file).suffix for _, file in FORMATS.files())


def part_path(output: Path, part: str) -> Path:
    """Path of a part: a folder in ``output``, or a file beside it if ``output`` is a file."""
    return output.with_name(f"{output.stem}-{part}{output.suffix}") if _is_file(output) else output / part


def new_part(outputs: Iterable[Path], part: str) -> str:
    """Name of a new part, numbered if an output already has such a part."""
    outputs, number, name = [*outputs], 1, part
    while any(part_path(output, name).exists() for output in outputs):
        number += 1
        name = f"{part}-{number}"
    return name
