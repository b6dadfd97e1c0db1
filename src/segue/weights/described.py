"""Description of the weights of a network."""

from __future__ import annotations

from dataclasses import fields

from segue.entries import Entry
from segue.lazy import LazyCallable
from segue.weights.download import cached


def state_of(entry: Entry) -> str:
    """Whether the weights of a network are there, or what brings them."""
    if entry.bundled:
        return "come with segue"
    if cached(entry).exists():
        return "installed"
    if entry.remote:
        return entry.download_command
    return "get them yourself" if entry.source else "none published"


def details_of(entry: Entry) -> dict[str, object]:
    """All that the catalogue knows of an entry; None is not known."""
    remote = entry.remote
    return {
        "network": entry.name,
        "weights": state_of(entry),
        "from": remote.address if remote else entry.source,
        "sha256": remote.sha256 if remote else entry.sha256,
        "bytes": remote.size if remote else None,
        "installed": cached(entry) if cached(entry).exists() else None,
        "training": None if entry.bundled or remote or entry.source else entry.training,
        "licence": entry.licence,
        "paper": entry.paper,
        "settings": settings_of(entry),
    }


def settings_of(entry: Entry) -> str | None:
    """Settings of a tracking network with their published values; None if unknown."""
    built = getattr(entry.build, "func", entry.build)  # a class behind a partial call, or a lazy one
    schedule = getattr(built.value if isinstance(built, LazyCallable) else built, "schedule", None)
    if entry.task != "track" or schedule is None:
        return None
    return ", ".join(f"{item.name}={getattr(schedule, item.name)}" for item in fields(schedule))
