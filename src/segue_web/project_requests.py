"""Requests that change a project at once: objects, review, comments, the label schema and undo."""

from __future__ import annotations

from typing import Any

from segue.errors import PromptError, SegueError
from segue.formats.schema import LabelSchema
from segue.masks import Edge
from segue.masks.edges import check_matting
from segue_web.project.annotations import Correction, FrameAnnotation
from segue_web.project.project import Project
from segue_web.project.shapes import ShapeEdits
from segue_web.server import messages
from segue_web.trackings import Trackings
from segue_web.video import Video

STEPS = {
    "category": "class",
    "visible": "visibility",
    "locked": "lock",
    "attributes": "attribute",
    "edge": "soft edge",
}
"""Names in the history for changes of an object's fields; other fields have their own names."""


class ProjectRequests:
    """Requests that need no network; each is one step of the history.

    Args:
        video: the video.
        project: its project.
        trackings: running and queued trackings, whose objects cannot be changed.
        shapes: shapes of the objects, for merging and splitting.
    """

    def __init__(self, video: Video, project: Project, trackings: Trackings, shapes: ShapeEdits) -> None:
        self._video, self._project = video, project
        self._trackings, self._shapes = trackings, shapes

    def change_object(
        self,
        object: messages.Number,
        also: messages.Numbers = (),
        name: messages.Name | None = None,
        category: messages.ShortText | None = None,
        group: messages.ShortText | None = None,
        attributes: messages.Attributes | None = None,
        colour: messages.Colour | None = None,
        visible: bool | None = None,
        locked: bool | None = None,
        edge: Edge | None = None,
        seen: messages.Revision | None = None,
    ) -> None:
        """Change an object and those in ``also``; empty removes a class or group, None an attribute.

        ``seen``: the revision whose properties a person has seen; None does not matter.
        """
        schema = self._project.schema
        schema.check_class(category or "")
        if attributes:
            schema.check(self._class_of(object) if category is None else category, attributes, "object")
        fields: dict[str, Any] = {
            "name": name,
            "category": category,
            "group": group,
            "attributes": attributes,
            "colour": colour,
            "visible": visible,
            "locked": locked,
            "edge": edge,
        }
        if edge is not None and edge.detail:
            check_matting()
        values = {field: value for field, value in fields.items() if value is not None}
        if seen is not None:
            changed = [field for field in values if field not in ("attributes", "visible", "locked")]
            for number in (object, *also):
                self._project.check_properties(number, seen, changed)
                self._project.check_properties(number, seen, attributes or (), "attributes")
        with self._project.change(", ".join(STEPS.get(field, field) for field in values)):
            for number in (object, *also):
                self._project.set_object(number, **values)

    def change_frame_attributes(
        self,
        object: messages.Number,
        frame: messages.Index,
        attributes: messages.Attributes,
        seen: messages.Revision | None = None,
    ) -> None:
        """Set attributes of an object from a frame on; None removes the value set there.

        ``seen``: as of :meth:`change_object`.
        """
        self._project.schema.check(self._class_of(object), attributes, "frame")
        if seen is not None:
            self._project.check_properties(object, seen, attributes, "frame_attributes")
        with self._project.change("frame attribute"):
            self._project.set_frame_attributes(object, frame, attributes)

    def change_schema(self, schema: LabelSchema, seen: messages.Revision) -> None:
        """Replace the label schema as it was at a revision; objects stay as they are."""
        self._project.check_schema(seen)
        with self._project.change("label schema"):
            self._project.set_schema(schema)

    def mark_reviewed(
        self,
        objects: messages.Numbers,
        first: messages.Index,
        last: messages.Index,
        seen: messages.Revision,
        reviewed: bool = True,
    ) -> dict[str, Any]:
        """Mark masks on some frames as reviewed, as they were at a revision."""
        frames = range(first, min(last, self._video.count - 1) + 1)
        self._project.check_objects(objects, seen, frames)
        with self._project.change("review" if reviewed else "removed review"):
            done = sum(self._project.set_reviewed(number, frames, reviewed) for number in objects)
        return {"masks": done}

    def judge(
        self,
        objects: messages.Numbers,
        first: messages.Index,
        last: messages.Index,
        seen: messages.Revision,
        accept: bool = True,
    ) -> dict[str, Any]:
        """Accept masks changed by trackings on some frames, or restore the earlier ones.

        They are judged as they were at a revision.
        """
        verb = "accept" if accept else "reject"
        self._trackings.refuse_tracked(f"{verb} changes of an object", *objects)
        frames = range(first, min(last, self._video.count - 1) + 1)
        self._project.check_objects(objects, seen, frames)
        if set(objects) - set(self._project.unlocked(objects)):
            raise PromptError(f"unlock the object first, then {verb} its changes")
        with self._project.change("accepted changes" if accept else "rejected changes"):
            done = sum(self._project.judge_replaced(number, frames, accept=accept) for number in objects)
            if not done:
                raise PromptError(f"its masks on frames {first} to {last} have no changes by tracking")
        return {"masks": done}

    def remove(self, object: messages.Number, seen: messages.Revision) -> None:
        """Remove an object from all frames, as it was at a revision."""
        self._trackings.refuse_tracked("remove an object", object)
        self._project.check_objects([object], seen)
        with self._project.change("removed object"):
            self._project.remove_object(object)

    def change_layer(
        self, object: messages.Number, seen: messages.Revision, below: messages.Number | None = None
    ) -> None:
        """Move an object below another one, or to the top, as it was at a revision."""
        self._project.check_layer(object, seen)
        with self._project.change("object order"):
            self._project.move_object(object, below)

    def merge(self, object: messages.Number, into: messages.Number, seen: messages.Revision) -> None:
        """Merge an object into another one on all frames, as both were at a revision."""
        self._trackings.refuse_tracked("merge an object", object, into)
        if {object, into} - set(self._project.unlocked((object, into))) or object == into:
            raise PromptError("select another unlocked object to merge with")
        self._project.check_objects((object, into), seen)
        with self._project.change("merge"):
            self._shapes.merge(object, into)

    def split(
        self, object: messages.Number, frame: messages.Index, seen: messages.Revision
    ) -> dict[str, Any]:
        """Split an object at a frame into two, as it was at a revision."""
        self._trackings.refuse_tracked("split an object", object)
        self._project.check_objects([object], seen)
        if not self._project.unlocked([object]):
            raise PromptError("unlock the object first")
        with self._project.change("split"):
            return {"object": self._shapes.split(object, frame)}

    def undo(self, redo: bool = False, entry: messages.Index | None = None) -> dict[str, Any]:
        """Undo or redo the next step, except steps of objects that are being tracked.

        ``entry``: number of the step that the person saw as the next one; None accepts any.
        """
        names = self._names()
        user = self._project.history()["users"]["redo" if redo else "undo"]
        done = self._project.undo(redo=redo, entry=entry)
        if done is None:
            exception = (
                " except changes to an object that is being tracked" if self._trackings.runner.job else ""
            )
            raise SegueError(f"there is nothing to {'redo' if redo else 'undo'}{exception}")
        label, changed = done
        names |= self._names()
        about = [names[number] for number in sorted(changed.numbers) if number in names]
        return {"label": label, "frames": sorted(changed.frames)[:2], "objects": about, "user": user}

    def comment(
        self,
        text: messages.CommentText,
        object: messages.Number | None = None,
        frame: messages.Index | None = None,
        place: messages.Place | None = None,
    ) -> dict[str, Any]:
        """Comment on an object, a frame, or a position."""
        if place is not None:
            if frame is None:
                raise PromptError("a place needs its frame")
            [(x, y, _)] = messages.clicks_within([(*place, True)], *self._video.size)
            place = x, y
        with self._project.change("comment"):
            return {"comment": self._project.add_comment(text, object, frame, place)}

    def resolve(self, comment: messages.Index, seen: messages.Revision, resolved: bool = True) -> None:
        """Resolve or reopen a comment."""
        self._project.check_comment(comment, seen, resolved)
        with self._project.change("resolved comment" if resolved else "reopened comment"):
            self._project.resolve_comment(comment, resolved)

    def people(self) -> dict[str, Any]:
        """Contributions of people, and the newest changes."""
        return {"people": self._project.people(), "changes": self._project.changes()}

    def adopt(self, frame: messages.Index, chosen: messages.Suggestions) -> None:
        """Add proposed objects."""
        with self._project.change("suggestions"):
            for item in chosen:
                plane = messages.plane_of(item.counts, "a suggestion", *self._video.size)
                mark = FrameAnnotation("given", 1.0 if item.score is None else item.score)
                number = self._project.add_object(item.label)
                self._project.put(frame, {number: (plane, mark)})
                self._project.correct(frame, number, Correction())

    def _class_of(self, object: int) -> str | None:
        return next((row["category"] for row in self._project.objects() if row["id"] == object), None)

    def _names(self) -> dict[int, str]:
        return {row["id"]: row["name"] for row in self._project.objects()}
