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
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from segue.errors import SegueError
from segue.inputs import parse_json
from segue.prompts.answers import Prompts
from segue.sessions import TrackSession
from segue.types import BoxPrompt, Image, MaskPrompt, Prompt
from segue_web.exports.cvat import row_runs
from segue_web.exports.outlines import parts_of, single_outline
from segue_web.services.assistant import Assistant, RequestError, dictionary, numbers_of, picture_of

SESSIONS = 16
"""Trackings that are kept; the one that was not asked for the longest is dropped."""

MOST_OBJECTS = 64


def respond(context: Any, event: Any, act: Callable[[object], dict[str, Any]]) -> Any:
    """The response of a Nuclio function."""
    try:
        body = event.body
        answer, status = act(parse_json(body.decode()) if isinstance(body, bytes) else body), 200
    except (SegueError, ValueError) as error:
        answer, status = {"error": str(error).splitlines()[0]}, 400
    kind = "application/json"
    return context.Response(body=json.dumps(answer), headers={}, content_type=kind, status_code=status)


def interact(assistant: Assistant, request: object) -> dict[str, Any]:
    """The object that clicks and a box mark."""
    values = dictionary(request, "request")
    picture = picture_of(values.get("image"))
    corners = values.get("obj_bbox") or None
    box = None
    if corners is not None:
        (x0, y0), (x1, y1) = (_point(corner, "obj_bbox") for corner in _list(corners, "obj_bbox", 2))
        box = min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1)
    points, negative = (
        [_point(point, name) for point in _list(values.get(name) or [], name)]
        for name in ("pos_points", "neg_points")
    )
    mask = assistant.answer(picture, Prompts(box, points, negative)).mask
    parts = parts_of(mask)
    outline = parts[0].outside.tolist() if parts else []
    return {"points": outline, "mask": mask.astype(np.uint8).tolist()}


@dataclass
class _Tracking:
    """Objects that were drawn on one frame, and the session that follows them."""

    session: TrackSession
    shapes: list[dict[str, Any]]
    plain: bool  # shapes are lists of numbers, as before CVAT 2.40
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
        values = dictionary(request, "request")
        picture = picture_of(values.get("image"))
        states = _list(values.get("states") or [], "states", most=MOST_OBJECTS)
        shapes = _list(values.get("shapes") or [], "shapes", most=MOST_OBJECTS)
        with self._lock:
            if any(state is not None for state in states):
                return self._gone_on(picture, states)
            return self._begun(picture, shapes)

    def _begun(self, picture: Image, shapes: list[Any]) -> dict[str, Any]:
        if not shapes:
            raise RequestError("shapes: draw at least one")
        plain = isinstance(shapes[0], list)
        typed = [_typed(shape) for shape in shapes]
        size = picture.shape[0], picture.shape[1]
        session = self._assistant.session()
        session.step(picture, [_prompt(number, shape, size) for number, shape in enumerate(typed, 1)])
        name = secrets.token_hex(8)
        self._known[name] = _Tracking(session, typed, plain)
        while len(self._known) > SESSIONS:
            self._known.popitem(last=False)
        states = [{"tracking": name, "object": number, "step": 0} for number in range(1, len(shapes) + 1)]
        return {"shapes": shapes, "states": states}

    def _gone_on(self, picture: Image, states: list[Any]) -> dict[str, Any]:
        wanted = [_State.of(state) for state in states]
        for name in dict.fromkeys(state.tracking for state in wanted):
            known = self._known.get(name)
            steps = {state.step for state in wanted if state.tracking == name}
            if known is None or steps != {known.step}:
                raise RequestError(
                    "this tracking is known no longer: draw the shape again, or switch tracking off and on"
                )
            if max(state.number for state in wanted if state.tracking == name) > len(known.shapes):
                raise RequestError("state: is none that segue gave")
        for name in dict.fromkeys(state.tracking for state in wanted):
            self._known.move_to_end(name)
            self._step(self._known[name], picture)
        found = [self._known[state.tracking] for state in wanted]
        shapes = [known.shapes[state.number - 1] for known, state in zip(found, wanted, strict=True)]
        return {
            "shapes": [
                shape["points"] if known.plain else shape for known, shape in zip(found, shapes, strict=True)
            ],
            "states": [
                {"tracking": state.tracking, "object": state.number, "step": known.step}
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
                known.shapes[number - 1] = {"type": shape["type"], "points": _points(mask, shape["type"])}


@dataclass(frozen=True, slots=True)
class _State:
    tracking: str
    number: int
    step: int

    @classmethod
    def of(cls, value: object) -> _State:
        state = dictionary(value, "state")
        name, number, step = state.get("tracking"), state.get("object"), state.get("step")
        if not isinstance(name, str) or type(number) is not int or type(step) is not int or number < 1:
            raise RequestError("state: is none that segue gave")
        return cls(name, number, step)


def _typed(shape: Any) -> dict[str, Any]:
    """A shape as an object with type and points."""
    if isinstance(shape, list):
        shape = {"type": "rectangle", "points": shape}
    kind = dictionary(shape, "shape").get("type")
    points = _list(shape.get("points"), "points")
    if kind not in ("rectangle", "polygon", "mask"):
        raise RequestError(f"{kind}: draw rectangles, polygons or masks")
    return {"type": kind, "points": list(numbers_of(points, len(points), "points"))}


def _prompt(number: int, shape: dict[str, Any], size: tuple[int, int]) -> Prompt:
    points = shape["points"]
    if shape["type"] == "rectangle":
        x0, y0, x1, y1 = numbers_of(points, 4, "rectangle")
        return BoxPrompt(number, (min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1)))
    mask = _polygon(points, size) if shape["type"] == "polygon" else _runs(points, size)
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


def _list(value: object, what: str, count: int | None = None, most: int | None = None) -> list[Any]:
    if not isinstance(value, list) or (count is not None and len(value) != count):
        raise RequestError(f"{what}: is no list" + ("" if count is None else f" of {count}"))
    if most is not None and len(value) > most:
        raise RequestError(f"{what}: at most {most} are taken")
    return value


def _point(value: object, what: str) -> tuple[float, float]:
    x, y = numbers_of(value, 2, what)
    return x, y
