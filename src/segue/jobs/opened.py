"""An open run of a job: source, session and frames."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from segue.entries.events import EventSettings
from segue.errors import PromptError, SourceError
from segue.jobs.values import ForegroundJob, VideoJob, VideoSource
from segue.types import Box, Frame, Image, Segmentation
from segue.utils.cancel import Cancelled, CancelToken
from segue.video import Reconnect, Source, open_source

if TYPE_CHECKING:  # sources are opened before PyTorch is imported
    from segue.events.scene.blind import Detect
    from segue.sessions.session import Session


class Frames(Iterator[Frame]):
    """Iterator over the frames of a run that can be stopped; the next image can be read ahead.

    Images in memory are copied: a program may fill one again and again.

    Attributes:
        token: asks the run to stop; no frame is read after that.
    """

    def __init__(self, frames: Iterable[Frame], source: Source, token: CancelToken | None = None) -> None:
        self.token = token or CancelToken()
        self._frames = itertools.chain.from_iterable([frames])  # opened with the first one
        self._ahead = deque[Frame]()
        self._copies = source.request.place is None
        self._sees = not (self._copies and source.once)

    def __next__(self) -> Frame:
        if self.token.cancelled:
            raise StopIteration
        frame = self._ahead.popleft() if self._ahead else next(self._frames)
        if self.token.cancelled:
            raise StopIteration
        return replace(frame, image=np.array(frame.image)) if self._copies else frame

    def next_image(self) -> Image | None:
        """Image of the next frame, RGB (H, W, 3), uint8; None after the last frame.

        None, too, where images in memory come once: the next one may replace the one before in its array.
        """
        if self._sees and not self._ahead:
            self._ahead.extend(itertools.islice(self._frames, 1))
        return self._ahead[0].image if self._ahead else None

    def push_back(self, frame: Frame) -> None:
        """Return a frame again before all others."""
        self._ahead.appendleft(frame)


class Run:
    """An open job: network loaded, source readable; the caller closes the source.

    Jobs of a kind override :meth:`plan`, :meth:`step`, :meth:`note`, :meth:`at_end` and :meth:`summary`.

    Args:
        job: the job.
        source: source of the frames.
        session: processes the frames.
        input_frames: input of the session, if it is created from the source.
        total: expected number of results, where that is not the number of frames.
        required: indices of the frames whose results are wanted; None is all of them.
        names: class names by number, as files of results number them.
        records: computes the entries of a result file of YouTube-VIS, if not from the results.
        notice: notice for the person who runs the job; may be empty.
        events: monitor of events; None without events.

    Attributes:
        frames: the frames, each once.
        expected: frames that still have to come, and why.
        forms: choice of the layer implementations of its networks.
        events: see above.
        change_events: continues with the zones and rules of another job; None before anything is written.
        name_object: classifies a box of an image and returns label and score, or None; None names nothing.
        is_blind_now: whether the last frame had no known background.
        detect_objects: detects objects with classes in an image; None without a detector.
        pool: threads that take frames through sessions, where several jobs share them; None is the thread of
            the job.
    """

    def __init__(
        self,
        job: VideoJob,
        source: Source,
        session: Session,
        *,
        input_frames: Iterable[Frame] | None = None,
        total: int | None = None,
        required: Collection[int] | None = None,
        names: Mapping[int, str] | None = None,
        records: Callable[[], Sequence[Mapping[str, Any]]] | None = None,
        notice: str = "",
        events: EventSettings | None = None,
    ) -> None:
        self.job, self.source, self.session = job, source, session
        self.input_frames = source if input_frames is None else input_frames
        self.frames = Frames(self.input_frames, source)
        self.total = source.frame_count if total is None else total
        self.required, self.names, self.records, self.notice = required, names or {}, records, notice
        self.expected: dict[int, str] = {}
        self.events = events or EventSettings()
        self.change_events: Callable[[ForegroundJob], None] | None = None
        self.name_object: Callable[[Image, Box], tuple[str, float] | None] | None = None
        self.detect_objects: Detect | None = None
        self.is_blind_now = False
        self.pool: Executor | None = None
        from segue.inference.cpu.forms import current  # PyTorch is there, since the session is

        self.forms = current()

    def plan(self, first: Frame) -> object:
        """Read the prompts with the first frame, also of a resumed run."""

    def step(self, frame: Frame) -> Segmentation | None:
        """Process a frame with its prompts."""
        return self.session.step(frame)

    def is_blind(self, index: int) -> bool:
        """Whether the background of a frame was unknown."""
        return False

    def camera_motion(self, index: int) -> tuple[float, float]:
        """Motion of a panning camera to a frame, in parts of the longer side."""
        return 0.0, 0.0

    def note(self, result: Segmentation) -> str:
        """Short text about a result, for the progress."""
        return f"{sum(item.area > 0 for item in result.objects)} objects"

    def at_end(self) -> dict[str, Path]:
        """Files written after the last frame; raises if a part of the job could not be done."""
        return {}

    def summary(self) -> str:
        """Message after the last frame; empty if there is none."""
        return ""

    @property
    def in_memory(self) -> bool:
        """Whether the frames are images in memory, whose arrays a program may reuse."""
        return self.source.request.place is None

    def begin(self) -> None:
        """Read the first frame, which is processed later, and the prompts."""
        try:
            first, _ = first_frame(self.source.name, self.frames)
        except SourceError:
            if self.frames.token.cancelled:  # a camera has ended before its first frame
                raise Cancelled from None
            raise
        self.plan(first)
        self.frames.push_back(first)

    def check_arrival(self, result: Segmentation) -> None:
        """Mark a result as done; earlier frames without an expected result are done, too."""
        # Of a run that goes on the first results come once more, not the frames between that have none.
        for index in [i for i in self.expected if i <= result.index]:
            if index == result.index or index not in (self.required or ()):
                del self.expected[index]

    def finish(self) -> dict[str, Path]:
        """Return files written at the end; raise if an expected frame did not come."""
        if self.expected:
            frame = min(self.expected)
            raise PromptError(f"{self.expected[frame]} frame {frame} is not in the source")
        return self.at_end()


def open_video(source: VideoSource) -> Source:
    """Open the source of a job."""
    options = source.model_dump(exclude={"place", "frames", "identity", "origin", "retry"})
    return open_source(source.place or "", **options, reconnect=Reconnect(source.retry))


def first_frame(name: str, frames: Iterable[Frame]) -> tuple[Frame, Iterator[Frame]]:
    """First frame of a source, and an iterator over all frames."""
    remaining = iter(frames)
    first = next(remaining, None)
    if first is None:
        raise SourceError(f"{name}: there are no frames in the part that was asked for")
    return first, itertools.chain([first], remaining)
