"""A project of the page: objects, prompts, masks and history in one folder that survives any kill.

``project.db`` is SQLite in WAL mode and holds everything but pixels; masks are index PNGs in ``masks/``,
named after their content and never changed, so that undo only has to point at an earlier one. A mask file is
complete before a row names it.
"""

from __future__ import annotations

import hashlib
import json
import re
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from segue.errors import SegueError, SinkError, SourceError
from segue.masks import measure, read_index_mask
from segue.masks.files import encode_index_mask
from segue.types import IndexMask
from segue.video.partial import write_complete, writing

FORMAT = 1
HISTORY = 500
"""Steps that can be undone."""

Kind = Literal["given", "tracked", "found", "imported"]
"""Where the mask of an object on a frame comes from; ``given`` ones are a person's and stay."""

COLOURS = ("#f2495c", "#ffb020", "#37c978", "#35b6f2", "#b877f2", "#f277b6", "#8fd14f", "#f28b54", "#5c7cfa",
           "#20c9b4", "#e6d34a", "#c98a5e")  # fmt: skip
"""Colours of new objects, in turn."""

_MASK_NAME = re.compile(r"\d{6,}-[0-9a-f]{16}\.png")

_SCHEMA = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE objects (id INTEGER PRIMARY KEY, name TEXT NOT NULL, colour TEXT NOT NULL,
                      visible INTEGER NOT NULL, locked INTEGER NOT NULL);
CREATE TABLE frames (frame INTEGER PRIMARY KEY, file TEXT NOT NULL);
CREATE TABLE marks (frame INTEGER, object INTEGER, kind TEXT NOT NULL, score REAL NOT NULL,
                    area INTEGER NOT NULL, weight REAL, agreement REAL, PRIMARY KEY (frame, object));
CREATE TABLE prompts (frame INTEGER, object INTEGER, data TEXT NOT NULL, PRIMARY KEY (frame, object));
CREATE TABLE jobs (id INTEGER PRIMARY KEY, spec TEXT NOT NULL, done INTEGER NOT NULL, total INTEGER NOT NULL,
                   at INTEGER, state TEXT NOT NULL);
CREATE TABLE history (id INTEGER PRIMARY KEY, label TEXT NOT NULL, undone INTEGER NOT NULL DEFAULT 0);
CREATE TABLE steps (id INTEGER PRIMARY KEY, entry INTEGER NOT NULL, tbl TEXT NOT NULL, key TEXT NOT NULL,
                    before TEXT);
CREATE INDEX steps_of_entry ON steps (entry);
"""

_KEYS = {
    "objects": ("id",),
    "frames": ("frame",),
    "marks": ("frame", "object"),
    "prompts": ("frame", "object"),
}
_COLUMNS = {
    "objects": ("id", "name", "colour", "visible", "locked"),
    "frames": ("frame", "file"),
    "marks": ("frame", "object", "kind", "score", "area", "weight", "agreement"),
    "prompts": ("frame", "object", "data"),
}

Row = dict[str, Any]


class StaleError(SegueError):
    """An edit that was made on a frame as it no longer is: another tab has changed it."""


@dataclass(frozen=True, slots=True)
class Mark:
    """What is known of one object on one frame.

    Attributes:
        kind: where its mask comes from.
        score: mean probability inside the mask, in 0..1; 1 where a person gave it.
        area: pixels.
        weight: share of the later correction where two directions were joined, in 0..1; None elsewhere.
        agreement: IoU of the two directions there.
    """

    kind: Kind
    score: float = 1.0
    area: int = 0
    weight: float | None = None
    agreement: float | None = None


@dataclass(slots=True)
class Changed:
    """What a change has touched; the page asks for these again."""

    frames: set[int]
    objects: bool = False


class Project:
    """An open project; one process at a time.

    Args:
        folder: made if it is not there.
        film: what the project is about, as JSON values; a project of another film is refused.
        size: height and width of the frames.

    Raises:
        SegueError: another process has it open, it belongs to another film, or is damaged.
        SinkError: the folder cannot be written to.
    """

    def __init__(self, folder: Path, film: Mapping[str, Any], size: tuple[int, int]) -> None:
        self.folder, self.size = folder, size
        self.masks = folder / "masks"
        with writing(folder):
            self.masks.mkdir(parents=True, exist_ok=True)
        self._lock = sqlite3.connect(
            folder / "lock.db", timeout=0, isolation_level=None, check_same_thread=False
        )
        try:
            self._lock.execute("BEGIN EXCLUSIVE")
        except sqlite3.OperationalError as error:
            self._lock.close()
            raise SegueError(
                f"{folder}: is open in another process ({error}); close that one first"
            ) from None
        try:
            self._db = sqlite3.connect(folder / "project.db", isolation_level=None, check_same_thread=False)
            self._db.row_factory = sqlite3.Row
            self._db.execute("PRAGMA trusted_schema=OFF")
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=NORMAL")
            self._prepare(dict(film))
        except sqlite3.DatabaseError as error:
            self.close()
            raise SegueError(f"{folder / 'project.db'}: damaged or not a project ({error})") from None
        except SegueError:
            self.close()
            raise
        self._entry: int | None = None
        self._changed = Changed(set())
        self._frame_revisions: dict[int, int] = {}

    def close(self) -> None:
        """Let another process open it."""
        if hasattr(self, "_db"):
            self._db.close()
        self._lock.close()

    # Reading

    @property
    def revision(self) -> int:
        """Rises with every change."""
        return int(self._meta("revision"))

    def frame_revision(self, frame: int) -> int:
        """Revision of the last change of a frame since the project was opened, 0 if there was none."""
        return self._frame_revisions.get(frame, 0)

    def objects(self) -> list[Row]:
        """All objects in the order of their ids."""
        return [
            {**row, "visible": bool(row["visible"]), "locked": bool(row["locked"])}
            for row in map(dict, self._db.execute("SELECT * FROM objects ORDER BY id"))
        ]

    def timeline(self) -> list[list[Any]]:
        """All marks: frame, object, kind, score, area, weight, agreement."""
        return [list(row) for row in self._db.execute("SELECT * FROM marks ORDER BY frame, object")]

    def marks(self, frame: int) -> dict[int, Mark]:
        """What is known of the objects on a frame."""
        rows = self._db.execute("SELECT * FROM marks WHERE frame=?", (frame,))
        return {row["object"]: Mark(*tuple(row)[2:]) for row in rows}

    def prompts(self, frame: int) -> dict[int, Row]:
        """Clicks and boxes of the objects on a frame."""
        rows = self._db.execute("SELECT object, data FROM prompts WHERE frame=?", (frame,))
        return {row["object"]: json.loads(row["data"]) for row in rows}

    def prompted(self) -> list[tuple[int, int]]:
        """Frames and objects with clicks or boxes."""
        return [
            (row[0], row[1]) for row in self._db.execute("SELECT frame, object FROM prompts ORDER BY 1, 2")
        ]

    def mask(self, frame: int) -> IndexMask:
        """Index mask of a frame, (H, W), uint8 or uint16; empty where nothing was saved.

        Raises:
            SourceError: the file is damaged or of another size.
        """
        path = self.mask_file(frame)
        if path is None:
            return np.zeros(self.size, np.uint8)
        mask = read_index_mask(path)
        if mask.shape != self.size:
            raise SourceError(f"{path}: is {mask.shape[1]}x{mask.shape[0]}, not the size of the film")
        return mask

    def mask_file(self, frame: int) -> Path | None:
        """File of a frame's mask, None where there is none."""
        row = self._db.execute("SELECT file FROM frames WHERE frame=?", (frame,)).fetchone()
        if row is None:
            return None
        if not _MASK_NAME.fullmatch(str(row["file"])):
            raise SourceError(
                f"{self.folder / 'project.db'}: frame {frame} names a file that is no mask of it"
            )
        return self.masks / str(row["file"])

    def masked_frames(self) -> list[int]:
        """Frames with a saved mask, ascending."""
        return [row[0] for row in self._db.execute("SELECT frame FROM frames ORDER BY frame")]

    def frames_of(self, objects: Iterable[int], kind: Kind = "given") -> list[int]:
        """Frames on which one of the objects has a mask of a kind, ascending."""
        wanted = set(objects)
        rows = self._db.execute("SELECT frame, object FROM marks WHERE kind=?", (kind,))
        return sorted({row["frame"] for row in rows if row["object"] in wanted})

    def settings(self) -> Row:
        """What the page remembers."""
        return dict(json.loads(self._meta("settings")))

    def history(self) -> dict[str, str | None]:
        """What would be undone and redone next."""
        undo = self._db.execute(
            "SELECT label FROM history WHERE NOT undone ORDER BY id DESC LIMIT 1"
        ).fetchone()
        redo = self._db.execute("SELECT label FROM history WHERE undone ORDER BY id LIMIT 1").fetchone()
        return {"undo": undo and undo[0], "redo": redo and redo[0]}

    # Writing

    @contextmanager
    def change(self, label: str, *, entry: int | None = None) -> Iterator[Changed]:
        """One transaction, and one step of the history.

        Args:
            label: what undo calls it.
            entry: the entry of an earlier change that this one belongs to, as for the frames of one tracking.
        """
        with self._transaction() as changed:
            if entry is None:
                self._db.execute("DELETE FROM steps WHERE entry IN (SELECT id FROM history WHERE undone)")
                self._db.execute("DELETE FROM history WHERE undone")
                entry = self._db.execute("INSERT INTO history (label) VALUES (?)", (label,)).lastrowid
                assert entry is not None
                old = entry - HISTORY
                self._db.execute("DELETE FROM history WHERE id<=?", (old,))
                self._db.execute("DELETE FROM steps WHERE entry<=?", (old,))
            self._entry = entry
            yield changed

    @property
    def last_entry(self) -> int:
        """Number of the history's last entry."""
        return int(self._db.execute("SELECT coalesce(max(id), 0) FROM history").fetchone()[0])

    def check_fresh(self, frame: int, seen: int) -> None:
        """See that nobody changed a frame since revision ``seen``.

        Raises:
            StaleError: somebody did.
        """
        if self.frame_revision(frame) > seen:
            raise StaleError(f"frame {frame} was changed in another window meanwhile; look and do it again")

    def add_object(self, name: str | None = None) -> int:
        """A new object, inside :meth:`change`; its id is 1 more than the largest ever used."""
        used = self._db.execute(
            "SELECT max(coalesce((SELECT max(id) FROM objects), 0), ?)", (self._meta("last"),)
        )
        number = int(used.fetchone()[0]) + 1
        self._set_meta("last", number)
        colour = COLOURS[(number - 1) % len(COLOURS)]
        row = {"id": number, "name": name or f"Object {number}", "colour": colour, "visible": 1, "locked": 0}
        self._set("objects", (number,), row)
        return number

    def set_object(self, number: int, **values: Any) -> None:
        """Change name, colour, visibility or lock of an object, inside :meth:`change`.

        Raises:
            SegueError: there is no such object.
        """
        self._set("objects", (number,), {**self._object(number), **values})

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
        """Save clicks and box of an object on a frame, inside :meth:`change`; None removes them."""
        row = None if data is None else {"frame": frame, "object": number, "data": json.dumps(data)}
        self._set("prompts", (frame, number), row)
        self._touch(frame)

    def write(self, frame: int, mask: IndexMask, marks: Mapping[int, Mark | None]) -> None:
        """Save the mask of a frame, inside :meth:`change`; areas are those of the mask.

        Args:
            frame: its number.
            mask: index mask, (H, W).
            marks: for the objects that change; None forgets one. Others lose only what was covered.

        Raises:
            SinkError: it cannot be written, as on a full disk; then nothing is changed.
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
        self._touch(frame)

    def put(self, frame: int, planes: Mapping[int, npt.NDArray[np.bool_]], marks: Mapping[int, Mark]) -> None:
        """Put masks of objects into a frame, inside :meth:`change`, under those that are locked.

        A mask that a person gave is not covered by one that nobody did, and not replaced by it.
        """
        mask, known = np.array(self.mask(frame)), self.marks(frame)
        if planes and max(planes) > 255:
            mask = mask.astype(np.uint16)
        locked = {row["id"] for row in self.objects() if row["locked"]}
        written = {}
        for number, plane in planes.items():
            mine = marks[number]
            if mine.kind != "given" and number in known and known[number].kind == "given":
                continue
            mask[mask == number] = 0
            above = {i for i in known if i != number and (i in locked or _outranks(known[i], mine))}
            mask[plane & ~np.isin(mask, sorted(above))] = number
            written[number] = mine
        if written:
            self.write(frame, mask, written)

    def undo(self, *, redo: bool = False) -> tuple[str, Changed] | None:
        """Undo the last change that is not undone, or redo the first that is; None if there is none.

        Returns:
            What it was, and what it touched.
        """
        order = "WHERE undone ORDER BY id" if redo else "WHERE NOT undone ORDER BY id DESC"
        row = self._db.execute(f"SELECT id, label FROM history {order} LIMIT 1").fetchone()
        if row is None:
            return None
        with self._transaction() as changed:
            steps = self._db.execute(
                "SELECT * FROM steps WHERE entry=? ORDER BY id DESC", (row["id"],)
            ).fetchall()
            self._db.execute("DELETE FROM steps WHERE entry=?", (row["id"],))
            self._entry = row["id"]
            for step in steps:
                table, key = step["tbl"], tuple(json.loads(step["key"]))
                self._set(table, key, None if step["before"] is None else json.loads(step["before"]))
                if table != "objects":
                    self._touch(key[0])
            self._db.execute("UPDATE history SET undone=? WHERE id=?", (int(not redo), row["id"]))
        return str(row["label"]), changed

    def set_settings(self, values: Row) -> None:
        """Remember settings of the page."""
        self._set_meta("settings", json.dumps({**self.settings(), **values}))

    # Jobs: what was being computed, so that it can be gone on with

    def begin_job(self, spec: Row, total: int) -> int:
        """Note that a computation begins; an earlier one that was interrupted is given up."""
        with self._transaction():
            self._db.execute("UPDATE jobs SET state='replaced' WHERE state IN ('running', 'stopped')")
            sql = "INSERT INTO jobs (spec, done, total, state) VALUES (?, 0, ?, 'running')"
            number = self._db.execute(sql, (json.dumps(spec), total)).lastrowid
        assert number is not None
        return number

    def note_job(
        self, number: int, *, done: int | None = None, at: int | None = None, state: str | None = None
    ) -> None:
        """Note how far a computation is."""
        sql = (
            "UPDATE jobs SET done=coalesce(?, done), at=coalesce(?, at), state=coalesce(?, state) WHERE id=?"
        )
        self._db.execute(sql, (done, at, state, number))

    def interrupted(self) -> Row | None:
        """The computation that a kill or a stop interrupted: ``spec``, ``done``, ``total`` and ``at``."""
        row = self._db.execute(
            "SELECT * FROM jobs WHERE state IN ('running', 'stopped') ORDER BY id DESC"
        ).fetchone()
        return None if row is None else {**dict(row), "spec": json.loads(row["spec"])}

    # Within

    def _prepare(self, film: Row) -> None:
        if not self._db.execute("SELECT 1 FROM sqlite_master WHERE name='meta'").fetchone():
            self._db.executescript("BEGIN;" + _SCHEMA + "COMMIT;")
            start = {"format": FORMAT, "film": json.dumps(film), "revision": 0, "settings": "{}", "last": 0}
            for key, value in start.items():
                self._set_meta(key, value)
        if self._meta("format") != str(FORMAT):
            raise SegueError(f"{self.folder}: a project of another version of segue")
        known = json.loads(self._meta("film"))
        for key in ("width", "height", "frames"):
            if known.get(key) != film.get(key):
                raise SegueError(
                    f"{self.folder}: a project of another film ({known.get('name')}, {key} {known.get(key)}, "
                    f"not {film.get(key)}); choose another folder with --project"
                )
        self._tidy()

    def _tidy(self) -> None:
        """Remove mask files that neither a frame nor the history names: of a killed change, or forgotten."""
        used = {row[0] for row in self._db.execute("SELECT file FROM frames")}
        befores = self._db.execute("SELECT before FROM steps WHERE tbl='frames' AND before IS NOT NULL")
        used |= {json.loads(row[0])["file"] for row in befores}
        for path in self.masks.iterdir():
            if path.name not in used and (_MASK_NAME.fullmatch(path.name) or path.suffix == ".partial"):
                with suppress(OSError):
                    path.unlink()

    @contextmanager
    def _transaction(self) -> Iterator[Changed]:
        self._changed = Changed(set())
        try:
            self._db.execute("BEGIN IMMEDIATE")
            yield self._changed
            revision = self.revision + 1
            self._set_meta("revision", revision)
            self._db.execute("COMMIT")
        except BaseException as error:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            if isinstance(error, sqlite3.OperationalError):
                raise SinkError(
                    f"{self.folder}: cannot be saved ({error}); free some space and do it again"
                ) from None
            raise
        finally:
            self._entry = None
        self._frame_revisions.update(dict.fromkeys(self._changed.frames, revision))

    def _touch(self, frame: int) -> None:
        self._changed.frames.add(frame)

    def _object(self, number: int) -> Row:
        row = self._db.execute("SELECT * FROM objects WHERE id=?", (number,)).fetchone()
        if row is None:
            raise SegueError(f"there is no object {number}; it may have been removed in another window")
        return dict(row)

    def _set(self, table: str, key: Sequence[int], row: Row | None) -> None:
        """Set or remove one row, and note in the history what it was."""
        where = " AND ".join(f"{name}=?" for name in _KEYS[table])
        before = self._db.execute(f"SELECT * FROM {table} WHERE {where}", tuple(key)).fetchone()
        old = None if before is None else dict(before)
        if old == row:
            return
        sql = "INSERT INTO steps (entry, tbl, key, before) VALUES (?, ?, ?, ?)"
        self._db.execute(sql, (self._entry, table, json.dumps(key), None if old is None else json.dumps(old)))
        if row is None:
            self._db.execute(f"DELETE FROM {table} WHERE {where}", tuple(key))
        else:
            values = [row[name] for name in _COLUMNS[table]]
            places = ", ".join("?" * len(values))
            self._db.execute(f"INSERT OR REPLACE INTO {table} VALUES ({places})", values)
        self._changed.objects |= table == "objects"

    def _meta(self, key: str) -> str:
        row = self._db.execute("SELECT value FROM meta WHERE key=?", (key,)).fetchone()
        if row is None:
            raise SegueError(f"{self.folder / 'project.db'}: damaged, it lacks {key!r}")
        return str(row[0])

    def _set_meta(self, key: str, value: Any) -> None:
        self._db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, str(value)))


def _outranks(one: Mark, other: Mark) -> bool:
    return one.kind == "given" and other.kind != "given"
