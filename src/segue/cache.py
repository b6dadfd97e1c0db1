"""The folder of files that segue may make again: downloads, converted weights, timings of layers."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder() -> Path:
    """``SEGUE_HOME``, else the platform's folder for caches; it need not exist."""
    chosen = os.environ.get("SEGUE_HOME")
    if chosen:
        return Path(chosen).expanduser()
    import pooch

    return Path(pooch.os_cache("segue"))
