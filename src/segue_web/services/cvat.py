"""A serverless function of CVAT: an interactor for clicks and boxes, and a tracker.

CVAT runs such functions with Nuclio and posts JSON to them. Here is what they answer; ``examples/cvat`` has
the files that Nuclio wants.
"""

from __future__ import annotations

import json
import secrets
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import cv2
import numpy as np
import numpy.typing as npt
from pydantic import BeforeValidator, Field

from segue.errors import SegueError
from segue.prompts.answers import Prompts
from segue.sessions import TrackSession
from segue.types import BoxPrompt, Image, MaskPrompt, Prompt
from segue_web.exports.cvat import row_runs
from segue_web.exports.outlines import parts_of, single_outline
from segue_web.services.assistant import Assistant, RequestError, picture_of
from segue_web.services.requests import Body, Pair, parse

SESSIONS = 16
"""Trackings that are kept; the one that was not asked for the longest is dropped."""

MOST_OBJECTS = 64


def _of_numbers(shape: object) -> object:
    """Until version 2.40 CVAT posts rectangles as four numbers."""
    return {"type": "rectangle", "points": shape, "plain": True} if isinstance(shape, list) else shape


class ShapeBody(Body):
    """A shape that was drawn; ``plain`` ones are lists of numbers."""

    type: Literal["rectangle", "polygon", "mask"]
    points: Annotated[list[Annotated[float, Field(allow_inf_nan=False)]], Field(max_length=4_000_000)]
    plain: bool = False

    @property
    def posted(self) -> dict[str, Any] | list[float]:
        """As CVAT has it."""
        return self.points if self.plain else {"type": self.type, "points": self.points}


class StateBody(Body):
    """What CVAT keeps of an object that is followed."""

    tracking: Annotated[str, Field(max_length=32)]
    object: Annotated[int, Field(ge=1)]
    step: int


class Interaction(Body):
    """What CVAT posts to an interactor."""

    image: str
    pos_points: Annotated[list[Pair], Field(max_length=1000)] | None = None
    neg_points: Annotated[list[Pair], Field(max_length=1000)] | None = None
    obj_bbox: tuple[Pair, Pair] | tuple[()] | None = None


class TrackingRequest(Body):
    """What CVAT posts to a tracker."""

    image: str
    states: Annotated[list[StateBody | None], Field(max_length=MOST_OBJECTS)] | None = None
    shapes: (
        Annotated[list[Annotated[ShapeBody, BeforeValidator(_of_numbers)]], Field(max_length=MOST_OBJECTS)]
        | None
    ) = None


def respond(context: Any, event: Any, act: Callable[[object], dict[str, Any]]) -> Any:
    """The response of a Nuclio function."""
    try:
        answer, status = act(event.body), 200
    except SegueError as error:
        answer, status = {"error": str(error).splitlines()[0]}, 400
    kind = "application/json"
    return context.Response(body=json.dumps(answer), headers={}, content_type=kind, status_code=status)


def interact(assistant: Assistant, request: object) -> dict[str, Any]:
    """The object that clicks and a box mark."""
    values = parse(Interaction, request)
    picture = picture_of(values.image)
    box = None
    if values.obj_bbox:
        (x0, y0), (x1, y1) = values.obj_bbox
        box = min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1)
    points, negative = values.pos_points or [], values.neg_points or []
    mask = assistant.answer(picture, Prompts(box, points, negative)).mask
    parts = parts_of(mask)
    outline = parts[0].outside.tolist() if parts else []
    return {"points": outline, "mask": mask.astype(np.uint8).tolist()}


@dataclass
class _Tracking:
    """Objects that were drawn on one frame, and the session that follows them."""

    session: TrackSession
    shapes: list[ShapeBody]
    step: int = 0


class Trackings:
    """The tracker of CVAT: what was drawn on a frame is followed on those that are posted after it.

    What a session remembers does not fit into a request, so that it stays here, and CVAT gets a name for it:
    one process has to answer all requests of a tracking.

    Args:
        assistant: makes the sessions.
    """

    def __init__(self, assistant: Assistant) -> None:
        self._assistant = assistant
        self._known: OrderedDict[str, _Tracking] = OrderedDict()
        self._lock = threading.Lock()

    def answer(self, request: object) -> dict[str, Any]:
        """Begin to follow shapes on a frame, or go on with the next one."""
        values = parse(TrackingRequest, request)
        picture = picture_of(values.image)
        with self._lock:
            if any(values.states or []):
                if None in (values.states or []):
                    raise RequestError("states: one lacks its tracking; draw the shape again")
                return self._gone_on(picture, [state for state in values.states or [] if state])
            return self._begun(picture, values.shapes or [])

    def _begun(self, picture: Image, shapes: list[ShapeBody]) -> dict[str, Any]:
        if not shapes:
            raise RequestError("shapes: draw at least one")
        size = picture.shape[0], picture.shape[1]
        session = self._assistant.session()
        session.step(picture, [_prompt(number, shape, size) for number, shape in enumerate(shapes, 1)])
        name = secrets.token_hex(8)
        self._known[name] = _Tracking(session, list(shapes))
        while len(self._known) > SESSIONS:
            self._known.popitem(last=False)
        states = [{"tracking": name, "object": number, "step": 0} for number in range(1, len(shapes) + 1)]
        return {"shapes": [shape.posted for shape in shapes], "states": states}

    def _gone_on(self, picture: Image, wanted: list[StateBody]) -> dict[str, Any]:
        for name in dict.fromkeys(state.tracking for state in wanted):
            known = self._known.get(name)
            steps = {state.step for state in wanted if state.tracking == name}
            if known is None or steps != {known.step}:
                raise RequestError(
                    "this tracking is known no longer: draw the shape again, or switch tracking off and on"
                )
            if max(state.object for state in wanted if state.tracking == name) > len(known.shapes):
                raise RequestError("state: is none that segue gave")
        for name in dict.fromkeys(state.tracking for state in wanted):
            self._known.move_to_end(name)
            self._step(self._known[name], picture)
        found = [self._known[state.tracking] for state in wanted]
        return {
            "shapes": [
                known.shapes[state.object - 1].posted for known, state in zip(found, wanted, strict=True)
            ],
            "states": [
                {"tracking": state.tracking, "object": state.object, "step": known.step}
                for known, state in zip(found, wanted, strict=True)
            ],
        }

    @staticmethod
    def _step(known: _Tracking, picture: Image) -> None:
        result = known.session.step(picture)
        known.step += 1
        for number, shape in enumerate(known.shapes, 1):
            mask = result.mask == number
            if mask.any():
                known.shapes[number - 1] = shape.model_copy(update={"points": _points(mask, shape.type)})


def _prompt(number: int, shape: ShapeBody, size: tuple[int, int]) -> Prompt:
    points = shape.points
    if shape.type == "rectangle":
        if len(points) != 4:
            raise RequestError("rectangle: give 4 numbers")
        x0, y0, x1, y1 = points
        return BoxPrompt(number, (min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1)))
    mask = _polygon(points, size) if shape.type == "polygon" else _runs(points, size)
    if not mask.any():
        raise RequestError("shapes: one covers no pixel of the picture")
    return MaskPrompt(number, mask)


def _polygon(points: Sequence[float], size: tuple[int, int]) -> npt.NDArray[np.bool_]:
    if len(points) < 6 or len(points) % 2:
        raise RequestError("polygon: give three corners at least")
    corners = np.clip(np.reshape(points, (-1, 2)), -1e6, 1e6).round().astype(np.int32)
    return np.asarray(cv2.fillPoly(np.zeros(size, np.uint8), [corners], 1) > 0)


def _runs(points: Sequence[float], size: tuple[int, int]) -> npt.NDArray[np.bool_]:
    """The mask of CVAT's run lengths, whose last four numbers are the first and last column and row."""
    if len(points) < 5 or any(value != int(value) or value < 0 for value in points):
        raise RequestError("mask: its run lengths are damaged")
    *runs, left, top, right, bottom = (int(value) for value in points)
    height, width = bottom - top + 1, right - left + 1
    if not (0 < height <= size[0] - top and 0 < width <= size[1] - left) or sum(runs) != height * width:
        raise RequestError("mask: its run lengths are of another picture")
    inside = np.repeat(np.arange(len(runs)) % 2 > 0, runs).reshape(height, width)
    mask = np.zeros(size, np.bool_)
    mask[top : bottom + 1, left : right + 1] = inside
    return mask


def _points(mask: npt.NDArray[np.bool_], kind: str) -> list[float]:
    """Points of a mask that is not empty, in the form of a kind of shape."""
    x, y, w, h = cv2.boundingRect(mask.astype(np.uint8))
    if kind == "rectangle":
        return [x, y, x + w, y + h]
    if kind == "polygon":
        return [float(value) for value in single_outline(mask).ravel()]
    return [*row_runs(mask[y : y + h, x : x + w]), x, y, x + w - 1, y + h - 1]
