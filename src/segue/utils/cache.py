"""Folders for bundled files, caches and settings."""

from __future__ import annotations

import os
import sys
from functools import cache
from pathlib import Path

from segue.utils.notices import warn_caller

ASSETS = Path(__file__).parents[1] / "assets"
"""Bundled weights, sample video and lists."""


def cache_folder() -> Path:
    """``SEGUE_HOME`` or the platform's cache folder; it may not exist."""
    path = os.environ.get("SEGUE_HOME")
    if path:
        return Path(path).expanduser()
    import pooch

    return Path(pooch.os_cache("segue"))


def settings_folder() -> Path:
    """``SEGUE_HOME`` or the platform's settings folder; it may not exist."""
    path = os.environ.get("SEGUE_HOME")
    if path:
        return Path(path).expanduser()
    if sys.platform == "win32" and "APPDATA" in os.environ:
        return Path(os.environ["APPDATA"], "segue")
    if sys.platform == "darwin":
        return Path("~/Library/Application Support/segue").expanduser()
    return Path(os.environ.get("XDG_CONFIG_HOME") or "~/.config", "segue").expanduser()


class CacheWarning(UserWarning):
    """A cached file cannot be used and is ignored."""


def cached_file(*names: str) -> Path | None:
    """Path of a file in the cache folder.

    Args:
        names: folders and name below the cache folder.

    Returns:
        Its path; None where it is not there, or where this user may not look, which a warning says once.
    """
    path = cache_folder().joinpath(*names)
    try:
        return path if path.stat() else None
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        warn_of_cache(f"{cache_folder()}: cannot be read ({error.strerror}); SEGUE_HOME names another folder")
        return None


@cache
def warn_of_cache(text: str) -> None:
    """Warn once that a part of the cache folder cannot be used."""
    warn_caller(text, CacheWarning)
