"""What a camera knows of its scene from run to run, and the file in which it outlives the process."""

from __future__ import annotations

import time
from collections.abc import Callable, Container
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ValidationError

from segue.errors import SinkError
from segue.events.scene.light import LightFilter
from segue.events.scene.scenery import Scenery, SceneryRecord
from segue.events.scene.standing import ObjectsRecord, StandingObjects
from segue.types import Frame, Segmentation
from segue.utils.files import reason_of, write_complete, writing
from segue.utils.inputs import first_line

MAX_BYTES = 64 << 20
"""Bytes of the largest file that is read."""

SAVE_SECONDS = 10.0
"""How often what is new is written at most; a camera that is killed forgets no more."""

REFRESH_SECONDS = 600.0
"""How often it is written although nothing is new: what stands looks otherwise in another light."""


class SceneRecord(BaseModel, frozen=True, extra="forbid"):
    """The content of the file.

    Attributes:
        format: its version.
        objects: those that stand; None where no frame has come.
        scenery: places where something comes and goes again and again.
    """

    format: Literal["segue-scene-1"]
    objects: ObjectsRecord | None = None
    scenery: SceneryRecord = SceneryRecord()


class SceneMemory:
    """Takes the results of a camera, with the objects that stand, without light and places that are scene.

    Args:
        notice: called with a line about each new place, and about a file that cannot be used.
        without_light: leave out what differs from the scene by the light around it alone, as a session that
            finds what is no background may take it for an object.

    Attributes:
        scenery: places where something comes and goes again and again.
        standing: objects that stand.
    """

    def __init__(
        self, notice: Callable[[str], object] = lambda _: None, *, without_light: bool = True
    ) -> None:
        self._notice = notice
        self.scenery, self.standing = Scenery(notice), StandingObjects()
        self._light = LightFilter() if without_light else None
        self._path: Path | None = None
        self._is_new = True
        self._saved: object = None  # what was written last
        self._saved_time = self._checked_time = -float("inf")
        self._problem = ""

    def begin(self, path: Path | None, *, resumes: bool) -> None:
        """Begin a run, with another clock than the one before.

        Args:
            path: the file; None has none.
            resumes: whether it goes on after runs of earlier processes; else their file is removed.
        """
        self._path = path
        self.scenery.restart()
        self.standing.restart()
        if self._is_new and path is not None:
            if resumes:
                self._load(path)
            else:
                with writing(path):
                    path.unlink(missing_ok=True)
        self._is_new = False

    def resume(self, numbers: Container[int]) -> set[int]:
        """Go on with objects whose end nobody has been told, see :meth:`.standing.StandingObjects.resume`."""
        return self.standing.resume(numbers)

    def see(self, frame: Frame, result: Segmentation) -> Segmentation:
        """Take a frame and its result; gives the result as events are made of it."""
        if self._light is not None:
            result = self._light.see(frame, result, self.standing.background)
        result = self.standing.see(frame, self.scenery.see(result))
        now = time.monotonic()
        if self._path is not None and now - self._checked_time >= SAVE_SECONDS:
            self._checked_time = now
            if self._summary() != self._saved or now - self._saved_time >= REFRESH_SECONDS:
                self.save()
        return result

    def save(self) -> set[int]:
        """Write the file, unless the disk is full; gives the objects that stand, which the next run has."""
        if self._path is None:
            return set()
        self._saved_time, self._saved = time.monotonic(), self._summary()
        ids, scenery = self.standing.ids, self.scenery.record()
        if not ids and scenery == SceneryRecord() and not self._path.exists():
            return set()  # nothing has ever stood here
        record = SceneRecord(format="segue-scene-1", objects=self.standing.record(), scenery=scenery)
        try:
            write_complete(self._path, record.model_dump_json().encode())
        except SinkError as error:
            self._note_problem(f"{error}; what stands is forgotten at a restart")
            return set()
        self._problem = ""
        return ids

    def _summary(self) -> object:
        """What is new if it is another one."""
        return self.standing.ids, self.scenery.record()

    def _load(self, path: Path) -> None:
        try:
            with path.open("rb") as file:
                data = file.read(MAX_BYTES + 1)
            if len(data) > MAX_BYTES:
                raise ValueError("it is too large")
            record = SceneRecord.model_validate_json(data)
            if record.objects is not None:
                self.standing.restore(record.objects)
        except FileNotFoundError:
            return
        except OSError as error:
            self._note_problem(f"{path}: cannot be read ({reason_of(error)}); what stands is background")
        except (ValidationError, ValueError) as error:
            reason = first_line(error) if not isinstance(error, ValidationError) else "another content"
            self._note_problem(f"{path}: is ignored, it is no file of what stands ({reason})")
        else:
            self.scenery.restore(record.scenery)

    def _note_problem(self, text: str) -> None:
        if text != self._problem:
            self._notice(text)
        self._problem = text
