"""The user's lock file: which SHA-256 a download without a published checksum had when it was trusted."""

from __future__ import annotations

import json
import re
from pathlib import Path

from segue.cache import cache_folder
from segue.errors import DownloadError
from segue.inputs import parse_json
from segue.video.partial import write_complete

SHA256 = re.compile(r"[0-9a-f]{64}")


def pins_file() -> Path:
    """Path of the lock file."""
    return cache_folder() / "weights" / "trusted.json"


def pinned(address: str) -> str | None:
    """The SHA-256 that was pinned for an address; None where none was."""
    return _read().get(address)


def pin(address: str, digest: str) -> None:
    """Pin the SHA-256 of an address."""
    pins = _read() | {address: digest}
    write_complete(pins_file(), (json.dumps(pins, indent=1, sort_keys=True) + "\n").encode("ascii"))


def _read() -> dict[str, str]:
    path = pins_file()
    if not path.exists():
        return {}
    try:
        found = parse_json(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DownloadError(f"{path}: cannot be read ({error}); repair or remove it") from error
    if not isinstance(found, dict) or not all(
        isinstance(digest, str) and SHA256.fullmatch(digest) for digest in found.values()
    ):
        raise DownloadError(f"{path}: is no list of addresses with a SHA-256 each; repair or remove it")
    return found
