"""Local and remote files (``s3://``, ``gs://``, ``https://`` ...) behind one interface."""

from __future__ import annotations

import hashlib
import os
import re
import threading
import time
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, cast

from pydantic import TypeAdapter, ValidationError

from segue.errors import SegueError, SinkError, SourceError
from segue.formats.folders import MARK_FILE
from segue.formats.mask_records import MARKER, RECORDS
from segue.utils.extras import install_command
from segue.utils.files import replacing
from segue.utils.naming import is_hidden
from segue.video.sources.addresses import public_address, stored_address
from segue.video.sources.identity import SourceIdentity

SUBFOLDER = ".segue-batch"
"""Folder in the output with the ledger, images of the report and unfinished results."""

RESULT = ".segue.result.json"
"""File in the results of a video with its batch, video and digest."""

DONE = ".segue.done"
"""Last file to be uploaded among the results of a video: the digest of all others."""

ANSWER_SECONDS = 60.0
"""Seconds in which a store must answer; large files and lists have more."""

LIST_SECONDS = 1800.0
"""Seconds in which a store must list all files below a place."""

MIN_RATE = 64 << 10
"""Minimum bytes per second from a store that answers."""

UNKNOWN_SIZE = 1 << 40
"""Assumed bytes of a file of unknown size."""

BUSY = frozenset({429, 500, 502, 503, 504})
"""HTTP status codes of a store that is overloaded or restarting."""

BUSY_SECONDS = 240.0
"""Seconds for which a store may be busy before a video fails."""

FIRST_WAIT, MAX_WAIT = 0.5, 15.0
"""Seconds before a busy store is retried; each wait is twice as long as the last."""

_MAX_CAUSES = 8

_CALLS = frozenset({"info", "exists", "cat_file", "pipe_file", "put_file", "get_file", "rm_file", "find"})
"""Methods of a file system that contact the store."""

_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]*://[^\s'\"<>]+", re.IGNORECASE)

_CHANGED = ("mtime", "LastModified", "last_modified", "updated", "created")
"""Keys under which file systems report the time of modification."""

_TAGS = ("ETag", "etag", "checksum", "md5Hash", "generation")
"""Keys under which object stores report a tag of the content."""

_TIME = TypeAdapter(datetime)


class StoreSilentError(SourceError, SinkError):
    """A store accepts requests but does not answer."""


def hide_secrets(text: str) -> str:
    """Remove user names, passwords and queries, which may hold tokens, from the addresses in a text."""
    return _ADDRESS.sub(_public, text)


def _public(match: re.Match[str]) -> str:
    address = match[0].rstrip(").,;:")
    try:
        return public_address(address) + match[0][len(address) :]
    except SourceError:  # nothing of what cannot be taken apart is shown
        return address.partition("://")[0] + "://..."


def without_secrets(text: str) -> str:
    """Mask the addresses in a text for storage: user and password as stars, queries as hashes."""
    return _ADDRESS.sub(lambda match: _redact_address(match[0]), text)


def _redact_address(address: str) -> str:
    try:
        address_text = stored_address(address)
    except SourceError:
        return address.partition("://")[0] + "://***@"
    return address_text.replace("://", "://***@", 1) if "@" in address.split("/")[2] else address_text


def lacks_secrets(text: str) -> bool:
    """Whether :func:`without_secrets` has masked an address in this text."""
    return "://***@" in text or "?sha256=" in text


def one_line(error: BaseException) -> str:
    """Message of an error on one line without secrets; if empty, its class."""
    return hide_secrets(" ".join(str(error).split())) or type(error).__name__


def key_of(name: str) -> str:
    """Hash of a name, 16 hex digits, for file names."""
    return hashlib.sha256(os.fsencode(name)).hexdigest()[:16]


def is_result(folder: Path) -> bool:
    """Whether a folder holds results of segue: a batch, a video of one, a run, or masks."""
    marks = (RESULT, MARKER, RECORDS, MARK_FILE, f"masks/{MARKER}")
    return folder.name == SUBFOLDER or any((folder / name).exists() for name in marks)


def files_below(place: str, suffixes: Collection[str]) -> list[str]:
    """Addresses of the files below ``place`` with one of these suffixes, sorted, without results of segue."""
    files, root = file_system(place)
    try:
        with suppress(OSError):  # a long list takes longer than the first answer
            files.info(root)
        names = files.find(root)
    except StoreSilentError:
        raise
    except Exception as error:  # every fsspec backend has errors of its own
        raise SourceError(f"{hide_secrets(place)}: cannot be listed ({one_line(error)})") from None
    marks = (f"/{RESULT}", f"/{DONE}", f"/{MARKER}", f"/{RECORDS}", f"/{MARK_FILE}")
    results = {name.rpartition("/")[0] for name in names if name.endswith(marks)}
    return sorted(
        files.unstrip_protocol(name)
        for name in names
        if Path(name).suffix.lower() in suffixes
        and not is_hidden(name.removeprefix(root))
        and not results.intersection(map(str, Path(name).parents))
    )


def remote_identity(place: str) -> SourceIdentity | None:
    """Identity of a remote file: size, time and content tag; None if unknown."""
    try:
        files, name = file_system(place)
        return _identity(place, files.info(name))
    except StoreSilentError:  # no other file would be answered, either
        raise
    except Exception:  # the worker that fetches it says what is wrong
        return None


def read_remote(place: str, limit: int) -> bytes:
    """Content of a small remote file."""
    try:
        files, name = file_system(place)
        content: bytes = files.cat_file(name, start=0, end=limit + 1)
    except SegueError:
        raise
    except Exception as error:  # every fsspec backend has errors of its own
        raise SourceError(f"{hide_secrets(place)}: cannot be read ({one_line(error)})") from None
    if len(content) > limit:
        raise SourceError(f"{hide_secrets(place)}: is longer than {limit >> 20} MiB")
    return content


def fetch(place: str, folder: Path) -> Path:
    """Download a remote file into the folder of a video, unless it exists."""
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
        modified = identity.modified_ns or 0
        os.utime(target, ns=(modified, modified))  # the same source when it is fetched again
    except StoreSilentError:
        raise
    except Exception as error:  # every fsspec backend has errors of its own
        raise SourceError(f"{hide_secrets(place)}: cannot be fetched ({one_line(error)})") from None
    return target


def _identity(place: str, info: dict[str, Any]) -> SourceIdentity:
    tags = [str(info[name]) for name in _TAGS if info.get(name)]
    digest = hashlib.sha256("\n".join(tags).encode()).hexdigest() if tags else None
    size, modified = info.get("size"), None
    with suppress(ValidationError):
        changed = next((info[name] for name in _CHANGED if info.get(name)), None)
        modified = int(_TIME.validate_python(changed).timestamp() * 1e9)
    return SourceIdentity(
        stored_address(place), "address", None if size is None else int(size), modified, digest
    )


def file_system(place: str) -> tuple[Any, str]:
    """File system of fsspec for an address, with timeouts, and the path in it."""
    files, root = _store(place)
    return AnsweringStore(files, place), root


def _store(place: str) -> tuple[Any, str]:
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


def is_busy(error: BaseException) -> bool:
    """Whether an error says that a store is busy for now."""
    reason: BaseException | None = error
    for _ in range(_MAX_CAUSES):
        if reason is None:
            break
        if _status(reason) in BUSY:
            return True
        reason = reason.__cause__ or reason.__context__
    return False


def _status(error: BaseException) -> int | None:
    """HTTP status of an error of a client library."""
    response = getattr(error, "response", None)
    if isinstance(response, dict):  # botocore
        return cast("int | None", response.get("ResponseMetadata", {}).get("HTTPStatusCode"))
    values = (getattr(error, name, None) for name in ("status", "status_code", "code"))
    return next((value for value in values if isinstance(value, int)), None)


class AnsweringStore:
    """File system of fsspec that raises an error if the store accepts a request but does not answer.

    Clients of object stores retry for many minutes before they give up. Busy stores are retried after growing
    waits.
    """

    def __init__(self, files: Any, place: str) -> None:
        self._files, self._place = files, place

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._files, name)
        return partial(self._answer, name, value) if name in _CALLS else value

    def _answer(self, name: str, call: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        start, wait = time.monotonic(), FIRST_WAIT
        while True:
            try:
                return self._attempt(name, call, *arguments, **options)
            except Exception as error:
                if not is_busy(error) or time.monotonic() + wait > start + BUSY_SECONDS:
                    raise
            time.sleep(wait)
            wait = min(2 * wait, MAX_WAIT)

    def _attempt(self, name: str, call: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        try:
            return self._within(self._seconds(name, arguments), partial(call, *arguments, **options))
        except FileNotFoundError:
            raise
        except OSError as error:
            # Errors of single files come without text, such as 400 for keys that have expired.
            if name in ("info", "exists") and not is_busy(error):
                folder = str(arguments[0]).rpartition("/")[0]
                self._within(ANSWER_SECONDS, partial(self._files.ls, folder, refresh=True), error)
            raise

    def _seconds(self, name: str, arguments: Sequence[Any]) -> float:
        size = 0
        if name == "put_file":
            size = Path(arguments[0]).stat().st_size
        elif name == "get_file":
            size = self.info(arguments[0]).get("size") or UNKNOWN_SIZE
        return (LIST_SECONDS if name == "find" else ANSWER_SECONDS) + size / MIN_RATE

    def _within(self, seconds: float, call: Callable[[], Any], error: Exception | None = None) -> Any:
        """Call with a time limit; a call that diagnoses ``error`` may find no file."""
        results: list[Any] = []
        raised: list[BaseException] = []

        def run() -> None:
            try:
                results.append(call())
            except BaseException as problem:
                raised.append(problem)

        thread = threading.Thread(target=run, daemon=True)  # a request that hangs cannot be ended
        thread.start()
        thread.join(seconds)
        if raised and not (error is not None and isinstance(raised[0], FileNotFoundError)):
            raise raised[0] from error or raised[0].__cause__
        if not results and not raised:
            raise StoreSilentError(f"{hide_secrets(self._place)}: has not answered for {seconds:.0f} seconds")
        return results[0] if results else None
