"""SAM 2.1 (Ravi et al., "SAM 2: Segment Anything in Images and Videos", arXiv 2408.00714).

The network of the release of 2024-09-29 in its four sizes, with the names of its weights. The memory of a
video, and its selection for a frame, are in :mod:`segue.models.sam2.objects`. :class:`SAM2Base` has the parts
that networks after it share, such as :mod:`segue.models.edgetam`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from segue.inference.cpu.fused import FusedConv2d
from segue.layers.linear import Perceptron
from segue.models.base import Schedule, TrackCapabilities, Tracker
from segue.models.sam2.masks import NOT_A_POINT, WIDTH, Decoded, MaskDecoder, PromptEncoder
from segue.models.sam2.memory import MEMORY_WIDTH, MemoryAttention, MemoryEncoder, rotary, sine_distance
from segue.models.sam2.sizes import SIZES, SizeName
from segue.models.sam2.tracker import SAM2Schedule, SAM2Tracker
from segue.models.sam2.trunk import NECK_CHANNELS, Hiera, ImageEncoder, sine_position
from segue.models.sam2.values import (
    ABSENT,
    LOW,
    MASK_LOGIT,
    MEMORY_FRAMES,
    MEMORY_SCALE,
    MEMORY_SHIFT,
    STRIDE,
    Constants,
    Encoded,
    Record,
)
from segue.models.sam2.video import follow_video


class SAM2Base(nn.Module):
    """Prompt encoder, mask decoder and memory encoder, with image encoder and memory attention of a release.

    Args:
        image_encoder: trunk and neck.
        memory_attention: conditions the map of an image on memory.
    """

    schedule: Schedule = SAM2Schedule()
    tracker: type[Tracker] = SAM2Tracker
    capabilities = TrackCapabilities(video=follow_video)
    side_step = STRIDE
    """Image sides are multiples of this, in pixels."""

    def __init__(self, image_encoder: ImageEncoder, memory_attention: MemoryAttention) -> None:
        super().__init__()
        self.maskmem_tpos_enc = nn.Parameter(torch.zeros(MEMORY_FRAMES, 1, 1, MEMORY_WIDTH))
        self.no_mem_embed = nn.Parameter(torch.zeros(1, 1, WIDTH))
        self.no_mem_pos_enc = nn.Parameter(torch.zeros(1, 1, WIDTH))  # in the files, used nowhere
        self.no_obj_ptr = nn.Parameter(torch.zeros(1, WIDTH))
        self.image_encoder = image_encoder
        self.mask_downsample = nn.Conv2d(1, 1, 4, stride=4)
        self.memory_attention = memory_attention
        self.memory_encoder = MemoryEncoder()
        self.sam_prompt_encoder = PromptEncoder()
        self.sam_mask_decoder = MaskDecoder()
        self.obj_ptr_proj = Perceptron((WIDTH, WIDTH, WIDTH, WIDTH))

    def constants(self, side: int) -> Constants:
        """Position codes and folded weights for square images, side a multiple of ``side_step``."""
        if side < self.side_step or side % self.side_step:
            raise ValueError(f"the side is {side} pixels; it must be a multiple of {self.side_step}")
        place, dtype = self.no_mem_embed.device, self.no_mem_embed.dtype
        g = side // 16
        neck, decoder = self.image_encoder.neck, self.sam_mask_decoder

        def flat(channels: int) -> Tensor:
            return sine_position(g, g, channels).flatten(2).transpose(1, 2).to(place, dtype)

        return Constants(
            side,
            None,
            flat(NECK_CHANNELS),
            flat(MEMORY_WIDTH)[0],
            self.sam_prompt_encoder.pe_layer.grid(g).to(dtype),
            rotary(g, place),
            None,
            (
                _product(neck.convs[3].get_submodule("conv"), decoder.conv_s0),
                _product(neck.convs[2].get_submodule("conv"), decoder.conv_s1),
            ),
        )

    def encode(self, image: Tensor, constants: Constants) -> Encoded:
        """Coarse map (1, 256, g, g), g = side / 16, and two fine maps of an image (1, 3, side, side).

        The neck and the 1x1 convolutions of the decoder that follow it on the fine levels are both linear;
        their product is applied at once.
        """
        maps = self.maps(image, constants)
        fine = [F.linear(maps[level], *constants.fine[level]).permute(0, 3, 1, 2) for level in (0, 1)]
        return Encoded(self.image_encoder.neck.coarse(maps), (fine[0], fine[1]))

    def maps(self, image: Tensor, constants: Constants) -> Sequence[Tensor]:
        """Maps (1, h, w, C) of an image at strides 4, 8, 16 and 32."""
        raise NotImplementedError

    def pointer_position(self, distances: Tensor) -> Tensor:
        """Position (n, 64) of object pointers at distances in time (n,)."""
        raise NotImplementedError

    def memory_rows(self, memory: Tensor, record: Record) -> Tensor:
        """Memory rows, (K, Q, 64), of the encoded maps (K, 64, g, g) of K objects."""
        raise NotImplementedError

    def without_memory(self, coarse: Tensor) -> Tensor:
        """Prepare the map (1, 256, g, g) of an image without memory."""
        return coarse + self.no_mem_embed[0, 0, :, None, None]

    def with_memory(
        self, encoded: Encoded, memory: Tensor, position: Tensor, pointers: int, constants: Constants
    ) -> Tensor:
        """Condition the map of an image on memory, (K, 256, g, g); see :class:`MemoryAttention`.

        ``memory``, ``position``: (K, N, 64), cells of maps, then as many object pointers as ``pointers``.
        """
        if encoded.image_tokens is None:
            cells = encoded.coarse.flatten(2).transpose(1, 2)
            encoded.image_tokens = self.memory_attention.encode_image(
                cells, constants.image, constants.rotary
            )
        attended = self.memory_attention(
            encoded.image_tokens, memory, position, constants.rotary, pointers, constants.memory_rotary
        )
        return attended.transpose(1, 2).unflatten(2, encoded.coarse.shape[-2:])

    def decode(
        self,
        image: Tensor,
        encoded: Encoded,
        constants: Constants,
        points: Tensor | None = None,
        labels: Tensor | None = None,
        mask: Tensor | None = None,
    ) -> Decoded:
        """Predict masks of B prompts on a map (1 or B, 256, g, g), with or without memory.

        ``points``: (B, N, 2), x before y, in pixels of the square, None gives no token at all; ``labels``:
        (B, N); ``mask``: logits so far, (B, 1, side/4, side/4).
        """
        encoder = self.sam_prompt_encoder
        dtype = image.dtype
        if points is None or labels is None:
            sparse = image.new_zeros(len(image) if mask is None else len(mask), 0, WIDTH)
        else:
            sparse = encoder.points(points, labels, constants.side)
        dense = encoder.no_mask() if mask is None else encoder.mask_downscaling(mask.to(dtype))
        return self.sam_mask_decoder(image, constants.grid, sparse, dense, encoded.fine)

    def predict_masks(
        self,
        image: Tensor,
        encoded: Encoded,
        constants: Constants,
        points: Tensor | None = None,
        labels: Tensor | None = None,
        mask: Tensor | None = None,
        *,
        multimask: bool,
        dynamic: bool,
    ) -> Record:
        """Predict one mask and pointer for each of K objects; see :meth:`decode`.

        ``multimask`` takes the best of the three masks for prompts with several meanings; ``dynamic`` takes
        it as well where the mask for plain prompts is not stable. None as ``points`` is the padding point.
        """
        if points is None or labels is None:
            place = image.device
            points = torch.zeros(len(image), 1, 2, device=place)
            labels = torch.full((len(image), 1), NOT_A_POINT, device=place)
        decoded = self.decode(image, encoded, constants, points, labels, mask)
        if multimask:
            low, iou, token = decoded.best()
        else:
            low, iou = decoded.single(dynamic)
            token = decoded.tokens[:, 0]
        present = decoded.score > 0
        low = torch.where(present[..., None, None], low, ABSENT)
        pointer = torch.where(present, self.obj_ptr_proj(token), self.no_obj_ptr)
        iou = iou[:, 0].clone(memory_format=torch.contiguous_format)
        return Record(pointer, decoded.score[:, 0], iou, low_res_masks=low)

    def answer_mask(self, mask: Tensor, encoded: Encoded, constants: Constants) -> Record:
        """Output of the head, with IoU 1, for a given mask (1, 1, side, side), 0 or 1."""
        low = F.interpolate(
            mask * 2 * MASK_LOGIT - MASK_LOGIT,
            size=(constants.side // LOW,) * 2,
            mode="bilinear",
            antialias=True,
        )
        small = self.mask_downsample(mask.to(encoded.coarse.dtype))
        answered = self.predict_masks(
            encoded.coarse, encoded, constants, mask=small, multimask=False, dynamic=False
        )
        present = mask.flatten(1).any(1)
        pointer = torch.where(present[:, None], answered.pointer, self.no_obj_ptr)
        score = torch.where(present, MASK_LOGIT, -MASK_LOGIT)
        return Record(pointer, score, torch.ones_like(score), low_res_masks=low)

    def encode_memory(self, encoded: Encoded, record: Record, binary: bool) -> Tensor:
        """Encode memory rows, (K, Q, 64), of an image with masks or probabilities of K objects."""
        assert record.low_res_masks is not None
        logits = F.interpolate(record.low_res_masks, scale_factor=float(LOW), mode="bilinear")
        mask = (logits > 0).to(logits.dtype) if binary else logits.sigmoid()
        mask = mask * MEMORY_SCALE + MEMORY_SHIFT
        return self.memory_rows(self.memory_encoder(encoded.coarse, mask.to(encoded.coarse.dtype)), record)


class SAM2(SAM2Base):
    """SAM 2.1 with the trunk Hiera, and every cell of a map as memory.

    Args:
        size: one of ``SIZES``.
    """

    def __init__(self, size: SizeName = "tiny") -> None:
        trunk = SIZES[size]
        super().__init__(ImageEncoder(Hiera(trunk), trunk.widths), MemoryAttention())
        self.no_obj_embed_spatial = nn.Parameter(torch.zeros(1, MEMORY_WIDTH))
        self.obj_ptr_tpos_proj = nn.Linear(WIDTH, MEMORY_WIDTH)

    def constants(self, side: int) -> Constants:
        trunk = cast(Hiera, self.image_encoder.trunk)
        return replace(super().constants(side), trunk=trunk.position(side // 4, side // 4))

    def maps(self, image: Tensor, constants: Constants) -> Sequence[Tensor]:
        return cast(Sequence[Tensor], self.image_encoder.trunk(image, constants.trunk))

    def pointer_position(self, distances: Tensor) -> Tensor:
        return self.obj_ptr_tpos_proj(sine_distance(distances).to(self.no_mem_embed.dtype))

    def memory_rows(self, memory: Tensor, record: Record) -> Tensor:
        absent = (record.score <= 0).to(memory.dtype)[:, None, None, None]
        return (memory + absent * self.no_obj_embed_spatial[..., None, None]).flatten(2).transpose(1, 2)


def _product(first: nn.Module, second: nn.Module) -> tuple[Tensor, Tensor]:
    """Merge two 1x1 convolutions into one linear layer: weight (c, C) and bias (c)."""
    inner, outer = (_dense(layer).flatten(1) for layer in (first, second))
    bias = cast(Tensor, second.bias) + outer @ cast(Tensor, first.bias)
    return outer @ inner, bias


def _dense(layer: nn.Module) -> Tensor:
    """Weights of a convolution, prepared for inference or not."""
    return layer.dense_weight() if isinstance(layer, FusedConv2d) else cast(Tensor, layer.weight)
