"""Write results that no job is known to give."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from segue.errors import ArgumentError
from segue.inputs import kind_of
from segue.jobs.files import record_path
from segue.registry import SINKS
from segue.types import Frame, Segmentation
from segue.video import Source, open_sinks


def as_formats(formats: Sequence[str] | str) -> tuple[str, ...]:
    """The names of formats, as a list or a single name."""
    names = (formats,) if isinstance(formats, str) else formats
    if not isinstance(names, (list, tuple)) or not all(isinstance(name, str) for name in names):
        raise ArgumentError(
            f"formats: {kind_of(formats)}; give a name or a list of names: {', '.join(SINKS.names)}"
        )
    return tuple(names)


def write_results(
    pairs: Iterator[tuple[Frame, Segmentation]],
    path: Path,
    formats: Sequence[str],
    source: Source,
    *,
    overwrite: bool,
    side_by_side: bool,
    categories: Mapping[str, int] | None = None,
) -> dict[str, Path]:
    """Write results with their frames.

    No job is known that gives just these; the record of another one that was there is removed.
    """
    outputs = open_sinks(
        path, formats, source, overwrite=overwrite, side_by_side=side_by_side, categories=categories
    )
    with outputs.sink as sink:
        for frame, result in pairs:
            sink.write(frame, result)
    record_path(path, outputs.paths).unlink(missing_ok=True)
    return outputs.paths
