"""Networks of a few channels with the interfaces of XMem and Cutie, so that many videos take seconds.

Their outputs depend on everything that is remembered; what they compute means nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from segue.models.cutie import CutieTracker
from segue.models.geometry import aggregate, other_masks, padding
from segue.models.xmem import XMemFeatures, XMemTracker

KEY, VALUE, STATE, FEATURES = 6, 5, 4, 12


class TinyXMem:
    """As :class:`segue.models.xmem.XMem`, with random matrices in place of layers."""

    tracker: Any = XMemTracker
    stride = read_stride = 16
    hidden_channels = sensory_channels = STATE
    aggregate_prompts = masks_in_padding = True
    aggregate = staticmethod(aggregate)

    def __init__(self, seed: int) -> None:
        self._generator = torch.Generator().manual_seed(seed)
        self.key, self.shrinkage, self.selection = (self._matrix(n, FEATURES) for n in (KEY, 1, KEY))
        self.value, self.deep = self._matrix(VALUE, FEATURES + 2), self._matrix(STATE, VALUE + STATE)
        self.logit = 2 * self._matrix(1, VALUE + STATE + FEATURES)
        self.shallow = self._matrix(STATE, VALUE + STATE + 1)

    def _matrix(self, rows: int, columns: int) -> Tensor:
        """Small enough for a difference of rounding not to grow from frame to frame."""
        return 0.4 * torch.randn(rows, columns, generator=self._generator)

    def prepare(self, image: Tensor) -> Tensor:
        planes = (image.permute(2, 0, 1).float() / 255 - 0.45) / 0.25
        return F.pad(planes, padding(image.shape[0], image.shape[1], 16))[None]

    def encode_query(self, image: Tensor) -> XMemFeatures:
        mean, some = F.avg_pool2d(image, 16), F.avg_pool2d(image, 4)[..., ::4, ::4]
        features = torch.cat([mean, some, mean * some, mean - some.roll(1, -1)], 1)
        shrinkage = mixed(self.shrinkage, features).square() + 1
        selection = mixed(self.selection, features).sigmoid()
        return XMemFeatures(image, mixed(self.key, features), (features,), shrinkage, selection)

    def encode_memory(
        self,
        query: Any,
        masks: Tensor,
        total: Tensor | None = None,
        state: Any = None,
        *,
        update: bool = True,
    ) -> tuple[Tensor, Tensor | None]:
        planes = F.avg_pool2d(torch.stack([masks, other_masks(masks, total)], 1), 16)
        value = mixed(self.value, beside(query, len(masks), 4 * planes)).sin()
        return value, mixed(self.deep, torch.cat([value, state], 1)).tanh() if update else None

    def decode(
        self, query: Any, readout: Tensor, state: Tensor, *, update: bool = False
    ) -> tuple[Tensor, Tensor | None]:
        own = torch.cat([readout, state], 1)
        logits = mixed(self.logit, beside(query, len(own), own))
        moved = mixed(self.shallow, torch.cat([own, logits], 1)).tanh() if update else None
        return F.interpolate(logits, scale_factor=4.0, mode="bilinear")[:, 0], moved


class TinyCutie(TinyXMem):
    """As :class:`segue.models.cutie.Cutie`."""

    tracker: Any = CutieTracker

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self.fusion = self._matrix(VALUE, FEATURES + VALUE + STATE + 2)
        self.weight, self.feature = self._matrix(16, VALUE), self._matrix(256, VALUE)
        self.recall = 0.2 * self._matrix(VALUE, 256)

    def summarise(self, values: Tensor, masks: Tensor) -> Tensor:
        halves = torch.cat(
            [masks[:, None].expand(-1, 8, -1, -1), 1 - masks[:, None].expand(-1, 8, -1, -1)], 1
        )
        weights = (mixed(self.weight, values).sigmoid() * halves).flatten(2)
        sums = weights @ mixed(self.feature, values).flatten(2).transpose(1, 2)
        return torch.cat([sums, weights.sum(-1, keepdim=True)], -1)

    def fuse(self, query: Any, readout: Tensor, sensory: Tensor, last: Tensor) -> Tensor:
        planes = 3 * torch.stack([last, other_masks(last).clamp(0, 1)], 1)
        own = torch.cat([readout, sensory, planes], 1)
        return mixed(self.fusion, beside(query, len(own), own)).sin()

    def transform(
        self, pixel: Tensor, summaries: Tensor, selector: None = None, parts: Sequence[slice] = ()
    ) -> tuple[Tensor, None]:
        means = (summaries[..., :-1] / (summaries[..., -1:] + 1e-4)).mean(1)
        together = pixel.mean((0, 2, 3), keepdim=True)  # objects of a call see one another
        return (pixel + (means @ self.recall.T)[..., None, None] + together).sin(), None


def mixed(matrix: Tensor, planes: Tensor) -> Tensor:
    """A product at each position: (n, C) and (B, C, h, w) to (B, n, h, w)."""
    return torch.einsum("nc,bchw->bnhw", matrix, planes)


def beside(query: Any, objects: int, own: Tensor) -> Tensor:
    """Features of the frame beside those of each object."""
    return torch.cat([query.features[0].expand(objects, -1, -1, -1), own], 1)
