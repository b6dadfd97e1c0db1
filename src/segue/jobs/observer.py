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
        """Receive a notice for the person who runs the job.

        Args:
            text: one line.
        """

    def begin(self, what: str, total: int | None) -> None:
        """Frames begin to be taken.

        Args:
            what: what is counted, such as ``frames``.
            total: their expected number, or None.
        """

    def count(self, done: int) -> None:
        """Receive the progress of a job that gives no results one by one.

        Args:
            done: frames or steps that are done, of the total given to :meth:`begin`.
        """

    def frame(self, frame: Frame, result: Segmentation, note: str) -> None:
        """A result is written.

        Args:
            frame: its frame.
            result: what is written.
            note: a few words about it.
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
