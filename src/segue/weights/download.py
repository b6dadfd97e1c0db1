"""Download weight files on request, resumable and checked.

requests downloads; which address, how often, and what may come of it is decided here.
"""

from __future__ import annotations

import os
import re
import time
import urllib.parse
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock

from segue.entries.networks import Entry, Remote
from segue.errors import DownloadError
from segue.utils.cache import ASSETS, cache_folder, cached_file
from segue.utils.inputs import sha256
from segue.utils.system import replace_file

if TYPE_CHECKING:
    from requests import Response

BLOCK = 1 << 18
ATTEMPTS = 5
TIMEOUT = 30.0
FIRST_PAUSE = 1.0
"""Seconds before the second attempt; each further one waits twice as long."""

MAX_PAGE_BYTES = 1 << 20
"""Bytes of a page that asks for a confirmation, at most."""

MAX_WEIGHT_BYTES = 4 << 30
"""Largest accepted weight file in bytes."""

Trust = Callable[[str], bool]
"""Decides once whether a file with this SHA-256, which its publisher does not state, is trusted."""

Report = Callable[[int, "int | None"], None]
"""Receives the number of bytes so far, and the total if known."""

_DIGITS = re.compile(r"[0-9]{1,18}")
_SHA256 = re.compile(r"[0-9a-f]{64}")

_TEMPORARY = frozenset({408, 425, 429})
"""Status codes below 500 of temporary failures."""


def drive_address(file: str) -> str:
    """Address of a public file of Google Drive by id; large files ask for confirmation."""
    return f"https://drive.usercontent.google.com/download?id={file}&export=download"


def fetch(
    remote: Remote,
    folder: Path,
    *,
    checksum: str | None = None,
    trust: Trust | None = None,
    report: Report | None = None,
    pause: float = FIRST_PAUSE,
) -> Path:
    """Download and check a file unless it exists; waits for other processes in the folder."""
    expected = expected_digest(remote, checksum, trust)
    if Path(remote.name).name != remote.name or remote.name in ("", ".."):
        raise DownloadError(f"{remote.name!r}: no name of a file in {folder}")
    target, part = folder / remote.name, folder / f"{remote.name}.part"
    with file_lock(folder):
        if target.exists():
            _check(target, expected, remote)
            _agree(target, expected, remote, trust)
            return target
        if is_offline():
            raise DownloadError(f"{target}: not there, and SEGUE_OFFLINE forbids to download it")
        try:
            if part.is_symlink():  # what is written must not go elsewhere
                part.unlink()
            _fetch_from_any(remote, part, expected, report or (lambda done, total: None), pause)
            _agree(part, expected, remote, trust)
            replace_file(part, target)
        except OSError as error:
            raise DownloadError(f"{target}: cannot be written: {error.strerror or error}") from error
    return target


def _agree(path: Path, expected: str, remote: Remote, trust: Trust | None) -> None:
    """Ask for trust in a file without a known checksum."""
    if expected or remote.has_checksum:
        return
    digest = sha256(path)
    if trust is None or not trust(digest):
        raise DownloadError(f"{remote.name}: its SHA-256 {digest} is not trusted; nothing was installed")


@contextmanager
def file_lock(folder: Path) -> Iterator[None]:
    """Lock a download folder against other processes and threads, creating it if needed."""
    lock = FileLock(folder.with_name(f".{folder.name}.lock"), is_singleton=True)  # who holds it may ask again
    try:
        folder.mkdir(parents=True, exist_ok=True)
        acquired = lock.acquire()
    except OSError as error:
        raise DownloadError(f"{folder}: cannot be written: {error.strerror or error}") from error
    with acquired:
        yield


def _check(path: Path, expected: str, remote: Remote) -> None:
    """Check the size of a file and its checksums, full or abbreviated."""
    import pooch  # imports requests, which takes long

    num_bytes, size = path.stat().st_size, remote.size
    if size is not None and num_bytes != size:
        raise DownloadError(
            f"{path}: {num_bytes} bytes instead of {size}; it is not the file that was published"
        )
    if remote.md5 is not None and (digest := pooch.file_hash(path, "md5")) != remote.md5:
        raise DownloadError(
            f"{path}: its MD5 is {digest}, expected {remote.md5}; it is not the file that was published"
        )
    secure = sha256(path)
    if not secure.startswith(expected):
        raise DownloadError(
            f"{path}: its SHA-256 is {secure}, expected {expected}; it is not the file that was published"
        )


def expected_digest(remote: Remote, checksum: str | None, trust: Trust | None = None) -> str:
    """Required prefix of the SHA-256; empty if ``trust`` is to be asked."""
    if checksum is None:
        if not remote.has_checksum and trust is None:
            raise DownloadError(
                f"{remote.name}: its publisher gives no checksum; say which SHA-256 you trust with --sha256, "
                "or take the file as it comes with --trust"
            )
        return remote.sha256 or ""
    digest = checksum.strip().lower()
    if not _SHA256.fullmatch(digest):
        raise DownloadError(f"--sha256 {checksum!r}: a SHA-256 has 64 hexadecimal digits")
    if remote.sha256 is not None and not digest.startswith(remote.sha256):
        raise DownloadError(
            f"{remote.name}: the SHA-256 that its publisher gives begins with {remote.sha256}, "
            f"not as {digest}"
        )
    return digest


def _fetch_from_any(remote: Remote, part: Path, expected: str, report: Report, pause: float) -> None:
    """Try the addresses in turn, several times; one without the right file is dropped."""
    from requests import RequestException

    mirror = os.environ.get("SEGUE_MIRROR")
    left = [f"{mirror.rstrip('/')}/{urllib.parse.quote(remote.name)}"] if mirror else []
    left.append(remote.address)
    last = DownloadError(f"{remote.name}: there is no address to download it from")
    for attempt in range(ATTEMPTS):
        if attempt and left:
            time.sleep(pause * 2 ** (attempt - 1))
        for place in tuple(left):
            begins = not part.exists()
            try:
                _fetch_part(place, part, remote.size, report)
                _check(part, expected, remote)
                return
            except RequestException as error:
                status = 500 if error.response is None else error.response.status_code
                given_up = status < 500 and status not in _TEMPORARY
                last = DownloadError(
                    f"{remote.name}: cannot be downloaded ({place}: {error}); the same command goes on later"
                )
            except DownloadError as error:
                # What an earlier run or another address began may be at fault: then once more from the start.
                given_up, last = begins, error
                part.unlink(missing_ok=True)
            if given_up:
                left.remove(place)
    raise last


def _fetch_part(address: str, part: Path, size: int | None, report: Report) -> None:
    """Append the missing bytes to ``part``; an early end is a RequestException."""
    import requests

    _require_safe(address)
    bound, done = min(size or MAX_WEIGHT_BYTES, MAX_WEIGHT_BYTES), part.stat().st_size if part.exists() else 0
    if done == size:
        return
    headers = {"User-Agent": "segue", "Accept-Encoding": "identity"}
    if 0 < done <= bound:
        headers["Range"] = f"bytes={done}-"
    hooks = {"response": _check_redirect}
    how: dict[str, Any] = {"stream": True, "timeout": TIMEOUT, "headers": headers, "hooks": hooks}
    with ExitStack() as open_answers:
        answer = open_answers.enter_context(requests.get(address, **how))
        if (confirmed := _confirmation(answer)) is not None:
            _require_safe(confirmed, address)
            answer = open_answers.enter_context(requests.get(confirmed, **how))
        goes_on = answer.headers.get("Content-Range", "").startswith(f"bytes {done}-")
        if answer.status_code == 416 or (answer.status_code == 206 and not goes_on):
            part.unlink(missing_ok=True)
            if done:  # of another file, or whole already: once more from the start
                _fetch_part(address, part, size, report)
                return
            raise requests.ConnectionError("has not the part that it was asked for")
        answer.raise_for_status()
        done = done if answer.status_code == 206 else 0
        length = answer.headers.get("Content-Length", "")
        # A length that is no number says nothing; whether all came, the checksum tells.
        total = done + int(length) if _DIGITS.fullmatch(length) else size
        if total is not None and total > bound:
            raise DownloadError(f"{address}: {total} bytes, more than the {bound} that are expected")
        with part.open("ab" if done else "wb") as file:
            for block in answer.iter_content(BLOCK):
                done += len(block)
                if done > bound:
                    raise DownloadError(f"{address}: more than the {bound} bytes that are expected")
                file.write(block)
                report(done, total)


class _Form(HTMLParser):
    """Parser of the form that confirms the download of a large file."""

    def __init__(self) -> None:
        super().__init__()
        self.action, self.fields = "", dict[str, str]()

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        """Read the address of the form, and its hidden fields."""
        values = {name: value or "" for name, value in attributes}
        if tag == "form" and values.get("id") == "download-form":
            self.action = values.get("action", "")
        elif tag == "input" and self.action and values.get("type") == "hidden":
            self.fields[values.get("name", "")] = values.get("value", "")


def _confirmation(answer: Response) -> str | None:
    """Address that confirms a download of Google Drive, if the answer asks for it."""
    if answer.status_code != 200 or "text/html" not in answer.headers.get("Content-Type", ""):
        return None
    form = _Form()
    form.feed(next(answer.iter_content(MAX_PAGE_BYTES), b"").decode("utf-8", "replace"))
    if not form.action:
        raise DownloadError(
            f"{answer.url}: a page of text instead of the file, such as a login; open it in a browser"
        )
    action = urllib.parse.urljoin(answer.url, form.action)
    return f"{action}{'&' if '?' in action else '?'}{urllib.parse.urlencode(form.fields)}"


def _check_redirect(answer: Response, **_: object) -> None:
    """Raise an error if an answer redirects to an address that is not safe."""
    if answer.is_redirect:
        _require_safe(urllib.parse.urljoin(answer.url, answer.headers["location"]), answer.url)


def _require_safe(address: str, redirected_from: str = "") -> None:
    """Raise an error for http, except to this machine or a configured mirror."""
    parts = urllib.parse.urlsplit(address)
    mirror = os.environ.get("SEGUE_MIRROR", "")
    local = parts.hostname in ("127.0.0.1", "::1", "localhost")
    trusted = bool(mirror) and urllib.parse.urlsplit(mirror)[:2] == parts[:2]
    if parts.scheme != "https" and not (parts.scheme == "http" and (local or trusted)):
        raise DownloadError(f"{address}: only https addresses are downloaded from")
    if redirected_from.startswith("https:") and parts.scheme != "https":
        raise DownloadError(f"{redirected_from}: redirects to {address}, which is not encrypted")


def is_offline() -> bool:
    """Whether ``SEGUE_OFFLINE`` forbids downloads."""
    return os.environ.get("SEGUE_OFFLINE", "0") not in ("", "0")


def cached(entry: Entry) -> Path:
    """Path for the converted weights of a network; it may not exist."""
    return cache_folder() / "weights" / f"{entry.name}.safetensors"


def installed(entry: Entry) -> Path | None:
    """Path of the converted weights in the cache folder, or None."""
    return cached_file("weights", cached(entry).name)


def own_file(entry: Entry) -> Path:
    """Path of the weights of a network: bundled, or in the cache folder."""
    return cached(entry) if entry.bundled is None else ASSETS / entry.bundled


def is_available(entry: Entry) -> bool:
    """Whether the weights of a network are bundled or in the cache folder."""
    return entry.bundled is not None or installed(entry) is not None
