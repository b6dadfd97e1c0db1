"""An ML backend of Label Studio, by the protocol of ``label-studio-ml-backend``; frames count from 1."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any
from uuid import uuid4

import numpy as np
import numpy.typing as npt
from pydantic import AliasPath, ConfigDict, Field, model_validator

from segue.errors import SegueError
from segue.formats.label_studio import (
    corners_of_box,
    decode_brush,
    encode_brush,
    frames_in_tag,
    index_at,
    tag_position,
)
from segue.formats.text import refuse_entities
from segue.masks.outlines import parts_of
from segue.prompt_types import BoxPrompt, ImagePrompts, Prompt, RemovePrompt
from segue.types import Box, Image, Point, Segmentation
from segue.utils.extras import requires_extra
from segue.video import open_source
from segue.video.sources.images import decode_image
from segue_web.services.assistant import Assistant, RequestError, image_file
from segue_web.services.media import Media
from segue_web.services.requests import Body, Coordinate, Service
from segue_web.video import Video

with requires_extra("web"):
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import JSONResponse, Response


MAX_TASKS = 1000
MAX_REGIONS = 1000
MAX_BRUSH = 4_000_000
"""Bytes of the run lengths of a brush."""


class Key(Body):
    """Box of an object on a frame of a video; unused fields are returned unchanged.

    After one that is not ``enabled``, the object is hidden up to the next box.
    """

    model_config = ConfigDict(frozen=True, extra="allow")
    frame: Annotated[int, Field(ge=1, lt=1 << 31)]
    x: Coordinate
    y: Coordinate
    width: Coordinate
    height: Coordinate
    rotation: Coordinate = 0
    enabled: bool = True


class Value(Body):
    """A drawn shape in percent of the image; labels are under the name of the tag."""

    model_config = ConfigDict(frozen=True, extra="allow")
    x: Coordinate = 0
    y: Coordinate = 0
    width: Coordinate = 0
    height: Coordinate = 0
    rotation: Coordinate = 0
    rle: list[Annotated[int, Field(ge=0, le=255)]] = Field([], max_length=MAX_BRUSH)
    sequence: list[Key] = Field([], max_length=100_000)

    def labels(self, kind: str) -> list[str]:
        """Labels of a tag, at most one."""
        names = (self.model_extra or {}).get(kind)
        return [str(names[0])] if isinstance(names, list) and names else []


_NEEDED = {
    "keypointlabels": ("x", "y"),
    "rectanglelabels": ("x", "y", "width", "height"),
    "brushlabels": ("rle",),
    "videorectangle": ("sequence",),
}
"""Fields of a value by the type of its region."""


class Region(Body):
    """A region drawn by an annotator."""

    id: str | int | None = None
    type: Annotated[str, Field(max_length=100)]
    value: Value
    is_positive: bool = True

    @model_validator(mode="after")
    def _complete(self) -> Region:
        for name in _NEEDED.get(self.type, ()):
            if name not in self.value.model_fields_set:
                raise ValueError(f"{self.type} gives no {name}")
        return self


class LabelStudioTask(Body):
    """Image or video of a task, by its data fields."""

    data: dict[str, Any] = Field({})


class Prediction(Body):
    """Request of Label Studio to ``/predict``; ``regions`` are the latest shapes of the annotator."""

    tasks: Annotated[list[LabelStudioTask], Field(min_length=1, max_length=MAX_TASKS)]
    label_config: Annotated[str, Field(max_length=1 << 20)] = ""
    regions: Annotated[list[Region], Field(max_length=MAX_REGIONS)] | None = Field(
        None, validation_alias=AliasPath("params", "context", "result")
    )


@dataclass(frozen=True, slots=True)
class Tags:
    """Supported tags of a labelling configuration, and the task field of the image or video."""

    kind: str
    from_name: str
    to_name: str
    key: str

    @classmethod
    def of(cls, config: str) -> Tags:
        """Find the first supported tag."""
        try:
            root = ET.fromstring(refuse_entities(config))
        except (ET.ParseError, SegueError) as error:
            raise RequestError(f"label_config: is no labelling configuration ({error})") from None
        objects = {item.get("name"): item for item in root.iter() if item.tag in ("Image", "Video")}
        for kind in ("BrushLabels", "PolygonLabels", "VideoRectangle"):
            for item in root.iter(kind):
                object_tag = objects.get(item.get("toName"))
                if object_tag is not None and (object_tag.tag == "Video") == (kind == "VideoRectangle"):
                    names = item.get("name", ""), item.get("toName", ""), object_tag.get("value", "")
                    return cls(kind.lower(), names[0], names[1], names[2].removeprefix("$"))
        raise RequestError(
            "the labelling configuration needs BrushLabels or PolygonLabels of an Image, "
            "or a VideoRectangle of a Video"
        )


def predictions(assistant: Assistant, media: Media, request: Prediction, frames: int = 50) -> dict[str, Any]:
    """Answer a request to ``/predict``."""
    regions = request.regions
    if not regions:
        nothing = {"result": [], "score": 0.0, "model_version": assistant.name}
        return {"results": [nothing for _ in request.tasks], "model_version": assistant.name}
    tags = Tags.of(request.label_config)
    place = request.tasks[0].data.get(tags.key)
    if tags.kind == "videorectangle":
        with media.opened(place) as path:
            results = _track_regions(assistant, path, regions, tags, frames)
    else:
        results = [_region(assistant, _image(media, place), regions, tags)]
    scores = [result["score"] for result in results]
    prediction = {
        "result": results,
        "score": sum(scores) / max(1, len(scores)),
        "model_version": assistant.name,
    }
    return {"results": [prediction], "model_version": assistant.name}


def _image(media: Media, place: object) -> Image:
    if isinstance(place, str) and place.startswith("data:"):
        try:
            return decode_image(image_file(place), "image")
        except ValueError:
            raise RequestError("image: is no base64") from None
    with media.opened(place) as path:
        return decode_image(path.read_bytes(), str(place))


def _region(assistant: Assistant, image: Image, regions: Sequence[Region], tags: Tags) -> dict[str, Any]:
    """Region of the object marked by clicks, a box and brush strokes."""
    height, width = image.shape[:2]
    answer = assistant.answer(image, prompts_of(regions, (height, width)))
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
        return {"format": "rle", "rle": encode_brush(mask)}
    height, width = mask.shape
    largest = parts_of(mask)[0][0] if mask.any() else np.zeros((0, 2))
    return {"points": (largest * (100 / width, 100 / height)).tolist(), "closed": True}


def _labels(regions: Sequence[Region], kind: str) -> dict[str, list[str]]:
    """Label of the last drawn shape, under the name for the answer's kind."""
    for region in reversed(regions):
        if labels := region.value.labels(region.type):
            return {kind: labels}
    return {}


def prompts_of(regions: Sequence[Region], size: tuple[int, int]) -> ImagePrompts:
    """Convert drawn shapes of an image to prompts in pixels."""
    height, width = size
    points: list[Point] = []
    negative: list[Point] = []
    box: Box | None = None
    mask: npt.NDArray[np.bool_] | None = None
    for region in regions:
        value = region.value
        if region.type == "keypointlabels":
            place = min(value.x * width / 100, width - 1), min(value.y * height / 100, height - 1)
            (points if region.is_positive else negative).append(place)
        elif region.type == "rectanglelabels":
            box = _box(value, size)
        elif region.type == "brushlabels":
            brushed = decode_brush(value.rle, size)
            mask = brushed if mask is None else mask | brushed
        else:
            raise RequestError(f"{region.type}: draw with key points, rectangles or brushes")
    return ImagePrompts(box, points, negative, (), mask)


def _box(shape: Value | Key, size: tuple[int, int]) -> Box:
    """Box around a rectangle, which may be turned."""
    corners = corners_of_box((shape.x, shape.y, shape.width, shape.height, shape.rotation), size)
    (x0, y0), (x1, y1) = corners.min(0).tolist(), corners.max(0).tolist()
    return x0, y0, x1, y1


def _track_regions(
    assistant: Assistant, path: Path, regions: Sequence[Region], tags: Tags, frames: int
) -> list[dict[str, Any]]:
    """Continue the boxes of each object to the frames after the last drawn one, unless it is hidden there."""
    video_regions = [region for region in regions if region.type == "videorectangle"]
    sequences = [sorted(region.value.sequence, key=lambda key: key.frame) for region in video_regions]
    if not any(sequences):
        raise RequestError("draw a box around the object on a frame of the video")
    with closing(Video(path)) as video:
        # The tag counts frames at a rate of its own, which its regions tell.
        ratio = frames_in_tag(video_regions[0].value.model_extra or {}, video.fps)
        places = [{index_at(video, key.frame, ratio): key for key in sequence} for sequence in sequences]
    prompts: dict[int, list[Prompt]] = {}
    first, last = min(map(min, filter(None, places))), max(map(max, filter(None, places)))
    for number, by_index in enumerate(places, 1):
        for index, key in by_index.items():
            prompts.setdefault(index, []).append(BoxPrompt(number, _box(key, video.size)))
            if not key.enabled and index < last and index + 1 not in by_index:
                prompts.setdefault(index + 1, []).append(RemovePrompt(number))
    with open_source(path, start=first, end=last + 1 + frames) as source:
        later_results = [result for result in assistant.track(source, prompts) if result.index > last]
    return [
        _video_region(region, sequence, number, later_results, (video, ratio), tags)
        for number, (region, sequence) in enumerate(zip(video_regions, sequences, strict=True), 1)
    ]


def _video_region(
    region: Region,
    sequence: list[Key],
    number: int,
    later_results: Sequence[Segmentation],
    rates: tuple[Video, float],
    tags: Tags,
) -> dict[str, Any]:
    """Add boxes to a video region; ``rates``: the video, and frames of the tag for each of its frames."""
    video, ratio = rates
    keys, scores = [key.model_dump() for key in sequence], []
    is_visible = bool(sequence) and sequence[-1].enabled
    if not is_visible:  # until the next box, which a person draws
        later_results = ()
    for result in later_results:
        item = next((item for item in result.objects if item.id == number), None)
        if item is None:
            continue
        frame = round(tag_position(video, result.index, ratio))
        if keys and keys[-1]["frame"] >= frame:  # the tag has fewer frames than the video
            continue
        when = {"frame": frame, "time": frame / ratio / video.fps, "rotation": 0}
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
        elif is_visible:  # hidden after the last box, until the next one
            keys[-1] |= {"enabled": False}
        is_visible = item.box is not None
    more = region.value.model_extra or {}
    more_fields = {name: more[name] for name in ("framesCount", "duration", "labels") if name in more}
    return {
        "id": region.id,
        "from_name": tags.from_name,
        "to_name": tags.to_name,
        "type": tags.kind,
        "origin": "prediction",
        "score": sum(scores) / max(1, len(scores)),
        "value": more_fields | {"sequence": keys},
    }


def make_app(assistant: Assistant, media: Media, frames: int = 50) -> Starlette:
    """Make the application of the backend."""
    app = Service(lambda text: {"error": text})

    async def predict(request: Prediction) -> dict[str, Any]:
        return await app.run(predictions, assistant, media, request, frames)

    async def setup(_: Request) -> Response:
        return JSONResponse({"model_version": assistant.name})

    async def webhook(_: Request) -> Response:
        return JSONResponse({}, 201)  # nothing is trained

    app.answers("/predict", Prediction, predict)
    app.says(["/", "/health"], lambda: {"status": "UP", "model_class": assistant.name})
    app.add_route("/setup", setup, methods=["POST"])
    app.add_route("/webhook", webhook, methods=["POST"])
    return app
