"""Messages to people, with the image, by services that Apprise supports, such as Telegram and e-mail."""

from __future__ import annotations

import logging
import re
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

from segue.entries.events import EventSinkEntry
from segue.errors import SinkError
from segue.events.images.best_views import view_score
from segue.events.images.replacing import PictureReplacer, Text, picture_service_of
from segue.events.receivers.base import SENT, BetterView, Delivery, EventReceiver, Message, ReceiverContext
from segue.events.receivers.http import answer_of
from segue.events.rules import UNKNOWN
from segue.events.templates import filled
from segue.utils.extras import install_command
from segue.video.sources.addresses import APPRISE, public_address

_WORDS = {
    "enter": "entered",
    "leave": "left",
    "end": "is still there at the end",
    "zone-enter": "entered {zone}",
    "zone-leave": "left {zone}",
    "loiter": "stays in {zone}{duration}",
    "cross": "crossed {zone}{side}",
    "offline": "is lost",
    "online": "is back",
}


MAX_UNEXPLAINED = 3
"""Unexplained failures of a message before others are tried first."""

IMAGE_SECONDS = 1.0
"""Maximum seconds that a message waits for its image, which is written later."""

MINUTE = 60.0
"""Seconds from which on durations are shown in minutes."""

UNLIMITED = 1 << 30
"""Side of an image of unknown size."""

_ERROR = re.compile(r"error=(\d{3})\b")


class ServiceReceiver(EventReceiver):
    """Sends each event as a text with its image to a service.

    The image is looked for in the folder of images, and in those of parts. A service that does not take it
    gets the text alone. The time limit is that of the address of Apprise (``?rto=`` and ``?cto=``), four
    seconds by default. A service that can replace the picture of a message gets better views later.
    """

    def __init__(self, context: ReceiverContext) -> None:
        self._address, self._images = context.address, context.images
        self._services = {"normal": service_of(context.address)}  # by priority
        can_replace = picture_service_of(context.address, [*self._services["normal"]]) is not None
        self._replacer = PictureReplacer() if can_replace else None
        self._size = context.size
        self._unexplained: tuple[object, int] = None, 0

    def send(self, message: Message, timeout: float) -> Delivery:
        from apprise import NotifyFormat

        values = message.values
        title, text = str(values.get("source") or "segue"), words_of(values)
        fields = fields_of(values)
        if values.get("title"):
            title = filled(str(values["title"]), fields)
        if values.get("text"):
            text = filled(str(values["text"]), fields)
        elif values.get("link"):
            text = f"{text}\n{values['link']}"
        service = self._service_with(str(values.get("priority") or "normal"))
        image, reasons = self._image(str(values.get("snapshot") or "")), list[str]()
        if image and message.visit and values.get("picture") != "first":
            delivery = self._send_replaceable(message, service, Text(title, text), image, timeout)
            if delivery is not None:
                return delivery
        with _hearing(reasons):
            for attached in [image, None] if image else [None]:
                reasons.clear()
                if service.notify(body=text, title=title, attach=attached, body_format=NotifyFormat.TEXT):
                    return SENT
        codes = [int(match[1]) for reason in reasons if (match := _ERROR.search(reason))]
        if codes:
            return answer_of(codes[-1], "from the service")
        last_id, tries = self._unexplained
        tries = tries + 1 if last_id == values.get("id") else 1
        self._unexplained = values.get("id"), tries
        return Delivery("refused" if tries >= MAX_UNEXPLAINED else "retry", "the service did not take it")

    def _send_replaceable(
        self, message: Message, service: Any, text: Text, image: str, timeout: float
    ) -> Delivery | None:
        """Send a message whose picture can be replaced; None if the service does not have or take it."""
        pictures = picture_service_of(self._address, [*service])
        if pictures is None or self._replacer is None:
            return None
        try:
            picture = Path(image).read_bytes()
        except OSError:
            return None
        try:
            id = pictures.send(text, picture, timeout)
        except HTTPError as error:
            with error:
                delivery = answer_of(error.code, error.reason)
            return None if delivery.outcome == "refused" else delivery
        if id:
            self._replacer.add(message.visit, pictures, id, text, picture, self._score(message.values))
        return SENT

    def _score(self, values: Mapping[str, Any]) -> float:
        """Rate the view of an event."""
        x0, y0, x1, y1 = (float(values.get(name) or 0.0) for name in ("x0", "y0", "x1", "y1"))
        size = self._size() or (UNLIMITED, UNLIMITED)
        return view_score((x0, y0, x1, y1), float(values.get("area") or 0.0), size)

    def show_better(self, view: BetterView) -> None:
        if self._replacer is not None:
            self._replacer.offer(view)

    def close(self) -> None:
        if self._replacer is not None:
            self._replacer.close()

    def _service_with(self, priority: str) -> Any:
        """Service of the address with a priority; services without priorities ignore it."""
        if priority not in self._services:
            mark = "&" if "?" in self._address else "?"
            self._services[priority] = service_of(f"{self._address}{mark}priority={priority}")
        return self._services[priority]

    def _image(self, name: str) -> str | None:
        """Path of the image of an event; among parts of a run, the newest of this name."""
        if self._images is None or not name or Path(name).name != name:
            return None
        end = time.monotonic() + IMAGE_SECONDS
        while not (paths := [path for path in self._paths(name) if path.is_file()]):
            if time.monotonic() > end:
                return None
            time.sleep(IMAGE_SECONDS / 20)
        return str(max(paths, key=lambda path: path.stat().st_mtime))

    def _paths(self, name: str) -> Iterator[Path]:
        assert self._images is not None
        yield self._images / name
        yield from self._images.glob(f"*/{name}")


def service_of(address: str) -> Any:
    """Create the service of an address; SinkError without the package or for unknown addresses."""
    try:
        from apprise import Apprise
    except ImportError:
        raise SinkError(
            f"notify: {APPRISE} needs the package apprise: {install_command('apprise')}"
        ) from None
    service = Apprise()
    if not service.add(address[len(APPRISE) :]):
        raise SinkError(
            f"notify: {public_address(address)} is no address that Apprise knows; see "
            "https://appriseit.com/services/"
        )
    return service


@contextmanager
def _hearing(reasons: list[str]) -> Iterator[None]:
    """Collect the log of Apprise in this thread: it alone has the reason of a failure."""
    thread, logger = threading.get_ident(), logging.getLogger("apprise")

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.thread == thread:
                reasons.append(record.getMessage())

    handler = Handler(logging.WARNING)
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)


def words_of(event: Mapping[str, Any]) -> str:
    """Describe an event in words for people.

    Args:
        event: by its columns.

    Returns:
        Such as ``person 3 stays in door for 30 s, 2026-11-29 10:05:18``.
    """
    at = _clock(event)
    return f"{_who(event)} {_what(event)}{f', {at}' if at else ''}"


def fields_of(event: Mapping[str, Any]) -> dict[str, str]:
    """Values of the fields of a title or text."""
    values = {name: str(value if value is not None else "") for name, value in event.items()}
    seconds = f"{float(event.get('seconds') or 0):.0f}"
    return values | {
        "who": _who(event), "what": _what(event), "at": _clock(event), "seconds": seconds
    }  # fmt: skip


def _who(event: Mapping[str, Any]) -> str:
    label = event.get("label") if event.get("label") != UNKNOWN else None
    return f"{label or 'object'} {event.get('object')}" if event.get("object") else "the camera"


def _what(event: Mapping[str, Any]) -> str:
    kind, seconds = str(event.get("event")), float(event.get("seconds") or 0)
    duration = f" for {seconds:.0f} s" if seconds < MINUTE else f" for {seconds / 60:.0f} min"
    side = f" to the {event['direction']}" if event.get("direction") else ""
    return _WORDS.get(kind, kind).format(zone=event.get("zone") or "a zone", duration=duration, side=side)


def _clock(event: Mapping[str, Any]) -> str:
    return str(event.get("at") or "").partition(".")[0].replace("T", " ")


ENTRIES = (
    EventSinkEntry(
        "services", ServiceReceiver, schemes=(APPRISE.rstrip("+"),), check=service_of, alerts=True
    ),
)
