"""Receivers of the progress of a job: a terminal, a batch worker, or a program."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from segue.events.messages.targets import Messages
    from segue.events.table import Event
    from segue.events.zones import Zone
    from segue.types import Frame, Segmentation
    from segue.video import Source
    from segue.video.decoding.readers import ConnectionChange


class Observer:
    """Receives the progress of a job. This one ignores it; subclasses take what they need.

    All methods but :meth:`event` and :meth:`connection` are called in the thread that runs the job.
    """

    @property
    def goes_on(self) -> bool:
        """Whether another run with the same outputs follows at once; it sends the messages that wait."""
        return False

    def notice(self, text: str) -> None:
        """Receive a notice for the person who runs the job.

        Args:
            text: one line.
        """

    def ready(self, source: Source, zones: Sequence[Zone]) -> None:
        """Frames of a video are about to be taken.

        Args:
            source: where they come from; only to be asked what it is.
            zones: what is watched for events.
        """

    def begin(self, what: str, total: int | None) -> None:
        """Frames begin to be taken, or when all are written, clips of events to be encoded.

        Args:
            what: what is counted, such as ``frames`` or ``clips``.
            total: their expected number, or None.
        """

    def count(self, done: int) -> None:
        """Receive the progress of a job that gives no results one by one.

        Args:
            done: frames or steps that are done, of the total given to :meth:`begin`.
        """

    def looked_at(self, frame: Frame) -> None:
        """A frame was looked at whose result comes later, as in the first of two passes.

        Args:
            frame: the frame.
        """

    def frame(self, frame: Frame, result: Segmentation, note: str) -> None:
        """A result is written.

        Args:
            frame: its frame.
            result: what is written.
            note: a few words about it.
        """

    def event(self, event: Event) -> None:
        """Something has happened to an object; called in the thread that writes events.

        Args:
            event: what, to which object, where and when.
        """

    def unwritten(self, what: str, problem: str) -> None:
        """The disk takes nothing of what a live run writes, or takes it again; any thread may call it.

        Args:
            what: ``events`` or ``images``.
            problem: why it is not written; empty where it is again.
        """

    def messages(self, messages: Messages) -> None:
        """Events are sent to receivers.

        Args:
            messages: sends them, and knows how many have not arrived.
        """

    def connection(self, change: ConnectionChange) -> None:
        """A camera or stream was lost, or is back; called in the thread that reads it.

        Args:
            change: which, when and why.
        """

    def computed(self, frames: int, seconds: float) -> None:
        """Learn how long the networks took, before :meth:`end`.

        Args:
            frames: number of frames that this run took; a run that was resumed took the others earlier.
            seconds: wall time of all of them, without reading and writing.
        """

    def end(self, frames: int, seconds: float) -> None:
        """Learn that all frames are done and all files written.

        Args:
            frames: number of frames with a result.
            seconds: wall time since the first frame.
        """

    def written(self, name: str, path: Path) -> None:
        """Learn that a file or folder is complete.

        Args:
            name: name of its format, such as ``masks`` or ``overlay``.
            path: where it is.
        """
