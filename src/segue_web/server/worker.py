"""Worker process for networks, so that the page stays responsive."""

from __future__ import annotations

import asyncio
import base64
import math
import multiprocessing
import os
import signal
import threading
import weakref
from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping, Sequence
from concurrent.futures import BrokenExecutor, Future, ProcessPoolExecutor
from dataclasses import dataclass
from functools import cached_property, lru_cache, partial
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from segue.errors import FlowError, OutOfMemoryError, SegueError, memory_errors
from segue.flow.plane import plane_motion
from segue.formats.labels import decode_mask
from segue.masks import Edge, encode_rle
from segue.masks.edges import Window, soft_masks
from segue.masks.splines import KeyedShape, fitted_shape, shape_ious
from segue.prompts import (
    Click,
    ImagePrompter,
    ImagePrompts,
    MakePrompter,
    MaskPrediction,
    correct,
    find_prompter,
)
from segue.prompts.correction import ClickHistory, as_levels, from_levels, readings
from segue.prompts.motion import MotionPrompter
from segue.prompts.phrases import parse_phrases
from segue.registry import DETECTORS
from segue.sessions.detecting import choose_for_text, detector
from segue.types import Image, Point
from segue.utils.allocation import prepare_process
from segue.utils.arrays import BoolArray, Float32Array, Float64Array, UInt8Array
from segue.utils.system import killed_by, leave_group, signals_blocked
from segue.video.decoding.frame_index import FrameIndex
from segue.weights.loading import load_for
from segue_web.video import Video

Model = tuple[str, Path | None]
"""Name of the tracker's network, and its weight file, if it is to be another than its own."""

RETRY_ADVICE = (
    "your edits are saved, and the worker process restarts; try again, with fewer objects or a smaller video"
)
ENDED = f"the worker process has ended; {RETRY_ADVICE}"

KEPT_BYTES = 48 << 20
"""Decoded frames that are kept, which a page that shows them needs more of."""

KEPT_FRAMES = 4
"""Frames whose features are kept for further clicks."""

KEPT_DETECTORS = 6
"""Detectors that stay loaded, one for each text too."""

KEPT_ANSWERS = 8
"""Answers to clicks whose probabilities are kept for further clicks, a byte a pixel."""


@dataclass(frozen=True, slots=True)
class Answer:
    """Mask of an answer, its author, and probability levels if needed."""

    frame: int
    prompter: weakref.ref[ImagePrompter]
    mask: BoolArray
    levels: UInt8Array | None


def drawn_soft(
    masks: Mapping[int, BoolArray], edges: Mapping[int, Edge], image: Image | None
) -> dict[int, dict[str, Any]]:
    """Opacities of soft-edged objects of a frame, as the page draws them.

    Args:
        masks: by object, (H, W), from below.
        edges: soft edges by object.
        image: RGB, (H, W, 3), uint8; only edges with detail need it.
    """
    soft = soft_masks([*masks.values()], [edges.get(number, Edge()) for number in masks], image)
    return {
        number: _encoded_window(window, alpha)
        for (number, mask), (window, alpha) in zip(masks.items(), soft, strict=True)
        if number in edges or not np.array_equal(mask[window], alpha)
    }


def _encoded_window(window: Window, alpha: Float32Array) -> dict[str, Any]:
    """An opacity as its offset and a white PNG with this opacity, in base64."""
    rows, columns = window
    levels = np.round(255 * alpha).astype(np.uint8)
    white = np.full_like(levels, 255)
    coded = cv2.imencode(".png", np.dstack([white, white, white, levels]), [cv2.IMWRITE_PNG_COMPRESSION, 1])
    png = base64.b64encode(coded[1].tobytes()).decode()
    return {"x": columns.start, "y": rows.start, "png": png}


class Tools:
    """State of the process: video, networks, and cached features."""

    def __init__(
        self, path: Path, index: FrameIndex | None, model: Model, prompter: str, device: str | None
    ) -> None:
        self.device = device
        self._path, self._index = path, index
        self._model, self._prompter_name = model, prompter
        self.prompter = lru_cache(KEPT_FRAMES)(self._prompter)
        self._detector = lru_cache(KEPT_DETECTORS)(partial(detector, device=device))
        self._answers: deque[Answer] = deque(maxlen=KEPT_ANSWERS)
        self._steps: Iterator[Any] | None = None

    @cached_property
    def video(self) -> Video:
        """Video, opened by the first request, which fails if the video is missing."""
        return Video(self._path, self._index, kept_bytes=KEPT_BYTES)

    @cached_property
    def network(self) -> Any:
        return load_for("track", *self._model)

    @cached_property
    def _make_prompter(self) -> MakePrompter:
        return find_prompter(self._prompter_name, device=self.device)

    def _prompter(self, index: int) -> ImagePrompter:
        """Prompter of a frame, cached for further clicks."""
        image = self.video.frame(index).image
        return MotionPrompter(self._make_prompter(image), image, partial(self._neighbour, index))

    def _neighbour(self, index: int) -> Image | None:
        """Next image, or the previous one for the last frame; None for a single image."""
        other = index + 1 if index + 1 < self.video.count else index - 1
        return None if other < 0 else self.video.frame(other).image

    def soft_masks(
        self, index: int, masks: Mapping[int, BoolArray], edges: Mapping[int, Edge]
    ) -> dict[int, dict[str, Any]]:
        """Opacities of the objects of a frame, see :func:`drawn_soft`."""
        return drawn_soft(masks, edges, self.video.frame(index).image)

    def fit_shape(
        self, masks: dict[int, str], size: tuple[int, int], minimum_iou: float
    ) -> tuple[KeyedShape, list[float]]:
        """Fit a keyed shape to masks, run lengths by frame; returns it and its IoU with each."""
        shape = fitted_shape(
            ((frame, decode_mask(masks[frame], size)) for frame in sorted(masks)), minimum_iou
        )
        return shape, shape_ious(shape, masks, size)

    def plane_motion(
        self,
        key: int,
        outline: Float64Array,
        first: int,
        last: int,
        motion: Float64Array,
        covered: dict[int, list[str]],
    ) -> tuple[list[Float64Array], bool]:
        """Motion of a plane from a key frame to each frame after ``first``, and whether it was lost.

        ``motion``: motion to the first frame; ``covered``: run lengths of objects in front, by frame.
        """
        motions: list[Float64Array] = []
        images = (frame.image for frame in self.video.walk(first, last))
        hidden = (self._united(covered.get(index, ())) for index in range(first, last + 1))
        of_key = (self.video.frame(key).image, self._united(covered.get(key, ())))
        try:
            for next_motion in plane_motion(images, outline, covered=hidden, key=of_key, motion=motion):
                motions.append(next_motion)  # those before it is lost stay
        except FlowError:
            return motions, True
        return motions, False

    def _united(self, masks: Sequence[str]) -> BoolArray | None:
        """Union of masks, run lengths; None without any."""
        planes = [decode_mask(counts, self.video.size) for counts in masks]
        return np.logical_or.reduce(planes) if planes else None

    def load_prompter(self) -> None:
        """Load the network for clicks before the first one."""
        self.prepare(0)

    def use_prompter(self, name: str) -> None:
        """Switch to another network for clicks, and load it."""
        self._make_prompter = find_prompter(name, device=self.device)
        self._prompter_name = name
        self.prompter.cache_clear()
        self.load_prompter()

    def load_tracker(self) -> None:
        """Load the tracking network before the first tracking."""
        self.network  # noqa: B018  a cached property

    def prepare(self, index: int, at: Point | None = None) -> None:
        """Precompute features of a frame, and an answer at a point, by default the centre."""
        height, width = self.video.size
        self.prompter(index).answer(ImagePrompts(points=[at or (width / 2, height / 2)]))

    def click(
        self,
        index: int,
        prompts: ImagePrompts,
        history: ClickHistory | None = None,
        new: Sequence[Click] = (),
    ) -> tuple[BoolArray, float]:
        """Mask (H, W) of prompts, and its expected IoU.

        With ``history``, which has made the mask of the prompts, it is the answer to ``new`` clicks.
        """
        prompter = self.prompter(index)
        if history is None or prompts.mask is None:
            return self._keep_answer(index, prompter.answer(prompts), is_recalled=prompts.mask is None)
        mask = self._recalled(index, prompts.mask, history)
        answer = history.answer(prompter, mask, new)
        return self._keep_answer(index, answer, is_recalled=mask.dtype.kind == "f")

    def _recalled(self, index: int, mask: BoolArray, history: ClickHistory) -> Float32Array | BoolArray:
        """Probability of a mask made by clicks, also of an earlier process; otherwise the mask."""
        prompter = self.prompter(index)  # another one does not know in which crops it was seen
        here = (one for one in reversed(self._answers) if one.frame == index and one.prompter() is prompter)
        answer = next((one for one in here if np.array_equal(one.mask, mask)), None)
        if answer is None:
            return history.recall(prompter, mask)
        return mask if answer.levels is None else from_levels(answer.levels)

    def correct(self, index: int, mask: BoolArray, clicks: list[Click], new: int) -> tuple[BoolArray, float]:
        """Correct a mask (H, W) by its last clicks; returns the expected IoU, too.

        It is taken as it was saved, as by :class:`segue.Video`: its probability is not known after a restart.
        """
        answer = correct(self.prompter(index), mask, clicks, new=new)
        return self._keep_answer(index, answer, is_recalled=False)

    def candidates(self, index: int, prompts: ImagePrompts) -> list[tuple[BoolArray, float]]:
        """Candidate masks (H, W) of prompts with expected IoUs, the best first."""
        predictions = self.prompter(index).candidates(prompts)
        return [self._keep_answer(index, answer) for answer in predictions]

    def readings(
        self, index: int, mask: BoolArray, prompts: ImagePrompts
    ) -> list[tuple[BoolArray, float | None]]:
        """A corrected mask (H, W) and alternatives of its prompts, with expected IoUs.

        The first one has its score already.
        """
        alternatives = readings(self.prompter(index), mask, prompts)
        return [(mask, None), *((answer.mask, _iou(answer)) for answer in alternatives)]

    def _keep_answer(
        self, index: int, answer: MaskPrediction, *, is_recalled: bool = True
    ) -> tuple[BoolArray, float]:
        """Store the probabilities of an answer for further clicks, if they can be recovered later."""
        levels = as_levels(answer.probability) if is_recalled else None
        self._answers.append(Answer(index, weakref.ref(self.prompter(index)), answer.mask, levels))
        iou = _iou(answer)
        return answer.mask, 1.0 if iou is None else iou

    def find(self, index: int, name: str, text: str = "") -> dict[str, Any]:
        """Detect objects, optionally by text; the prompter scores those without a score.

        Where the detector knows no classes, another one looks for the text: the answer names it.
        """
        supported = DETECTORS.find(name).supported_options
        if text.strip():
            name = name if "classes" in supported else choose_for_text(parse_phrases(text))
            find = self._detector(name, text=text)
        else:
            find = self._detector(name)
        detections = find(*self.video.walk(index, min(index + find.lookahead, self.video.count - 1)))
        scored = "score" in supported or bool(text.strip())
        rows = []
        for plane, item in zip(detections.probabilities[1:] > 0.5, detections.objects, strict=True):
            score = item.score if scored else self._quality(index, plane)
            rows.append({"counts": encode_rle(plane)["counts"], "label": item.label, "score": score})
        return {"detector": name, "found": rows}

    def begin(self, make: Callable[..., Iterator[Any]], arguments: tuple[Any, ...]) -> None:
        """Start a job; it replaces the previous one."""
        self._steps = make(self, *arguments)

    def step(self) -> Any:
        """Next step of the job; None at its end."""
        if self._steps is None:
            raise SegueError(ENDED)
        return next(self._steps, None)

    def _quality(self, index: int, plane: BoolArray) -> float | None:
        return _iou(self.prompter(index).answer(ImagePrompts(mask=plane)))


def _iou(answer: MaskPrediction) -> float | None:
    iou = float(answer.iou[0])
    return None if math.isnan(iou) else iou


_tools: Tools
"""In the process that computes, the tools of its server."""


def _begin(*arguments: Any) -> None:
    """Initialise the process: it ignores Ctrl-C and ends with the server."""
    global _tools
    leave_group()
    threading.Thread(target=_end_with_server, daemon=True).start()
    prepare_process()
    _tools = Tools(*arguments)


def _end_with_server() -> None:
    multiprocessing.parent_process().join()  # type: ignore[union-attr]
    os._exit(1)


def _call(method: str, *arguments: Any) -> Any:
    with memory_errors(RETRY_ADVICE):
        return getattr(_tools, method)(*arguments)


async def _exit_code(process: BaseProcess) -> int:
    """Exit code of an ended process; 0 if unknown.

    The executor's thread may be taking it from the system at this moment: then nobody else gets it.
    """
    for _ in range(100):
        process.join(0.01)
        if process.exitcode is not None:
            return process.exitcode
        await asyncio.sleep(0.01)
    return 0


class ClosedError(SegueError):
    """The project was closed before the request was answered."""

    def __init__(self) -> None:
        super().__init__("another video was opened in the meantime, or segue is closing; try again")


class Worker:
    """Client of the worker process: one request at a time; a dead process is replaced."""

    def __init__(self, video: Video, model: Model, prompter: str, device: str | None) -> None:
        self._arguments = (video.path, video.index, model, prompter, device)
        self._pool = self._new_pool()
        self._num_requests = self._num_answers = 0
        self._closed = False
        self.on_replaced: Callable[[], None] = lambda: None  # another process has nothing loaded

    def _new_pool(self) -> ProcessPoolExecutor:
        return ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), _begin, self._arguments)

    def submit(self, method: str, *arguments: Any) -> Future[Any]:
        """Send a request; the first one starts the process."""
        with signals_blocked({signal.SIGINT}):  # Ctrl-C reaches the process until it has begun
            return self._pool.submit(_call, method, *arguments)

    async def ask(self, method: str, *arguments: Any) -> Any:
        """Call a method of :class:`Tools` in the process, after earlier requests."""
        self._refuse_closed()
        pool, processes = self._pool, list[BaseProcess]()
        self._num_requests += 1
        try:
            future = self.submit(method, *arguments)
            processes = list((pool._processes or {}).values())
            return await asyncio.wrap_future(future)
        except OutOfMemoryError:
            self._replace(pool)  # its networks and features may hold what is needed now
            raise
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if self._closed and task is not None and not task.cancelling():
                raise ClosedError from None  # who asked waits for an answer
            raise
        except BrokenExecutor:
            self._refuse_closed()
            self._replace(pool)
            codes = [await _exit_code(process) for process in processes]
            ended = next(filter(None, (killed_by(code, RETRY_ADVICE) for code in codes)), None)
            raise SegueError(f"the worker process {ended}" if ended else ENDED) from None
        finally:
            self._num_answers += 1

    def _refuse_closed(self) -> None:
        if self._closed:
            raise ClosedError

    async def use_prompter(self, name: str) -> None:
        """Switch the network for clicks, also in later processes."""
        await self.ask("use_prompter", name)
        path, index, model, _, device = self._arguments
        self._arguments = path, index, model, name, device

    async def idle(self, seconds: float) -> None:
        """Wait until no request is open and none came for some seconds."""
        last_request = None
        while last_request != self._num_requests or self._num_answers != self._num_requests:
            last_request = self._num_requests
            await asyncio.sleep(seconds)

    def _replace(self, pool: ProcessPoolExecutor) -> None:
        """Start a new process unless another request has done so; waiting requests fail."""
        if pool is self._pool:
            self._pool = self._new_pool()
            for process in list((pool._processes or {}).values()):
                process.kill()
            pool.shutdown(wait=False)
            self.on_replaced()

    async def steps(self, make: Callable[..., Iterator[Any]], *arguments: Any) -> AsyncGenerator[Any, None]:
        """Iterate over the steps of a job; the next one is computed ahead."""
        await self.ask("begin", make, arguments)
        coming = asyncio.ensure_future(self.ask("step"))
        try:
            while (value := await coming) is not None:
                coming = asyncio.ensure_future(self.ask("step"))
                yield value
        finally:
            coming.cancel()

    def close(self) -> None:
        """End the process; open requests fail."""
        self._closed = True
        self.on_replaced = lambda: None
        for process in (self._pool._processes or {}).values():
            process.kill()
        self._pool.shutdown(cancel_futures=True)
