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
"""Writes an export, yielding each frame that is done."""


def remove_unfinished(folder: Path, target: Path | None = None) -> None:
    """Remove what a killed process left of exports."""
    remove_partial(folder, target)
    for path in folder.glob(".*.segue.partial") if target is None else [_partial_folder(target)]:
        shutil.rmtree(path, ignore_errors=True)


def write_images(video: Video, taken: Snapshot, folder: Path) -> Iterator[int]:
    """Write the frames of a data set as JPEG images; yields the index of each."""
    folder.mkdir(parents=True)
    for index in taken.frames:
        (folder / f"{video.frame_name(index)}.jpg").write_bytes(video.jpeg(index))
        yield index


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
