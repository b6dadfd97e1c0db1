"""Prompt encoder and mask decoder of SAM 2, from the Segment Anything Model.

Kirillov et al., ICCV 2023 (arXiv 2304.02643), with the changes of SAM 2 (arXiv 2408.00714, appendix D): skip
connections from the fine levels of the image encoder, and a score that tells whether the object is there.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from segue.layers.activated import LayerNorm2d
from segue.layers.linear import Perceptron

WIDTH = 256
HEADS = 8
HIDDEN = 2048
MASKS = 4
"""Mask tokens: one for clear prompts, three for interpretations of ambiguous ones."""

NEGATIVE, POSITIVE, TOP_LEFT, BOTTOM_RIGHT, NOT_A_POINT = 0, 1, 2, 3, -1
"""Labels of points."""

STABLE = 0.98
STABLE_MARGIN = 0.05
"""A single mask is stable if moving its threshold by the margin keeps this share of its area."""


class RandomPositions(nn.Module):
    """Positions as random Fourier features."""

    positional_encoding_gaussian_matrix: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("positional_encoding_gaussian_matrix", torch.randn(2, WIDTH // 2))

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> RandomPositions:
        """Move the matrix without half precision, which would blur positions."""
        exact = self.positional_encoding_gaussian_matrix
        place = fn(exact).device
        self.positional_encoding_gaussian_matrix = exact.to(place)
        return self

    def forward(self, places: Tensor) -> Tensor:
        """Places (..., 2), x before y, in [0, 1], to codes (..., 256), float32."""
        phase = (2 * places - 1) @ self.positional_encoding_gaussian_matrix * (2 * math.pi)
        return torch.cat([phase.sin(), phase.cos()], -1)

    def grid(self, side: int) -> Tensor:
        """Codes of the centres of a square grid, (1, 256, side, side)."""
        place = self.positional_encoding_gaussian_matrix.device
        centres = (torch.arange(side, device=place, dtype=torch.float32) + 0.5) / side
        y, x = torch.meshgrid(centres, centres, indexing="ij")
        return self(torch.stack([x, y], -1)).permute(2, 0, 1)[None]


class PromptEncoder(nn.Module):
    """Encodes points, boxes and masks as tokens and maps."""

    def __init__(self) -> None:
        super().__init__()
        self.pe_layer = RandomPositions()
        self.point_embeddings = nn.ModuleList(nn.Embedding(1, WIDTH) for _ in range(4))
        self.not_a_point_embed = nn.Embedding(1, WIDTH)
        self.mask_downscaling = nn.Sequential(
            nn.Conv2d(1, 4, 2, stride=2),
            LayerNorm2d(4),
            nn.GELU(),
            nn.Conv2d(4, 16, 2, stride=2),
            LayerNorm2d(16),
            nn.GELU(),
            nn.Conv2d(16, WIDTH, 1),
        )
        self.no_mask_embed = nn.Embedding(1, WIDTH)

    def points(self, points: Tensor, labels: Tensor, side: int) -> Tensor:
        """Encode points (B, N, 2) with labels (B, N) as tokens (B, N + 1, 256), the last for no point."""
        points = torch.cat([points, points.new_zeros(len(points), 1, 2)], 1)
        labels = torch.cat([labels, labels.new_full((len(labels), 1), NOT_A_POINT)], 1)
        kinds = torch.cat([cast(Tensor, embedding.weight) for embedding in self.point_embeddings])
        codes = self.pe_layer((points.float() + 0.5) / side).to(kinds.dtype) + kinds[labels.clamp(min=0)]
        return torch.where((labels == NOT_A_POINT)[..., None], self.not_a_point_embed.weight, codes)

    def no_mask(self) -> Tensor:
        """Dense code without a mask, (1, 256, 1, 1)."""
        return self.no_mask_embed.weight[..., None, None]


class Attention(nn.Module):
    """Multi-head attention whose heads may be narrower than the tokens."""

    def __init__(self, inner: int = WIDTH // 2) -> None:
        super().__init__()
        self.q_proj = nn.Linear(WIDTH, inner)
        self.k_proj = nn.Linear(WIDTH, inner)
        self.v_proj = nn.Linear(WIDTH, inner)
        self.out_proj = nn.Linear(inner, WIDTH)

    def forward(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """Query (B, n, C), key and value (B, m, C) to (B, n, C)."""
        projected = (self.q_proj(query), self.k_proj(key), self.v_proj(value))
        q, k, v = (x.unflatten(-1, (HEADS, -1)).transpose(1, 2) for x in projected)
        return self.out_proj(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))


class TwoWayBlock(nn.Module):
    """Tokens attend to each other and the image, then the image attends to the tokens."""

    def __init__(self, first: bool) -> None:
        super().__init__()
        self._first = first
        self.self_attn = Attention(WIDTH)
        self.norm1 = nn.LayerNorm(WIDTH)
        self.cross_attn_token_to_image = Attention()
        self.norm2 = nn.LayerNorm(WIDTH)
        self.mlp = Perceptron((WIDTH, HIDDEN, WIDTH))
        self.norm3 = nn.LayerNorm(WIDTH)
        self.norm4 = nn.LayerNorm(WIDTH)
        self.cross_attn_image_to_token = Attention()

    def forward(self, tokens: Tensor, image: Tensor, places: Tensor, grid: Tensor) -> tuple[Tensor, Tensor]:
        """Tokens (B, N, 256) and image (B, P, 256) with their positions, to the same."""
        if self._first:  # the tokens are their own positions, and there is no residual
            tokens = self.norm1(self.self_attn(tokens, tokens, tokens))
        else:
            placed = tokens + places
            tokens = self.norm1(tokens + self.self_attn(placed, placed, tokens))
        lit = image + grid
        tokens = self.norm2(tokens + self.cross_attn_token_to_image(tokens + places, lit, image))
        tokens = self.norm3(tokens + self.mlp(tokens))
        image = self.norm4(image + self.cross_attn_image_to_token(lit, tokens + places, tokens))
        return tokens, image


class TwoWayTransformer(nn.Module):
    """Two blocks, and a final attention of the tokens to the image."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList(TwoWayBlock(first) for first in (True, False))
        self.final_attn_token_to_image = Attention()
        self.norm_final_attn = nn.LayerNorm(WIDTH)

    def forward(self, tokens: Tensor, image: Tensor, grid: Tensor) -> tuple[Tensor, Tensor]:
        """Tokens (B, n, C), image and its positions (B, h·w, C) to tokens (B, n, C) and image (B, h·w, C)."""
        places = tokens
        for layer in self.layers:
            tokens, image = layer(tokens, image, places, grid)
        attended = self.final_attn_token_to_image(tokens + places, image + grid, image)
        return self.norm_final_attn(tokens + attended), image


@dataclass(frozen=True, slots=True)
class Decoded:
    """Output of the mask decoder for B prompts."""

    logits: Tensor  # masks at stride 4, (B, 4, 4g, 4g); the first is for plain prompts
    iou: Tensor  # predicted IoU of each, (B, 4), in [0, 1]
    tokens: Tensor  # mask tokens after the transformer, (B, 4, 256)
    score: Tensor  # logit of the object being there, (B, 1)

    def stability(self) -> Tensor:
        """Stability of each mask against its threshold, (B, 4), in [0, 1]."""
        flat = self.logits.flatten(-2)
        inner = (flat > STABLE_MARGIN).sum(-1).float()
        outer = (flat > -STABLE_MARGIN).sum(-1).float()
        return torch.where(outer > 0, inner / outer, 1.0)

    def single(self, dynamic: bool) -> tuple[Tensor, Tensor]:
        """Mask of an unambiguous prompt (B, 1, 4g, 4g), and its IoU (B, 1)."""
        logits, iou = self.logits[:, :1], self.iou[:, :1]
        if not dynamic:
            return logits, iou
        best_logits, best_iou, _ = self.best()
        stable = self.stability()[:, :1] >= STABLE
        return (
            torch.where(stable[..., None, None], logits, best_logits),
            torch.where(stable, iou, best_iou),
        )

    def best(self) -> tuple[Tensor, Tensor, Tensor]:
        """Best of the three other masks (B, 1, 4g, 4g), its IoU (B, 1) and token (B, 256)."""
        best = 1 + self.iou[:, 1:].argmax(-1)
        rows = torch.arange(len(best), device=best.device)
        return self.logits[rows, best][:, None], self.iou[rows, best][:, None], self.tokens[rows, best]


class MaskDecoder(nn.Module):
    """Decodes prompts and the map of an image to masks."""

    def __init__(self) -> None:
        super().__init__()
        self.transformer = TwoWayTransformer()
        self.iou_token = nn.Embedding(1, WIDTH)
        self.mask_tokens = nn.Embedding(MASKS, WIDTH)
        self.obj_score_token = nn.Embedding(1, WIDTH)
        self.output_upscaling = nn.Sequential(
            nn.ConvTranspose2d(WIDTH, WIDTH // 4, 2, stride=2),
            LayerNorm2d(WIDTH // 4),
            nn.GELU(),
            nn.ConvTranspose2d(WIDTH // 4, WIDTH // 8, 2, stride=2),
            nn.GELU(),
        )
        self.conv_s0 = nn.Conv2d(WIDTH, WIDTH // 8, 1)
        self.conv_s1 = nn.Conv2d(WIDTH, WIDTH // 4, 1)
        self.output_hypernetworks_mlps = nn.ModuleList(
            Perceptron((WIDTH, WIDTH, WIDTH, WIDTH // 8)) for _ in range(MASKS)
        )
        self.iou_prediction_head = Perceptron((WIDTH, WIDTH, WIDTH, MASKS))
        self.pred_obj_score_head = Perceptron((WIDTH, WIDTH, WIDTH, 1))

    def forward(
        self, image: Tensor, grid: Tensor, sparse: Tensor, dense: Tensor, fine: tuple[Tensor, Tensor]
    ) -> Decoded:
        """Predict masks of B prompts on one image, or on B conditioned maps of it.

        ``grid``: (1, 256, g, g); ``sparse``: (B, N, 256); ``dense``: (B or 1, 256, g, g) or (1, 256, 1, 1);
        ``fine``: strides 4 and 8, (1, 32, 4g, 4g) and (1, 64, 2g, 2g).
        """
        learnt = torch.cat([self.obj_score_token.weight, self.iou_token.weight, self.mask_tokens.weight])
        tokens = torch.cat([learnt.expand(len(sparse), -1, -1), sparse], 1)
        size = image.shape[-2:]
        cells = (image + dense).flatten(2).transpose(1, 2).expand(len(sparse), -1, -1)
        decoded, cells = self.transformer(tokens, cells, grid.flatten(2).transpose(1, 2))
        score, iou, masks = decoded[:, 0], decoded[:, 1], decoded[:, 2 : 2 + MASKS]
        widen, norm, gelu, widen_second, _ = self.output_upscaling
        half = gelu(norm(widen(cells.transpose(1, 2).unflatten(2, size)) + fine[1]))
        full = gelu(widen_second(half) + fine[0])
        kernels = [mlp(masks[:, i]) for i, mlp in enumerate(self.output_hypernetworks_mlps)]
        logits = torch.einsum("bkc,bchw->bkhw", torch.stack(kernels, 1), full)
        return Decoded(
            logits.float(),
            self.iou_prediction_head(iou).sigmoid().float(),
            masks,
            self.pred_obj_score_head(score).float(),
        )
