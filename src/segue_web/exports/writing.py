"""Write exports under free names, complete before they are renamed."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from segue.video.partial import remove_partial, writing
from segue_web.exports.snapshot import Snapshot
from segue_web.video import Video

Writer = Callable[[Video, Snapshot, Path], Iterator[int]]
"""Writes an export, yielding how many frames are done."""


def remove_unfinished(folder: Path, target: Path | None = None) -> None:
    """Remove what a killed process left of exports."""
    remove_partial(folder, target)
    for path in folder.glob(".*.segue.partial") if target is None else [_partial_folder(target)]:
        shutil.rmtree(path, ignore_errors=True)


def write_pictures(
    video: Video, taken: Snapshot, folder: Path, name: Callable[[int, int], str] | None = None
) -> Iterator[tuple[int, int]]:
    """Write the frames of a data set as JPEG images; yields the number of each, from 1, and its index."""
    folder.mkdir(parents=True)
    for number, index in enumerate(taken.frames, 1):
        called = f"{video.frame_name(index)}.jpg" if name is None else name(number, index)
        (folder / called).write_bytes(video.jpeg(index))
        yield number, index


def _partial_folder(final: Path) -> Path:
    return final.with_name(f".{final.name}.segue.partial")


@contextmanager
def complete_folder(final: Path) -> Iterator[Path]:
    """A folder that gets its name when it is complete."""
    path = _partial_folder(final)
    shutil.rmtree(path, ignore_errors=True)
    try:
        with writing(final):
            path.mkdir(parents=True)
            yield path
            path.replace(final)
    finally:
        shutil.rmtree(path, ignore_errors=True)
