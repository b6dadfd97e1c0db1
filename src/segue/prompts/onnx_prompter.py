"""Promptable networks that people have as ONNX files: the family of SAM, encoder and decoder apart.

The names of its inputs say which of the published layouts a pair has:

* **SAM**, and MobileSAM, SAM-HQ and others exported alike (``segment_anything/utils/onnx.py``): the decoder
  takes ``image_embeddings``, ``point_coords``, ``point_labels``, ``mask_input``, ``has_mask_input`` and
  ``orig_im_size``; images keep their ratio, the long side is 1024, the rest of the square is filled up.
* **SAM 2**, as samexporter writes it: ``image_embed``, ``high_res_feats_0`` and ``high_res_feats_1`` instead
  of ``image_embeddings``; images are stretched to the square.
* **EfficientSAM** (its ``export_to_onnx.py``): ``image_embeddings``, ``batched_point_coords``,
  ``batched_point_labels`` and ``orig_im_size``; images go in as they are, and no earlier mask does. The
  export in a single file takes ``batched_images`` itself.

Labels of points are 1 on the object, 0 beside it, 2 and 3 for the corners of a box, -1 for none.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import numpy.typing as npt

from segue.arrays import Float32Array
from segue.errors import CheckpointError
from segue.extras import install_command
from segue.inputs import first_line
from segue.prompts.answers import Answer, PicturePrompter, Prompts
from segue.prompts.planes import thinned, tight_box
from segue.types import Image

if TYPE_CHECKING:
    from onnxruntime import InferenceSession


MEAN = np.array([123.675, 116.28, 103.53], np.float32)
STD = np.array([58.395, 57.12, 57.375], np.float32)
SIDE = 1024  # side of the square that SAM and SAM 2 see, where the file leaves it open, in pixels
LOW = 4  # the side of the mask that goes in and comes out is this many times smaller
SURE = 8.0  # logit of an earlier mask where it is certain

LAYOUTS = {
    "efficient": {"batched_point_coords", "batched_point_labels"},
    "sam2": {"point_coords", "point_labels", "high_res_feats_0", "high_res_feats_1"},
    "sam": {"point_coords", "point_labels", "image_embeddings"},
}
"""Inputs of a decoder that tell its layout; the first that fits counts."""


class OnnxNetwork:
    """An encoder and a decoder, ready to run on the processor.

    Args:
        files: ``ENCODER.onnx,DECODER.onnx``, or one of both where the names differ in the words "encoder" and
            "decoder" alone, or a single file that holds everything.

    Raises:
        CheckpointError: onnxruntime is not installed, a file is missing or cannot be read, or the inputs are
            those of no known layout.
    """

    def __init__(self, files: str) -> None:
        paths = _pair(files)
        sessions = [_session(path) for path in paths]
        self.decoder = sessions[-1]
        self.encoder = sessions[0] if len(sessions) == 2 else None
        self.inputs = {item.name: item.type for item in self.decoder.get_inputs()}
        self.outputs = [item.name for item in self.decoder.get_outputs()]
        layouts = [name for name, needed in LAYOUTS.items() if needed <= self.inputs.keys()]
        if not layouts:
            raise CheckpointError(
                f"{paths[-1]}: takes {', '.join(sorted(self.inputs))}, which is none of the known layouts of "
                "decoders: SAM, SAM 2, EfficientSAM"
            )
        self.layout = layouts[0]
        if self.encoder is None and "batched_images" not in self.inputs:
            raise CheckpointError(f"{paths[-1]}: is a decoder; give ENCODER.onnx,DECODER.onnx")

    @property
    def side(self) -> int:
        """Side of the square that the encoder sees, in pixels."""
        shape = [] if self.encoder is None else self.encoder.get_inputs()[0].shape
        return shape[-1] if len(shape) == 4 and isinstance(shape[-1], int) else SIDE

    def encode(self, image: Image) -> dict[str, npt.NDArray[Any]]:
        """Inputs of the decoder for an image. ``image``: RGB (H, W, 3), uint8."""
        if self.encoder is None:
            return {"batched_images": _planes(image / np.float32(255))}
        first = self.encoder.get_inputs()[0]
        if self.layout == "efficient":
            picture = _planes(image / np.float32(255))
        else:
            height, width = self.inner(image.shape)
            shrinks = max(image.shape[:2]) > max(height, width)
            flags = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
            picture = np.asarray(cv2.resize(image, (width, height), interpolation=flags), np.float32)
            if self.layout == "sam2" or len(first.shape) == 4:  # others normalise and fill up by themselves
                rest = ((0, 0), (0, 0), (0, self.side - height), (0, self.side - width))
                picture = np.pad(_planes((picture - MEAN) / STD), rest)
        found = self.encoder.run(None, {first.name: picture})
        if self.layout != "sam2":
            return {"image_embeddings": found[0]}
        by_name = dict(zip((item.name for item in self.encoder.get_outputs()), found, strict=True))
        wanted = ("high_res_feats_0", "high_res_feats_1", "image_embed")
        return {name: by_name.get(name, found[i]) for i, name in enumerate(wanted)}

    def inner(self, size: tuple[int, ...]) -> tuple[int, int]:
        """Size that an image has inside the square."""
        if self.layout == "sam2":
            return self.side, self.side
        scale = self.side / max(size[0], size[1])
        return max(1, int(size[0] * scale + 0.5)), max(1, int(size[1] * scale + 0.5))


class OnnxPrompter(PicturePrompter):
    """Such a network on one image, RGB (H, W, 3), uint8."""

    def __init__(self, image: Image, network: OnnxNetwork) -> None:
        super().__init__(image)
        self._network = network
        self._encoded: dict[str, npt.NDArray[Any]] | None = None

    def _segment(self, prompts: Prompts) -> Answer:
        """The object that ``prompts`` point at, the masks in order of their predicted IoU."""
        network, size = self._network, self.size
        if self._encoded is None:
            self._encoded = network.encode(self.image)
        takes_mask = "mask_input" in network.inputs
        points, labels = _points(prompts, takes_mask)
        given: dict[str, npt.NDArray[Any]] = {**self._encoded, "orig_im_size": np.array(size)}
        if network.layout == "efficient":
            given |= {"batched_point_coords": points[None, None], "batched_point_labels": labels[None, None]}
        else:
            height, width = network.inner(size)
            given["point_coords"] = (points * [width / size[1], height / size[0]])[None]
            given["point_labels"] = labels[None]
            given["mask_input"] = self._earlier(prompts)
            given["has_mask_input"] = np.array([float(prompts.mask is not None)])
        fed = {name: given[name].astype(_TYPES[kind]) for name, kind in network.inputs.items()}
        values = network.decoder.run(None, fed)
        found = dict(zip(network.outputs, values, strict=True))
        logits = np.asarray(found.get("low_res_masks", values[0]), np.float32)
        iou = np.asarray(found.get("iou_predictions", values[1]), np.float32).ravel()
        order = np.argsort(-iou, kind="stable")
        planes = self._inside(logits.reshape(-1, *logits.shape[-2:])[order])
        probability = 1 / (1 + np.exp(-planes.clip(-50, 50)))
        return Answer(size, (0, 0, size[1], size[0]), iou[order].clip(0, 1), probability)

    def _earlier(self, prompts: Prompts) -> Float32Array:
        """The earlier mask as logits, (1, 1, side/4, side/4), 0 where there is none."""
        network = self._network
        low = network.side // LOW
        square = np.zeros((1, 1, low, low), np.float32)
        if prompts.mask is not None:
            height, width = (max(1, round(side / LOW)) for side in network.inner(self.image.shape))
            part = cv2.resize(prompts.mask, (width, height), interpolation=cv2.INTER_AREA)
            square[:] = -SURE
            square[0, 0, :height, :width] = (np.asarray(part) * 2 - 1) * SURE
        return square

    def _inside(self, planes: Float32Array) -> Float32Array:
        """Masks of the square, cut to what the image takes of it; masks of the image stay."""
        network = self._network
        if network.layout != "sam" or planes.shape[1:] == self.image.shape[:2]:
            return planes
        height, width = network.inner(self.image.shape)
        large = [cv2.resize(plane, (network.side, network.side)) for plane in planes]
        return np.stack([np.asarray(plane, np.float32)[:height, :width] for plane in large])


_TYPES = {"tensor(float)": np.float32, "tensor(int64)": np.int64, "tensor(int32)": np.int32}


def _points(prompts: Prompts, takes_mask: bool) -> tuple[Float32Array, Float32Array]:
    """Points (N, 2) in pixels and their labels (N,); where no mask can go in, its box does."""
    marks = [(x, y, 1) for x, y in prompts.points] + [(x, y, 0) for x, y in prompts.negative]
    for stroke in prompts.scribble:
        marks += [(*point, 1) for point in thinned(stroke)]
    box = prompts.box
    if box is None and prompts.mask is not None and not takes_mask:
        box = tight_box(prompts.mask > 0.5)
    if box is not None:
        marks += [(box[0], box[1], 2), (box[2], box[3], 3)]
    elif takes_mask:
        marks.append((0, 0, -1))  # what SAM's own export asks for where there is no box
    table = np.array(marks, np.float32)
    return table[:, :2], table[:, 2]


def _planes(picture: npt.NDArray[Any]) -> Float32Array:
    """(H, W, 3) → (1, 3, H, W)."""
    return np.ascontiguousarray(picture.transpose(2, 0, 1)[None], np.float32)


def _pair(files: str) -> list[Path]:
    """Files of encoder and decoder, or the single file."""
    paths = [Path(part.strip()) for part in files.split(",")]
    if len(paths) > 2:
        raise CheckpointError(f"{files}: give ENCODER.onnx,DECODER.onnx")
    if len(paths) == 1 and any(word in paths[0].name for word in ("encoder", "decoder")):
        encoder = paths[0].name.replace("decoder", "encoder")
        paths = [paths[0].with_name(name) for name in (encoder, encoder.replace("encoder", "decoder"))]
    for path in paths:
        if not path.is_file():
            raise CheckpointError(f"{path}: there is no such file; give ENCODER.onnx,DECODER.onnx")
    return paths


def _session(path: Path) -> InferenceSession:
    try:
        import onnxruntime
    except ImportError:
        raise CheckpointError(f"ONNX files need onnxruntime: {install_command('onnx')}") from None
    try:
        return onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime raises classes of its own that share no base
        raise CheckpointError(f"{path}: cannot be read as ONNX: {first_line(error)}") from error
