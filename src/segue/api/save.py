"""Write results to files: ``segue.save``."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from segue.errors import SinkError
from segue.registry import SINKS
from segue.types import Frame, Segmentation
from segue.video import Source, open_sinks, open_source


def save(
    results: Iterable[Segmentation],
    path: str | Path,
    *,
    formats: Sequence[str] = ("png",),
    source: Source | str | Path | int | Iterable[Any] | None = None,
    overwrite: bool = False,
    side_by_side: bool = False,
) -> dict[str, Path]:
    """Write results, while they are computed if they come from :func:`track`.

    Args:
        results: results in order of time.
        path: folder for all formats, or the file itself for a single one that is a file.
        formats: any of ``png`` (index masks), ``overlay`` (video), ``coco``, ``ytvis`` (run lengths),
            ``npz``, ``cdnet`` and ``events``, or what other packages add.
        source: where the frames came from; needed for ``overlay``, and for file names and time stamps.
        overwrite: replace what is there.
        side_by_side: put the plain frame beside the drawn one.

    Returns:
        The file or folder of each format.

    Raises:
        SinkError: the output exists, cannot be written, or needs a source.
    """
    for name in formats:
        if source is None and SINKS.find(name).needs_frames:
            raise SinkError(f"the format {name} needs the frames: give source as well")
    results = iter(results)
    first = next(results, None)
    if first is None:
        raise SinkError(f"{path}: there are no results to write")
    blank = np.zeros((*first.mask.shape, 3), np.uint8)
    opened = source if isinstance(source, Source) else open_source([blank] if source is None else source)
    outputs = open_sinks(Path(path), formats, opened, overwrite=overwrite, side_by_side=side_by_side)
    with opened, outputs.sink as sink:
        frames = None if source is None else iter(opened)
        for result in itertools.chain([first], results):
            if frames is None:
                sink.write(Frame(result.index, result.time, blank), result)
            else:
                sink.write(_frame_at(frames, result.index), result)
    return outputs.paths


def _frame_at(frames: Iterator[Frame], index: int) -> Frame:
    for frame in frames:
        if frame.index == index:
            return frame
    raise SinkError(f"the source has no frame {index}; give the source that the results come from")
