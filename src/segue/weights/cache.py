"""Official weights: fetched when asked, converted once, found again by name."""

from __future__ import annotations

import os
from pathlib import Path

from segue.errors import CheckpointError, DownloadError
from segue.registry import MODELS, Entry
from segue.video.partial import writing
from segue.weights.catalogue import recognise
from segue.weights.checkpoint import match, read_checkpoint, sha256, write_checkpoint
from segue.weights.download import Report, alone, cached, expected_digest, fetch, home


def convert(source: str | os.PathLike[str], target: str | os.PathLike[str]) -> Entry:
    """Convert a weight file of any network in the catalogue; the names in it tell which.

    Names stay those of the release, without the ``module.`` prefix of STM's file; those of detectors become
    the names of the network (``Entry.rename``). Weights of STCN's single-object stage get a zero channel for
    the masks of the other objects. All values become float32.

    Args:
        source: official file (state dict, or training checkpoint).
        target: the safetensors file to write; it appears only when complete.

    Returns:
        The catalogue entry of the network.

    Raises:
        CheckpointError: the file cannot be read without unpickling, is damaged, or is of another network.
    """
    tensors = read_checkpoint(source).tensors
    entry = recognise(tensors)
    if entry is None:
        known = ", ".join(entry.name for entry in MODELS if entry.signature)
        some = ", ".join(list(tensors)[:3])
        raise CheckpointError(f"{source}: weights of none of {known}; its names begin with {some}")
    matched = match(Path(source), entry.renamed(tensors), entry.build().state_dict())
    write_checkpoint(target, matched, {"network": entry.name, "source_sha256": sha256(source)})
    return entry


def install(source: Path, *, overwrite: bool = False) -> tuple[Path, Entry]:
    """Convert an official file into the cache folder, where it is found by the name of its network.

    Raises:
        CheckpointError: the file does not fit any network, or weights of its network are there.
    """
    folder = home() / "weights"
    coming = folder / f"{source.stem}.coming.safetensors"
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    entry = convert(source, coming)
    target = cached(entry)
    try:
        if target.exists() and not overwrite:
            raise CheckpointError(f"{target}: exists already; give --overwrite to replace it")
        with writing(target):
            coming.replace(target)
    finally:
        coming.unlink(missing_ok=True)
    return target, entry


def get(
    entry: Entry, *, checksum: str | None = None, offline: bool = False, report: Report | None = None
) -> Path:
    """Download and convert the weights of a network unless that is done; the official file is not kept.

    A checksum is the SHA-256 of the official file, all 64 digits, for those whose publisher gives none.
    ``offline`` uses no network; what is downloaded already is converted.

    Raises:
        DownloadError: there is nothing to download, or it cannot be had.
        CheckpointError: what was downloaded is not of this network.
    """
    target = cached(entry)
    if target.exists():
        _require_origin(target, checksum)
        return target
    if entry.remote is None:
        raise DownloadError(_no_address(entry))
    official = target.parent / entry.remote.name
    if offline and not official.exists():
        raise DownloadError(f"{official}: not there, and --offline forbids to download it")
    expected_digest(entry.remote, checksum)  # without one nothing is begun
    with alone(target.parent):
        if target.exists():  # somebody else was faster
            _require_origin(target, checksum)
            return target
        official = fetch(entry.remote, target.parent, checksum=checksum, report=report)
        found = convert(official, target)
        if found is not entry:
            target.unlink()
            raise CheckpointError(f"{official}: holds weights of {found.name}, not of {entry.name}")
        official.unlink()
    return target


def _require_origin(path: Path, checksum: str | None) -> None:
    """See that a converted file was made of the file that the caller trusts."""
    origin = read_checkpoint(path).metadata.get("source_sha256", "")
    if checksum is not None and not origin.startswith(checksum.lower()):
        raise DownloadError(
            f"{path}: was made of a file with SHA-256 {origin or 'unknown'}, not {checksum}; "
            "remove it to download again"
        )


def _no_address(entry: Entry) -> str:
    if entry.bundled is not None:
        return f"{entry.name}: its weights come with segue; nothing is to be downloaded"
    if entry.source is None:
        return f"{entry.name}: nobody published weights; train it with `{entry.training}`"
    return f"{entry.name}: cannot be downloaded by a program; get it yourself: {entry.source}"
