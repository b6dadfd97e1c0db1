"""Folders of Hugging Face transformers (extra ``hf``), loaded without executing code in them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from segue.errors import CheckpointError
from segue.utils.extras import missing_packages
from segue.utils.naming import first_few


def import_transformers() -> Any:
    """Import the package transformers."""
    if missing := missing_packages("hf"):
        raise CheckpointError(f"models of transformers need {missing}")
    import transformers

    return transformers


@contextmanager
def loading(library: Any, folder: Path) -> Iterator[None]:
    """Hide progress of transformers, and convert its errors to CheckpointError.

    The random numbers with which it fills weights are not those of the program.
    """
    logging = library.utils.logging
    was_enabled = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        with torch.random.fork_rng(devices=[]):
            yield
    except Exception as error:  # whatever the library runs into with a foreign folder
        raise CheckpointError(f"{folder}: transformers cannot load it ({error})") from error
    finally:
        if was_enabled:
            logging.enable_progress_bar()


def require_keys(folder: Path, report: Mapping[str, Any]) -> None:
    """Raise an error if a model of transformers lacks weights in a folder."""
    for what in ("missing_keys", "mismatched_keys"):
        if names := sorted(map(str, report[what])):
            raise CheckpointError(f"{folder}: {len(names)} {what.replace('_', ' ')}: {first_few(names, 10)}")
