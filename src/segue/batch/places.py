"""Files here and elsewhere, under one name: local paths, and what fsspec knows (``s3://``, ``gs://``, ``https://``)."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Collection
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

from segue.errors import SegueError, SourceError
from segue.extras import install_command
from segue.video.addresses import is_url, public_address, stored_address
from segue.video.identity import SourceIdentity
from segue.video.mask_folder import MARKER, RECORDS
from segue.video.partial import PartialFile, remove_partial

RESULT = ".segue.result.json"
"""File in the results of a video with its batch, video and digest."""

DONE = ".segue.done"
"""File that is written last among the results of a video at a remote place: the digest of all others."""

_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]*://[^\s'\"<>]+", re.IGNORECASE)

_CHANGED = ("mtime", "LastModified", "last_modified", "updated", "created")
"""Names under which file systems tell when a file was changed."""

_TAGS = ("ETag", "etag", "checksum", "md5Hash", "generation")
"""Names under which object stores tell what identifies the content of an object."""


def is_remote(place: str) -> bool:
    """Whether it is an address rather than a path."""
    return is_url(place)


def hide_secrets(text: str) -> str:
    """A text whose addresses have lost user names, passwords and queries, which may hold tokens."""
    return _ADDRESS.sub(_public, text)


def _public(match: re.Match[str]) -> str:
    address = match[0].rstrip(").,;:")
    try:
        return public_address(address) + match[0][len(address) :]
    except SourceError:  # nothing of what cannot be taken apart is shown
        return address.partition("://")[0] + "://..."


def is_result(folder: Path) -> bool:
    """Whether a folder holds results of segue: of a video of a batch, of a run, or masks."""
    return any((folder / name).exists() for name in (RESULT, MARKER, RECORDS, f"masks/{MARKER}"))


def files_below(place: str, suffixes: Collection[str]) -> list[str]:
    """Addresses of the files below ``place`` with one of these endings, sorted, without results of segue."""
    files, root = file_system(place)
    try:
        found = files.find(root)
    except Exception as error:  # every fsspec backend has errors of its own
        raise SourceError(f"{hide_secrets(place)}: cannot be listed ({one_line(error)})") from None
    marks = (f"/{RESULT}", f"/{DONE}", f"/{MARKER}", f"/{RECORDS}")
    results = {name.rpartition("/")[0] for name in found if name.endswith(marks)}
    return sorted(
        files.unstrip_protocol(name)
        for name in found
        if Path(name).suffix.lower() in suffixes and not results.intersection(map(str, Path(name).parents))
    )


def remote_identity(place: str) -> SourceIdentity | None:
    """Identity of a remote file: size, time and content tag; None if unknown."""
    try:
        files, name = file_system(place)
        info = files.info(name)
    except Exception:  # the worker that fetches it says what is wrong
        return None
    return _identity(place, info)


def fetch(place: str, folder: Path) -> Path:
    """Bring a remote file into ``folder``, which is for one video alone; one that is there is taken as it is.

    Its time is that of the remote file, so that it is the same source when it is fetched again.
    """
    plain = place.split("?")[0]
    target = folder / (hashlib.sha256(os.fsencode(place)).hexdigest()[:16] + Path(plain).suffix)
    partial = PartialFile(target)
    try:
        files, name = file_system(place)
        identity = _identity(place, files.info(name))
        time = identity.modified_ns or 0
        if target.exists():
            status = target.stat()
            if identity.size in (None, status.st_size) and status.st_mtime_ns == time:
                return target
        folder.mkdir(parents=True, exist_ok=True)
        remove_partial(folder)
        files.get_file(name, str(partial.path))
        partial.commit()
        os.utime(target, ns=(time, time))
    except SegueError:
        raise
    except Exception as error:
        raise SourceError(f"{hide_secrets(place)}: cannot be fetched ({one_line(error)})") from None
    finally:
        partial.discard()
    return target


def _identity(place: str, info: dict[str, Any]) -> SourceIdentity:
    size = info.get("size")
    tags = [str(info[name]) for name in _TAGS if info.get(name)]
    digest = hashlib.sha256("\n".join(tags).encode()).hexdigest() if tags else None
    changed = next((info[name] for name in _CHANGED if info.get(name)), None)
    with suppress(ValueError):
        changed = datetime.fromisoformat(changed) if isinstance(changed, str) else changed
    if isinstance(changed, datetime):
        changed = changed.timestamp()
    time = int(changed * 1e9) if isinstance(changed, (int, float)) else None
    return SourceIdentity(stored_address(place), "address", None if size is None else int(size), time, digest)


def file_system(place: str) -> tuple[Any, str]:
    """The file system of fsspec for an address, and the path there."""
    try:
        import fsspec
    except ImportError:
        raise SegueError(
            f"{hide_secrets(place)}: addresses need fsspec: {install_command('cluster')}"
        ) from None
    try:
        return fsspec.core.url_to_fs(place)  # type: ignore[no-any-return]
    except (ImportError, ValueError) as error:
        raise SegueError(f"{hide_secrets(place)}: {one_line(error)}") from None


def one_line(error: BaseException) -> str:
    """Message of an error without line breaks and secrets, or its class."""
    return hide_secrets(" ".join(str(error).split())) or type(error).__name__
