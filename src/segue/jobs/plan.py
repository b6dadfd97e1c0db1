"""Conflicts between the jobs of a plan, found before anything starts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from segue.errors import SinkError
from segue.jobs.values import ExportJob, ForegroundJob, Job, TrainJob, VideoJob
from segue.video.live import is_url
from segue.video.outputs import output_paths


def check_plan(jobs: Sequence[Job]) -> None:
    """See that jobs can all be carried out: that none replaces what another one writes or reads.

    Args:
        jobs: in the order in which they will run, or side by side.

    Raises:
        SinkError: two jobs write to one place, one writes into what another one reads, or something is there
            that may not be replaced.
    """
    written: dict[Path, int] = {}
    inside: dict[Path, int] = {}  # folders that hold outputs, so that no other job writes them as a whole
    for number, job in enumerate(jobs, 1):
        own = [path.absolute() for path in outputs_of(job)]
        for path, place in zip(outputs_of(job), own, strict=True):
            others = [written.get(place), inside.get(place), *(written.get(item) for item in place.parents)]
            clash = next((other for other in others if other not in (None, number)), None)
            if clash is not None:
                raise SinkError(
                    f"{path}: jobs {clash} and {number} of the plan both write there; give each an output of "
                    "its own"
                )
            if path.exists() and not _may_replace(job):
                raise SinkError(f"{path}: exists already; give --overwrite or --resume, or another output")
        for place in own:
            written[place] = number
            inside.update(dict.fromkeys(place.parents, number))
    check_reads(jobs, written)


def check_reads(jobs: Sequence[Job], written: Mapping[Path, int]) -> None:
    """See that no job reads what itself or a later one writes; what an earlier job has made may be read.

    Args:
        jobs: in their order.
        written: number of the job, from 1, that writes each place; absolute paths.

    Raises:
        SinkError: one does.
    """
    for number, job in enumerate(jobs, 1):
        for path in inputs_of(job):
            place = path.absolute()
            found = [written[item] for item in (place, *place.parents) if item in written]
            if any(other >= number for other in found):
                raise SinkError(
                    f"{path}: job {found[0]} of the plan writes there, and job {number} reads it; choose "
                    "another output"
                )


def outputs_of(job: Job) -> Iterator[Path]:
    """Files and folders that a job writes."""
    if isinstance(job, VideoJob):
        folder = job.outputs.folder or Path("segue-out") / Path(job.source.place).stem
        yield from output_paths(folder, job.outputs.formats).values()
        if isinstance(job, ForegroundJob):
            others = (job.events, job.snapshots, job.background, job.explain)
            yield from (path for path in others if path is not None)
    elif isinstance(job, (TrainJob, ExportJob)):
        yield job.folder


def inputs_of(job: Job) -> Iterator[Path]:
    """Files and folders that a job reads, as far as it names them."""
    if isinstance(job, VideoJob):
        if not is_url(job.source.place) and not job.source.place.isdecimal():
            yield Path(job.source.place)
        if job.model.weights is not None:
            yield job.model.weights


def _may_replace(job: Job) -> bool:
    if isinstance(job, VideoJob):
        return job.outputs.overwrite or job.outputs.resume
    if isinstance(job, TrainJob):
        return job.overwrite or job.resume
    return isinstance(job, ExportJob) and job.overwrite
