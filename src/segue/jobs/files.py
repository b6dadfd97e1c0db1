"""Jobs as files: the record beside every result, and jobs that are handed to other processes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from segue.errors import ArgumentError
from segue.inputs import check_file
from segue.jobs.identity import record
from segue.jobs.values import Job, VideoJob, from_json, to_json
from segue.video.partial import locked, write_complete

RECORD = "job.json"
"""File in an output folder that says which job made what is there."""

LARGEST = 1 << 28
"""Bytes of the largest job that is read: masks of prompts are part of it."""


def write_record(job: VideoJob, folder: Path, written: Mapping[str, Path]) -> None:
    """Write the job beside its results."""
    path = record_path(folder, written)
    with locked([path]):  # which also removes what a killed run was writing
        write_complete(path, (json.dumps(record(job), indent=1) + "\n").encode())


def record_path(folder: Path, written: Mapping[str, Path]) -> Path:
    """Path of the record of results: in their folder, or beside a single file as ``NAME.job.json``."""
    alone = folder in written.values()
    return folder.with_name(f"{folder.name}.{RECORD}") if alone else folder / RECORD


def read_job(path: str | Path) -> Job:
    """A job from a file: one that :func:`write_job` wrote, or a record.

    Args:
        path: JSON file in UTF-8, of at most 2^28 bytes.

    Returns:
        The job, all fields checked, of the class that its field ``kind`` names.

    Raises:
        ArgumentError: there is none, or it is no job.
    """
    path = Path(path)
    check_file(path, ArgumentError, LARGEST)
    try:
        return from_json(path.read_text("utf-8"))
    except (ArgumentError, UnicodeDecodeError) as error:
        raise ArgumentError(f"{path}: {error}") from None


def write_job(job: Job, path: str | Path) -> None:
    """Write a job for another process; the file appears under its name when it is complete.

    Args:
        job: a job of any kind.
        path: JSON file to write; missing folders above it are made, and a file that is there is replaced.

    Raises:
        SinkError: the file cannot be written.
        OSError: the folder cannot be made.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_complete(path, (to_json(job) + "\n").encode())
