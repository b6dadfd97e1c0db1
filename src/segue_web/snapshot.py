"""Snapshot of a project's objects for exports."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

from segue.entries.formats import SinkOptions
from segue.errors import SegueError
from segue.formats.frames import FrameObjects
from segue.formats.labels import DEFAULT_COLOUR, Labels
from segue.masks import Edge
from segue.masks.edges import detailed_edge
from segue.masks.splines import KeyedShape
from segue_web.project.project import Project
from segue_web.video import Video


@dataclass(slots=True)
class Snapshot(Labels):
    """Objects and frames of an export; objects are named by class, if any."""

    span: range = range(0)  # the frames from the first to the last one; exported videos have all of them
    frames: Sequence[int] = ()  # those of the span that go into a data set
    soft: bool = False  # objects without an edge of their own have one that is estimated from the image
    edges: Mapping[int, Edge] = field(default_factory=dict)  # of the objects that have one
    premultiplied: bool | None = None  # whether colours are multiplied by their opacity; None: by the format
    each: bool = False  # whether each object is exported by itself

    def on(self, video: Video, index: int) -> FrameObjects:
        """Objects of a frame with its image."""
        return self.at(
            index,
            video.time(index),
            partial(video.frame, index),
            partial(video.jpeg, index),
        )

    def options(self, video: Video) -> SinkOptions:
        """Format options: video and objects."""
        return SinkOptions(
            size=video.size,
            source_size=lambda: video.size,
            names=video.names,
            images=tuple(video.file_name(index) for index in range(video.count)),
            fps=video.fps,
            pixel_aspect=video.pixel_aspect,
            sound=video.sound,
            source=video.name,
            labels=self,
            span=self.span,
            count=video.count,
            edge_of=self.edge_of if self.has_edges else None,
            premultiplied=self.premultiplied,
        )

    @property
    def has_edges(self) -> bool:
        """Whether an object has a soft edge."""
        return any(not self.edge_of(number).is_hard for number in self.names)

    def edge_of(self, number: int) -> Edge:
        """Soft edge of an object."""
        return self.edges.get(number, detailed_edge(self.size) if self.soft else Edge())

    def only(self, number: int) -> Snapshot:
        """Snapshot with one of the objects."""
        masks = {
            index: {i: counts for i, counts in objects.items() if i == number}
            for index, objects in self.masks.items()
        }
        listed = [row for row in self.objects if row["id"] == number]
        shapes = {i: shapes for i, shapes in self.shapes.items() if i == number}
        names = {number: self.names[number]}
        return replace(self, names=names, masks=masks, shapes=shapes, objects=listed, each=False)


def snapshot(
    project: Project,
    video: Video,
    objects: Sequence[int] | None = None,
    *,
    all_frames: bool = False,
    first: int = 0,
    last: int | None = None,
    only_with_masks: bool = False,
    soft: bool = False,
    premultiplied: bool | None = None,
    each: bool = False,
) -> Snapshot:
    """Take a snapshot of selected objects of a project.

    ``only_with_masks``: the span begins and ends with the first and last frame that has a mask.
    """
    rows = [row for row in project.objects() if objects is None or row["id"] in objects]  # from below
    about = {row["id"]: ({"group": row["group"]} if row["group"] else {}) | row["attributes"] for row in rows}
    names = {row["id"]: row["category"] or row["name"] for row in rows}
    timeline = project.timeline()
    span = range(first, video.count if last is None else min(last + 1, video.count))
    annotated = sorted({row[0] for row in timeline if row[1] in names})
    frames = [index for index in annotated if index in span]
    if not frames:
        where = f"on the frames from {first} to {span.stop - 1}" if annotated else "yet"
        raise SegueError(f"there are no masks to export {where}")
    if only_with_masks:
        span = range(frames[0], frames[-1] + 1)
    masks = {index: project.masks(index) for index in frames}
    # A mask that a person looked at and kept counts as right, whatever the prompter expected.
    scores = {(row[0], row[1]): 1.0 if row[2] == "given" else row[3] for row in timeline}
    schema = project.schema
    # Classes have the same numbers in whatever order the objects lie on one another.
    by_id = sorted(rows, key=lambda row: int(row["id"]))
    colours = {names[row["id"]]: row["colour"] for row in by_id}
    class_colours = {
        one.name: one.colour or colours.get(one.name) or DEFAULT_COLOUR for one in schema.classes
    }
    return Snapshot(
        video.size,
        names,
        {
            index: {i: counts for i, counts in masks_at.items() if i in names}
            for index, masks_at in masks.items()
        },
        scores,
        {i: values for i, values in about.items() if values},
        {row["id"]: row["frame_attributes"] for row in rows if row["frame_attributes"]},
        schema,
        span=span,
        frames=span if all_frames else frames,
        colours=class_colours
        | {name: colour for name, colour in colours.items() if name not in class_colours},
        soft=soft,
        shapes=_shapes(project, names),
        edges={i: edge for i, edge in project.edges().items() if i in names},
        premultiplied=premultiplied,
        each=each,
        objects=[{key: row[key] for key in ("id", "name", "category", "colour")} for row in rows],
    )


def _shapes(project: Project, numbers: Iterable[int]) -> dict[int, list[KeyedShape]]:
    """Shapes of objects that consist of shapes alone, without holes and painted masks."""
    complete = {}
    for number in numbers:
        shapes = [*project.shapes_of(number).values()]
        if shapes and not any(shape.hole for shape in shapes) and project.is_shaped(number):
            complete[number] = shapes
    return complete
