"""Description of the weights of a network."""

from __future__ import annotations

from segue.entries import Entry
from segue.weights.download import installed


def state_of(entry: Entry) -> str:
    """Whether the weights of a network are there, or what brings them."""
    if entry.bundled:
        return "come with segue"
    if installed(entry) is not None:
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
        "installed": installed(entry),
        "training": None if entry.bundled or remote or entry.source else entry.training,
        "licence": entry.licence,
        "paper": entry.paper,
    }
