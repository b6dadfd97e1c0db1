"""Masks of the objects of a video as JSON values, for saved states."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from segue.masks.rle import check_runs
from segue.masks.unsure import check_unsure
from segue.prompt_inputs.checks import check_points
from segue.prompt_inputs.values import as_box
from segue.prompts.correction import ClickHistory
from segue.sessions.videos.provenance import (
    MadeFrom,
    ObjectMasks,
    PromptedMask,
    Revision,
    Source,
    StoredMask,
    StoredObject,
    TakenPixels,
    present,
)
from segue.types import ObjectInfo


def as_json(objects: Mapping[int, ObjectMasks]) -> dict[str, Any]:
    """Convert objects to JSON values, see :func:`from_json`."""
    prompted: dict[str, dict[str, list[Any]]] = {}
    tracked: dict[str, dict[str, list[Any]]] = {}
    replaced, versions, removed, clicks, taken = [], [], [], [], []
    for i, masks in objects.items():
        for frame, (stored, revision) in masks.prompts.items():
            prompted.setdefault(str(frame), {})[str(i)] = [*_row(stored), revision]
        for frame, (*earlier, last) in masks.tracked.items():
            tracked.setdefault(str(frame), {})[str(i)] = [*_row(last.stored), *_lists(last.made_from)]
            replaced += [[frame, i, *_row(each.stored), *_lists(each.made_from)] for each in earlier]
        versions += [[frame, i, *version] for frame, *version in masks.earlier_versions()]
        removed += [[frame, i] for frame in sorted(masks.removed)]
        clicks += [
            [frame, i, list(map(list, each.clicks)), each.box and list(each.box), each.mends]
            for frame, each in masks.clicks.items()
        ]
        taken += [
            [
                *(frame, i, by, revision),
                None if previous is None else [*_row(previous.stored), previous.revision],
                *(() if region is None else (region,)),
            ]
            for frame, of_frame in masks.taken.items()
            for by, revision, previous, region in of_frame
        ]
    labels = {str(i): masks.label for i, masks in objects.items()}
    lists = {"replaced": replaced, "versions": versions, "removed": removed, "clicks": clicks}
    lists["taken"] = taken
    return {"labels": labels, "prompted": prompted, "tracked": tracked, **lists}


def _lists(made_from: MadeFrom) -> list[list[list[int]]]:
    return [list(map(list, part)) for part in made_from]


def _row(stored: StoredObject) -> list[Any]:
    return [stored[0].score, *stored[1:]]


def from_json(
    state: Mapping[str, Any], frames: Sequence[int], size: tuple[int, int]
) -> tuple[dict[int, ObjectMasks], Revision]:
    """Objects from JSON values of :func:`as_json`, and the last revision.

    Masks of earlier versions, which do not say what they were made from, were made from all prompts but for
    corrections that were not tracked yet.

    Raises:
        DatasetError: run lengths are damaged. Other damage raises what reading it raises.
    """
    objects = {
        int(i): ObjectMasks(label if label is None else str(label)) for i, label in state["labels"].items()
    }
    revision = int(state.get("revision", 0))
    for frame, rows in state["prompted"].items():
        for i, row in rows.items():
            stored, rest = _stored(int(i), row)
            revision = revision if rest else revision + 1
            objects[int(i)].prompt(int(frame), stored, int(rest[0]) if rest else revision)
    for frame, i, number, counts in state.get("versions", ()):
        objects[int(i)].versions.setdefault(int(frame), {})[int(number)] = str(counts)
    for frame, i in state.get("removed", ()):
        objects[int(i)].removed.add(int(frame))
    for frame, i, *row in state.get("replaced", ()):
        stored, rest = _stored(int(i), row)
        objects[int(i)].tracked.setdefault(int(frame), []).append(StoredMask(stored, _made_from(rest)))
    unknown: dict[int, dict[int, StoredObject]] = {}
    for frame, rows in state["tracked"].items():
        for i, row in rows.items():
            stored, rest = _stored(int(i), row)
            if rest:
                mask = StoredMask(stored, _made_from(rest))
                objects[int(i)].tracked.setdefault(int(frame), []).append(mask)
            else:
                unknown.setdefault(int(i), {})[int(frame)] = stored
    replaced_sources: dict[int, dict[tuple[int, int], Source]] = {}
    for frame, i, way, counts in state.get("earlier", ()):
        revision += 1
        objects[int(i)].versions[int(frame)][revision] = str(counts)
        replaced_sources.setdefault(int(i), {})[int(frame), int(way)] = int(frame), revision
    for i, by_frame in unknown.items():
        _made_from_all(objects[i], by_frame, frames, replaced_sources.get(i, {}))
    for frame, i, clicks, box, mends in state["clicks"]:
        objects[int(i)].clicks[int(frame)] = _history_of(clicks, box, mends, size)
    for frame, i, by, number, row, *regions in state.get("taken", ()):
        previous = None if row is None else PromptedMask(_stored(int(i), row)[0], int(row[-1]))
        pixels = TakenPixels(int(by), int(number), previous, *map(str, regions))
        objects[int(i)].taken.setdefault(int(frame), []).append(pixels)
    _check(objects, size)
    revisions = (n for masks in objects.values() for of_frame in masks.versions.values() for n in of_frame)
    return objects, max(revision, *revisions, 0)


def _made_from_all(
    masks: ObjectMasks,
    tracked: Mapping[int, StoredObject],
    frames: Sequence[int],
    replaced_sources: Mapping[tuple[int, int], Source],
) -> None:
    """Assign sources to masks of earlier versions: the present ones, or those before corrections."""
    for segment, sources in masks.segments(frames):
        both = zip((1, -1), sources, strict=True)
        carried = (replaced_sources.get((each[0], way), each) for way, each in both if each is not None)
        made_from = MadeFrom(tuple(carried))
        for frame in segment:
            if frame in tracked:
                masks.tracked[frame] = [StoredMask(tracked[frame], made_from)]
    for frame in masks.prompts.keys() & tracked.keys():
        masks.tracked[frame] = [StoredMask(tracked[frame], present(masks.sources(frame)))]


def _stored(number: int, row: Sequence[Any]) -> tuple[StoredObject, Sequence[Any]]:
    """Mask of a JSON row, and the rest of the row; earlier versions have shorter rows."""
    score, counts, *optional = row
    whole_counts, unsure = (None if runs is None else str(runs) for runs in (*optional, None, None)[:2])
    return (ObjectInfo(number, score=float(score)), str(counts), whole_counts, unsure), optional[2:]


def _made_from(parts: Sequence[Sequence[Sequence[Any]]]) -> MadeFrom:
    carried, shielding = (tuple((int(frame), int(revision)) for frame, revision in part) for part in parts)
    return MadeFrom(carried, shielding)


def _history_of(clicks: Any, box: Any, mends: Any, size: tuple[int, int]) -> ClickHistory:
    """Clicks of a state, checked against the image."""
    history = ClickHistory(
        tuple((float(x), float(y), bool(inside)) for x, y, inside in clicks),
        None if box is None else as_box(box, "box"),
        bool(mends),
    )
    check_points([click[:2] for click in history.clicks], size)
    return history


def _check(objects: Mapping[int, ObjectMasks], size: tuple[int, int]) -> None:
    """Raise an error unless all objects have prompts, and all run lengths fit an image of a size."""
    if without := [i for i, masks in objects.items() if not masks.prompts]:
        raise ValueError(f"prompted: object {without[0]} has no prompt")
    stored = [each.stored for masks in objects.values() for each in masks.prompts.values()]
    stored += [m.stored for masks in objects.values() for each in masks.tracked.values() for m in each]
    taken = [each for masks in objects.values() for of_frame in masks.taken.values() for each in of_frame]
    stored += [each.previous.stored for each in taken if each.previous is not None]
    if any(
        each.previous is None
        for masks in objects.values()
        for of_frame in masks.taken.values()
        for each in of_frame[1:]
    ):
        raise ValueError("taken: a later change of a mask without the mask before it")
    runs = [counts for _, *both, _ in stored for counts in both if counts is not None]
    runs += [each.region for each in taken if each.region is not None]
    for masks in objects.values():
        runs += [counts for versions in masks.versions.values() for counts in versions.values()]
    check_runs([counts.encode() for counts in runs], math.prod(size))
    check_unsure((unsure for *_, unsure in stored if unsure is not None), size)
