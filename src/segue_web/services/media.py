"""Media of tasks: which addresses may be read, and how."""

from __future__ import annotations

import http.client
import json
import tempfile
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from segue.events.receivers.http import NoRedirect
from segue_web.services.assistant import RequestError

MAX_MEDIA_BYTES = 4 << 30
BLOCK = 1 << 20
MAX_ANSWER = 1 << 16
"""Bytes of an answer that has a token."""

DOWNLOAD_SECONDS = 90.0
"""Longest download; Label Studio itself waits 100 seconds for an answer."""

SILENT_SECONDS = 10.0
"""Maximum seconds without data during a download."""

_SAFE = "%/:=&?~#+!$,;'@()*[]"
"""Characters of addresses that stay; people write spaces and accents in tasks that they import."""


@dataclass(frozen=True, slots=True)
class Media:
    """Local files below a folder, and files that Label Studio serves at its address, with a user's token."""

    folder: Path | None = None
    address: str | None = None
    token: str | None = None
    download_seconds: float = DOWNLOAD_SECONDS

    @contextmanager
    def opened(self, place: object) -> Iterator[Path]:
        """Open a file of a task on disk; downloads are removed after the block."""
        if not isinstance(place, str) or not place:
            raise RequestError("the task names no image or video")
        try:
            parts = urllib.parse.urlsplit(place)
            url = urllib.parse.urljoin(self.address or "", place)
            served, requested = urllib.parse.urlsplit(self.address or ""), urllib.parse.urlsplit(url)
        except ValueError:
            raise RequestError(f"{place[:200]}: is no address") from None
        if parts.path == "/data/local-files/" and not parts.netloc:
            yield self._local(urllib.parse.parse_qs(parts.query).get("d", [""])[0])
            return
        if not served.netloc or (requested.scheme, requested.netloc) != (served.scheme, served.netloc):
            raise RequestError(
                f"{place}: only local files (--media) and files of Label Studio (--label-studio) are read"
            )
        with tempfile.TemporaryDirectory() as folder:
            target = Path(folder) / ("media" + Path(requested.path).suffix[:8])
            self._download(url, target)
            yield target

    def _local(self, name: str) -> Path:
        if self.folder is None:
            raise RequestError(f"{name}: local files are not set up; start with --media FOLDER")
        root = self.folder.resolve()
        try:
            path = (root / name).resolve()
            is_allowed = path.is_relative_to(root) and path.is_file()
        except (OSError, ValueError):  # a name that no file can have
            is_allowed = False
        if not is_allowed:
            raise RequestError(f"{name[:200]}: no such file in the folder of --media")
        return path

    def _download(self, address: str, target: Path) -> None:
        end = time.monotonic() + self.download_seconds
        try:
            quoted = urllib.parse.quote(address, safe=_SAFE)
            request = urllib.request.Request(quoted, headers=self._authorization())
            answer = _OPENER.open(request, timeout=SILENT_SECONDS)
            with answer, target.open("wb") as file:
                while block := answer.read1(BLOCK):
                    file.write(block)
                    if file.tell() > MAX_MEDIA_BYTES:
                        raise RequestError(f"{address}: is larger than {MAX_MEDIA_BYTES >> 30} GiB")
                    if time.monotonic() > end:
                        raise RequestError(f"{address}: took longer than {self.download_seconds:.0f} seconds")
        except (OSError, ValueError, LookupError, TypeError, http.client.HTTPException) as error:
            raise RequestError(f"{address}: cannot be downloaded ({error})") from None

    def _authorization(self) -> dict[str, str]:
        """Authorization header of a legacy token, or of an exchanged personal access token."""
        if self.token is None:
            return {}
        if self.token.count(".") != 2:  # no JSON web token
            return {"Authorization": f"Token {self.token}"}
        place = urllib.parse.urljoin(self.address or "", "/api/token/refresh/")
        body, kind = json.dumps({"refresh": self.token}).encode(), {"Content-Type": "application/json"}
        with _OPENER.open(urllib.request.Request(place, body, kind), timeout=SILENT_SECONDS) as answer:
            return {"Authorization": f"Bearer {json.loads(answer.read(MAX_ANSWER))['access']}"}


_OPENER = urllib.request.build_opener(NoRedirect)
"""A redirect would lead the token, and the backend, elsewhere."""
