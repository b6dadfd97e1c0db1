"""Objects of a project: properties, layers, attributes, the label schema, and comments."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any

from pydantic import TypeAdapter, ValidationError

from segue.errors import SegueError, SourceError
from segue.formats.labels import held_at
from segue.formats.schema import MAX_ATTRIBUTES, LabelSchema, schema_of
from segue.masks import Edge
from segue.masks.values import MAX_ID
from segue.types import Point
from segue_web.colours import colour_of
from segue_web.project.store import Row, Store, actor
from segue_web.server.conflicts import ConflictError

_EDGE = TypeAdapter(Edge)

MAX_COMMENTS = 10_000

MAX_POINTS = 10_000
"""Frames on which an attribute of an object may change."""

FrameAttributes = dict[str, dict[int, str]]
"""Frame attributes of an object: by name, the first frame of each value."""


class ObjectStore(Store):
    """Objects, label schema and comments of a project; :class:`.project.Project` adds masks."""

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

    def unlocked(self, requested: Iterable[int] | None = None) -> list[int]:
        """Requested objects that exist and are unlocked; None means all."""
        unlocked = [row["id"] for row in self.objects() if not row["locked"]]
        return unlocked if requested is None else [i for i in requested if i in unlocked]

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
        ids = [each["id"] for each in self.objects()]
        other_ids = [each for each in ids if each != number]
        place = len(other_ids) if below is None else other_ids.index(self._object(below)["id"])
        if ids.index(number) == place:
            return
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

    def _merge_frame_attributes(self, number: int, into: int) -> None:
        """Add frame attributes of an object to another one, which keeps its own, inside :meth:`change`."""
        row = self._object(into)
        self._set_points(row, _points_of(self._object(number)) | _points_of(row))

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

    def _move_comments(self, number: int, to: int, first: int = 0) -> None:
        """Move comments of an object from frame ``first`` on to another one."""
        for row in self.comments():
            if row["object"] == number and (not first or (row["frame"] or 0) >= first):
                self._set("comments", (row["id"],), row | {"object": to})

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

    def _check_room(self, table: str, limit: int) -> None:
        row = self._one(f"SELECT count(*) FROM {table}")
        assert row is not None
        if row[0] >= limit:
            raise SegueError(f"a project can have at most {limit} {table}")

    def _object(self, number: int) -> Row:
        row = self._one("SELECT * FROM objects WHERE id=?", number)
        if row is None:
            raise ConflictError(f"there is no object {number}; it may have been removed in another window")
        return dict(row)


def _points_of(row: Row | Any) -> FrameAttributes:
    stored = json.loads(row["frame_attributes"] or "{}")
    return {name: {int(frame): value for frame, value in values.items()} for name, values in stored.items()}


def with_values(points: Mapping[int, str], values: Mapping[int, str]) -> dict[int, str]:
    """Set new values on some frames; returns the first frame of each value.

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
