"""Zones and the last event as entities of Home Assistant, by MQTT discovery."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from segue.errors import SinkError
from segue.events.messages.notify import Notifier
from segue.events.table import Event
from segue.events.zones import Zone

PREFIX = "homeassistant"
"""Topic prefix under which Home Assistant discovers entities by default."""


class HomeAssistant:
    """Announces a binary sensor for each zone, and a camera with the image of the last event.

    Sensors of zones that are no more are removed.

    A sensor is on while somebody is in its zone. All messages are kept by the broker, and the entities are
    unavailable while the camera is.

    Args:
        notifier: sends to a broker.
        name: of the camera, for people.
        zones: what is watched; lines have no state.
        concerns: says which events are meant.

    Raises:
        SinkError: messages do not go to a broker.
    """

    def __init__(
        self,
        notifier: Notifier,
        name: str,
        zones: Sequence[Zone],
        concerns: Callable[[Event], bool] = lambda _: True,
    ) -> None:
        if notifier.topic is None:
            raise SinkError("home assistant: its messages go by MQTT; give --notify mqtt://HOST/TOPIC")
        self._notifier, self._topic, self._name, self._concerns = notifier, notifier.topic, name, concerns
        self._inside: dict[str, set[int]] = {}
        self.change(zones)
        self._announce("camera", "last_event", "Last event", {"topic": f"{self._topic}/image"})
        notifier.keep_no_other((self._config("binary_sensor", "+"), f"{self._topic}/zone/+"))

    def change(self, zones: Sequence[Zone]) -> None:
        """Announce zones that are new, and clear the retained messages of removed ones."""
        names = [zone.name for zone in zones if not zone.is_line]
        for zone in self._inside.keys() - names:
            self._notifier.keep(self._config("binary_sensor", f"zone_{_identifier(zone)}"), b"")
            self._notifier.keep(self._state(zone), b"")
        previous, self._inside = self._inside, {name: self._inside.get(name, set()) for name in names}
        for zone in [name for name in names if name not in previous]:
            more = {"device_class": "occupancy", "state_topic": self._state(zone)}
            self._announce("binary_sensor", f"zone_{_identifier(zone)}", zone, more)
            self._show(zone, ())

    def see(self, event: Event, images: Path | None) -> None:
        """Take an event, whose image is in a folder."""
        if not self._concerns(event):
            return
        inside = self._inside.get(event.zone)
        if inside is not None and event.event == "zone-enter":
            inside.add(event.object)
            self._show(event.zone, inside)
        elif inside is not None and event.event == "zone-leave":
            inside.discard(event.object)
            self._show(event.zone, inside)
        if images is not None and event.snapshot:
            with suppress(OSError):  # a full disk has no room for it
                self._notifier.keep(f"{self._topic}/image", (images / event.snapshot).read_bytes())

    def _state(self, zone: str) -> str:
        return f"{self._topic}/zone/{_identifier(zone)}"

    def _show(self, zone: str, inside: Collection[int]) -> None:
        self._notifier.keep(self._state(zone), b"ON" if inside else b"OFF")

    def _announce(self, kind: str, entity: str, name: str, more: Mapping[str, Any]) -> None:
        device = self._device
        about = {
            "name": name,
            "unique_id": f"{device}_{entity}",
            "availability_topic": f"{self._topic}/availability",
            "device": {"identifiers": [device], "name": self._name, "manufacturer": "segue"},
            **more,
        }
        self._notifier.keep(self._config(kind, entity), json.dumps(about).encode())

    @property
    def _device(self) -> str:
        return f"segue_{_identifier(self._topic)}"

    def _config(self, kind: str, entity: str) -> str:
        return f"{PREFIX}/{kind}/{self._device}/{entity}/config"


def _identifier(name: str) -> str:
    """A name with the characters that identifiers of Home Assistant may have; other names differ, too."""
    plain = re.sub(r"[^A-Za-z0-9_-]", "_", name)
    return plain if plain == name else f"{plain}_{hashlib.sha256(name.encode()).hexdigest()[:8]}"
