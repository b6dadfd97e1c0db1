"""The one frame loop: frames go through a session, and each result is paired with its frame."""

from __future__ import annotations

import enum
from collections import deque
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from dataclasses import replace

import numpy as np

from segue.sessions.base import Session
from segue.sessions.track import TrackSession
from segue.types import Frame, IndexMask, Prompt, Segmentation

PromptSource = Callable[[Frame], "IndexMask | Sequence[Prompt] | None"]
"""Gives the prompts of a frame, or None."""


Complete = Callable[[Segmentation], Segmentation]
"""Makes the result of a frame whole."""


class Skipped(enum.Enum):
    """What a step gives for a frame that has no result."""

    SKIPPED = enum.auto()


Step = Callable[[Frame], Segmentation | Skipped | None]
"""Takes the next frame through a session: the result that is due, None, or that this frame has none."""


def no_prompts(_: Frame) -> None:
    """For sessions that find objects by themselves."""


def prompted(session: Session, prompts: PromptSource, complete: Complete | None = None) -> Step:
    """Takes every frame through a session with its prompts."""

    def step(frame: Frame) -> Segmentation | None:
        result = session.step(frame, prompts(frame))
        return result if result is None or complete is None else complete(result)

    return step


def only_required(session: TrackSession, prompts: PromptSource, required: Container[int]) -> Step:
    """Takes the required frames through a session, and those that its memory needs; the others are skipped.

    Only the required ones have results. As in the evaluation of YouTube-VOS, a frame with prompts whose
    result nobody needs is memory alone.
    """

    def step(frame: Frame) -> Segmentation | Skipped:
        given = prompts(frame)
        if frame.index in required:
            return session.step(frame, given)
        if session.requires_update:
            session.step(frame, given)
        elif given is not None:
            session.step(frame, given, predict=False)
        else:
            session.skip(frame)
        return Skipped.SKIPPED

    return step


def results(session: Session, frames: Iterable[Frame]) -> Iterator[Segmentation]:
    """All results of frames without prompts, each as soon as it is there."""
    for _, result in FrameLoop(session, prompted(session, no_prompts)).over(frames):
        yield result


class FrameLoop:
    """Takes frames through a session, and gives each result together with its frame.

    Args:
        session: gives the results, ``session.lag`` frames late at most.
        step: takes a frame through it.
        copies: whether the pictures of frames that wait for their results are copied; needed where the source
            may fill one array again and again.

    Attributes:
        waiting: frames whose results are still due.
        taken: index of the last frame that the session has taken, or None.
    """

    def __init__(self, session: Session, step: Step, *, copies: bool = False) -> None:
        self._session, self._step = session, step
        self._copies = copies and session.lag > 0
        self.waiting: deque[Frame] = deque()
        self.taken: int | None = None

    def over(self, frames: Iterable[Frame]) -> Iterator[tuple[Frame, Segmentation]]:
        """All results of frames, each paired with its frame."""
        yield from self.take(frames)
        yield from self.finish()

    def take(
        self, frames: Iterable[Frame], between: Callable[[], None] = lambda: None
    ) -> Iterator[tuple[Frame, Segmentation]]:
        """The results that come while frames are taken, each with its frame."""
        for frame in frames:
            result = self._step(frame)
            self.taken = frame.index
            if result is not Skipped.SKIPPED:
                self.waiting.append(replace(frame, image=np.array(frame.image)) if self._copies else frame)
                if result is not None:
                    yield self.waiting.popleft(), result
            between()

    def finish(self) -> Iterator[tuple[Frame, Segmentation]]:
        """The results that are due after the last frame."""
        for result in self._session.finish():
            yield self.waiting.popleft(), result
