"""Folders of mask files, one PNG per frame, which a later run can continue."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from segue.entries.formats import Format, Holds, SinkOptions
from segue.errors import ResumeError, SinkError, SourceError
from segue.formats.base import Writer
from segue.formats.frames import FrameObjects, Size, frame_name
from segue.formats.mask_records import MARKER, MAX_RECORD_BYTES, RECORDS, Record, read_records, records_of
from segue.formats.mask_records import read_marker as read_marker
from segue.formats.mask_records import refuse_other_masks as refuse_other_masks
from segue.masks import Rle, StoredMask, encode_rle
from segue.masks.files import encode_index_mask, read_levels
from segue.types import Segmentation, visible_in
from segue.utils.files import make_folder, remove_partial, write_complete, writing
from segue.utils.inputs import whole_number
from segue.utils.system import sync_folder, sync_open_file
from segue.video.sources.identity import SourceIdentity

if TYPE_CHECKING:
    from segue.formats.files import Files
    from segue.formats.labels import Frames, Labels

Settings = Mapping[str, Any]
"""Everything that the masks depend on, as JSON values."""


class MaskFolderSink(Writer):
    """Writes one mask file per frame into a folder and records which files segue wrote.

    After a power cut the records that were written since the last :meth:`flush` may be missing while files of
    theirs are there: ``continues`` takes files of frames behind the last record for such.
    """

    def __init__(
        self,
        folder: Path,
        size: Size,
        names: Sequence[str] | None,
        *,
        replaces: bool,
        continues: bool = False,
        syncs_records: bool = False,
    ) -> None:
        self._folder = folder
        self._size = size
        self._names = names
        self._replaces = replaces
        self._continues = continues
        self._syncs_records = syncs_records
        self._last = -1  # frame of the last record of an earlier run
        self._written = -1  # last frame of this run
        self._lines: dict[str, str] = {}  # record of each file
        self._records: IO[str] | None = None
        with writing(folder):
            make_folder(folder)

    def flush(self) -> None:
        """Write all masks and records to the disk, under their names."""
        self._sync(self._begin())

    def close(self) -> None:
        self._begin()
        self._end()
        self._check_present()
        if 0 <= self._written < self._last:
            raise ResumeError(
                f"{self._folder}: has masks up to frame {self._last}, and this run ends with frame "
                f"{self._written}; resume to the old end or a later one, or give --overwrite"
            )

    def _check_present(self) -> None:
        """Raise an error if written masks have been removed."""
        present: set[str] = set()
        with suppress(OSError):  # the folder is gone as well
            present = {path.name for path in self._folder.iterdir()}
        if missing := sum(name not in present for name in self._lines):
            raise SinkError(
                f"{self._folder}: {missing} of {len(self._lines)} masks were removed during the run; "
                "give --overwrite"
            )

    def abort(self) -> None:
        """Keep the masks written so far."""
        with suppress(SinkError):
            self._end()

    def _begin(self) -> IO[str]:
        """Open the records, and remove leftovers of an earlier run."""
        if self._records is None:
            path = self._folder / RECORDS
            with writing(self._folder):
                remove_partial(self._folder)
                records = records_of(self._folder)
                if self._replaces:
                    for record in records.values():
                        (self._folder / record.file).unlink(missing_ok=True)
                    path.unlink(missing_ok=True)
                    sync_folder(self._folder)  # else a power cut could bring them back without their records
                elif path.exists():  # a last line that an interrupted run did not finish is cut off
                    os.truncate(path, path.read_bytes().rfind(b"\n") + 1)
                    self._lines = {record.file: record.line() for record in records.values()}
                    self._last = max(records, default=-1)
                self._records = path.open("a", encoding="utf-8")
        return self._records

    def _write_mask(
        self, name: str, objects: FrameObjects, data: bytes, whole_masks: Mapping[int, Rle] | None = None
    ) -> None:
        """Write the record of a mask, then the mask file."""
        record = Record(name, objects.index, objects.time, objects.result.objects, whole_masks or {})
        records, path = self._begin(), self._folder / name
        lost_record = self._continues and objects.index > self._last
        if name not in self._lines and path.exists() and not lost_record:
            raise SinkError(f"{path}: segue did not write this file; choose another folder")
        line = record.line()
        if len(line) >= MAX_RECORD_BYTES:
            raise SinkError(f"frame {objects.index}: its whole masks are too many for a record")
        self._written = max(self._written, objects.index)
        if self._lines.get(name) != line:  # a run that is resumed writes what is on record once more
            self._lines[name] = line
            with writing(self._folder / RECORDS):
                records.write(line)
                records.flush()
                if self._syncs_records:
                    sync_open_file(records.fileno())
        write_complete(path, data, sync_name=False)

    def _end(self) -> None:
        """Close the records once all files are on the disk."""
        if self._records is not None and not self._records.closed:
            with self._records:
                self._sync(self._records)

    def _sync(self, records: IO[str]) -> None:
        with writing(self._folder / RECORDS):
            records.flush()
            sync_open_file(records.fileno())
        sync_folder(self._folder)


class PngSink(MaskFolderSink):
    """Writes one index mask per frame, as PNG with the DAVIS palette.

    Every file appears under its name when it is complete. The folder can be resumed: see
    ``resume`` and :func:`replay`. A frame that is written again replaces its file.

    Args:
        folder: folder to write to; made if it is not there.
        size: height and width of the files; masks are brought to it by nearest neighbour. None keeps them.
        names: name (without ending) by frame index; other frames get their index, ``00012.png``.
        settings: settings that determine the masks; a resumed run must have the same.
        whole: record whole masks of objects that are partly behind others beside the index masks.
        overwrite: remove the masks of an earlier run from the folder.
        resume: keep the masks of an earlier, interrupted run.

    Raises:
        SinkError: the folder has masks and neither ``overwrite`` nor ``resume`` is given, has files that are
            not of segue, was made with other settings, or cannot be written to.
    """

    def __init__(
        self,
        folder: str | Path,
        *,
        size: Size = None,
        names: Sequence[str] | None = None,
        settings: Settings | None = None,
        whole: bool = False,
        overwrite: bool = False,
        resume: bool = False,
    ) -> None:
        folder = Path(folder)
        self._whole_masks = whole
        self._wide = False
        self._narrow: list[str] = []  # files with 8 bits
        marker = read_marker(folder)
        continues = resume and marker is not None and not marker["complete"]
        super().__init__(folder, size, names, replaces=overwrite, continues=continues)
        self._settings = json.loads(json.dumps(dict(settings or {})))
        refuse_other_masks(folder, replaces=overwrite or resume)
        if marker is not None and resume:
            done = max(records_of(folder), default=-2)
            _check_settings(
                folder, _settings_until(marker["settings"], done), _settings_until(self._settings, done)
            )
        elif marker is not None:
            records_of(folder)  # damaged ones are reported now

    def add(self, objects: FrameObjects) -> None:
        mask, name = objects.mask, f"{frame_name(self._names, objects.index)}.png"
        self._wide = self._wide or int(mask.max(initial=0)) > 255
        try:
            data = encode_index_mask(mask, wide=self._wide)
        except SinkError as error:
            raise SinkError(f"frame {objects.index}: {error}") from error
        self._write_mask(name, objects, data, _partly_hidden_masks(objects) if self._whole_masks else None)
        if self._wide:
            self._widen(2)
        else:
            self._narrow.append(name)

    def _widen(self, count: int) -> None:
        """Convert some 8-bit files to 16 bits, since all files of a folder have one depth."""
        for name in self._narrow[-count:]:
            path = self._folder / name
            write_complete(path, encode_index_mask(read_levels(path, str(path)), wide=True), sync_name=False)
        del self._narrow[-count:]

    def close(self) -> None:
        """Mark the folder as complete."""
        if self._wide:
            self._check_present()
            self._widen(len(self._narrow))
        super().close()
        self._mark(complete=True)

    def suspend(self) -> None:
        """Keep the masks written so far, for a run that is resumed."""
        self._end()

    def completed_frames(self) -> list[int]:
        """List the frames whose masks are in the folder.

        Returns:
            Their indices, in order.
        """
        return sorted(read_records(self._folder))

    def _begin(self) -> IO[str]:
        if self._records is None:
            self._mark(complete=False)
        return super()._begin()

    def _mark(self, *, complete: bool) -> None:
        marker = {"complete": complete, "settings": self._settings}
        write_complete(self._folder / MARKER, json.dumps(marker, indent=1).encode())


def _partly_hidden_masks(objects: FrameObjects) -> dict[int, Rle]:
    """Run lengths of whole masks of partly hidden objects."""
    return {
        number: encode_rle(plane)
        for number, plane in objects.planes()
        if not np.array_equal(plane, objects.mask == number)
    }


def replay(folder: str | Path, stop: int | None = None) -> Iterator[Segmentation]:
    """Read the results of an earlier run from its mask folder.

    Labels and scores are restored; boxes and areas are computed from the pixels.

    Args:
        folder: a folder that :class:`PngSink` wrote.
        stop: stop at this frame index, which is not included; None takes all frames.

    Yields:
        The results, in order of frames.

    Raises:
        SourceError: a mask or the record of it is damaged.
    """
    folder = Path(folder)
    for index, record in read_records(folder).items():
        if stop is not None and index >= stop:
            return
        mask = read_levels(folder / record.file, str(folder / record.file))
        _check_complete(folder / record.file, record, mask.shape)
        whole = {i: lengths["counts"] for i, lengths in record.whole_masks.items()}
        objects = (replace(item, whole=whole.get(item.id)) for item in record.objects)
        yield Segmentation(index, record.time, mask, visible_in(mask, objects))


def _check_complete(path: Path, record: Record, size: tuple[int, ...]) -> None:
    """Raise SourceError if a whole mask of a record differs in size from its file."""
    for number, lengths in record.whole_masks.items():
        if tuple(lengths["size"]) != size:
            raise SourceError(f"{path}: the recorded mask of object {number} has another size")


def _settings_until(settings: Settings, last: int) -> Settings:
    """Settings without the prompts after frame ``last``, which may still change."""
    prompts = settings.get("prompts")
    if not isinstance(prompts, dict):
        return settings
    past_prompts = {name: texts for name, texts in prompts.items() if _index(name) <= last}
    return {**settings, "prompts": past_prompts}


def _index(name: str) -> int:
    number = whole_number(name)
    return -1 if number is None else number


def _check_settings(folder: Path, old: Settings, new: Settings) -> None:
    old_content, now = _by_content(old), _by_content(new)
    changed = sorted(key for key in {*old_content, *now} if old_content.get(key) != now.get(key))
    if "source" in changed and isinstance(old.get("source"), dict) and isinstance(new.get("source"), dict):
        old_identity, new_identity = (SourceIdentity.from_json(settings["source"]) for settings in (old, new))
        if difference := old_identity.difference(new_identity):
            raise ResumeError(
                f"{folder}: was begun with another source than {new_identity.place} is now: {difference}; "
                "resume with the old one, or give --overwrite"
            )
        changed.remove("source")
    if not changed:
        return
    key = changed[0]
    was, is_now = old.get(key), new.get(key)
    if isinstance(was, dict) and isinstance(is_now, dict):
        if key == "prompts":
            raise ResumeError(
                f"{folder}: was begun with other prompts on {_frames_that_differ(was, is_now)}; "
                "resume with the old ones, or give --overwrite"
            )
        _check_settings(folder, was, is_now)
    raise ResumeError(
        f"{folder}: was begun with {key}={was!r}, now it is {is_now!r}; "
        "resume with the old settings, or give --overwrite"
    )


def _frames_that_differ(old: Settings, new: Settings) -> str:
    """Name the frames whose prompts differ."""
    frames = [each for each in {*old, *new} if _by_content(old.get(each)) != _by_content(new.get(each))]
    frames.sort(key=_index)
    return ", ".join("the first frame" if frame == "-1" else f"frame {frame}" for frame in frames)


def _by_content(value: Any) -> Any:
    """Replace paths in settings by digests, so that files may move."""
    if isinstance(value, str):
        return value.rpartition(" sha256=")[2]
    if isinstance(value, list):
        return [_by_content(item) for item in value]
    if not isinstance(value, dict):
        return value
    places = ("weights", "mask", "path") if value.get("digest") else ()
    return {name: _by_content(item) for name, item in value.items() if name not in places}


def _open(path: Path, run: SinkOptions) -> PngSink:
    return PngSink(
        path,
        size=run.source_size,
        names=run.names,
        settings=run.settings,
        whole=run.whole or run.labels is not None,
        overwrite=run.overwrite,
        resume=run.resume,
    )


def _read(files: Files, video: Frames) -> Labels:
    """Read the masks of a run, with ids, labels and scores of their records."""
    from segue.formats.labels import Labels  # late: runs that write masks read none

    labels, folder = Labels(video.size), files.path
    records = read_records(folder)
    items = [(index, item) for index, record in records.items() for item in record.objects]
    for number, name in {item.id: item.label for _, item in items}.items():
        labels.add_object(number, name, number)
    labels.scores = {(index, item.id): item.score for index, item in items}
    paths = {index: folder / record.file for index, record in records.items() if index < video.count}
    labels.add_files({index: partial(_levels, path, video.size) for index, path in paths.items()})
    return labels


def _levels(path: Path, size: tuple[int, int]) -> StoredMask:
    return read_levels(path, str(path), size=size)


def _sniff(files: Files) -> float:
    # cut-outs and masks of CDnet have records as well, but no marker and no ids
    is_ours = not files.is_file and files.path.is_dir() and (files.path / MARKER).exists()
    return 1.0 if is_ours and read_records(files.path) else 0.0


ENTRIES = (
    Format(
        "png",
        "masks",
        _open,
        holds=Holds(masks="visible", max_id=65535, names=True, scores=True, empty=True),
        sniff=_sniff,
        read=_read,
        title="index masks",
        about="one PNG per frame with the DAVIS palette; read ids with PIL, not OpenCV",
        export="masks",
        in_place=True,
    ),
)
