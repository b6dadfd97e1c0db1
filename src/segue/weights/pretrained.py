"""Folders and repositories of networks in the layout of Hugging Face."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from segue.errors import CheckpointError, DownloadError
from segue.models.hub import REPOSITORY
from segue.registry import MODELS, Entry
from segue.utils.extras import install_command
from segue.utils.files import make_folder, write_complete, writing
from segue.utils.inputs import check_file, first_line, parse_json, sha256, user_path
from segue.weights.available import WEIGHT_FILE
from segue.weights.cards import accompanying_files, model_card
from segue.weights.checkpoint import OPTIONS, Option, are_options, write_checkpoint
from segue.weights.download import is_offline
from segue.weights.identity import network_digest
from segue.weights.prepared import load

CONFIG = "config.json"
CARD = "README.md"
MODEL_TYPE = "segue"
MAX_CONFIG_BYTES = 1 << 20


def from_pretrained(
    where: str | os.PathLike[str],
    *,
    revision: str | None = None,
    cache_dir: str | os.PathLike[str] | None = None,
    token: str | bool | None = None,
    local_files_only: bool = False,
) -> Any:
    """Load a network from a folder of :func:`save_pretrained`, or a Hugging Face repository.

    Only ``config.json`` and ``model.safetensors`` are read; every tensor must fit. A repository is downloaded
    once and then taken from the cache of huggingface_hub (extra ``hf``). Downloads obey ``HF_ENDPOINT``,
    ``HF_HUB_OFFLINE`` and ``SEGUE_OFFLINE``.

    Args:
        where: a folder, the id of a repository such as ``user/name``, or the name of a network in the
            package, such as ``stcn-lite``.
        revision: branch, tag or commit of the repository; None is its main branch. Weights and configuration
            come from one commit.
        cache_dir: folder of downloads; None is the default of huggingface_hub.
        token: access token for private repositories; None is the one of ``hf auth login``.
        local_files_only: do not use the network.

    Returns:
        The network in evaluation mode on the CPU, as :func:`segue.load` gives it.

    Raises:
        CheckpointError: it is no such folder, or its weights do not fit.
        DownloadError: the repository cannot be had.

    Example:
        >>> network = segue.from_pretrained("runs/mine")  # doctest: +SKIP
        >>> for result in segue.track("dog.mp4", prompts, model=network): ...  # doctest: +SKIP
    """
    if not user_path(where).is_dir() and str(where) in MODELS and revision is None:
        return load(str(where))
    folder = pretrained_folder(
        where, revision=revision, cache_dir=cache_dir, token=token, local_files_only=local_files_only
    )
    name, options = read_config(folder)
    network = load(name, folder)
    if getattr(network, "options", {}) != options:
        raise CheckpointError(f"{folder}: {CONFIG} and {WEIGHT_FILE} name different options of {name}")
    return network


def save_pretrained(
    network: str | nn.Module,
    folder: str | os.PathLike[str],
    *,
    name: str | None = None,
    overwrite: bool = False,
) -> Path:
    """Write a network as a folder in the layout of Hugging Face: configuration, weights and model card.

    Weights that half precision holds exactly are written in half precision. For the weights of the package
    the card says what segue's own card says, and its licence; in other cards the maker states both.
    ``hf upload USER/NAME FOLDER`` of huggingface_hub makes a repository of the folder.

    Args:
        network: the network, or the name of one, such as ``stcn-lite``.
        folder: folder to write to; it is made.
        name: name of the network in the registry, where several networks have such weights.
        overwrite: replace an earlier network there.

    Returns:
        The folder.

    Raises:
        CheckpointError: there is a network already, or the network is none of the registry.
        SinkError: it cannot be written.

    Example:
        >>> segue.save_pretrained("stcn-lite-free", "stcn-lite-free")  # doctest: +SKIP
    """
    module: nn.Module = load(network) if isinstance(network, str) else network
    name = network if isinstance(network, str) else name
    folder, state = user_path(folder), module.state_dict()
    entry = _entry_of(module, state, name)
    shipped = _is_shipped(entry, module)
    with writing(folder):
        make_folder(folder)
    if not overwrite and (existing := [kind for kind in (CONFIG, WEIGHT_FILE) if (folder / kind).exists()]):
        raise CheckpointError(
            f"{folder}: has {' and '.join(existing)} already; give overwrite=True to replace them"
        )
    options: dict[str, Option] = dict(getattr(module, "options", {}))
    metadata = {"network": entry.name} | ({OPTIONS: json.dumps(options)} if options else {})
    write_checkpoint(folder / WEIGHT_FILE, {key: _halved(value) for key, value in state.items()}, metadata)
    described = {
        "model_type": MODEL_TYPE,
        "architectures": [type(module).__name__],
        "network": entry.name,
        "task": entry.task,
        "options": options,
    }
    write_complete(folder / CARD, model_card(entry, shipped=shipped).encode())
    for path in accompanying_files(entry) if shipped else ():
        write_complete(folder / path.name, path.read_bytes())
    write_complete(folder / CONFIG, (json.dumps(described, indent=2) + "\n").encode())
    return folder


def read_config(folder: Path) -> tuple[str, dict[str, Option]]:
    """Read the network name and options of a folder of :func:`save_pretrained`."""
    path = folder / CONFIG
    check_file(path, CheckpointError, MAX_CONFIG_BYTES)
    try:
        values = parse_json(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path}: cannot be read ({error})") from None
    model_type = values.get("model_type") if isinstance(values, dict) else None
    if model_type != MODEL_TYPE:
        raise CheckpointError(
            f"{path}: model_type is {model_type!r}, not {MODEL_TYPE!r}: not written by segue.save_pretrained"
        )
    network, options = values.get("network"), values.get("options", {})
    if not isinstance(network, str) or not are_options(options):
        raise CheckpointError(f"{path}: network must be a text, and options must be names with plain values")
    MODELS.find(network)
    return network, options


def pretrained_folder(
    where: str | os.PathLike[str],
    *,
    revision: str | None = None,
    cache_dir: str | os.PathLike[str] | None = None,
    token: str | bool | None = None,
    local_files_only: bool = False,
) -> Path:
    """Local folder of a network; a repository is downloaded, see :func:`from_pretrained`."""
    if user_path(where).is_dir():
        return user_path(where)
    if not isinstance(where, str) or not REPOSITORY.fullmatch(where):
        raise CheckpointError(
            f"{where}: no such folder, and no id of a repository, which is written as user/name"
        )
    if find_spec("huggingface_hub") is None:
        raise DownloadError(
            f"{where}: no such folder; for a repository of Hugging Face {install_command('hf')}"
        )
    from huggingface_hub import hf_hub_download

    options: dict[str, Any] = {
        "cache_dir": cache_dir,
        "token": token,
        "local_files_only": local_files_only or is_offline(),
        # Read here: huggingface_hub looks at it once, when it is imported.
        "endpoint": os.environ.get("HF_ENDPOINT") or None,
    }
    with _as_download_error(where, revision):
        config = Path(hf_hub_download(where, CONFIG, revision=revision, **options))
        # The branch may have moved on meanwhile: the weights come from the commit of the configuration.
        hf_hub_download(where, WEIGHT_FILE, revision=config.parent.name, **options)
    return config.parent


def download_repository(
    repository: str, report: Callable[[str, int], None], cache_dir: str | Path | None = None
) -> Path:
    """Download a model of another library from the Hub, once; returns the folder.

    Args:
        repository: its id, such as ``facebook/sam2.1-hiera-tiny``. Configuration and safetensors alone are
            taken, all of one commit; large files are compared with the SHA-256 that the Hub has of them.
        report: receives the licence and the size in bytes before files of weights are downloaded.
        cache_dir: folder of downloads; None is the default of huggingface_hub.

    Returns:
        The folder, in the cache.

    Raises:
        DownloadError: the repository cannot be had.
    """
    if find_spec("huggingface_hub") is None:
        raise DownloadError(f"{repository}: {install_command('hf')}")
    if is_offline():
        raise DownloadError(f"{repository}: SEGUE_OFFLINE forbids downloads")
    from huggingface_hub import HfApi, hf_hub_download

    options: dict[str, Any] = {"endpoint": os.environ.get("HF_ENDPOINT") or None}
    with _as_download_error(repository, None):
        folder = Path(hf_hub_download(repository, CONFIG, cache_dir=cache_dir, **options)).parent
        info = HfApi(**options).model_info(repository, revision=folder.name, files_metadata=True)
        files = [file for file in info.siblings or () if file.rfilename.endswith((".json", ".safetensors"))]
        terms = info.card_data.get("license") if info.card_data else None
        report(str(terms or "not stated"), sum(file.size or 0 for file in files))
        for file in files:
            name = file.rfilename
            path = Path(
                hf_hub_download(repository, name, revision=folder.name, cache_dir=cache_dir, **options)
            )
            if file.lfs is not None and sha256(path) != file.lfs.sha256:
                path.resolve().unlink()
                raise DownloadError(f"{repository}: {name} is not what the Hub has of it; get it again")
    return folder


@contextmanager
def _as_download_error(where: str, revision: str | None) -> Iterator[None]:
    """Convert errors of huggingface_hub inside the block to DownloadError."""
    from huggingface_hub import errors

    reasons: dict[type[Exception], str] = {
        errors.GatedRepoError: "its owner has to let you in; then `hf auth login`",
        errors.RepositoryNotFoundError: "no such folder or repository, or it is private: `hf auth login`",
        errors.RevisionNotFoundError: "no such revision",
        errors.LocalEntryNotFoundError: "is not in the cache, and cannot be downloaded: no connection, or "
        "downloads are forbidden",
        errors.EntryNotFoundError: f"has no {CONFIG} or no {WEIGHT_FILE}; other files of weights are not "
        "read, because reading them can run foreign code",
    }
    try:
        yield
    except DownloadError:
        raise
    except Exception as error:
        location = where if revision is None else f"{where} at {revision}"
        reason = next((text for error_type, text in reasons.items() if isinstance(error, error_type)), None)
        raise DownloadError(f"{location}: {reason or first_line(error)}") from error


def _entry_of(network: nn.Module, state: dict[str, Tensor], name: str | None) -> Entry:
    fitting = [entry for entry in MODELS if entry.recognises(state)]
    if name is not None:
        fitting = [entry for entry in fitting if entry.name == name]
    if not fitting:
        description = "of the registry" if name is None else f"called {name}"
        raise CheckpointError(f"{type(network).__name__}: its weights are of no network {description}")
    return next((entry for entry in fitting if _is_shipped(entry, network)), fitting[0])


def _is_shipped(entry: Entry, network: nn.Module) -> bool:
    """Whether a network has the bundled weights of a name."""
    if entry.bundled is None:
        return False
    return network_digest(load(entry.name)) == network_digest(network)


def _halved(tensor: Tensor) -> Tensor:
    """Convert a tensor to half precision if that is lossless."""
    half = tensor.half() if tensor.dtype == torch.float32 else tensor
    return half if torch.equal(half.to(tensor.dtype), tensor) else tensor
