"""An ML backend of Label Studio: clicks, boxes and brushes become masks, boxes in videos are followed.

The protocol is that of ``label-studio-ml-backend``: Label Studio posts tasks and what the annotator has just
drawn to ``/predict`` and takes regions from the answer. What it draws is in percent of the picture, frames of
videos count from 1, and masks are brush run lengths (:func:`segue_web.exports.tools.brush_rle`).
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import numpy.typing as npt
from fastapi import FastAPI, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse

from segue.errors import SegueError
from segue.inputs import parse_json
from segue.prompts.answers import Prompts
from segue.types import Box, BoxPrompt, Image, Point, Prompt, Segmentation
from segue.video import open_source
from segue.video.images import decode_image
from segue_web.exports.outlines import parts_of
from segue_web.exports.tools import brush_rle
from segue_web.services.assistant import Assistant, RequestError, dictionary, numbers_of, picture_of
from segue_web.services.media import Media

LARGEST_REQUEST = 64 << 20


@dataclass(frozen=True, slots=True)
class Tags:
    """What of a labelling configuration the backend works with.

    Attributes:
        kind: ``brushlabels``, ``polygonlabels`` or ``videorectangle``.
        from_name: the tag that gets the regions.
        to_name: the tag of the picture or video.
        key: the field of a task's data that has it.
    """

    kind: str
    from_name: str
    to_name: str
    key: str

    @classmethod
    def of(cls, config: object) -> Tags:
        """The first tag that segue can fill."""
        try:
            root = ET.fromstring(config if isinstance(config, str) and len(config) < 1 << 20 else "")
        except ET.ParseError:
            raise RequestError("label_config: is no labelling configuration") from None
        objects = {item.get("name"): item for item in root.iter() if item.tag in ("Image", "Video")}
        for kind in ("BrushLabels", "PolygonLabels", "VideoRectangle"):
            for item in root.iter(kind):
                shown = objects.get(item.get("toName"))
                if shown is not None and (shown.tag == "Video") == (kind == "VideoRectangle"):
                    names = item.get("name", ""), item.get("toName", ""), shown.get("value", "")
                    return cls(kind.lower(), names[0], names[1], names[2].removeprefix("$"))
        raise RequestError(
            "the labelling configuration needs BrushLabels or PolygonLabels of an Image, "
            "or a VideoRectangle of a Video"
        )


def predictions(assistant: Assistant, media: Media, request: object, frames: int = 50) -> dict[str, Any]:
    """What is answered to ``/predict``."""
    request = dictionary(request, "request")
    tasks = request.get("tasks")
    if not isinstance(tasks, list) or not tasks:
        raise RequestError("tasks: give at least one task")
    context = dictionary(request.get("params") or {}, "params").get("context") or {}
    drawn = dictionary(context, "context").get("result") or []
    if not isinstance(drawn, list) or not drawn:
        nothing = {"result": [], "score": 0.0, "model_version": assistant.name}
        return {"results": [nothing for _ in tasks], "model_version": assistant.name}
    tags = Tags.of(request.get("label_config"))
    task = dictionary(dictionary(tasks[0], "task").get("data"), "data")
    regions = [dictionary(region, "region") for region in drawn]
    if tags.kind == "videorectangle":
        with media.opened(task.get(tags.key)) as path:
            results = _followed(assistant, path, regions, tags, frames)
    else:
        results = [_region(assistant, _picture(media, task.get(tags.key)), regions, tags)]
    scores = [result["score"] for result in results]
    found = {
        "result": results,
        "score": sum(scores) / max(1, len(scores)),
        "model_version": assistant.name,
    }
    return {"results": [found], "model_version": assistant.name}


def _picture(media: Media, place: object) -> Image:
    if isinstance(place, str) and place.startswith("data:"):
        return picture_of(place)
    with media.opened(place) as path:
        return decode_image(path.read_bytes(), str(place))


def _region(
    assistant: Assistant, picture: Image, regions: Sequence[dict[str, Any]], tags: Tags
) -> dict[str, Any]:
    """The object that clicks, a box and brush strokes mark."""
    height, width = picture.shape[:2]
    answer = assistant.answer(picture, prompts_of(regions, (height, width)))
    score = float(answer.iou[0])
    return {
        "id": uuid4().hex[:10],
        "from_name": tags.from_name,
        "to_name": tags.to_name,
        "type": tags.kind,
        "original_width": width,
        "original_height": height,
        "image_rotation": 0,
        "score": score,
        "value": _value(answer.mask, tags.kind) | _labels(regions, tags.kind),
    }


def _value(mask: npt.NDArray[np.bool_], kind: str) -> dict[str, Any]:
    if kind == "brushlabels":
        return {"format": "rle", "rle": brush_rle(mask)}
    parts = parts_of(mask)
    if not parts:
        return {"points": [], "closed": True}
    height, width = mask.shape
    corners = parts[0].outside * (100 / width, 100 / height)
    return {"points": corners.tolist(), "closed": True}


def _labels(regions: Sequence[dict[str, Any]], kind: str) -> dict[str, list[str]]:
    """The label of what was drawn last, under the name that the answer's kind has for it."""
    for region in reversed(regions):
        labels = dictionary(region.get("value"), "value").get(str(region.get("type")))
        if isinstance(labels, list) and labels and isinstance(labels[0], str):
            return {kind: labels[:1]}
    return {}


def prompts_of(regions: Sequence[dict[str, Any]], size: tuple[int, int]) -> Prompts:
    """What was drawn on a picture, as prompts in its pixels."""
    height, width = size
    points: list[Point] = []
    negative: list[Point] = []
    box: Box | None = None
    mask: npt.NDArray[np.bool_] | None = None
    for region in regions:
        value, kind = dictionary(region.get("value"), "value"), region.get("type")
        if kind == "keypointlabels":
            x, y = numbers_of([value.get("x"), value.get("y")], 2, "key point")
            place = min(x * width / 100, width - 1), min(y * height / 100, height - 1)
            (points if region.get("is_positive", True) else negative).append(place)
        elif kind == "rectanglelabels":
            box = _box(value, size)
        elif kind == "brushlabels":
            brushed = decode_brush(value.get("rle"), size)
            mask = brushed if mask is None else mask | brushed
        else:
            raise RequestError(f"{kind}: draw with key points, rectangles or brushes")
    return Prompts(box, points, negative, (), mask)


def _box(value: dict[str, Any], size: tuple[int, int]) -> Box:
    corner = [value.get(name) for name in ("x", "y", "width", "height")]
    x, y, w, h = numbers_of(corner, 4, "rectangle")
    across, down = size[1] / 100, size[0] / 100
    return x * across, y * down, (x + w) * across, (y + h) * down


def decode_brush(values: object, size: tuple[int, int]) -> npt.NDArray[np.bool_]:
    """The mask of Label Studio's brush run lengths; see :func:`segue_web.exports.tools.brush_rle`.

    Args:
        values: bytes as numbers.
        size: height and width of the picture.

    Returns:
        Where the alpha channel is not 0, (H, W).

    Raises:
        RequestError: the bytes are damaged, or of another picture.
    """
    height, width = size
    if not isinstance(values, list) or not all(type(byte) is int and 0 <= byte < 256 for byte in values):
        raise RequestError("brush: its run lengths are no list of bytes")
    bits = "".join(f"{byte:08b}" for byte in values)
    place = 0

    def take(count: int) -> int:
        nonlocal place
        if place + count > len(bits):
            raise RequestError("brush: its run lengths end early")
        place += count
        return int(bits[place - count : place], 2)

    total, word = take(32), take(5) + 1
    sizes = [take(4) + 1 for _ in range(4)]
    if total != 4 * height * width or word != 8:
        raise RequestError(f"brush: is not of a picture of {width}x{height} pixels")
    flat, done = np.zeros(total, np.uint8), 0
    while done < total:
        run = take(1)
        length = take(sizes[take(2)]) + 1
        if done + length > total:
            raise RequestError("brush: its run lengths are too long")
        if run:
            flat[done : done + length] = take(word)
        else:
            flat[done : done + length] = [take(word) for _ in range(length)]
        done += length
    return np.asarray(flat.reshape(height, width, 4)[..., 3] > 0)


def _followed(
    assistant: Assistant, path: Path, regions: Sequence[dict[str, Any]], tags: Tags, frames: int
) -> list[dict[str, Any]]:
    """The boxes of each object of a video, with those of the frames after the last one that was drawn."""
    drawn = [region for region in regions if region.get("type") == "videorectangle"]
    sequences = [_sequence(region) for region in drawn]
    if not any(sequences):
        raise RequestError("draw a box around the object on a frame of the video")
    with open_source(path) as source:
        size, fps = source.size, source.fps or 25.0
    assert size is not None
    prompts: dict[int, list[Prompt]] = {}
    for number, sequence in enumerate(sequences, 1):
        for key in sequence:
            prompts.setdefault(key["frame"] - 1, []).append(BoxPrompt(number, _box(key, size)))
    first, last = min(prompts), max(prompts)
    with open_source(path, start=first, end=last + 1 + frames) as source:
        after = [result for result in assistant.track(source, prompts) if result.index > last]
    return [
        _video_region(region, sequence, number, after, fps, tags)
        for number, (region, sequence) in enumerate(zip(drawn, sequences, strict=True), 1)
    ]


def _sequence(region: dict[str, Any]) -> list[dict[str, Any]]:
    """The boxes that the annotator drew of an object, in order of frames."""
    sequence = dictionary(region.get("value"), "value").get("sequence")
    if not isinstance(sequence, list):
        raise RequestError("sequence: is no list of boxes")
    keys = [dictionary(key, "sequence") for key in sequence]
    for key in keys:
        if type(key.get("frame")) is not int or not 0 < key["frame"] < 1 << 31:
            raise RequestError("frame: give a whole number from 1")
    return sorted(keys, key=lambda key: int(key["frame"]))


def _video_region(
    region: dict[str, Any],
    sequence: list[dict[str, Any]],
    number: int,
    after: Sequence[Segmentation],
    fps: float,
    tags: Tags,
) -> dict[str, Any]:
    keys, scores, shown = list(sequence), [], True
    for result in after:
        item = next((item for item in result.objects if item.id == number), None)
        if item is None:
            continue
        when = {"frame": result.index + 1, "time": (result.index + 1) / fps, "rotation": 0}
        if item.box is not None:
            height, width = result.mask.shape
            x0, y0, x1, y1 = item.box
            across, down = 100 / width, 100 / height
            place = {
                "x": x0 * across,
                "y": y0 * down,
                "width": (x1 - x0) * across,
                "height": (y1 - y0) * down,
            }
            keys.append(place | when | {"enabled": True})
            scores.append(item.score)
        elif shown and keys:  # hidden from here on, until the next box
            keys.append(keys[-1] | when | {"enabled": False})
        shown = item.box is not None
    value = dictionary(region.get("value"), "value")
    kept = {name: value[name] for name in ("framesCount", "duration", "labels") if name in value}
    return {
        "id": region.get("id"),
        "from_name": tags.from_name,
        "to_name": tags.to_name,
        "type": tags.kind,
        "origin": "prediction",
        "score": sum(scores) / max(1, len(scores)),
        "value": kept | {"sequence": keys},
    }


def make_app(assistant: Assistant, media: Media, frames: int = 50) -> FastAPI:
    """The backend as an application."""
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)

    @app.get("/")
    @app.get("/health")
    def health() -> dict[str, str]:
        return {"status": "UP", "model_class": assistant.name}

    @app.post("/setup")
    def setup() -> dict[str, str]:
        return {"model_version": assistant.name}

    @app.post("/webhook", status_code=201)
    def webhook() -> dict[str, str]:
        return {}  # nothing is trained

    @app.post("/predict")
    async def predict(request: Request) -> JSONResponse:
        body = bytearray()
        async for part in request.stream():
            body += part
            if len(body) > LARGEST_REQUEST:
                return JSONResponse({"error": "the request is too large"}, 413)
        return await run_in_threadpool(answered, bytes(body))

    def answered(body: bytes) -> JSONResponse:
        try:
            return JSONResponse(predictions(assistant, media, parse_json(body.decode()), frames))
        except (SegueError, ValueError) as error:
            return JSONResponse({"error": str(error).splitlines()[0]}, 400)

    return app
