"""Events by HTTP POST, as JSON."""

from __future__ import annotations

import base64
import urllib.request
from typing import Any
from urllib.error import HTTPError
from urllib.parse import SplitResult, unquote, urlsplit, urlunsplit

from segue.entries.events import EventSinkEntry
from segue.errors import SinkError
from segue.events.receivers.base import SENT, Delivery, EventReceiver, Message, ReceiverContext

BUSY = (408, 425, 429)
"""HTTP status codes below 500 that mean a temporary failure, not a refused message."""

MAX_ANSWER = 1 << 16
"""Maximum number of bytes read of an answer."""


class NoRedirect(urllib.request.HTTPRedirectHandler):
    """Refuses redirects, so that messages go only to the configured address."""

    def redirect_request(self, *_: object) -> None:
        return None


class HttpReceiver(EventReceiver):
    """Sends messages by HTTP POST; an answer 2xx means that one has arrived."""

    def __init__(self, context: ReceiverContext) -> None:
        parts = parts_of(context.address)
        account, _, place = parts.netloc.rpartition("@")
        self._address = urlunsplit(parts._replace(netloc=place, fragment=""))
        self._headers = {"Content-Type": "application/json"}
        if account:
            code = base64.b64encode(unquote(account).encode()).decode("ascii")
            self._headers["Authorization"] = f"Basic {code}"
        self._opener = urllib.request.build_opener(NoRedirect)

    def send(self, message: Message, timeout: float) -> Delivery:
        request = urllib.request.Request(self._address, message.body, self._headers, method="POST")
        try:
            with self._opener.open(request, timeout=timeout):
                return SENT
        except HTTPError as error:
            with error:
                return answer_of(error.code, error.reason)


def answer_of(code: int, reason: Any) -> Delivery:
    """Outcome for an HTTP answer without success."""
    refused = 400 <= code < 500 and code not in BUSY
    return Delivery("refused" if refused else "retry", f"{code} {reason}")


def parts_of(address: str) -> SplitResult:
    """Split an address that has a host; SinkError for any other."""
    try:
        parts = urlsplit(address)
        is_valid = bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_valid = False
    if not is_valid:
        raise SinkError(f"notify: {address.partition(':')[0]}: needs a host and a valid port")
    return parts


ENTRIES = (EventSinkEntry("http", HttpReceiver, schemes=("http", "https"), check=parts_of),)
