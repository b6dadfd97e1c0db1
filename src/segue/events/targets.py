"""Targets of ``--notify``, each with rules."""

from __future__ import annotations

import csv
import hashlib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Literal, get_args
from urllib.parse import urlsplit

from segue.errors import SinkError
from segue.events.rules import UNKNOWN, with_groups
from segue.events.schedule import ARMED, is_due, parse_span
from segue.events.store.records import LAST, RecordedEvent
from segue.events.table import Kind
from segue.events.templates import FIELDS, unknown_fields
from segue.registry import EVENT_SINKS, EventSinkEntry
from segue.video.sources.addresses import APPRISE, public_address

Per = Literal["event", "visit"]
"""Unit of messages: each event, or the first event of a visit that passes the rules."""

Priority = Literal["low", "normal", "high"]

Picture = Literal["best", "first"]
"""Picture of a message: replaced by a better view if the service can, or as first sent."""


@dataclass(frozen=True, slots=True)
class NotifyRule:
    """Rule for the events of a target; empty fields mean all, and the default.

    Attributes:
        only: classes of objects; ``unknown`` is one of its own, ``vehicle`` and ``animal`` are groups.
        zone: names of zones and lines.
        event: kinds of events, such as ``enter``.
        when: hours and days, such as ``mon-fri 22:00-06:00``; ``armed`` for events while the camera is.
        per: ``event``, or ``visit`` for one message of each visit.
        priority: ``low``, ``normal`` or ``high``.
        picture: ``best``, replaced by a better view if the service can, or ``first``.
        title, text: of messages to people, with :data:`.templates.FIELDS` between braces.
    """

    only: tuple[str, ...] = ()
    zone: tuple[str, ...] = ()
    event: tuple[str, ...] = ()
    when: tuple[str, ...] = ()
    per: str = ""
    priority: str = ""
    picture: str = ""
    title: str = ""
    text: str = ""

    @property
    def only_classes(self) -> frozenset[str]:
        """Classes that the rule selects."""
        return with_groups(self.only)

    def means_zone(self, zone: str) -> bool:
        """Whether the rule selects a zone, or one of several separated by ``;``."""
        return not self.zone or any(name in self.zone for name in zone.split(";"))

    def admits(self, recorded: RecordedEvent) -> bool:
        """Whether the rule selects the object of an event; decided when its class is first listed."""
        event = recorded.event
        if not (self.only and event.object):
            return True
        return not self.only_classes.isdisjoint({*recorded.earlier, event.label or UNKNOWN})

    def receives(self, recorded: RecordedEvent) -> bool:
        """Whether the rule selects this event of a selected object."""
        event = recorded.event
        return (
            recorded.is_event
            and (not self.event or event.event in self.event)
            and (not event.object or self.means_zone(event.zone))
            and (recorded.armed or ARMED not in self.when)
            and is_due(self.when, event.at)
        )

    def check(self) -> None:
        """Raise SinkError for invalid values."""
        kinds = get_args(Kind)
        if unknown := [kind for kind in self.event if kind not in kinds]:
            raise SinkError(f"notify: there is no event {unknown[0]!r}; events are {', '.join(kinds)}")
        for text in self.when:
            if text != ARMED:
                parse_span(text)
        for name, values in (("per", Per), ("priority", Priority), ("picture", Picture)):
            if getattr(self, name) not in ("", *get_args(values)):
                raise SinkError(f"notify: {name} is {' or '.join(get_args(values))}")
        for template in (self.title, self.text):
            if wrong := unknown_fields(template):
                raise SinkError(f"notify: there is no {{{wrong[0]}}}; a text has {', '.join(FIELDS)}")


_KEYS = tuple(each.name for each in fields(NotifyRule))
_LISTS = _KEYS[:4]
_FILTER = re.compile(rf"\s+({'|'.join(_KEYS)})=")


@dataclass(frozen=True, slots=True)
class NotifyTarget:
    """An address, and rules; an event is sent if one of them selects it.

    Attributes:
        address: see :class:`segue.events.Notifier`.
        rules: at least one.
    """

    address: str
    rules: tuple[NotifyRule, ...] = (NotifyRule(),)

    @classmethod
    def parse(cls, text: str) -> NotifyTarget:
        """Parse an address with a rule, in the format of ``--notify``.

        Args:
            text: such as ``mqtt://HOST/TOPIC only=person,car zone=door event=zone-enter,loiter``.

        Returns:
            The target; its address is not checked.

        Raises:
            SinkError: a value is empty, given twice or means nothing.
        """
        address, *rest = _FILTER.split(text.strip())
        values: dict[str, Any] = {}
        for key, value in zip(rest[::2], rest[1::2], strict=True):
            names = tuple(dict.fromkeys(name.strip() for name in _split(value) if name.strip()))
            if key in values or not (names if key in _LISTS else value.strip()):
                raise SinkError(f"notify: give {key}= once, with names separated by commas")
            values[key] = names if key in _LISTS else value.strip()
        rule = NotifyRule(**values)
        rule.check()
        return cls(address, (rule,))

    @classmethod
    def text_of(cls, table: Mapping[str, Any]) -> str:
        """Format a table of a configuration as text.

        Args:
            table: ``address``, and if you like fields of :class:`NotifyRule`, lists also as a text.

        Returns:
            Text for :meth:`parse`.

        Raises:
            SinkError: it is no such table.
        """
        values = {key: [each] if isinstance(each := table[key], str) else each for key in table}
        are_texts = all(
            isinstance(each, list) and all(isinstance(text, str) for text in each) for each in values.values()
        )
        single = ("address", *(key for key in _KEYS if key not in _LISTS))
        is_table = are_texts and {"address"} <= {*values} <= {"address", *_KEYS}
        if not is_table or any(len(values[key]) != 1 for key in single if key in values):
            raise SinkError(f"notify: give a table with address, and if you like {', '.join(_KEYS)}")
        for key in ("title", "text"):
            if match := _FILTER.search(" ".join(values.get(key, ()))):
                raise SinkError(f"notify: {key} must not contain {match[1]}= after a space")
        texts = [f"{key}={_listed(values[key])}" for key in _LISTS if key in values]
        texts += [f"{key}={values[key][0]}" for key in single[1:] if key in values]
        return " ".join([values["address"][0], *texts])

    def __str__(self) -> str:
        return "; ".join(
            self.text_of(
                {"address": self.address}
                | {
                    key: [*value] if key in _LISTS else value
                    for key in _KEYS
                    if (value := getattr(rule, key))
                }
            )
            for rule in self.rules
        )

    def concerns(self, recorded: RecordedEvent, zone: str) -> bool:
        """Whether a rule selects the object of an event in a zone."""
        return any(rule.admits(recorded) and rule.means_zone(zone) for rule in self.rules)

    @property
    def class_lists(self) -> list[frozenset[str]]:
        """Classes of each rule that lists some."""
        return [rule.only_classes for rule in self.rules if rule.only]

    def rule_of(
        self, recorded: RecordedEvent, events_of: Callable[[RecordedEvent], Iterable[RecordedEvent]]
    ) -> NotifyRule:
        """First rule that an event and its class pass.

        Args:
            recorded: the event.
            events_of: returns all events of its visit so far, one of which may have its class.

        Returns:
            The rule.
        """
        rules = [rule for rule in self.rules if rule.receives(recorded)]
        if len(rules) > 1 or (rules and not rules[0].admits(recorded)):
            visit = (recorded, *events_of(recorded))
            rules = [rule for each in visit for rule in rules if rule.admits(each)]
        return next(iter(rules), self.rules[0])

    def due(
        self, recorded: RecordedEvent, events_of: Callable[[RecordedEvent], Iterable[RecordedEvent]]
    ) -> list[RecordedEvent]:
        """Events to send when one is recorded: also earlier ones of an object that is now selected.

        Args:
            recorded: an event, or a class that has become known.
            events_of: returns all events of its visit so far.

        Returns:
            Events in order.
        """
        rule = self.rules[0]
        if len(self.rules) == 1 and not self._sends_once_per_visit(rule) and not self._is_end(recorded):
            if not rule.admits(recorded):
                return []
            is_new = rule.only and recorded.event.object and rule.only_classes.isdisjoint(recorded.earlier)
            if not is_new:
                return [recorded] if rule.receives(recorded) else []
        visit = [each for each in events_of(recorded) if each.seq <= recorded.seq]
        return [*self.deliveries(visit)][-1]

    def deliveries(self, events: Iterable[RecordedEvent]) -> Iterator[list[RecordedEvent]]:
        """Events to send with each event of a visit, in order, without repetition.

        Args:
            events: events of the visit, from the first on.

        Yields:
            Events in order.
        """
        deferred = [dict[int, RecordedEvent]() for _ in self.rules]
        admitted, sent = set[int](), set[int]()
        for recorded in events:
            ready = dict[int, RecordedEvent]()
            for number, rule in enumerate(self.rules):
                if rule.receives(recorded):
                    deferred[number][recorded.seq] = recorded
                if rule.admits(recorded):
                    admitted.add(number)
                if number not in admitted:
                    continue
                if not (self._sends_once_per_visit(rule) and recorded.event.object):
                    ready |= deferred[number]
                elif deferred[number] and not (sent or ready):
                    ready = dict([[*deferred[number].items()][-1]])
                deferred[number].clear()
            if self._is_end(recorded) and (sent or ready):
                ready[recorded.seq] = recorded
            yield [ready[seq] for seq in sorted(ready) if seq not in sent]
            sent |= {*ready}

    def _sends_once_per_visit(self, rule: NotifyRule) -> bool:
        """Whether a rule selects one event per visit."""
        return (rule.per or ("visit" if self.is_alert else "event")) == "visit"

    def _is_end(self, recorded: RecordedEvent) -> bool:
        """Whether an event ends a visit and its receiver must be told."""
        event = recorded.event
        return bool(event.object) and event.event in LAST and entry_of(self.address).needs_end

    @property
    def is_alert(self) -> bool:
        """Whether messages are for people: one per visit, and only while the camera is armed."""
        return entry_of(self.address).alerts

    @property
    def key(self) -> str:
        """Key of the target, independent of its password."""
        place = self.address
        if not place.startswith(APPRISE):
            parts = urlsplit(place)
            host = f"{parts.username or ''}@{parts.hostname}:{parts.port or ''}"
            place = parts._replace(netloc=host).geturl()
        return hashlib.sha256(place.encode()).hexdigest()[:12]


def _split(text: str) -> list[str]:
    """Split a list of names; a name with a comma is quoted."""
    return next(csv.reader([text], skipinitialspace=True), [])


def _listed(names: Iterable[str]) -> str:
    return ",".join(
        '"{}"'.format(name.replace('"', '""')) if "," in name or '"' in name else name for name in names
    )


def check_targets(texts: Sequence[str]) -> list[NotifyTarget]:
    """Parse targets; texts with the same address become one target with several rules.

    Args:
        texts: as :meth:`NotifyTarget.parse` reads them.

    Returns:
        The targets, in the order of their first texts.

    Raises:
        SinkError: a text is no target, or an address is given twice with different passwords.
    """
    targets = dict[str, NotifyTarget]()
    for target in (NotifyTarget.parse(text) for text in texts):
        entry = entry_of(target.address)
        entry.check(target.address)
        if entry.alerts:
            (rule,) = target.rules
            target = replace(target, rules=(replace(rule, when=_while_armed(rule.when)),))
        previous = targets.get(target.key)
        if previous is not None and previous.address != target.address:
            raise SinkError(
                f"notify: {public_address(target.address)} is given twice, with other passwords; give one"
            )
        rules = (*(() if previous is None else previous.rules), *target.rules)
        targets[target.key] = replace(target, rules=tuple(dict.fromkeys(rules)))
    return [*targets.values()]


def _while_armed(when: tuple[str, ...]) -> tuple[str, ...]:
    return when if ARMED in when else (*when, ARMED)


def entry_of(address: str) -> EventSinkEntry:
    """Registry entry for the scheme of an address; SinkError if there is none."""
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
