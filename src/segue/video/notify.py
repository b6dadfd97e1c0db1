"""Tell another program of events as they happen: JSON by HTTP POST."""

from __future__ import annotations

import base64
import json
import queue
import threading
import urllib.request
import warnings
from collections.abc import Mapping
from contextlib import suppress
from http.client import HTTPException
from typing import Any
from urllib.parse import unquote, urlsplit, urlunsplit

from segue.errors import SinkError
from segue.video.live import public_address

TIMEOUT = 5.0  # seconds for one message
WAITING = 1000  # messages that may wait; when there are more, new ones are dropped
LAST_SECONDS = 10.0  # that the end of a run waits for messages


class NotifyWarning(UserWarning):
    """Somebody who is to be told of events cannot be reached; the events are in their file."""


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A message goes to the address that was given, and nowhere else."""

    def redirect_request(self, *_: object) -> None:
        return None


class Notifier:
    """Sends values as JSON by HTTP POST, in a thread and in order, so that nobody waits for the answer.

    A message that fails is not sent again; the first failure in a row warns.

    Args:
        address: where to, ``http://`` or ``https://``.

    Raises:
        SinkError: the address is of another kind.
    """

    def __init__(self, address: str) -> None:
        try:
            parts = urlsplit(address)
            known = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        except ValueError:
            known = False
        if not known:
            raise SinkError("notify: events are sent to an address http://HOST/... or https://HOST/...")
        self._shown = public_address(address)
        account, _, place = parts.netloc.rpartition("@")
        self._address = urlunsplit(parts._replace(netloc=place, fragment=""))
        self._headers = {"Content-Type": "application/json"}
        if account:
            code = base64.b64encode(unquote(account).encode()).decode("ascii")
            self._headers["Authorization"] = f"Basic {code}"
        self._opener = urllib.request.build_opener(_NoRedirect)
        self._messages: queue.Queue[bytes | None] = queue.Queue(WAITING)
        self._failed = False
        self._thread = threading.Thread(target=self._work, name="segue-notify", daemon=True)
        self._thread.start()

    def send(self, values: Mapping[str, Any]) -> None:
        """Send values, soon."""
        try:
            self._messages.put_nowait(json.dumps(values).encode())
        except queue.Full:
            self._warn("too many messages wait")

    def stop(self) -> None:
        """Send what waits, if there is time for it, and nothing after it."""
        with suppress(queue.Full):
            self._messages.put_nowait(None)

    def close(self) -> None:
        """Wait for what is to be sent, for some seconds at most."""
        try:
            self._messages.put(None, timeout=LAST_SECONDS)
        except queue.Full:
            self._warn("it is too slow; the last messages are lost")
            return
        self._thread.join(LAST_SECONDS)
        if self._thread.is_alive():
            self._warn("it is too slow; the last messages are lost")

    def _work(self) -> None:
        while (message := self._messages.get()) is not None:
            request = urllib.request.Request(self._address, message, self._headers, method="POST")
            try:
                with self._opener.open(request, timeout=TIMEOUT):
                    self._failed = False
            except (OSError, ValueError, HTTPException) as error:
                self._warn(str(getattr(error, "reason", None) or error or type(error).__name__))

    def _warn(self, reason: str) -> None:
        if not self._failed:
            self._failed = True
            warnings.warn(f"{self._shown}: not told of an event ({reason})", NotifyWarning, stacklevel=3)
