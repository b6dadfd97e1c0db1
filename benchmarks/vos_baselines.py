"""Trackers that were never trained to track: what a network must beat.

A tracker is called with each frame in turn, and with the index mask of the first; it answers with the index
mask of the frame, (H, W).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from segue.models.geometry import padding, unpad
from segue.models.stcn import STCNLite
from segue.types import Frame, Image, IndexMask
from segue_train.trunks import load_mobilenet

Tracker = Callable[[Frame, IndexMask | None], IndexMask]


class CopyFirst:
    """The first mask, for ever."""

    def __init__(self) -> None:
        self._mask: IndexMask = np.zeros((0, 0), np.uint8)

    def __call__(self, frame: Frame, given: IndexMask | None) -> IndexMask:
        """The mask that was given last."""
        if given is not None:
            self._mask = given
        return self._mask


class FlowWarp:
    """The previous mask, moved along dense optical flow (DIS: Kroeger et al., ECCV 2016)."""

    def __init__(self) -> None:
        self._flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
        self._previous: npt.NDArray[np.uint8] = np.zeros((0, 0), np.uint8)
        self._mask: IndexMask = np.zeros((0, 0), np.uint8)

    def __call__(self, frame: Frame, given: IndexMask | None) -> IndexMask:
        """Every pixel takes the id of the place that it came from."""
        grey = _grey(frame.image)
        if given is not None:
            self._mask = given
        else:
            back = self._flow.calc(grey, self._previous, np.zeros((*grey.shape, 2), np.float32))
            rows, columns = np.indices(grey.shape, dtype=np.float32)
            places = columns + back[..., 0], rows + back[..., 1]
            moved = cv2.remap(self._mask, *places, cv2.INTER_NEAREST, borderMode=cv2.BORDER_REPLICATE)
            self._mask = np.asarray(moved, np.uint8)
        self._previous = grey
        return self._mask


class LabelPropagation:
    """Labels of similar cells in earlier frames, with the features of an ImageNet network (no training).

    Each cell of 8x8 pixels looks at the cells around its place in the first frame and the latest ones, and
    takes the labels of the ``TOP_K`` most similar by cosine, weighted by a softmax (as in Caron et al.,
    "Emerging Properties in Self-Supervised Vision Transformers", 2021, section 4.2.2). The features are those
    that ``stcn-lite`` starts from: strides 8 and 16 of MobileNetV2, each with unit norm.

    Args:
        backbone: safetensors file with the weights of torchvision's ``mobilenet_v2``, trained on [-1, 1].
    """

    STRIDE = 8
    TOP_K = 5
    RECENT_FRAMES = 7
    RADIUS = 12
    TEMPERATURE = 0.1

    def __init__(self, backbone: Path) -> None:
        self._network = STCNLite().eval()
        load_mobilenet(self._network.key_encoder, backbone)
        self._context: deque[tuple[Tensor, Tensor]] = deque(maxlen=self.RECENT_FRAMES)
        self._first: tuple[Tensor, Tensor] | None = None

    @torch.inference_mode()
    def __call__(self, frame: Frame, given: IndexMask | None) -> IndexMask:
        """Propagate to this frame."""
        features = self._features(frame.image)
        if given is not None or self._first is None:
            assert given is not None
            self._context.clear()
            self._first = features, self._label_cells(given)
            return given
        known = [self._first, *self._context]
        labels = self._propagate(features, known)
        self._context.append((features, labels))
        full = F.interpolate(labels.permute(2, 0, 1)[None], scale_factor=self.STRIDE, mode="bilinear")[0]
        best: IndexMask = unpad(full, frame.size).argmax(0).numpy().astype(np.uint8)
        return best

    def _features(self, image: Image) -> Tensor:
        """Unit vectors, (h, w, C)."""
        query = self._network.encode_query(self._network.prepare(torch.from_numpy(image)))
        return F.normalize(query.features[0][0].permute(1, 2, 0), dim=2).contiguous()

    def _label_cells(self, mask: IndexMask) -> Tensor:
        """Share of every id in every cell, (h, w, K+1)."""
        one_hot = F.one_hot(torch.from_numpy(mask.astype(np.int64))).permute(2, 0, 1).float()
        height, width = mask.shape
        whole = F.pad(one_hot, padding(height, width, self._network.stride), mode="replicate")
        return F.avg_pool2d(whole, self.STRIDE).permute(1, 2, 0)

    def _propagate(self, query: Tensor, known: list[tuple[Tensor, Tensor]]) -> Tensor:
        """Labels (h, w, K+1) of query features (h, w, C), one row of cells at a time."""
        features = torch.stack([item[0] for item in known])
        labels = torch.stack([item[1] for item in known])
        rows, columns = query.shape[:2]
        places = torch.arange(columns)
        far = (places[:, None] - places).abs() > self.RADIUS
        result = []
        for row in range(rows):
            near = slice(max(row - self.RADIUS, 0), row + self.RADIUS + 1)
            memory, memory_labels = features[:, near].flatten(0, 2), labels[:, near].flatten(0, 2)
            similarity = (query[row] @ memory.T).view(columns, -1, columns)
            similarity.masked_fill_(far[:, None], -torch.inf)
            best, index = similarity.flatten(1).topk(self.TOP_K, dim=1, sorted=False)
            weights = (best / self.TEMPERATURE).softmax(1)
            result.append((memory_labels[index] * weights[..., None]).sum(1))
        return torch.stack(result)


def _grey(image: Image) -> npt.NDArray[np.uint8]:
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), np.uint8)
