"""A remote server for X-AnyLabeling, by the protocol of its model type ``remote_server``."""

from __future__ import annotations

import datetime
import json
import secrets
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import cv2
import numpy as np
import numpy.typing as npt
from pydantic import Field

from segue.errors import SegueError
from segue.masks.outlines import parts_of
from segue.prompt_types import ImagePrompts, PointPrompt, Prompt
from segue.types import Box, Image, Point
from segue.utils.extras import requires_extra
from segue.utils.files import writing
from segue.video.sources.images import decode_image
from segue_web.services.assistant import Assistant, ImageFile, RequestError
from segue_web.services.requests import B, Body, Coordinate, Limits, Pair, Service

with requires_extra("web"):
    from starlette.applications import Starlette
    from starlette.responses import StreamingResponse


CLIP_REQUESTS = "/v1/video/init"

SESSIONS = 2
"""Clips that are kept; X-AnyLabeling sends all images of a folder at once."""

LABEL = "AUTOLABEL_OBJECT"
"""Label that X-AnyLabeling asks the annotator to name."""

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
"""Listed models, with the controls that X-AnyLabeling shows for each."""


class MarkBody(Body):
    """A point or rectangle on an image."""

    type: Annotated[str, Field(max_length=100)]
    data: Annotated[list[Coordinate], Field(max_length=4)]
    label: int | None = 1


class ParamsBody(Body):
    """Settings of the program."""

    marks: Annotated[list[MarkBody], Field(max_length=1000)] | None = None
    epsilon_factor: Annotated[float, Field(ge=0, le=1)] = 0.001  # tolerance of outlines, of their length


class PredictBody(Body):
    """An image and its marks."""

    image: ImageFile = b""
    params: ParamsBody = ParamsBody()


class InitBody(Body):
    """Images of a folder."""

    frames: Annotated[list[ImageFile], Field(min_length=1, max_length=100_000)]


class SessionBody(Body):
    """Reference to an earlier clip."""

    session_id: str | None = None


class PromptBody(SessionBody):
    """Clicks on an image of a clip, in shares of its width and height."""

    text_prompt: str | None = None
    frame_index: Annotated[int, Field(ge=0)]
    obj_id: Annotated[int, Field(ge=1, le=65535)] = 1
    points: list[Pair] = Field([], max_length=1000)
    point_labels: list[int] = Field([], max_length=1000)
    params: ParamsBody = ParamsBody()


def predict(assistant: Assistant, request: PredictBody) -> dict[str, Any]:
    """Polygons of the objects marked on an image."""
    shapes: list[dict[str, Any]] = []
    if request.params.marks:
        answer = assistant.answer(decode_image(request.image, "image"), prompts_of(request.params.marks))
        shapes = polygons(answer.mask, float(answer.iou[0]), None, request.params.epsilon_factor)
    return {"shapes": shapes, "description": "", "replace": False}


def prompts_of(marks: list[MarkBody]) -> ImagePrompts:
    """Convert marks of X-AnyLabeling to prompts."""
    points: list[Point] = []
    negative: list[Point] = []
    box: Box | None = None
    for mark in marks:
        if len(mark.data) != {"point": 2, "rectangle": 4}.get(mark.type):
            raise RequestError("marks: give points of 2 numbers or rectangles of 4")
        if mark.type == "point":
            (points if mark.label else negative).append((mark.data[0], mark.data[1]))
        else:
            x0, y0, x1, y1 = mark.data
            box = min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1)
    return ImagePrompts(box, points, negative)


def polygons(
    mask: npt.NDArray[np.bool_], score: float, group: int | None, fineness: float = 0.001
) -> list[dict[str, Any]]:
    """Closed polygons of a mask (H, W), one per part with an area; holes are filled."""
    shapes = []
    for outside, *_ in parts_of(mask):
        outline = outside.reshape(-1, 1, 2)
        corners = cv2.approxPolyDP(outline, fineness * cv2.arcLength(outline, True), True).reshape(-1, 2)
        if len(corners) > 2:
            points = [[float(x), float(y)] for x, y in (*corners, corners[0])]
            shapes.append(
                {"label": LABEL, "shape_type": "polygon", "points": points, "score": score, "group_id": group}
            )
    return shapes


@dataclass(frozen=True, slots=True)
class SentClip:
    """Image files of a folder, and the prompts on each."""

    folder: TemporaryDirectory[str]  # the files, by their number; they may be larger than the memory
    count: int
    prompts: dict[int, list[Prompt]] = field(default_factory=dict)
    id: str = field(default_factory=partial(secrets.token_hex, 8))

    def image(self, index: int) -> Image:
        """Read an image, RGB (H, W, 3), uint8."""
        return decode_image(Path(self.folder.name, str(index)).read_bytes(), f"image {index}")

    @classmethod
    def of(cls, files: list[bytes]) -> SentClip:
        """Store the images of a folder."""
        folder = TemporaryDirectory(prefix="segue-clip-", ignore_cleanup_errors=True)
        for index, data in enumerate(files):
            with writing(Path(folder.name)):
                Path(folder.name, str(index)).write_bytes(data)
        return cls(folder, len(files))


class SentClips:
    """Latest clips sent by X-AnyLabeling."""

    def __init__(self, assistant: Assistant) -> None:
        self._assistant = assistant
        self._clips: deque[SentClip] = deque(maxlen=SESSIONS)

    def init(self, request: InitBody) -> dict[str, Any]:
        """Store the images of a folder."""
        clip = SentClip.of(request.frames)
        self._clips.append(clip)
        return {"session_id": clip.id, "total_frames": clip.count}

    def prompt(self, request: PromptBody) -> dict[str, Any]:
        """Set the clicks on an image; they replace earlier ones for the same object and image."""
        if request.text_prompt:
            raise RequestError("segue has no text prompts: click on the object")
        if len(request.points) != len(request.point_labels):
            raise RequestError("points: give as many as there are point_labels")
        clip, index, number = self._clip(request), request.frame_index, request.obj_id
        if index >= clip.count:
            raise RequestError(f"frame_index: give a number from 0 to {clip.count - 1}")
        image = clip.image(index)
        height, width = image.shape[:2]
        places = [(min(x * width, width - 1), min(y * height, height - 1)) for x, y in request.points]
        clicks = list(zip(places, request.point_labels, strict=True))
        points, negative = ([place for place, label in clicks if bool(label) is on] for on in (True, False))
        answer = self._assistant.answer(image, ImagePrompts(None, points, negative))
        other_prompts = [prompt for prompt in clip.prompts.get(index, []) if prompt.id != number]
        clip.prompts[index] = [*other_prompts, PointPrompt(number, tuple(points), tuple(negative))]
        return {"masks": polygons(answer.mask, float(answer.iou[0]), number, request.params.epsilon_factor)}

    def propagate(self, request: SessionBody) -> Iterator[dict[str, Any]]:
        """Track the prompted objects from the first prompted image on."""
        clip = self._clip(request)
        if not clip.prompts:
            raise RequestError("click on an object first")
        first = min(clip.prompts)
        yield {"type": "started", "total_frames": clip.count, "start_frame_index": first}
        results: dict[str, Any] = {}
        images = map(clip.image, range(clip.count))  # decoded one at a time
        for result in self._assistant.track(images, clip.prompts):
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

    def _clip(self, request: SessionBody) -> SentClip:
        clip = next((clip for clip in tuple(self._clips) if clip.id == request.session_id), None)
        if clip is None:
            raise RequestError("this session is known no longer: begin again")
        return clip


def make_app(assistant: Assistant, limits: Limits = Limits()) -> Starlette:  # noqa: B008  it cannot be changed
    """Make the application of the server."""
    failed = {"success": False}
    app = Service(
        lambda text: failed | {"error": {"code": "INFERENCE_ERROR", "message": text}}, CLIP_REQUESTS, limits
    )
    clips = SentClips(assistant)

    def answers(path: str, kind: type[B], call: Callable[[B], dict[str, Any]]) -> None:
        async def answer(request: B) -> dict[str, Any]:
            return {"success": True, "data": await app.run(call, request)}

        app.answers(path, kind, answer)

    def health() -> dict[str, Any]:
        now = datetime.datetime.now(datetime.UTC).isoformat()
        return {"status": "healthy", "models_loaded": len(MODELS), "timestamp": now}

    async def propagate(request: SessionBody) -> StreamingResponse:
        return StreamingResponse(_events(app, clips, request), media_type="text/event-stream")

    app.says(["/health"], health)
    app.says(["/v1/models"], lambda: {"success": True, "data": MODELS})
    answers("/v1/predict", PredictBody, partial(predict, assistant))
    answers(CLIP_REQUESTS, InitBody, clips.init)
    answers("/v1/video/prompt", PromptBody, clips.prompt)
    app.answers("/v1/video/propagate/stream", SessionBody, propagate)
    return app


async def _events(app: Service, clips: SentClips, request: SessionBody) -> AsyncIterator[str]:
    """Events of a tracking; each step waits for its turn."""
    steps = clips.propagate(request)
    try:
        while (event := await app.run(next, steps, None)) is not None:
            yield f"data: {json.dumps(event)}\n\n"
    except SegueError as error:
        yield f"data: {json.dumps({'type': 'error', 'message': str(error).splitlines()[0]})}\n\n"
