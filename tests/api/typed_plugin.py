"""A session of a network by name, and one of a plug-in's: ``make types`` checks that both are well typed."""

# mypy: warn-return-any, disallow-untyped-calls

import torch
from torch import Tensor, nn

import segue
from segue.models.base import QueryFeatures, Schedule
from segue.models.geometry import aggregate
from segue.models.memory import MemoryTracker


class Colours(nn.Module):
    schedule = Schedule(mem_every=5, top_k=None)
    tracker = MemoryTracker
    stride = 16
    key_channels = 3
    value_channels = 1
    read_stride = 16
    similarity = "l2"
    shared_keys = True
    aggregate_prompts = True
    masks_in_padding = False

    def __init__(self) -> None:
        super().__init__()
        self.sharpness = nn.Parameter(torch.tensor(8.0))

    def prepare(self, image: Tensor) -> Tensor:
        return image.permute(2, 0, 1)[None].float() / 255

    def encode_query(self, image: Tensor) -> QueryFeatures:
        return QueryFeatures(image, nn.functional.avg_pool2d(image, 16) * self.sharpness, ())

    def encode_memory(
        self, query: QueryFeatures, masks: Tensor, total: Tensor | None = None
    ) -> tuple[Tensor | None, Tensor]:
        return None, nn.functional.avg_pool2d(masks[:, None], 16)

    def decode(self, query: QueryFeatures, readout: Tensor) -> Tensor:
        return nn.functional.interpolate(20 * (readout - 0.5), scale_factor=4)[:, 0]

    def aggregate(self, probabilities: Tensor) -> Tensor:
        return aggregate(probabilities)


def ours() -> segue.TrackSession:
    return segue.TrackSession(segue.load("stcn-lite"))


def yours() -> segue.TrackSession:
    return segue.TrackSession(Colours())
