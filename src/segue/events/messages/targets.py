"""Who is told of which events: several receivers, each with a filter of its own."""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, get_args
from urllib.parse import urlsplit

from segue.errors import SinkError
from segue.events.messages.notify import LAST_SECONDS, Notifier, NotifyWarning, check_receiver
from segue.events.rules import UNKNOWN
from segue.events.table import Event, Kind
from segue.utils.notices import warn_caller
from segue.video.sources.addresses import APPRISE, public_address

_FILTER = re.compile(r"\s+(only|zone|event)=")
_KEYS = ("only", "zone", "event")


@dataclass(frozen=True, slots=True)
class NotifyTarget:
    """An address, and the events that it receives; empty fields mean all.

    Attributes:
        address: see :class:`.notify.Notifier`.
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
            names = tuple(dict.fromkeys(name.strip() for name in values.split(",") if name.strip()))
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
        filters = [f"{key}={','.join(values[key])}" for key in _KEYS if key in values]
        return " ".join([values["address"][0], *filters])

    def __str__(self) -> str:
        filters = [f"{key}={','.join(names)}" for key in _KEYS if (names := getattr(self, key))]
        return " ".join([self.address, *filters])

    def concerns(self, event: Event) -> bool:
        """Whether it is about an object and a zone that are meant; events of the camera itself are."""
        if not event.object:
            return True
        zones = event.zone.split(";")
        return (not self.only or (event.label or UNKNOWN) in self.only) and (
            not self.zone or any(zone in self.zone for zone in zones)
        )

    def receives(self, event: Event) -> bool:
        """Whether it receives an event."""
        return (not self.event or event.event in self.event) and self.concerns(event)

    @property
    def key(self) -> str:
        """What tells its messages from those of other targets; another password is the same target."""
        place = self.address
        if not place.startswith(APPRISE):
            parts = urlsplit(place)
            host = f"{parts.username or ''}@{parts.hostname}:{parts.port or ''}"
            place = parts._replace(netloc=host).geturl()
        return hashlib.sha256(place.encode()).hexdigest()[:12]


class Messages:
    """Sends each event to the targets that receive it, each by a :class:`.notify.Notifier` of its own.

    Args:
        targets: texts as :meth:`NotifyTarget.parse` reads them.
        queue: file in which messages of the first target wait; those of others have names that begin so. None
            keeps them in memory.
        images: folder of the images of events.

    Attributes:
        notifiers: each target with what sends to it.

    Raises:
        SinkError: a text is no target, two targets are one address, or an address is invalid.
    """

    def __init__(self, targets: Sequence[str], queue: Path | None = None, images: Path | None = None) -> None:
        self.notifiers: list[tuple[NotifyTarget, Notifier]] = []
        try:
            for number, target in enumerate(check_targets(targets)):
                file = queue if queue is None or not number else _further(queue, target)
                self.notifiers.append((target, Notifier(target.address, file, images=images)))
        except BaseException:
            self.stop()
            raise
        if queue is not None:
            self._warn_of_others(queue)

    def _warn_of_others(self, queue: Path) -> None:
        """Say that messages wait for an address that is no longer a target."""
        files = {_further(queue, target) for target, _ in self.notifiers}
        for path in sorted(queue.parent.glob(f"{queue.name}-*")):
            if re.fullmatch(r"-[0-9a-f]{12}", path.name.removeprefix(queue.name)) and path not in files:
                text = f"{path}: messages wait for an address that is no longer given; remove the file"
                warn_caller(text, NotifyWarning)

    @property
    def total(self) -> int:
        """Messages so far, with those of an earlier run."""
        return sum(notifier.total for _, notifier in self.notifiers)

    @property
    def undelivered(self) -> int:
        """Messages that have not arrived yet, or are lost."""
        return sum(notifier.undelivered for _, notifier in self.notifiers)

    @property
    def num_unsaved(self) -> int:
        """Messages that wait in memory alone, as their file takes none."""
        return sum(notifier.num_unsaved for _, notifier in self.notifiers)

    @property
    def problem(self) -> str:
        """Why messages cannot wait in a file; empty where they can."""
        return next((notifier.problem for _, notifier in self.notifiers if notifier.problem), "")

    def send(self, event: Event) -> None:
        """Send an event, soon, to whom it concerns."""
        for target, notifier in self.notifiers:
            if target.receives(event):
                notifier.send(asdict(event))

    def announce(self, online: bool) -> None:
        """Say whether the camera gives frames, see :meth:`.notify.Notifier.announce`."""
        for _, notifier in self.notifiers:
            notifier.announce(online)

    def stop(self) -> None:
        """Send nothing more; what waits in files stays there for the next run."""
        for _, notifier in self.notifiers:
            notifier.stop()

    def close(
        self,
        limit: float = LAST_SECONDS,
        report: Callable[[int], None] = lambda _: None,
        *,
        keep: bool = True,
    ) -> int:
        """Wait until all has arrived, for some seconds at most; see :meth:`.notify.Notifier.close`."""
        end, total = time.monotonic() + limit, self.total
        for _, notifier in self.notifiers:
            notifier.end_by(end, keep=keep)
        for _, notifier in self.notifiers:
            notifier.close(
                max(0.0, end - time.monotonic()), lambda _: report(total - self.undelivered), keep=keep
            )
        return self.undelivered


def check_targets(texts: Sequence[str]) -> list[NotifyTarget]:
    """The targets of texts; SinkError where one is none, or two have one address."""
    targets = [NotifyTarget.parse(text) for text in texts]
    addresses = dict[str, str]()
    for target in targets:
        check_receiver(target.address)
        if target.key in addresses:
            raise SinkError(f"notify: {public_address(target.address)} is given twice; give it once")
        addresses[target.key] = target.address
    return targets


def _further(queue: Path, target: NotifyTarget) -> Path:
    return queue.with_name(f"{queue.name}-{target.key}")
