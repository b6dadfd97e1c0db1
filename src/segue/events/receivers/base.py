"""Interface of receivers of events."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from segue.entries.formats import SinkOptions
from segue.types import Frame, Segmentation

if TYPE_CHECKING:
    from segue.events.archive import EventArchive
    from segue.events.store.records import RecordedEvent
    from segue.events.store.store import EventStore
    from segue.events.table import Event
    from segue.events.targets import NotifyTarget
    from segue.events.zones import Zone


class Delivery(NamedTuple):
    """Outcome of sending an event.

    Attributes:
        outcome: ``sent``; ``retry`` if the receiver does not answer or is busy, so that all that follows
            waits, too; ``refused`` if it works and does not take this one, which then waits for the others.
        reason: why it was not sent.
    """

    outcome: Literal["sent", "retry", "refused"]
    reason: str = ""


SENT = Delivery("sent")


@dataclass(frozen=True)
class Message:
    """A message for a receiver.

    Attributes:
        values: by their names, with an ``id`` that stays when it is sent again.
        visit: number of the visit of an event; 0 without one.
    """

    values: Mapping[str, Any]
    visit: int = 0

    @property
    def body(self) -> bytes:
        """Encode the values as JSON."""
        return json.dumps(self.values).encode()


class BetterView(NamedTuple):
    """A view that shows more of an object than the image of its ``enter``, which it replaces.

    Attributes:
        visit: number of the visit of the object.
        path: of the image.
        image: JPEG.
        score: see :func:`.best_views.view_score`.
    """

    visit: int
    path: Path
    image: bytes
    score: float


class EventReceiver:
    """Receiver of events: one class in one module, with an entry of ``EVENT_SINKS``.

    Override :meth:`send`, and other methods as needed.
    """

    topic: str | None = None
    """Topic of a broker; None elsewhere."""

    def send(self, message: Any, timeout: float) -> Delivery:
        """Send an event.

        Args:
            message: the event: ``message.values`` are its columns by their names, with an ``id``.
            timeout: seconds that it may take.

        Returns:
            The outcome. An ``OSError`` or ``ValueError`` counts as ``retry``.
        """
        raise NotImplementedError

    def close(self) -> None:
        """Close the receiver."""

    def see(self, frame: Frame, result: Segmentation) -> None:
        """Receive a frame; called before its events.

        Args:
            frame: the frame.
            result: its objects.
        """

    def announce(self, online: bool) -> None:
        """Receive whether the camera gives frames.

        Args:
            online: False while the connection is lost.
        """

    def show_armed(self, armed: bool) -> None:
        """Receive whether alerts are on.

        Args:
            armed: False while new events cause no alert.
        """

    def show_better(self, view: BetterView) -> None:
        """Receive a better view of an object; called in the thread of the run.

        Args:
            view: the event of the visit, and the new image.
        """

    def change(self, zones: Sequence[Zone]) -> None:
        """Receive new zones.

        Args:
            zones: all zones, which replace the earlier ones.
        """

    def keep(self, topic: str, body: bytes) -> None:
        """Publish a retained message, if the receiver is a broker.

        Args:
            topic: full name of the topic.
            body: the message; an empty one clears the topic.
        """

    def keep_no_other(self, filters: Sequence[str]) -> None:
        """Clear retained messages that :meth:`keep` has not set.

        Args:
            filters: topics to clear; + is any part.
        """


class FileReceiver(EventReceiver):
    """Receiver that writes files: called in the thread of the run, after alarms."""

    def describe(self, event: RecordedEvent) -> RecordedEvent:
        """Add the names of the files of this receiver to an event; writes nothing."""
        return event

    def improve(self, objects: Mapping[int, Event]) -> None:
        """Receive the objects of the newest frame, each as an event there."""

    def flush(self) -> None:
        """Write everything to the disk; raises SinkError."""

    def abort(self) -> None:
        """End after the run has failed; written files stay."""
        self.close()


@dataclass(frozen=True)
class ReceiverContext:
    """Context with which a receiver is opened.

    Attributes:
        name: name of the camera or source.
        address: address of ``--notify``, if any.
        online: whether the camera gives frames already.
        size: returns height and width of the image of events' boxes, if known.
        arm: sets whether alerts are sent, for receivers that can change it.
        zones: watched zones and lines.
        store: events of the run, and of earlier ones of a camera.
        table: the table of the part of the run.
        part: its name, or nothing.
        images: folder of its images and clips; None without images.
        archive: place of all parts.
        options: options of the run.
        targets: receivers of ``--notify`` with their rules.
        home_assistant: whether ``--home-assistant`` is given.
        show_better: receives better views of objects, for all receivers.
        tell: passes events to the interface that shows the run.
        report: receives ``events`` or ``images`` and the reason if they cannot be written, else empty.
        count_clips: receives the number of clips encoded after all frames, and their total.
        stop_time: returns when the run was asked to stop, by ``time.monotonic()``.
    """

    name: str = ""
    address: str = ""
    online: bool = True
    size: Callable[[], tuple[int, int] | None] = lambda: None
    arm: Callable[[bool], object] | None = None
    zones: tuple[Zone, ...] = ()
    store: EventStore | None = None
    table: Path = Path("events.csv")
    part: str = ""
    images: Path | None = None
    archive: EventArchive | None = None
    options: SinkOptions = SinkOptions()  # noqa: RUF009  it cannot be changed
    targets: tuple[tuple[NotifyTarget, EventReceiver], ...] = ()
    home_assistant: bool = False
    show_better: Callable[[BetterView], object] = lambda _: None
    tell: Callable[[Any], object] | None = None
    report: Callable[[str, str], None] = lambda *_: None
    count_clips: Callable[[int, int], None] | None = None
    stop_time: Callable[[], float | None] = lambda: None
