"""The receivers of ``--notify``, each with a filter of its own."""

from __future__ import annotations

import csv
import hashlib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, get_args
from urllib.parse import urlsplit

from segue.errors import SinkError
from segue.events.rules import UNKNOWN
from segue.events.store.store import RecordedEvent
from segue.events.table import Kind
from segue.registry import EVENT_SINKS, EventSinkEntry
from segue.video.sources.addresses import APPRISE, public_address

_FILTER = re.compile(r"\s+(only|zone|event)=")
_KEYS = ("only", "zone", "event")


@dataclass(frozen=True, slots=True)
class NotifyTarget:
    """An address, and the events that it receives; empty fields mean all.

    Attributes:
        address: see :class:`segue.events.Notifier`.
        only: classes of objects; ``unknown`` is one of its own.
        zone: names of zones and lines.
        event: kinds of events, such as ``enter``.
    """

    address: str
    only: tuple[str, ...] = ()
    zone: tuple[str, ...] = ()
    event: tuple[str, ...] = ()

    @classmethod
    def parse(cls, text: str) -> NotifyTarget:
        """Read an address with its filters, as ``--notify`` takes them.

        Args:
            text: such as ``mqtt://HOST/TOPIC only=person,car zone=door event=zone-enter,loiter``.

        Returns:
            The target; its address is not checked.

        Raises:
            SinkError: a filter is empty or given twice, or there is no event of that kind.
        """
        address, *rest = _FILTER.split(text.strip())
        filters: dict[str, tuple[str, ...]] = {}
        for key, values in zip(rest[::2], rest[1::2], strict=True):
            names = tuple(dict.fromkeys(name.strip() for name in _split(values) if name.strip()))
            if key in filters or not names:
                raise SinkError(f"notify: give {key}= once, with names separated by commas")
            filters[key] = names
        kinds = get_args(Kind)
        if unknown := [kind for kind in filters.get("event", ()) if kind not in kinds]:
            raise SinkError(f"notify: there is no event {unknown[0]!r}; events are {', '.join(kinds)}")
        return cls(address, **filters)

    @classmethod
    def text_of(cls, table: Mapping[str, Any]) -> str:
        """Write a table of a file as a text.

        Args:
            table: ``address``, and if you like ``only``, ``zone`` and ``event``, each with a text or a list.

        Returns:
            What :meth:`parse` reads.

        Raises:
            SinkError: it is no such table.
        """
        values = {key: [each] if isinstance(each := table[key], str) else each for key in table}
        are_texts = all(
            isinstance(each, list) and all(isinstance(text, str) for text in each) for each in values.values()
        )
        if not are_texts or not {*table} <= {"address", *_KEYS} or len(values.get("address", ())) != 1:
            raise SinkError("notify: give a table with address, and if you like only, zone and event")
        filters = [f"{key}={_listed(values[key])}" for key in _KEYS if key in values]
        return " ".join([values["address"][0], *filters])

    def __str__(self) -> str:
        filters = [f"{key}={_listed(names)}" for key in _KEYS if (names := getattr(self, key))]
        return " ".join([self.address, *filters])

    def means_zone(self, zone: str) -> bool:
        """Whether events of a zone, or of several between ``;``, are meant."""
        return not self.zone or any(name in self.zone for name in zone.split(";"))

    def admits(self, recorded: RecordedEvent) -> bool:
        """Whether the object of an event is meant: decided once, as soon as its class is a listed one."""
        event = recorded.event
        if not (self.only and event.object):
            return True
        return not self.only_classes.isdisjoint({*recorded.earlier, event.label or UNKNOWN})

    @property
    def only_classes(self) -> frozenset[str]:
        """The classes that are meant."""
        return frozenset(self.only)

    def receives(self, recorded: RecordedEvent) -> bool:
        """Whether it receives an event of an object that is meant."""
        event = recorded.event
        return (
            recorded.is_event
            and (not self.event or event.event in self.event)
            and (not event.object or self.means_zone(event.zone))
        )

    def due(
        self, recorded: RecordedEvent, events_of: Callable[[RecordedEvent], Iterable[RecordedEvent]]
    ) -> list[RecordedEvent]:
        """What is to be sent when something is recorded: with it all before it of an object now meant.

        Args:
            recorded: an event, or a class that has become known.
            events_of: gives all events of its visit so far.

        Returns:
            Events in order.
        """
        if not self.admits(recorded):
            return []
        is_new = self.only and recorded.event.object and self.only_classes.isdisjoint(recorded.earlier)
        if not is_new:
            return [recorded] if self.receives(recorded) else []
        return [each for each in events_of(recorded) if each.seq <= recorded.seq and self.receives(each)]

    @property
    def key(self) -> str:
        """What tells its messages from those of other targets; another password is the same target."""
        place = self.address
        if not place.startswith(APPRISE):
            parts = urlsplit(place)
            host = f"{parts.username or ''}@{parts.hostname}:{parts.port or ''}"
            place = parts._replace(netloc=host).geturl()
        return hashlib.sha256(place.encode()).hexdigest()[:12]


def _split(text: str) -> list[str]:
    """The names of a list; one with a comma stands between quotes."""
    return next(csv.reader([text], skipinitialspace=True), [])


def _listed(names: Iterable[str]) -> str:
    return ",".join(
        '"{}"'.format(name.replace('"', '""')) if "," in name or '"' in name else name for name in names
    )


def check_targets(texts: Sequence[str]) -> list[NotifyTarget]:
    """The targets of texts; SinkError where one is none, or two have one address."""
    targets = [NotifyTarget.parse(text) for text in texts]
    addresses = dict[str, str]()
    for target in targets:
        entry_of(target.address).check(target.address)
        if target.key in addresses:
            raise SinkError(f"notify: {public_address(target.address)} is given twice; give it once")
        addresses[target.key] = target.address
    return targets


def entry_of(address: str) -> EventSinkEntry:
    """The receiver of an address, by how it begins; SinkError where there is none."""
    scheme = re.split(r"[:+]", address, maxsplit=1)[0]
    entries = [each for each in EVENT_SINKS if scheme in each.schemes]
    if not entries:
        schemes = sorted({scheme for each in EVENT_SINKS for scheme in each.schemes})
        raise SinkError(
            "notify: events are sent to an address http://HOST/..., https://HOST/..., mqtt://HOST/TOPIC, "
            "mqtts://HOST/TOPIC, or apprise+ and an address of Apprise; addresses begin with "
            f"{', '.join(schemes)}"
        )
    return entries[-1]
