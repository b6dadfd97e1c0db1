"""Load networks with weights by name; official weights are converted once."""

from __future__ import annotations

import os
from collections.abc import Hashable, Iterator
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from segue.errors import CheckpointError, DownloadError
from segue.registry import MODELS, Entry, NetworkTask
from segue.utils.cache import cache_folder
from segue.utils.files import writing
from segue.utils.inputs import exists, sha256, user_path
from segue.utils.system import rename, sync_folder
from segue.weights.available import (
    downloaded,
    entry_for,
    missing_weights,
    takes_weights,
    weight_file,
)
from segue.weights.catalogue import recognise
from segue.weights.checkpoint import match, read_checkpoint, read_options, write_checkpoint
from segue.weights.download import Report, Trust, cached, expected_digest, fetch, file_lock, own_file

_CACHE: ContextVar[dict[Hashable, Any] | None] = ContextVar("kept", default=None)


_RANDOM = {
    nn.init.kaiming_uniform_,
    nn.init.normal_,
    nn.init.uniform_,
    torch.Tensor.normal_,
    torch.Tensor.uniform_,
}
"""Functions that fill new weights; the other functions of ``torch.nn.init`` call these."""


def own_random_numbers() -> AbstractContextManager[None]:
    """Preserve the program's random generator while layers are created."""
    return torch.random.fork_rng(devices=[])


class Unfilled(TorchFunctionMode):
    """Context in which new networks have zero weights, since random ones are slow."""

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        keywords = kwargs or {}
        if func not in _RANDOM:
            return func(*args, **keywords)
        with torch.no_grad():
            return (args[0] if args else keywords["tensor"]).zero_()


@contextmanager
def keep_networks(cache: dict[Hashable, Any]) -> Iterator[None]:
    """Reuse networks that were loaded or prepared inside the block.

    For workers that take one video after the other through the same network.

    Args:
        cache: networks that :func:`segue.load` and sessions have used in such blocks; they stay in memory as
            long as this does.

    Yields:
        None, to a ``with`` block.
    """
    token = _CACHE.set(cache)
    try:
        yield
    finally:
        _CACHE.reset(token)


def kept_networks() -> dict[Hashable, Any] | None:
    """Networks of the current :func:`keep_networks` block."""
    return _CACHE.get()


def kept_or_read(name: str, weights: str | os.PathLike[str] | None = None) -> Any:
    """Load a network with :func:`read_network`, or reuse it inside :func:`keep_networks`."""
    cache = _CACHE.get()
    if cache is None:
        return read_network(name, weights)
    key = name, weights_identity(name, weights)
    if key not in cache:
        cache[key] = read_network(name, weights)
    return cache[key]


def weights_identity(name: str, weights: str | os.PathLike[str] | None) -> Hashable:
    """Key that changes when the weight file of a network is replaced; cheaper than a hash."""
    entry = MODELS.find(name)
    if takes_weights(entry, weights):
        files = [_default_file(entry) if weights is None else weight_file(weights)]
    elif entry.folder is None:  # a method
        return None
    else:  # in the layout of another library, perhaps in several parts
        folder = entry.folder()
        files = sorted([*folder.glob("*.json"), *folder.glob("*.safetensors")])
    return tuple(map(_file_identity, files))


def _file_identity(path: Path) -> Hashable:
    if not exists(path):
        return str(path)
    status = path.stat()
    return os.path.realpath(path), status.st_size, status.st_mtime_ns, status.st_ino


def read_network(name: str, weights: str | os.PathLike[str] | None = None) -> Any:
    """Load a network with its weights, or a method without weights."""
    entry = MODELS.find(name)
    takes = takes_weights(entry, weights)
    with own_random_numbers():
        network = _filled(entry, _weight_file(entry, weights)) if takes else entry.build()
    if entry.threshold is not None:
        setattr(network, "score" if entry.task == "instances" else "threshold", entry.threshold)
    return network


def _weight_file(entry: Entry, weights: str | os.PathLike[str] | None) -> Path:
    """Weight file for a network: given, bundled or installed."""
    if weights is not None:
        return user_path(weights)
    path, bundled = _default_file(entry), entry.bundled is not None
    if bundled and entry.sha256 is not None and path.exists() and sha256(path) != entry.sha256:
        raise CheckpointError(f"{path}: the weights that came with segue are damaged; reinstall segue")
    return path


def _default_file(entry: Entry) -> Path:
    """Bundled or installed weight file of a network."""
    return downloaded(entry) if entry.bundled is None else own_file(entry)


def load_for(task: NetworkTask, name: str, weights: str | os.PathLike[str] | None = None) -> Any:
    """Load a network of one task like :func:`segue.load`; :class:`segue.registry.Entry` names its interface.

    Args:
        task: ``track``, ``foreground``, ``instances``, ``prompt``, ``detect`` or ``features``.
        name: name of the network, such as ``stcn-lite``.
        weights: weight file, converted or official; None is the network's own.

    Returns:
        The network in evaluation mode on the CPU; for names without weights, such as ``mog2``, the method
        that they stand for.

    Raises:
        CheckpointError: as :func:`segue.load`, or the network serves another task.
    """
    entry_for(task, name)
    return kept_or_read(name, weights)


def load_strict(network: nn.Module, path: str | os.PathLike[str]) -> nn.Module:
    """Fill ``network`` from a weight file, converted or official, and set evaluation mode.

    Every name and shape must fit; see :func:`segue.weights.checkpoint.match` for what is forgiven. When the
    file does not fit, the network is left as it was.

    Args:
        network: the network to fill, changed in place.
        path: weight file, see :func:`segue.weights.read_checkpoint`.

    Returns:
        ``network`` itself; its tensors keep their types and devices.

    Raises:
        CheckpointError: the file is missing, damaged, unsafe, or of another network.
    """
    tensors = read_checkpoint(path).tensors
    network.load_state_dict(match(Path(path), tensors, network.state_dict()))
    return network.eval()


def _filled(entry: Entry, path: Path) -> nn.Module:
    """Create a network with the options and weights of a file."""
    checkpoint = read_checkpoint(path)
    other = None if entry.recognises(checkpoint.tensors) else recognise(checkpoint.tensors)
    if other is not None:
        raise CheckpointError(f"{path}: holds weights of {other.name}, not of {entry.name}")
    options = read_options(path, checkpoint.metadata)
    try:
        with Unfilled():  # the file has all weights
            network: nn.Module = entry.build(**options)
    except (TypeError, ValueError) as error:
        raise CheckpointError(f"{path}: {entry.name} cannot be built as this file asks: {error}") from error
    network.load_state_dict(match(path, entry.renamed(checkpoint.tensors), network.state_dict()))
    return network.eval()


def convert(source: str | os.PathLike[str], target: str | os.PathLike[str]) -> Entry:
    """Convert a weight file of any network in the catalogue, recognised by its tensors.

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
    source = weight_file(source)
    checkpoint = read_checkpoint(source)
    tensors = checkpoint.tensors
    entry = recognise(tensors, checkpoint.metadata)
    if entry is None:
        names = ", ".join(entry.name for entry in MODELS if entry.signature)
        some = ", ".join(list(tensors)[:3])
        raise CheckpointError(f"{source}: weights of none of {names}; its names begin with {some}")
    with own_random_numbers(), Unfilled():
        shapes = entry.build().state_dict()
    matched = match(Path(source), entry.renamed(tensors), shapes)
    write_checkpoint(target, matched, {"network": entry.name, "source_sha256": sha256(source)})
    return entry


def install(source: Path, *, overwrite: bool = False) -> tuple[Path, Entry]:
    """Convert an official file into the cache folder."""
    folder = cache_folder() / "weights"
    with file_lock(folder):
        coming = folder / f"{source.stem}.coming.safetensors"
        entry = convert(source, coming)
        target = cached(entry)
        try:
            if target.exists() and not overwrite:
                raise CheckpointError(f"{target}: exists already; give --overwrite to replace it")
            with writing(target):
                rename(coming, target)  # it was synced when it was written
                sync_folder(folder)
        finally:
            coming.unlink(missing_ok=True)
    return target, entry


def get(
    entry: Entry,
    *,
    checksum: str | None = None,
    trust: Trust | None = None,
    report: Report | None = None,
) -> Path:
    """Download and convert the weights of a network unless that is done; deletes the official file."""
    target = cached(entry)
    if not exists(target):
        if entry.bundled is not None:
            raise DownloadError(f"{entry.name}: its weights come with segue; nothing is to be downloaded")
        if entry.remote is None:
            raise DownloadError(missing_weights(entry))
        expected_digest(entry.remote, checksum, trust)  # without one nothing is begun
        with file_lock(target.parent):
            if not target.exists():  # nobody else was faster
                official = fetch(entry.remote, target.parent, checksum=checksum, trust=trust, report=report)
                converted = convert(official, target)
                if converted is not entry:
                    target.unlink()
                    raise CheckpointError(
                        f"{official}: holds weights of {converted.name}, not of {entry.name}"
                    )
                official.unlink()
                return target
    origin = read_checkpoint(target).metadata.get("source_sha256", "")
    if checksum is not None and not origin.startswith(checksum.lower()):
        raise DownloadError(
            f"{target}: was made of a file with SHA-256 {origin or 'unknown'}, not {checksum}; "
            "remove it to download again"
        )
    return target
