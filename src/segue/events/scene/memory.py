"""Memory of the scene of a camera, saved in its store from run to run."""

from __future__ import annotations

import time
from collections.abc import Callable, Container
from typing import Literal

from pydantic import BaseModel, ValidationError

from segue.errors import SinkError
from segue.events.scene.light import LightFilter
from segue.events.scene.scenery import Scenery, SceneryRecord
from segue.events.scene.standing import ObjectsRecord, StandingObjects
from segue.events.store.store import EventStore
from segue.types import Frame, Segmentation
from segue.utils.inputs import first_line

MAX_BYTES = 64 << 20
"""Maximum size in bytes of a record."""

SAVE_SECONDS = 10.0
"""Minimum seconds between two saves of changes; a killed camera loses no more than this."""

REFRESH_SECONDS = 600.0
"""Maximum seconds between two saves: standing objects change their look with the light."""


class SceneRecord(BaseModel, frozen=True, extra="forbid"):
    """Saved state of a scene.

    Attributes:
        format: its version.
        objects: standing objects; None before the first frame.
        scenery: places where something comes and goes again and again.
    """

    format: Literal["segue-scene-1", "segue-scene-2"]
    objects: ObjectsRecord | None = None
    scenery: SceneryRecord = SceneryRecord()


class SceneMemory:
    """Adds standing objects to results, and removes light and places with recurring motion.

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
        self._storage: EventStore | None = None
        self._source: str | None = None
        self._saved: object = None  # what was written last
        self._saved_time = self._checked_time = -float("inf")
        self._problem = ""

    def begin(self, storage: EventStore | None, source: str) -> None:
        """Begin a run with another clock than the previous one.

        Each source has its own record of the scene; another source continues with its own.

        Args:
            storage: storage of the record; None keeps it in memory.
            source: key of the source.
        """
        is_new = self._source != source or storage is None
        if self._source not in (None, source):
            self.save()
            self.scenery.forget()
            self.standing.forget()
        self._storage, self._source = storage, source
        self.scenery.restart()
        self.standing.restart()
        if is_new and storage is not None:
            self._load(storage, source)

    def resume(self, numbers: Container[int]) -> set[int]:
        """Continue objects whose end was not reported, see :meth:`.standing.StandingObjects.resume`."""
        return self.standing.resume(numbers)

    def update(self, frame: Frame, result: Segmentation) -> Segmentation:
        """Process a frame; returns the result from which events are detected."""
        if self._light is not None:
            result = self._light.update(frame, result, self.standing.background)
        result = self.standing.update(frame, self.scenery.update(result))
        now = time.monotonic()
        if self._storage is not None and now - self._checked_time >= SAVE_SECONDS:
            self._checked_time = now
            if self._summary() != self._saved or now - self._saved_time >= REFRESH_SECONDS:
                self.save(now=False)
        return result

    def save(self, *, now: bool = True) -> set[int]:
        """Save the scene, unless the disk is full; returns the objects for the next run."""
        if self._storage is None or self._source is None:
            return set()
        summary = self._summary()
        ids, scenery = self.standing.ids, self.scenery.record()
        if not ids and scenery == SceneryRecord() and self._saved is None:
            return set()  # nothing has ever stood here
        self._saved_time, self._saved = time.monotonic(), summary
        record = SceneRecord(format="segue-scene-2", objects=self.standing.record(), scenery=scenery)
        try:
            self._storage.save_scene(self._source, record.model_dump_json(), now=now)
        except SinkError as error:
            self._note_problem(f"{error}; what stands is forgotten at a restart")
            return set()
        self._problem = ""
        return ids

    def _summary(self) -> object:
        """Report new places if they have changed."""
        return self.standing.ids, self.scenery.record()

    def _load(self, storage: EventStore, source: str) -> None:
        try:
            text = storage.scene(source)
            if text is None:
                self._saved = None
                return
            if len(text) > MAX_BYTES:
                raise ValueError("it is too large")
            record = SceneRecord.model_validate_json(text)
            if record.objects is not None:
                self.standing.restore(record.objects)
        except SinkError as error:
            self._note_problem(f"{error}; what stands is background")
        except (ValidationError, ValueError) as error:
            reason = first_line(error) if not isinstance(error, ValidationError) else "another content"
            self._note_problem(
                f"what stood in front of the camera is forgotten: its record is damaged ({reason})"
            )
        else:
            self.scenery.restore(record.scenery)
            self._saved = self._summary()

    def _note_problem(self, text: str) -> None:
        if text != self._problem:
            self._notice(text)
        self._problem = text
