"""A camera as a device of Home Assistant, by MQTT discovery: its zones, classes, images and state."""

from __future__ import annotations

import hashlib
import json
import re
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import cv2

from segue.entries.events import EventSinkEntry
from segue.events.receivers.base import SENT, BetterView, Delivery, EventReceiver, ReceiverContext
from segue.events.receivers.mqtt import OFFLINE, ONLINE
from segue.events.rules import UNKNOWN
from segue.events.store.records import LAST, RecordedEvent
from segue.events.targets import NotifyTarget
from segue.events.zones import Zone
from segue.types import Frame, Image, Segmentation
from segue.utils.version import __version__

PREFIX = "homeassistant"
"""Topic prefix under which Home Assistant discovers entities by default."""

LIVE_SECONDS = 1.0
"""Minimum seconds between two live images."""

QUALITY = 80
"""JPEG quality of live images in percent."""


class HomeAssistant(EventReceiver):
    """Announces the entities of a camera.

    A binary sensor for each zone is on while somebody is in it; those of zones that are no more are removed.
    A sensor for each class has the number of its objects, from the first one on. There are an image of the
    last event and a live one, a switch that arms the camera, and its connectivity. All messages are kept by
    the broker, and the entities are unavailable while the camera is.

    Args:
        broker: the receiver that they are sent by.
        target: which objects are meant.
        name: of the camera, for people.
        zones: zones with a state; lines have none.
        present: events of objects that are there, as of a run before.
        labels: classes of objects of earlier runs, whose sensors the broker has.
    """

    def __init__(
        self,
        broker: EventReceiver,
        target: NotifyTarget,
        name: str,
        zones: Sequence[Zone],
        present: Iterable[Sequence[RecordedEvent]] = (),
        labels: Iterable[str] = (),
    ) -> None:
        self._broker, self._target, self._name = broker, target, name
        self._topic = str(broker.topic)
        self._zones = list[str]()
        self._states: dict[str, bool] = {}  # whether a sensor is on
        self._visits: dict[int, list[RecordedEvent]] = {}  # of objects that are there
        for events in present:
            for event in events:
                self._take(event)
        self._image_visit = 0  # of the image of the last event
        self._live_time = -float("inf")
        self._counts: dict[str, int] = {}  # objects by class, as published
        self.change(zones)
        self._announce("camera", "last_event", "Last event", {"topic": f"{self._topic}/image"})
        self._announce("camera", "live", "Live", {"topic": f"{self._topic}/live"})
        self._announce(
            "switch",
            "armed",
            "Armed",
            {"state_topic": f"{self._topic}/armed", "command_topic": f"{self._topic}/armed/set"},
        )
        self._announce(
            "binary_sensor",
            "connectivity",
            "Connectivity",
            {
                "state_topic": f"{self._topic}/availability",
                "payload_on": ONLINE.decode(),
                "payload_off": OFFLINE.decode(),
                "device_class": "connectivity",
                "entity_category": "diagnostic",
            },
            has_availability=False,
        )
        listed = {each for classes in target.class_lists for each in classes}
        has_all = len(target.class_lists) < len(target.rules)
        for label in sorted(listed.union(labels if has_all else ())):
            self._count(label, 0)
        self._count_all()
        broker.keep_no_other((self._config("binary_sensor", "+"), f"{self._topic}/zone/+"))

    def change(self, zones: Sequence[Zone]) -> None:
        """Announce new zones, and clear the retained messages of removed ones."""
        names = [zone.name for zone in zones if not zone.is_line]
        for zone in [name for name in self._zones if name not in names]:
            self._broker.keep(self._config("binary_sensor", f"zone_{_identifier(zone)}"), b"")
            self._broker.keep(self._state(zone), b"")
            self._states.pop(zone, None)
        previous, self._zones = self._zones, names
        for zone in [name for name in names if name not in previous]:
            more = {"device_class": "occupancy", "state_topic": self._state(zone)}
            self._announce("binary_sensor", f"zone_{_identifier(zone)}", zone, more)
            self._show(zone)

    def send(self, message: RecordedEvent, timeout: float = 0.0) -> Delivery:
        """Publish an event, with its image if it is in memory."""
        self._take(message)
        for zone in self._zones:
            self._show(zone)
        self._count_all()
        if message.image is not None and self._target.concerns(message, message.event.zone):
            self._image_visit = message.visit
            self._broker.keep(f"{self._topic}/image", message.image)
        return SENT

    def show_better(self, view: BetterView) -> None:
        """Replace the image of the last event by a better view of its object."""
        if view.visit == self._image_visit:
            self._broker.keep(f"{self._topic}/image", view.image)

    def see(self, frame: Frame, result: Segmentation) -> None:
        """Publish a frame, at most once a second."""
        now = time.monotonic()
        if now - self._live_time >= LIVE_SECONDS:
            self._live_time = now
            self._broker.keep(f"{self._topic}/live", _jpeg(frame.image))

    def _count_all(self) -> None:
        """Publish the number of present objects of each class."""
        counts = dict.fromkeys(self._counts, 0)
        for events in self._visits.values():
            if any(rule.admits(events[-1]) for rule in self._target.rules):
                label = events[-1].event.label or UNKNOWN
                counts[label] = counts.get(label, 0) + 1
        for label, number in counts.items():
            self._count(label, number)

    def _count(self, label: str, number: int) -> None:
        topic = f"{self._topic}/count/{_identifier(label)}"
        if label not in self._counts:
            about = {"state_topic": topic, "state_class": "measurement"}
            self._announce("sensor", f"count_{_identifier(label)}", label.capitalize(), about)
        if self._counts.get(label) != number:
            self._counts[label] = number
            self._broker.keep(topic, str(number).encode())

    def _take(self, event: RecordedEvent) -> None:
        if event.event.event in LAST:
            self._visits.pop(event.visit, None)
        elif event.event.object:
            self._visits.setdefault(event.visit, []).append(event)

    def _is_inside(self, events: Sequence[RecordedEvent], zone: str) -> bool:
        """Whether an object that passes the filter is in a zone."""
        if not self._target.concerns(events[-1], zone):
            return False
        states = [each.event.event for each in events if each.event.zone == zone]
        states = [each for each in states if each in ("zone-enter", "zone-leave")]
        return bool(states) and states[-1] == "zone-enter"

    def _state(self, zone: str) -> str:
        return f"{self._topic}/zone/{_identifier(zone)}"

    def _show(self, zone: str) -> None:
        inside = any(self._is_inside(events, zone) for events in self._visits.values())
        if self._states.get(zone) != inside:
            self._states[zone] = inside
            self._broker.keep(self._state(zone), b"ON" if inside else b"OFF")

    def _announce(
        self, kind: str, entity: str, name: str, more: Mapping[str, Any], *, has_availability: bool = True
    ) -> None:
        device = self._device
        about = {
            "name": name,
            "unique_id": f"{device}_{entity}",
            "device": {
                "identifiers": [device],
                "name": self._name,
                "manufacturer": "segue",
                "sw_version": __version__,
            },
            "origin": {"name": "segue", "sw_version": __version__},
            **more,
        }
        if has_availability:
            about["availability_topic"] = f"{self._topic}/availability"
        self._broker.keep(self._config(kind, entity), json.dumps(about).encode())

    @property
    def _device(self) -> str:
        return f"segue_{_identifier(self._topic)}"

    def _config(self, kind: str, entity: str) -> str:
        return f"{PREFIX}/{kind}/{self._device}/{entity}/config"


def _identifier(name: str) -> str:
    """Convert a name to an identifier of Home Assistant; different names stay different."""
    plain = re.sub(r"[^A-Za-z0-9_-]", "_", name)
    return plain if plain == name else f"{plain}_{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def _jpeg(image: Image) -> bytes:
    quality = (cv2.IMWRITE_JPEG_QUALITY, QUALITY)
    return bytes(cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), quality)[1].tobytes())


class HomeAssistants(EventReceiver):
    """Entities of a camera at each of its brokers."""

    def __init__(self, entities: Sequence[HomeAssistant]) -> None:
        self._entities = entities

    def send(self, message: RecordedEvent, timeout: float) -> Delivery:
        for each in self._entities:
            each.send(message)
        return SENT

    def see(self, frame: Frame, result: Segmentation) -> None:
        for each in self._entities:
            each.see(frame, result)

    def show_better(self, view: BetterView) -> None:
        for each in self._entities:
            each.show_better(view)

    def change(self, zones: Sequence[Zone]) -> None:
        for each in self._entities:
            each.change(zones)


def _open(context: ReceiverContext) -> HomeAssistants | None:
    if not context.home_assistant:
        return None
    present = [] if context.store is None else [*context.store.present().values()]
    labels = [] if context.store is None else context.store.labels()
    return HomeAssistants(
        [
            HomeAssistant(receiver, target, context.name, context.zones, present, labels)
            for target, receiver in context.targets
            if receiver.topic is not None
        ]
    )


ENTRIES = (EventSinkEntry("home-assistant", _open),)
