"""Edits of keyed shapes, which are rendered to masks between their keys."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import replace
from functools import partial
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field

from segue.errors import PromptError
from segue.masks.rle import rle_area
from segue.masks.splines import (
    Corner,
    Homography,
    KeyedShape,
    Motion,
    ShapeKey,
    as_corners,
    flattened,
    rounded_corners,
    shape_runs,
    warp_corners,
)
from segue.utils.arrays import Float64Array
from segue_web.project.annotations import Correction, FrameAnnotation
from segue_web.project.project import Project
from segue_web.server.messages import Coordinate, Index, Number, Place, Revision
from segue_web.server.server import Run
from segue_web.server.worker import Worker
from segue_web.video import Video

MAX_CORNERS = 1000

Places = Annotated[tuple[Place, ...], Field(min_length=3, max_length=MAX_CORNERS)]
SentCorner = tuple[Coordinate, Coordinate, Coordinate, Coordinate, Coordinate, Coordinate]
Corners = Annotated[tuple[SentCorner, ...], Field(min_length=3, max_length=MAX_CORNERS)]
Quality = Annotated[float, Field(ge=0.5, le=0.99)]
Change = Literal["add", "remove", "bend"]

CHUNK = 25
"""Frames over which a plane is followed before other requests have their turn."""

MAX_FRAMES = 3000
"""Frames whose masks become a shape, or over which a plane is followed, at once."""


class ShapeEdits:
    """Saves shapes and their rendered masks; the worker analyses images."""

    def __init__(
        self,
        video: Video,
        project: Project,
        run: Run,
        worker: Worker,
        refuse_tracked: Callable[..., None],
    ) -> None:
        self._video, self._project, self._run, self._worker = video, project, run, worker
        self._refuse_tracked = refuse_tracked

    def draw(
        self, frame: Index, object: Number | None, seen: Revision, points: Places, hole: bool = False
    ) -> dict[str, Any]:
        """Add a shape with a key on a frame to an object, None for a new one."""
        project = self._project
        project.check_edit(frame, seen, object)
        self._check_free(object)
        keyed = KeyedShape({frame: ShapeKey(tuple((x, y, 0, 0, 0, 0) for x, y in points))}, hole)
        with project.change("shape"):
            number = object or project.add_object()
            shape = project.set_shape(None, number, keyed)
            self._render(number, [frame], [frame])
        return {"object": number, "shape": shape}

    def set_key(
        self,
        shape: Index,
        frame: Index,
        seen: Revision,
        corners: Corners | None = None,
        on: bool | None = None,
        motion: Motion | None = None,
    ) -> None:
        """Set the key of a shape on a frame.

        Without corners it has those that it has there; beyond its keys those of the nearest one.
        """
        number, keyed = self._checked(shape, seen)
        key = self._key_at(keyed, frame)
        if corners is not None:
            key = replace(key, corners=corners)
        key = replace(key, on=key.on if on is None else on)
        if motion == "plane":
            raise PromptError("track the surface to make corners go with it")
        if motion is not None:
            key = replace(key, motion=motion, plane=())
        if keyed.keys.get(frame) != key:
            self._save("shape key", shape, number, keyed.with_key(frame, key), frame)

    def remove_key(self, shape: Index, frame: Index, seen: Revision) -> None:
        """Remove the key of a shape on a frame; the last key removes the shape."""
        number, keyed = self._checked(shape, seen)
        if frame not in keyed.keys:
            raise PromptError(f"the shape has no key on frame {frame}")
        self._save("removed key", shape, number, keyed.without_key(frame), frame)

    def change_corner(self, shape: Index, corner: Index, seen: Revision, change: Change) -> None:
        """Add, remove or bend a corner in all keys."""
        number, keyed = self._checked(shape, seen)
        if any(corner >= len(key.corners) for key in keyed.keys.values()):
            raise PromptError("the keys differ in their corners; move the corners instead")
        if change == "remove" and any(len(key.corners) <= 3 for key in keyed.keys.values()):
            raise PromptError("a shape has at least three corners")
        is_bent = any(key.array[corner, 2:].any() for key in keyed.keys.values())
        keys = {
            frame: replace(key, corners=_changed(key.array, corner, change, is_bent))
            for frame, key in keyed.keys.items()
        }
        labels = {"add": "added corner", "remove": "removed corner", "bend": "rounded or sharpened corner"}
        with self._project.change(labels[change]):
            self._project.set_shape(shape, number, replace(keyed, keys=keys))
            self._render(number, keyed.span)

    def remove(self, shape: Index, seen: Revision) -> None:
        """Remove a shape; masks lose only pixels that no other shape covers."""
        number, keyed = self._checked(shape, seen)
        with self._project.change("removed shape"):
            self._project.set_shape(shape, number, None)
            self._render(number, keyed.span)

    async def of_masks(
        self, object: Number, first: Index, last: Index, seen: Revision, quality: Quality = 0.9
    ) -> dict[str, Any]:
        """Fit a shape with few corners and keys to an object's masks on some frames.

        ``quality`` is the IoU that it has with the largest part of each mask. Returns how many keys and
        corners there are, and the mean and least IoU with the masks.
        """
        project, size = self._project, self._video.size
        frames = range(first, min(last, self._video.count - 1) + 1)

        def masks() -> dict[int, str]:
            project.check_edit(first, seen, object)
            project.check_objects([object], seen, frames)
            self._check_free(object)
            if project.shapes_of(object):
                raise PromptError("the object has shapes; remove them first")
            stored = project.masks_of(object)
            return {frame: counts for frame, (_, counts) in stored.items() if counts and frame in frames}

        stored: dict[int, str] = await self._run(masks)
        if not stored:
            raise PromptError(f"the object has no masks on frames {frames.start} to {frames.stop - 1}")
        if len(stored) > MAX_FRAMES:
            raise PromptError(f"choose a range of at most {MAX_FRAMES} frames with masks")
        keyed, fits = await self._worker.ask("fit_shape", stored, size, quality)

        def save() -> None:
            project.check_objects([object], seen, frames)
            self._check_free(object)
            with project.change("shape from masks"):
                project.set_shape(None, object, keyed)
                self._render(object, frames, frames)

        await self._run(save)
        corners = max(len(key.corners) for key in keyed.keys.values())
        return {"keys": len(keyed.keys), "corners": corners, "mean": float(np.mean(fits)), "least": min(fits)}

    async def track_plane(self, shape: Index, frame: Index, last: Index, seen: Revision) -> dict[str, Any]:
        """Move a shape with its surface from a key to a frame or the next key.

        Where the surface is lost, the frames up to there are kept; returns the last one.
        """
        project = self._project

        def start() -> tuple[ShapeKey, int, set[int]]:
            number, keyed = self._checked(shape, seen)
            following = [index for index in keyed.frames if index > frame]
            end = min([last, self._video.count - 1, frame + MAX_FRAMES, *following[:1]])
            if end <= frame:
                raise PromptError("set the end of the range to a later frame")
            ordered = [row["id"] for row in project.objects()]  # from below
            return self._key_at(keyed, frame), end, {*ordered[ordered.index(number) + 1 :]}

        key, end, in_front = await self._run(start)
        motions, has_failed = await self._motions(flattened(key.array), frame, end, in_front)
        last_frame = frame + len(motions)
        if not motions:
            raise PromptError("nothing here can be tracked; draw the shape around more texture")
        goal = ShapeKey(as_corners(warp_corners(key.array, motions[-1])))

        def save() -> None:
            number, keyed = self._checked(shape, seen)
            planar = replace(key, motion="plane", plane=tuple(motions))
            changed = keyed.with_key(frame, planar)
            if last_frame not in keyed.keys:
                changed = changed.with_key(last_frame, goal)
            with project.change("surface tracking"):
                project.set_shape(shape, number, changed)
                self._render(number, [*keyed.touched(frame), *range(frame, last_frame + 1)])

        await self._run(save)
        return {"last": last_frame, "lost": has_failed}

    async def _motions(
        self, outline: Float64Array, frame: int, end: int, in_front: set[int]
    ) -> tuple[list[Homography], bool]:
        """Homographies from a frame to later ones, and whether the surface was lost.

        Pixels of objects in front are not of the surface.
        """
        motions: list[Homography] = []
        total = np.eye(3)
        for first in range(frame, end, CHUNK):
            last = min(end, first + CHUNK)
            covered = await self._run(partial(self._masks_of, in_front, [frame, *range(first, last + 1)]))
            chunk, has_failed = await self._worker.ask(
                "plane_motion", frame, outline, first, last, total, covered
            )
            motions += [tuple(motion.ravel().tolist()) for motion in chunk]
            if has_failed:
                return motions, True
            total = chunk[-1]
        return motions, False

    def _masks_of(self, objects: set[int], frames: Iterable[int]) -> dict[int, list[str]]:
        """Masks of objects as run lengths by frame."""
        masks = {index: self._project.masks(index) for index in frames} if objects else {}
        return {index: [at[i] for i in objects & at.keys() if at[i]] for index, at in masks.items()}

    def merge(self, number: int, into: int) -> None:
        """Merge an object and its shapes into another one, inside :meth:`Store.change`.

        Where the shapes of both do not make the mask, it counts as painted, so that no key changes it.
        """
        project = self._project
        for shape, keyed in project.shapes_of(number).items():
            project.set_shape(shape, into, keyed)
        project.merge_object(number, into)
        shapes = [*project.shapes_of(into).values()]
        for frame in sorted({frame for shape in shapes for frame in shape.span}):
            counts, mark = project.masks(frame).get(into, ""), project.marks(frame).get(into)
            if counts == shape_runs(shapes, frame, self._video.size):
                self._render(into, [frame], [frame])
            elif mark is not None and mark.kind != "given":
                project.replace_mask(frame, into, counts, replace(mark, kind="given"))
                project.correct(frame, into, Correction(on=counts, mends=True))

    def split(self, number: int, frame: int) -> int:
        """Move an object and its shapes from a frame on to a new object, inside :meth:`Store.change`."""
        project = self._project
        new = project.split_object(number, frame)
        for shape, keyed in project.shapes_of(number).items():
            earlier, later = keyed.split(frame)
            if earlier.keys:
                project.set_shape(shape, number, earlier)
                if later.keys:
                    project.set_shape(None, new, later)
            else:
                project.set_shape(shape, new, later)
        for part, place in ((number, frame - 1), (new, frame)):  # keys have a mask of their own
            if any(keyed.covers(place) for keyed in project.shapes_of(part).values()):
                self._render(part, [place])
        return new

    def _check_free(self, number: int | None) -> None:
        self._refuse_tracked("change the shape of an object", number)

    def _checked(self, shape: int, revision: int) -> tuple[int, KeyedShape]:
        number, keyed = self._project.check_shape(shape, revision)
        self._check_free(number)
        return number, keyed

    @staticmethod
    def _key_at(keyed: KeyedShape, frame: int) -> ShapeKey:
        """Key of a frame, or the interpolated one."""
        if frame in keyed.keys:
            return keyed.keys[frame]
        nearest = keyed.keys[min(keyed.keys, key=lambda index: abs(index - frame))]
        corners = keyed.corners_at(frame)
        previous = [index for index in keyed.frames if index < frame]
        if corners is None or not previous:
            return replace(nearest, motion="linear", plane=(), on=True)
        key = keyed.keys[previous[-1]]
        motion: Motion = "linear" if key.motion == "plane" else key.motion
        return ShapeKey(as_corners(corners), key.on, motion)

    def _save(self, label: str, shape: int, number: int, changed: KeyedShape, frame: int) -> None:
        """Save a shape with a changed key."""
        touched = self._project.shape(shape)[1].touched(frame)
        with self._project.change(label):
            self._project.set_shape(shape, number, changed)
            self._render(number, touched, [frame] if frame in changed.keys else [])

    def _render(self, number: int, frames: Iterable[int], forced: Collection[int] = ()) -> None:
        """Render an object's shapes to masks, except where a mask was made by hand.

        Those of ``forced`` frames are replaced in any case.
        """
        project = self._project
        shapes = [*project.shapes_of(number).values()]
        covered = {frame for shape in shapes for frame in shape.span}
        keys = {frame for shape in shapes for frame in shape.keys}
        for frame in sorted({*frames}):
            mark, correction = project.marks(frame).get(number), project.correction(frame, number)
            is_shaped = correction is not None and correction.shaped
            if mark is not None and mark.kind == "given" and not is_shaped and frame not in forced:
                continue
            if frame not in covered:
                if is_shaped or (mark is not None and mark.kind == "interpolated"):
                    project.clear(frame, number)
                continue
            runs = shape_runs(shapes, frame, self._video.size)
            area = rle_area({"size": [*self._video.size], "counts": runs}) if runs else 0
            is_key = frame in keys
            annotation = FrameAnnotation("given" if is_key else "interpolated", 1.0, area)
            project.replace_mask(frame, number, runs, annotation)
            if is_key:
                project.correct(frame, number, Correction(on=runs, mends=True, shaped=True))


def _changed(array: Float64Array, corner: int, change: Change, is_bent: bool) -> tuple[Corner, ...]:
    """Corners of a key after one is added, removed or bent."""
    if change == "remove":
        return as_corners(np.delete(array, corner, axis=0))
    if change == "bend":
        bent = array.copy()
        bent[corner, 2:] = 0 if is_bent else rounded_corners(array)[corner, 2:]
        return as_corners(bent)
    outline = flattened(array)
    following = array[(corner + 1) % len(array), :2]
    start = int(np.flatnonzero((outline == array[corner, :2]).all(axis=1))[0])
    ends = np.flatnonzero((outline == following).all(axis=1))
    end = int(ends[0]) if int(ends[0]) > start else len(outline)
    middle = outline[(start + end) // 2] if end - start > 1 else (array[corner, :2] + following) / 2
    return as_corners(np.insert(array, corner + 1, [*middle, 0, 0, 0, 0], axis=0))
