"""A project of the page: objects, prompts, masks and history in one folder that survives any kill.

Masks are index PNGs in ``masks/``, named after their content and never changed, so that undo only has to
point at an earlier one, and complete before a row names them. All else is in ``project.db``.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from segue.errors import PromptError, SegueError, SourceError
from segue.masks import measure, read_index_mask
from segue.masks.files import MAX_ID, encode_index_mask
from segue.types import IndexMask
from segue.video.partial import write_complete
from segue_web.interpolation import Corners
from segue_web.store import MASK_NAME, POLYGON, Row, StaleError, Store

Kind = Literal["given", "tracked", "found", "imported", "interpolated"]
"""Where the mask of an object on a frame comes from; ``given`` ones are a person's and stay."""

COLOURS = ("#f2495c", "#ffb020", "#37c978", "#35b6f2", "#b877f2", "#f277b6", "#8fd14f", "#f28b54", "#5c7cfa",
           "#20c9b4", "#e6d34a", "#c98a5e")  # fmt: skip
"""Colours of new objects, in turn."""


MOST_ATTRIBUTES = 40
"""Attributes of an object."""


@dataclass(frozen=True, slots=True)
class Mark:
    """What is known of one object on one frame.

    Attributes:
        kind: where its mask comes from.
        score: the IoU to be expected, in 0..1, as the tracker, the prompter of a click or a detector says;
            1 where a person drew it, or nobody can say.
        area: pixels.
        weight: share of the later correction where two directions were joined, in 0..1; None elsewhere.
        agreement: IoU of the two directions there.
    """

    kind: Kind
    score: float = 1.0
    area: int = 0
    weight: float | None = None
    agreement: float | None = None


MarkedMask = tuple[npt.NDArray[np.bool_], Mark]
"""The mask of one object on one frame, (H, W), and what is known of it."""


class Project(Store):
    """An open project about a film, which JSON values describe; one process at a time.

    Raises:
        SegueError: another process has it open, it belongs to another film, or is damaged.
        SinkError: the folder cannot be written to.
    """

    def __init__(self, folder: Path, film: Mapping[str, Any], size: tuple[int, int]) -> None:
        self.size = size
        self._polygons: tuple[int, dict[int, dict[int, Corners]]] = (-1, {})
        super().__init__(folder, film)

    def objects(self) -> list[Row]:
        """All objects: id, name, colour, category, group, attributes, visible, locked; empty means none."""
        return [
            {
                **{name: row[name] for name in ("id", "name", "colour", "category")},
                **{name: bool(row[name]) for name in ("visible", "locked")},
                "group": row["team"],
                "attributes": json.loads(row["attributes"] or "{}"),
            }
            for row in self._db.execute("SELECT * FROM objects ORDER BY id")
        ]

    def unlocked(self, wanted: Iterable[int] | None = None) -> list[int]:
        """Those of the wanted objects that are there and may change; None wants all."""
        unlocked = [row["id"] for row in self.objects() if not row["locked"]]
        return unlocked if wanted is None else [i for i in wanted if i in unlocked]

    def timeline(self) -> list[list[Any]]:
        """All marks: frame, object, kind, score, area, weight, agreement."""
        return [list(row) for row in self._db.execute("SELECT * FROM marks ORDER BY frame, object")]

    def marks(self, frame: int) -> dict[int, Mark]:
        """What is known of the objects of a frame."""
        rows = self._db.execute("SELECT * FROM marks WHERE frame=?", (frame,))
        return {row["object"]: Mark(*tuple(row)[2:]) for row in rows}

    def prompts(self, frame: int) -> dict[int, Row]:
        """Clicks, boxes and polygons that a person gave on a frame."""
        rows = self._db.execute("SELECT object, data FROM prompts WHERE frame=?", (frame,))
        return {row["object"]: json.loads(row["data"]) for row in rows}

    def polygons(self) -> Mapping[int, Mapping[int, Corners]]:
        """Polygons drawn for interpolation, by object and frame; cached until the next change."""
        revision, known = self._polygons
        if revision != self._prompt_revision:
            known = {}
            sql = "SELECT frame, object, data FROM prompts WHERE instr(data, ?) ORDER BY frame"
            for row in self._db.execute(sql, (POLYGON,)):
                corners = json.loads(row["data"]).get("polygon")
                if corners:
                    known.setdefault(row["object"], {})[row["frame"]] = np.array(corners, np.float64)
            self._polygons = self._prompt_revision, known
        return known

    def mask(self, frame: int) -> IndexMask:
        """Index mask of a frame, (H, W), uint8 or uint16; empty where nothing was saved.

        Args:
            frame: its number.

        Returns:
            (H, W), 0 background, 1.. objects; a new array.

        Raises:
            SourceError: the file is damaged, or of another size than the film.
        """
        return self._read_mask(self.mask_file(frame))

    def mask_before(self, frame: int) -> tuple[str, IndexMask] | None:
        """The mask of a frame before the last step that changed it and is not undone.

        Args:
            frame: its number.

        Returns:
            Name of the step, and (H, W), 0 background, 1.. objects; None where no step changed the frame.

        Raises:
            SourceError: the file is damaged, or of another size than the film.
        """
        found = self.file_before(frame)
        if found is None:
            return None
        label, name = found
        return label, self._read_mask(None if name is None else self._mask_path(frame, name))

    def mask_file(self, frame: int) -> Path | None:
        """The file of a frame's mask."""
        row = self._one("SELECT file FROM frames WHERE frame=?", frame)
        return None if row is None else self._mask_path(frame, str(row["file"]))

    def _mask_path(self, frame: int, name: str) -> Path:
        if not MASK_NAME.fullmatch(name):
            raise SourceError(
                f"{self.folder / 'project.db'}: frame {frame} names a file that is no mask of it"
            )
        return self.masks / name

    def _read_mask(self, path: Path | None) -> IndexMask:
        if path is None:
            return np.zeros(self.size, np.uint8)
        mask = read_index_mask(path)
        if mask.shape != self.size:
            raise SourceError(f"{path}: is {mask.shape[1]}x{mask.shape[0]}, not the size of the film")
        return mask

    def masked_frames(self) -> list[int]:
        """Frames with a saved mask, ascending."""
        return [row[0] for row in self._db.execute("SELECT frame FROM frames ORDER BY frame")]

    def frames_of(self, objects: Iterable[int], kind: Kind = "given") -> list[int]:
        """Frames on which one of the objects has a mask of a kind, ascending."""
        wanted = set(objects)
        rows = self._db.execute("SELECT frame, object FROM marks WHERE kind=?", (kind,))
        return sorted({row["frame"] for row in rows if row["object"] in wanted})

    def add_object(self, name: str | None = None) -> int:
        """A new object, inside :meth:`change`; its id is 1 more than the largest ever used."""
        number = int(self._meta("last")) + 1
        if number > MAX_ID:
            raise SegueError(f"a project holds ids up to {MAX_ID}; begin another with --project")
        self._set_meta("last", number)
        colour = COLOURS[(number - 1) % len(COLOURS)]
        about = {
            "name": name or f"Object {number}",
            "colour": colour,
            "category": "",
            "team": "",
            "attributes": "",
        }
        self._set("objects", (number,), {"id": number, **about, "visible": 1, "locked": 0})
        return number

    def set_object(self, number: int, **values: Any) -> None:
        """Change what :meth:`objects` gives of an object, inside :meth:`change`.

        Of ``attributes`` those that are given change, and None removes one.
        """
        row = self._object(number)
        if "attributes" in values:
            changed = json.loads(row["attributes"] or "{}") | values.pop("attributes")
            kept = {name: text for name, text in changed.items() if text is not None}
            if len(kept) > MOST_ATTRIBUTES:
                raise SegueError(f"an object has room for {MOST_ATTRIBUTES} attributes; remove one first")
            values["attributes"] = json.dumps(kept) if kept else ""
        if "group" in values:
            values["team"] = values.pop("group")
        values = {key: int(value) if isinstance(value, bool) else value for key, value in values.items()}
        self._set("objects", (number,), {**row, **values})

    def remove_object(self, number: int) -> None:
        """Remove an object and its masks on all frames, inside :meth:`change`."""
        self._object(number)
        for (frame,) in self._db.execute("SELECT frame FROM marks WHERE object=?", (number,)).fetchall():
            mask = np.array(self.mask(frame))
            mask[mask == number] = 0
            self.write(frame, mask, {number: None})
            self.set_prompt(frame, number, None)
        self._set("objects", (number,), None)

    def set_prompt(self, frame: int, number: int, data: Row | None) -> None:
        """Save clicks, box and polygon of an object on a frame, inside :meth:`change`; None removes them."""
        row = None if data is None else {"frame": frame, "object": number, "data": json.dumps(data)}
        self._set("prompts", (frame, number), row)
        self._changed.frames.add(frame)

    def write(self, frame: int, mask: IndexMask, marks: Mapping[int, Mark | None]) -> None:
        """Save the mask of a frame, inside :meth:`change`.

        Args:
            frame: its number.
            mask: (H, W), 0 background, 1.. objects.
            marks: those of the objects that change; None forgets one. Areas are taken from the mask, and
                other objects lose only what was covered.
        """
        extents = measure(mask)
        new = {**self.marks(frame), **marks}
        for number, mark in new.items():
            row = None
            if mark is not None:
                area = extents[number].area if number in extents else 0
                row = {"frame": frame, "object": number, **asdict(replace(mark, area=area))}
            self._set("marks", (frame, number), row)
        if not any(new.values()):
            self._set("frames", (frame,), None)
        else:
            data = encode_index_mask(mask)
            name = f"{frame:06d}-{hashlib.sha256(data).hexdigest()[:16]}.png"
            if not (self.masks / name).exists():
                write_complete(self.masks / name, data)
            self._set("frames", (frame,), {"frame": frame, "file": name})
        self._changed.frames.add(frame)

    def put(self, frame: int, objects: Mapping[int, MarkedMask]) -> None:
        """Put masks of objects into a frame, inside :meth:`change`, under those that are locked.

        A mask that a person gave is not covered by one that nobody did, and not replaced by it.

        Args:
            frame: its number.
            objects: mask (H, W), bool, and mark by object; later ones cover earlier ones.
        """
        mask, known = np.array(self.mask(frame)), self.marks(frame)
        if objects and max(objects) > 255:
            mask = mask.astype(np.uint16)
        locked = {row["id"] for row in self.objects() if row["locked"]} & known.keys()
        given = {i for i, mark in known.items() if mark.kind == "given"}
        written = {}
        for number, (plane, mine) in objects.items():
            above = locked if mine.kind == "given" else locked | given
            if mine.kind != "given" and number in given:
                continue
            mask[mask == number] = 0
            mask[plane & ~np.isin(mask, sorted(above - {number}))] = number
            written[number] = mine
        if written:
            self.write(frame, mask, written)

    def check_edit(self, frame: int, seen: int, number: int | None) -> None:
        """See that an edit was made on the frame as it is, and that its object may change."""
        self.check_fresh(frame, seen)
        if number is not None:
            known = {row["id"]: row for row in self.objects()}
            if number not in known:
                raise StaleError(f"there is no object {number} any more")
            if known[number]["locked"]:
                raise PromptError(f"{known[number]['name']} is locked; unlock it first")

    def _object(self, number: int) -> Row:
        row = self._one("SELECT * FROM objects WHERE id=?", number)
        if row is None:
            raise SegueError(f"there is no object {number}; it may have been removed in another window")
        return dict(row)
