"""EdgeTAM (Zhou et al., "EdgeTAM: On-Device Track Anything Model", CVPR 2025, arXiv 2501.07256).

SAM 2 with the trunk RepViT-M1, two layers of memory attention, and a perceiver that leaves 512 rows of a map
of memory. Names are those of the release; prompts, memory and passes follow :mod:`segue.models.sam2`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import cast

import torch
from torch import Tensor

from segue.models.edgetam.perceiver import GRID, LATENTS, SpatialPerceiver
from segue.models.edgetam.trunk import WIDTHS, RepViT
from segue.models.sam2.memory import MEMORY_WIDTH, MemoryAttention, rotary
from segue.models.sam2.network import SAM2Base
from segue.models.sam2.trunk import ImageEncoder, sine_position
from segue.models.sam2.values import Constants, Record

ATTENTION_LAYERS = 2


class EdgeTAM(SAM2Base):
    """EdgeTAM as released in 2025-04."""

    side_step = 16 * GRID
    """Windows of the perceiver have as many cells in each row."""

    def __init__(self) -> None:
        super().__init__(ImageEncoder(RepViT(), WIDTHS), MemoryAttention(ATTENTION_LAYERS))
        self.spatial_perceiver = SpatialPerceiver()

    def constants(self, side: int) -> Constants:
        windows = sine_position(GRID, GRID, MEMORY_WIDTH).flatten(2)[0].T.to(self.no_mem_embed)
        code = rotary(GRID, self.no_mem_embed.device)
        # Rows for the whole map have no place: their position is 0, their keys are not turned.
        return replace(
            super().constants(side),
            memory=torch.cat([windows.new_zeros(LATENTS, MEMORY_WIDTH), windows]),
            memory_rotary=torch.cat([torch.ones_like(code[:1]).expand(LATENTS, -1), code]),
        )

    def maps(self, image: Tensor, constants: Constants) -> Sequence[Tensor]:
        return cast(Sequence[Tensor], self.image_encoder.trunk(image))

    def pointer_position(self, distances: Tensor) -> Tensor:
        return self.no_mem_embed.new_zeros(len(distances), MEMORY_WIDTH)

    def memory_rows(self, memory: Tensor, record: Record) -> Tensor:
        return cast(Tensor, self.spatial_perceiver(memory))
