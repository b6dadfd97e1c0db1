"""A job that is open: its source, network and prompts, from before its first frame to after its last."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from segue.errors import ArgumentError, SourceError
from segue.jobs.loop import Complete, PromptSource, Step, no_prompts, only_required, prompted
from segue.jobs.parts import VideoSource
from segue.jobs.values import VideoJob
from segue.sessions.session import Session
from segue.sessions.track import TrackSession
from segue.types import Frame, Image, Segmentation
from segue.video import Source, open_source
from segue.video.best_views import Name
from segue.video.zones import Zone

Inputs = Mapping[str, Any]
"""Objects of a program by the argument that they were given as, in place of what the job names.

``source`` (opened), ``model``, ``prompter``, ``detector``, ``required``, ``roi``, ``scene`` and ``names``.
"""


def check_inputs(job: VideoJob, inputs: Inputs) -> None:
    """See that everything is there that a job was run with."""
    for item in job.given:
        if inputs.get(item.argument) is None:
            shown = f"{item.type} of shape {item.shape}" if item.shape else item.type
            raise ArgumentError(
                f"{item.argument}: this job was run with an object of a program ({shown}), which JSON "
                f"does not hold; call segue.{job.kind} with it"  # type: ignore[attr-defined]
            )


class Explains(Protocol):
    """A session that shows where its network looked."""

    def explain(self) -> None:
        """Keep the images of each result from now on."""

    @property
    def explanations(self) -> Mapping[str, Image]:
        """The images of the last result by what their files end with, RGB (rows, columns, 3), uint8."""


@dataclass(frozen=True, slots=True)
class OpenJob:
    """A job that can begin: everything is loaded, and the first frame can be read; a context manager.

    Attributes:
        job: what is done.
        session: takes the frames.
        source: where they come from; closed when a ``with`` block ends.
        frames: what the session is given: the source, or what is made of it.
        note: gives a few words about a result, for the progress.
        prompts: gives the prompts of a frame.
        required: indices of the frames whose results are wanted; None is all of them.
        begin: called with the first frame, before it is taken; also of a run that goes on.
        total: expected number of frames if it differs from the source.
        saves: whether the session can be saved; otherwise a resumed run goes through all frames again.
        names: class names by number, as files of results number them.
        zones: what is watched for events.
        name_object: says what an object of an event is: label and score; None leaves it open.
        inputs: objects of a program that take part.
        complete: makes the result of a frame whole, by what a pass before has found; None leaves it as it
            is.
        notice: what the person who runs the job should know; empty for nothing.
        summary: gives, after the last frame, what the person who ran the job should know; empty for nothing.
        finish: called after the last frame; gives what it has written, by what it is, and raises where the
            job could not mean what it says.
    """

    job: VideoJob
    session: Session
    source: Source
    frames: Iterable[Frame]
    note: Callable[[Segmentation], str]
    prompts: PromptSource = no_prompts
    required: Container[int] | None = None
    begin: Callable[[Frame], object] = no_prompts
    total: int | None = None
    saves: bool = True
    names: Mapping[int, str] = field(default_factory=dict)
    zones: tuple[Zone, ...] = ()
    name_object: Name | None = None
    inputs: Inputs = field(default_factory=dict)
    complete: Complete | None = None
    notice: str = ""
    summary: Callable[[], str] = str
    finish: Callable[[], Mapping[str, Path]] = dict

    def __enter__(self) -> OpenJob:
        return self

    def __exit__(self, *_: object) -> None:
        self.source.close()

    @property
    def step(self) -> Step:
        """Takes a frame through the session, with its prompts."""
        if self.required is None:
            return prompted(self.session, self.prompts, self.complete)
        assert isinstance(self.session, TrackSession)
        return only_required(self.session, self.prompts, self.required)

    @property
    def in_memory(self) -> bool:
        """Whether the frames are images in memory, of which a program may fill one again and again."""
        return self.source.request.place is None


def open_video(source: VideoSource) -> Source:
    """Open the source of a job."""
    if source.place is None:
        raise ArgumentError("source: the job says no place; its frames were images of a program")
    return open_source(source.place, **source.model_dump(exclude={"place", "identity", "origin"}))


def own_pictures(frames: Iterable[Frame]) -> Iterator[Frame]:
    """The frames with copies of their images, which stay as they are when an array is filled again."""
    for frame in frames:
        yield replace(frame, image=np.array(frame.image))


def first_frame(name: str, frames: Iterable[Frame]) -> tuple[Frame, Iterator[Frame]]:
    """The first frame of a source, and all of them."""
    others = iter(frames)
    first = next(others, None)
    if first is None:
        raise SourceError(f"{name}: there are no frames in the part that was asked for")
    return first, itertools.chain([first], others)
