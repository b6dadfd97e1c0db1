"""Who receives the progress of a job: a terminal, a worker of a batch, or a program."""

from __future__ import annotations

from pathlib import Path

from segue.types import Frame, Segmentation


class Observer:
    """Receives the progress of a job. This one ignores it; subclasses take what they need.

    All methods are called in the thread that runs the job.

    Attributes:
        sees_results: whether it wants the results of jobs that have them only at the end, which keeps their
            frames in memory.
    """

    sees_results = False

    def notice(self, text: str) -> None:
        """Something that the person who runs the job should know, one line."""

    def begin(self, what: str, total: int | None) -> None:
        """Frames begin to be taken.

        Args:
            what: what is counted, such as ``frames``.
            total: their expected number, or None.
        """

    def count(self, done: int) -> None:
        """So many of them are done, where they give no results one by one."""

    def frame(self, frame: Frame, result: Segmentation, note: str) -> None:
        """A result is written.

        Args:
            frame: its frame.
            result: what is written.
            note: a few words about it.
        """

    def end(self, frames: int, seconds: float) -> None:
        """All frames are done and everything is written."""

    def written(self, name: str, path: Path) -> None:
        """A file or folder is complete, by the name of its format."""
