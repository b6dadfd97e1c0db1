"""Annotations of masks, and corrections by people, as values and as rows of a project."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import astuple, dataclass, field
from typing import Any, Literal

from segue.masks import encode_rle
from segue.sessions.videos.provenance import MadeFrom, Revision, Sources, present
from segue.utils.arrays import BoolArray

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
"""Direction of a tracking from a frame."""

SIDES: tuple[Side, Side] = ("forward", "back")


@dataclass(frozen=True, slots=True)
class TakenPixels:
    """Pixels that a mask lost to clicks on other objects since a person edited it last.

    Attributes:
        mark: row of the mask with them.
        prompts: data of its row of prompts; None without one.
        regions: the other object and run lengths, for each click.
    """

    mark: Mapping[str, Any]
    prompts: Mapping[str, Any] | None
    regions: tuple[tuple[int, str], ...] = ()


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
    taken: TakenPixels | None = None  # what the mask has lost since a person edited it
    lost: str = ""  # erased pixels that clicks on other objects took

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
"""Mask of one object on one frame, (H, W), and its annotation."""


def correction_of(row: Any) -> Correction:
    """Correction of a database row."""
    return correction_from(json.loads(row["data"]))


def correction_from(data: Mapping[str, Any]) -> Correction:
    """Correction of the data of a database row."""
    taken = data.get("taken")
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
        taken
        and TakenPixels(
            taken["mark"], taken["prompts"], tuple((int(by), str(counts)) for by, counts in taken["regions"])
        ),
        data.get("lost", ""),
    )


def made_from_of(row: Any, corrections: Mapping[int, Correction]) -> MadeFrom | None:
    """Sources of a row's mask; None if a correction was withdrawn.

    Tracked masks of earlier versions, which do not say so, were made from the nearest corrections.
    """
    if not row["made_from"]:
        sources = [(frame, correction.revision) for frame, correction in corrections.items()]
        return present(Sources.of(sources if row["kind"] == "tracked" else (), row["frame"]))
    parts = json.loads(row["made_from"])
    carried, shielding = (tuple((int(frame), int(revision)) for frame, revision in part) for part in parts)
    # 0: of a mask that was given without a correction, which the first one corrects.
    are_valid = (
        frame in corrections and (not revision or revision >= corrections[frame].first)
        for frame, revision in (*carried, *shielding)
    )
    return MadeFrom(carried, shielding) if all(are_valid) else None


def annotation_of(row: Any) -> FrameAnnotation:
    """Annotation of a row of marks."""
    values = row["kind"], row["score"], row["area"], bool(row["reviewed"])
    return FrameAnnotation(*values, row["user"], row["reviewer"], row["agreement"])


def runs_of(plane: BoolArray) -> str:
    """Encode a mask as run lengths; empty without pixels."""
    return encode_rle(plane)["counts"] if plane.any() else ""
