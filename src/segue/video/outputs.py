"""Choose the files of a run and open the sinks that write them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from segue.errors import SinkError
from segue.types import Frame, Segmentation
from segue.video.array_sink import NpzSink
from segue.video.cdnet_sink import CdnetSink
from segue.video.event_sink import EventSink
from segue.video.json_sink import CocoSink, Flavour
from segue.video.mask_folder import PngSink, Settings, replay
from segue.video.sinks import BackgroundSink, MultiSink, Sink
from segue.video.source import Source
from segue.video.video_sink import OverlayVideoSink

Format = Literal["png", "overlay", "coco", "ytvis", "npz", "cdnet", "events"]

_FILES: dict[Format, str] = {
    "overlay": "overlay.mp4",
    "coco": "coco.json",
    "ytvis": "ytvis.json",
    "npz": "masks.npz",
    "cdnet": "cdnet",
    "events": "events.csv",
    "png": "masks",
}
"""Name of each format inside the output folder, in the order in which the sinks are completed: a mask folder
that is marked complete means that everything is."""

_SUFFIXES: dict[Format, str] = {
    "overlay": ".mp4",
    "coco": ".json",
    "ytvis": ".json",
    "npz": ".npz",
    "events": ".csv",
}


@dataclass(frozen=True, slots=True)
class Outputs:
    """The sink of a run and the places it writes to.

    Attributes:
        sink: takes the results; complete it with ``close`` or by leaving its ``with`` block.
        paths: file or folder of each format.
    """

    sink: Sink
    paths: dict[Format, Path]


def output_paths(output: Path, formats: Sequence[Format]) -> dict[Format, Path]:
    """File or folder of each format.

    ``output`` is a folder that holds all of them (``masks/``, ``overlay.mp4``, ``coco.json``, ``ytvis.json``,
    ``masks.npz``, ``cdnet/``, ``events.csv``), or, if it has the ending of the only format, that file itself.

    Raises:
        SinkError: a format is unknown or there is none, or ``output`` has an ending that does not fit.
    """
    unknown = [name for name in formats if name not in get_args(Format)]
    if unknown or not formats:
        what = repr(unknown[0]) if unknown else "none"
        raise SinkError(f"output format {what}: choose from {', '.join(get_args(Format))}")
    suffix = output.suffix.lower()
    if suffix in _SUFFIXES.values():
        if len(set(formats)) > 1 or _SUFFIXES.get(formats[0]) != suffix:
            raise SinkError(
                f"{output}: a file ending in {suffix} cannot hold {' + '.join(formats)}; give a folder"
            )
        return {formats[0]: output}
    return {name: output / file for name, file in _FILES.items() if name in formats}


def open_sinks(
    output: Path,
    formats: Sequence[Format],
    source: Source,
    *,
    overwrite: bool = False,
    resume: bool = False,
    settings: Settings | None = None,
    side_by_side: bool = False,
    background: bool = True,
    places: Mapping[Format, Path] | None = None,
    categories: Mapping[str, int] | None = None,
) -> Outputs:
    """Open everything that a run writes; existing files are checked before anything is touched.

    Masks are written at the size of the source, overlays at the size of the frames. Cameras, addresses and
    iterators do not tell their size beforehand: with ``max_size`` their masks keep the reduced size.

    Args:
        output: folder, or file of the only format (see :func:`output_paths`).
        formats: what to write.
        source: where the frames come from.
        overwrite: replace what an earlier run wrote.
        resume: go on with the mask folder of an interrupted run. The other files are made anew: give the
            sink the results of :func:`replayed` first.
        settings: what the masks depend on; a resumed run must have the same.
        side_by_side: put the plain frame beside the drawn one in the overlay video.
        background: write in a thread.
        places: other files than those of :func:`output_paths` for some formats.
        categories: number of each label, for the formats that number classes; others get free numbers.

    Raises:
        SinkError: something exists and neither ``overwrite`` nor ``resume`` is given, cannot be resumed, or
            cannot be written.
    """
    found = dict(places or {})
    rest = [name for name in formats if name not in found]
    if rest or not found:
        found |= output_paths(output, rest)
    paths = {name: found[name] for name in _FILES if name in found}
    if resume and overwrite:
        raise SinkError("overwrite and resume exclude each other; give one of them")
    if resume and "png" not in paths:
        raise SinkError("resume needs the masks of the interrupted run; add the format png")
    for name, path in paths.items():
        if name != "png" and path.exists() and not (overwrite or resume):
            raise SinkError(f"{path}: exists already; give --overwrite or --resume, or another output")
    sinks: list[Sink] = []
    try:
        for name, path in paths.items():
            if name == "png":
                sinks.append(_mask_sink(path, source, settings, overwrite, resume))
            else:
                sinks.append(_file_sink(name, path, source, side_by_side, categories))
    except SinkError:
        for sink in sinks:
            sink.abort()
        raise
    together = sinks[0] if len(sinks) == 1 else MultiSink(sinks)
    return Outputs(BackgroundSink(together) if background else together, paths)


def _mask_sink(
    folder: Path, source: Source, settings: Settings | None, overwrite: bool, resume: bool
) -> PngSink:
    return PngSink(
        folder,
        size=source.original_size,
        names=source.names,
        settings=settings,
        overwrite=overwrite,
        resume=resume,
    )


def _file_sink(
    name: Format, path: Path, source: Source, side_by_side: bool, categories: Mapping[str, int] | None
) -> Sink:
    if name == "overlay":
        return OverlayVideoSink(path, source.fps, side_by_side=side_by_side)
    if name == "npz":
        return NpzSink(path, size=source.original_size)
    if name == "cdnet":
        return CdnetSink(path, size=source.original_size, names=source.names)
    if name == "events":
        return EventSink(path, size=source.original_size)
    flavour: Flavour = "ytvis" if name == "ytvis" else "coco"
    return CocoSink(
        path, flavour=flavour, size=source.original_size, names=source.names, categories=categories
    )


def replayed(
    folder: Path, frames: Iterator[Frame], before: int | None = None
) -> Iterator[tuple[Frame, Segmentation]]:
    """Results of an interrupted run with their frames, for the sinks that are made anew.

    Takes from ``frames`` exactly the frames that it gives back, so that a session can go on with the rest.

    Args:
        folder: mask folder of the run.
        frames: iterator over the same source, at its beginning.
        before: frame index with which the session goes on; None takes all results there are.

    Raises:
        SinkError: the source and the folder do not have the same frames.
    """
    for result in replay(folder, before):
        frame = next(frames, None)
        if frame is None or frame.index != result.index:
            place = "has ended" if frame is None else f"is at frame {frame.index}"
            raise SinkError(
                f"{folder}: goes on with frame {result.index} but the source {place}; "
                "the run cannot be resumed, give --overwrite"
            )
        yield frame, result
