"""What is made of a job before its first frame."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from segue.errors import SourceError
from segue.jobs.loop import PromptSource, no_prompts
from segue.jobs.values import VideoSource
from segue.sessions.base import Session
from segue.types import Frame, Segmentation
from segue.video import Source, open_source
from segue.video.zones import Zone


def nothing() -> dict[str, Path]:
    """For jobs that have nothing to do after their last frame."""
    return {}


@dataclass(frozen=True, slots=True)
class Prepared:
    """A job that can begin: everything is loaded, and the first frame can be read.

    Attributes:
        session: takes the frames.
        source: where they come from; who runs the job closes it.
        frames: what the session is given: the source, or what is made of it.
        note: gives a few words about a result, for the progress.
        prompts: gives the prompts of a frame.
        required: indices of the frames whose results are wanted; None is all of them.
        total: expected number of frames, where it is not that of the source.
        saves: whether the session can be saved; otherwise a resumed run goes through all frames again.
        names: class names by number, as files of results number them.
        zones: what is watched for events.
        notice: what the person who runs the job should know; empty for nothing.
        finish: called after the last frame; gives what it has written, by what it is, and raises where the
            job could not mean what it says.
    """

    session: Session
    source: Source
    frames: Iterable[Frame]
    note: Callable[[Segmentation], str]
    prompts: PromptSource = no_prompts
    required: Collection[int] | None = None
    total: int | None = None
    saves: bool = True
    names: Mapping[int, str] = field(default_factory=dict)
    zones: tuple[Zone, ...] = ()
    notice: str = ""
    finish: Callable[[], Mapping[str, Path]] = nothing


def open_video(source: VideoSource) -> Source:
    """Open the source of a job.

    Raises:
        SourceError: nothing is there, or it cannot be read.
    """
    return open_source(source.place, **source.model_dump(exclude={"place", "identity", "origin"}))


def first_frame(name: str, frames: Iterable[Frame]) -> tuple[Frame, Iterator[Frame]]:
    """The first frame of a source, and all of them."""
    others = iter(frames)
    first = next(others, None)
    if first is None:
        raise SourceError(f"{name}: there are no frames in the part that was asked for")
    return first, itertools.chain([first], others)
