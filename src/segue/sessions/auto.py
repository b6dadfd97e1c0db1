"""Detect the objects of a video automatically, and track them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from segue.errors import ArgumentError
from segue.prompt_types import MaskPrompt, Prompt
from segue.prompts.phrases import parse_phrases
from segue.prompts.planes import tight_box
from segue.prompts.proposals import Detector
from segue.sessions.association import DetectionTrack, appearance_of, known_as
from segue.sessions.detected import DetectionOptions, DetectionSession, check_detector
from segue.sessions.track import TrackSession
from segue.types import Frame, Segmentation
from segue.utils.arrays import BoolArray
from segue.utils.inputs import check_number

PATIENCE = 5  # runs of the detector on which an object is out of sight before it is followed no longer
NEVER = 1 << 48  # frames
MAX_OBJECTS = 50  # that are followed


@dataclass(frozen=True, slots=True)
class Auto:
    """Find the objects automatically, as a prompt.

    Attributes:
        detector: a detector of :func:`segue.detector` or its name; None is ``motion``, which finds moving
            objects.
        every: interval in frames to detect new objects; None detects until the first objects are found, and a
            text every 5 frames.
        text: phrases to detect, such as ``"person, red car"`` or a list; they become the labels. Objects are
            tracked as in :func:`segue.instances`.
        frames: indices of the only frames on which to detect the text.
        score: minimum score of a match for a text, in 0..1; None is the detector's value.

    Raises:
        ArgumentError: ``every`` is below 1, or ``frames`` come without ``text``.
    """

    detector: str | Detector | None = None
    every: int | None = None
    text: str | Sequence[str] | None = None
    frames: Sequence[int] | None = None
    score: float | None = None

    def __post_init__(self) -> None:
        if self.every is not None:
            check_number("every", self.every, minimum=1, whole=True)
        if self.text is not None:
            parse_phrases(self.text)
        elif self.frames is not None or self.score is not None:
            raise ArgumentError("frames and score go with text")
        if not (self.detector is None or isinstance(self.detector, str)):
            check_detector(self.detector)


class AutoSession(DetectionSession):
    """Detects objects with any detector, and tracks them while they are visible.

    The detector runs on every frame until it finds the first objects. With ``every``, it then runs at this
    interval. A detection that overlaps a tracked object does not change it. A track ends if its object is not
    visible on :data:`PATIENCE` runs of the detector, so time and memory do not grow with the length of the
    video. The last ended tracks are remembered, and a similar new object gets the old id. Ids are assigned in
    order; after 65535, the lowest free ids are used.

    Args:
        session: a new session that tracks the objects.
        detector: finds the objects. If it compares frames, results are late by this number of frames.
        every: see above.
        max_objects: maximum number of tracked objects; new objects replace those missing for the longest
            time.
    """

    finds = "objects are"

    def __init__(
        self,
        session: TrackSession,
        detector: Detector,
        every: int | None = None,
        *,
        max_objects: int = MAX_OBJECTS,
    ) -> None:
        check_detector(detector)
        self._session, self._detector, self._every, self._max_objects = session, detector, every, max_objects
        self.options, self.lag = DetectionOptions(), detector.lookahead
        self.precision = session.precision
        self.reset()

    def _config_fingerprint(self) -> dict[str, object]:
        return {"detector": type(self._detector).__name__, "every": self._every}

    def _pause(self) -> int:
        return 1 if self._last_id == 0 else self._every or NEVER

    def _detect(self, frame: Frame, *following: Frame) -> tuple[Segmentation, Segmentation | None]:
        detected = self._detector(frame, *following)
        return detected, self._session.peek(frame) if self._tracks and detected.objects else None

    def _associate(self, frame: Frame, detected: tuple[Segmentation, Segmentation | None]) -> list[Prompt]:
        """Match detections with tracks; return the masks of new objects."""
        detections, tracked = detected
        for track in self._tracks.values():
            track.misses = 0 if track.area else track.misses + 1
        new_tracks: list[tuple[BoolArray, DetectionTrack]] = []
        for item in detections.objects:
            mask = detections.mask == item.id
            if not mask.any():
                continue
            box = tight_box(mask)
            new = DetectionTrack(0, box, self._seen, appearance_of(frame.image, box), {item.label or "": 1.0})
            number = None if tracked is None else known_as(mask, item.label, tracked)
            if number is None:
                new_tracks.append((mask if tracked is None else mask & (tracked.mask == 0), new))
            else:
                old = self._tracks[number]
                self._tracks[number] = replace(new, id=number, votes=old.votes, area=old.area)
        del new_tracks[self._max_objects :]
        waning = sorted(
            self._tracks.values(), key=lambda track: (track.misses < PATIENCE, track.seen, track.id)
        )
        needed = len(waning) + len(new_tracks) - self._max_objects
        removed = [track.id for i, track in enumerate(waning) if track.misses >= PATIENCE or i < needed]
        for _, new in new_tracks:
            self._identify(new)
        self._session.remove(removed)
        self._lost += [self._tracks.pop(i) for i in removed]
        return [MaskPrompt(new.id, mask, label=new.label) for mask, new in new_tracks]
