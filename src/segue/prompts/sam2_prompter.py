"""SAM 2.1 on one image, as the image predictor of the release (arXiv 2408.00714, section 4)."""

from __future__ import annotations

import math
from functools import cached_property

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from segue.layers.running import weights_apart
from segue.models.sam2.network import SAM2
from segue.models.sam2.pictures import points_on_square, still_picture
from segue.models.sam2.values import IMAGE_SIDE, LOW, Constants, Encoded
from segue.prompts.answers import Answer, PicturePrompter, Prompts
from segue.prompts.granularity import Granularity, related
from segue.prompts.planes import thinned
from segue.types import Image

LIMIT = 32.0
"""Bound of returned logits and of earlier masks."""

CERTAIN = 10.0
"""Logit of an earlier mask where it is certain, as of masks that the tracker is given."""


class SAM2Stills:
    """A network for images of one side, a multiple of 32 pixels, and what depends on the side alone."""

    def __init__(self, network: SAM2, side: int = IMAGE_SIDE) -> None:
        self.network = network
        with torch.inference_mode():
            self.constants: Constants = network.constants(side)
        self.device, self.dtype = network.no_mem_embed.device, network.no_mem_embed.dtype

    @torch.inference_mode()
    def encode(self, image: Image) -> tuple[Encoded, Tensor]:
        """Features of an image, RGB (H, W, 3), uint8, and the map that the decoder reads."""
        picture = still_picture(image, self.constants.side).to(self.device, self.dtype)
        with weights_apart(self.network):
            encoded = self.network.encode(picture, self.constants)
            return encoded, self.network.without_memory(encoded.coarse)

    @torch.inference_mode()
    def predict(
        self,
        encoded: tuple[Encoded, Tensor],
        points: Tensor | None,
        labels: Tensor | None,
        mask: Tensor | None = None,
        *,
        multimask: bool = True,
    ) -> tuple[Tensor, Tensor]:
        """Masks of B prompts.

        ``points``: (B, N, 2), x before y, in pixels of the square; ``labels``: (B, N); ``mask``: logits of
        the mask so far, (B, 1, side/4, side/4); returns logits (B, K, side/4, side/4), clamped to ±32, and
        predicted IoU, (B, K).
        """
        looked, image = encoded
        with weights_apart(self.network):
            found = self.network.decode(image, looked, self.constants, points, labels, mask)
        if multimask:
            return found.logits[:, 1:].clamp(-LIMIT, LIMIT), found.iou[:, 1:]
        logits, iou = found.single(dynamic=True)
        return logits.clamp(-LIMIT, LIMIT), iou


class SAM2Prompter(PicturePrompter):
    """SAM 2.1 on one image, RGB (H, W, 3), uint8.

    A single click gives three masks, a box, several clicks or an earlier mask give one.
    """

    def __init__(self, image: Image, stills: SAM2Stills) -> None:
        super().__init__(image)
        self._stills = stills

    @cached_property
    def _encoded(self) -> tuple[Encoded, Tensor]:
        return self._stills.encode(self.image)

    @torch.inference_mode()
    def _segment(self, prompts: Prompts) -> Answer:
        """The object that ``prompts`` point at, the masks in order of their predicted IoU.

        The mask of ``prompts.granularity`` comes first, if a click has one.
        """
        size, stills = self.size, self._stills
        positive = [*prompts.points, *(point for stroke in prompts.scribble for point in thinned(stroke))]
        side = stills.constants.side
        points, labels = points_on_square(positive, prompts.negative, prompts.box, size, side, stills.device)
        mask = None if prompts.mask is None else self._earlier(prompts.mask)
        pointed = labels.shape[1] > 0
        multimask = labels.shape[1] == 1 and mask is None
        logits, iou = stills.predict(
            self._encoded,
            points if pointed else None,
            labels if pointed else None,
            mask,
            multimask=multimask,
        )
        large = F.interpolate(logits, size=size, mode="bilinear")[0]
        order = iou[0].argsort(descending=True, stable=True)
        planes, quality = large[order].sigmoid().cpu().numpy(), iou[0, order].cpu().numpy()
        masks = (large[order] > 0).cpu().numpy()
        choices: dict[Granularity, int] = {"whole": 0}
        choices |= {
            granularity: 1 + number
            for granularity, number in related(masks[0], list(masks[1:]), quality[1:].tolist()).items()
        }
        granularity = prompts.granularity if prompts.granularity in choices else "whole"
        first = choices[granularity]
        turned = [first, *(number for number in range(len(planes)) if number != first)]
        window = (0, 0, size[1], size[0])
        return Answer(size, window, quality[turned], planes[turned], granularity, tuple(choices))

    def _earlier(self, mask: npt.NDArray[np.float32]) -> Tensor:
        """A mask so far, (H, W), in [0, 1], as logits on the square, (1, 1, side/4, side/4)."""
        low = self._stills.constants.side // LOW
        plane = torch.from_numpy(np.asarray(mask, np.float32))[None, None]
        small = F.interpolate(plane, size=(low, low), mode="bilinear", antialias=True)
        return small.logit(1 / (1 + math.exp(CERTAIN))).to(self._stills.device)
