"""A job that is open: its source, network and prompts, from before its first frame to after its last."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from segue.errors import SourceError
from segue.events.best_views import Name
from segue.events.rules import EventRules
from segue.events.zones import Zone
from segue.jobs.values import VideoJob, VideoSource
from segue.types import Frame, Prompt, Segmentation
from segue.video import Reconnect, Source, open_source

if TYPE_CHECKING:  # sources are opened before PyTorch is imported
    from segue.models.base import FramePrompts
    from segue.sessions.session import Session


class OpenJob:
    """A job whose network is loaded and whose frames can be read; its source is still to be closed.

    Each kind of job has a subclass that makes the session and refines the methods.

    Args:
        job: what is done.
        source: the source of the job, where it is open already.
        strict: whether a job that does not do what it says is an error, as where nobody looks at each
            result: no object is found, or a required frame is not in the source.

    Attributes:
        source: where the frames come from.
        session: takes the frames.
        frames: what the session is given: the source, or what is made of it.
        required: indices of the frames whose results are wanted; None is all of them.
        names: class names by number, as files of results number them.
        notice: what the person who runs the job should know; empty for nothing.
        forms: what decides on the forms of the layers of its networks.
        pool: threads that take frames through sessions, where several jobs share them; None is the thread of
            the job.
    """

    session: Session
    pool: Executor | None = None
    required: Collection[int] | None = None
    notice = ""
    zones: tuple[Zone, ...] = ()
    rules: EventRules | None = None
    name_object: Name | None = None

    def __init__(self, job: VideoJob, source: Source | None = None, *, strict: bool = False) -> None:
        self.job, self.strict = job, strict
        self.source: Source = source or open_video(job.source)
        self.frames: Iterable[Frame] = self.source
        self.names: Mapping[int, str] = {}
        from segue.inference.cpu.forms import current  # the source is open; now PyTorch is imported

        self.forms = current()

    def reopen(self) -> None:
        """Make networks and session anew, for the same source."""
        type(self).__init__(self, self.job, self.source, strict=self.strict)

    @property
    def in_memory(self) -> bool:
        """Whether the frames are images in memory, of which a program may fill one again and again."""
        return self.source.request.place is None

    def own_images(self, frames: Iterable[Frame]) -> Iterator[Frame]:
        """The frames, with copies of images in memory, which a program may fill again."""
        copies = (replace(frame, image=np.array(frame.image)) for frame in frames)
        return copies if self.in_memory else iter(frames)

    @property
    def total(self) -> int | None:
        """Expected number of results."""
        return self.source.frame_count

    def plan(self, first: Frame) -> Mapping[int, Sequence[Prompt] | FramePrompts]:
        """The prompts by frame, read with the first frame, also of a run that goes on."""
        return {}

    def step(self, frame: Frame) -> Segmentation | None:
        """Take a frame through the session, with its prompts."""
        return self.session.step(frame)

    def note(self, result: Segmentation) -> str:
        """A few words about a result, for the progress."""
        return f"{sum(item.area > 0 for item in result.objects)} objects"

    def finish(self) -> dict[str, Path]:
        """After the last frame: gives what it wrote, or raises where the job could not mean what it says."""
        return {}

    def summary(self) -> str:
        """What the person who ran the job should know after the last frame; empty for nothing."""
        return ""


def open_video(source: VideoSource) -> Source:
    """Open the source of a job."""
    options = source.model_dump(exclude={"place", "frames", "identity", "origin", "retry"})
    return open_source(source.place or "", **options, reconnect=Reconnect(source.retry))


def first_frame(name: str, frames: Iterable[Frame]) -> tuple[Frame, Iterator[Frame]]:
    """The first frame of a source, and all of them."""
    others = iter(frames)
    first = next(others, None)
    if first is None:
        raise SourceError(f"{name}: there are no frames in the part that was asked for")
    return first, itertools.chain([first], others)
