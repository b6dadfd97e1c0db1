"""Networks of the SAM family on one image: SAM 2.1 (arXiv 2408.00714, section 4), and ONNX files.

A pair of ONNX files is an encoder and a decoder. Two layouts are read:

* **SAM**, MobileSAM, SAM-HQ and others as ``segment_anything/utils/onnx.py`` exports them: the decoder takes
  ``image_embeddings``; images keep their ratio, and the rest of the square is filled up.
* **SAM 2**, as samexporter writes it: the decoder takes ``image_embed``, ``high_res_feats_0`` and
  ``high_res_feats_1``; images are stretched to the square.
"""

from __future__ import annotations

import math
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from segue.errors import CheckpointError
from segue.extras import install_command
from segue.inputs import first_line
from segue.layers.colours import MEAN, STD
from segue.layers.running import weights_apart
from segue.models.sam2.images import points_on_square, still_image
from segue.models.sam2.masks import TOP_LEFT
from segue.models.sam2.network import SAM2
from segue.models.sam2.values import IMAGE_SIDE, LOW, MASK_LOGIT, Encoded
from segue.prompts.answers import Answer, Granularity, ImagePrompter, Prompts, related
from segue.prompts.planes import thinned
from segue.types import Image

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

LIMIT = 32.0
"""Bound of the logits of SAM 2 and of earlier masks."""


class SAM2Stills:
    """SAM 2.1 for images of one side, a multiple of 32 pixels, and what depends on the side alone.

    A single click gives three masks; a box, several clicks or an earlier mask give one.
    """

    keeps_ratio = False  # images are stretched to the square

    def __init__(self, network: SAM2, side: int = IMAGE_SIDE) -> None:
        self.network, self.side = network, side
        with torch.inference_mode():
            self._constants = network.constants(side)
        self.device, self._dtype = network.no_mem_embed.device, network.no_mem_embed.dtype

    @torch.inference_mode()
    def encode(self, image: Image) -> tuple[Encoded, Tensor]:
        """Features of an image, and the map that the decoder reads."""
        square = still_image(image, self.side).to(self.device, self._dtype)
        with weights_apart(self.network):
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
        with weights_apart(self.network):
            found = self.network.decode(
                image, looked, self._constants, points if count else None, labels if count else None, mask
            )
        if multimask is None:
            multimask = count == 1 and mask is None
        logits, iou = (found.logits[:, 1:], found.iou[:, 1:]) if multimask else found.single(dynamic=True)
        return logits.clamp(-LIMIT, LIMIT), iou


_GIVEN = frozenset(
    {"image_embeddings", "orig_im_size", "point_coords", "point_labels", "mask_input", "has_mask_input"}
)
"""Inputs of decoders beside the outputs of their encoders."""

_TYPES = {"tensor(float)": np.float32, "tensor(int64)": np.int64, "tensor(int32)": np.int32}


class OnnxNetwork:
    """An encoder and a decoder in ONNX files, ready to run on the processor.

    Args:
        files: ``ENCODER.onnx,DECODER.onnx``.

    Raises:
        CheckpointError: onnxruntime is not installed, a file is missing or cannot be read, or the inputs are
            those of no known layout.
    """

    device = torch.device("cpu")

    def __init__(self, files: str) -> None:
        encoder, decoder = _pair(files)
        self._encoder, self._decoder = _session(encoder), _session(decoder)
        self._inputs = {item.name: _TYPES[item.type] for item in self._decoder.get_inputs()}
        self.keeps_ratio = "image_embeddings" in self._inputs
        self._outputs = [item.name for item in self._encoder.get_outputs()]
        if not {"point_coords"} <= self._inputs.keys() <= _GIVEN.union(self._outputs):
            raise CheckpointError(
                f"{decoder}: takes {', '.join(sorted(self._inputs))}; known are decoders of SAM and SAM 2"
            )
        shape = self._encoder.get_inputs()[0].shape
        self._prepared = len(shape) == 4  # else the encoder normalises and fills up by itself
        self.side: int = shape[-1] if self._prepared and isinstance(shape[-1], int) else IMAGE_SIDE

    def encode(self, image: Image) -> dict[str, npt.NDArray[Any]]:
        """What the decoder takes of an image."""
        height, width = image.shape[:2]
        scale = self.side / max(height, width)
        inner = (round(width * scale), round(height * scale)) if self.keeps_ratio else (self.side, self.side)
        flags = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
        square = np.asarray(cv2.resize(image, inner, interpolation=flags), np.float32)
        if self._prepared:
            planes = torch.from_numpy((square / 255 - MEAN) / STD).permute(2, 0, 1)[None].float()
            square = F.pad(planes, (0, self.side - inner[0], 0, self.side - inner[1])).numpy()
        found = self._encoder.run(None, {self._encoder.get_inputs()[0].name: square})
        named = dict(zip(self._outputs, found, strict=True))
        return {**named, "image_embeddings": found[0], "orig_im_size": np.array([height, width])}

    def predict(
        self, encoded: dict[str, npt.NDArray[Any]], points: Tensor, labels: Tensor, mask: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """Masks of one prompt; see :meth:`SAM2Stills.predict`."""
        if TOP_LEFT not in labels:  # the export of SAM asks for a point that is none, where there is no box
            points, labels = F.pad(points, (0, 0, 0, 1)), F.pad(labels, (0, 1), value=-1)
        low = self.side // LOW
        given: dict[str, Any] = {
            **encoded,
            "point_coords": points,
            "point_labels": labels,
            "mask_input": torch.zeros(1, 1, low, low) if mask is None else mask,
            "has_mask_input": [mask is not None],
        }
        fed = {name: np.asarray(given[name], kind) for name, kind in self._inputs.items()}
        names = [item.name for item in self._decoder.get_outputs()]
        found = dict(zip(names, map(torch.from_numpy, self._decoder.run(None, fed)), strict=True))
        logits = found["low_res_masks"] if "low_res_masks" in found else found["masks"]
        return logits, found["iou_predictions"].clamp(0, 1)


class SAMPrompter(ImagePrompter):
    """A network of the SAM family on one image, RGB (H, W, 3), uint8."""

    def __init__(self, image: Image, network: SAM2Stills | OnnxNetwork) -> None:
        super().__init__(image)
        self._network = network

    @cached_property
    def _encoded(self) -> Any:
        return self._network.encode(self.image)

    @torch.inference_mode()
    def _segment(self, prompts: Prompts) -> Answer:
        """The object that ``prompts`` point at, the masks in order of their predicted IoU.

        The mask of ``prompts.granularity`` comes first, if there is one.
        """
        network, (height, width) = self._network, self.size
        long_side = max(self.size)
        shown = (long_side, long_side) if network.keeps_ratio else self.size  # what the square shows
        positive = [*prompts.points, *(point for stroke in prompts.scribble for point in thinned(stroke))]
        points, labels = points_on_square(
            positive, prompts.negative, prompts.box, shown, network.side, network.device
        )
        earlier = None
        if prompts.mask is not None:
            plane = torch.from_numpy(np.asarray(prompts.mask, np.float32))[None, None]
            plane = F.pad(plane, (0, shown[1] - width, 0, shown[0] - height))
            low = (network.side // LOW, network.side // LOW)
            small = F.interpolate(plane, size=low, mode="bilinear", antialias=True)
            earlier = small.logit(1 / (1 + math.exp(MASK_LOGIT))).to(network.device)
        logits, iou = network.predict(self._encoded, points, labels, earlier)
        order = iou[0].argsort(descending=True, stable=True)
        large = F.interpolate(logits[:, order], size=shown, mode="bilinear")[0, :, :height, :width]
        planes, quality = large.sigmoid().cpu().numpy(), iou[0, order].cpu().numpy()
        masks = (large > 0).cpu().numpy()
        choices: dict[Granularity, int] = {"whole": 0}
        for granularity, number in related(masks[0], list(masks[1:]), quality[1:].tolist()).items():
            choices[granularity] = 1 + number
        granularity = prompts.granularity if prompts.granularity in choices else "whole"
        first = choices[granularity]
        turned = [first, *(number for number in range(len(planes)) if number != first)]
        return Answer(
            self.size, (0, 0, width, height), quality[turned], planes[turned], granularity, tuple(choices)
        )


def _pair(files: str) -> tuple[Path, Path]:
    """Files of encoder and decoder."""
    paths = [Path(part.strip()) for part in files.split(",")]
    if len(paths) != 2:
        raise CheckpointError(f"{files}: give ENCODER.onnx,DECODER.onnx")
    for path in paths:
        if not path.is_file():
            raise CheckpointError(f"{path}: there is no such file; give ENCODER.onnx,DECODER.onnx")
    return paths[0], paths[1]


def _session(path: Path) -> InferenceSession:
    try:
        import onnxruntime
    except ImportError:
        raise CheckpointError(f"ONNX files need onnxruntime: {install_command('onnx')}") from None
    try:
        return onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime raises classes of its own that share no base
        raise CheckpointError(f"{path}: cannot be read as ONNX: {first_line(error)}") from error
