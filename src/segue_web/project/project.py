"""A project of the page, in one folder that survives any kill; objects may overlap, the last is on top."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, astuple, dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import TypeAdapter, ValidationError

from segue.errors import DatasetError, PromptError, SegueError, SourceError
from segue.formats.labels import composed, held_at
from segue.formats.schema import MAX_ATTRIBUTES, LabelSchema, schema_of
from segue.masks import Edge, encode_rle
from segue.masks.measure import iou
from segue.masks.rle import check_runs
from segue.masks.splines import KeyedShape, shape_runs
from segue.masks.unsure import check_unsure
from segue.masks.values import MAX_ID
from segue.sessions.videos.provenance import MadeFrom, Revision, Source, Sources, StoredMask, present
from segue.types import IndexMask, ObjectInfo, Point
from segue.utils.arrays import BoolArray
from segue_web.project.colours import colour_of
from segue_web.project.store import Changed, Row, Store, actor
from segue_web.server.conflicts import ConflictError

Send = Callable[[dict[str, Any]], None]
"""Sends an event to all pages."""

Kind = Literal["given", "tracked", "imported", "interpolated"]
"""Origin of the mask of an object on a frame; ``given`` masks are a person's and are kept.

Between the keys of shapes masks are ``interpolated``."""


@dataclass(frozen=True, slots=True)
class FrameAnnotation:
    """Origin and confidence of an object's mask on a frame."""

    kind: Kind
    score: float = 1.0  # the IoU to be expected; 1 of what a person drew
    area: int = 0  # pixels
    reviewed: bool = False  # whether a person has looked at it since it changed
    user: str = ""  # who made it, if that is known
    reviewer: str = ""
    agreement: float | None = None  # IoU with the mask that a tracking replaced and nobody has judged
    unsure: str = ""  # run lengths of where the tracker was not sure; empty where that is not known
    made_from: str = ""  # JSON of MadeFrom for a tracked mask; empty where that is not known

    def as_json(self) -> list[Any]:
        """Values for pages: without unsure pixels and sources."""
        return [*astuple(self)[:-2]]


Side = Literal["forward", "back"]
"""Where a tracking goes from a frame."""

SIDES: tuple[Side, Side] = ("forward", "back")


@dataclass(frozen=True, slots=True)
class Correction:
    """A person's prompts for an object on a frame; empty run lengths have no pixels."""

    points: tuple[tuple[float, float, bool], ...] = ()  # for the prompter, as is the box
    box: tuple[float, float, float, float] | None = None
    on: str = ""  # pixels that were painted
    off: str = ""  # pixels that were erased
    mends: bool = False  # the points correct a mask that they have not made
    shaped: bool = False  # the keys of shapes made the mask, and nothing has changed it since
    revision: Revision = 0  # of the mask: each change gives a new one; 0 of earlier versions
    first: Revision = 0  # the revision with which the frame was corrected first
    tracked: Mapping[Side, Revision] = field(default_factory=dict)  # that the neighbours were tracked from
    versions: Mapping[Revision, str] = field(default_factory=dict)  # other masks that they may agree with

    @property
    def untracked(self) -> tuple[Side, ...]:
        """Sides on which the correction was not tracked yet."""
        return tuple(side for side in SIDES if self.tracked.get(side) != self.revision)

    @property
    def earlier(self) -> dict[Side, str]:
        """Earlier masks that neighbours on untracked sides agree with."""
        revisions = {side: self.tracked[side] for side in self.untracked if side in self.tracked}
        return {side: self.versions[number] for side, number in revisions.items() if number in self.versions}


MarkedMask = tuple[BoolArray, FrameAnnotation]
"""The mask of one object on one frame, (H, W), and what is known of it."""

_OF_BOTH_PARTS = ("category", "team", "attributes", "frame_attributes", "edge")
"""Fields of an object that the parts have into which it is split."""

_REPLACED = {"kind": str, "score": float, "area": int, "mask": str, "user": str}
"""What is kept of a mask that a tracking replaced; earlier versions kept no more."""

_REPLACED_OPTIONAL = ("unsure", "made_from")
"""What is kept as well."""

_EDGE = TypeAdapter(Edge)
_SHAPE = TypeAdapter(KeyedShape)

MAX_SHAPES = 10_000

_read_shape = lru_cache(MAX_SHAPES)(_SHAPE.validate_json)
"""Reads a shape from its JSON; each frame that a page looks at asks for all of them."""

_TIMELINE = "frame, object, kind, score, area, reviewed, user, reviewer, agreement"

MAX_COMMENTS = 10_000

MAX_POINTS = 10_000
"""Frames on which an attribute of an object may change."""

FrameAttributes = dict[str, dict[int, str]]
"""Attributes of frames of an object: by name the frames from which on a value holds."""


class Project(Store):
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

    def objects(self) -> list[Row]:
        """Objects, top layer last: id, name, colour, category, group, attributes, visible ...

        Empty means none. ``edge`` has the fields of :class:`segue.masks.Edge`.

        ``frame_attributes`` are by name the frames from which on a value holds.
        """
        return [
            {
                **{name: row[name] for name in ("id", "name", "colour", "category")},
                **{name: bool(row[name]) for name in ("visible", "locked")},
                "group": row["team"],
                "attributes": json.loads(row["attributes"] or "{}"),
                "frame_attributes": _points_of(row),
                "edge": json.loads(row["edge"] or "{}"),
            }
            for row in self._db.execute("SELECT * FROM objects ORDER BY layer, id")
        ]

    def edges(self) -> dict[int, Edge]:
        """Soft edges of objects."""
        rows = self._db.execute("SELECT id, edge FROM objects WHERE edge!=''").fetchall()
        try:
            return {row["id"]: _EDGE.validate_json(row["edge"]) for row in rows}
        except (ValidationError, SegueError) as error:
            raise SourceError(f"{self.folder / 'project.db'}: the edge of an object is damaged") from error

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
        """Save a shape of an object, None a new one, or remove it, inside :meth:`change`; returns its id."""
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

    def unlocked(self, requested: Iterable[int] | None = None) -> list[int]:
        """Requested objects that exist and are unlocked; None means all."""
        unlocked = [row["id"] for row in self.objects() if not row["locked"]]
        return unlocked if requested is None else [i for i in requested if i in unlocked]

    def timeline(self) -> list[list[Any]]:
        """All annotations: frame, object, kind, score, area, reviewed, user, reviewer, agreement."""
        return [
            list(row) for row in self._db.execute(f"SELECT {_TIMELINE} FROM marks ORDER BY frame, object")
        ]

    def marks(self, frame: int) -> dict[int, FrameAnnotation]:
        """Annotations of a frame by object."""
        rows = self._db.execute(f"SELECT {_TIMELINE} FROM marks WHERE frame=?", (frame,))
        return {row["object"]: _annotation(row) for row in rows}

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
        return _correction(row)

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
        except (ValueError, KeyError, TypeError):
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
        given = self._given(number)
        for row in self._db.execute(sql, (number,)):
            made_from = _made_from(row, given)
            if made_from is None:
                continue
            counts = row["mask"] or empty
            self._checked({number: counts}, row["frame"])
            self._check_unsure(row)
            info = ObjectInfo(number, score=row["score"] if row["kind"] == "tracked" else 0.0)
            masks[row["frame"]] = StoredMask((info, counts, None, row["unsure"] or None), made_from)
        return masks

    def add_object(self, name: str | None = None) -> int:
        """Add an object, inside :meth:`change`; its id is 1 more than the largest ever used."""
        number = self._new_id("last")
        if number > MAX_ID:
            raise SegueError(f"a project can have ids up to {MAX_ID}; start another with --project")
        row = {"id": number, "name": name or f"Object {number}", "colour": colour_of(number)}
        row |= {"visible": 1, "locked": 0, "layer": self._top_layer() + 1}
        empty = dict.fromkeys(("category", "team", "attributes", "frame_attributes", "edge"), "")
        self._set("objects", (number,), row | empty)
        return number

    def _top_layer(self) -> float:
        row = self._one("SELECT coalesce(max(layer), 0) FROM objects")
        assert row is not None
        return float(row[0])

    def move_object(self, number: int, below: int | None) -> None:
        """Move an object below another one, or to the top, inside :meth:`change`."""
        row = self._object(number)
        if below == number:  # it stays where it is
            return
        other_ids = [each["id"] for each in self.objects() if each["id"] != number]
        place = len(other_ids) if below is None else other_ids.index(self._object(below)["id"])
        layers = [self._object(other)["layer"] for other in other_ids]
        low = layers[place - 1] if place else min(layers, default=0.0) - 2
        high = layers[place] if place < len(other_ids) else max(layers, default=0.0) + 2
        layer = (low + high) / 2
        if not low < layer < high:  # they lie as close as numbers do
            for place_of_other, other in enumerate(other_ids):
                self._set("objects", (other,), self._object(other) | {"layer": 2 * place_of_other})
            layer = 2 * place - 1
        self._set("objects", (number,), {**row, "layer": layer})

    @property
    def has_had_objects(self) -> bool:
        """Whether the project ever had objects, including removed ones."""
        return int(self._meta("last")) > 0

    @property
    def schema(self) -> LabelSchema:
        """Label schema: classes and attributes."""
        row = self._one("SELECT data FROM label_schema WHERE id=1")
        return LabelSchema() if row is None else schema_of(json.loads(row["data"]), str(self.folder))

    def set_schema(self, schema: LabelSchema) -> None:
        """Replace the label schema, inside :meth:`change`; objects stay as they are."""
        row = {"id": 1, "data": json.dumps(schema.as_json())} if schema else None
        self._set("label_schema", (1,), row)

    def set_frame_attributes(self, number: int, frame: int, values: Mapping[str, str | None]) -> None:
        """Set attributes of an object from a frame on, inside :meth:`change`.

        None takes back what was said on that frame; empty means none from there on.
        """
        row = self._object(number)
        points = _points_of(row)
        for name, value in values.items():
            changes = points.setdefault(name, {})
            changes.pop(frame, None)
            if value is not None and value != (held_at(changes, frame) or ""):
                changes[frame] = value
            # A later point that says the same changes nothing.
            following = min((index for index in changes if index > frame), default=None)
            if following is not None and value is not None and changes[following] == value:
                del changes[following]
        self._set_points(row, points)

    def import_frame_attributes(self, number: int, imported: Mapping[str, Mapping[int, str]]) -> None:
        """Set attributes on some frames, inside :meth:`change`; later frames keep theirs."""
        row = self._object(number)
        points = _points_of(row)
        for name, values in imported.items():
            points[name] = with_values(points.get(name, {}), values)
        self._set_points(row, points)

    def _set_points(self, row: Row, points: FrameAttributes) -> None:
        nonempty = {name: dict(sorted(values.items())) for name, values in points.items() if values}
        if len(nonempty) > MAX_ATTRIBUTES or any(len(values) > MAX_POINTS for values in nonempty.values()):
            raise SegueError(
                f"an object can have at most {MAX_ATTRIBUTES} frame attributes, each with "
                f"{MAX_POINTS} changes"
            )
        self._set(
            "objects", (row["id"],), {**row, "frame_attributes": json.dumps(nonempty) if nonempty else ""}
        )

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

    def set_object(self, number: int, **values: Any) -> None:
        """Change properties of an object, inside :meth:`change`; None removes an attribute."""
        row = self._object(number)
        if "attributes" in values:
            changed = json.loads(row["attributes"] or "{}") | values.pop("attributes")
            attributes = {name: text for name, text in changed.items() if text is not None}
            if len(attributes) > MAX_ATTRIBUTES:
                raise SegueError(f"an object can have at most {MAX_ATTRIBUTES} attributes; remove one first")
            values["attributes"] = json.dumps(attributes) if attributes else ""
        if "edge" in values:
            edge: Edge = values["edge"]
            values["edge"] = "" if edge.is_hard else json.dumps(asdict(edge))
        if "group" in values:
            values["team"] = values.pop("group")
        values = {key: int(value) if isinstance(value, bool) else value for key, value in values.items()}
        self._set("objects", (number,), {**row, **values})

    def remove_object(self, number: int) -> None:
        """Remove an object with all masks, inside :meth:`change`."""
        self._object(number)
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
            plane = self.plane(frame, number) | self.plane(frame, into)
            is_manual = "given" in (mark.kind, target_annotations[frame].kind)
            kind = "given" if is_manual else target_annotations[frame].kind
            score, area = min(mark.score, target_annotations[frame].score), int(np.count_nonzero(plane))
            counts = encode_rle(plane)["counts"] if area else ""
            self._store_mask(frame, into, counts, FrameAnnotation(kind, score, area))
            # Clicks of two objects mean nothing to the prompter as those of one.
            self.correct(frame, into, Correction(on=counts, mends=True) if is_manual else None)
        row = self._object(into)
        self._set_points(row, _points_of(self._object(number)) | _points_of(row))
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
        self._changed.frames.add(frame)

    def marks_of(self, number: int) -> dict[int, FrameAnnotation]:
        """Annotations of an object by frame, ascending."""
        rows = self._db.execute(f"SELECT {_TIMELINE} FROM marks WHERE object=? ORDER BY frame", (number,))
        return {row["frame"]: _annotation(row) for row in rows}

    def untracked(self, number: int) -> dict[int, tuple[Side, ...]]:
        """Untracked sides of an object's corrections, by frame."""
        rows = self._db.execute("SELECT frame, data FROM prompts WHERE object=?", (number,))
        return {row["frame"]: _correction(row).untracked for row in rows}

    def note_tracked(
        self,
        frame: int,
        tracked: Mapping[int, MarkedMask],
        sources: Mapping[int, Sequence[Source]],
        way: Side,
    ) -> None:
        """Record the corrections from which objects were tracked on a frame, inside :meth:`change`.

        Args:
            frame: index of the frame.
            tracked: the masks that a tracking gave there, also those that are not stored.
            sources: by object the corrected frames that it was shown, with their revisions.
            way: where it goes.
        """
        behind: Side = "back" if way == "forward" else "forward"
        for number, (plane, _) in tracked.items():
            shown = dict(sources.get(number, ()))
            correction = self.correction(frame, number)
            if correction is not None and frame not in shown:  # a person corrected it meanwhile
                revision = self.revision + 1
                versions = {**correction.versions, revision: runs_of(plane)}
                noted = {**correction.tracked, behind: revision}
                self._note_correction(frame, number, replace(correction, tracked=noted, versions=versions))
            for neighbour, side in ((frame - 1, SIDES[0]), (frame + 1, SIDES[1])):
                correction = self.correction(neighbour, number)
                if correction is None:
                    continue
                agrees_with = shown.get(neighbour, correction.tracked.get(behind) if side == way else None)
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
        return [(frame, correction.revision) for frame, correction in self._given(number).items()]

    def _given(self, number: int) -> dict[int, Correction]:
        """Corrections of an object's prompted frames, ascending."""
        sql = """SELECT marks.frame, data FROM marks LEFT JOIN prompts
            ON prompts.frame=marks.frame AND prompts.object=marks.object
            WHERE marks.object=? AND kind='given' ORDER BY marks.frame"""
        rows = self._db.execute(sql, (number,))
        return {row["frame"]: _correction(row) if row["data"] else Correction() for row in rows}

    def made_from(self, frame: int, number: int) -> MadeFrom | None:
        """Sources of a tracked mask; None without one, or if a correction was withdrawn."""
        sql = "SELECT frame, kind, made_from FROM marks WHERE frame=? AND object=? AND kind!='given'"
        row = self._one(sql, frame, number)
        return None if row is None else _made_from(row, self._given(number))

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

    def comments(self) -> list[Row]:
        """Comments: id, object and frame (None for all), text, user, x and y, resolver.

        ``resolved`` is empty while it is open, and ``?`` if nobody gave a name; x and y are a place of the
        frame, None without one.
        """
        return [dict(row) for row in self._db.execute("SELECT * FROM comments ORDER BY id")]

    def add_comment(
        self, text: str, number: int | None, frame: int | None, place: Point | None = None
    ) -> int:
        """Add a comment on an object, a frame, or a position, inside :meth:`change`; returns its id."""
        if number is not None:
            self._object(number)
        self._check_room("comments", MAX_COMMENTS)
        new = self._new_id("last_comment")
        row: Row = {"id": new, "object": number, "frame": frame, "text": text}
        row |= {"user": actor(), "resolved": ""}
        x, y = (None, None) if place is None else place
        row |= {"x": x, "y": y}
        self._set("comments", (new,), row)
        return new

    def resolve_comment(self, comment: int, resolved: bool) -> None:
        """Resolve or reopen a comment, inside :meth:`change`."""
        row = self._comment(comment)
        if bool(row["resolved"]) == resolved:  # somebody else was first, whose name stays
            return
        self._set("comments", (comment,), dict(row) | {"resolved": (actor() or "?") if resolved else ""})

    def _comment(self, comment: int) -> sqlite3.Row:
        row = self._one("SELECT * FROM comments WHERE id=?", comment)
        if row is None:
            raise ConflictError("this comment no longer exists; another window may have undone it")
        return row

    def check_comment(self, comment: int, revision: int, resolved: bool) -> None:
        """Raise ConflictError unless a comment is as at a revision, or already as requested."""
        if bool(self._comment(comment)["resolved"]) != resolved:
            self.last_change("comment", comment).check(revision, "the comment was changed")

    def _check_room(self, table: str, most: int) -> None:
        row = self._one(f"SELECT count(*) FROM {table}")
        assert row is not None
        if row[0] >= most:
            raise SegueError(f"a project can have at most {most} {table}")

    def _move_comments(self, number: int, to: int, first: int = 0) -> None:
        """Move comments of an object from frame ``first`` on to another one."""
        for row in self.comments():
            if row["object"] == number and (not first or (row["frame"] or 0) >= first):
                self._set("comments", (row["id"],), row | {"object": to})

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

    def check_properties(
        self, number: int, revision: int, names: Iterable[str], attributes: str = ""
    ) -> None:
        """Raise ConflictError unless an object's properties or attributes are as at a revision."""
        row = next((each for each in self.objects() if each["id"] == number), None)
        if row is None:
            self._object(number)
            return
        for name in names:
            target = (attributes, name) if attributes else ("team" if name == "group" else name,)
            value = row[attributes].get(name) if attributes else row[name]
            self.last_change("object", number, *target).check(
                revision, f"{name} of {row['name']} was changed", value
            )

    def check_layer(self, number: int, revision: int) -> None:
        """Raise ConflictError if an object was moved to another layer since a revision."""
        name = self._object(number)["name"]
        self.last_change("object", number, "layer").check(revision, f"the order of {name} was changed")

    def check_schema(self, revision: int) -> None:
        """Raise ConflictError unless the label schema is as at a revision."""
        self.last_change("schema").check(
            revision, "classes and attributes were changed", self.schema.as_json()
        )

    def _object(self, number: int) -> Row:
        row = self._one("SELECT * FROM objects WHERE id=?", number)
        if row is None:
            raise ConflictError(f"there is no object {number}; it may have been removed in another window")
        return dict(row)


def _correction(row: Any) -> Correction:
    """Correction of a database row."""
    data = json.loads(row["data"])
    return Correction(
        tuple((x, y, on) for x, y, on in data["points"]),
        data["box"] and tuple(data["box"]),
        data.get("on", ""),
        data.get("off", ""),
        bool(data.get("mends", False)),
        bool(data.get("shaped", False)),
        int(data["revision"]),
        int(data["first"]),
        {side: int(data["tracked"][side]) for side in SIDES if side in data["tracked"]},
        {int(revision): str(counts) for revision, counts in data["versions"].items()},
    )


def runs_of(plane: BoolArray) -> str:
    """Encode a mask as run lengths; empty without pixels."""
    return encode_rle(plane)["counts"] if plane.any() else ""


def _made_from(row: Any, given: Mapping[int, Correction]) -> MadeFrom | None:
    """Sources of a row's mask; None if a correction was withdrawn.

    Tracked masks of earlier versions, which do not say so, were made from the nearest corrections.
    """
    if not row["made_from"]:
        sources = [(frame, correction.revision) for frame, correction in given.items()]
        return present(Sources.of(sources if row["kind"] == "tracked" else (), row["frame"]))
    parts = json.loads(row["made_from"])
    carried, shielding = (tuple((int(frame), int(revision)) for frame, revision in part) for part in parts)
    # 0: of a mask that was given without a correction, which the first one corrects.
    are_valid = (
        frame in given and (not revision or revision >= given[frame].first)
        for frame, revision in (*carried, *shielding)
    )
    return MadeFrom(carried, shielding) if all(are_valid) else None


def _annotation(row: Any) -> FrameAnnotation:
    """Annotation of a row of ``_TIMELINE``."""
    values = row["kind"], row["score"], row["area"], bool(row["reviewed"])
    return FrameAnnotation(*values, row["user"], row["reviewer"], row["agreement"])


def _points_of(row: Row | Any) -> FrameAttributes:
    stored = json.loads(row["frame_attributes"] or "{}")
    return {name: {int(frame): value for frame, value in values.items()} for name, values in stored.items()}


def with_values(points: Mapping[int, str], values: Mapping[int, str]) -> dict[int, str]:
    """Frames from which on a value holds, where some frames take other values and the rest stay as they are.

    Frames before the first value of all, of which nothing was known, get none; those after new values of
    which nothing was known keep the last one.
    """
    frames = sorted({*points, *values, *(frame + 1 for frame in values)})
    changes: dict[int, str] = {}
    old: str | None = None
    current: str | None = None
    for frame in frames:
        old = points.get(frame, old)
        value = values.get(frame, old)
        if value is not None and value != (current or ""):
            changes[frame] = value
            current = value
    return changes
