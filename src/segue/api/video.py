"""Objects in a video that can be read in any order: prompts on any frame, masks in both directions."""

from __future__ import annotations

import os
from bisect import bisect_left
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, Unpack

import numpy as np
import torch

from segue.api.prompted import PromptedVideo
from segue.api.results import Colour, Layout, Position, ReadAgain, opened_source, save
from segue.api.slides import MAX_SLIDES, WIDTH, Slides
from segue.api.tables import ResultTables
from segue.errors import CheckpointError, PromptError, SegueError, SourceError
from segue.masks import encode_rle
from segue.models.base import FramePrompts, Schedule, TrackNetwork
from segue.prompt_inputs import PromptArguments, PromptsLike, check_frame, check_id, collect_prompts
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
    propagate,
    select_conditioning_frames,
    select_earlier_frames,
    split_overlapping,
    to_rle,
)
from segue.sessions.detecting import detector
from segue.sessions.networks import track_network
from segue.sessions.session import one_thread_at_a_time
from segue.sessions.track import TrackSession
from segue.sessions.videos.provenance import (
    ObjectMasks,
    Pass,
    PreviousMasks,
    PromptSnapshot,
    Revision,
    StoredMask,
    as_json,
    decode,
    from_json,
    plan,
    present,
)
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


class Video(ResultTables, AbstractContextManager["Video"]):
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
        max_size: maximum longer side in pixels; larger frames are reduced by averaging.
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
        max_size: int | None = None,
        start: Position | None = None,
        end: Position | None = None,
        stride: int = 1,
    ) -> None:
        reading = {"colour": colour, "layout": layout, "start": start, "end": end, "stride": stride}
        reading["max_size"] = max_size
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
        self._image_reader = ReadAgain(self.source)
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
            f"{len(self.prompted)} prompted and {len(self._tracked)} tracked frames>"
        )

    def __len__(self) -> int:
        """Number of frames."""
        return len(self._frames)

    def __iter__(self) -> Iterator[Segmentation]:
        """The results of all frames that are prompted or tracked, in order."""
        prompted, tracked = {*self.prompted}, self._tracked
        if prompted and not tracked and len(self) > 1:
            raise SegueError("nothing is tracked yet; take the results of propagate() first")
        return (self[index] for index in self._frames if index in prompted or index in tracked)

    @one_thread_at_a_time
    def __getitem__(self, index: int) -> Segmentation:
        """The result of a frame, given by its index; empty where nothing is tracked."""
        return self._result(self._checked(index))

    @property
    def ids(self) -> tuple[int, ...]:
        """Ids of the objects, ascending."""
        return tuple(sorted(self._objects))

    @property
    def prompted(self) -> tuple[int, ...]:
        """Indices of the frames that have prompts, ascending."""
        return tuple(sorted({index for masks in self._objects.values() for index in masks.prompts}))

    @property
    def _tracked(self) -> set[int]:
        """Indices of the frames with tracked masks."""
        return {index for masks in self._objects.values() for index in masks.tracked}

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
        previous = self._stored_at(read.index)
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
        check_frame(added, read.index)
        if self._native is not None:
            return self._add_to(self._native, read, added)
        pointed = {item.id for item in added if item.corrects} & previous.keys()
        resolved = resolve_prompts(
            read,
            added,
            fit=self._fit,
            prompter=lambda image: self._prompter_on(read.index),
            previous_masks={i: decode(previous[i][1], self._size) for i in pointed},
            clicked={i: self._history(read.index, i) for i in pointed},
        )
        for number in resolved.removed:
            self._remove_from(number, read.index)
        mask = resolved.mask.numpy()
        for number in resolved.masked:
            masks = self._object(number, resolved)
            inside = mask == number
            score = previous[number][0].score if number in resolved.corrected else 1.0
            if number not in resolved.corrected or not np.array_equal(
                inside, decode(previous[number][1], read.size)
            ):
                score = resolved.expected.get(number, score)
            item = ObjectInfo(number, score=score)
            whole_counts = (
                self._corrected_whole_counts(previous[number], inside)
                if number in resolved.corrected
                else None
            )
            stored = item, encode_rle(inside)["counts"], whole_counts, None
            masks.prompt(read.index, stored, self._new_revision())
        self._note_clicks(read.index, added, previous.keys())
        return self._result(read.index)

    def _corrected_whole_counts(self, previous: StoredObject, inside: BoolArray) -> str | None:
        """Run lengths of a whole mask with the changes of its visible part; None where no part is hidden."""
        _, counts, whole_counts, _ = previous
        if whole_counts is None:
            return None
        plane = decode(whole_counts, self._size)
        np.copyto(plane, inside, where=inside != decode(counts, self._size))
        return encode_rle(plane)["counts"]

    def _object(self, number: int, resolved: FramePrompts) -> ObjectMasks:
        """The masks of an object that has prompts."""
        masks = self._objects.setdefault(number, ObjectMasks())
        masks.label = resolved.labels.get(number, masks.label)
        return masks

    def _new_revision(self) -> Revision:
        self._revision += 1
        return self._revision

    def _stored_at(self, index: int) -> dict[int, StoredObject]:
        """The masks of a frame by object, ascending."""
        by_id = {i: masks.at(index) for i, masks in sorted(self._objects.items())}
        return {i: stored for i, stored in by_id.items() if stored is not None}

    def _add_to(self, native: PromptedVideo, frame: Frame, added: Sequence[Prompt]) -> Segmentation:
        """Give prompts to a network that takes them itself."""
        resolved = resolve_prompts(
            frame, added, fit=self._fit, native=native.prompts, prompter=self._make_prompter
        )
        native.add(frame, resolved)
        for number in resolved.removed:
            self._remove_from(number, frame.index)
        for number in resolved.ids:
            self._object(number, resolved)
        prompted = {i for i, masks in self._objects.items() if frame.index in masks.prompts}
        self._take_over(native, frame.index, {*resolved.ids, *prompted})
        return self._result(frame.index)

    def _take_over(self, native: PromptedVideo, index: int, prompted: Collection[int]) -> None:
        """Store what a network has of a frame: masks of prompted objects, and tracked ones."""
        self._native_frames.add(index)
        result = native.result(index)
        for item, counts, whole_counts, unsure in (
            () if result is None else to_rle(result, self._objects.keys())
        ):
            stored = replace(item, label=None, box=None, area=0), counts, whole_counts, unsure
            masks = self._objects[item.id]
            if item.id in prompted:
                masks.prompt(index, stored, self._new_revision())
            else:
                masks.withdraw(index)
                masks.tracked[index] = [StoredMask(stored, present(masks.sources(index)))]

    def _history(self, index: int, number: int) -> ClickHistory:
        """The clicks on an object that has a mask."""
        return self._objects[number].clicks.get(index, ClickHistory(mends=True))

    def _note_clicks(self, index: int, prompts: Sequence[Prompt], present: Collection[int]) -> None:
        """Keep the clicks on objects, and how their masks were made."""
        prompted = {item.id for item in prompts if not isinstance(item, RemovePrompt)}
        for number in prompted & self._objects.keys():  # a file of several objects has the id 0
            history = self._history(index, number) if number in present else ClickHistory()
            group = [item for item in prompts if item.id == number]
            self._objects[number].clicks[index] = extended_history(history, group)

    @one_thread_at_a_time
    def remove(self, id: int, frame: int | None = None) -> None:
        """Remove an object, or its prompts on a frame.

        A :class:`segue.RemovePrompt` for :meth:`add` removes an object from its frame on.

        Args:
            id: the object.
            frame: index of a frame; None removes the object from all frames.

        Raises:
            PromptError: there is no such object, or it has no prompt on this frame.
        """
        masks = self._objects.get(check_id(id))
        if masks is None or (frame is not None and frame not in masks.prompts | dict.fromkeys(masks.removed)):
            where = "" if frame is None else f" on frame {frame}"
            raise PromptError(f"object {id} has no prompt{where}; {self._prompts_text()}")
        if frame is None:
            self._remove(id)
            return
        is_prompted = frame in masks.prompts
        masks.withdraw(frame)
        if self._native is not None and is_prompted:
            self._native.unprompt(frame, id)
            prompted = {i for i, each in self._objects.items() if frame in each.prompts}
            self._take_over(self._native, frame, prompted)
        if not masks.prompts:
            self._remove(id)

    @one_thread_at_a_time
    def propagate(self, start: int | None = None, stop: int | None = None) -> Iterator[Segmentation]:
        """Track the objects through the video, from the frames that have prompts.

        Without ``start`` and ``stop``, each object is tracked from its first prompt to the end of the video,
        and then backwards to its beginning. An object that was corrected after it was tracked is tracked from
        each corrected frame to the next prompted frames in both directions. Masks whose prompts have not
        changed stay as they are and take no time. With ``start`` and ``stop``, only frames between them
        change. Prompted frames on the way, and the 24 nearest other prompted frames, are memory before the
        first frame is tracked.

        On frames that were tracked before, the corrected region moves along the optical flow. Masks change
        only in connected regions that touch it, if the tracker is at least as confident there. On frames
        nearer to another prompted frame of the object, it must be more confident. A mask stays unchanged if
        the score of the object would fall by more than 0.1. If a prompt is withdrawn, the masks before it
        count again; where there are none, the object is tracked anew. Objects that overlap on a prompted
        frame are tracked separately.

        Prompts that are added while results are taken count from the next call on.

        Args:
            start: index of a frame with prompts; None is the first such frame.
            stop: index of the last frame, before ``start`` to track backwards; None is that of the video.

        Returns:
            An iterator; each step tracks a frame and yields its result with all objects.

        Raises:
            PromptError: there is no prompt, or none on ``start``.
            SourceError: a frame cannot be read.
        """
        if not self._objects:
            raise PromptError("there is no prompt; add one first, such as add(0, box=(x0, y0, x1, y1))")
        if self._native is not None:
            begin = self._checked(self._first_native_frame(self._native) if start is None else start)
            end = None if start is None and stop is None else self._frames[-1] if stop is None else stop
            return self._steps(self._passes(self._native, begin, end))
        begin = self._checked(self.prompted[0] if start is None else start)
        if begin not in self.prompted:
            raise PromptError(f"frame {begin} has no prompt to start from; {self._prompts_text()}")
        end = self._frames[-1] if stop is None else self._checked(stop)
        part = None if start is None and stop is None else (begin, end)
        for masks in self._objects.values():
            masks.forget_unused_versions()
        passes = plan(self._objects, self._frames, part)
        snapshots = {
            i: PromptSnapshot(masks, dict(masks.prompts)) for i, masks in sorted(self._objects.items())
        }
        return self._steps(self._run(passes, snapshots, part))

    def save(
        self,
        path: str | Path,
        *,
        formats: Sequence[str] | str | None = None,
        overwrite: bool = False,
        side_by_side: bool = False,
        whole: bool = False,
        sound: bool = True,
    ) -> dict[str, Path]:
        """Write the results of all tracked frames to files; see :func:`segue.save`.

        Args:
            path: folder for all formats, or the file itself for a single one that is a file.
            formats: names of output formats; None is the format of the extension of ``path``, for a folder
                png.
            overwrite: replace existing files.
            side_by_side: show the original frame next to the overlay.
            whole: write whole masks, including hidden parts, in formats whose objects may overlap.
            sound: copy the sound of a video file into overlays and cut-out videos.

        Returns:
            The file or folder of each format.

        Raises:
            SinkError: the output exists or cannot be written.
            SegueError: nothing is tracked yet.
        """
        results = iter(self)
        options: dict[str, Any] = {"side_by_side": side_by_side, "whole": whole, "sound": sound}
        return save(results, path, formats=formats, source=self.source, overwrite=overwrite, **options)

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
        self._objects: dict[int, ObjectMasks] = {}
        self._revision: Revision = 0  # the last one that was given
        self._native_frames: set[int] = set()  # frames whose masks are those that the network has
        if self._native is not None:
            self._native.reset()

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
            "revision": self._revision,
            **as_json(self._objects),
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
        values = {
            "video": self.state(),
            "network": self._network.digest,
            "taken": sorted(self._native_frames),
        }
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
            self._restore_session(state)
            return
        self._restore_values(state)
        if self._native is not None:
            self._native.reset()
            for index in self.prompted:
                masks = {
                    i: decode(whole_counts or counts, self._size)
                    for i, (_, counts, whole_counts, _) in self._stored_at(index).items()
                    if index in self._objects[i].prompts
                }
                self._native.add_masks(self.source.frame(index), masks)

    def _restore_session(self, state: SessionState) -> None:
        """Take a state with what the network remembers; nothing changes where it is wrong."""
        previous = self._whole_state()
        try:
            self._apply_session(state)
        except BaseException:
            self._apply_session(previous)
            raise

    def _apply_session(self, state: SessionState) -> None:
        with blaming_state():
            state.require({"network": self._network.digest})
            self._restore_values(state.values["video"])
            if self._native is not None:
                self._native.restore(state.part("native"))
                self._native_frames = {self._checked(index) for index in state.values["taken"]}

    def _restore_values(self, state: Mapping[str, Any]) -> None:
        """Take prompts and results; nothing changes where they are wrong."""
        here = {"format": STATE_FORMAT, "frames": [self._frames[0], self._frames[-1], len(self)]}
        here["size"] = list(self._size)
        for name, value in here.items():
            if not isinstance(state, Mapping) or state.get(name) != value:
                value_of_state = state.get(name) if isinstance(state, Mapping) else state
                raise CheckpointError(f"the state's {name} is {value_of_state!r}, this video's is {value!r}")
        try:
            objects, revision = from_json(state, self._frames, self._size)
        except (AttributeError, KeyError, TypeError, ValueError, SegueError) as error:
            raise CheckpointError(f"this is no state of a video: {error!r}") from error
        self._objects, self._revision, self._native_frames = objects, revision, set()

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

    def _first_native_frame(self, native: PromptedVideo) -> int:
        """The first frame whose prompts hold in later passes."""
        starts = [i for i in self.prompted if any(native.is_prompted(i, id) for id in self._objects)]
        if not starts:
            raise PromptError(f"no frame is prompted to start from, only corrected; {self._prompts_text()}")
        return starts[0]

    def _pass(self, native: PromptedVideo, begin: int, end: int) -> Iterator[Segmentation]:
        for index in native.propagate(begin, end):
            self._take_over(native, index, {i for i in self._objects if native.is_prompted(index, i)})
            yield self._result(index)

    def _run(
        self, passes: Sequence[Pass], snapshots: Mapping[int, PromptSnapshot], part: tuple[int, int] | None
    ) -> Iterator[Segmentation]:
        """Run passes, then give the results that stay: of a part, or after corrections."""
        low, high = (self._frames[0], self._frames[-1]) if part is None else sorted(part)
        indices = set[int]() if part is None else {part[0]}
        for each in passes:
            for index in self._track(each, snapshots):
                if low <= index <= high and (part is None or index != part[0]):
                    indices.add(index)
                    yield self._result(index)
        if part is None and passes and all(each.carries is None for each in passes):
            return
        tracked = self._tracked
        stored = {*self.prompted, *tracked} if part is None and tracked else tracked
        order = self._frames if part is None or part[0] < part[1] else self._frames[::-1]
        yield from (self._result(i) for i in order if low <= i <= high and i in stored and i not in indices)

    def _track(self, each: Pass, snapshots: Mapping[int, PromptSnapshot]) -> Iterator[int]:
        """Track objects through a pass and store their masks; gives the indices of its frames."""
        objects = {i: s.current() for i, s in snapshots.items() if self._objects.get(i) is s.masks}
        targets = {
            i
            for i in each.made_from.keys() & objects.keys()
            if each.carries is None or each.start in objects[i].prompts
        }
        if not targets or not any(each.start in s.prompts for s in objects.values()):
            return
        layers = self._layers(
            each, {i: s for i, s in objects.items() if i in targets or s.is_present(each.start)}, targets
        )
        for layer in layers:
            for index in select_earlier_frames(layer.conditioning, each.start):
                add_conditioning_frame(layer.session, self.source.frame(index), layer.conditioning[index])
        for results in propagate(layers, self.source.walk(each.start, each.stop), each.start):
            index = results[0].index
            current = [
                i for i in targets if index in each.made_from[i] and self._objects.get(i) is objects[i].masks
            ]
            for result in results:
                for item, counts, whole_counts, unsure in to_rle(result, current):
                    stored = replace(item, label=None, box=None, area=0), counts, whole_counts, unsure
                    made_from = each.made_from[item.id][index]
                    self._objects[item.id].store(index, StoredMask(stored, made_from))
            yield index

    def _layers(self, each: Pass, objects: Mapping[int, PromptSnapshot], targets: set[int]) -> list[Layer]:
        """Objects that sessions track apart, with the frames that they are shown and their masks before."""
        prompted = sorted({index for snapshot in objects.values() for index in snapshot.prompts})
        frames = select_conditioning_frames(prompted, each.start, each.stop)
        masks = [
            {i: s.prompts[index].stored[1] for i, s in objects.items() if index in s.prompts}
            for index in frames
        ]
        if each.direction == 1:
            on_way = range(each.start + 1, each.stop + 1)
            frames |= {
                index for snapshot in objects.values() for index in snapshot.masks.removed if index in on_way
            }
        layers = []
        for group in split_overlapping([*objects], masks, self._size):
            if not targets & {*group}:
                continue
            of_group = {i: objects[i] for i in group}
            conditioning = {index: self._conditioning_frame(each, index, of_group) for index in frames}
            if any(frame.mask.any() for frame in conditioning.values()):
                layers.append(Layer(self._session(), conditioning, PreviousMasks(each, of_group)))
        return layers

    def _conditioning_frame(
        self, each: Pass, index: int, objects: Mapping[int, PromptSnapshot]
    ) -> ConditioningFrame:
        """What a session of some objects is shown of a frame."""
        prompted = {
            i: snapshot.prompts[index] for i, snapshot in objects.items() if index in snapshot.prompts
        }
        mask = np.zeros(self._size, np.uint16)
        changed: BoolArray | None = None
        corrected = set[int]()
        for i, (stored, revision) in prompted.items():
            mask[decode(stored[1], self._size)] = i
            if each.carries is not None and i in each.carries and index == each.start:
                differs = objects[i].masks.difference(
                    each.direction, each.carries[i], (index, revision), self._size
                )
                changed = differs if changed is None else changed | differs
                corrected.add(i)
        expected = {i: stored[0].score for i, (stored, _) in prompted.items() if stored[0].score < 1}
        removed = frozenset(i for i, snapshot in objects.items() if index in snapshot.masks.removed)
        return ConditioningFrame(mask, frozenset(prompted), expected, changed, removed, frozenset(corrected))

    def _result(self, index: int) -> Segmentation:
        """The result of a frame: later objects are in front."""
        mask = np.zeros(self._size, np.uint8)
        empty = Segmentation(index, self.source.times[index], mask, _image=self._image_reader)
        visible = [
            (replace(each[0], label=self._objects[i].label), *each[1:])
            for i, each in reversed(self._stored_at(index).items())
        ]
        result = composite(empty, visible)
        exact = (
            self._native.result(index) if self._native is not None and index in self._native_frames else None
        )
        if exact is None or exact.ids != result.ids:
            return result
        objects = tuple(replace(item, label=self._objects[item.id].label) for item in exact.objects)
        return replace(exact, objects=objects, _image=self._image_reader)

    def _prompter(self, index: int) -> ImagePrompter:
        image, place = self.source.frame(index).image, bisect_left(self._frames, index)
        neighbours = self._frames[place + 1 : place + 2] or self._frames[max(place - 1, 0) : place]

        def neighbour() -> Image | None:
            return self.source.frame(neighbours[0]).image if neighbours else None

        return MotionPrompter(self._make_prompter(image), image, neighbour)

    def _remove(self, number: int) -> None:
        self._objects.pop(number, None)
        if self._native is not None:
            self._native.remove(number)

    def _remove_from(self, number: int, index: int) -> None:
        """Make an object absent from a frame on."""
        masks = self._objects.get(number)
        if masks is None:
            return
        withdrawn = [each for each in masks.prompts if each >= index]
        masks.remove_from(index)
        if not masks.prompts:
            self._remove(number)
        elif self._native is not None:
            for each in withdrawn:
                self._native.unprompt(each, number)

    def _checked(self, index: int) -> int:
        """The index of a frame, if there is one."""
        if not isinstance(index, (int, np.integer)):
            raise SourceError(f"frame: {kind_of(index)}; give the index of a frame, such as video[0]")
        if index not in self.source.times:
            first, last = self._frames[0], self._frames[-1]
            raise SourceError(f"{self.source.name}: has no frame {index}; frames are {first} to {last}")
        return index

    def _prompts_text(self) -> str:
        frames_text = ", ".join(map(str, self.prompted[:10]))
        return f"prompted frames are {frames_text}" if frames_text else "no frame is prompted"


def _rebuilt(arguments: dict[str, Any], state: SessionState) -> Video:
    """The video of a pickle."""
    video = Video(**arguments)
    video.restore(state)
    return video
