"""Interactive tracking: prompts on any frame of a video, masks in both directions."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, Unpack

import numpy as np
import torch

from segue.api.results import Colour, Layout, Position, ReadAgain, opened_source, save
from segue.api.slides import MAX_SLIDES, WIDTH, Slides
from segue.api.tables import ResultTables
from segue.errors import CheckpointError, PromptError, SegueError, SourceError
from segue.models.base import Schedule, TrackNetwork
from segue.prompt_inputs.arguments import PromptArguments, PromptsLike, collect_prompts
from segue.prompt_inputs.checks import check_frame
from segue.prompt_types import Prompt, RemovePrompt
from segue.prompts import MakePrompter, find_prompter
from segue.sessions.association import new_objects
from segue.sessions.detecting import detector
from segue.sessions.networks import track_network
from segue.sessions.session import one_thread_at_a_time
from segue.sessions.track import TrackSession
from segue.sessions.videos import open_video_session
from segue.sinks.outputs import check_distinct
from segue.state import SessionState
from segue.types import Segmentation
from segue.utils.arrays import check_id, in_rgb
from segue.utils.inputs import kind_of, user_path
from segue.utils.keywords import suggests_names
from segue.video import Source
from segue.video.sources.given import SourceLike
from segue.weights import Prepared


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
        max_size: maximum longer side in pixels; larger frames are reduced by averaging. Prompts and results
            are in pixels of the reduced frames; saved files have the size of the source.
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

    @suggests_names
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
        size = self.source.size or self.source.frame(self._frames[0]).size
        make = find_prompter(prompter, device=device, fast=fast) if isinstance(prompter, str) else prompter
        network = track_network(model, weights, device=device, fast=fast)
        session = TrackSession(network, schedule, fit=fit, prompter=make)
        self._session = open_video_session(
            session, self.source, self._frames, size, keep_corrections=schedule is None
        )
        self._image_reader = ReadAgain(self.source)
        self._detector_of = lru_cache(1)(lambda text: detector(text=text, device=device, fast=fast))

    def __exit__(self, *_: object) -> None:
        self.close()

    def __reduce__(self) -> tuple[Any, ...]:
        """Another process opens the source and the network again."""
        return _rebuilt, (self._arguments, self._session.state())

    def __repr__(self) -> str:
        objects = f"{len(self.ids)} object{'' if len(self.ids) == 1 else 's'}"
        return (
            f"<segue.Video {self.source.name}: {len(self)} frames, {objects}, "
            f"{len(self.prompted)} prompted and {len(self._session.tracked)} tracked frames>"
        )

    def __len__(self) -> int:
        """Number of frames."""
        return len(self._frames)

    def __iter__(self) -> Iterator[Segmentation]:
        """Iterate over the results of prompted and tracked frames, and of those without present objects."""
        known = self._session.known
        if self.ids and not self._session.tracked and len(known) < len(self):
            raise SegueError("nothing is tracked yet; take the results of propagate() first")
        return (self[index] for index in self._frames if index in known)

    @one_thread_at_a_time
    def __getitem__(self, index: int) -> Segmentation:
        """Result of a frame by index; empty if nothing is tracked there."""
        return self._result(self._checked(index))

    @property
    def ids(self) -> tuple[int, ...]:
        """Ids of the objects, ascending."""
        return tuple(sorted(self._session.objects))

    @property
    def prompted(self) -> tuple[int, ...]:
        """Indices of the frames that have prompts, ascending."""
        return self._session.prompted

    @suggests_names
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

        With networks of masks, a positive point on another object gives the connected region there to the
        corrected object, unless both overlap on a prompted frame. The other object is then prompted, too. It
        gets the region back if a box or a mask replaces the points, or :meth:`remove` withdraws them, unless
        it was prompted since.

        Args:
            frame: index of the frame.
            prompts: an index mask (H, W), a path, or prompts, as for the first frame in :func:`segue.track`.
            id: object of ``box``, points, strokes and a single mask.
            text: phrases to detect on the frame, such as ``"person, red car"``. A detection without a mask
                becomes an object with the next free id and the phrase as its label.
            arguments: prompts by their kinds, see :class:`segue.prompt_inputs.PromptArguments`.

        Returns:
            The result of this frame, with all objects.

        Raises:
            PromptError: a prompt does not match the frame, or there is no object to remove.
            SourceError: there is no such frame, or it cannot be read.
        """
        read, id = self.source.frame(self._checked(frame)), check_id(id)
        if isinstance(prompts, Mapping):
            raise PromptError("prompts: a dictionary is by frame in segue.track; add those of one frame each")
        if self._colour == "bgr":
            prompts = in_rgb(prompts)
            arguments["masks"] = in_rgb(arguments.get("masks"))
        if text is not None:
            if any(each is not None for each in (prompts, *arguments.values())):
                raise PromptError("text says what to look for; leave out the other prompts")
            several = isinstance(text, Iterable) and not isinstance(text, str)
            added: Sequence[Prompt] = new_objects(
                self._detector_of(tuple(text) if several else text)(read),
                self._result(read.index),
                self.ids,
            )
            if not added:
                return self._result(read.index)
        else:
            corrects = id in self._session.stored_at(read.index)
            added = collect_prompts(prompts, **arguments, size=read.size, id=id, corrects=corrects)
        check_frame(added, read.index)
        for item in added:
            if isinstance(item, RemovePrompt) and item.id not in self.ids:
                raise PromptError(f"there is no object {item.id} to remove; {self._session.prompts_text}")
        self._session.prompt(read, added)
        return self._result(read.index)

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
        masks = self._session.objects.get(check_id(id))
        if masks is None or not (frame is None or frame in masks.removed or masks.has_own_prompt(frame)):
            where = "" if frame is None else f" on frame {frame}"
            raise PromptError(f"object {id} has no prompt{where}; {self._session.prompts_text}")
        if frame is None:
            self._session.remove(id)
        else:
            self._session.withdraw(id, frame)

    @one_thread_at_a_time
    def propagate(self, start: int | None = None, stop: int | None = None) -> Iterator[Segmentation]:
        """Track the objects through the video, from the frames that have prompts.

        Without ``start`` and ``stop``, each object is tracked from its first prompt to the end of the video,
        and then backwards to its beginning. Each frame comes once, as soon as its masks are final. An object
        that was corrected after it was tracked is tracked from each corrected frame to the next prompted
        frames in both directions. Masks whose prompts have not changed stay as they are and take no time.
        With ``start`` and ``stop``, only frames between them change. Prompted frames on the way, and the 24
        nearest other prompted frames, are memory before the first frame is tracked.

        On frames that were tracked before, the corrected region moves along the optical flow. Masks change
        only in connected regions that touch it, if the tracker is at least as confident there. On frames
        nearer to another prompted frame of the object, it must be more confident. A mask stays unchanged if
        the score of the object would fall by more than 0.1. Once nothing is left of the region, the remaining
        frames keep their masks without being tracked. If a prompt is withdrawn, the masks before it
        count again; where there are none, the object is tracked anew. Objects that overlap on a prompted
        frame are tracked separately.

        Prompts that are added while results are taken count from the next call on.

        Args:
            start: index of a frame with prompts; None is the first such frame.
            stop: index of the last frame, before ``start`` to track backwards; None is that of the video.

        Returns:
            An iterator over results with all objects. A frame that objects reach in several passes comes with
            the last of them.

        Raises:
            PromptError: there is no prompt, or none on ``start``.
            SourceError: a frame cannot be read.
        """
        if not self.ids:
            raise PromptError("there is no prompt; add one first, such as add(0, box=(x0, y0, x1, y1))")
        begin, end = (None if index is None else self._checked(index) for index in (start, stop))
        return self._steps(map(self._result, self._session.propagate(begin, end)))

    @suggests_names
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
        self._session.reset()

    @one_thread_at_a_time
    def state(self) -> dict[str, Any]:
        """All prompts and results as values for JSON; see :meth:`restore`.

        The memory of a network that accepts prompts is only in the file of :meth:`save_state`.

        Returns:
            JSON values; masks are COCO run lengths.
        """
        return self._session.values()

    @one_thread_at_a_time
    def save_state(self, path: str | Path) -> None:
        """Write the complete state for :meth:`restore`, in safetensors and JSON.

        Args:
            path: file to write, completely or not at all; an existing file is replaced.

        Raises:
            SinkError: the file cannot be written, or the frames come from it.
        """
        check_distinct({"the state": user_path(path)}, self.source)
        self._session.state().save(path)

    @one_thread_at_a_time
    def restore(self, state: Mapping[str, Any] | SessionState | str | Path) -> None:
        """Replace prompts and results by a saved state.

        Args:
            state: file of :meth:`save_state`, or the values of :meth:`state`, also after JSON, for a video of
                the same frames. From these values, a network that accepts prompts gets the masks of the
                prompted frames. Code in a file is not executed.

        Raises:
            CheckpointError: the state is invalid, or belongs to another video or network.
        """
        if isinstance(state, str) and state.lstrip().startswith("{"):
            raise CheckpointError("the state is JSON text; give its values, as json.loads returns them")
        if isinstance(state, (str, os.PathLike)):
            state = SessionState.load(state)
        if isinstance(state, SessionState):
            self._session.restore(state)
        else:
            self._session.restore_values(state)

    def close(self) -> None:
        """Close the source; it is opened again when a frame is needed."""
        self.source.close()

    def _steps(self, results: Iterator[Segmentation]) -> Iterator[Segmentation]:
        """Iterate over results in one thread at a time."""
        return iter(partial(self._next, results), None)

    @one_thread_at_a_time
    def _next(self, results: Iterator[Segmentation]) -> Segmentation | None:
        return next(results, None)

    def _result(self, index: int) -> Segmentation:
        """Result of a frame that can read its image."""
        return replace(self._session.result(index), _image=self._image_reader)

    def _checked(self, index: int) -> int:
        """Check the index of a frame."""
        if isinstance(index, bool) or not isinstance(index, (int, np.integer)):
            raise SourceError(f"frame: {kind_of(index)}; give the index of a frame, such as video[0]")
        if index not in self.source.times:
            first, last = self._frames[0], self._frames[-1]
            raise SourceError(f"{self.source.name}: has no frame {index}; frames are {first} to {last}")
        return int(index)


def _rebuilt(arguments: dict[str, Any], state: SessionState) -> Video:
    """Restore a pickled video."""
    video = Video(**arguments)
    video.restore(state)
    return video
