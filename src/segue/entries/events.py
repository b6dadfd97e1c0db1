"""Entries of receivers of events, and the settings of a run with events."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class EventSettings:
    """Settings of a run for the format ``events``.

    Attributes:
        zones: watched regions and lines of the image, each a ``segue.events.zones.Zone``.
        rules: rules for the objects that cause events, a ``segue.events.rules.EventRules``.
        notify: one or several addresses that receive each event, as for ``--notify``.
        snapshots: folder for an image and a clip of each event.
        keep: limits for stored images, a ``segue.events.store.retention.Retention``; None keeps all.
        packets: packets of the stream, a ``segue.video.decoding.packets.PacketBuffer``; with None, clips are
            encoded.
        memory: the camera's memory of its scene, a ``segue.events.scene.memory.SceneMemory``; None starts
            from scratch.
        publisher: the ``segue.events.publisher.EventPublisher`` of a run that detects the events itself; with
            None, the format ``events`` detects them.
        part: name of the part of the run.
        before, after: seconds of a clip before and after the moment at which its event is known.
        page: returns the address of the cameras' page, for links; empty for none.
    """

    zones: tuple[Any, ...] = ()
    rules: Any = None
    notify: str | Sequence[str] | None = None
    snapshots: Path | None = None
    keep: Any = None
    packets: Any = None
    memory: Any = None
    publisher: Any = None
    part: str = ""
    before: float = 3.0
    after: float = 3.0
    page: Callable[[], str] = str


@dataclass(frozen=True, slots=True)
class EventSinkEntry:
    """Something that receives events.

    Attributes:
        name: its name.
        open: opens a ``segue.events.EventReceiver`` with a ``segue.events.receivers.base.ReceiverContext``;
            None if the run has none.
        schemes: schemes of accepted ``--notify`` addresses, such as ``http``; it then has its own
            thread, and gets what it missed in the next run.
        part: whether each part of a run has one of its own, which writes files.
        rank: of those without addresses lower ranks come first.
        check: refuses an address by SinkError, before the run.
        alerts: whether its messages are for people: one of each visit by default, and none while the camera
            is not armed.
        needs_end: whether it gets the last event of each visit of which it has got another, whatever its
            rules say.
    """

    name: str
    open: Callable[[Any], Any]
    schemes: tuple[str, ...] = ()
    part: bool = False
    rank: int = 100
    check: Callable[[str], object] = lambda _: None
    alerts: bool = False
    needs_end: bool = False
