"""Get weight files: only when asked, resumed after an interruption, checked before they get their name."""

from __future__ import annotations

import http.client
import os
import re
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pooch

from segue.errors import DownloadError
from segue.weights.checkpoint import sha256

BLOCK = 1 << 18
ATTEMPTS = 5
TIMEOUT = 30.0
FIRST_PAUSE = 1.0
"""Seconds before the second attempt; each further one waits twice as long."""

LARGEST = 4 << 30
"""Bytes beyond which no weight file goes, whatever a server says."""

Report = Callable[[int, "int | None"], None]
"""Told the bytes that are there, and their number in the end if it is known."""

_HEX = re.compile(r"[0-9a-f]{8,64}")


@dataclass(frozen=True, slots=True)
class Remote:
    """A file on the network.

    Attributes:
        address: its official https address.
        name: name that it gets here.
        sha256: checksum, hexadecimal; at least its first 8 digits, as torchvision gives them. None where the
            publisher gives none: then the caller must bring one.
        size: bytes, where they are known.
    """

    address: str
    name: str
    sha256: str | None = None
    size: int | None = None


def home() -> Path:
    """Folder of downloaded files: ``SEGUE_HOME``, else the platform's cache folder."""
    chosen = os.environ.get("SEGUE_HOME")
    return Path(chosen).expanduser() if chosen else Path(pooch.os_cache("segue"))


def offline() -> bool:
    """Whether ``SEGUE_OFFLINE`` forbids to use the network."""
    return os.environ.get("SEGUE_OFFLINE", "0") not in ("", "0")


def addresses(remote: Remote) -> list[str]:
    """Where to look for a file: first at the mirror ``SEGUE_MIRROR``, if there is one."""
    mirror = os.environ.get("SEGUE_MIRROR")
    if not mirror:
        return [remote.address]
    return [f"{mirror.rstrip('/')}/{urllib.parse.quote(remote.name)}", remote.address]


def fetch(
    remote: Remote,
    folder: Path | None = None,
    *,
    checksum: str | None = None,
    report: Report | None = None,
    pause: float = FIRST_PAUSE,
) -> Path:
    """Download a file unless it is there, and check it.

    What came before an interruption stays as ``<name>.part`` and is gone on with. The file gets its name only
    when size and checksum are right.

    Args:
        remote: what to get.
        folder: where to; None is ``weights`` in :func:`home`.
        checksum: SHA-256 that the caller trusts, where ``remote`` has none.
        report: told of the progress.
        pause: seconds before the second attempt.

    Returns:
        The file.

    Raises:
        DownloadError: no checksum is known, the network is forbidden or fails, the disk is full, or what came
            is not the file.
    """
    expected = (checksum or remote.sha256 or "").lower()
    if not _HEX.fullmatch(expected):
        raise DownloadError(
            f"{remote.name}: its publisher gives no checksum; get {remote.address} yourself, or say which "
            "SHA-256 you trust with --sha256"
        )
    folder = folder or home() / "weights"
    target = folder / remote.name
    if target.exists():
        check(target, expected, remote.size)
        return target
    if offline():
        raise DownloadError(f"{target}: not there, and SEGUE_OFFLINE forbids to download it")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        part = folder / f"{remote.name}.part"
        _fetch_from_any(addresses(remote), part, remote, report or (lambda done, total: None), pause)
        try:
            check(part, expected, remote.size)
        except DownloadError:
            part.unlink()
            raise
        part.replace(target)
    except OSError as error:
        raise DownloadError(f"{target}: cannot be written: {error.strerror or error}") from error
    return target


def check(path: Path, expected: str, size: int | None = None) -> None:
    """Hold a file against its checksum, in full or its first digits, and its size.

    Raises:
        DownloadError: it is another file.
    """
    found = path.stat().st_size
    if size is not None and found != size:
        raise DownloadError(f"{path}: {found} bytes instead of {size}; it is not the file that was published")
    digest = sha256(path)
    if not digest.startswith(expected):
        raise DownloadError(
            f"{path}: its SHA-256 is {digest}, expected {expected}; it is not the file that was published"
        )


def _fetch_from_any(places: list[str], part: Path, remote: Remote, report: Report, pause: float) -> None:
    """Try the places in turn, several times."""
    said = ""
    for attempt in range(ATTEMPTS):
        if attempt:
            time.sleep(pause * 2 ** (attempt - 1))
        for place in places:
            try:
                _fetch_once(place, part, remote.size, report)
            except (urllib.error.URLError, http.client.HTTPException, TimeoutError, ConnectionError) as error:
                said = f"{place}: {_reason(error)}"
            else:
                return
    raise DownloadError(f"{remote.name}: cannot be downloaded ({said}); the same command goes on later")


def _fetch_once(address: str, part: Path, size: int | None, report: Report) -> None:
    """Append to ``part`` what is missing.

    Raises:
        ConnectionError: the connection ended before the file did.
        DownloadError: the address is not allowed, or the file is larger than it may be.
    """
    _require_safe(address)
    begun = part.stat().st_size if part.exists() else 0
    if size is not None and begun > size:
        part.unlink()
        begun = 0
    if begun == size:
        return
    request = urllib.request.Request(address, headers={"User-Agent": "segue", "Accept-Encoding": "identity"})
    if begun:
        request.add_header("Range", f"bytes={begun}-")
    try:
        answer = urllib.request.build_opener(_SafeRedirects).open(request, timeout=TIMEOUT)
    except urllib.error.HTTPError as error:
        if error.code == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE and begun:
            # Either it is complete, which the checksum will tell, or it is something else: begin anew.
            with suppress(ValueError):
                if int(error.headers.get("Content-Range", "").rpartition("/")[2]) == begun:
                    return
            part.unlink()
        raise
    with answer:
        resumed = answer.status == http.HTTPStatus.PARTIAL_CONTENT
        begun = begun if resumed else 0
        length = answer.headers.get("Content-Length")
        total = size if length is None else begun + int(length)
        bound = min(LARGEST, size if size is not None else LARGEST)
        if total is not None and total > bound:
            raise DownloadError(f"{address}: {total} bytes, more than the {bound} that are expected")
        done = begun
        with part.open("ab" if resumed else "wb") as file:
            while block := answer.read(BLOCK):
                done += len(block)
                if done > bound:
                    raise DownloadError(f"{address}: more than the {bound} bytes that are expected")
                file.write(block)
                report(done, total)
    if total is not None and done < total:
        raise ConnectionError(f"ended after {done} of {total} bytes")


class _SafeRedirects(urllib.request.HTTPRedirectHandler):
    """Follows a server elsewhere, but never from https to anything less."""

    def redirect_request(self, req, fp, code, msg, headers, newurl):  # type: ignore[no-untyped-def]
        """The request that follows, if it is allowed."""
        _require_safe(newurl)
        if req.full_url.startswith("https:") and not newurl.startswith("https:"):
            raise DownloadError(f"{req.full_url}: redirects to {newurl}, which is not encrypted")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _require_safe(address: str) -> None:
    """Allow https, and http to this machine or to a mirror that the user named."""
    parts = urllib.parse.urlsplit(address)
    named = os.environ.get("SEGUE_MIRROR", "")
    local = parts.hostname in ("127.0.0.1", "::1", "localhost")
    trusted = bool(named) and urllib.parse.urlsplit(named)[:2] == parts[:2]
    if parts.scheme == "https" or (parts.scheme == "http" and (local or trusted)):
        return
    raise DownloadError(f"{address}: only https addresses are downloaded from")


def _reason(error: Exception) -> str:
    if isinstance(error, urllib.error.HTTPError):
        return f"the server answers {error.code} {error.reason}"
    if isinstance(error, urllib.error.URLError):
        return str(error.reason)
    return str(error) or type(error).__name__
