"""Send visits to Frigate's HTTP API, as events beside its recordings."""

from __future__ import annotations

import json
import time
import urllib.request
from collections.abc import Mapping
from http.client import HTTPException
from http.cookiejar import CookieJar
from typing import Any
from urllib.error import HTTPError
from urllib.parse import SplitResult, quote, unquote, urlencode

from segue.entries.events import EventSinkEntry
from segue.errors import SinkError
from segue.events.receivers.base import SENT, Delivery, EventReceiver, Message, ReceiverContext
from segue.events.receivers.http import MAX_ANSWER, NoRedirect, answer_of, parts_of
from segue.events.rules import UNKNOWN
from segue.events.store.records import LAST, moment_of
from segue.video.sources.addresses import public_address

SUB_LABEL = "segue"
"""Sub-label of events created by segue."""

REFUSED, ENDED = "-", "+"
"""Notes in place of an id: Frigate refused the event of a visit; the event has ended, and messages of the
visit that were refused before change nothing."""

MAX_LIST = 1 << 22
"""Maximum number of bytes read of a list of events."""

SETTLED = 2.0
"""Seconds after which Frigate lists an event that it has created without an answer in time."""

CLOCKS = 60.0
"""Seconds by which the clock of Frigate may differ."""

NOT_FOUND = 404
"""Status of a request about a deleted event."""

COLOUR = (255, 90, 40)
"""Colour of an object's box, RGB."""


def check_frigate(address: str) -> SplitResult:
    """Parse the address of a camera of Frigate; SinkError without the camera."""
    parts = parts_of(address)
    if not parts.path.strip("/") or "/" in parts.path.strip("/"):
        raise SinkError("notify: give the camera of Frigate: frigate://HOST:5000/CAMERA")
    return parts


class FrigateReceiver(EventReceiver):
    """Creates an event of Frigate with the first event of a visit, and ends it with the last.

    A class that becomes known later is the sub-label. The store of the camera has the event of each visit, so
    that the next run ends it. If Frigate accepts the event only after the visit, it ends at once. After a
    late answer, the event is looked for before it is created again.
    """

    def __init__(self, context: ReceiverContext) -> None:
        parts = check_frigate(context.address)
        account, _, host = parts.netloc.rpartition("@")
        self._account = tuple(map(unquote, account.partition(":")[::2])) if account else None
        self._base = f"{'https' if parts.scheme == 'frigates' else 'http'}://{host}/api"
        self._camera, self._size = unquote(parts.path.strip("/")), context.size
        self._store, self._name = context.store, f"frigate {public_address(context.address)}"
        self._events: dict[str, str] = {}  # of visits, where there is no store
        self._unanswered: dict[str, tuple[float, float]] = {}  # visits: first and last try, if it was sent
        self._opener = urllib.request.build_opener(
            NoRedirect, urllib.request.HTTPCookieProcessor(CookieJar())
        )

    def send(self, message: Message, timeout: float) -> Delivery:
        values = message.values
        if not values.get("object"):
            return SENT  # it knows itself whether its camera is there
        try:
            self._tell(values, f"{self._name} {message.visit}", timeout)
        except HTTPError as error:
            with error:
                return answer_of(error.code, error.reason)
        return SENT

    def _tell(self, values: Mapping[str, Any], key: str, timeout: float) -> None:
        id, _, rest = self._event(key).partition(" ")
        created_label, created, mark = (*rest.split("\t"), "", "")[:3]
        label = str(values.get("label") or UNKNOWN)
        is_last = values.get("event") in LAST
        was_refused = REFUSED in (id, mark)
        if id == ENDED or (is_last and not id):
            return
        end = f"\t{REFUSED}" if was_refused else ""
        if id in ("", REFUSED):
            id, created = self._created(key, values, label, timeout), f"{time.time():.3f}"
            self._remember(key, f"{id} {label}\t{created}{end}")
        elif label not in (UNKNOWN, created_label):
            about = {"subLabel": label, "camera": self._camera}
            self._change("POST", id, "sub_label", about, timeout)
            self._remember(key, f"{id} {label}\t{created}{end}")
        if is_last:
            moment = moment_of(str(values.get("at") or ""))
            # Frigate dates an event by its creation: one that is sent late ends when its end is sent.
            body = {"end_time": moment} if moment > float(created or 0) else {}
            self._change("PUT", id, "end", body, timeout)
            self._remember(key, ENDED if was_refused else "")

    def _created(self, key: str, values: Mapping[str, Any], label: str, timeout: float) -> str:
        """Create an event for a visit, or find it; returns its id."""
        first, last = self._unanswered.get(key, (0.0, 0.0))
        if first and (id := self._find(first, timeout)):
            del self._unanswered[key]
            return id
        if time.time() - last < SETTLED:
            raise OSError("Frigate did not answer in time")
        place = f"events/{quote(self._camera, safe='')}/{quote(label, safe='')}/create"
        try:
            answer = self._ask("POST", place, self._about(values), timeout)
            id = str(answer.get("event_id") or "") if isinstance(answer, dict) else ""
        except HTTPError as error:
            if answer_of(error.code, "").outcome == "refused":
                self._remember(key, REFUSED)
            raise
        except (OSError, HTTPException) as error:
            if not isinstance(getattr(error, "reason", None), ConnectionRefusedError):
                now = time.time()
                self._unanswered[key] = first or now - timeout, now
            raise
        self._unanswered.pop(key, None)
        if not id:
            raise ValueError("Frigate gives no id of the event")
        return id

    def _find(self, first: float, timeout: float) -> str:
        """The id of an event of segue that was created since a moment, and of which no visit knows."""
        query = urlencode(
            {
                "cameras": self._camera,
                "sub_labels": SUB_LABEL,
                "in_progress": 1,
                "after": f"{first - CLOCKS:.3f}",
                "include_thumbnails": 0,
            }
        )
        events = self._ask("GET", f"events?{query}", None, timeout)
        noted_ids = {text.partition(" ")[0] for text in self._noted().values()}
        ids = [str(event.get("id") or "") for event in events if isinstance(event, dict)]
        return next((id for id in ids if id and id not in noted_ids), "")

    def _change(self, method: str, id: str, what: str, body: Mapping[str, Any], timeout: float) -> None:
        """Change an event, unless it was deleted in Frigate."""
        try:
            self._ask(method, f"events/{quote(id, safe='')}/{what}", body, timeout)
        except HTTPError as error:
            if error.code != NOT_FOUND:
                raise
            error.close()

    def _about(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Fields of a new event of Frigate, which lasts until it is ended."""
        about: dict[str, Any] = {
            "source_type": "api",
            "sub_label": SUB_LABEL,
            "score": float(values.get("label_score") or 0.0),
            "duration": None,
            "include_recording": True,
        }
        if (size := self._size()) is not None:
            (height, width), (x0, y0, x1, y1) = (
                size,
                (float(values[name]) for name in ("x0", "y0", "x1", "y1")),
            )
            box = [x0 / width, y0 / height, (x1 - x0) / width, (y1 - y0) / height]
            score = round(100 * about["score"])
            about["draw"] = {"boxes": [{"box": box, "color": [*COLOUR], "score": score}]}
        return about

    def _ask(self, method: str, path: str, body: Mapping[str, Any] | None, timeout: float) -> Any:
        """Send JSON, and log in if Frigate asks for it; returns the answer."""
        try:
            return self._request(method, path, body, timeout)
        except HTTPError as error:
            if error.code != 401 or self._account is None:
                raise
        user, password = self._account
        self._request("POST", "login", {"user": user, "password": password}, timeout)
        return self._request(method, path, body, timeout)

    def _request(self, method: str, path: str, body: Mapping[str, Any] | None, timeout: float) -> Any:
        headers = {"Content-Type": "application/json"}
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self._base}/{path}", data, headers, method=method)
        with self._opener.open(request, timeout=timeout) as answer:
            text = answer.read(MAX_ANSWER if body is not None else MAX_LIST)
        return json.loads(text) if text.strip() else {}

    def _event(self, key: str) -> str:
        return self._noted().get(key, "")

    def _noted(self) -> dict[str, str]:
        """Frigate events of visits."""
        if self._store is None or self._store.path is None:
            return self._events
        return self._store.settings() | self._events

    def _remember(self, key: str, text: str) -> None:
        """Remember the Frigate event of a visit; an empty text forgets it."""
        if text:
            self._events[key] = text
        else:
            self._events.pop(key, None)
        if self._store is not None and text:
            self._store.change("insert or replace into meta values (?, ?)", key, text)
        elif self._store is not None:
            self._store.change("delete from meta where key = ?", key)


ENTRIES = (
    EventSinkEntry(
        "frigate", FrigateReceiver, schemes=("frigate", "frigates"), check=check_frigate, needs_end=True
    ),
)
