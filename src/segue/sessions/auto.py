"""Find the objects of a video without prompts, and track them."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from segue.arrays import Float32Array
from segue.errors import ArgumentError, SegueError
from segue.inputs import check_number, kind_of
from segue.prompts.phrases import parse_phrases
from segue.prompts.planes import tight_box
from segue.prompts.proposals import Detector
from segue.sessions.association import REMEMBERED, appearance_of, next_id, reidentify
from segue.sessions.base import checkpointed
from segue.sessions.session import FindingSession
from segue.sessions.track import TrackSession
from segue.types import Box, Frame, MaskPrompt, Prompt, RemovePrompt, Segmentation

OVERLAP = 0.5  # share of a found object, or of a known one, from which on both are the same
PATIENCE = 5  # runs of the detector on which an object is out of sight before it is followed no longer
MOST_OBJECTS = 50  # that are followed; new ones take the place of those that were not found for longest


@dataclass(frozen=True, slots=True)
class Auto:
    """Says that the objects are to be found.

    Attributes:
        detector: what finds them, made by :func:`segue.detector` or its name; None is the one that comes with
            segue, which finds what moves.
        every: look for new objects every so many frames; None looks only until the first objects are found,
            for a text every 5 frames.
        text: phrases to look for, such as ``"person, red car"`` or a list; they become the labels. Objects
            are followed as :func:`segue.instances` does.
        frames: indices of the only frames on which to look for the text.
        score: least score of an object of a text, in 0..1; None is the detector's own.

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
            check_number("every", self.every, least=1, whole=True)
        if self.text is not None:
            parse_phrases(self.text)
        elif self.frames is not None or self.score is not None:
            raise ArgumentError("frames and score go with text")
        if self.detector is None or isinstance(self.detector, str):
            return
        missing = [name for name in ("__call__", "lookahead") if not hasattr(self.detector, name)]
        if missing:
            raise ArgumentError(
                f"detector: {kind_of(self.detector)} without {', '.join(missing)}; give a name, what "
                "segue.detector makes, or an object with the interface of segue.prompts.proposals.Detector"
            )


@dataclass
class _Tracklet:
    """An object as the detector saw it last, on frame ``seen``; runs on which it was out of sight since."""

    id: int
    label: str | None
    seen: int
    box: Box
    appearance: Float32Array
    missing: int = 0
    visible: bool = True


class AutoSession(FindingSession):
    """Finds objects and follows them.

    Every frame is looked at until the first objects are found. With ``every``, new objects are looked for
    that many frames later, and again; what overlaps a known object is that object and changes nothing.
    Objects that were out of sight on :data:`PATIENCE` runs of the detector are followed no longer, so that
    neither time nor memory grow with the length of the video; the last ones are remembered, and a new object
    that looks like one of them gets its id back. Ids are given in order; after 65535 the lowest free ones
    follow.

    Args:
        session: follows the objects; new.
        detector: finds them. Where it compares frames, results trail by that many frames.
        every: see above.
    """

    _track: TrackSession = checkpointed()
    _waiting: deque[Frame] = checkpointed()
    _seen: int = checkpointed()
    _detected: int = checkpointed()
    _last_id: int = checkpointed()
    _tracklets: dict[int, _Tracklet] = checkpointed()
    _lost: deque[_Tracklet] = checkpointed()
    state_types = (_Tracklet,)

    def __init__(self, session: TrackSession, detector: Detector, every: int | None = None) -> None:
        self._track = session
        self._detector = detector
        self._every = every
        self.lag = detector.lookahead
        self.reset()

    @property
    def found(self) -> int:
        """The last id that was given: the number of objects found, as long as there are ids."""
        return self._last_id

    def reset(self) -> None:
        super().reset()
        self._track.reset()
        self._waiting = deque()
        self._seen = self._detected = self._last_id = 0
        self._tracklets = {}
        self._lost = deque(maxlen=REMEMBERED)

    def _take(self, frame: Frame) -> None:
        # Frames that wait are copies: the caller may fill one array again and again.
        self._waiting.append(replace(frame, image=np.array(frame.image)) if self.lag else frame)
        try:
            if len(self._waiting) > self.lag:
                self._advance()
        except SegueError:
            self._waiting.pop()  # as if it had never come, so that the session can be saved
            raise

    def _end(self) -> None:
        while self._waiting:
            self._advance()

    def _config_fingerprint(self) -> dict[str, object]:
        return {"detector": type(self._detector).__name__, "every": self._every}

    @property
    def _looks(self) -> bool:
        passed = self._seen - self._detected
        return self._last_id == 0 or (self._every is not None and passed >= self._every)

    def _advance(self) -> None:
        """Take the frame that has waited longest; nothing changes where that fails."""
        frame, *following = self._waiting
        tracklets = {i: replace(tracklet) for i, tracklet in self._tracklets.items()}
        prompts: list[Prompt] = []
        lost, last_id = list(self._lost), self._last_id
        looking = self._looks
        if looking:
            newcomers = self._detect(frame, following, tracklets)
            gone = _retired(tracklets, len(newcomers))
            for mask, label in newcomers:
                tracklet = self._sighted(frame, mask, label)
                same = [old for old in lost if old.label == label]
                known = reidentify(same, tracklet.box, tracklet.appearance, self._seen, frame.size)
                if known is None:
                    last_id = tracklet.id = next_id(last_id, {*tracklets, *(old.id for old in lost)})
                else:
                    lost.remove(known)
                    tracklet.id = known.id
                tracklets[tracklet.id] = tracklet
                prompts.append(MaskPrompt(tracklet.id, mask, label=label))
            lost += [tracklets.pop(i) for i in gone]
            prompts += map(RemovePrompt, gone)
        result = self._track.step(frame, prompts or None)
        self._waiting.popleft()
        if looking:
            self._detected, self._last_id = self._seen, last_id
            self._lost = deque(lost, REMEMBERED)
        self._seen += 1
        for item in result.objects:
            tracklets[item.id].visible = item.area > 0
        self._tracklets = tracklets
        self._due.append((result, {}))

    def _detect(
        self, frame: Frame, following: Sequence[Frame], tracklets: dict[int, _Tracklet]
    ) -> list[tuple[npt.NDArray[np.bool_], str | None]]:
        """Masks and labels of what is new on a frame, the best first; the tracklets take note of the run."""
        for tracklet in tracklets.values():
            tracklet.missing = 0 if tracklet.visible else tracklet.missing + 1
        found = self._detector(frame, *following)
        newcomers = [(mask, item.label) for item in found.objects if (mask := found.mask == item.id).any()]
        if not tracklets or not newcomers:
            return newcomers[:MOST_OBJECTS]
        known = self._track.peek(frame)
        fresh = []
        for mask, label in newcomers:
            number = known_as(mask, label, known)
            if number is None:
                fresh.append((mask & (known.mask == 0), label))
            else:
                old = tracklets[number]
                sighted = self._sighted(frame, mask, old.label, number)
                tracklets[number] = replace(sighted, visible=old.visible)
        return fresh[:MOST_OBJECTS]

    def _sighted(
        self, frame: Frame, mask: npt.NDArray[np.bool_], label: str | None, number: int = 0
    ) -> _Tracklet:
        """An object as it is found now."""
        box = tight_box(mask)
        return _Tracklet(number, label, self._seen, box, appearance_of(frame.image, box))


def _retired(tracklets: dict[int, _Tracklet], newcomers: int) -> list[int]:
    """Ids of those that are followed no longer: out of sight for long, or in the way of new ones."""
    gone = [i for i, tracklet in tracklets.items() if tracklet.missing >= PATIENCE]
    rest = sorted((tracklet.seen, i) for i, tracklet in tracklets.items() if i not in gone)
    return gone + [i for _, i in rest[: max(0, len(rest) + newcomers - MOST_OBJECTS)]]


def known_as(mask: npt.NDArray[np.bool_], label: str | None, known: Segmentation) -> int | None:
    """The followed object that a found one, (H, W), is, or None."""
    inside = known.mask[mask]
    if np.count_nonzero(inside) > OVERLAP * mask.sum():
        numbers, counts = np.unique(inside[inside > 0], return_counts=True)
        return int(numbers[counts.argmax()])
    for item in known.objects:
        inside = mask & (known.mask == item.id)
        may_be = label is None or item.label in (None, label)
        if item.area and may_be and np.count_nonzero(inside) > OVERLAP * item.area:
            return item.id
    return None
