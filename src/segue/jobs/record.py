"""The record of a job (``job.json``), and identities of its source and files."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, TypeVar, cast, get_args, get_origin, get_type_hints

import numpy as np
from PIL.Image import Image as PillowImage

from segue.errors import ArgumentError
from segue.events.options import EventOptions
from segue.events.targets import NotifyTarget
from segue.jobs.values import (
    ForegroundJob,
    Job,
    Model,
    TrackJob,
    VideoJob,
    from_json,
)
from segue.options import FilePath, OptionModel, RuntimeObject, Text
from segue.prompt_inputs.texts import split_mask
from segue.prompt_types import MaskPrompt
from segue.registry import MODELS
from segue.utils.arrays import as_array
from segue.utils.files import locked, write_complete
from segue.utils.inputs import check_file, exists, sha256, user_path
from segue.utils.redaction import redact_values
from segue.video.sources.addresses import is_url, stored_address
from segue.video.sources.identity import SourceIdentity
from segue.weights.download import own_file

J = TypeVar("J", bound=VideoJob)
P = TypeVar("P", bound=OptionModel)

RECORD = "job.json"
"""File in an output folder with the job that wrote it."""

MAX_JOB_BYTES = 1 << 28
"""Bytes of the largest job that is read: masks of prompts are part of it."""

NON_RESULT_FIELDS = {
    "kind",
    "outputs",
    "device",
    "forms",
    "background",
    "explain",
    "licence",  # the networks that it chose are recorded
    *EventOptions.model_fields,
}
"""Fields of jobs that do not affect existing masks."""


def runtime_objects(part: OptionModel) -> Iterator[tuple[str, RuntimeObject]]:
    """Objects of the calling program in a job, with the names of their arguments."""
    for name in type(part).model_fields:
        value = getattr(part, name)
        if isinstance(value, RuntimeObject):
            yield {"network": "model", "frames": "source"}.get(name, name), value
        elif isinstance(value, OptionModel):
            yield from runtime_objects(value)


def _with_digests(part: P) -> P:
    """Add digests to runtime objects in a part of a job."""
    changes: dict[str, Any] = {}
    for name in type(part).model_fields:
        value = getattr(part, name)
        if isinstance(value, RuntimeObject):
            digest = _digest_of(value.value, runs=isinstance(part, Model))
            changes[name] = value.model_copy(update={"digest": digest or value.digest})
        elif isinstance(value, OptionModel):
            changes[name] = _with_digests(value)
    return part.model_copy(update=changes)


def _digest_of(value: Any, *, runs: bool) -> str | None:
    """SHA-256 of the values of an array, tensor or image, or of a network's weights; otherwise None.

    Of the network that the job ``runs``, the digest of the weights that its session has.
    """
    if callable(getattr(value, "state_dict", None)):
        from segue.weights.identity import network_digest  # PyTorch is there already
        from segue.weights.prepared import prepared_digest

        return prepared_digest(value) if runs else network_digest(value)
    value = as_array(np.asarray(value) if isinstance(value, PillowImage) else value)
    if not isinstance(value, np.ndarray):
        return None
    return hashlib.sha256(np.ascontiguousarray(value).tobytes()).hexdigest()


def identified(job: J) -> J:
    """Add the identity of the source and digests of files and runtime objects to a job."""
    job = _with_digests(job)
    changes: dict[str, Any] = {}
    if job.source.place is not None:
        identity = SourceIdentity.of(job.source.place)
        changes["source"] = job.source.model_copy(update={"identity": identity})
    if job.model.network is None:
        changes["model"] = job.model.model_copy(update={"digest": model_digest(job.model)})
    if isinstance(job, TrackJob):
        changes["prompts"] = tuple(
            replace(item, digest=file_digest(Path(item.path)))
            if isinstance(item, MaskPrompt) and item.path
            else item
            for item in job.prompts
        )
    return job.model_copy(update=changes)


def result_settings(job: VideoJob, *, whole: bool = True) -> dict[str, Any]:
    """All settings that determine the masks of a job, as JSON values.

    Without ``whole`` no mask depends on later frames, so that a run may continue to another end. A file
    counts by its content, the source by its identity. Prompts are listed by the index of their frame; those
    of the first frame, whichever that is, under -1.
    """
    values = job.model_dump(mode="json", exclude=NON_RESULT_FIELDS)
    source = values.pop("source")
    identity = source.pop("identity")
    # A run that stopped at damage may go on past it; live sources are not resumed.
    for name in ("place", "origin", "on_damage", "when_late", "retry", "hardware", "analyse"):
        del source[name]
    if not whole:
        del source["end"], source["duration"]
    prompts: dict[str, list[Any]] = {}
    for value in values.pop("prompts", ()):
        prompts.setdefault(str(-1 if value["frame"] is None else value["frame"]), []).append(value)
    if job.model.network is None and job.model.digest is not None and _is_folder(job.model.name):
        values["model"]["name"] = f"{job.model.name} sha256={job.model.digest}"
    if isinstance(job, TrackJob) and job.finding is not None:
        values["finding"] = _by_content(job.finding, values["finding"])
    return {"source": identity, "part": source, "prompts": prompts, **_by_content(job, values)}


def record(job: VideoJob) -> dict[str, Any]:
    """The job for its record: without output paths, passwords and secrets."""
    values = job.model_dump(mode="json")
    values["device"] = None  # results of one kind of device do not tell which one it was
    values["outputs"] = {
        name: values["outputs"][name] for name in ("formats", "side_by_side", "whole", "sound", "rotate")
    }
    source = values["source"]
    if source["origin"] is not None:  # it was fetched; where to, and when, says nothing
        source["place"], source["identity"] = source["origin"], None
    for part in (source, values):
        part |= {name: stored_address(text) for name, text in part.items() if is_url(str(text))}
    if isinstance(job, ForegroundJob):
        targets = [NotifyTarget.parse(text) for text in job.notify]
        values["notify"] = [str(replace(each, address=stored_address(each.address))) for each in targets]
    return cast(dict[str, Any], redact_values(values))


def model_digest(model: Model) -> str | None:
    """SHA-256 of a model's weights, several joined by +; None without weights."""
    if model.weights is not None:
        return _content_digest(model.weights)
    return "+".join(filter(None, map(_own_digest, model.name.split("+")))) or None


def _content_digest(path: Path) -> str | None:
    """SHA-256 of a weight file, or of a third-party library's folder, joined by +."""
    inside = [*path.glob("*.json"), *path.glob("*.safetensors")] if path.is_dir() else [path]
    return "+".join(filter(None, map(file_digest, sorted(inside)))) or None


def file_digest(path: Path) -> str | None:
    """SHA-256 of a file, cached while the file is unchanged; None if there is no file."""
    if not exists(path) or not path.is_file():
        return None
    status = path.stat()
    return _digest(str(path.absolute()), status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=1024)
def _digest(path: str, size: int, modified_ns: int) -> str:
    return sha256(path)


def _own_digest(name: str) -> str | None:
    entry = MODELS.find(name) if name in MODELS else None
    if entry is not None and entry.folder is not None:
        return _content_digest(entry.folder())
    return None if entry is None or entry.signature is None else file_digest(own_file(entry))


def _is_folder(name: str) -> bool:
    """Whether a network's name is a folder of another library."""
    return name in MODELS and MODELS.find(name).folder is not None


def named_files(part: OptionModel) -> dict[str, str]:
    """Values of the fields of a job's part that may name files or folders."""
    files = {}
    for name, kind in get_type_hints(type(part), include_extras=True).items():
        kinds, value = {kind, *get_args(kind)}, getattr(part, name)
        choices = [choice for each in kinds if get_origin(each) is Literal for choice in get_args(each)]
        if kinds & {Text, FilePath} and isinstance(value, (str, Path)) and value not in choices:
            files[name] = str(value)
    return files


def files_of(job: VideoJob) -> set[Path]:
    """Absolute paths of all files and folders in the fields and prompts of a job."""
    parts = [job, job.model, *([job.finding] if isinstance(job, TrackJob) and job.finding else ())]
    paths = {user_path(text) for part in parts for text in named_files(part).values() if not is_url(text)}
    if isinstance(job, TrackJob):
        paths |= {user_path(item.path) for item in job.prompts if isinstance(item, MaskPrompt) and item.path}
    return {path.absolute() for path in paths}


def words_by_content(words: Iterable[str], files: Collection[Path]) -> tuple[str, ...]:
    """Words of a command line, with paths of these files replaced by their digests."""
    return tuple(_word_by_content(word, files) for word in words)


def _word_by_content(word: str, files: Collection[Path]) -> str:
    option, sign, text = word.partition("=") if word.startswith("--") else ("", "", word)
    for prefix, path in (("", text), split_mask(text)):
        if not path or is_url(path):
            continue
        place = user_path(path).absolute()
        if place in files and (digest := _content_digest(place)):
            return f"{option}{sign}{prefix}sha256={digest}"
    return word


def _by_content(part: OptionModel, values: dict[str, Any]) -> dict[str, Any]:
    """JSON values of a job's part, with files replaced by their digests."""
    files = {name: user_path(text) for name, text in named_files(part).items() if name in values}
    digests = {name: _content_digest(path) for name, path in files.items()}
    return values | {name: f"{values[name]} sha256={digest}" for name, digest in digests.items() if digest}


def write_record(job: VideoJob, folder: Path, paths: Mapping[str, Path]) -> None:
    """Write the job beside its results."""
    path = record_path(folder, paths)
    with locked([path]):  # which also removes what a killed run was writing
        write_complete(path, (json.dumps(record(job), indent=1) + "\n").encode(), private=True)


def record_path(folder: Path, paths: Mapping[str, Path]) -> Path:
    """Path of a record: in the folder of results, or ``NAME.job.json`` beside a single file."""
    is_single_file = folder in paths.values()
    return folder.with_name(f"{folder.name}.{RECORD}") if is_single_file else folder / RECORD


def read_job(path: str | Path) -> Job:
    """Read a job from a file: JSON of :func:`segue.jobs.to_json`, or a record.

    Args:
        path: JSON file in UTF-8, of at most 2^28 bytes.

    Returns:
        The job, all fields checked, of the class that its field ``kind`` names.

    Raises:
        ArgumentError: there is none, or it is no job.
    """
    path = user_path(path)
    check_file(path, ArgumentError, MAX_JOB_BYTES)
    try:
        return from_json(path.read_text("utf-8"))
    except (ArgumentError, UnicodeDecodeError) as error:
        raise ArgumentError(f"{path}: {error}") from None
