"""Native functions of CVAT for ``cvat-cli function run-agent``, which calls :func:`create`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

import cv2
import numpy as np
from cvat_sdk import auto_annotation
from cvat_sdk.masks import decode_mask, encode_mask

from segue.masks.outlines import single_outline
from segue.prompt_types import BoxPrompt, ImagePrompts, MaskPrompt, Prompt
from segue.prompts.answers import ImagePrompter
from segue.sessions import TrackSession
from segue.types import Image
from segue.utils.arrays import BoolArray
from segue.video.decoding.readers import as_rgb
from segue_web.services.assistant import Assistant, RequestError


def create(
    kind: Literal["interactor", "tracker"] = "tracker",
    model: str = "stcn-lite",
    prompter: str = "segue-prompt",
) -> Interactor | Tracker:
    """Create the function of a kind; parameters come from ``cvat-cli function``."""
    functions: dict[str, Callable[[Assistant], Interactor | Tracker]]
    functions = {"interactor": Interactor, "tracker": Tracker}
    if kind not in functions:
        raise RequestError(f"kind: {kind!r}; interactor or tracker")
    return functions[kind](Assistant(model=model, prompter=prompter))


class Interactor:
    """CVAT ``InteractionFunction``: clicks and a box become a mask."""

    spec = auto_annotation.InteractionFunctionSpec(min_pos_points=0, min_neg_points=0, min_bounding_boxes=0)

    def __init__(self, assistant: Assistant) -> None:
        self._assistant = assistant

    def preprocess_image(self, context: Any, image: Any) -> ImagePrompter:
        """Make the prompter of an image, which caches its features."""
        return self._assistant.make_prompter(as_rgb(image, "image"))

    def detect(self, context: Any, pp_image: ImagePrompter, prompts: Any) -> list[Any]:
        """Segment prompts as a mask."""
        box = None
        if prompts.bounding_box is not None:
            (x0, y0), (x1, y1) = prompts.bounding_box
            box = min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1)
        mask = pp_image.answer(ImagePrompts(box, prompts.pos_points, prompts.neg_points)).mask
        if not mask.any():
            return []
        return [auto_annotation.InteractionResultShape(type="mask", points=encode_mask(mask))]


class Tracker:
    """CVAT ``TrackingFunction``: tracks a shape; states are sessions."""

    spec = auto_annotation.TrackingFunctionSpec(supported_shape_types={"rectangle", "polygon", "mask"})

    def __init__(self, assistant: Assistant) -> None:
        self._assistant = assistant

    def preprocess_image(self, context: Any, image: Any) -> Image:
        """Convert an image to RGB (H, W, 3), uint8."""
        return as_rgb(image, "image")

    def init_tracking_state(self, context: Any, pp_image: Image, shape: Any) -> TrackSession:
        """Start a session with the shape."""
        session = self._assistant.session()
        session.step(pp_image, [_prompt(shape.type, shape.points, pp_image.shape[:2])])
        return session

    def track(self, context: Any, pp_image: Image, state: TrackSession) -> Any:
        """Shape on the next frame; None if it is not visible."""
        mask = state.step(pp_image).mask == 1
        kind = context.original_shape_type
        return auto_annotation.TrackableShape(type=kind, points=_points(mask, kind)) if mask.any() else None


def _prompt(kind: str, points: Sequence[float], size: tuple[int, ...]) -> Prompt:
    if kind == "rectangle":
        x0, y0, x1, y1 = points
        return BoxPrompt(1, (min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1)))
    if kind == "polygon":
        corners = np.reshape(points, (-1, 2)).round().astype(np.int32)
        mask = np.asarray(cv2.fillPoly(np.zeros(size, np.uint8), [corners], 1) > 0)
    else:
        mask = decode_mask(points, image_width=size[1], image_height=size[0])
    if not mask.any():
        raise RequestError("the shape covers no pixel of the image")
    return MaskPrompt(1, mask)


def _points(mask: BoolArray, kind: str) -> list[float]:
    """Points of a non-empty mask for a kind of shape."""
    if kind == "rectangle":
        x, y, w, h = cv2.boundingRect(mask.astype(np.uint8))
        return [x, y, x + w, y + h]
    if kind == "polygon":
        return [float(value) for value in single_outline(mask).ravel()]
    return list(encode_mask(mask))
