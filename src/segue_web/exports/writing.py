"""Where exports go: under names that are not taken, and complete before they bear them."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from segue.video.partial import remove_partial, writing
from segue_web.exports.snapshot import Snapshot
from segue_web.film import Film

Writer = Callable[[Film, Snapshot, Path], Iterator[int]]
"""Writes an export, yielding how many frames are done."""


def remove_unfinished(folder: Path, target: Path | None = None) -> None:
    """Remove what a killed process left of an export to ``target``, or of all exports of a folder."""
    remove_partial(folder, target)
    for path in folder.glob("*.partial") if target is None else [_partial_folder(target)]:
        shutil.rmtree(path, ignore_errors=True)


def write_pictures(
    film: Film, frames: list[int], folder: Path, name: Callable[[int, int], str]
) -> Iterator[int]:
    """Write JPEG pictures; ``name`` gets the place of a frame among them and its index. Yields the places."""
    folder.mkdir(parents=True)
    for place, index in enumerate(frames):
        (folder / name(place, index)).write_bytes(film.jpeg(index))
        yield place


def _partial_folder(final: Path) -> Path:
    return final.with_name(final.name + ".partial")


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
