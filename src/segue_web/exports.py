"""Export project masks in any offered format, under a claimed name."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import count
from pathlib import Path

from segue.entries.formats import Format
from segue.errors import SegueError
from segue.formats.base import Writer
from segue.formats.folders import ANNOTATION_TOOLS, DATA_SETS, VIDEOS, complete_folder
from segue.registry import FORMATS
from segue.utils.files import Claim, claim, remove_abandoned, remove_partial
from segue.utils.naming import plain_name, unique_names
from segue_web.server.worker import Tools
from segue_web.snapshot import Snapshot, snapshot
from segue_web.video import Video

__all__ = [
    "Claim",
    "Snapshot",
    "claimed_path",
    "complete_folder",
    "export_formats",
    "export_in",
    "export_job",
    "find_export",
    "import_endings",
    "import_formats",
    "remove_unfinished",
    "snapshot",
    "steps",
    "suffix_of",
    "write_export",
]


def export_formats() -> dict[str, Format]:
    """Export formats by name, grouped, those of the page first."""
    entries = [entry for entry in FORMATS if isinstance(entry, Format) and entry.open is not None]
    groups = dict.fromkeys((DATA_SETS, ANNOTATION_TOOLS, VIDEOS, *(entry.group for entry in entries)))
    groups[""] = groups.pop("", None)  # last
    ordered = [entry for group in groups for entry in entries if entry.group == group]
    return {entry.export_name: entry for entry in ordered}


def _import_entries() -> list[Format]:
    return [entry for entry in FORMATS if isinstance(entry, Format) and entry.read is not None]


def import_endings() -> list[str]:
    """Suffixes of importable files."""
    return sorted({".zip", *(ending for entry in _import_entries() for ending in entry.endings)})


def import_formats() -> list[str]:
    """Titles of importable formats."""
    return [entry.title for entry in _import_entries()]


def find_export(export_format: str) -> Format:
    """Find an export format by name; SegueError if there is none."""
    formats = export_formats()
    if export_format not in formats:
        raise SegueError(f"format {export_format!r}: choose one of {', '.join(formats)}")
    return formats[export_format]


def claimed_path(folder: Path, name: str, export_format: str, suffix: str | None = None) -> Claim:
    """Claim the output path of an export; its suffix may differ from the format's.

    Nothing has the path, and until the claim is released or the process ends, no other export takes it.
    """
    end = find_export(export_format).suffix if suffix is None else suffix
    plain = plain_name(name) or "video"
    ends = (f"{'' if number == 1 else f'-{number}'}{end}" for number in count(1))
    return next(done for one in ends if (done := claim(folder / f"{plain}-{export_format}{one}")) is not None)


def export_in(folder: Path, name: str, place: str | None = None) -> Path | None:
    """Find an export by name in a folder of exports, or by path among several folders."""
    paths = folder.iterdir() if folder.is_dir() else ()
    return next((path for path in paths if path.name == name and place in (None, str(path))), None)


def remove_unfinished(folder: Path, target: Path | None = None) -> None:
    """Remove unfinished exports of killed processes.

    Args:
        folder: the folder of the exports.
        target: export claimed by the caller; None removes all unclaimed ones.
    """
    if target is not None:
        remove_partial(folder, target)
        return
    remove_abandoned(folder)


def steps(annotations: Snapshot, export_format: str) -> int:
    """Number of frames in an export."""
    frames = len(annotations.frames if find_export(export_format).known_only else annotations.span)
    return frames * len(annotations.names) if annotations.each else frames


def suffix_of(export_format: str, each: bool) -> str:
    """Suffix of an export; separate objects go into a folder."""
    return "" if each else find_export(export_format).suffix


def export_job(tools: Tools, annotations: Snapshot, export_format: str, target: Path) -> Iterator[int]:
    """Job that writes an export; see :meth:`segue_web.server.worker.Worker.steps`."""
    return write_export(tools.video, annotations, export_format, target)


def write_export(video: Video, annotations: Snapshot, export_format: str, target: Path) -> Iterator[int]:
    """Write an export; yields finished frames."""
    entry = find_export(export_format)
    if not annotations.each:
        yield from _write(video, annotations, entry, target)
        return
    with complete_folder(target) as folder:
        for number, name in unique_names(annotations.names).items():
            yield from _write(video, annotations.only(number), entry, folder / f"{name}{entry.suffix}")


def _write(video: Video, annotations: Snapshot, entry: Format, target: Path) -> Iterator[int]:
    assert entry.open is not None
    if entry.in_place:
        with complete_folder(target) as folder:
            yield from _write(video, annotations, replace(entry, in_place=False), folder)
        return
    writer: Writer = entry.open(target, annotations.options(video))
    with writer:
        for index in annotations.frames if entry.known_only else annotations.span:
            writer.add(annotations.on(video, index))
            yield index
