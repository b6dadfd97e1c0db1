"""Snapshots of a project for exports: its objects on some of its frames, at the time of the request."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from segue.arrays import BoolArray
from segue.errors import SegueError
from segue.masks import Rle, measure
from segue.types import Frame, IndexMask, ObjectInfo, Segmentation
from segue_web.project import Project, composed, decoded
from segue_web.video import Video


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The objects and frames of an export."""

    size: tuple[int, int]  # height and width of the video
    span: range  # the frames from the first to the last one; exported videos have all of them
    frames: Sequence[int]  # those of the span that go into a data set
    masks: Mapping[int, Mapping[int, str]]  # run lengths by frame and object; empty where none is visible
    names: Mapping[int, tuple[str, str]]  # class or name, and colour, of each object
    scores: Mapping[tuple[int, int], float]
    soft: bool = False
    attributes: Mapping[int, Mapping[str, str]] = field(default_factory=dict)  # ``group`` is one

    def attribute_names(self) -> list[str]:
        """The names of all attributes, in their order."""
        return list(dict.fromkeys(name for of_object in self.attributes.values() for name in of_object))

    def mask(self, index: int) -> IndexMask:
        """Index mask (H, W), uint8 or uint16, of the chosen objects on a frame."""
        return composed(self.masks.get(index, {}), self.size)

    def lengths(self, index: int) -> dict[int, Rle]:
        """Run lengths of the visible objects of a frame, which may overlap."""
        return {i: Rle(size=[*self.size], counts=counts) for i, counts in self.masks.get(index, {}).items()}

    def planes(self, index: int) -> Iterator[tuple[int, BoolArray]]:
        """Each visible object of a frame with its mask, (H, W), bool; they may overlap."""
        for i, counts in self.masks.get(index, {}).items():
            yield i, decoded(counts, self.size)

    def result(self, index: int, video: Video) -> Segmentation:
        """The objects of a frame, as tracking gives them."""
        mask = self.mask(index)
        extents = measure(mask)
        objects = tuple(
            ObjectInfo(i, name, self.scores.get((index, i), 0.0), extents[i].box, extents[i].area)
            if i in extents
            else ObjectInfo(i, name, 0.0)
            for i, (name, _) in self.names.items()
        )
        return Segmentation(index, video.time(index), mask, objects)

    def results(self, video: Video) -> Iterator[tuple[Frame, Segmentation]]:
        """Every frame of the span with its image."""
        for index in self.span:
            yield video.frame(index), self.result(index, video)

    def categories(self) -> dict[str, int]:
        """Number of each class, from 1 on: the names of the objects, in their order."""
        return {name: number for number, name in enumerate(dict(self.names.values()), 1)}


def snapshot(
    project: Project,
    video: Video,
    objects: Sequence[int] | None = None,
    *,
    all_frames: bool = False,
    first: int = 0,
    last: int | None = None,
    soft: bool = False,
) -> Snapshot:
    """The chosen objects of a project as they are now."""
    rows = [row for row in project.objects() if objects is None or row["id"] in objects]
    about = {row["id"]: ({"group": row["group"]} if row["group"] else {}) | row["attributes"] for row in rows}
    names = {row["id"]: (row["category"] or row["name"], row["colour"]) for row in rows}
    timeline = project.timeline()
    span = range(first, video.count if last is None else min(last + 1, video.count))
    known = sorted({row[0] for row in timeline if row[1] in names})
    frames = [index for index in known if index in span]
    if not frames:
        where = f"on the frames from {first} to {span.stop - 1}" if known else "yet"
        raise SegueError(f"there are no masks to export {where}")
    masks = {index: project.masks(index) for index in frames}
    # A mask that a person looked at and kept counts as right, whatever the prompter expected.
    scores = {(row[0], row[1]): 1.0 if row[2] == "given" else row[3] for row in timeline}
    return Snapshot(
        video.size,
        span,
        span if all_frames else frames,
        {index: {i: counts for i, counts in found.items() if i in names} for index, found in masks.items()},
        names,
        scores,
        soft,
        {i: values for i, values in about.items() if values},
    )
