"""Folders of files: those that come with segue, and those that it may make again (downloads, timings ...)."""

from __future__ import annotations

import os
from pathlib import Path

ASSETS = Path(__file__).parents[1] / "assets"
"""Weights, the sample video and lists that come with segue."""


def cache_folder() -> Path:
    """``SEGUE_HOME``, else the platform's folder for caches; it need not exist."""
    chosen = os.environ.get("SEGUE_HOME")
    if chosen:
        return Path(chosen).expanduser()
    import pooch

    return Path(pooch.os_cache("segue"))
