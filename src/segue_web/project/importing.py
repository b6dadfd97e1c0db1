"""Import masks of a file into a project: match objects, list changes, apply them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

from segue.errors import PromptError
from segue.formats.labels import Labels
from segue.formats.schema import MAX_NAME_LENGTH
from segue.masks.splines import KeyedShape
from segue_web.project.annotations import Correction, FrameAnnotation
from segue_web.project.objects import with_values
from segue_web.project.project import Project

MAX_RANGES = 4
"""Ranges of frames that one line lists."""

Targets = Mapping[int, int | None]
"""Object of the project that each object of a file replaces, by its number; None creates a new one."""


@dataclass(frozen=True, slots=True)
class Effect:
    """Changes made by importing one object of a file; the target None is a new object."""

    number: int
    name: str
    target: int | None
    added: Sequence[int]  # frames
    replaced: Sequence[int]  # frames
    corrected: int = 0  # how many of the replaced a person corrected
    same: int = 0  # how many frames have this mask already
    about: Mapping[str, str] = field(default_factory=dict)  # attributes that change, and ``group``
    frame_attributes: Mapping[str, Mapping[int, str]] = field(default_factory=dict)  # those that change

    @property
    def text(self) -> str:
        """The changes, in one line."""
        parts = []
        if self.added:
            parts.append(f"adds {_ranges(self.added)}")
        if self.replaced:
            corrected = f" ({self.corrected} corrected by hand)" if self.corrected else ""
            parts.append(f"replaces {_ranges(self.replaced)}{corrected}")
        if names := list(dict.fromkeys([*self.about, *self.frame_attributes])):
            parts.append(f"sets {', '.join(names)}")
        if self.same:
            parts.append(f"{self.same} unchanged")
        return "; ".join(parts) or "no masks"


def _ranges(frames: Sequence[int]) -> str:
    """Format frame numbers: ``frames 0 to 7, 9``."""
    runs = [[i for _, i in run] for _, run in groupby(enumerate(frames), lambda item: item[1] - item[0])]
    texts = [f"{run[0]} to {run[-1]}" if len(run) > 1 else str(run[0]) for run in runs[:MAX_RANGES]]
    rest = sum(map(len, runs[MAX_RANGES:]))
    return f"frame{'s' if len(frames) > 1 else ''} {', '.join(texts)}" + (f" and {rest} more" if rest else "")


def effects(project: Project, labels: Labels, targets: Targets | None = None) -> list[Effect]:
    """Changes of an import; by itself it targets unlocked objects of the same number and name or class."""
    if targets is None:
        targets = _same_objects(project, labels)
    unlocked = set(project.unlocked())
    selected = [i for i in targets.values() if i is not None]
    if len(set(selected)) < len(selected) or not unlocked.issuperset(selected):
        raise PromptError("select a different unlocked object, or a new object, for each object of the file")
    masks: dict[int, dict[int, str]] = {number: {} for number in labels.names}
    for index, masks_at in sorted(labels.masks.items()):
        for number, counts in masks_at.items():
            masks[number][index] = counts
    listed = []
    rows = {row["id"]: row for row in project.objects()}
    for number, name in labels.names.items():
        target = targets.get(number)
        existing = {} if target is None else project.masks_of(target)
        imported = masks[number]
        replaced = [
            index for index in imported if index in existing and existing[index][1] != imported[index]
        ]
        added = [index for index in imported if index not in existing]
        corrected = sum(existing[index][0] == "given" for index in replaced)
        same = len(imported) - len(added) - len(replaced)
        about = _changed_attributes(rows.get(target), labels.attributes.get(number, {}))
        changed_on_frames = _changed_on_frames(rows.get(target), labels.frame_attributes.get(number, {}))
        listed.append(
            Effect(number, name, target, added, replaced, corrected, same, about, changed_on_frames)
        )
    return listed


def additions(project: Project, labels: Labels) -> list[str]:
    """Classes and attributes that an import adds to the label schema, by name."""
    schema = project.schema
    merged = schema.with_additions(labels.schema)
    old = set(schema.all_attributes())
    names = [name for name in merged.names if name not in schema.names]
    attributes = [one.name for of, one in merged.all_attributes() if (of, one) not in old]
    return [*names, *dict.fromkeys(attributes)]


def _changed_on_frames(
    row: Mapping[str, Any] | None, imported: Mapping[str, Mapping[int, str]]
) -> dict[str, Mapping[int, str]]:
    """Frame attributes of an imported object that differ from its target."""
    existing: Mapping[str, Mapping[int, str]] = {} if row is None else row["frame_attributes"]
    return {
        name: values
        for name, values in imported.items()
        if with_values(existing.get(name, {}), values) != existing.get(name)
    }


def _changed_attributes(row: Mapping[str, Any] | None, imported: Mapping[str, str]) -> dict[str, str]:
    """Attributes and group of an imported object that its target lacks."""
    imported = {key: value[:MAX_NAME_LENGTH] if key == "group" else value for key, value in imported.items()}
    existing = {} if row is None else {**row["attributes"], "group": row["group"]}
    return {key: value for key, value in imported.items() if existing.get(key) != value}


def _same_objects(project: Project, labels: Labels) -> dict[int, int]:
    names = {row["id"]: {row["category"], row["name"]} for row in project.objects() if not row["locked"]}
    same: dict[int, int] = {}
    for number, object_id in labels.ids.items():
        if labels.names[number] in names.get(object_id, ()) and object_id not in same.values():
            same[number] = object_id
    return same


def store(project: Project, labels: Labels, effects: Sequence[Effect]) -> None:
    """Store imported objects, inside :meth:`segue_web.project.project.Project.change`."""
    merged = project.schema.with_additions(labels.schema)
    if merged != project.schema:
        project.set_schema(merged)
    for effect in effects:
        number, appearance = effect.target, {}
        if number is None:
            number = project.add_object(effect.name)
            appearance = {
                "category": labels.class_of.get(effect.number),
                "colour": labels.colour_of.get(effect.number),
            }
        about = {key: value for key, value in effect.about.items() if key != "group"}
        changed = {
            "group": effect.about.get("group"),
            "attributes": about,
            **appearance,
        }
        if changed := {key: value for key, value in changed.items() if value}:
            project.set_object(number, **changed)
        if effect.frame_attributes:
            project.import_frame_attributes(number, effect.frame_attributes)
        for index in (*effect.added, *effect.replaced):
            score, area = labels.score(index, effect.number), labels.area(index, effect.number)
            counts = labels.masks[index][effect.number]
            project.replace_mask(index, number, counts, FrameAnnotation("imported", score, area))
        _store_shapes(project, number, labels.shapes.get(effect.number, ()))
        if len(changed_frames := [*effect.added, *effect.replaced]) == 1 and not effect.same:
            project.correct(changed_frames[0], number, Correction())  # a first mask, to be tracked from


def _store_shapes(project: Project, number: int, shapes: Sequence[KeyedShape]) -> None:
    """Store the shapes of an imported object, unless its target has shapes."""
    if project.shapes_of(number):
        return
    for shape in shapes:
        project.set_shape(None, number, shape)


def summary(done: Sequence[Effect]) -> str:
    """Changes of an import, in one line."""
    new = sum(effect.target is None for effect in done)
    added, replaced = (sum(len(getattr(effect, name)) for effect in done) for name in ("added", "replaced"))
    counts = (
        (new, "new object", "new objects"),
        (added, "mask added", "masks added"),
        (replaced, "mask replaced", "masks replaced"),
    )
    parts = [f"{count} {one if count == 1 else several}" for count, one, several in counts if count]
    return ", ".join(parts) or "nothing new"
