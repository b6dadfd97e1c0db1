"""Cutie's network: pixel and mask encoders, object summaries, fusion and decoder.

Cheng et al., "Putting the Object Back into Video Object Segmentation" (CVPR 2024), section 3; names and
shapes of the layers are those of the release. Both sizes differ in the trunk of the pixel encoder only.
"""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from segue.layers.residual import ResBlock, add_frame
from segue.layers.resnet import BasicBlock
from segue.layers.sensory import SensoryGate, SensoryUpdate
from segue.models.base import QueryFeatures, Schedule, Tracker
from segue.models.cutie.tracker import CutieSchedule, CutieTracker
from segue.models.cutie.transformer import (
    QUERIES,
    WIDTH,
    CAResBlock,
    ObjectTransformer,
    PositionEncoding,
)
from segue.models.memory.published import PublishedNetwork
from segue.models.stcn import MaskTrunk, key_trunk
from segue.models.xmem import KeyProjection, XMemFeatures

Size = Literal["base", "small"]


class Cutie(PublishedNetwork):
    """Cutie of one of its sizes.

    Images are padded with black to multiples of 16, then normalised with the ImageNet mean and deviation;
    keys and values are at stride 16, log-odds at stride 4. Batch norms keep their statistics in training.

    Args:
        size: ``base`` with ResNet-50, ``small`` with ResNet-18.
        single_object: leave out the masks of the other objects, as in the stage on still images.
    """

    schedule: Schedule = CutieSchedule()
    tracker: type[Tracker] = CutieTracker
    value_channels = WIDTH
    sensory_channels = WIDTH
    pads_black = True

    def __init__(self, size: Size = "base", *, single_object: bool = False) -> None:
        super().__init__()
        self.single_object = single_object
        self.pixel_encoder = key_trunk() if size == "base" else key_trunk(BasicBlock, bias=False)
        c4, c8, c16 = self.pixel_encoder.channels
        self.pix_feat_proj = nn.Conv2d(c16, WIDTH, 1)
        self.key_proj = PixelKeyProjection(c16, self.key_channels)
        self.mask_encoder = MaskEncoder(1 if single_object else 2)
        self.mask_decoder = MaskDecoder(c8, c4)
        width = WIDTH + (1 if single_object else 2)
        self.pixel_fuser = nn.ModuleDict({"fuser": Fusion(), "sensory_compress": nn.Conv2d(width, WIDTH, 1)})
        self.object_transformer = ObjectTransformer()
        self.object_summarizer = ObjectSummarizer()
        self.aux_computer = nn.ModuleDict({"sensory_aux": SensoryProjection()})

    def encode_query(self, image: Tensor) -> XMemFeatures:
        """Features of prepared images (B, 3, H, W), with key (B, 64, H/16, W/16).

        The first, (B, 256, H/16, W/16), is joined with what belongs to objects; the others are the decoder's
        skips.
        """
        f4, f8, f16 = self.pixel_encoder(image)
        to_skips = self.mask_decoder.decoder_feat_proc["transforms"].children()
        skips = [to_skip(map_) for to_skip, map_ in zip(to_skips, (f8, f4), strict=True)]
        key, shrinkage, selection = self.key_proj(f16)
        return XMemFeatures(image, key, (self.pix_feat_proj(f16), *skips), shrinkage, selection)

    def encode_memory(
        self,
        query: QueryFeatures,
        masks: Tensor,
        total: Tensor | None = None,
        sensory: Tensor | None = None,
        *,
        update: bool = True,
    ) -> tuple[Tensor, Tensor | None]:
        """Values and new states, ([B,] K, 256, H/16, W/16) both, of soft masks ([B,] K, H, W) in [0, 1]."""
        planes = self.mask_planes(masks, total, maximum=1.0)
        value: Tensor = self.mask_encoder(query.image, query.features[0], planes.flatten(0, -4))
        updated = None
        if sensory is not None and update:
            updated = self.mask_encoder.sensory_update(value, sensory.flatten(0, -4)).view(sensory.shape)
        return value.view(*masks.shape[:-2], *value.shape[1:]), updated

    def summarise(self, values: Tensor, masks: Tensor) -> Tensor:
        """Pool values ([B,] K, 256, h, w) under masks; sums, then weights: ([B,] K, 16, 257)."""
        sums: Tensor = self.object_summarizer(values.flatten(0, -4), masks.flatten(0, -3))
        return sums.view(*masks.shape[:-2], *sums.shape[1:])

    def fuse(self, query: QueryFeatures, readout: Tensor, sensory: Tensor, last_masks: Tensor) -> Tensor:
        """Join readouts, states, last masks ([B,] K, h, w) and the frame: ([B,] K, 256, h, w)."""
        planes = self.mask_planes(last_masks, maximum=1.0)
        state = torch.cat([sensory, planes.to(sensory.dtype)], dim=-3)
        object_features = readout.flatten(0, -4) + self.pixel_fuser["sensory_compress"](state.flatten(0, -4))
        fused: Tensor = self.pixel_fuser["fuser"](query.features[0], object_features)
        return fused.view(readout.shape)

    def decode(
        self, query: QueryFeatures, pixel: Tensor, sensory: Tensor, *, update: bool = False
    ) -> tuple[Tensor, Tensor | None]:
        """Log-odds ([B,] K, 4h, 4w) and new states of pixel features and states ([B,] K, 256, h, w)."""
        object_features = pixel.flatten(0, -4)
        logits, p8, p4 = self.mask_decoder(object_features, *query.features[1:])
        updated = None
        if update:
            state = sensory.flatten(0, -4)
            updated = self.mask_decoder.sensory_update.update(object_features, p8, p4, logits, state).view(
                sensory.shape
            )
        return logits.view(*pixel.shape[:-3], *logits.shape[-2:]), updated


class PixelKeyProjection(KeyProjection):
    """Key, shrinkage and selection of a feature that is reduced first."""

    def __init__(self, cin: int, channels: int) -> None:
        super().__init__(WIDTH, channels)
        self.pix_feat_proj = nn.Conv2d(cin, WIDTH, 1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(B, C, h, w) to key (B, Ck, h, w), shrinkage (B, 1, h, w) and selection (B, Ck, h, w)."""
        return super().forward(self.pix_feat_proj(x))


class Distributor(nn.Module):
    """Adds a projected frame to projected objects."""

    def __init__(self) -> None:
        super().__init__()
        self.x_transform = nn.Conv2d(WIDTH, WIDTH, 1)
        self.g_transform = nn.Conv2d(WIDTH, WIDTH, 1)

    def forward(self, frame: Tensor, objects: Tensor) -> Tensor:
        """Frame (B, 256, h, w) and objects (B·K, 256, h, w) to (B·K, 256, h, w)."""
        return add_frame(self.g_transform(objects), self.x_transform(frame))


class Fusion(nn.Module):
    """Join features of objects with the features of their frame."""

    def __init__(self) -> None:
        super().__init__()
        self.distributor = Distributor()
        self.block1 = CAResBlock(WIDTH)
        self.block2 = CAResBlock(WIDTH)

    def forward(self, frame: Tensor, objects: Tensor) -> Tensor:
        """(B, 256, h, w) and (B·K, 256, h, w) → (B·K, 256, h, w)."""
        return self.block2(self.block1(self.distributor(frame, objects)))


class MaskEncoder(MaskTrunk):
    """Encodes image and masks with the trunk, and fuses them with the frame feature."""

    def __init__(self, mask_channels: int) -> None:
        super().__init__(mask_channels)
        self.fuser = Fusion()
        self.sensory_update = SensoryGate(WIDTH, WIDTH)

    def forward(self, image: Tensor, frame: Tensor, planes: Tensor) -> Tensor:  # type: ignore[override]
        """(B, 3, H, W), (B, 256, H/16, W/16), (B·K, 1 or 2, H, W) → (B·K, 256, H/16, W/16)."""
        return self.fuser(frame, self.encode_masks(image, planes))


class ObjectSummarizer(nn.Module):
    """Sums of features of an object, each over positions that a head of its own picks."""

    def __init__(self) -> None:
        super().__init__()
        self.pos_enc = PositionEncoding()
        self.input_proj = nn.Linear(WIDTH, WIDTH)
        self.feature_pred = nn.Sequential(nn.Linear(WIDTH, WIDTH), nn.ReLU(), nn.Linear(WIDTH, WIDTH))
        self.weights_pred = nn.Sequential(nn.Linear(WIDTH, WIDTH), nn.ReLU(), nn.Linear(WIDTH, QUERIES))

    def forward(self, values: Tensor, masks: Tensor) -> Tensor:
        """(B, 256, h, w) and masks (B, h, w) in [0, 1] → (B, 16, 257), the last channel the area."""
        feature, logits = self.predict(values)
        inside = masks.flatten(1)[:, None].to(feature.dtype)
        half = QUERIES // 2
        picked = torch.cat([inside.expand(-1, half, -1), (1 - inside).expand(-1, half, -1)], 1)
        weights = logits.sigmoid().transpose(1, 2) * picked
        return torch.cat([(weights @ feature).float(), weights.float().sum(-1, keepdim=True)], -1)

    def predict(self, values: Tensor) -> tuple[Tensor, Tensor]:
        """Features (B, h*w, 256), and logits of the weights (B, h*w, 16). ``values``: (B, C, h, w)."""
        height, width = values.shape[-2:]
        x = self.input_proj(values.flatten(2).transpose(1, 2)) + self.pos_enc(height, width, values)
        return self.feature_pred(x), self.weights_pred(x)


class Up(nn.Module):
    """Double the size, add the frame's feature of that size and refine."""

    def __init__(self, cin: int, cout: int) -> None:
        super().__init__()
        self.out_conv = ResBlock(cin, cout, skip=1)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        """(B·K, cin, h, w) and (B, cin, 2h, 2w) → (B·K, cout, 2h, 2w)."""
        return self.out_conv(add_frame(F.interpolate(x, scale_factor=2.0, mode="bilinear"), skip))


class MaskDecoder(nn.Module):
    """Decode the output of the transformer to log-odds at stride 4."""

    def __init__(self, c8: int, c4: int) -> None:
        super().__init__()
        self.sensory_update = SensoryUpdate((WIDTH, 128, 128), WIDTH, WIDTH)
        skips = nn.ModuleList([nn.Conv2d(c8, 256, 1), nn.Conv2d(c4, 128, 1)])
        self.decoder_feat_proc = nn.ModuleDict({"transforms": skips})
        self.up_16_8 = Up(256, 128)
        self.up_8_4 = Up(128, 128)
        self.pred = nn.Conv2d(128, 1, 3, padding=1)

    def forward(self, pixel: Tensor, skip8: Tensor, skip4: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(B·K, 256, h, w) and skips of frames → log-odds (B·K, 1, 4h, 4w), maps at strides 8 and 4."""
        p8 = self.up_16_8(pixel, skip8)
        p4 = self.up_8_4(p8, skip4)
        return self.pred(F.relu(p4)), p8, p4


class SensoryProjection(nn.Module):
    """Log-odds from a recurrent state and the frame, for a loss in training."""

    def __init__(self) -> None:
        super().__init__()
        self.projection = nn.Conv2d(WIDTH, WIDTH + 1, 1)

    def forward(self, frame: Tensor, sensory: Tensor) -> Tensor:
        """(B, 256, h, w) and (B, K, 256, h, w) → (B, K, h, w)."""
        weights = self.projection(sensory.flatten(0, 1)).unflatten(0, sensory.shape[:2])
        return (frame[:, None] * weights[:, :, :-1]).sum(2) + weights[:, :, -1]
