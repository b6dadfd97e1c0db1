"""Snapshots of a project for exports: its objects on some of its frames, at the time of the request."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field

from segue.arrays import BoolArray
from segue.errors import SegueError
from segue.masks import Rle, measure
from segue.types import Frame, IndexMask, ObjectInfo, Segmentation
from segue_web.interpolation import Corners, Shown, shown
from segue_web.project import Project, composed, decoded
from segue_web.video import Video


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The objects and frames of an export."""

    masks: Mapping[int, Mapping[int, str]]  # run lengths by frame and object; empty where none is visible
    names: Mapping[int, tuple[str, str]]  # class or name, and colour, of each object
    scores: Mapping[tuple[int, int], float]
    all_frames: bool = False  # whether data sets get frames without annotation
    first: int = 0
    last: int | None = None
    soft: bool = False
    attributes: Mapping[int, Mapping[str, str]] = field(default_factory=dict)  # ``group`` is one
    polygons: Mapping[int, Mapping[int, Corners]] = field(default_factory=dict)  # by object and frame
    between: Set[tuple[int, int]] = frozenset()  # frames and objects that were interpolated

    def attribute_names(self) -> list[str]:
        """The names of all attributes, in their order."""
        return list(dict.fromkeys(name for of_object in self.attributes.values() for name in of_object))

    def span(self, video: Video) -> range:
        """The frames from the first to the last one; exported videos have all of them."""
        return range(self.first, video.count if self.last is None else min(self.last + 1, video.count))

    def frames(self, video: Video) -> Sequence[int]:
        """The frames that go into a data set, in order."""
        span = self.span(video)
        return span if self.all_frames else [index for index in sorted(self.masks) if index in span]

    def mask(self, index: int, size: tuple[int, int]) -> IndexMask:
        """Index mask (H, W), uint8 or uint16, of the chosen objects on a frame."""
        return composed(self._chosen(index), size)

    def lengths(self, index: int, size: tuple[int, int]) -> dict[int, Rle]:
        """Run lengths of the visible objects of a frame, which may overlap."""
        return {i: Rle(size=[*size], counts=counts) for i, counts in self._chosen(index).items()}

    def planes(self, index: int, size: tuple[int, int]) -> Iterator[tuple[int, BoolArray]]:
        """Each visible object of a frame with its mask, (H, W), bool; they may overlap."""
        for i, counts in self._chosen(index).items():
            yield i, decoded(counts, size)

    def _chosen(self, index: int) -> dict[int, str]:
        return {i: counts for i, counts in self.masks.get(index, {}).items() if i in self.names}

    def polygons_on(self, index: int) -> dict[int, Shown]:
        """The polygons of a frame: those that were drawn there, and those interpolated between two."""
        polygons = self.polygons.items()
        found = {i: shown(keys, index, between=(index, i) in self.between) for i, keys in polygons}
        return {i: polygon for i, polygon in found.items() if polygon.kind != "near"}

    def result(self, index: int, video: Video) -> Segmentation:
        """The objects of a frame, as tracking gives them."""
        mask = self.mask(index, video.size)
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
        for index in self.span(video):
            yield video.frame(index), self.result(index, video)

    def categories(self) -> dict[str, int]:
        """Number of each class, from 1 on: the names of the objects, in their order."""
        return {name: number for number, name in enumerate(dict(self.names.values()), 1)}


def snapshot(
    project: Project,
    objects: Sequence[int] | None,
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
    known = {row[0] for row in timeline if row[1] in names}
    wanted = [i for i in sorted(known) if i >= first and (last is None or i <= last)]
    masks = {i: project.masks(i) for i in wanted}
    if not masks:
        end = "the end" if last is None else last
        where = f"on the frames from {first} to {end}" if known else "yet"
        raise SegueError(f"there are no masks to export {where}")
    # A mask that a person looked at and kept counts as right, whatever the prompter expected.
    scores = {(row[0], row[1]): 1.0 if row[2] == "given" else row[3] for row in timeline}
    return Snapshot(
        masks,
        names,
        scores,
        all_frames,
        first,
        last,
        soft,
        {i: values for i, values in about.items() if values},
        {i: keys for i, keys in project.polygons().items() if i in names},
        {(row[0], row[1]) for row in timeline if row[2] == "interpolated"},
    )
