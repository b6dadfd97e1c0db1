"""Instances by detection and tracking: a detector runs every few frames, a tracker fills the gaps."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from segue.errors import ArgumentError, PromptError
from segue.masks.measure import measure
from segue.prompt_types import MaskPrompt, Prompt
from segue.prompts.planes import tight_box
from segue.prompts.proposals import Detector, Proposals, propose
from segue.sessions.association import (
    REMEMBERED,
    SURPLUS,
    DetectionTrack,
    appearance_of,
    match,
    next_id,
    overlaps,
    reidentify,
)
from segue.sessions.session import FindingSession, one_thread_at_a_time
from segue.sessions.track import TrackSession
from segue.state import checkpointed
from segue.types import Box, Frame
from segue.utils.arrays import BoolArray, Float32Array
from segue.utils.inputs import check_number, kind_of

Mask = npt.NDArray[np.int32]

TENTATIVE_SCORE = 0.6
"""Minimum score of tentative detections, which wait for a second one, as a share of the threshold."""

LEFT = 0.5  # share of a new mask that must be left when what known objects have is taken away
AGREES = 0.8  # overlap (IoU) of the box around a mask with its detection, below which the mask is wrong
MISMATCHES = 2  # runs of the detector in a row after which a mask that it contradicts is made anew
MIN_AREA_SHARE = 0.0003  # share of the image below which an object is out of sight


@dataclass(frozen=True, slots=True)
class DetectionOptions:
    """When the detector runs, and which detections become objects.

    Attributes:
        every: interval between runs of the detector, in frames.
        score: minimum mean score of an object over the first two runs; with 0.1 more, one run is enough.
        top: maximum number of tracked objects at a time.
        frames: indices of the only frames on which the detector runs; one run is then enough. None uses
            ``every``.

    Raises:
        ArgumentError: a number is out of range.
    """

    every: int = 5
    score: float = 0.5
    top: int = 10
    frames: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        check_number("every", self.every, minimum=1, whole=True)
        check_number("top", self.top, minimum=1, whole=True)
        check_number("score", self.score, minimum=0, maximum=1)


def check_detector(detector: object) -> None:
    """Raise ArgumentError unless a value is a detector of :func:`segue.detector`."""
    missing = [name for name in ("__call__", "lookahead") if not hasattr(detector, name)]
    if missing:
        raise ArgumentError(
            f"detector: {kind_of(detector)} without {', '.join(missing)}; give what segue.detector makes of "
            "a name or of a function, such as segue.detector(function)"
        )


class DetectionSession(FindingSession):
    """Detects, names and tracks all objects with a detector and a tracking network.

    On every ``every``-th frame, detections are matched with the tracked objects by overlap, class and
    appearance. An unmatched detection becomes an object when it is detected again, or immediately if its
    score is high. A lost object gets its old id back if possible. An object is lost if it is not visible, or
    if the detector misses it for longer than usual; the oldest lost objects are dropped. A mask that
    disagrees with its detections is segmented again.

    Args:
        session: a new session that tracks the objects.
        detector: finds the objects.
        options: options of the detector and the objects.
    """

    finds = "instances are"
    _session: TrackSession = checkpointed()
    _waiting: deque[Frame] = checkpointed(deque)  # until ``lag`` more have come
    _tracks: dict[int, DetectionTrack] = checkpointed(dict)
    _lost: deque[DetectionTrack] = checkpointed(partial(deque, maxlen=REMEMBERED))
    _tentative: list[DetectionTrack] = checkpointed(list)
    _seen: int = checkpointed(0)
    _detect_at: int = checkpointed(0)
    _last_id: int = checkpointed(0)
    state_types = (DetectionTrack,)

    def __init__(
        self, session: TrackSession, detector: Detector, options: DetectionOptions | None = None
    ) -> None:
        check_detector(detector)
        if detector.lookahead:
            raise PromptError("a detector that compares frames finds no instances; choose one with classes")
        self._session, self._detector, self.precision = session, detector, session.precision
        self.options = options or DetectionOptions()
        self.reset()

    @property
    def num_found(self) -> int:
        """Last assigned id, which is the number of objects found while free ids remain."""
        return self._last_id

    @one_thread_at_a_time
    def reset(self) -> None:
        super().reset()
        self._session.reset()

    def _prepare(self, frame: Frame) -> tuple[Frame, Any]:
        # Frames that wait are copies: the caller may fill one array again and again.
        local_frame = replace(frame, image=np.array(frame.image)) if self.lag else frame
        waiting = [*self._waiting, local_frame]
        return local_frame, self._detect_if_due(waiting) if len(waiting) > self.lag else None

    def _take(self, frame: Frame, prepared: tuple[Frame, Any]) -> None:
        local_frame, detected = prepared
        self._waiting.append(local_frame)
        if len(self._waiting) > self.lag:
            self._advance(detected)

    def _end(self) -> None:
        while self._waiting:
            self._advance(self._detect_if_due([*self._waiting]))

    def _detect_if_due(self, waiting: Sequence[Frame]) -> Any:
        """Run the detector on the first waiting frame, for :meth:`_associate`; None if it is not due."""
        only, frame = self.options.frames, waiting[0]
        needs_detection = self._seen >= self._detect_at if only is None else frame.index in only
        return self._detect(*waiting) if needs_detection else None

    def _advance(self, detected: Any) -> None:
        """Track the objects of the first waiting frame, and queue its result."""
        frame, prompts = self._waiting[0], list[Prompt]()
        if detected is not None:
            prompts = self._associate(frame, detected)
            self._detect_at = self._seen + self._pause()
        result = self._session.step(frame, prompts or None)
        objects = []
        for item in result.objects:
            track = self._tracks[item.id]
            track.area = item.area
            if item.box is not None and item.area >= MIN_AREA_SHARE * result.mask.size:
                track.move(item.box, self._seen)
            score = track.score if track.hits else item.score
            objects.append(replace(item, label=track.label, score=score))
        self._waiting.popleft()
        self._seen += 1
        self._due.append((replace(result, objects=tuple(objects)), None))

    def _config_fingerprint(self) -> dict[str, object]:
        return {"detector": type(self._detector).__name__, "options": asdict(self.options)}

    def _pause(self) -> int:
        """Return the number of frames until the detector runs again."""
        return self.options.every

    def _detect(self, frame: Frame, *following: Frame) -> Any:
        """Return the detections of a frame and the mask of the tracks; the state does not change."""
        proposals = propose(self._detector, frame, TENTATIVE_SCORE * self.options.score)
        tracked = self._session.peek(frame).mask if self._tracks else np.zeros(frame.size, np.uint8)
        return proposals, np.array(tracked, np.int32)

    def _associate(self, frame: Frame, detected: Any) -> list[Prompt]:
        """Match the detections of a frame with the tracks; return prompts for the tracking network."""
        proposals, mask = detected
        appearances = [appearance_of(frame.image, box) for box in proposals.boxes]
        matched = self._matched(proposals, appearances, _visible(mask))
        lost_ids = [
            i for i, track in self._tracks.items() if i not in matched and track.misses >= track.patience
        ]
        self._lost += [self._tracks.pop(i) for i in lost_ids]
        mask[np.isin(mask, lost_ids)] = 0
        self._session.remove(lost_ids)
        corrected = self._corrections(proposals, mask, matched)
        # What was remembered of them was wrong, the first mask not least, and would grow back.
        self._session.remove([*corrected])
        free = [i for i in range(len(proposals.boxes)) if i not in matched.values()]
        prompts: list[Prompt] = []
        for number, plane in (corrected | self._newcomers(proposals, appearances, mask, free)).items():
            visible_part = plane & (mask == number)  # a later one may lie in front
            if visible_part.any():
                prompts.append(MaskPrompt(number, visible_part))
            elif number not in self._session.ids:
                del self._tracks[number]
        return prompts

    def _matched(
        self, proposals: Proposals, appearances: Sequence[Float32Array], visible: Mapping[int, Box]
    ) -> dict[int, int]:
        """Match tracks with detections and update them; return numbers of detections by id."""
        tracks = list(self._tracks.values())
        for track in tracks:
            track.box = visible.get(track.id, track.box)
        pairs = match(tracks, proposals, appearances, range(len(proposals.boxes)))
        for i, track in enumerate(tracks):
            number = pairs.get(i)
            if number is None:
                track.missed(visible.get(track.id))
                continue
            agreement = float(overlaps([track.box], [proposals.boxes[number]])[0, 0])
            track.mismatches = 0 if agreement >= AGREES else track.mismatches + 1
            track.add_detection(proposals.boxes[number], proposals.scores[number], proposals.labels[number])
        return {tracks[i].id: number for i, number in pairs.items()}

    def _corrections(
        self, proposals: Proposals, mask: Mask, matched: Mapping[int, int]
    ) -> dict[int, BoolArray]:
        """Segment tracks again whose masks disagree with their detections; return better masks by id."""
        previous_mask, boxes = mask.copy(), _visible(mask)
        wrong = [
            i
            for i, number in matched.items()
            if (i not in boxes or self._tracks[i].mismatches >= MISMATCHES)
            and proposals.scores[number] >= self.options.score
        ]
        mask[np.isin(mask, wrong)] = 0  # the masks of two may have changed places
        corrected = {}
        for i in wrong:
            plane, target_box = self._carved(proposals, matched[i], mask), [proposals.boxes[matched[i]]]
            agreement = float(overlaps([boxes[i]], target_box)[0, 0]) if i in boxes else 0.0
            if plane is not None and overlaps([tight_box(plane)], target_box)[0, 0] > agreement:
                self._tracks[i].mismatches = 0
                corrected[i] = plane
            else:
                plane = (previous_mask == i) & (mask == 0)
            mask[plane] = i
        return corrected

    def _newcomers(
        self, proposals: Proposals, appearances: Sequence[Float32Array], mask: Mask, free: Sequence[int]
    ) -> dict[int, BoolArray]:
        """Start or resume tracks from unmatched detections; return their masks by id."""
        tentative, self._tentative = self._tentative, []
        enough = self.options.score - SURPLUS * (self.options.frames is not None)
        new_masks = {}
        for number in sorted(free, key=lambda i: -proposals.scores[i]):
            box, label = proposals.boxes[number], proposals.labels[number]
            matched = [tentative.pop(i) for i in match(tentative, proposals, appearances, [number])]
            track = matched[0] if matched else DetectionTrack(0, box, self._seen, appearances[number])
            track.move(box, self._seen)
            track.add_detection(box, proposals.scores[number], label)
            if not track.is_confirmed(enough) or len(self._tracks) >= self.options.top:
                self._tentative.append(track)
                continue
            plane = self._carved(proposals, number, mask)
            if plane is None:
                continue
            self._identify(track)
            mask[plane] = track.id
            new_masks[track.id] = plane
        return new_masks

    def _identify(self, new: DetectionTrack) -> None:
        """Give a track the id of the lost track that it resumes, else a new one."""
        same = [track for track in self._lost if new.votes.keys() & track.votes.keys()]
        old = reidentify(same, new)
        if old is None:
            self._last_id = next_id(self._last_id, {*self._tracks, *(track.id for track in self._lost)})
            new.id = self._last_id
        else:
            self._lost.remove(old)
            new.id = old.id
            new.hits, new.runs = new.hits + old.hits, new.runs + old.runs
            for label, total in old.votes.items():
                new.votes[label] = new.votes.get(label, 0.0) + total
        self._tracks[new.id] = new

    def _carved(self, proposals: Proposals, number: int, mask: Mask) -> BoolArray | None:
        """Return the mask of a detection without pixels of tracks in ``mask``; None if little is left."""
        plane: BoolArray = proposals.mask(number) > 0.5
        area = int(plane.sum())
        if area < MIN_AREA_SHARE * mask.size:
            return None
        plane &= mask == 0
        return plane if int(plane.sum()) >= LEFT * area else None


def _visible(mask: Mask) -> dict[int, Box]:
    """Return the boxes of the objects of an index mask by id, without very small ones."""
    return {i: extent.box for i, extent in measure(mask).items() if extent.area >= MIN_AREA_SHARE * mask.size}
