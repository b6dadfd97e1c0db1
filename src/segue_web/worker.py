"""The process that computes, so that the page answers while a network is at work."""

from __future__ import annotations

import asyncio
import math
import multiprocessing
import threading
import traceback
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache, partial
from itertools import count
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Literal

import numpy as np

from segue.allocation import prepare_process
from segue.arrays import BoolArray, Float32Array, UInt8Array
from segue.errors import PromptError, SegueError
from segue.prompts import Answer, Extent, MakePrompter, PicturePrompter, Prompts, find_prompter
from segue.prompts.motion import MotionPrompter
from segue.registry import DETECTORS
from segue.sessions.detecting import detector
from segue.types import Image, Point
from segue.video.decode import FrameOrder
from segue.weights.loading import load_for
from segue_web.video import Video

Model = tuple[str, Path | None]
"""Name of the tracker's network, and its weight file, if it is to be another than its own."""

DEFECT = "this failed inside segue; the terminal has the details"
"""Message of the page for errors that are not :class:`SegueError`."""

STEPS_AHEAD = 4
"""Steps of a job that are computed before the first of them is saved."""

KEPT_FRAMES = 4
"""Frames whose features are kept for further clicks."""

KEPT_DETECTORS = 6
"""Detectors that stay loaded, one for each text too."""

KEPT_ANSWERS = 8
"""Answers to clicks whose probabilities are kept for further clicks, a byte a pixel."""


@dataclass(frozen=True, slots=True)
class Clicked:
    """The mask that clicks mean.

    Attributes:
        plane: the mask, (H, W).
        iou: its predicted IoU with what was meant, in [0, 1]; None where the prompter does not say.
        extent: what of :data:`segue.prompts.Extent` it shows.
        extents: which others are available.
    """

    plane: BoolArray
    iou: float | None
    extent: Extent
    extents: tuple[Extent, ...]


@dataclass(frozen=True, slots=True)
class Suggestion:
    """An object that a detector found on a frame.

    Attributes:
        plane: its mask, (H, W).
        label: its class, None where the detector knows none.
        score: its confidence, in [0, 1]; None if unknown.
    """

    plane: BoolArray
    label: str | None
    score: float | None


class Tools:
    """State of the process between requests: the video, the networks, and features of frames."""

    def __init__(self, video: Video | None, model: Model, prompter: str, device: str | None) -> None:
        self.device = device
        if video is not None:
            self.video = video
        self._model, self._prompter_name = model, prompter
        self.prompter = lru_cache(KEPT_FRAMES)(self._prompter)
        self._detector = lru_cache(KEPT_DETECTORS)(partial(detector, device=device))
        self._answers: deque[tuple[int, UInt8Array]] = deque(maxlen=KEPT_ANSWERS)

    @cached_property
    def video(self) -> Video:
        """Opened by the first request: where it was moved away meanwhile, that one fails."""
        return self._open_video_file()

    def use(self, path: Path, index: FrameOrder | None) -> None:
        """Use a video, with the index that the server has read."""
        self._open_video_file = partial(Video, path, index)

    @cached_property
    def network(self) -> Any:
        return load_for("track", *self._model)

    @cached_property
    def _make_prompter(self) -> MakePrompter:
        return find_prompter(self._prompter_name, device=self.device)

    def _prompter(self, index: int) -> PicturePrompter:
        """The prompter on a frame; what it computed of the frame is kept for the next click."""
        image = self.video.frame(index).image
        return MotionPrompter(self._make_prompter(image), image, partial(self._neighbour, index))

    def _neighbour(self, index: int) -> Image | None:
        """The image of the next frame, or of the one before the last; None of a single image."""
        other = index + 1 if index + 1 < self.video.count else index - 1
        return None if other < 0 else self.video.frame(other).image

    def prepare(self, index: int, at: Point | None = None) -> None:
        """Load what a click and a tracking need, and answer a first click at a place, or in the middle.

        A :class:`MotionPrompter` keeps its last answer, so that a click there takes no time.
        """
        height, width = self.video.size
        self.prompter(index).answer(Prompts(points=[at or (width / 2, height / 2)]))
        self.network  # noqa: B018  loaded now, so that the first tracking begins at once

    def click(self, index: int, prompts: Prompts, bound: BoolArray | None) -> Clicked:
        """The mask that prompts mean on a frame."""
        mask = None if prompts.mask is None else self._probability(index, prompts.mask)
        answer = self.prompter(index).answer(replace(prompts, mask=mask))
        if bound is not None:
            answer = answer.within(bound)
        if not answer.mask.any():
            raise PromptError("nothing is found there; add a point, draw a box, or paint it")
        levels = (answer.probability * 255).astype(np.uint8)
        np.maximum(levels, answer.mask * np.uint8(128), out=levels)  # so that the mask stays the same
        self._answers.append((index, levels))
        return Clicked(answer.mask, _iou(answer), answer.extent, answer.extents)

    def _probability(self, index: int, mask: BoolArray) -> Float32Array | BoolArray:
        """Probabilities of a mask of a frame if it was computed here, else the mask.

        The project keeps masks alone, but a correction is better where the prompter sees what it doubted.
        """
        for frame, levels in reversed(self._answers):
            if frame == index and np.array_equal(levels > 127, mask):
                return np.divide(levels, 255, dtype=np.float32)
        return mask

    def find(self, index: int, name: str, text: str = "") -> list[Suggestion]:
        """Objects found by a detector of :func:`segue.detector`; with a text, those that the phrases name.

        A detector without classes leaves a text to the one that suits it. Where scores say only the order,
        the prompter says how good each mask may be.
        """
        taken = DETECTORS.find(name).supported_options
        if text.strip():
            find = self._detector(name if "classes" in taken else None, text=text)
        else:
            find = self._detector(name)
        found = find(*self.video.walk(index, min(index + find.lookahead, self.video.count - 1)))
        scored = "score" in taken or bool(text.strip())
        return [
            Suggestion(plane, item.label, item.score if scored else self._quality(index, plane))
            for plane, item in zip(found.planes.astype(np.bool_), found.objects, strict=True)
        ]

    def _quality(self, index: int, plane: BoolArray) -> float | None:
        return _iou(self.prompter(index).answer(Prompts(mask=plane)))


def _iou(answer: Answer) -> float | None:
    iou = float(answer.iou[0])
    return None if math.isnan(iou) else iou


def work(connection: Connection, model: Model, prompter: str, device: str | None) -> None:
    """Answer requests until the connection ends; jobs go on between them, one step at a time.

    What comes is ("ask", number, name of a method of :class:`Tools`, its arguments), ("job", number, what
    makes the steps from the tools and arguments, arguments), ("taken",) or ("stop",). No step is None, which
    is the end. At most ``STEPS_AHEAD`` steps wait to be taken.
    """
    prepare_process()
    try:
        tools = Tools(None, model, prompter, device)
        job: int | None = None
        ahead = 0
        steps: Iterator[Any] = iter(())
        while True:
            if job is None or ahead >= STEPS_AHEAD or connection.poll():
                kind, *message = connection.recv()
                if kind == "stop":
                    job = None
                elif kind == "taken":
                    ahead -= 1
                elif kind == "job":
                    job, make, arguments = message
                    ahead, steps = 0, make(tools, *arguments)
                else:
                    number, method, arguments = message
                    connection.send((number, *_attempt(getattr(tools, method), *arguments)))
            else:
                value, error = _attempt(next, steps, None)
                connection.send(("job", job, value, error))
                ahead += 1
                job = None if value is None else job
    except (EOFError, KeyboardInterrupt, BrokenPipeError):
        return


def _attempt(call: Callable[..., Any], *arguments: Any) -> tuple[Any, str | None]:
    """Its result, or one line for the page; a defect prints its traceback on the terminal."""
    try:
        return call(*arguments), None
    except SegueError as error:
        return None, str(error)
    except Exception as error:
        traceback.print_exception(error)
        return None, DEFECT


@dataclass(eq=False)
class _Process:
    """A process that computes, and what waits for it.

    Attributes:
        process: the process.
        connection: this end of its pipe.
        waiting: answers that are due, by the number of the request.
        job: number of the job that runs, None where none does.
        has_video: whether it was told the video.
        ended: whether its end was noticed.
    """

    process: Any
    connection: Connection
    waiting: dict[int, asyncio.Future[Any]] = field(default_factory=dict)
    job: int | None = None
    has_video: bool = False
    ended: bool = False


class Worker:
    """The other process, seen from the server; it is started again when it has ended.

    ``report`` is called in the event loop with the value of each step of a job, and an error or None; None is
    the value at its end.
    """

    def __init__(
        self,
        video: Video,
        model: Model,
        prompter: str,
        device: str | None,
        report: Callable[[Any, str | None], None],
    ) -> None:
        self._video = video
        self._arguments = (model, prompter, device)
        self._report = report
        self._numbers = count(1)
        self._current: _Process | None = None

    def start(self) -> None:
        """Start the process where there is none, or where it has ended."""
        self._running()

    def _running(self) -> _Process:
        current = self._current
        if current is not None and not current.ended and current.process.is_alive():
            return current
        if current is not None:
            self._end(current)  # its listener may not have heard of it yet
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(target=work, args=(theirs, *self._arguments), daemon=True)
        process.start()
        theirs.close()
        self._current = _Process(process, ours)
        loop = asyncio.get_running_loop()
        threading.Thread(target=self._listen, args=(self._current, loop), daemon=True).start()
        return self._current

    async def ask(self, method: Literal["prepare", "click", "find"], *arguments: Any) -> Any:
        """Call a method of :class:`Tools` in the process, and return its result."""
        current = self._running()
        number = next(self._numbers)
        answer = current.waiting[number] = asyncio.get_running_loop().create_future()
        self._request(current, "ask", number, method, arguments)
        return await answer

    def begin(self, make: Callable[..., Iterator[Any]], *arguments: Any) -> None:
        """Begin a job in place of the one that runs."""
        current = self._running()
        if current.job is not None:
            self._send(current, "stop")
        current.job = next(self._numbers)
        self._request(current, "job", current.job, make, arguments)

    def _request(self, current: _Process, *message: Any) -> None:
        """Send what needs the video, and before the first one which video: its index is exact by then."""
        if not current.has_video:
            current.has_video = True
            self._send(current, "ask", 0, "use", (self._video.path, self._video.index))
        self._send(current, *message)

    def taken(self) -> None:
        """A step of the job is saved: the process may compute another one."""
        if self._current is not None and self._current.job is not None:
            self._send(self._current, "taken")

    def stop(self) -> None:
        """End the job; nothing more of it is reported, even if the process is in the midst of a step."""
        current = self._current
        if current is not None and current.job is not None:
            current.job = None
            self._send(current, "stop")

    def close(self) -> None:
        """End the process; its job reports nothing more, and waiting requests get an error."""
        current, self._current = self._current, None
        if current is not None:
            current.job = None
            self._end(current)
            current.process.terminate()
            current.process.join(5)

    def _send(self, current: _Process, *message: Any) -> None:
        try:
            current.connection.send(message)
        except OSError:  # it has ended this very moment
            self._end(current)

    def _listen(self, current: _Process, loop: asyncio.AbstractEventLoop) -> None:
        while True:
            try:
                message = current.connection.recv()
            except (EOFError, OSError):
                break
            if not _called(loop, self._hear, current, message):
                return
        _called(loop, self._end, current)

    def _hear(self, current: _Process, message: tuple[Any, ...]) -> None:
        if message[0] == "job":
            _, number, value, error = message
            if number == current.job:
                current.job = None if value is None else number
                self._report(value, error)
            return
        number, value, error = message
        answer = current.waiting.pop(number, None)
        if answer is not None and not answer.done():
            answer.set_result(value) if error is None else answer.set_exception(SegueError(error))

    def _end(self, current: _Process) -> None:
        """A process is gone, perhaps for lack of memory: what waits for it gets an error, nothing else."""
        if current.ended:
            return
        current.ended = True
        reason = "the process that computes has ended, perhaps for lack of memory; do it again"
        for answer in current.waiting.values():
            if not answer.done():
                answer.set_exception(SegueError(reason))
        current.waiting.clear()
        if current.job is not None:
            current.job = None
            self._report(None, reason)


def _called(loop: asyncio.AbstractEventLoop, call: Callable[..., None], *arguments: Any) -> bool:
    """Have something called in the event loop; False where that has ended."""
    try:
        loop.call_soon_threadsafe(call, *arguments)
    except RuntimeError:
        return False
    return True
