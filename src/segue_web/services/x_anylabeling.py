"""A remote server for X-AnyLabeling: clicks and boxes become polygons, objects are followed through a folder.

The protocol is that of X-AnyLabeling-Server, which the model type ``remote_server`` of X-AnyLabeling speaks:
``/v1/models`` lists what there is, ``/v1/predict`` answers for a picture, and ``/v1/video/...`` for the
pictures of a folder.
"""

from __future__ import annotations

import datetime
import json
import secrets
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from fastapi import FastAPI, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse, Response, StreamingResponse

from segue.errors import SegueError
from segue.inputs import is_number, parse_json
from segue.prompts.answers import Prompts
from segue.types import Box, Image, Point, PointPrompt, Prompt
from segue.video.images import decode_image
from segue_web.exports.outlines import parts_of
from segue_web.services.assistant import (
    Assistant,
    RequestError,
    dictionary,
    numbers_of,
    picture_file,
    picture_of,
)

LARGEST_REQUEST = 1 << 30
SESSIONS = 2
"""Clips that are kept; X-AnyLabeling sends all pictures of a folder at once."""

LABEL = "AUTOLABEL_OBJECT"
"""What X-AnyLabeling asks the annotator to name."""

STILLS, CLIPS = "segue", "segue_video"
_CLICKS = ("button_add_point", "button_remove_point", "button_clear", "button_finish_object")
_FINENESS = ("mask_fineness_slider", "mask_fineness_value_label")
MODELS: dict[str, dict[str, Any]] = {
    STILLS: {
        "display_name": "segue: clicks and boxes",
        "batch_processing_mode": None,
        "widgets": [{"name": name, "value": None} for name in (*_CLICKS, "button_add_rect", *_FINENESS)],
        "params": {},
    },
    CLIPS: {
        "display_name": "segue: follow through the folder",
        "batch_processing_mode": "video",
        "widgets": [{"name": name, "value": None} for name in _CLICKS],
        "params": {},
    },
}
"""What is listed, with the controls that X-AnyLabeling shows for it."""


def predict(assistant: Assistant, request: object) -> dict[str, Any]:
    """The polygons of what marks on a picture point at."""
    values = dictionary(request, "request")
    params = dictionary(values.get("params") or {}, "params")
    marks = params.get("marks") or []
    if not marks:
        return {"shapes": [], "description": "", "replace": False}
    answer = assistant.answer(picture_of(values.get("image")), prompts_of(marks))
    shapes = polygons(answer.mask, float(answer.iou[0]), None, _fineness(params))
    return {"shapes": shapes, "description": "", "replace": False}


def prompts_of(marks: object) -> Prompts:
    """Marks of X-AnyLabeling as prompts."""
    if not isinstance(marks, list):
        raise RequestError("marks: is no list")
    points: list[Point] = []
    negative: list[Point] = []
    box: Box | None = None
    for mark in marks:
        kind, data = dictionary(mark, "mark").get("type"), mark.get("data")
        if kind == "point":
            x, y = numbers_of(data, 2, "point")
            (points if mark.get("label", 1) else negative).append((x, y))
        elif kind == "rectangle":
            x0, y0, x1, y1 = numbers_of(data, 4, "rectangle")
            box = min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1)
        else:
            raise RequestError(f"{kind}: mark with points or rectangles")
    return Prompts(box, points, negative)


def polygons(
    mask: npt.NDArray[np.bool_], score: float, group: int | None, fineness: float = 0.001
) -> list[dict[str, Any]]:
    """A mask as shapes of X-AnyLabeling; holes are filled.

    Args:
        mask: (H, W).
        score: how good it is likely to be, in [0, 1].
        group: number of the object in a film.
        fineness: how far outlines are simplified, as a share of their length.

    Returns:
        A closed polygon for each connected part with an area.
    """
    shapes = []
    for part in parts_of(mask):
        outline = part.outside.reshape(-1, 1, 2)
        corners = cv2.approxPolyDP(outline, fineness * cv2.arcLength(outline, True), True).reshape(-1, 2)
        if len(corners) > 2:
            points = [[float(x), float(y)] for x, y in (*corners, corners[0])]
            shapes.append(
                {"label": LABEL, "shape_type": "polygon", "points": points, "score": score, "group_id": group}
            )
    return shapes


def _fineness(params: dict[str, Any]) -> float:
    value = params.get("epsilon_factor", 0.001)
    return min(max(float(value), 0.0), 0.1) if is_number(value) else 0.001


@dataclass
class _Clip:
    """The pictures of a folder, as files, and what was pointed at on each."""

    files: list[bytes]
    prompts: dict[int, list[Prompt]] = field(default_factory=dict)

    def picture(self, index: int) -> Image:
        """One of them, RGB (H, W, 3), uint8."""
        return decode_image(self.files[index], f"picture {index}")


class Clips:
    """The clips that X-AnyLabeling has sent.

    Args:
        assistant: makes masks and tracks.
    """

    def __init__(self, assistant: Assistant) -> None:
        self._assistant = assistant
        self._known: OrderedDict[str, _Clip] = OrderedDict()
        self._lock = threading.Lock()

    def init(self, request: object) -> dict[str, Any]:
        """Take the pictures of a folder."""
        frames = dictionary(request, "request").get("frames")
        if not isinstance(frames, list) or not frames:
            raise RequestError("frames: give the pictures of the folder")
        files = [picture_file(frame) for frame in frames]
        name = secrets.token_hex(8)
        with self._lock:
            self._known[name] = _Clip(files)
            while len(self._known) > SESSIONS:
                self._known.popitem(last=False)
        return {"session_id": name, "total_frames": len(files)}

    def prompt(self, request: object) -> dict[str, Any]:
        """Take clicks on a picture; they replace earlier ones on the same object and picture."""
        values = dictionary(request, "request")
        if values.get("text_prompt"):
            raise RequestError("segue has no text prompts: click on the object")
        clip = self._clip(values)
        index, number = values.get("frame_index"), values.get("obj_id", 1)
        if type(index) is not int or not 0 <= index < len(clip.files):
            raise RequestError(f"frame_index: give a number from 0 to {len(clip.files) - 1}")
        if type(number) is not int or not 0 < number < 1 << 16:
            raise RequestError("obj_id: give a number from 1 to 65535")
        picture = clip.picture(index)
        points, negative = _clicks(values, picture)
        answer = self._assistant.answer(picture, Prompts(None, points, negative))
        others = [prompt for prompt in clip.prompts.get(index, []) if prompt.id != number]
        clip.prompts[index] = [*others, PointPrompt(number, tuple(points), tuple(negative))]
        fineness = _fineness(dictionary(values.get("params") or {}, "params"))
        return {"masks": polygons(answer.mask, float(answer.iou[0]), number, fineness)}

    def propagate(self, request: object) -> Iterator[dict[str, Any]]:
        """Follow what was pointed at from its first picture on."""
        clip = self._clip(dictionary(request, "request"))
        if not clip.prompts:
            raise RequestError("click on an object first")
        first = min(clip.prompts)
        yield {"type": "started", "total_frames": len(clip.files), "start_frame_index": first}
        results: dict[str, Any] = {}
        pictures = map(clip.picture, range(len(clip.files)))  # decoded one at a time
        for result in self._assistant.track(pictures, clip.prompts):
            if result.index < first:
                continue
            shapes = [
                shape
                for item in result.objects
                for shape in polygons(result.mask == item.id, item.score, item.id)
            ]
            results[str(result.index)] = {"masks": shapes}
            yield {"type": "progress", "current_frame": result.index}
        yield {"type": "completed", "results": results}

    def _clip(self, values: dict[str, Any]) -> _Clip:
        with self._lock:
            clip = self._known.get(str(values.get("session_id")))
            if clip is None:
                raise RequestError("this session is known no longer: begin again")
            self._known.move_to_end(str(values["session_id"]))
            return clip


def _clicks(values: dict[str, Any], picture: Image) -> tuple[list[Point], list[Point]]:
    height, width = picture.shape[:2]
    points, labels = values.get("points"), values.get("point_labels")
    if not isinstance(points, list) or not isinstance(labels, list) or len(points) != len(labels):
        raise RequestError("points: give as many as there are point_labels")
    sides: tuple[list[Point], list[Point]] = [], []
    for point, label in zip(points, labels, strict=True):
        x, y = numbers_of(point, 2, "point")
        sides[0 if label else 1].append((min(x * width, width - 1), min(y * height, height - 1)))
    return sides


def make_app(assistant: Assistant) -> FastAPI:
    """The server as an application."""
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    clips = Clips(assistant)

    @app.get("/health")
    def health() -> dict[str, Any]:
        now = datetime.datetime.now(datetime.timezone.utc).isoformat()
        return {"status": "healthy", "models_loaded": len(MODELS), "timestamp": now}

    @app.get("/v1/models")
    def models() -> dict[str, Any]:
        return {"success": True, "data": MODELS}

    @app.get("/v1/models/{name}/info")
    def info(name: str) -> dict[str, Any]:
        if name not in MODELS:
            return _failed("MODEL_NOT_FOUND", f"Model '{name}' not loaded")
        return {"success": True, "data": {"model_id": name, **MODELS[name]}}

    def answers(path: str, act: Callable[[object], dict[str, Any]]) -> None:
        @app.post(path)
        async def answered(request: Request) -> Response:
            return await run_in_threadpool(_answered, act, await _body(request))

    answers("/v1/predict", lambda request: predict(assistant, request))
    answers("/v1/video/init", clips.init)
    answers("/v1/video/prompt", clips.prompt)

    @app.post("/v1/video/propagate/stream")
    async def propagate(request: Request) -> Response:
        return StreamingResponse(_events(clips, await _body(request)), media_type="text/event-stream")

    return app


async def _body(request: Request) -> bytes:
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > LARGEST_REQUEST:
            return b""
    return bytes(body)


def _answered(act: Callable[[object], dict[str, Any]], body: bytes) -> Response:
    try:
        return JSONResponse({"success": True, "data": act(parse_json(body.decode()))})
    except (SegueError, ValueError) as error:
        return JSONResponse(_failed("INFERENCE_ERROR", str(error).splitlines()[0]), 400)


def _events(clips: Clips, body: bytes) -> Iterator[str]:
    try:
        for event in clips.propagate(parse_json(body.decode())):
            yield f"data: {json.dumps(event)}\n\n"
    except (SegueError, ValueError) as error:
        yield f"data: {json.dumps({'type': 'error', 'message': str(error).splitlines()[0]})}\n\n"


def _failed(code: str, message: str) -> dict[str, Any]:
    return {"success": False, "error": {"code": code, "message": message}}
