"""Output paths of a job, of parts of a run, and of successive runs of a camera."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from segue.errors import SinkError
from segue.events.archive import EventArchive
from segue.events.store.importing import import_archive
from segue.events.store.store import EventStore
from segue.jobs.record import record_path
from segue.jobs.values import DEFAULT_FORMATS, ForegroundJob, InstancesJob, VideoJob
from segue.registry import FORMATS
from segue.sinks import output_paths
from segue.sinks.outputs import all_paths, check_distinct, default_folder
from segue.sinks.rotation import clear_parts, new_part, part_path
from segue.video import Source

EVENTS = "events"


@dataclass(frozen=True, slots=True)
class OutputPlaces:
    """Output paths of a job.

    Attributes:
        folder: folder of the formats, or the file of a single one.
        other_outputs: places that do not follow from the folder, by format.
        snapshots: folder for images of events.
        name: name of the part; empty without parts.
    """

    folder: Path
    other_outputs: Mapping[str, Path]
    snapshots: Path | None = None
    name: str = ""

    @classmethod
    def of(cls, job: VideoJob, name: str) -> OutputPlaces:
        """Output paths of a job with a source of this name."""
        folder = job.outputs.folder or default_folder(name)
        if not isinstance(job, ForegroundJob):
            return cls(folder, {})
        return cls(folder, {} if job.events is None else {EVENTS: job.events}, job.snapshots)

    def record(self, job: VideoJob, paths: Mapping[str, Path]) -> Path:
        """Path of the job's record: its folder, or beside the table of events."""
        if {*paths} != {EVENTS}:
            return self.folder
        table = paths[EVENTS]
        is_table = job.outputs.folder == table or (isinstance(job, ForegroundJob) and job.events is not None)
        return table if is_table else table.parent

    def check(self, job: VideoJob, source: Source) -> None:
        """Raise SinkError if outputs of a job would replace each other or files of its source.

        Each part of a run, and each run of a camera, has its formats in a folder of its own.
        """
        outputs, paths = job.outputs, dict[str, Path]()
        if outputs.rotate is None and not outputs.append:
            paths = all_paths(self.folder, outputs.formats or (), self.other_outputs)
        options = {name: getattr(job, name, None) for name in ("snapshots", "explain", "background")}
        others = {name: path for name, path in options.items() if path is not None}
        record = {"the record": record_path(self.record(job, paths), paths)} if paths else {}
        check_distinct({**paths, **others, **record}, source)
        folders = {path.resolve(): name for name, path in paths.items() if not FORMATS.find(name).suffix}
        for name, path in {**paths, **others}.items():
            if holder := next((folders[each] for each in path.resolve().parents if each in folders), None):
                raise SinkError(f"{path}: is in the folder of {holder}; give {name} another place")

    def part(self, name: str) -> OutputPlaces:
        """Output paths of a part of a run, all with one name."""
        images = () if self.snapshots is None else (self.snapshots,)
        name = new_part((self.folder, *self.other_outputs.values(), *images), name)
        parts = {kind: part_path(path, name) for kind, path in self.other_outputs.items()}
        snapshots = None if self.snapshots is None else part_path(self.snapshots, name)
        return OutputPlaces(part_path(self.folder, name), parts, snapshots, name)

    def clear_parts(self) -> None:
        """Remove what a killed run has left of the last parts; complete files stay."""
        images = () if self.snapshots is None else (self.snapshots,)
        for output in (self.folder, *self.other_outputs.values(), *images):
            clear_parts(output)

    def next_run(self, name: str, formats: tuple[str, ...]) -> OutputPlaces:
        """Output paths of the next run of a camera; events keep their place."""
        folder = part_path(self.folder, new_part((self.folder,), name))
        return replace(self, folder=folder, other_outputs=self._with_events(formats))

    def last_object(self, formats: tuple[str, ...]) -> int:
        """Last object id of earlier runs, from the event store."""
        archive = self.archive(formats)
        if archive is None or not (archive.store.exists() or any(p.table.exists() for p in archive.parts())):
            return 0
        store = self.open_store(formats)
        assert store is not None
        try:
            return store.last_object
        finally:
            store.close()

    def open_store(self, formats: tuple[str, ...]) -> EventStore | None:
        """Open the event store of all runs and import earlier tables; None without events."""
        archive = self.archive(formats)
        if archive is None:
            return None
        store = EventStore.open(archive.store)
        try:
            import_archive(store, archive)
        except BaseException:
            store.close()
            raise
        return store

    def _with_events(self, formats: tuple[str, ...]) -> Mapping[str, Path]:
        if EVENTS in self.other_outputs or EVENTS not in formats:
            return self.other_outputs
        return {**self.other_outputs, EVENTS: output_paths(self.folder, formats)[EVENTS]}

    def archive(self, formats: tuple[str, ...]) -> EventArchive | None:
        """Events of all runs and parts with their images; None without events."""
        table = self._with_events(formats).get(EVENTS)
        folder = None if EVENTS in self.other_outputs else self.folder
        return None if table is None else EventArchive(table, self.snapshots, folder)


def with_defaults(job: VideoJob, *, endless: bool) -> VideoJob:
    """Fill in default outputs; cameras with events get defaults for long runs."""
    outputs = job.outputs
    watches = (
        endless and isinstance(job, ForegroundJob) and job.events is not None and outputs.formats is None
    )
    usual = ("ytvis",) if isinstance(job, InstancesJob) and job.whole else DEFAULT_FORMATS
    changes: dict[str, object] = {"formats": outputs.formats or (() if watches else usual)}
    if outputs.append is None:
        changes["append"] = watches and not (outputs.overwrite or outputs.rotate)
    job = job.model_copy(update={"outputs": outputs.model_copy(update=changes)})
    if watches and isinstance(job, ForegroundJob) and job.events is not None and job.snapshots is None:
        job = job.model_copy(update={"snapshots": job.events.with_suffix("")})
    return job
