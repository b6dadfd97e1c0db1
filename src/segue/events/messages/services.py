"""Messages to people by the services that Apprise knows, such as Telegram and e-mail, with the image."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from segue.errors import SinkError
from segue.events.messages.receiver import Receiver
from segue.events.rules import UNKNOWN
from segue.utils.extras import install_command
from segue.video.sources.addresses import APPRISE, public_address

_WORDS = {
    "enter": "entered",
    "leave": "left",
    "end": "is still there at the end",
    "zone-enter": "entered {zone}",
    "zone-leave": "left {zone}",
    "loiter": "stays in {zone}",
    "cross": "crossed {zone}",
    "offline": "is lost",
    "online": "is back",
}


class ServiceReceiver(Receiver):
    """Sends each event as a text with its image to the address of a service.

    Args:
        address: ``apprise+`` and an address of Apprise, such as ``apprise+tgram://TOKEN/CHAT``.
        images: folder of the images of events, also in folders of parts; None sends texts alone.

    Raises:
        SinkError: the package ``apprise`` is missing, or knows no such address.
    """

    def __init__(self, address: str, images: Path | None = None) -> None:
        try:
            from apprise import Apprise
        except ImportError:
            raise SinkError(
                f"notify: {APPRISE} needs the package apprise: {install_command('apprise')}"
            ) from None
        self._service, self._images = Apprise(), images
        if not self._service.add(address[len(APPRISE) :]):
            raise SinkError(
                f"notify: {public_address(address)} is no address that Apprise knows; see "
                "https://appriseit.com/services/"
            )

    def deliver(self, body: bytes, timeout: float) -> None:
        """Return when the service has taken a message; one that does not take the image gets the text alone.

        The time limit is that of the address of Apprise (``?rto=`` and ``?cto=``), by default four seconds.
        """
        event = json.loads(body)
        title, text = str(event.get("source") or "segue"), words_of(event)
        image = self._image(str(event.get("snapshot") or ""))
        for attached in [image, None] if image else [None]:
            if self._service.notify(body=text, title=title, attach=attached):
                return
        raise OSError("the service did not take it")

    def _image(self, name: str) -> str | None:
        """The image of an event; parts of a run may have the same names, of which the newest counts."""
        if self._images is None or not name or Path(name).name != name:
            return None
        paths = [path for path in (self._images / name, *self._images.glob(f"*/{name}")) if path.is_file()]
        return str(max(paths, key=lambda path: path.stat().st_mtime)) if paths else None


def words_of(event: Mapping[str, Any]) -> str:
    """An event in words for people.

    Args:
        event: by its columns.

    Returns:
        Such as ``person 3 is in door, 2026-11-29 10:05:18``.
    """
    label = event.get("label") if event.get("label") != UNKNOWN else None
    who = f"{label or 'object'} {event.get('object')}" if event.get("object") else "the camera"
    kind = str(event.get("event"))
    what = _WORDS.get(kind, kind).format(zone=event.get("zone") or "a zone")
    at = str(event.get("at") or "").partition(".")[0].replace("T", " ")
    return f"{who} {what}{f', {at}' if at else ''}"
