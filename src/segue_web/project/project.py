"""A project of the page, in one folder that survives any kill; objects may overlap, the last is on top."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import TypeAdapter, ValidationError

from segue.errors import DatasetError, PromptError, SourceError
from segue.formats.labels import composed
from segue.masks import encode_rle
from segue.masks.measure import iou
from segue.masks.rle import check_runs
from segue.masks.splines import KeyedShape, shape_runs
from segue.masks.unsure import check_unsure
from segue.sessions.videos.provenance import MadeFrom, Revision, Source, StoredMask
from segue.types import IndexMask, ObjectInfo
from segue.utils.arrays import BoolArray
from segue_web.project.annotations import (
    SIDES,
    Correction,
    FrameAnnotation,
    Kind,
    MarkedMask,
    Side,
    TakenPixels,
    annotation_of,
    correction_from,
    correction_of,
    made_from_of,
    runs_of,
)
from segue_web.project.objects import ObjectStore
from segue_web.project.store import Changed, Row, actor
from segue_web.server.conflicts import ConflictError

Send = Callable[[dict[str, Any]], None]
"""Sends an event to all pages."""


_OF_BOTH_PARTS = ("category", "team", "attributes", "frame_attributes", "edge")
"""Fields of an object that the parts have into which it is split."""

_REPLACED = {"kind": str, "score": float, "area": int, "mask": str, "user": str}
"""Stored fields of a mask that a tracking replaced, also of earlier versions."""

_REPLACED_OPTIONAL = ("unsure", "made_from")
"""Further fields of current versions."""

_SHAPE = TypeAdapter(KeyedShape)

MAX_SHAPES = 10_000

_read_shape = lru_cache(MAX_SHAPES)(_SHAPE.validate_json)
"""Parse a shape from JSON, cached since each displayed frame needs all shapes."""

_TIMELINE = "frame, object, kind, score, area, reviewed, user, reviewer, agreement"


class Project(ObjectStore):
    """Open project of a video; one process at a time.

    Where the path of the video is given as ``source``, a project of another one is refused, unless ``adopt``.
    """

    def __init__(
        self,
        folder: Path,
        video: Mapping[str, Any],
        size: tuple[int, int],
        source: Path | None = None,
        *,
        adopt: bool = False,
    ) -> None:
        self.size = size
        self.send: Send = lambda _: None
        super().__init__(folder, video, source, adopt=adopt)

    def publish(self, changed: Changed) -> None:
        """Notify pages of a change."""
        event: dict[str, Any] = {"event": "changed", "revision": self.revision, "history": self.history()}
        if changed.objects:
            event["objects"] = self.objects()
        if changed.schema:
            event["schema"] = self.schema.as_json()
        if changed.comments:
            event["comments"] = self.comments()
        if changed.shapes:
            event["shapes"] = self.shapes()
        if len(changed.frames) == 1:
            event["frames"] = [self.frame(index) for index in changed.frames]
        elif changed.frames:
            event["timeline"] = self.timeline()
        self.send(event)

    def frame(self, index: int) -> dict[str, Any]:
        """Data of a frame for pages."""
        return {
            "frame": index,
            "revision": self.revision,
            "masks": self.masks(index),
            "replaced": self.replaced_masks(index),
            "prompts": self.prompts(index),
            "shapes": self._shapes_at(index),
            "marks": {number: mark.as_json() for number, mark in self.marks(index).items()},
        }

    def shapes(self) -> list[Row]:
        """Keyed shapes: id, object, hole flag, and frame, motion and state of each key."""
        listed = []
        for number, (of, shape) in self._stored_shapes().items():
            keys = [[frame, key.motion, key.on] for frame, key in sorted(shape.keys.items())]
            listed.append({"id": number, "object": of, "hole": shape.hole, "keys": keys})
        return listed

    def shapes_of(self, number: int) -> dict[int, KeyedShape]:
        """Shapes of an object by id."""
        return {i: shape for i, (of, shape) in self._stored_shapes(number).items() if of == number}

    def shape(self, shape: int) -> tuple[int, KeyedShape]:
        """A shape and its object."""
        stored = self._stored_shapes().get(shape)
        if stored is None:
            raise ConflictError("this shape no longer exists; it may have been removed in another window")
        return stored

    def _stored_shapes(self, number: int | None = None) -> dict[int, tuple[int, KeyedShape]]:
        sql = "SELECT * FROM shapes WHERE ? IS NULL OR object=? ORDER BY id"
        rows = self._db.execute(sql, (number, number)).fetchall()
        try:
            return {row["id"]: (row["object"], _read_shape(row["data"])) for row in rows}
        except ValidationError as error:
            raise SourceError(f"{self.folder / 'project.db'}: a shape is damaged") from error

    def _shapes_at(self, frame: int) -> dict[int, Row]:
        """Shapes on a frame: corners with handles, whether they are on, and whether it is a key."""
        return {
            i: {"corners": np.round(at, 2).tolist(), "on": shape.is_on(frame), "key": frame in shape.keys}
            for i, (_, shape) in self._stored_shapes().items()
            if (at := shape.corners_at(frame)) is not None
        }

    def is_shaped(self, number: int) -> bool:
        """Whether all masks of an object come from its shapes."""
        shapes = [*self.shapes_of(number).values()]
        masks = {frame: counts for frame, (_, counts) in self.masks_of(number).items()}
        covered = {frame for shape in shapes for frame in shape.span}
        frames = covered | {*masks}
        return all(shape_runs(shapes, frame, self.size) == masks.get(frame, "") for frame in frames)

    def set_shape(self, shape: int | None, number: int, keyed: KeyedShape | None) -> int:
        """Save, add (no ``shape``) or remove (no ``keyed``) a shape inside :meth:`change`; return its id."""
        if shape is None:
            self._check_room("shapes", MAX_SHAPES)
            shape = self._new_id("last_shape")
        data = None if keyed is None or not keyed.keys else _SHAPE.dump_json(keyed).decode()
        self._set("shapes", (shape,), None if data is None else {"id": shape, "object": number, "data": data})
        return shape

    def drop_shapes(self, number: int) -> None:
        """Remove the shapes of an object but keep its masks, inside :meth:`change`."""
        for shape in self.shapes_of(number):
            self.set_shape(shape, number, None)

    def check_shape(self, shape: int, revision: int) -> tuple[int, KeyedShape]:
        """Raise ConflictError unless a shape is as at a revision; returns :meth:`shape`."""
        number, keyed = self.shape(shape)
        self.last_change("shape", shape).check(revision, "the shape was changed")
        if (row := self._object(number))["locked"]:
            raise PromptError(f"{row['name']} is locked; unlock it first")
        return number, keyed

    def timeline(self) -> list[list[Any]]:
        """All annotations: frame, object, kind, score, area, reviewed, user, reviewer, agreement."""
        return [
            list(row) for row in self._db.execute(f"SELECT {_TIMELINE} FROM marks ORDER BY frame, object")
        ]

    def marks(self, frame: int) -> dict[int, FrameAnnotation]:
        """Annotations of a frame by object."""
        rows = self._db.execute(f"SELECT {_TIMELINE} FROM marks WHERE frame=?", (frame,))
        return {row["object"]: annotation_of(row) for row in rows}

    def prompts(self, frame: int) -> dict[int, Row]:
        """Clicks and boxes of people on a frame."""
        rows = self._db.execute("SELECT object, data FROM prompts WHERE frame=?", (frame,))
        by_object = {row["object"]: json.loads(row["data"]) for row in rows}
        return {
            number: {"points": data["points"], "box": data["box"]}
            for number, data in by_object.items()
            if data["points"] or data["box"]
        }

    def correction(self, frame: int, number: int) -> Correction | None:
        """Prompts for an object on a frame; None without any."""
        row = self._one("SELECT data FROM prompts WHERE frame=? AND object=?", frame, number)
        if row is None:
            return None
        return correction_of(row)

    def masks(self, frame: int) -> dict[int, str]:
        """Run lengths of visible objects on a frame, in layer order."""
        sql = """SELECT object, mask FROM marks LEFT JOIN objects ON objects.id=object
            WHERE frame=? AND area>0 ORDER BY layer, object"""
        return self._checked({row["object"]: row["mask"] for row in self._db.execute(sql, (frame,))}, frame)

    def replaced_masks(self, frame: int) -> dict[int, str]:
        """Run lengths of masks replaced by trackings on a frame, until judged."""
        sql = "SELECT * FROM marks WHERE frame=? AND agreement IS NOT NULL ORDER BY object"
        return {row["object"]: self._replaced(row)["mask"] for row in self._db.execute(sql, (frame,))}

    def _replaced(self, row: Any) -> Row:
        """Mask replaced by the one of a row, as stored."""
        key = {"frame": row["frame"], "object": row["object"]}
        try:
            stored = json.loads(row["previous"])
            previous = {name: kind(stored[name]) for name, kind in _REPLACED.items()}
            previous |= {name: str(stored.get(name, "")) for name in _REPLACED_OPTIONAL}
        except (ValueError, KeyError, TypeError, OverflowError):
            where = f"project.db: frame {row['frame']}"
            raise SourceError(f"{where}: a mask that a tracking replaced is damaged") from None
        self._checked({row["object"]: previous["mask"]} if previous["mask"] else {}, row["frame"])
        return {**key, **previous, "reviewed": 0, "reviewer": "", "previous": "", "agreement": None}

    def judge_replaced(self, number: int, frames: range, *, accept: bool) -> int:
        """Accept masks changed by trackings, or restore earlier ones, inside :meth:`change`.

        Returns how many there were.
        """
        sql = "SELECT * FROM marks WHERE object=? AND agreement IS NOT NULL AND frame BETWEEN ? AND ?"
        rows = self._db.execute(sql, (number, frames.start, frames.stop - 1)).fetchall()
        for row in rows:
            judged = dict(row) | {"previous": "", "agreement": None} if accept else self._replaced(row)
            self._set("marks", (row["frame"], number), judged)
            self._changed.frames.add(row["frame"])
        return len(rows)

    def masks_of(self, number: int) -> dict[int, tuple[str, str]]:
        """Kind and run lengths of an object's masks by frame; empty if not visible."""
        sql = "SELECT frame, kind, mask FROM marks WHERE object=?"
        return {row["frame"]: (row["kind"], row["mask"]) for row in self._db.execute(sql, (number,))}

    def _checked(self, masks: dict[int, str], frame: int) -> dict[int, str]:
        """Check run lengths, since projects may come from elsewhere."""
        height, width = self.size
        try:
            check_runs([counts.encode() for counts in masks.values()], height * width)
        except DatasetError as error:
            where = f"project.db: frame {frame}"
            raise SourceError(f"{where}: a mask is damaged ({error})") from None
        return masks

    def _check_unsure(self, row: Row | Any) -> None:
        """Check a row's unsure pixels against the frame size."""
        try:
            check_unsure([row["unsure"]] if row["unsure"] else [], self.size)
        except DatasetError as error:
            raise SourceError(f"project.db: frame {row['frame']}: a mask is damaged ({error})") from None

    def decode_mask(self, frame: int, counts: str) -> BoolArray:
        """Decode stored run lengths to a mask, (H, W), bool."""
        masks = self._checked({1: counts} if counts else {}, frame)
        return np.asarray(composed(masks, self.size) > 0)

    def plane(self, frame: int, number: int) -> BoolArray:
        """Mask of one object on a frame, (H, W), bool."""
        return np.asarray(self.mask(frame, [number]) > 0)

    def mask(self, frame: int, objects: Iterable[int] | None = None) -> IndexMask:
        """Index mask of a frame, (H, W), uint8 or uint16; higher layers are on top."""
        requested = None if objects is None else set(objects)
        masks = {i: counts for i, counts in self.masks(frame).items() if requested is None or i in requested}
        return composed(masks, self.size)

    def frames_of(self, objects: Iterable[int], kind: Kind = "given") -> list[int]:
        """Frames on which an object has a mask of a kind, ascending."""
        requested = set(objects)
        rows = self._db.execute("SELECT frame, object FROM marks WHERE kind=?", (kind,))
        return sorted({row["frame"] for row in rows if row["object"] in requested})

    def reviewed_frames(self, objects: Iterable[int]) -> list[int]:
        """Frames on which an object's mask is reviewed, ascending."""
        requested = set(objects)
        rows = self._db.execute("SELECT frame, object FROM marks WHERE reviewed")
        return sorted({row["frame"] for row in rows if row["object"] in requested})

    def uncorrected_masks(self, number: int) -> dict[int, StoredMask]:
        """Tracked and imported masks of an object by frame; imported ones have score 0.

        Those that were made from a correction that is withdrawn are left out.
        """
        sql = (
            "SELECT frame, kind, score, mask, unsure, made_from FROM marks "
            "WHERE object=? AND kind IN ('tracked', 'imported')"
        )
        empty = encode_rle(np.zeros(self.size, np.bool_))["counts"]
        masks: dict[int, StoredMask] = {}
        corrections = self._corrections_of(number)
        for row in self._db.execute(sql, (number,)):
            made_from = made_from_of(row, corrections)
            if made_from is None:
                continue
            counts = row["mask"] or empty
            self._checked({number: counts}, row["frame"])
            self._check_unsure(row)
            info = ObjectInfo(number, score=row["score"] if row["kind"] == "tracked" else 0.0)
            masks[row["frame"]] = StoredMask((info, counts, None, row["unsure"] or None), made_from)
        return masks

    def set_reviewed(self, number: int, frames: Iterable[int], reviewed: bool) -> int:
        """Set the review state of an object's masks, inside :meth:`change`; returns their number."""
        annotations = self.marks_of(number)
        changed = [
            frame for frame in frames if frame in annotations and annotations[frame].reviewed != reviewed
        ]
        for frame in changed:
            row = self._one("SELECT * FROM marks WHERE frame=? AND object=?", frame, number)
            assert row is not None
            review = {"reviewed": int(reviewed), "reviewer": actor() if reviewed else ""}
            review |= {"previous": "", "agreement": None} if reviewed else {}
            self._set("marks", (frame, number), dict(row) | review)
            self._changed.frames.add(frame)
        return len(changed)

    def remove_object(self, number: int) -> None:
        """Remove an object with all masks, inside :meth:`change`."""
        self._object(number)
        for (frame,) in self._db.execute("SELECT frame FROM prompts WHERE object=?", (number,)).fetchall():
            self.give_back(frame, number)
        for (frame,) in self._db.execute("SELECT frame FROM marks WHERE object=?", (number,)).fetchall():
            self.clear(frame, number)
        for comment in self.comments():
            if comment["object"] == number:
                self._set("comments", (comment["id"],), None)
        self.drop_shapes(number)
        self._set("objects", (number,), None)

    def merge_object(self, number: int, into: int) -> None:
        """Merge an object into another one on all frames, inside :meth:`change`."""
        target_annotations = self.marks_of(into)
        for frame, mark in self.marks_of(number).items():
            if frame not in target_annotations:
                self._move(frame, number, into)
                continue
            self._rename_taker(frame, number, into)
            plane = self.plane(frame, number) | self.plane(frame, into)
            is_manual = "given" in (mark.kind, target_annotations[frame].kind)
            kind = "given" if is_manual else target_annotations[frame].kind
            score, area = min(mark.score, target_annotations[frame].score), int(np.count_nonzero(plane))
            counts = encode_rle(plane)["counts"] if area else ""
            self._store_mask(frame, into, counts, FrameAnnotation(kind, score, area))
            # Clicks of two objects mean nothing to the prompter as those of one.
            self.correct(frame, into, Correction(on=counts, mends=True) if is_manual else None)
        self._merge_frame_attributes(number, into)
        self._move_comments(number, into)
        self.remove_object(number)

    def split_object(self, number: int, frame: int) -> int:
        """Move an object's masks from a frame on to a new object, inside :meth:`change`."""
        row = self._object(number)
        frames = [index for index in self.marks_of(number) if index >= frame]
        if not frames or len(frames) == len(self.marks_of(number)):
            raise PromptError(f"{row['name']} has masks only on one side of frame {frame}")
        new = self.add_object()
        self._set("objects", (new,), {**self._object(new), **{key: row[key] for key in _OF_BOTH_PARTS}})
        self.move_object(new, number)  # both lie between the same others
        for index in frames:
            self._move(index, number, new)
        self._move_comments(number, new, frame)
        return new

    def _move(self, frame: int, number: int, to: int) -> None:
        """Move an object's mask and prompts on a frame to another object."""
        for table, changes in (("marks", {"agreement": None, "previous": ""}), ("prompts", {})):
            row = self._one(f"SELECT * FROM {table} WHERE frame=? AND object=?", frame, number)
            self._set(table, (frame, number), None)
            self._set(table, (frame, to), None if row is None else {**dict(row), **changes, "object": to})
        self._rename_taker(frame, number, to)
        self._changed.frames.add(frame)

    def _rename_taker(self, frame: int, number: int, to: int) -> None:
        """Let pixels that clicks on an object took on a frame be taken by another one."""
        for other, correction, taken in self._corrections_without_pixels(frame, number):
            regions = tuple((to if by == number else by, counts) for by, counts in taken.regions)
            self._note_correction(frame, other, replace(correction, taken=replace(taken, regions=regions)))

    def _corrections_without_pixels(
        self, frame: int, number: int
    ) -> list[tuple[int, Correction, TakenPixels]]:
        """Other objects whose masks on a frame have lost pixels to clicks on an object."""
        rows = self._db.execute("SELECT object, data FROM prompts WHERE frame=?", (frame,)).fetchall()
        corrections = [(row["object"], correction_of(row)) for row in rows]
        return [
            (other, each, each.taken)
            for other, each in corrections
            if each.taken is not None and any(by == number for by, _ in each.taken.regions)
        ]

    def earlier_owners(self, frame: int, number: int, region: BoolArray) -> list[tuple[int, BoolArray]]:
        """Objects from which clicks on an object took parts of a region, (H, W), of a frame, and these."""
        parts = [
            (owner, region & self.decode_mask(frame, counts))
            for owner, _, taken in self._corrections_without_pixels(frame, number)
            for by, counts in taken.regions
            if by == number
        ]
        return [(owner, part) for owner, part in parts if part.any()]

    def take_later(self, frame: int, number: int, by: int, region: BoolArray) -> None:
        """Note that an object does not get a region back that clicks on ``by`` took from its new owner."""
        correction = self.correction(frame, number)
        assert correction is not None
        taken = self.taken_pixels(frame, number, by, region)
        self._note_correction(frame, number, replace(correction, taken=taken))

    def taken_pixels(self, frame: int, number: int, by: int, region: BoolArray) -> TakenPixels:
        """Note that clicks on object ``by`` take a region, (H, W), of another one on a frame."""
        correction = self.correction(frame, number)
        regions = ((by, runs_of(region)),)
        if correction is not None and correction.taken is not None:
            return replace(correction.taken, regions=(*correction.taken.regions, *regions))
        mark = self._one("SELECT * FROM marks WHERE frame=? AND object=?", frame, number)
        prompts = self._one("SELECT data FROM prompts WHERE frame=? AND object=?", frame, number)
        assert mark is not None
        return TakenPixels(dict(mark), None if prompts is None else json.loads(prompts["data"]), regions)

    def give_back(self, frame: int, by: int) -> list[int]:
        """Restore the pixels of a frame that clicks on an object took, inside :meth:`change`.

        Returns the objects that they belong to. Objects that a person locked or reviewed since stay as they
        are.
        """
        given_back = []
        for number, correction, taken in self._corrections_without_pixels(frame, by):
            if not self.unlocked([number]) or self.marks(frame)[number].reviewed:
                continue
            given_back.append(number)
            self._changed.replaced[frame, number] = self._counts(frame, number)
            others = tuple(each for each in taken.regions if each[0] != by)
            if others:
                self._leave_taken(frame, number, correction, replace(taken, regions=others))
            else:
                self._set("marks", (frame, number), {**taken.mark, "object": number})
                before = None if taken.prompts is None else correction_from(taken.prompts)
                self.correct(frame, number, before)
            del self._changed.replaced[frame, number]  # a click may take pixels again in the same step
        return given_back

    def _leave_taken(self, frame: int, number: int, correction: Correction, taken: TakenPixels) -> None:
        """Restore a mask and its paint without the regions that are still taken."""
        before = Correction() if taken.prompts is None else correction_from(taken.prompts)
        lost = np.logical_or.reduce([self.decode_mask(frame, counts) for _, counts in taken.regions])
        plane, on, off = (
            self.decode_mask(frame, counts) for counts in (taken.mark["mask"], before.on, before.off)
        )
        row = self._one("SELECT * FROM marks WHERE frame=? AND object=?", frame, number)
        assert row is not None
        left = plane & ~lost
        mask = {"mask": runs_of(left), "area": int(np.count_nonzero(left))}
        self._set("marks", (frame, number), dict(row) | mask)
        lost |= self.decode_mask(frame, before.lost)  # which is erased before
        painted, erased = runs_of(on & ~lost), runs_of(off | lost)
        self.correct(
            frame, number, replace(correction, on=painted, off=erased, taken=taken, lost=runs_of(lost))
        )

    def marks_of(self, number: int) -> dict[int, FrameAnnotation]:
        """Annotations of an object by frame, ascending."""
        rows = self._db.execute(f"SELECT {_TIMELINE} FROM marks WHERE object=? ORDER BY frame", (number,))
        return {row["frame"]: annotation_of(row) for row in rows}

    def untracked(self, number: int) -> dict[int, tuple[Side, ...]]:
        """Untracked sides of an object's corrections, by frame."""
        rows = self._db.execute("SELECT frame, data FROM prompts WHERE object=?", (number,))
        return {row["frame"]: correction_of(row).untracked for row in rows}

    def note_tracked(
        self,
        frame: int,
        tracked: Mapping[int, MarkedMask],
        sources: Mapping[int, Sequence[Source]],
        begin: int,
        way: Side,
    ) -> None:
        """Record the corrections from which objects were tracked on a frame, inside :meth:`change`.

        A correction ahead counts as tracked only if the tracking began at a corrected frame. Otherwise frames
        before ``begin`` may still disagree with it.

        Args:
            frame: index of the frame.
            tracked: masks of the tracking, including unsaved ones.
            sources: corrected frames in its memory, with revisions, by object.
            begin: first frame of the tracking.
            way: direction of the tracking.
        """
        behind: Side = "back" if way == "forward" else "forward"
        for number, (plane, _) in tracked.items():
            revisions = dict(sources.get(number, ()))
            correction = self.correction(frame, number)
            if correction is not None and frame not in revisions:  # a person corrected it meanwhile
                revision = self.revision + 1
                versions = {**correction.versions, revision: runs_of(plane)}
                noted = {**correction.tracked, behind: revision}
                self._note_correction(frame, number, replace(correction, tracked=noted, versions=versions))
            for neighbour, side in ((frame - 1, SIDES[0]), (frame + 1, SIDES[1])):
                correction = self.correction(neighbour, number)
                if correction is None or (side != way and begin not in revisions):
                    continue
                agrees_with = revisions.get(
                    neighbour, correction.tracked.get(behind) if side == way else None
                )
                if agrees_with is not None:
                    noted = {**correction.tracked, side: agrees_with}
                    self._note_correction(neighbour, number, replace(correction, tracked=noted))

    def _note_correction(self, frame: int, number: int, correction: Correction) -> None:
        """Save a correction without notifying pages."""
        if not correction.untracked:
            correction = replace(correction, versions={})
        row = {"frame": frame, "object": number, "data": json.dumps(asdict(correction))}
        self._set("prompts", (frame, number), row)

    def correct(self, frame: int, number: int, correction: Correction | None) -> None:
        """Save a person's prompts for an object on a frame, inside :meth:`change`; None removes them."""
        if correction is None:
            self._set("prompts", (frame, number), None)
        else:
            self._note_correction(frame, number, self._with_revision(frame, number, correction))
        self._changed.frames.add(frame)

    def _with_revision(self, frame: int, number: int, correction: Correction) -> Correction:
        """Add the revision of the mask, and those known to neighbours, to a correction."""
        previous = self.correction(frame, number)
        replaced = self._changed.replaced.get((frame, number))
        revision = self.revision + 1
        if previous is None:
            tracked: Mapping[Side, Revision] = {} if replaced is None else dict.fromkeys(SIDES, 0)
            versions = {} if replaced is None else {0: replaced}
            return replace(correction, revision=revision, first=revision, tracked=tracked, versions=versions)
        versions = {**previous.versions}
        if replaced is None or replaced == self._counts(frame, number):
            revision = previous.revision
        else:
            versions[previous.revision] = replaced
        return replace(
            correction,
            revision=revision,
            first=previous.first,
            tracked=previous.tracked,
            versions=versions,
        )

    def _counts(self, frame: int, number: int) -> str:
        """Run lengths of an object's mask on a frame; empty without one."""
        row = self._one("SELECT mask FROM marks WHERE frame=? AND object=?", frame, number)
        return "" if row is None else str(row["mask"])

    def put(self, frame: int, objects: Mapping[int, MarkedMask]) -> None:
        """Put masks (H, W), bool, into a frame, inside :meth:`change`.

        Tracked masks replace none that a person gave or reviewed, and where they are as before, what is known
        of them stays. What they replace is kept until a person judges the change.
        """
        annotations, masks = self.marks(frame), self.masks(frame)
        for number, (plane, mark) in objects.items():
            previous = annotations.get(number)
            if previous is not None and mark.kind != "given" and previous.kind == "given":
                continue
            area, counts = int(np.count_nonzero(plane)), runs_of(plane)
            if previous is not None and mark.kind == "tracked":
                is_same = previous.kind in ("tracked", "imported") and counts == masks.get(number, "")
                if is_same and previous.kind == "tracked" and not previous.reviewed:
                    self._set_made_from(frame, number, mark.made_from)
                if previous.reviewed or is_same:
                    continue
                replaced = self.decode_mask(frame, masks.get(number, ""))
                agreement = iou(plane, replaced) if plane.any() or replaced.any() else 1.0
                self._store_mask(frame, number, counts, replace(mark, area=area, agreement=agreement))
            else:
                self._store_mask(frame, number, counts, replace(mark, area=area))

    def _set_made_from(self, frame: int, number: int, made_from: str) -> None:
        """Update the sources of an unchanged mask, inside :meth:`change`."""
        row = self._one("SELECT * FROM marks WHERE frame=? AND object=?", frame, number)
        if row is not None and row["made_from"] != made_from:
            self._set("marks", (frame, number), {**dict(row), "made_from": made_from})

    def sources(self, number: int) -> list[Source]:
        """Prompted frames of an object with revisions, ascending."""
        return [(frame, correction.revision) for frame, correction in self._corrections_of(number).items()]

    def _corrections_of(self, number: int) -> dict[int, Correction]:
        """Corrections of an object's prompted frames, ascending."""
        sql = """SELECT marks.frame, data FROM marks LEFT JOIN prompts
            ON prompts.frame=marks.frame AND prompts.object=marks.object
            WHERE marks.object=? AND kind='given' ORDER BY marks.frame"""
        rows = self._db.execute(sql, (number,))
        return {row["frame"]: correction_of(row) if row["data"] else Correction() for row in rows}

    def made_from(self, frame: int, number: int) -> MadeFrom | None:
        """Sources of a tracked mask; None without one, or if a correction was withdrawn."""
        sql = "SELECT frame, kind, made_from FROM marks WHERE frame=? AND object=? AND kind!='given'"
        row = self._one(sql, frame, number)
        return None if row is None else made_from_of(row, self._corrections_of(number))

    def _store_mask(self, frame: int, number: int, counts: str, mark: FrameAnnotation) -> None:
        if mark.kind == "given":
            previous = self._one("SELECT mask FROM marks WHERE frame=? AND object=?", frame, number)
            if previous is not None:
                self._changed.replaced.setdefault((frame, number), previous["mask"])
        row = {"frame": frame, "object": number, "mask": counts, **asdict(mark)}
        row |= {"reviewed": int(mark.reviewed), "user": mark.user or actor()}
        row["previous"] = "" if mark.agreement is None else self._replaced_values(frame, number)
        self._set("marks", (frame, number), row)
        self._changed.frames.add(frame)

    def _replaced_values(self, frame: int, number: int) -> str:
        """Mask about to be replaced by a tracking, as JSON."""
        previous = self._one("SELECT * FROM marks WHERE frame=? AND object=?", frame, number)
        assert previous is not None
        return json.dumps({name: previous[name] for name in (*_REPLACED, *_REPLACED_OPTIONAL)})

    def replace_mask(self, frame: int, number: int, counts: str, mark: FrameAnnotation) -> None:
        """Replace any mask and remove its clicks, inside :meth:`change`."""
        self._store_mask(frame, number, counts, mark)
        self.correct(frame, number, None)

    def clear(self, frame: int, number: int) -> None:
        """Remove an object's mask and prompts on a frame, inside :meth:`change`."""
        self._set("marks", (frame, number), None)
        self.correct(frame, number, None)

    def check_edit(self, frame: int, revision: int, number: int | None) -> None:
        """Raise an error unless an edit fits the current frame and the object is unlocked."""
        self.last_change("frame", frame).check(revision, f"frame {frame} was changed")
        if number is not None and (row := self._object(number))["locked"]:
            raise PromptError(f"{row['name']} is locked; unlock it first")

    def check_objects(self, numbers: Iterable[int], revision: int, frames: range | None = None) -> None:
        """Raise ConflictError unless objects and their masks are as at a revision.

        With frames their properties do not count.
        """
        for number in numbers:
            name = self._object(number)["name"]
            self.opened.check(revision, f"{name} was changed")
            if frames is None:
                self.last_change("object", number).check(revision, f"{name} was changed")
            for frame, last in self.mask_changes(number).items():
                if frames is None or frame in frames:
                    last.check(revision, f"{name} was changed on frame {frame}")
