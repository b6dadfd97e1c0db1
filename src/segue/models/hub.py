"""Video models of Hugging Face transformers by name: ``hf:OWNER/NAME`` of the Hub, or a folder."""

from __future__ import annotations

import os
import re
from functools import partial
from pathlib import Path

from segue.entries.networks import Entry
from segue.errors import CheckpointError
from segue.utils.extras import missing_packages
from segue.utils.inputs import check_file, exists, parse_json, user_path
from segue.utils.lazy import LazyCallable

PREFIX = "hf:"
CONFIG = "config.json"
WEIGHTS = ("model.safetensors", "model.safetensors.index.json")
"""Files of weights, whole or in parts."""

VIDEO_MODELS = {
    "edgetam_video": ("EdgeTamVideoModel", "Sam2VideoProcessor"),
    "sam2_video": ("Sam2VideoModel", "Sam2VideoProcessor"),
    "sam3_tracker_video": ("Sam3TrackerVideoModel", "Sam3TrackerVideoProcessor"),
    "sam3_video": ("Sam3TrackerVideoModel", "Sam3TrackerVideoProcessor"),
}
"""Classes of model and processor by the ``model_type`` of a configuration."""

REPOSITORY = re.compile(r"[\w.-]{1,96}/[\w.-]{1,96}", re.ASCII)


def video_entry(name: str) -> Entry | None:
    """Registry entry of a video model; None for other names."""
    if not name.startswith(PREFIX) and not (os.sep in name and _is_video_model(user_path(name))):
        return None
    folder = partial(folder_of, name)
    return Entry(
        name=name,
        task="track",
        build=partial(_read, name),
        folder=folder,
        prompts=frozenset({"mask", "box", "point"}),
        licence="that of its repository",
    )


def folder_of(name: str) -> Path:
    """Local folder of a model, or the cache of the Hub; downloads nothing.

    Raises:
        CheckpointError: there is none.
    """
    where = name.removeprefix(PREFIX)
    if user_path(where).is_dir():
        return user_path(where)
    if not REPOSITORY.fullmatch(where):
        raise CheckpointError(
            f"{name}: no such folder, and no repository, which is written as {PREFIX}OWNER/NAME"
        )
    if missing := missing_packages("hf"):
        raise CheckpointError(f"{name}: models of transformers need {missing}")
    from huggingface_hub import try_to_load_from_cache

    config = try_to_load_from_cache(where, CONFIG)
    if isinstance(config, str) and any(exists(Path(config).parent / file) for file in WEIGHTS):
        return Path(config).parent
    raise CheckpointError(
        f"{name}: its weights are not here; `segue weights get {name}` shows its licence and downloads it"
    )


def model_type(config: Path) -> str:
    """Model type in the configuration of a transformers folder."""
    check_file(config, CheckpointError)
    try:
        described = parse_json(config.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{config}: cannot be read ({error})") from None
    return str(described.get("model_type", "")) if isinstance(described, dict) else ""


def _is_video_model(folder: Path) -> bool:
    try:
        return exists(folder / CONFIG) and model_type(folder / CONFIG) in VIDEO_MODELS
    except CheckpointError:
        return False


def _read(name: str) -> object:
    return LazyCallable("segue.models.transformers_video:read_video_model")(folder_of(name))
