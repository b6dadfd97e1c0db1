"""Identity of the inputs of a job: source, weights, and files of prompts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Any, TypeVar, get_args, get_type_hints

from segue.inputs import exists, sha256
from segue.jobs.values import FilePath, JobModel, Model, Text, TrackJob, VideoJob
from segue.registry import MODELS
from segue.types import MaskPrompt
from segue.video.addresses import is_url, stored_address
from segue.video.identity import SourceIdentity
from segue.weights.download import cached

J = TypeVar("J", bound=VideoJob)

NON_RESULT_FIELDS = {
    "kind",
    "outputs",
    "device",
    "events",
    "zones",
    "notify",
    "name_events",
    "snapshots",
    "background",
}
"""Fields of jobs on which masks that are there do not depend."""


def identified(job: J, model: Any = None) -> J:
    """The job with the identity of its source and the digests of its files and of a program's network."""
    changes: dict[str, Any] = {}
    if job.source.place is not None:
        identity = SourceIdentity.of(job.source.place)
        changes["source"] = job.source.model_copy(update={"identity": identity})
    by_object = {item.argument for item in job.given}
    if "model" not in by_object:
        changes["model"] = job.model.model_copy(update={"digest": model_digest(job.model)})
    elif model is not None:
        changes["given"] = tuple(
            item.model_copy(update={"digest": network_digest(model)}) if item.argument == "model" else item
            for item in job.given
        )
    if isinstance(job, TrackJob):
        changes["prompts"] = tuple(
            replace(item, digest=file_digest(Path(item.path)))
            if isinstance(item, MaskPrompt) and item.path
            else item
            for item in job.prompts
        )
    return job.model_copy(update=changes)


def result_settings(job: VideoJob, *, whole: bool = True) -> dict[str, Any]:
    """All that the masks of a job depend on, as JSON values, for the marker of a mask folder.

    Without ``whole`` no mask depends on later frames, so that a run may continue to another end. A file
    counts by its content, the source by its identity. Prompts are listed by the index of their frame; those
    of the first frame, whichever that is, under -1.
    """
    values = job.model_dump(mode="json", exclude=NON_RESULT_FIELDS)
    source = values.pop("source")
    identity = source.pop("identity")
    # A run that stopped at damage may go on past it; live sources are not resumed.
    for name in ("place", "origin", "on_damage", "when_late"):
        del source[name]
    if not whole:
        del source["end"], source["duration"]
    prompts: dict[str, list[Any]] = {}
    for value in values.pop("prompts", ()):
        prompts.setdefault(str(-1 if value["frame"] is None else value["frame"]), []).append(value)
    if isinstance(job, TrackJob) and job.finding is not None:
        values["finding"] = _by_content(job.finding, values["finding"])
    return {"source": identity, "part": source, "prompts": prompts, **_by_content(job, values)}


def record(job: VideoJob) -> dict[str, Any]:
    """The job as recorded beside its results: without output paths and passwords of addresses."""
    values = job.model_dump(mode="json")
    values["device"] = None  # results of one kind of device do not tell which one it was
    values["outputs"] = {name: values["outputs"][name] for name in ("formats", "side_by_side", "rotate")}
    source = values["source"]
    if source["origin"] is not None:  # it was fetched; where to, and when, says nothing
        source["place"], source["identity"] = source["origin"], None
    for name in ("place", "origin"):
        if source[name] is not None and is_url(source[name]):
            source[name] = stored_address(source[name])
    if values.get("notify") is not None:
        values["notify"] = stored_address(values["notify"])
    return values


def model_digest(model: Model) -> str | None:
    """SHA-256 of the weights of a model, joined by + where there are several; None where there are none."""
    if model.weights is not None:
        return weights_digest(model.weights)
    digests = [digest for name in model.name.split("+") if (digest := _own_digest(name)) is not None]
    return "+".join(digests) or None


def network_digest(network: Any) -> str | None:
    """SHA-256 over the weights of a network that a program gave; None of what has none."""
    from torch import nn  # late: options are checked before

    from segue.weights.identity import WeightsIdentity

    return WeightsIdentity.of(network).digest if isinstance(network, nn.Module) else None


def weights_digest(path: Path) -> str | None:
    """SHA-256 of a weight file; for a folder of another library those of its files, joined by +."""
    if not path.is_dir():
        return file_digest(path)
    files = sorted(file for kind in ("*.json", "*.safetensors") for file in path.glob(kind))
    return "+".join(digest for file in files if (digest := file_digest(file)) is not None) or None


def file_digest(path: Path) -> str | None:
    """SHA-256 of a file; None where there is none. A file that has not changed is not read again."""
    if not exists(path) or not path.is_file():
        return None
    status = path.stat()
    return _digest(str(path.absolute()), status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=1024)
def _digest(path: str, size: int, modified_ns: int) -> str:
    return sha256(path)


def _own_digest(name: str) -> str | None:
    if name not in MODELS:
        return None
    entry = MODELS.find(name)
    if entry.signature is None:
        return None
    if entry.bundled is None:
        return file_digest(cached(entry))
    with resources.as_file(resources.files("segue") / "assets" / entry.bundled) as path:
        return file_digest(path)


def _by_content(part: JobModel, values: Mapping[str, Any]) -> dict[str, Any]:
    """The JSON values of a part of a job, with the digest of each file that one of its fields names."""
    found = dict(values)
    for name, kind in get_type_hints(type(part), include_extras=True).items():
        if name in found and found[name] and {kind, *get_args(kind)} & {Text, FilePath}:
            digest = file_digest(Path(found[name]))
            found[name] = found[name] if digest is None else f"{found[name]} sha256={digest}"
    return found
