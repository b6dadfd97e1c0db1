"""Write results to files: ``segue.save``."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from segue.api.results import Results, as_formats, write_results
from segue.errors import ArgumentError, SinkError
from segue.inputs import kind_of
from segue.registry import SINKS
from segue.types import Frame, Segmentation
from segue.video import Source, open_source


def save(
    results: Iterable[Segmentation],
    path: str | Path,
    *,
    formats: Sequence[str] | str = ("png",),
    source: Source | str | Path | int | Iterable[Any] | None = None,
    overwrite: bool = False,
    side_by_side: bool = False,
) -> dict[str, Path]:
    """Write results to files, while they are computed.

    For results of :func:`track`, :func:`foreground` and :func:`instances` this is
    :meth:`segue.api.Results.save`, and ``source`` is not needed.

    Args:
        results: results in order of time.
        path: folder for all formats, or the file itself for a single one that is a file.
        formats: one or several of ``png`` (index masks), ``overlay`` (video), ``coco``, ``ytvis`` (run
            lengths), ``npz``, ``cdnet`` and ``events``, or what other packages add.
        source: source of the frames; needed for ``overlay``, and for file names and time stamps.
        overwrite: replace what is there.
        side_by_side: put the plain frame beside the drawn one.

    Returns:
        The file or folder of each format.

    Raises:
        SinkError: the output exists, cannot be written, or needs a source.
        ArgumentError: an argument has the wrong type.
    """
    if isinstance(results, Results):
        return results.save(path, formats=formats, overwrite=overwrite, side_by_side=side_by_side)
    chosen = as_formats(formats)
    if not isinstance(path, (str, os.PathLike)):
        raise ArgumentError(f"path: {kind_of(path)}; give the path of a folder or file")
    for name in chosen:
        if source is None and SINKS.find(name).needs_frames:
            raise SinkError(f"the format {name} needs the frames: give source as well")
    if not isinstance(results, Iterable):
        raise ArgumentError(f"results: {kind_of(results)}; give the results of segue.track or a list of them")
    given = iter(results)
    first = next(given, None)
    if first is None:
        raise SinkError(f"{path}: there are no results to write")
    if not isinstance(first, Segmentation):
        raise ArgumentError(f"results: the first one is a {kind_of(first)}; expected segue.Segmentation")
    blank = np.zeros((*first.mask.shape, 3), np.uint8)
    opened = source if isinstance(source, Source) else open_source([blank] if source is None else source)
    frames = None if source is None else iter(opened)
    pairs = _with_frames(itertools.chain([first], given), frames, blank)
    with opened:
        return write_results(
            pairs, Path(path), chosen, opened, overwrite=overwrite, side_by_side=side_by_side
        )


def _with_frames(
    results: Iterator[Segmentation], frames: Iterator[Frame] | None, blank: Any
) -> Iterator[tuple[Frame, Segmentation]]:
    for result in results:
        yield (
            Frame(result.index, result.time, blank) if frames is None else _frame_at(frames, result.index),
            result,
        )


def _frame_at(frames: Iterator[Frame], index: int) -> Frame:
    for frame in frames:
        if frame.index == index:
            return frame
    raise SinkError(f"the source has no frame {index}; give the source that the results come from")
