"""Follow objects through a video: the function behind ``segue track``."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import torch

from segue.api import Results
from segue.errors import PromptError
from segue.models.base import MemoryPolicy, Schedule, TrackNetwork
from segue.prompts import MakePrompter
from segue.sessions import TrackSession
from segue.sessions.auto import Auto, AutoSession
from segue.sessions.detecting import detector
from segue.types import IndexMask, Prompt, Segmentation
from segue.video import Source, open_source
from segue.weights import load_for

Prompts = Mapping[int, IndexMask | Sequence[Prompt]]
"""What is said of each frame, by frame index."""


def track(
    source: Source | str | Path | int | Iterable[Any],
    prompts: Prompts | Auto,
    *,
    model: str | TrackNetwork = "stcn-lite",
    mem_every: int | None = None,
    top_k: int | Literal["published"] | None = "published",
    include_last: bool | None = None,
    memory_frames: int | None = None,
    memory_policy: MemoryPolicy | None = None,
    max_jump: float | None = None,
    short_side: int | None = None,
    flip_tta: bool = False,
    device: str | torch.device | None = None,
    fast: bool = False,
    fit: bool = False,
    prompter: MakePrompter | None = None,
    required: Container[int] | None = None,
) -> Iterator[Segmentation]:
    """Follow the objects that ``prompts`` names, or those that are found.

    What is left out of ``mem_every`` to ``memory_policy`` is as published for the model: every fifth frame
    and the best 20 positions for STCN, all positions and the previous frame besides for STM.

    Args:
        source: anything :func:`segue.open_source` takes, such as a file, a folder or a list of RGB arrays.
        prompts: for each frame index an index mask (H, W), or a list of prompts. Objects may be added,
            corrected and removed on any frame. :class:`segue.Auto` finds the objects instead.
        model: name for :func:`segue.load`, or a network.
        mem_every: a frame becomes memory this many frames after the last one did.
        top_k: memory positions that are read for a position; None is all of them.
        include_last: read the previous frame as well.
        memory_frames: bound on the memory, in frames.
        memory_policy: ``usage`` lets the least read frame go first, ``fifo`` the oldest, ``all`` keeps
            everything, as the papers do.
        max_jump: take small pieces away that are farther from an object's last mask than this part of the
            diagonal; 0 never does.
        short_side: reduce larger pictures to this short side for the network; 0 never does.
        flip_tta: look at the mirrored picture as well, and take the mean of both; takes twice the time.
        device: for example ``"cpu"`` or ``"cuda:1"``; None takes a GPU if there is one.
        fast: bfloat16 where the hardware has it.
        fit: resize given masks of another size instead of refusing them.
        prompter: what turns boxes and points into masks; None is segue-prompt, ``segue.prompts.GrabCut``
            another.
        required: indices of the frames whose results are wanted, as in YouTube-VOS; frames that are neither
            wanted nor due as memory are passed over and give no result.

    Yields:
        One result per frame, in order, as soon as it is there. Before the first prompt the masks are empty.

    Raises:
        SourceError, PromptError, CheckpointError: as described there.
        ValueError: a number is out of range, or ``required`` is given where objects are found.

    Example:
        >>> for result in segue.track("dog.mp4", {0: first_mask}):
        ...     print(result.index, result.mask.shape, [item.box for item in result.objects])
        >>> cars = segue.detector("maskrcnn", classes=["car"])
        >>> for result in segue.track("street.mp4", segue.Auto(cars, every=25)):
        ...     print(result.index, [(item.id, item.label) for item in result.objects])
    """
    network = load_for("track", model) if isinstance(model, str) else model
    schedule = make_schedule(
        network.schedule,
        mem_every=mem_every,
        top_k=top_k,
        include_last=include_last,
        memory_frames=memory_frames,
        memory_policy=memory_policy,
        max_jump=max_jump,
        short_side=short_side,
        flip_tta=flip_tta,
    )
    session = TrackSession(network, schedule, device=device, fast=fast, fit=fit, prompter=prompter)
    opened = source if isinstance(source, Source) else open_source(source)
    if not isinstance(prompts, Auto):
        return _follow(session, opened, prompts, required)
    if required is not None:
        raise ValueError("required frames go with prompts; with Auto every frame is looked at")
    return Results(AutoSession(session, prompts.detector or detector(), prompts.every), opened)


def _follow(
    session: TrackSession, source: Source, prompts: Prompts, required: Container[int] | None
) -> Iterator[Segmentation]:
    if not prompts:
        raise PromptError("no prompts: say what to follow, for example {0: first_mask}")
    reached = set()
    with source:
        for frame in source:
            given = prompts.get(frame.index)
            if given is not None:
                reached.add(frame.index)
            if required is None or frame.index in required or session.requires_update:
                yield session.step(frame, given)
            elif given is not None:
                yield session.step(frame, given, predict=False)
            else:
                session.skip(frame)
    missed = sorted(set(prompts) - reached)
    if missed:
        raise PromptError(f"there is a prompt for frame {missed[0]}, but the source has no such frame")


def make_schedule(
    published: Schedule, *, top_k: int | Literal["published"] | None = "published", **asked: Any
) -> Schedule:
    """The published schedule of a network with what :func:`track` was asked for; None is as published."""
    changes = {name: value for name, value in asked.items() if value is not None}
    for name in {"max_jump", "short_side"} & changes.keys():
        changes[name] = changes[name] or None  # 0 never does
    if top_k != "published":
        changes["top_k"] = top_k
    schedule = replace(published, **changes)
    for name in ("mem_every", "memory_frames", "top_k", "short_side"):
        value = getattr(schedule, name)
        if value is not None and value < 1:
            raise ValueError(f"{name} is {value}, but must be at least 1")
    if schedule.max_jump is not None and not 0 < schedule.max_jump < 1:
        raise ValueError(f"max_jump is {schedule.max_jump}, but must be a part of the diagonal, from 0 to 1")
    if schedule.memory_policy not in ("usage", "fifo", "all"):
        raise ValueError(f"memory_policy is {schedule.memory_policy!r}; choose usage, fifo or all")
    return schedule
