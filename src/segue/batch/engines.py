"""What workers are to a batch, wherever they run: something that takes videos and gives news."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from segue.batch.places import hide_secrets, one_line
from segue.batch.plan import Task
from segue.batch.work import JobConfig, Outcome, ProgressRecorder, execute
from segue.cancel import CancelToken
from segue.errors import SegueError

BEAT_SECONDS = 2.0
"""Time between two signs of life of a worker."""

SILENT_SECONDS = 120.0
"""A worker that says nothing for so long is taken for dead."""


@dataclass(frozen=True, slots=True)
class Event:
    """News from a worker.

    Attributes:
        kind: ``beat``: it is alive; ``done``, ``failed``, ``stopped`` (interrupted, to be resumed): what
            became of its video; ``lost``: it died with its video.
        worker: its name.
        frames: frames of the video so far.
        error: what was wrong, one line.
        outcome: of a video that is done.
    """

    kind: Literal["beat", "done", "failed", "stopped", "lost"]
    worker: str
    frames: int = 0
    error: str = ""
    outcome: Outcome | None = None


class Engine(Protocol):
    """Workers that hold their networks from video to video.

    Workers come and go: one that was lost is replaced when there is room for another.
    """

    @property
    def workers(self) -> dict[str, str]:
        """The machine of each worker that there is now, by name."""

    @property
    def memory(self) -> dict[str, float]:
        """Bytes that the videos on each machine may take together."""

    def give(self, worker: str, task: Task) -> None:
        """Give a video to an idle worker.

        Args:
            worker: name of the worker.
            task: the video and what to do with it.
        """

    def events(self, seconds: float) -> Sequence[Event]:
        """Wait for events of the workers.

        Args:
            seconds: longest time to wait.

        Returns:
            What has happened, in order; empty when the time is over.

        Raises:
            SegueError: there are no workers, and there will be none.
        """

    def interrupt(self) -> None:
        """Ask all workers to stop after the frame in work."""

    def close(self) -> None:
        """End all workers at once; takes at most seconds."""


def report(name: str, task: Task, order: JobConfig, watch: ProgressRecorder, cancel: CancelToken) -> Event:
    """Process one video, and report the outcome."""
    video = CancelToken()  # what this video hangs on to it goes with it
    cancel.on_cancel(video.cancel)
    try:
        outcome = execute(task, order, watch, video)
        return Event("done", name, watch.frames, outcome=outcome)
    except KeyboardInterrupt:
        return Event("stopped", name, watch.frames)
    except SegueError as error:
        return Event("failed", name, watch.frames, one_line(error))
    except Exception as error:  # one rotten video must not end the batch
        message = hide_secrets(" ".join(str(error).split()))
        return Event("failed", name, watch.frames, f"{type(error).__name__}: {message}")
    finally:
        cancel.forget(video.cancel)


def open_engine(order: JobConfig, count: int | None = None, devices: Sequence[str] = ()) -> Engine:
    """Local processes, or with an address the actors of a Ray cluster."""
    from segue.batch.local import LocalEngine
    from segue.batch.ray_cluster import RayEngine

    if order.address is not None:
        return RayEngine(order, order.address, count)
    count = count or max(1, (os.cpu_count() or 1) // (order.threads or 1))
    return LocalEngine(order, count, devices)
