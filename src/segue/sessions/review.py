"""Frames of a track that a person should review."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from segue.types import Segmentation
from segue.utils.naming import first_few

MIN_DISTANCE = 10  # frames between two of an object that are listed: one correction mends those around it
MAX_LISTED = 20  # masks that are listed
MAX_REMEMBERED = 1000  # masks that are remembered of a track that does not end
PART_SHARE = 0.5  # of its usual area: less is a part of an object
WHOLE_SHARE = 0.7  # of its usual area, from which on it is whole again
ADAPTS = 0.2  # weight of a whole mask in the usual area
TINY = 64  # pixels of an object up to which networks lose it because of its size


@dataclass(frozen=True, slots=True)
class Doubt:
    """A mask that needs a person's attention.

    Attributes:
        index: index of the frame.
        id: id of the object.
        score: expected IoU of its mask, in [0, 1].
    """

    index: int
    id: int
    score: float


def to_review(
    results: Iterable[Segmentation], *, apart: int = MIN_DISTANCE, most: int = MAX_LISTED
) -> list[Doubt]:
    """Select the frames of a track to review first: the lowest scores that need attention.

    Args:
        results: tracking results, in any order; each is read once and not stored.
        apart: minimum number of frames between two listed frames of an object.
        most: maximum number of listed masks.

    Returns:
        The doubtful masks, the worst first.

    Example:
        >>> for doubt in to_review(segue.track("my.mp4", first_mask)):  # doctest: +SKIP
        ...     print(doubt.index, doubt.id, doubt.score)
    """
    review = ReviewList()
    for result in results:
        review.add(result)
    return review.worst(apart=apart, most=most)


class ReviewList:
    """Doubtful masks of a running track, as :func:`to_review` lists them, in bounded memory."""

    def __init__(self) -> None:
        self._doubts: dict[tuple[int, int], Doubt] = {}

    def add(self, result: Segmentation) -> None:
        """Add a result; it replaces an earlier one of its frame."""
        for item in result.objects:
            if item.needs_attention:
                self._doubts[result.index, item.id] = Doubt(result.index, item.id, item.score)
            else:
                self._doubts.pop((result.index, item.id), None)
        if len(self._doubts) > MAX_REMEMBERED:
            self._doubts = {(doubt.index, doubt.id): doubt for doubt in self.worst(most=MAX_REMEMBERED // 2)}

    def worst(self, *, apart: int = MIN_DISTANCE, most: int = MAX_LISTED) -> list[Doubt]:
        """Lowest-scored masks so far, spread over the video."""
        listed: list[Doubt] = []
        for doubt in sorted(self._doubts.values(), key=lambda item: (item.score, item.index, item.id)):
            if len(listed) == most:
                break
            if all(other.id != doubt.id or abs(other.index - doubt.index) > apart for other in listed):
                listed.append(doubt)
        return listed


@dataclass(slots=True)
class _Visibility:
    """Frames on which one object was not visible."""

    area: int  # where it was visible first
    first_gap: int = 0
    num_gaps: int = 0  # frames between others on which it is visible
    absent_since: int = 0
    num_absent: int = 0  # frames up to the last one
    usual_area: float = 0.0
    first_part: int = 0
    num_parts: int = 0  # frames between others on which a part of it is visible
    part_since: int = 0
    num_small: int = 0  # frames up to the last one

    def add_area(self, index: int, area: int) -> None:
        """Add the object's area on the next frame on which it is visible."""
        self.usual_area = self.usual_area or float(area)
        if area < PART_SHARE * self.usual_area:
            self.part_since = self.part_since if self.num_small else index
            self.num_small += 1
            return
        if self.num_small and area >= WHOLE_SHARE * self.usual_area:
            self.first_part = self.first_part if self.num_parts else self.part_since
            self.num_parts += self.num_small
        self.num_small = 0
        self.usual_area += ADAPTS * (area - self.usual_area)


class AbsenceList:
    """Gaps in which objects were fully or partly hidden; in bounded memory."""

    def __init__(self) -> None:
        self._objects: dict[int, _Visibility] = {}

    def add(self, result: Segmentation) -> None:
        """Add the next result."""
        for item in result.objects:
            times = self._objects.get(item.id)
            if times is None:
                if item.area:
                    self._objects[item.id] = _Visibility(item.area)
            elif not item.area:
                times.absent_since = times.absent_since if times.num_absent else result.index
                times.num_absent += 1
            elif times.num_absent:
                times.first_gap = times.first_gap if times.num_gaps else times.absent_since
                times.num_gaps += times.num_absent
                times.num_absent = 0
            if times is not None and item.area:
                times.add_area(result.index, item.area)

    def describe(self, label: Callable[[int], str]) -> str:
        """Describe gaps by object and frames.

        Args:
            label: returns the name of a frame.

        Returns:
            One line; empty where every object was visible.
        """
        absent, partial = [], []
        for number, times in sorted(self._objects.items()):
            if times.num_gaps:
                absent.append(f"object {number} {_many(times.num_gaps)} (frame {label(times.first_gap)})")
            if times.num_parts:
                partial.append(f"object {number} {_many(times.num_parts)} (frame {label(times.first_part)})")
            if times.num_absent:
                size = f"{times.area} pixel{'s' * (times.area > 1)}"
                advice = f" (it has {size}: enlarge that part of the video)" if times.area <= TINY else ""
                absent.append(f"object {number} from frame {label(times.absent_since)} on{advice}")
        lines = [f"not visible: {first_few(absent)}"] if absent else []
        if partial:
            lines.append(f"below half their size: {first_few(partial)}")
        return "\n".join(lines)


def _many(frames: int) -> str:
    return f"on {frames} frames between others" if frames > 1 else "on one frame"
