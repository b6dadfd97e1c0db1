"""Choose the files of a run and open the sinks that write them."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from segue.errors import ResumeError, SinkError
from segue.formats.base import Sink
from segue.formats.png import refuse_other_masks, replay
from segue.registry import FORMATS, SinkEntry, SinkOptions
from segue.sinks.archive import ZIP
from segue.sinks.base import BackgroundSink, LenientSink, MultiSink
from segue.types import Frame, Segmentation
from segue.utils.files import locked, refuse_if_locked
from segue.utils.inputs import user_path
from segue.video.sources.kinds import IMAGE_SUFFIXES, VIDEO_SUFFIXES

if TYPE_CHECKING:
    from segue.video.sources.source import Source

MASKS = "png"
"""Format from which a run can be resumed. It is completed last, so a complete mask folder means that all
outputs are complete."""


@dataclass(frozen=True, slots=True)
class OpenSinks:
    """The sink of a run and the places it writes to.

    Attributes:
        sink: writes the results; complete it with ``close`` or by leaving its ``with`` block.
        paths: file or folder of each format.
    """

    sink: Sink
    paths: dict[str, Path]


def output_paths(output: str | Path, formats: Sequence[str]) -> dict[str, Path]:
    """Paths of the outputs of a run; nothing is created.

    Args:
        output: a folder that holds all outputs under the names of their entries (``masks/``,
            ``overlay.mp4`` ...), or, if it is no folder yet and has the ending of the only format, that file.
        formats: names of formats, such as ``png``.

    Returns:
        File or folder of each format, in order.

    Raises:
        SinkError: a format is unknown or there is none, or ``output`` has an ending that does not fit.
    """
    output = user_path(output)
    if not formats:
        raise SinkError(f"there is no output format; choose from {', '.join(FORMATS.names)}")
    for name in formats:
        if "," in name and name not in FORMATS:
            each = " ".join(f"--format {part.strip()}" for part in name.split(","))
            raise SinkError(f"format {name!r}: give each format by itself, as in {each}")
    entries = {name: find_format(name) for name in formats}
    suffix = output.suffix.lower()
    if suffix in _file_endings() and not output.is_dir():
        if format_of(output) is None:
            suffixes = ", ".join(sorted(_suffixes()))
            raise SinkError(f"{output}: no format ends in {suffix}; give a folder, or a file of {suffixes}")
        if len(entries) > 1 or entries[formats[0]].suffix != suffix:
            raise SinkError(
                f"{output}: a file ending in {suffix} cannot hold {' + '.join(formats)}; give a folder"
            )
        return {formats[0]: output}
    return {name: output / entry.file for name, entry in entries.items()}


def find_format(name: str) -> SinkEntry:
    """Find a writable format by name."""
    entry = FORMATS.find(name)
    if entry.open is None:
        raise SinkError(f"format {name!r} is only read; choose from {', '.join(FORMATS.names)}")
    return entry


def default_folder(name: str) -> Path:
    """``segue-out/NAME``, the default folder for a video; NAME never ends like a file."""
    stem, _, ending = name.rpartition(".")
    return Path("segue-out") / (f"{stem}_{ending}" if f".{ending.lower()}" in _file_endings() else name)


def check_folder(output: Path) -> None:
    """Raise SinkError if the name of a folder for several files ends like that of a file."""
    if output.suffix.lower() in _file_endings() | {".onnx"} and not output.is_dir():
        raise SinkError(f"{output}: is the name of a file, and several are written; give a folder")


def _file_endings() -> frozenset[str]:
    """Suffixes that make an output a file, also of unsupported formats."""
    return VIDEO_SUFFIXES | IMAGE_SUFFIXES | {ZIP} | _suffixes()


def _suffixes() -> set[str]:
    """Suffixes of all formats."""
    return {Path(file).suffix for _, file in FORMATS.files()} - {""}


def format_of(output: str | os.PathLike[str]) -> str | None:
    """First format with the suffix of ``output``; None for a folder."""
    suffix = Path(output).suffix.lower()
    return next((name for name, file in FORMATS.files() if suffix and Path(file).suffix == suffix), None)


class _Existing(Protocol):
    """Handling of the output of an earlier run."""

    @property
    def overwrite(self) -> bool:
        """Replace it."""

    @property
    def resume(self) -> bool:
        """Continue an interrupted run."""

    @property
    def append(self) -> bool | None:
        """Append to it, if the format can."""


def open_sinks(
    output: str | Path,
    formats: Sequence[str],
    source: Source,
    *,
    places: Mapping[str, Path] | None = None,
    background: bool = True,
    sound: bool = True,
    **options: Any,
) -> OpenSinks:
    """Open all outputs of a run.

    Output of an earlier run is kept until the first result is written, and no other run can write
    there until the sink is closed.

    Masks are written at the size of the source, and zones and the boxes of events refer to it, whatever
    ``max_size``; overlays and snapshots are of the size of the frames. A resumed run rewrites all files
    except the masks: write the results of :func:`replayed` first.

    Args:
        output: folder, or file of the only format (see :func:`output_paths`).
        formats: names of formats.
        source: source of the frames.
        places: files that replace those of :func:`output_paths` for some formats.
        background: write in a thread.
        sound: copy the sound of a video file into written videos.
        options: fields of :class:`segue.registry.SinkOptions` that do not follow from the source, such as
            ``overwrite=True``.

    Returns:
        One sink that writes all formats, and the path of each format; the masks, if any, come last.

    Raises:
        SinkError: something exists and neither ``overwrite``, ``resume`` nor ``append`` is given, cannot be
            resumed or written, is the source itself, has the path of another output, or is written by
            another run.
        SourceError: the output of an earlier run is damaged.
    """
    options["begin"] = options.get("begin") or source.begin
    run = SinkOptions(
        size=source.original_size,
        source_size=lambda: source.original_size,
        names=source.names,
        images=None if source.names is None else tuple(file.name for file in source.files),
        fps=source.fps,
        pixel_aspect=source.pixel_aspect,
        source=source.name,
        at=source.at,
        sound=source.sound if sound else None,
        live=source.endless,
        **options,
    )
    paths = free_paths(output, formats, source, run, places)
    sinks: list[Sink] = []
    with ExitStack() as locks, ExitStack() as opened:
        locks.enter_context(locked(paths.values()))
        for name, path in paths.items():
            entry = find_format(name)
            assert entry.open is not None
            sink = entry.open(path, run)
            opened.callback(sink.abort)
            sinks.append(LenientSink(sink) if entry.only_shows and source.endless else sink)
        opened.pop_all()
        together = MultiSink(sinks, locks.pop_all())
    return OpenSinks(BackgroundSink(together) if background else together, paths)


def all_paths(
    output: str | Path, formats: Sequence[str], places: Mapping[str, Path] | None = None
) -> dict[str, Path]:
    """Paths of the outputs of a run, some of them at ``places`` of their own; masks come last."""
    paths = dict(places or {})
    rest = [name for name in formats if name not in paths]
    if rest or not paths:
        paths |= output_paths(output, rest)
    order = sorted(dict.fromkeys((*formats, *paths)), key=lambda name: name == MASKS)
    return {name: paths[name] for name in order}


def free_paths(
    output: str | Path,
    formats: Sequence[str],
    source: Source,
    existing: _Existing,
    places: Mapping[str, Path] | None = None,
) -> dict[str, Path]:
    """Paths of the outputs of a run, see :func:`open_sinks`; raise if something must not be replaced."""
    paths = all_paths(output, formats, places)
    check_distinct(paths, source)
    if existing.resume and existing.overwrite:
        raise SinkError("overwrite and resume exclude each other; give one of them")
    if existing.resume and MASKS not in paths:
        raise SinkError("resume needs the masks of the interrupted run; add the format png")
    for name, path in paths.items():
        continues = existing.resume or bool(existing.append and FORMATS.find(name).appends)
        replaces = existing.overwrite or continues
        if not replaces and path.exists():
            refuse_if_locked(path)
        if name == MASKS and path.is_dir():
            refuse_other_masks(path, replaces=replaces)
            continue
        if replaces or not path.exists():
            continue
        other = "--append" if source.endless else "--resume"
        raise SinkError(f"{path}: exists already; give --overwrite or {other}, or another output")
    return paths


def check_distinct(outputs: Mapping[str, Path], source: Source) -> None:
    """Raise SinkError for outputs that would replace each other or the source's files.

    Args:
        outputs: files and folders by what they hold.
        source: where the frames come from.

    Raises:
        SinkError: two outputs are one, or an output is a file or folder of the source.
    """
    places: dict[Path, str] = {}
    for name, path in outputs.items():
        other = places.setdefault(path.resolve(), name)
        if other != name:
            raise SinkError(f"{path}: is to hold both {other} and {name}; give each a place of its own")
    files = source.files
    for path in outputs.values():
        source_files = {file.parent for file in files} if path.is_dir() else files
        if path.exists() and any(file.exists() and path.samefile(file) for file in source_files):
            raise SinkError(f"{path}: the frames come from there; choose another output")


def replayed(
    folder: str | Path, frames: Iterator[Frame], stop: int | None = None, *, sparse: bool = False
) -> Iterator[tuple[Frame, Segmentation]]:
    """Results and frames of an interrupted run, for sinks that are written again.

    Reads only the yielded frames from ``frames``, so that a session can continue with the rest.

    Args:
        folder: mask folder of the run.
        frames: iterator over the same source, at its beginning.
        stop: frame index at which the session continues; None takes all results.
        sparse: some frames have no result, and are passed over.

    Yields:
        Pairs of a frame and its result, in order of frames; the mask (H, W), uint8 or uint16, is that of the
        file.

    Raises:
        SinkError: the source and the folder do not have the same frames.
        SourceError: a mask or the record of it is damaged.
    """
    for result in replay(folder, stop):
        frame = next(frames, None)
        while sparse and frame is not None and frame.index < result.index:
            frame = next(frames, None)
        if frame is None or frame.index != result.index:
            place = "has ended" if frame is None else f"is at frame {frame.index}"
            raise ResumeError(
                f"{folder}: continues with frame {result.index} but the source {place}; "
                "the run cannot be resumed, give --overwrite"
            )
        yield frame, result
