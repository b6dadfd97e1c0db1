"""Objects in a video that can be read in any order: prompts on any frame, masks in both directions."""

from __future__ import annotations

import math
import os
from bisect import bisect_left
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import lru_cache, partial
from itertools import chain
from pathlib import Path
from typing import Any, Unpack

import numpy as np
import torch

from segue.api.prompted import PromptedVideo
from segue.api.results import Colour, Layout, Position, ReadAgain, opened_source, save
from segue.api.slides import MAX_SLIDES, WIDTH, Slides
from segue.errors import CheckpointError, PromptError, SegueError, SourceError
from segue.masks import Rle, decode_rle, encode_rle
from segue.masks.rle import check_runs
from segue.masks.unsure import check_unsure
from segue.models.base import Schedule, TrackNetwork
from segue.prompt_inputs import (
    PromptArguments,
    PromptsLike,
    as_box,
    check_id,
    check_points,
    collect_prompts,
)
from segue.prompts import ImagePrompter, MakePrompter, find_prompter, resolve_prompts
from segue.prompts.annotation import extended_history
from segue.prompts.correction import ClickHistory
from segue.prompts.motion import MotionPrompter
from segue.sessions.association import new_objects
from segue.sessions.corrections import (
    ConditioningFrame,
    Layer,
    StoredObject,
    add_conditioning_frame,
    composite,
    conditioning_before,
    propagate,
    select_conditioning_frames,
    split_overlapping,
    to_rle,
)
from segue.sessions.detecting import detector
from segue.sessions.networks import track_network
from segue.sessions.session import one_thread_at_a_time
from segue.sessions.track import TrackSession
from segue.state import SessionState, blaming_state
from segue.types import (
    Frame,
    Image,
    ObjectInfo,
    Prompt,
    RemovePrompt,
    Segmentation,
)
from segue.utils.arrays import BoolArray, in_rgb
from segue.utils.inputs import kind_of
from segue.video import Source
from segue.video.sources.given import SourceLike
from segue.weights import Prepared

STATE_FORMAT = "segue-video-1"

KEPT_FRAMES = 2
"""Frames whose features are kept for further clicks."""


class Video(AbstractContextManager["Video"]):
    """Objects in a video whose frames can be read in any order: a file, a folder of images or arrays.

    Add prompts on any frame, propagate the masks forwards and backwards, correct any frame, and propagate
    again. Each corrected frame affects the frames before and after it. The video is not copied: frames are
    read on demand, and masks are stored as run lengths.

    A network that accepts boxes and points (SAM 2.1, EdgeTAM, video models of transformers) receives them
    directly, like the predictor of its release, unless there is a ``prompter``. It also stores its memory of
    each frame, 0.8 MB per object for SAM 2.1. A corrected frame keeps its mask in later passes. With the
    ``schedule`` of the release, ``SAM2Schedule()``, later passes do not use it, like its predictor without
    ``add_all_frames_to_correct_as_cond``.

    Args:
        source: file, folder, glob pattern, array (T, H, W, 3) or list of RGB images, as for
            :func:`segue.open_source`, or an open source.
        model: name for :func:`segue.load`, or a network.
        weights: weight file for a network by name.
        prompter: prompter for boxes and points, its name or its weight file, such as ``sam2-tiny``; None is
            the prompter of the model.
        schedule: rules for storing and reading the memory; None is the network's schedule.
        device: for example ``"cpu"`` or ``"cuda:1"``; None selects a GPU if there is one.
        fast: half precision or 8-bit integers if they are faster on the device.
        fit: resize masks that differ in size from the video, instead of refusing them.
        colour: order of the channels of arrays and tensors, and of masks in colours; ``bgr`` is that of
            ``cv2.imread``.
        layout: axes of arrays and tensors; ``tchw`` has the channels first.
        start: first frame that is read: an int counts frames, a float seconds, a string is either ("250",
            "12.5s", "1:30"). Frames keep the index of the source.
        end: end before this frame, written like ``start``.
        stride: read every ``stride``-th frame.

    Attributes:
        source: the frames.

    Raises:
        SourceError: there are no frames, or they can be read only once and in order, like those of a camera.
        CheckpointError: the weights do not match the network.

    Example:
        >>> video = segue.Video("dog.mp4")
        >>> video.add(0, box=(120, 80, 310, 260))
        >>> for result in video.propagate():
        ...     print(result.index, result.objects)
        >>> video.add(150, points=[(82, 110)], labels=[0])
        >>> for result in video.propagate():
        ...     print(result.index, result.objects)
        >>> video.save("out", formats=["png", "overlay"])
    """

    SECOND_THREAD = "video: another thread uses it; give each thread a video of its own, or a lock"

    def __init__(
        self,
        source: Source | SourceLike,
        *,
        model: str | TrackNetwork | Prepared[Any] = "stcn-lite",
        weights: str | Path | None = None,
        prompter: str | MakePrompter | None = None,
        schedule: Schedule | None = None,
        device: str | int | torch.device | None = None,
        fast: bool = False,
        fit: bool = False,
        colour: Colour = "rgb",
        layout: Layout = "thwc",
        start: Position | None = None,
        end: Position | None = None,
        stride: int = 1,
    ) -> None:
        reading = {"colour": colour, "layout": layout, "start": start, "end": end, "stride": stride}
        self._arguments: dict[str, Any] = {"source": source, "model": model, "weights": weights}
        self._arguments |= {"prompter": prompter, "schedule": schedule, "device": device, "fast": fast}
        self._arguments |= {"fit": fit, **reading}
        self.source = opened_source(source, **reading)
        self._colour = colour
        if self.source.once:
            raise SourceError(
                f"{self.source.name}: can be read only once, in order; follow it with segue.track or a "
                "TrackSession"
            )
        self._frames = list(self.source.times)
        if not self._frames:
            raise SourceError(f"{self.source.name}: there are no frames in the part that was asked for")
        self._size = self.source.size or self.source.frame(self._frames[0]).size
        make = find_prompter(prompter, device=device, fast=fast) if isinstance(prompter, str) else prompter
        self._network = track_network(model, weights, device=device, fast=fast)
        self._schedule = schedule
        session = self._session(make)
        self._make_prompter = session.prompter
        self._native = PromptedVideo.of(session, self.source, self._frames, keep_corrections=schedule is None)
        self._fit = fit
        self._read_again = ReadAgain(self.source)
        self._detector_of = lru_cache(1)(lambda text: detector(text=text, device=device, fast=fast))
        self._prompter_on: Callable[[int], ImagePrompter] = lru_cache(KEPT_FRAMES)(self._prompter)
        self.reset()

    def _session(self, prompter: MakePrompter | None = None) -> TrackSession:
        """A session with the network of this video."""
        return TrackSession(self._network, self._schedule, prompter=prompter)

    def __exit__(self, *_: object) -> None:
        self.close()

    def __reduce__(self) -> tuple[Any, ...]:
        """Another process opens the source and the network again."""
        return _rebuilt, (self._arguments, self._whole_state())

    def __repr__(self) -> str:
        objects = f"{len(self.ids)} object{'' if len(self.ids) == 1 else 's'}"
        return (
            f"<segue.Video {self.source.name}: {len(self)} frames, {objects}, "
            f"{len(self._given)} prompted and {len(self._tracked)} tracked frames>"
        )

    def __len__(self) -> int:
        """Number of frames."""
        return len(self._frames)

    def __iter__(self) -> Iterator[Segmentation]:
        """The results of all frames that are prompted or tracked, in order."""
        if self._given and not self._tracked and len(self) > 1:
            raise SegueError("nothing is tracked yet; take the results of propagate() first")
        return (self[index] for index in self._frames if index in self._given or index in self._tracked)

    @one_thread_at_a_time
    def __getitem__(self, index: int) -> Segmentation:
        """The result of a frame, given by its index; empty where nothing is tracked."""
        return self._result(self._checked(index))

    @property
    def ids(self) -> tuple[int, ...]:
        """Ids of the objects, ascending."""
        return tuple(sorted({number for masks in self._given.values() for number in masks}))

    @property
    def prompted(self) -> tuple[int, ...]:
        """Indices of the frames that have prompts, ascending."""
        return tuple(sorted(self._given))

    @one_thread_at_a_time
    def add(
        self,
        frame: int,
        prompts: PromptsLike | None = None,
        *,
        id: int = 1,
        text: str | Sequence[str] | None = None,
        **arguments: Unpack[PromptArguments],
    ) -> Segmentation:
        """Add objects on a frame, or correct them there.

        If the object already has a mask on this frame, points and strokes correct it; a box or a mask
        replaces it. Other frames change with the next :meth:`propagate`.

        Args:
            frame: index of the frame.
            prompts: an index mask (H, W), a path, or prompts, as for the first frame in :func:`segue.track`.
            id: object of ``box``, points and strokes.
            text: phrases to detect on the frame, such as ``"person, red car"``. A detection without a mask
                becomes an object with the next free id and the phrase as its label.
            arguments: prompts by their kinds, see :class:`segue.prompt_inputs.PromptArguments`.

        Returns:
            The result of this frame, with all objects.

        Raises:
            PromptError: a prompt does not match the frame.
            SourceError: there is no such frame, or it cannot be read.
        """
        read, id = self.source.frame(self._checked(frame)), check_id(id)
        if isinstance(prompts, Mapping):
            raise PromptError("prompts: a dictionary is by frame in segue.track; add those of one frame each")
        if self._colour == "bgr":
            prompts = in_rgb(prompts)
            arguments["masks"] = in_rgb(arguments.get("masks"))
        previous = self._tracked.get(read.index, {}) | self._given.get(read.index, {})
        if text is not None:
            if any(each is not None for each in (prompts, *arguments.values())):
                raise PromptError("text says what to look for; leave out the other prompts")
            added: Sequence[Prompt] = new_objects(
                self._detector_of(text if isinstance(text, str) else tuple(text))(read),
                self._result(read.index),
                self.ids,
            )
            if not added:
                return self._result(read.index)
        else:
            added = collect_prompts(prompts, **arguments, size=read.size, id=id, corrects=id in previous)
        if self._native is not None:
            return self._add_to(self._native, read, added)
        pointed = {item.id for item in added if item.corrects} & previous.keys()
        resolved = resolve_prompts(
            read,
            added,
            fit=self._fit,
            prompter=lambda image: self._prompter_on(read.index),
            previous_masks={i: _decoded(previous[i][1], self._size) for i in pointed},
            clicked={i: self._history(read.index, i) for i in pointed},
        )
        self._note_clicks(read.index, added, previous.keys())
        for number in resolved.removed:
            self._remove(number)
        mask = resolved.mask.numpy()
        for number in resolved.masked:
            self._labels[number] = resolved.labels.get(number, self._labels.get(number))
            self._objects.setdefault(number, object())
            inside = mask == number
            score = previous[number][0].score if number in resolved.corrected else 1.0
            if number not in resolved.corrected or not np.array_equal(
                inside, _decoded(previous[number][1], read.size)
            ):
                score = resolved.expected.get(number, score)
            item = ObjectInfo(number, self._labels[number], score)
            if number in previous:
                for direction in (1, -1):
                    self._earlier.setdefault((read.index, number, direction), previous[number][1])
            self._given.setdefault(read.index, {})[number] = item, encode_rle(inside)["counts"], None, None
        return self._result(read.index)

    def _add_to(self, native: PromptedVideo, frame: Frame, added: Sequence[Prompt]) -> Segmentation:
        """Give prompts to a network that takes them itself."""
        resolved = resolve_prompts(
            frame, added, fit=self._fit, native=native.prompts, prompter=self._make_prompter
        )
        native.add(frame, resolved)
        for number in resolved.removed:
            self._remove(number)
        for number in resolved.ids:
            self._labels[number] = resolved.labels.get(number, self._labels.get(number))
            self._objects.setdefault(number, object())
        self._take_over(native, frame.index, {*resolved.ids, *self._given.get(frame.index, {})})
        return self._result(frame.index)

    def _take_over(self, native: PromptedVideo, index: int, prompted: Collection[int]) -> None:
        """Keep what a network has of a frame: masks of prompted objects, and tracked ones."""
        self._taken.add(index)
        result = native.result(index)
        stored = {} if result is None else {each[0].id: each for each in to_rle(result, self._labels.keys())}
        for by_frame, of_prompts in ((self._given, True), (self._tracked, False)):
            objects: dict[int, StoredObject] = {
                i: (replace(each[0], box=None, area=0), *each[1:])
                for i, each in stored.items()
                if (i in prompted) is of_prompts
            }
            by_frame.pop(index, None)
            if objects:
                by_frame[index] = objects

    def _history(self, index: int, number: int) -> ClickHistory:
        """The clicks on an object that has a mask."""
        return self._clicks.get((index, number), ClickHistory(mends=True))

    def _note_clicks(self, index: int, prompts: Sequence[Prompt], present: Collection[int]) -> None:
        """Keep the clicks on objects, and how their masks were made."""
        for number in {item.id for item in prompts if not isinstance(item, RemovePrompt)}:
            history = self._history(index, number) if number in present else ClickHistory()
            group = [item for item in prompts if item.id == number]
            self._clicks[index, number] = extended_history(history, group)

    @one_thread_at_a_time
    def remove(self, id: int, frame: int | None = None) -> None:
        """Remove an object, or its prompts on a frame.

        Args:
            id: the object.
            frame: index of a frame; None removes the object from all frames.

        Raises:
            PromptError: there is no such object, or it has no prompt on this frame.
        """
        if check_id(id) not in (self.ids if frame is None else self._given.get(frame, ())):
            where = "" if frame is None else f" on frame {frame}"
            raise PromptError(f"object {id} has no prompt{where}; {self._known()}")
        if frame is None:
            self._remove(id)
            return
        self._given[frame].pop(id)
        if self._native is not None:
            self._native.unprompt(frame, id)
            self._take_over(self._native, frame, self._given[frame].keys())
        self._clicks.pop((frame, id), None)
        for direction in (1, -1):
            self._earlier.pop((frame, id, direction), None)
        if not self._given.get(frame, True):
            del self._given[frame]
        if id not in self.ids:
            self._remove(id)

    @one_thread_at_a_time
    def propagate(self, start: int | None = None, stop: int | None = None) -> Iterator[Segmentation]:
        """Track the objects through the video, from the frames that have prompts.

        Without ``start`` and ``stop``, each object is tracked from its first prompt to the end of the video,
        and then backwards to its beginning. An object that was corrected after it was tracked is tracked from
        each corrected frame to the next prompted frames in both directions. With ``start`` and ``stop``, all
        objects are tracked from one frame to another. Prompted frames on the way, and the 24 nearest other
        prompted frames, are memory before the first frame is tracked.

        On frames that were tracked before, the corrected region moves along the optical flow. Masks change
        only in connected regions that touch it, if the tracker is at least as confident there. On frames
        nearer to another prompted frame, it must be more confident. A mask stays unchanged if the score of
        the object would fall by more than 0.1. Objects that overlap on a prompted frame are tracked
        separately.

        Args:
            start: index of a frame with prompts; None is the first such frame.
            stop: index of the last frame, before ``start`` to track backwards; None is that of the video.

        Returns:
            An iterator; each step tracks a frame and yields its result with all objects.

        Raises:
            PromptError: there is no prompt, or none on ``start``.
            SourceError: a frame cannot be read.
        """
        first = self._first_prompts(self._objects)
        if not first:
            raise PromptError("there is no prompt; add one first, such as add(0, box=(x0, y0, x1, y1))")
        if self._native is not None:
            begin = self._checked(self._first_kept(self._native) if start is None else start)
            end = None if start is None and stop is None else self._frames[-1] if stop is None else stop
            return self._steps(self._passes(self._native, begin, end))
        begin = self._checked(min(first.values()) if start is None else start)
        if begin not in self._given:
            raise PromptError(f"frame {begin} has no prompt to start from; {self._known()}")
        end, objects = self._frames[-1] if stop is None else self._checked(stop), dict(self._objects)
        if start is not None or stop is not None:
            return self._steps(self._track(objects, begin, end, lambda number, index: True))
        tracked = {number for each in self._tracked.values() for number in each}
        corrected = {(index, number) for index, number, _ in self._earlier if number in tracked}
        if corrected:
            return self._steps(self._corrections(objects, tracked, corrected))
        return self._steps(self._both_ways(objects, objects.keys()))

    def save(
        self,
        path: str | Path,
        *,
        formats: Sequence[str] | str | None = None,
        overwrite: bool = False,
        side_by_side: bool = False,
        whole: bool = False,
    ) -> dict[str, Path]:
        """Write the results of all tracked frames to files; see :func:`segue.save`.

        Args:
            path: folder for all formats, or the file itself for a single one that is a file.
            formats: names of output formats; None is the format of the extension of ``path``, for a folder
                png.
            overwrite: replace existing files.
            side_by_side: show the original frame next to the overlay.
            whole: write whole masks, including hidden parts, in formats whose objects may overlap.

        Returns:
            The file or folder of each format.

        Raises:
            SinkError: the output exists or cannot be written.
            SegueError: nothing is tracked yet.
        """
        results = iter(self)
        options: dict[str, Any] = {"overwrite": overwrite, "side_by_side": side_by_side, "whole": whole}
        return save(results, path, formats=formats, source=self.source, **options)

    def show(self, *, most: int = MAX_SLIDES, width: int = WIDTH) -> Slides:
        """Show the results of all tracked frames in a notebook, with a slider.

        Args:
            most: maximum number of frames, evenly spaced.
            width: maximum width of the images, in pixels.

        Returns:
            An object that a notebook displays as the last value of a cell.

        Raises:
            SegueError: nothing is tracked yet.
        """
        return Slides.of(self, most=most, width=width)

    @one_thread_at_a_time
    def reset(self) -> None:
        """Remove all objects and prompts."""
        self._given: dict[int, dict[int, StoredObject]] = {}
        self._tracked: dict[int, dict[int, StoredObject]] = {}
        # Masks that neighbouring frames agree with, by frame, object and direction, until they are tracked.
        self._earlier: dict[tuple[int, int, int], str] = {}
        self._clicks: dict[tuple[int, int], ClickHistory] = {}  # by frame and object
        self._labels: dict[int, str | None] = {}
        self._taken: set[int] = set()  # frames whose masks are those that the network has
        if self._native is not None:
            self._native.reset()
        self._objects: dict[int, object] = {}  # by id, which another object may have later

    @one_thread_at_a_time
    def state(self) -> dict[str, Any]:
        """All prompts and results as values for JSON; see :meth:`restore`.

        The memory of a network that accepts prompts is only in the file of :meth:`save_state`.

        Returns:
            JSON values; masks are COCO run lengths.
        """
        return {
            "format": STATE_FORMAT,
            "frames": [self._frames[0], self._frames[-1], len(self)],
            "size": list(self._size),
            "labels": {str(i): label for i, label in self._labels.items()},
            "prompted": _as_json(self._given),
            "tracked": _as_json(self._tracked),
            "earlier": [[*key, counts] for key, counts in self._earlier.items()],
            "clicks": [
                [*key, list(map(list, each.clicks)), each.box and list(each.box), each.mends]
                for key, each in self._clicks.items()
            ],
        }

    def save_state(self, path: str | Path) -> None:
        """Write the complete state for :meth:`restore`, in safetensors and JSON.

        Args:
            path: file to write, completely or not at all; an existing file is replaced.

        Raises:
            SinkError: the file cannot be written.
        """
        self._whole_state().save(path)

    @one_thread_at_a_time
    def _whole_state(self) -> SessionState:
        """The state with what a network remembers that takes prompts itself."""
        parts = {} if self._native is None else {"native": self._native.state()}
        values = {"video": self.state(), "network": self._network.digest, "taken": sorted(self._taken)}
        return SessionState.joined(parts, values)

    @one_thread_at_a_time
    def restore(self, state: Mapping[str, Any] | SessionState | str | Path) -> None:
        """Replace the prompts and results by those of a state.

        Args:
            state: file of :meth:`save_state`, or the values of :meth:`state`, also after JSON, for a video of
                the same frames. From these values, a network that accepts prompts gets the masks of the
                prompted frames. Code in a file is not executed.

        Raises:
            CheckpointError: the state is invalid, or belongs to another video or network.
        """
        if isinstance(state, (str, os.PathLike)):
            state = SessionState.load(state)
        if isinstance(state, SessionState):
            self._restore_whole(state)
            return
        self._restore_values(state)
        if self._native is not None:
            self._native.reset()
            for index, objects in self._given.items():
                masks = {
                    i: _decoded(whole or counts, self._size) for i, (_, counts, whole, _) in objects.items()
                }
                self._native.add_masks(self.source.frame(index), masks)

    def _restore_whole(self, state: SessionState) -> None:
        """Take a state with what the network remembers; nothing changes where it is wrong."""
        previous = self._whole_state()
        try:
            self._take_whole(state)
        except BaseException:
            self._take_whole(previous)
            raise

    def _take_whole(self, state: SessionState) -> None:
        with blaming_state():
            state.require({"network": self._network.digest})
            self._restore_values(state.values["video"])
            if self._native is not None:
                self._native.restore(state.part("native"))
                self._taken = {self._checked(index) for index in state.values["taken"]}

    def _restore_values(self, state: Mapping[str, Any]) -> None:
        """Take prompts and results; nothing changes where they are wrong."""
        here = {"format": STATE_FORMAT, "frames": [self._frames[0], self._frames[-1], len(self)]}
        here["size"] = list(self._size)
        for name, value in here.items():
            if not isinstance(state, Mapping) or state.get(name) != value:
                value_of_state = state.get(name) if isinstance(state, Mapping) else state
                raise CheckpointError(f"the state's {name} is {value_of_state!r}, this video's is {value!r}")
        try:
            labels = {int(i): label if label is None else str(label) for i, label in state["labels"].items()}
            prompted, tracked = (_from_json(state[name], labels) for name in ("prompted", "tracked"))
            earlier = {
                (int(index), int(i), int(direction)): str(counts)
                for index, i, direction, counts in state["earlier"]
            }
            clicked = {
                (int(index), int(i)): _history_of(clicks, box, mends, self._size)
                for index, i, clicks, box, mends in state["clicks"]
            }
            objects = [each for by_id in (*prompted.values(), *tracked.values()) for each in by_id.values()]
            masks = [runs for _, *both, _ in objects for runs in both if runs is not None]
            check_runs([counts.encode() for counts in (*masks, *earlier.values())], math.prod(self._size))
            check_unsure((unsure for *_, unsure in objects if unsure is not None), self._size)
        except (AttributeError, KeyError, TypeError, ValueError, SegueError) as error:
            raise CheckpointError(f"this is no state of a video: {error!r}") from error
        self._given, self._tracked, self._labels = prompted, tracked, labels
        self._earlier, self._clicks = earlier, clicked
        self._objects = {i: object() for i in labels}
        self._taken = set()

    def close(self) -> None:
        """Close the source; it is opened again when a frame is needed."""
        self.source.close()

    def _steps(self, results: Iterator[Segmentation]) -> Iterator[Segmentation]:
        """Results that one thread at a time takes."""
        return iter(partial(self._next, results), None)

    @one_thread_at_a_time
    def _next(self, results: Iterator[Segmentation]) -> Segmentation | None:
        return next(results, None)

    def _passes(self, native: PromptedVideo, begin: int, end: int | None) -> Iterator[Segmentation]:
        """Track all objects from one frame to another; without ``end`` to the end, then to the beginning."""
        if end is not None:
            yield from self._pass(native, begin, self._checked(end))
            return
        yield from self._pass(native, begin, self._frames[-1])
        if begin != self._frames[0]:
            results = self._pass(native, begin, self._frames[0])
            next(results, None)  # where it begins
            yield from results

    def _first_kept(self, native: PromptedVideo) -> int:
        """The first frame whose prompts hold in later passes."""
        return min(i for i, each in self._given.items() if any(native.is_prompted(i, id) for id in each))

    def _pass(self, native: PromptedVideo, begin: int, end: int) -> Iterator[Segmentation]:
        for index in native.propagate(begin, end):
            self._take_over(native, index, {i for i in self._labels if native.is_prompted(index, i)})
            yield self._result(index)

    def _remaining(self, objects: Mapping[int, object]) -> list[int]:
        """The ids of those objects that have not been removed, ascending."""
        return [i for i in self.ids if self._objects[i] is objects.get(i)]

    def _first_prompts(self, objects: Mapping[int, object]) -> dict[int, int]:
        """The first frame with a prompt for each of the objects that have not been removed."""
        return {i: min(f for f, masks in self._given.items() if i in masks) for i in self._remaining(objects)}

    def _both_ways(self, objects: Mapping[int, object], ids: Collection[int]) -> Iterator[Segmentation]:
        """Track some objects from their first prompts to the end, then from there to the beginning."""

        def first_prompts() -> dict[int, int]:  # prompts may change meanwhile
            return {i: index for i, index in self._first_prompts(objects).items() if i in ids}

        if first := first_prompts():
            begin, end = min(first.values()), self._frames[-1]
            yield from self._track(objects, begin, end, lambda i, index: i in first and index > first[i])
        if start := first_prompts():
            begin, end = max(start.values()), self._frames[0]
            yield from self._track(objects, begin, end, lambda i, index: i in start and index < start[i])

    def _corrections(
        self, objects: Mapping[int, object], tracked: Collection[int], corrected: Collection[tuple[int, int]]
    ) -> Iterator[Segmentation]:
        """Track objects that are new, then from each corrected frame; then give the other results."""
        passes = [self._both_ways(objects, objects.keys() - tracked)]
        for start in sorted({index for index, _ in corrected}):
            passes.append(self._around(objects, start, {i for index, i in corrected if index == start}))
        indices = set()
        for result in chain.from_iterable(passes):
            indices.add(result.index)
            yield result
        yield from (result for result in self if result.index not in indices)

    def _around(
        self, objects: Mapping[int, object], start: int, ids: Collection[int]
    ) -> Iterator[Segmentation]:
        """Track objects from a corrected frame to their next prompted ones, in both directions."""
        if start not in self._given:  # removed meanwhile
            return
        yield self._result(start)
        prompted = {i: [index for index, each in self._given.items() if i in each] for i in ids}
        last_frame = {i: min((k for k in prompted[i] if k > start), default=self._frames[-1]) for i in ids}
        first_frame = {i: max((k for k in prompted[i] if k < start), default=self._frames[0]) for i in ids}
        end = max(last_frame.values())
        yield from self._track(
            objects, start, end, lambda i, index: i in last_frame and index <= last_frame[i]
        )
        if start in self._given:
            end = min(first_frame.values())
            yield from self._track(
                objects, start, end, lambda i, index: i in first_frame and index >= first_frame[i]
            )
        for number in ids:  # at an end of the video there is nothing to track in one direction
            for direction in (1, -1):
                self._earlier.pop((start, number, direction), None)

    def _track(
        self, objects: Mapping[int, object], start: int, stop: int, kept: Callable[[int, int], bool]
    ) -> Iterator[Segmentation]:
        """Track objects from one frame to another; ``kept`` says which results count, by id and index."""
        ids = self._remaining(objects)
        if start == stop or not ids:
            return
        if start not in self._given:
            raise PromptError(f"frame {start} has no prompt to start from any more; {self._known()}")
        frames = select_conditioning_frames(self.prompted, start, stop)
        masks = [{i: counts for i, (_, counts, *_) in self._given[index].items()} for index in frames]
        direction = 1 if start < stop else -1
        layers = [
            self._layer(group, frames, direction) for group in split_overlapping(ids, masks, self._size)
        ]
        for layer in layers:
            for index in conditioning_before(layer.conditioning, start):
                add_conditioning_frame(layer.session, self.source.frame(index), layer.conditioning[index])
        for results in propagate(layers, self.source.walk(start, stop), start):
            index = results[0].index
            tracked = self._tracked.setdefault(index, {})
            current = [i for i in self._remaining(objects) if kept(i, index)]
            for result in results:
                for each in to_rle(result, current):
                    tracked[each[0].id] = replace(each[0], box=None, area=0), *each[1:]
            yield self._result(index)
        low, high = sorted((start, stop))
        for key in [key for key in self._earlier if low <= key[0] <= high and key[2] == direction]:
            if kept(key[1], key[0]) or key[0] == start:
                del self._earlier[key]

    def _layer(self, objects: Sequence[int], frames: Collection[int], direction: int) -> Layer:
        """Objects of one session, with what it is shown and what was tracked of them before."""
        conditioning = {index: self._conditioning_frame(index, objects, direction) for index in frames}
        previous = _TrackedObjects(self._tracked, frozenset(objects))
        return Layer(self._session(), conditioning, previous)

    def _conditioning_frame(self, index: int, objects: Sequence[int], direction: int) -> ConditioningFrame:
        """What a session of some objects is shown of a prompted frame."""
        prompted = {i: each for i, each in self._given[index].items() if i in objects}
        mask = np.zeros(self._size, np.uint16)
        changed: BoolArray | None = None
        for i, (_, counts, *_) in prompted.items():
            inside = _decoded(counts, self._size)
            mask[inside] = i
            earlier = self._earlier.get((index, i, direction))
            if earlier is not None:
                differs = inside != _decoded(earlier, self._size)
                changed = differs if changed is None else changed | differs
        expected = {i: item.score for i, (item, *_) in prompted.items() if item.score < 1}
        return ConditioningFrame(mask, frozenset(prompted), expected, changed)

    def _result(self, index: int) -> Segmentation:
        """The result of a frame: later objects are in front."""
        mask = np.zeros(self._size, np.uint8)
        empty = Segmentation(index, self.source.times[index], mask, _image=self._read_again)
        by_id = self._tracked.get(index, {}) | self._given.get(index, {})
        visible = [
            (replace(each[0], label=self._labels.get(i)), *each[1:])
            for i, each in sorted(by_id.items(), reverse=True)
            if i in self._labels
        ]
        result = composite(empty, visible)
        exact = self._native.result(index) if self._native is not None and index in self._taken else None
        if exact is None or exact.ids != result.ids:
            return result
        objects = tuple(replace(item, label=self._labels[item.id]) for item in exact.objects)
        return replace(exact, objects=objects, _image=self._read_again)

    def _prompter(self, index: int) -> ImagePrompter:
        image, place = self.source.frame(index).image, bisect_left(self._frames, index)
        neighbours = self._frames[place + 1 : place + 2] or self._frames[max(place - 1, 0) : place]

        def neighbour() -> Image | None:
            return self.source.frame(neighbours[0]).image if neighbours else None

        return MotionPrompter(self._make_prompter(image), image, neighbour)

    def _remove(self, number: int) -> None:
        self._labels.pop(number, None)
        self._objects.pop(number, None)
        if self._native is not None:
            self._native.remove(number)
        for frames in (self._given, self._tracked):
            for objects in frames.values():
                objects.pop(number, None)
        self._given = {index: masks for index, masks in self._given.items() if masks}
        for stored in (self._earlier, self._clicks):
            for key in [key for key in stored if key[1] == number]:
                del stored[key]  # type: ignore[arg-type]

    def _checked(self, index: int) -> int:
        """The index of a frame, if there is one."""
        if not isinstance(index, (int, np.integer)):
            raise SourceError(f"frame: {kind_of(index)}; give the index of a frame, such as video[0]")
        if index not in self.source.times:
            first, last = self._frames[0], self._frames[-1]
            raise SourceError(f"{self.source.name}: has no frame {index}; frames are {first} to {last}")
        return index

    def _known(self) -> str:
        frames_text = ", ".join(map(str, self.prompted[:10]))
        return f"prompted frames are {frames_text}" if frames_text else "no frame is prompted"


def _as_json(objects: Mapping[int, Mapping[int, StoredObject]]) -> dict[str, dict[str, list[Any]]]:
    """Score and all run lengths of the objects by frame and id."""
    return {
        str(index): {str(i): [item.score, *runs] for i, (item, *runs) in each.items()}
        for index, each in objects.items()
    }


def _history_of(clicks: Any, box: Any, mends: Any, size: tuple[int, int]) -> ClickHistory:
    """The clicks of a state, inside of the image."""
    history = ClickHistory(
        tuple((float(x), float(y), bool(inside)) for x, y, inside in clicks),
        None if box is None else as_box(box, "box"),
        bool(mends),
    )
    check_points([click[:2] for click in history.clicks], size)
    return history


def _from_json(
    values: Mapping[str, Mapping[str, Sequence[Any]]], labels: Mapping[int, str | None]
) -> dict[int, dict[int, StoredObject]]:
    """The objects of :func:`_as_json`; their run lengths are not checked."""
    objects: dict[int, dict[int, StoredObject]] = {}
    for index, each in values.items():
        objects[int(index)] = {}
        for i, (score, counts, *others) in each.items():
            item = ObjectInfo(int(i), labels[int(i)], float(score))
            # Earlier versions have the whole mask alone, or neither.
            whole, unsure = (None if runs is None else str(runs) for runs in (*others, None, None)[:2])
            objects[int(index)][int(i)] = item, str(counts), whole, unsure
    return objects


def _rebuilt(arguments: dict[str, Any], state: SessionState) -> Video:
    """The video of a pickle."""
    video = Video(**arguments)
    video.restore(state)
    return video


class _TrackedObjects(Mapping[int, Sequence[StoredObject]]):
    """The tracked masks of some objects by frame, as they are when they are looked up."""

    def __init__(self, tracked: Mapping[int, Mapping[int, StoredObject]], objects: frozenset[int]) -> None:
        self._tracked, self._objects = tracked, objects

    def __getitem__(self, index: int) -> Sequence[StoredObject]:
        return [each for i, each in self._tracked[index].items() if i in self._objects]

    def __iter__(self) -> Iterator[int]:
        return iter(self._tracked)

    def __len__(self) -> int:
        return len(self._tracked)


def _decoded(counts: str, size: tuple[int, int]) -> BoolArray:
    return decode_rle(Rle(size=list(size), counts=counts))
