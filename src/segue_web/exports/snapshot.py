"""Objects on some frames of a project at the time of a request, and exports that appear when complete."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from segue.errors import SegueError
from segue.labels.labels import Labels
from segue.masks import Edge, Rle, measure
from segue.masks.edges import detailed_edge
from segue.masks.splines import KeyedShape
from segue.types import Frame, ObjectInfo, Segmentation
from segue.utils.files import remove_partial, writing
from segue.utils.system import rename, sync_folder, sync_tree
from segue_web.project.project import Project
from segue_web.video import Video

DEFAULT_COLOUR = "#35b6f2"
"""Colour of a class that has neither a colour nor objects."""


@dataclass(slots=True)
class Snapshot(Labels):
    """The objects and frames of an export; objects are named by their class, if they have one."""

    span: range = range(0)  # the frames from the first to the last one; exported videos have all of them
    frames: Sequence[int] = ()  # those of the span that go into a data set
    colours: Mapping[str, str] = field(default_factory=dict)  # of each class or name, in the order of objects
    soft: bool = False  # objects without an edge of their own have one that is estimated from the image
    edges: Mapping[int, Edge] = field(default_factory=dict)  # of the objects that have one
    premultiplied: bool = False  # whether colours of cut-outs are multiplied by their opacity
    each: bool = False  # whether each object is exported by itself
    objects: Sequence[
        Mapping[str, Any]
    ] = ()  # id, name, category and colour of each, as the project has them

    def lengths(self, index: int) -> dict[int, Rle]:
        """Run lengths of the visible objects of a frame, which may overlap."""
        return {i: Rle(size=[*self.size], counts=counts) for i, counts in self.masks.get(index, {}).items()}

    def result(self, index: int, video: Video) -> Segmentation:
        """The objects of a frame, as tracking gives them."""
        mask = self.mask(index)
        extents = measure(mask)
        objects = tuple(
            ObjectInfo(i, name, self.scores.get((index, i), 0.0), extents[i].box, extents[i].area)
            if i in extents
            else ObjectInfo(i, name, 0.0)
            for i, name in self.names.items()
        )
        return Segmentation(index, video.time(index), mask, objects)

    def results(self, video: Video) -> Iterator[tuple[Frame, Segmentation]]:
        """Every frame of the span with its image."""
        for index in self.span:
            yield video.frame(index), self.result(index, video)

    def images(self, video: Video) -> Iterator[Frame]:
        """Every frame of the span."""
        return (video.frame(index) for index in self.span)

    @property
    def has_edges(self) -> bool:
        """Whether the edge of an object is soft."""
        return any(not self.edge_of(number).is_hard for number in self.names)

    def edge_of(self, number: int) -> Edge:
        """How the edge of an object becomes soft."""
        return self.edges.get(number, detailed_edge(self.size) if self.soft else Edge())

    def file_names(self) -> dict[int, str]:
        """A name of each object that can be that of a file and of a layer; each is another one."""
        plain = {i: plain_name(name) or f"object_{i}" for i, name in self.names.items()}
        count = Counter(name.lower() for name in plain.values())
        return {i: f"{name}_{i}" if count[name.lower()] > 1 else name for i, name in plain.items()}

    def only(self, number: int) -> Snapshot:
        """The same frames with one of the objects."""
        masks = {
            index: {i: counts for i, counts in objects.items() if i == number}
            for index, objects in self.masks.items()
        }
        listed = [row for row in self.objects if row["id"] == number]
        shapes = {i: shapes for i, shapes in self.shapes.items() if i == number}
        names = {number: self.names[number]}
        return replace(self, names=names, masks=masks, shapes=shapes, objects=listed, each=False)

    def categories(self) -> dict[str, int]:
        """Number of each class, from 1 on: the names of the objects, in their order."""
        return {name: number for number, name in enumerate(self.colours, 1)}


def plain_name(name: str, length: int = 60) -> str:
    """A name with letters, digits, - and _ alone; other signs become _."""
    return "".join(sign if sign.isalnum() or sign in "-_" else "_" for sign in name)[:length]


def snapshot(
    project: Project,
    video: Video,
    objects: Sequence[int] | None = None,
    *,
    all_frames: bool = False,
    first: int = 0,
    last: int | None = None,
    soft: bool = False,
    premultiplied: bool = False,
    each: bool = False,
) -> Snapshot:
    """The chosen objects of a project as they are now."""
    # Classes and objects have the same numbers in whatever order the objects lie on one another.
    by_id = sorted(project.objects(), key=lambda row: int(row["id"]))
    rows = [row for row in by_id if objects is None or row["id"] in objects]
    about = {row["id"]: ({"group": row["group"]} if row["group"] else {}) | row["attributes"] for row in rows}
    names = {row["id"]: row["category"] or row["name"] for row in rows}
    timeline = project.timeline()
    span = range(first, video.count if last is None else min(last + 1, video.count))
    annotated = sorted({row[0] for row in timeline if row[1] in names})
    frames = [index for index in annotated if index in span]
    if not frames:
        where = f"on the frames from {first} to {span.stop - 1}" if annotated else "yet"
        raise SegueError(f"there are no masks to export {where}")
    masks = {index: project.masks(index) for index in frames}
    # A mask that a person looked at and kept counts as right, whatever the prompter expected.
    scores = {(row[0], row[1]): 1.0 if row[2] == "given" else row[3] for row in timeline}
    schema = project.schema
    colours = {names[row["id"]]: row["colour"] for row in rows}
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
    """Shapes of objects of which they are all: without holes, and with masks that nobody has painted."""
    complete = {}
    for number in numbers:
        shapes = [*project.shapes_of(number).values()]
        if shapes and not any(shape.hole for shape in shapes) and project.is_shaped(number):
            complete[number] = shapes
    return complete


Writer = Callable[[Video, Snapshot, Path], Iterator[int]]
"""Writes an export, yielding each frame that is done."""


def remove_unfinished(folder: Path, target: Path | None = None) -> None:
    """Remove what a killed process left of exports."""
    remove_partial(folder, target)
    for path in folder.glob(".*.segue.partial") if target is None else [_partial_folder(target)]:
        shutil.rmtree(path, ignore_errors=True)


def write_images(video: Video, annotations: Snapshot, folder: Path) -> Iterator[int]:
    """Write the frames of a data set as JPEG images; yields the index of each."""
    folder.mkdir(parents=True, exist_ok=True)
    for index in annotations.frames:
        (folder / f"{video.frame_name(index)}.jpg").write_bytes(video.jpeg(index))
        yield index


def _partial_folder(final: Path) -> Path:
    return final.with_name(f".{final.name}.segue.partial")


@contextmanager
def complete_folder(final: Path) -> Iterator[Path]:
    """A folder that gets its name when it is complete."""
    path = _partial_folder(final)
    shutil.rmtree(path, ignore_errors=True)
    try:
        with writing(final):
            path.mkdir(parents=True)
            yield path
            sync_tree(path)
            rename(path, final)
            sync_folder(final.parent)
    finally:
        shutil.rmtree(path, ignore_errors=True)
