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

from pydantic import TypeAdapter, ValidationError

from segue.errors import SegueError, SourceError
from segue.extras import install_command
from segue.naming import is_hidden
from segue.video.addresses import public_address, stored_address
from segue.video.identity import SourceIdentity
from segue.video.mask_folder import MARKER, RECORDS
from segue.video.partial import replacing

SUBFOLDER = ".segue-batch"
"""Folder in the output with the ledger, the images of the report and what is under way."""

RESULT = ".segue.result.json"
"""File in the results of a video with its batch, video and digest."""

DONE = ".segue.done"
"""File that is written last among the results of a video at a remote place: the digest of all others."""

_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]*://[^\s'\"<>]+", re.IGNORECASE)

_CHANGED = ("mtime", "LastModified", "last_modified", "updated", "created")
"""Names under which file systems tell when a file was changed."""

_TAGS = ("ETag", "etag", "checksum", "md5Hash", "generation")
"""Names under which object stores tell what identifies the content of an object."""

_TIME = TypeAdapter(datetime)


def hide_secrets(text: str) -> str:
    """A text whose addresses have lost user names, passwords and queries, which may hold tokens."""
    return _ADDRESS.sub(_public, text)


def _public(match: re.Match[str]) -> str:
    address = match[0].rstrip(").,;:")
    try:
        return public_address(address) + match[0][len(address) :]
    except SourceError:  # nothing of what cannot be taken apart is shown
        return address.partition("://")[0] + "://..."


def without_secrets(text: str) -> str:
    """A text to be kept: user and password of its addresses are stars, and queries are hashes."""
    return _ADDRESS.sub(lambda match: _kept(match[0]), text)


def _kept(address: str) -> str:
    try:
        kept = stored_address(address)
    except SourceError:
        return address.partition("://")[0] + "://***@"
    return kept.replace("://", "://***@", 1) if "@" in address.split("/")[2] else kept


def lacks_secrets(text: str) -> bool:
    """Whether :func:`without_secrets` has changed an address of this text."""
    return "://***@" in text or "?sha256=" in text


def one_line(error: BaseException) -> str:
    """Message of an error without line breaks and secrets, or its class."""
    return hide_secrets(" ".join(str(error).split())) or type(error).__name__


def key_of(name: str) -> str:
    """16 digits that stand for a name where files are called after it."""
    return hashlib.sha256(os.fsencode(name)).hexdigest()[:16]


def is_result(folder: Path) -> bool:
    """Whether a folder holds results of segue: a batch, a video of one, a run, or masks."""
    marks = (RESULT, MARKER, RECORDS, f"masks/{MARKER}")
    return folder.name == SUBFOLDER or any((folder / name).exists() for name in marks)


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
        if Path(name).suffix.lower() in suffixes
        and not is_hidden(name.removeprefix(root))
        and not results.intersection(map(str, Path(name).parents))
    )


def remote_identity(place: str) -> SourceIdentity | None:
    """Identity of a remote file: size, time and content tag; None if unknown."""
    try:
        files, name = file_system(place)
        return _identity(place, files.info(name))
    except Exception:  # the worker that fetches it says what is wrong
        return None


def read_remote(place: str, limit: int) -> bytes:
    """Content of a small remote file."""
    try:
        files, name = file_system(place)
        with files.open(name, "rb") as file:
            content: bytes = file.read(limit + 1)
    except SegueError:
        raise
    except Exception as error:  # every fsspec backend has errors of its own
        raise SourceError(f"{hide_secrets(place)}: cannot be read ({one_line(error)})") from None
    if len(content) > limit:
        raise SourceError(f"{hide_secrets(place)}: is longer than {limit >> 20} MiB")
    return content


def fetch(place: str, folder: Path) -> Path:
    """Bring a remote file into the folder of a video, unless it is there already."""
    files, name = file_system(place)
    try:
        info = files.info(name)
        identity = _identity(place, info)
        target = folder / (key_of(f"{place} {identity}") + Path(place.split("?")[0]).suffix)
        if not target.exists():
            if "size" in info and info["size"] is None and place.lower().startswith("http"):
                raise SourceError(
                    "the server does not say how long it is, as of a stream without an end; download it, or "
                    "give the address to `segue track`, `segue foreground` or `segue instances`"
                )
            folder.mkdir(parents=True, exist_ok=True)
            with replacing(target) as partial:
                files.get_file(name, str(partial))
                arrived = partial.stat().st_size
                if identity.size not in (None, arrived):
                    raise OSError(f"{arrived} of {identity.size} bytes arrived; try again")
        time = identity.modified_ns or 0
        os.utime(target, ns=(time, time))  # the same source when it is fetched again
    except Exception as error:  # every fsspec backend has errors of its own
        raise SourceError(f"{hide_secrets(place)}: cannot be fetched ({one_line(error)})") from None
    return target


def _identity(place: str, info: dict[str, Any]) -> SourceIdentity:
    tags = [str(info[name]) for name in _TAGS if info.get(name)]
    digest = hashlib.sha256("\n".join(tags).encode()).hexdigest() if tags else None
    size, time = info.get("size"), None
    with suppress(ValidationError):
        changed = next((info[name] for name in _CHANGED if info.get(name)), None)
        time = int(_TIME.validate_python(changed).timestamp() * 1e9)
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
