"""SAM 2.1 on one image (arXiv 2408.00714, section 4), and derived networks such as EdgeTAM."""

from __future__ import annotations

import math
from functools import cached_property

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from segue.models.sam2.images import points_on_square, still_image, video_logits
from segue.models.sam2.network import SAM2Base
from segue.models.sam2.objects import LIMIT
from segue.models.sam2.values import IMAGE_SIDE, LOW, MASK_LOGIT, Encoded
from segue.prompt_types import ImagePrompts
from segue.prompts.answers import ImagePrompter, MaskPrediction
from segue.types import Image
from segue.weights.prepared import Prepared


class SAM2Stills:
    """A network for images of one side, a multiple of its ``side_step``, with constants of that side.

    A single click gives three masks; a box, several clicks or an earlier mask give one.
    """

    def __init__(self, prepared: Prepared[SAM2Base], side: int = IMAGE_SIDE) -> None:
        self._guard = prepared.inference_guard
        self.network, self.side = network, _ = prepared.network, side
        with torch.inference_mode():
            self._constants = network.constants(side)
        self.device, self._dtype = network.no_mem_embed.device, network.no_mem_embed.dtype

    @torch.inference_mode()
    def encode(self, image: Image) -> tuple[Encoded, Tensor]:
        """Features of an image, and the decoder's input map."""
        square = still_image(image, self.side, self.device).to(self._dtype)
        with self._guard():
            encoded = self.network.encode(square, self._constants)
            return encoded, self.network.without_memory(encoded.coarse)

    @torch.inference_mode()
    def predict(
        self,
        encoded: tuple[Encoded, Tensor],
        points: Tensor,
        labels: Tensor,
        mask: Tensor | None = None,
        *,
        multimask: bool | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Logits (B, K, side/4, side/4) and predicted IoU (B, K) of the masks of B prompts.

        ``points``: (B, N, 2), x before y, in pixels of the square; ``labels``: (B, N): 1 on the object, 0
        beside it, 2 and 3 for the corners of a box; ``mask``: logits so far, (B, 1, side/4, side/4);
        ``multimask`` asks for three masks or for one.
        """
        looked, image = encoded
        count = labels.shape[1]
        with self._guard():
            decoded = self.network.decode(
                image, looked, self._constants, points if count else None, labels if count else None, mask
            )
        if multimask is None:
            multimask = count == 1 and mask is None
        logits, iou = (
            (decoded.logits[:, 1:], decoded.iou[:, 1:]) if multimask else decoded.single(dynamic=True)
        )
        return logits.clamp(-LIMIT, LIMIT), iou


class SAM2Prompter(ImagePrompter):
    """SAM 2.1 on one image, RGB (H, W, 3), uint8."""

    def __init__(self, image: Image, network: SAM2Stills) -> None:
        super().__init__(image)
        self._network = network

    @cached_property
    def _encoded(self) -> tuple[Encoded, Tensor]:
        return self._network.encode(self.image)

    @torch.inference_mode()
    def _segment(self, prompts: ImagePrompts) -> MaskPrediction:
        """Segment the object of prompts; masks are ordered by predicted IoU."""
        network, (height, width) = self._network, self.size
        positive = [(x, y) for x, y, inside in prompts.clicks if inside]
        points, labels = points_on_square(
            positive, prompts.negative, prompts.box, self.size, network.side, network.device
        )
        earlier = None
        if prompts.mask is not None:
            plane = torch.from_numpy(np.asarray(prompts.mask, np.float32))[None, None]
            low = (network.side // LOW, network.side // LOW)
            small = F.interpolate(plane, size=low, mode="bilinear", antialias=True)
            earlier = small.logit(1 / (1 + math.exp(MASK_LOGIT))).to(network.device)
        logits, iou = network.predict(self._encoded, points, labels, earlier)
        order = iou[0].argsort(descending=True, stable=True)
        planes = video_logits(logits[:, order], self.size).sigmoid().cpu().numpy()
        return MaskPrediction(self.size, (0, 0, width, height), iou[0, order].cpu().numpy(), planes)
