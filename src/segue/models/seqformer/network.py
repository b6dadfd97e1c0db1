"""SeqFormer: video instance segmentation with one query per object of a clip.

Wu et al., "SeqFormer: Sequential Transformer for Video Instance Segmentation" (ECCV 2022). Names and shapes
are those of the official release, so that its files load as they are.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Any, Literal, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from segue.layers.colours import normalise_planes
from segue.layers.linear import Perceptron
from segue.layers.pieces import cat, one_by_one
from segue.layers.resnet import BasicBlock, Bottleneck, ResidualTrunk
from segue.layers.swin import SwinTrunk
from segue.models.detection.nanodet import NanoDetTrunk
from segue.models.seqformer.decoder import (
    PARTS,
    Decoded,
    Decoder,
    DecoderLayer,
    MaskFeatures,
    attention_maps,
    dynamic_masks,
    to_maps,
)
from segue.models.seqformer.encoder import (
    DeformableAttention,
    Encoder,
    EncoderLayer,
    Levels,
    sine_position,
)
from segue.utils.devices import to_device

BackboneName = Literal["r18", "r50", "r101", "x101", "swin-l", "nanodet"]


class Backbone(nn.Module):
    """A backbone without its finest map."""

    def __init__(self, name: BackboneName) -> None:
        super().__init__()
        self.body = TRUNKS[name]()
        self.channels: tuple[int, ...] = self.body.channels[1:]
        if isinstance(self.body, NanoDetTrunk):
            # It knows its classes from more images than are learned from here.
            self.body.requires_grad_(False)
        if isinstance(self.body, ResidualTrunk):
            # Stem and first stage keep what ImageNet taught them.
            self.body.conv1.requires_grad_(False)
            self.body.layer1.requires_grad_(False)

    def forward(self, frames: Tensor) -> tuple[Tensor, ...]:
        """Frames (B, 3, H, W) → the maps that are used, the finest at stride 8."""
        return self.body(frames)[1:]


TRUNKS: Mapping[BackboneName, Callable[[], Any]] = {
    "r18": partial(ResidualTrunk, BasicBlock, (2, 2, 2, 2), bias=False),
    "r50": partial(ResidualTrunk, Bottleneck, (3, 4, 6, 3)),
    "r101": partial(ResidualTrunk, Bottleneck, (3, 4, 23, 3)),
    "x101": partial(ResidualTrunk, Bottleneck, (3, 4, 23, 3), groups=32, group_width=8),
    "swin-l": SwinTrunk,
    "nanodet": NanoDetTrunk,
}
"""Give maps, fine to coarse, and have ``channels``."""

FOCAL_PRIOR = 0.01
"""Probability that the class heads start from."""


@dataclass(frozen=True, slots=True)
class Size:
    """Sizes of a SeqFormer; the defaults are the published ones.

    Attributes:
        width: channels of queries and memory.
        hidden: channels inside the feed-forward networks.
        encoder_layers, decoder_layers: depth.
        heads, levels, points: size of the deformable attention.
        queries: objects that can be found in a clip.
        classes: class outputs; in the official files label ids are channels, 0 and the last are never right.
    """

    width: int = 256
    hidden: int = 1024
    encoder_layers: int = 6
    decoder_layers: int = 6
    heads: int = 8
    levels: int = 4
    points: int = 4
    queries: int = 300
    classes: int = 42
    dropout: float = 0.1


@dataclass(frozen=True)
class Memory:
    """Encoded frames of N clips, before decoding.

    Attributes:
        tokens: (N, T, S, C).
        levels: their layout, for each of the N samples.
        features: mask features, (N, T, 8, h, w) at stride 8.
        size: height and width of the padded frames in pixels.
        detections: features of detections in each frame, (N, T, P, C), for networks with a detector.
    """

    tokens: Tensor
    levels: Levels
    features: Tensor
    size: tuple[int, int]
    detections: Tensor | None = None

    @classmethod
    def of(
        cls, clips: Tensor, levels: Levels, tokens: Tensor, features: Tensor, detections: Tensor | None = None
    ) -> Memory:
        """Group tokens (N·T, S, C) and features (N·T, 8, h, w) of single frames by clips (N, T, 3, H, W)."""
        clip = clips.shape[:2]
        clip_detections = None if detections is None else detections.unflatten(0, clip)
        size = clips.shape[-2], clips.shape[-1]
        return cls(tokens.unflatten(0, clip), levels, features.unflatten(0, clip), size, clip_detections)


class Transformer(nn.Module):
    """Encoder, decoder and their initial queries."""

    def __init__(self, encoder: Encoder, decoder: Decoder, size: Size) -> None:
        super().__init__()
        self.level_embed = nn.Parameter(torch.empty(size.levels, size.width))
        self.encoder = encoder
        self.decoder = decoder
        self.reference_points = nn.Linear(size.width, 2)


class Detector(nn.Module):
    """Backbone, transformer, class and box heads; all except masks."""

    def __init__(self, backbone: Backbone, size: Size) -> None:
        super().__init__()
        layer = (size.width, size.hidden, size.dropout, size.levels, size.heads, size.points)
        widths = (size.width, size.width, size.width, 4)
        boxes = nn.ModuleList(Perceptron(widths) for _ in range(size.decoder_layers))
        encoder = Encoder([EncoderLayer(*layer) for _ in range(size.encoder_layers)])
        # The decoder refines with the heads that also predict: they are in the file twice.
        decoder = Decoder([DecoderLayer(*layer) for _ in range(size.decoder_layers)], boxes)
        self.transformer = Transformer(encoder, decoder, size)
        self.class_embed = nn.ModuleList(
            nn.Linear(size.width, size.classes) for _ in range(size.decoder_layers)
        )
        self.bbox_embed = boxes
        self.query_embed = nn.Embedding(size.queries, 2 * size.width)
        self.input_proj = nn.ModuleList(_projections(backbone.channels, size))
        self.backbone = nn.ModuleList([backbone])


class SeqFormer(nn.Module):
    """Segments the objects of a clip with classes and boxes; see :class:`Size`.

    >>> network = SeqFormer("r50")
    >>> memory = network.encode(frames)           # (1, T, 3, H, W) in [0, 1]
    >>> decoded = network.decode(memory)
    >>> logits = network.class_logits(decoded)    # (1, Q, 42)

    Attributes:
        class_names: name of each class channel, as far as they are known.
        options: options stored with the weights, to rebuild the network.
        short_side: short side in pixels at which it should see a video.
        score: minimum class score of shown instances, in 0..1.
    """

    short_side = 360
    score = 0.3

    def __init__(self, backbone: BackboneName = "r50", size: Size | None = None) -> None:
        super().__init__()
        self.size = size or Size()
        self.class_names: dict[int, str] = {}
        self.options: dict[str, str] = {}
        self._bytes_a_pixel = 490 if backbone == "swin-l" else 130
        trunk = Backbone(backbone)
        self.detr = Detector(trunk, self.size)
        self.controller = Perceptron((*[self.size.width] * 3, sum(PARTS)))
        self.mask_head = MaskFeatures(self.size.width, self.size.width // 4)
        self.reset_parameters()

    @property
    def backbone(self) -> Backbone:
        """Compute feature maps of a frame, the finest at stride 8."""
        return cast(Backbone, self.detr.backbone[0])

    @property
    def classes(self) -> int:
        return self.size.classes

    def memory_bytes(self, frames: int, size: tuple[int, int]) -> int:
        """Approximate memory of a process on a CPU for a clip of ``frames`` of ``size`` (H, W).

        Measured with r50 and swin-l on clips of 1 to 10 frames: PyTorch, the weights and their prepared copy,
        and the encoded frames.
        """
        weights = sum(value.numel() * value.element_size() for value in self.state_dict().values())
        return 400_000_000 + 2 * weights + frames * size[0] * size[1] * self._bytes_a_pixel

    @property
    def relates_frames(self) -> bool:
        return any(layer.ms_sts is not None for layer in self.detr.transformer.encoder.layers)

    def encode(self, frames: Tensor, valid: Tensor | None = None) -> Memory:
        """Tokens (N, T, S, C) and mask features at stride 8 of clips (N, T, 3, H, W) in [0, 1].

        ``valid``: (N, H, W), False in the padding, None for no padding; ``observer`` keeps what a layer
        attends to.
        """
        samples, count = frames.shape[:2]
        images = self.normalise(frames.flatten(0, 1), valid, count)
        parts = one_by_one(self, images)
        levels_of_parts = zip(*(self.project(images[part]) for part in parts), strict=True)
        sources = [cat(list(level)) for level in levels_of_parts]
        tokens, levels = self.relate(sources, valid, samples)
        maps = to_maps(tokens, levels.shapes, 3)
        features = cat([self.mask_head(*(level[part] for level in maps)) for part in parts])
        return Memory.of(frames, levels, tokens, features)

    def relate(
        self,
        sources: Sequence[Tensor],
        valid: Tensor | None,
        samples: int,
    ) -> tuple[Tensor, Levels]:
        """Encode maps (N·T, C, h, w) of all levels of ``samples`` clips to tokens (N·T, S, C) and layout."""
        first, count = sources[0], len(sources[0]) // samples
        shapes = tuple((source.shape[-2], source.shape[-1]) for source in sources)
        masks = [
            torch.ones(1, *shape, dtype=torch.bool, device=first.device)
            if valid is None
            else F.interpolate(valid[:, None].float(), shape)[:, 0].bool()
            for shape in shapes
        ]
        codes = [
            sine_position(mask, self.size.width // 2, first.dtype).flatten(2).transpose(1, 2) + embedding
            for mask, embedding in zip(masks, self.detr.transformer.level_embed, strict=True)
        ]
        tokens = torch.cat([source.flatten(2).transpose(1, 2) for source in sources], 1)
        position, padding = torch.cat(codes, 1), None
        ratios = torch.ones(samples, len(shapes), 2, device=first.device)
        if valid is not None:
            position = position.repeat_interleave(count, 0)
            padding = ~torch.cat([mask.flatten(1) for mask in masks], 1)
            share = [torch.stack((m[:, 0].float().mean(1), m[:, :, 0].float().mean(1)), -1) for m in masks]
            ratios = torch.stack(share, 1)
        levels = Levels(shapes, padding, ratios)
        encoder = self.detr.transformer.encoder
        return encoder(tokens, position, levels.repeat(count), count), levels

    def decode(self, memory: Memory) -> Decoded:
        transformer = self.detr.transformer
        samples = len(memory.tokens)
        embedded = self.detr.query_embed.weight.expand(samples, -1, -1)
        # Laid out anew: else the projections become one tiny product for each query.
        position, content = (half.contiguous() for half in torch.split(embedded, self.size.width, -1))
        reference = transformer.reference_points(position).float().sigmoid()
        return transformer.decoder(content, position, reference, memory.tokens, memory.levels)

    @staticmethod
    def join(parts: Sequence[Memory]) -> Memory:
        first = parts[0]
        tokens, features = (
            torch.cat([getattr(part, name) for part in parts], 1) for name in ("tokens", "features")
        )
        detections = [part.detections for part in parts if part.detections is not None]
        return Memory(
            tokens, first.levels, features, first.size, torch.cat(detections, 1) if detections else None
        )

    def embeddings(self, decoded: Decoded) -> Tensor:
        """Instance queries after the last decoder layer, (N, Q, C)."""
        return decoded.instances[-1]

    def attention(self, memory: Memory, decoded: Decoded, queries: Tensor) -> Tensor:
        layer = cast(DecoderLayer, self.detr.transformer.decoder.layers[-1])
        return attention_maps(layer, memory.levels, decoded, queries)

    def class_logits(self, decoded: Decoded, layer: int = -1) -> Tensor:
        """Class scores (N, Q, classes) of the queries after a decoder layer, before the sigmoid."""
        return self.detr.class_embed[layer](decoded.instances[layer])

    def mask_logits(
        self,
        memory: Memory,
        decoded: Decoded,
        sample: int,
        queries: Tensor,
        layer: int = -1,
        size: tuple[int, int] | None = None,
    ) -> Tensor:
        """Masks (K, T, 2·⌈H/8⌉, 2·⌈W/8⌉) of queries (K,) of a clip, at stride 4, before the sigmoid.

        ``size``: height and width of the frames without padding; None: as in ``memory``.
        """
        height, width = size or memory.size
        centres = decoded.references[layer][sample, :, queries, :2].transpose(0, 1)
        parameters = self.controller(decoded.instances[layer][sample])[queries]
        # Distances in pixels need more digits than bfloat16 has.
        scale = to_device(torch.tensor((width, height), dtype=centres.dtype), centres.device)
        return dynamic_masks(memory.features[sample].float(), parameters.float(), centres * scale)

    def normalise(self, frames: Tensor, valid: Tensor | None, count: int) -> Tensor:
        """Normalise frames (N·T, 3, H, W) in [0, 1]; 0 outside ``valid`` (N, H, W)."""
        scaled = normalise_planes(frames)
        if valid is None:
            return scaled
        return scaled * valid.repeat_interleave(count, 0)[:, None]

    def project(self, frames: Tensor) -> list[Tensor]:
        """Project normalised frames (B, 3, H, W) to one map (B, C, h, w) per level, fine to coarse."""
        maps = self.backbone(frames)
        projections = self.detr.input_proj
        sources = [projection(level) for projection, level in zip(projections, maps, strict=False)]
        # The first level below the trunk starts from its raw map, any further one from the level above.
        below = maps[-1]
        for projection in list(projections)[len(maps) :]:
            below = projection(below)
            sources.append(below)
        return sources

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """Initialise as published, except the backbone."""
        detr, transformer = self.detr, self.detr.transformer
        for parameter in transformer.parameters():
            if parameter.ndim > 1:
                nn.init.xavier_uniform_(parameter)
        for module in transformer.modules():
            if isinstance(module, DeformableAttention):
                module.reset_parameters()
        nn.init.normal_(transformer.level_embed)
        nn.init.zeros_(transformer.reference_points.bias)
        for head in detr.class_embed:
            nn.init.constant_(cast(nn.Linear, head).bias, -math.log((1 - FOCAL_PRIOR) / FOCAL_PRIOR))
        for i, mlp in enumerate(detr.bbox_embed):
            last = cast(nn.Linear, cast(Perceptron, mlp).layers[-1])
            nn.init.zeros_(last.weight)
            nn.init.zeros_(last.bias)
            if i == 0:
                last.bias[2:] = -2.0
        for layer in (*self.controller.modules(), *detr.input_proj.modules()):
            if isinstance(layer, nn.Linear | nn.Conv2d):
                nn.init.xavier_uniform_(layer.weight)
                nn.init.zeros_(layer.get_parameter("bias"))


def _projections(channels: tuple[int, ...], size: Size) -> list[nn.Sequential]:
    """Projections for the maps of the backbone, and strided ones for coarser levels."""
    convolutions = [nn.Conv2d(cin, size.width, 1) for cin in channels]
    below = channels[-1]
    while len(convolutions) < size.levels:
        convolutions.append(nn.Conv2d(below, size.width, 3, stride=2, padding=1))
        below = size.width
    return [nn.Sequential(conv, nn.GroupNorm(32, size.width)) for conv in convolutions]


_VIS_2019 = (
    "person giant_panda lizard parrot skateboard sedan ape dog snake monkey hand rabbit duck cat cow fish "
    "train horse turtle bear motorbike giraffe leopard fox deer owl surfboard airplane truck zebra tiger "
    "elephant snowboard boat shark mouse frog eagle earless_seal tennis_racket"
)
_VIS_2021 = (
    "airplane bear bird boat car cat cow deer dog duck earless_seal elephant fish flying_disc fox frog "
    "giant_panda giraffe horse leopard lizard monkey motorbike mouse parrot person rabbit shark skateboard "
    "snake snowboard squirrel surfboard tennis_racket tiger train truck turtle whale zebra"
)

YOUTUBE_VIS_2019, YOUTUBE_VIS_2021 = (
    MappingProxyType(dict(enumerate(names.split(), start=1))) for names in (_VIS_2019, _VIS_2021)
)
"""Categories of 2019 by number, the channels of the published networks."""


def parse_names(text: str, classes: int) -> dict[int, str]:
    """Class names by channel, as JSON, from a weight file."""
    parsed = json.loads(text)
    if not isinstance(parsed, dict) or not all(isinstance(name, str) for name in parsed.values()):
        raise ValueError("its class names are damaged")
    names = {int(channel): name for channel, name in parsed.items()}
    if not all(0 <= channel < classes for channel in names):
        raise ValueError(f"it names classes beyond its {classes} channels")
    return names
