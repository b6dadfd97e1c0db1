"""Receivers of the progress of a job: a terminal, a batch worker, or a program."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from segue.events.deliveries import Notifiers
    from segue.events.table import Event
    from segue.events.zones import Zone
    from segue.types import Frame, Segmentation
    from segue.video import Source
    from segue.video.decoding.readers import ConnectionChange


class Observer:
    """Receives the progress of a job; override methods in a subclass.

    All methods but :meth:`event` and :meth:`connection` are called in the thread that runs the job.
    """

    @property
    def goes_on(self) -> bool:
        """Whether another run with the same outputs follows immediately; it sends pending messages."""
        return False

    def notice(self, text: str) -> None:
        """Receive a notice for the person who runs the job.

        Args:
            text: one line.
        """

    def ready(self, source: Source, zones: Sequence[Zone]) -> None:
        """The job is about to process the frames of a video.

        Args:
            source: their source; read only its properties.
            zones: zones and lines that are watched for events.
        """

    def begin(self, what: str, total: int | None) -> None:
        """The job starts to process frames, or, after all frames, to encode clips of events.

        Args:
            what: the counted units, such as ``frames`` or ``clips``.
            total: their expected number, or None.
        """

    def count(self, done: int) -> None:
        """Receive the progress of a job without results for single frames.

        Args:
            done: finished frames or steps, out of the total of :meth:`begin`.
        """

    def looked_at(self, frame: Frame) -> None:
        """A frame was processed whose result comes later, as in the first of two passes.

        Args:
            frame: the frame.
        """

    def frame(self, frame: Frame, result: Segmentation, note: str) -> None:
        """A result is written.

        Args:
            frame: its frame.
            result: written result.
            note: a few words about it.
        """

    def event(self, event: Event) -> None:
        """An event of an object was detected, and is written; called in the thread that writes events.

        Args:
            event: kind, object, place and time.
        """

    def unwritten(self, what: str, problem: str) -> None:
        """A live run cannot write to the disk, or can write again; any thread may call it.

        Args:
            what: ``events`` or ``images``.
            problem: the reason; empty if writing works again.
        """

    def messages(self, messages: Notifiers) -> None:
        """Events are sent to receivers.

        Args:
            messages: sender of the messages, with the number of undelivered messages.
        """

    def connection(self, change: ConnectionChange) -> None:
        """A camera or stream was lost, or is back; called in the thread that reads it.

        Args:
            change: which, when and why.
        """

    def computed(self, frames: int, seconds: float) -> None:
        """Learn how long the networks took, before :meth:`end`.

        Args:
            frames: number of frames in this run, without those before a resume.
            seconds: wall time of these frames, without reading and writing.
        """

    def end(self, frames: int, seconds: float) -> None:
        """Learn that all frames are done and all files written.

        Args:
            frames: number of frames with a result.
            seconds: wall time since the first frame.
        """

    def written(self, name: str, path: Path) -> None:
        """A file or folder was completed.

        Args:
            name: name of its format, such as ``masks`` or ``overlay``.
            path: its path.
        """
