"""Services that replace the picture of a message by a better one: ntfy, Telegram and Discord."""

from __future__ import annotations

import base64
import json
import secrets
import threading
import time
import urllib.request
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlencode, urlsplit

from segue.events.images.best_views import BETTER
from segue.events.receivers.base import BetterView
from segue.events.receivers.http import MAX_ANSWER, NoRedirect
from segue.utils.threads import context_thread
from segue.utils.version import __version__

PICTURE_SECONDS = (4.0, 8.0, 16.0)
"""Seconds from a message to its first new picture, and from each one to the next; then it stays."""

MAX_VISITS = 64
"""Number of the latest visits whose messages may get a better picture."""

TIMEOUT = 20.0
"""Seconds that a service may take for a new picture."""

MAX_CAPTION = 1024
"""Maximum number of characters with a picture; Telegram takes no more."""

QUIET = "2"
"""Priority of ntfy without sound, for a message that everybody has already."""

_COMMON = frozenset(("rto", "cto", "priority"))
"""Parameters of addresses of Apprise that change no message."""


class Text(NamedTuple):
    """Title and text of a message."""

    title: str
    text: str


class PictureService:
    """A service that can replace the picture of a message.

    Args:
        plugin: that of Apprise for the address.
    """

    parameters: frozenset[str] = _COMMON
    """Parameters of addresses that the service knows."""

    def __init__(self, plugin: Any) -> None:
        raise NotImplementedError

    def send(self, text: Text, picture: bytes, timeout: float) -> str:
        """Send a message with a picture; returns its id, empty if the picture cannot be replaced."""
        raise NotImplementedError

    def replace(self, id: str, text: Text, picture: bytes, timeout: float) -> None:
        """Replace the picture of a message; raises OSError, ValueError or HTTPException."""
        raise NotImplementedError


class Ntfy(PictureService):
    """A topic of ntfy: a message with the same sequence id takes the place of the earlier one."""

    parameters = _COMMON | {"mode", "auth", "token"}

    def __init__(self, plugin: Any) -> None:
        (topic,) = plugin.topics
        self._headers = {"X-Priority": str(plugin.priority)}
        base = plugin.cloud_notify_url
        if plugin.mode == "private":
            port = f":{plugin.port}" if isinstance(plugin.port, int) else ""
            base = f"{'https' if plugin.secure else 'http'}://{plugin.host}{port}"
            if plugin.auth == "token":
                self._headers["Authorization"] = f"Bearer {plugin.token}"
            elif plugin.user:
                account = base64.b64encode(f"{plugin.user}:{plugin.password or ''}".encode()).decode()
                self._headers["Authorization"] = f"Basic {account}"
        self._address = f"{base}/{topic}"

    def send(self, text: Text, picture: bytes, timeout: float) -> str:
        id = secrets.token_hex(8)
        answer = self._request(id, text, picture, timeout)
        return id if answer.get("sequence_id") == id else ""  # a server before 2.16 would send a second one

    def replace(self, id: str, text: Text, picture: bytes, timeout: float) -> None:
        self._request(id, text, picture, timeout, {"X-Priority": QUIET})

    def _request(
        self, id: str, text: Text, picture: bytes, timeout: float, more: Mapping[str, str] | None = None
    ) -> dict[str, Any]:
        query = urlencode({"title": text.title, "message": text.text, "filename": "image.jpg"})
        headers = self._headers | {"X-Sequence-ID": id} | dict(more or {})
        return _ask(f"{self._address}?{query}", picture, headers, timeout)


class Telegram(PictureService):
    """A chat of Telegram: one message with the picture, whose media a bot can edit."""

    parameters = _COMMON | {"silent", "topic", "thread"}

    def __init__(self, plugin: Any) -> None:
        ((chat, topic),) = plugin.targets
        self._address = f"{plugin.notify_url}{plugin.bot_token}"
        self._chat = {"chat_id": str(chat)}
        self._first = {"message_thread_id": str(topic)} if topic else {}
        self._first |= {"disable_notification": "true"} if plugin.silent else {}

    def send(self, text: Text, picture: bytes, timeout: float) -> str:
        fields = self._chat | self._first | {"caption": _caption(text)}
        answer = self._post("sendPhoto", fields, picture, timeout)
        result = answer.get("result")
        return str(result.get("message_id") or "") if isinstance(result, dict) else ""

    def replace(self, id: str, text: Text, picture: bytes, timeout: float) -> None:
        media = {"type": "photo", "media": "attach://photo", "caption": _caption(text)}
        fields = self._chat | {"message_id": id, "media": json.dumps(media)}
        self._post("editMessageMedia", fields, picture, timeout)

    def _post(self, method: str, fields: Mapping[str, str], picture: bytes, timeout: float) -> dict[str, Any]:
        form, headers = _form(fields, "photo", picture)
        return _ask(f"{self._address}/{method}", form, headers, timeout)


class Discord(PictureService):
    """A webhook of Discord, which can edit its own messages."""

    parameters = _COMMON | {"thread"}

    def __init__(self, plugin: Any) -> None:
        base = plugin.notify_url.replace("/api/", "/api/v10/")
        self._address = f"{base}/{plugin.webhook_id}/{plugin.webhook_token}"
        self._thread = {"thread_id": str(plugin.thread_id)} if plugin.thread_id else {}
        self._first = {"username": plugin.user} if plugin.user else {}

    def send(self, text: Text, picture: bytes, timeout: float) -> str:
        about = {**self._first, "content": _caption(text), "allowed_mentions": {"parse": []}}
        query = urlencode({"wait": "true", **self._thread})
        return str(self._request("POST", f"?{query}", about, picture, timeout).get("id") or "")

    def replace(self, id: str, text: Text, picture: bytes, timeout: float) -> None:
        query = f"?{urlencode(self._thread)}" if self._thread else ""
        self._request("PATCH", f"/messages/{id}{query}", {}, picture, timeout)

    def _request(
        self, method: str, place: str, about: Mapping[str, Any], picture: bytes, timeout: float
    ) -> dict[str, Any]:
        whole = {
            **about,
            "attachments": [{"id": 0, "filename": "image.jpg"}],
        }  # those that it has from now on
        form, headers = _form({"payload_json": json.dumps(whole)}, "files[0]", picture)
        return _ask(self._address + place, form, headers, timeout, method)


def _caption(text: Text) -> str:
    return f"{text.title}\n{text.text}"[:MAX_CAPTION]


def _form(fields: Mapping[str, str], name: str, picture: bytes) -> tuple[bytes, dict[str, str]]:
    """Encode fields and a picture as a form; returns its body and headers."""
    mark = secrets.token_hex(16)
    about = f'Content-Disposition: form-data; name="{name}"; filename="image.jpg"\r\nContent-Type: image/jpeg'
    parts = [
        f'Content-Disposition: form-data; name="{field}"\r\n\r\n{value}'.encode()
        for field, value in fields.items()
    ]
    parts.append(about.encode() + b"\r\n\r\n" + picture)
    body = b"".join(b"--%s\r\n%s\r\n" % (mark.encode(), part) for part in parts)
    return body + b"--%s--\r\n" % mark.encode(), {"Content-Type": f"multipart/form-data; boundary={mark}"}


def _ask(
    address: str, body: bytes, headers: Mapping[str, str], timeout: float, method: str = "POST"
) -> dict[str, Any]:
    about = {"User-Agent": f"segue/{__version__}", **headers}  # Discord refuses that of Python
    request = urllib.request.Request(address, body, about, method=method)
    with urllib.request.build_opener(NoRedirect).open(request, timeout=timeout) as answer:
        text = answer.read(MAX_ANSWER)
    try:
        values = json.loads(text)
    except ValueError:  # it was taken all the same
        values = None
    return values if isinstance(values, dict) else {}


_SERVICES: Mapping[str, type[PictureService]] = {
    "NotifyNtfy": Ntfy,
    "NotifyTelegram": Telegram,
    "NotifyDiscord": Discord,
}


def picture_service_of(address: str, plugins: Sequence[Any]) -> PictureService | None:
    """Service of an address of Apprise, if it has one target and no parameter that it does not know."""
    kind = _SERVICES.get(type(plugins[0]).__name__) if len(plugins) == 1 else None
    if kind is None or not kind.parameters.issuperset(parse_qs(urlsplit(address).query)):
        return None
    try:
        return kind(plugins[0])
    except (ValueError, AttributeError, TypeError):  # several chats or topics, or another version of Apprise
        return None


@dataclass(slots=True)
class _Sent:
    """A message whose picture may be replaced."""

    service: PictureService
    id: str
    text: Text
    picture: int  # its hash
    score: float
    due: float
    replaced: int = 0


class PictureReplacer:
    """Replaces the pictures of messages by better views, in a thread.

    A failure changes nothing: the message has its earlier picture.
    """

    def __init__(self) -> None:
        self._messages: OrderedDict[int, _Sent] = OrderedDict()  # by visit
        self._views: OrderedDict[int, tuple[Path, float]] = OrderedDict()
        self._changed = threading.Condition()
        self._ends = False
        self._thread = context_thread(self._work, "segue-pictures")
        self._thread.start()

    def add(
        self, visit: int, service: PictureService, id: str, text: Text, picture: bytes, score: float
    ) -> None:
        """Add a message of a visit that was sent with a picture."""
        due = time.monotonic() + PICTURE_SECONDS[0]
        with self._changed:
            self._messages[visit] = _Sent(service, id, text, hash(picture), score, due)
            self._messages.move_to_end(visit)
            _limit(self._messages)
            self._changed.notify()

    def offer(self, view: BetterView) -> None:
        """Add a better view of a visit."""
        with self._changed:
            self._views[view.visit] = view.path, view.score
            self._views.move_to_end(view.visit)
            _limit(self._views)
            self._changed.notify()

    def close(self) -> None:
        """End without replacing further pictures."""
        with self._changed:
            self._ends = True
            self._changed.notify()

    def _work(self) -> None:
        while (pending := self._next()) is not None:
            message, path, score = pending
            try:
                picture = path.read_bytes()
                if hash(picture) == message.picture:
                    continue
                message.service.replace(message.id, message.text, picture, TIMEOUT)
                message.picture = hash(picture)
            except (OSError, ValueError, HTTPException):  # a later view tries again
                continue
            finally:
                message.score, message.replaced = score, message.replaced + 1
                if message.replaced < len(PICTURE_SECONDS):
                    message.due = time.monotonic() + PICTURE_SECONDS[message.replaced]

    def _next(self) -> tuple[_Sent, Path, float] | None:
        """Wait for the next message whose picture is to be replaced; None at the end."""
        with self._changed:
            while not self._ends:
                pending = [
                    (message, *self._views[visit])
                    for visit, message in self._messages.items()
                    if message.replaced < len(PICTURE_SECONDS)
                    and visit in self._views
                    and self._views[visit][1] > BETTER * message.score
                ]
                first = min(pending, key=lambda each: each[0].due, default=None)
                seconds = None if first is None else first[0].due - time.monotonic()
                if first is not None and seconds is not None and seconds <= 0:
                    return first
                self._changed.wait(seconds)
        return None


def _limit(values: OrderedDict[int, Any]) -> None:
    while len(values) > MAX_VISITS:
        values.popitem(last=False)
