"""Track objects with your own network; this one compares the colours under the first mask.

python network_of_your_own.py my.mp4 300,80,360,160
"""

import sys

import torch
from torch import Tensor, nn

import segue
from segue.models.base import QueryFeatures, Schedule
from segue.models.geometry import aggregate
from segue.models.memory import MemoryTracker


class Colours(nn.Module):
    """Keys are colours of blocks of 16 pixels, values the share of the object in them."""

    schedule = Schedule(mem_every=5, top_k=None)
    tracker = MemoryTracker
    stride = 16
    read_stride = 16
    key_channels = 3
    value_channels = 1
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


path, (x0, y0, x1, y1) = sys.argv[1], map(float, sys.argv[2].split(","))
source = segue.open_source(path, max_size=432)
for result in segue.track(source, box=(x0, y0, x1, y1), model=Colours()):
    print(result.index, [(item.id, item.area) for item in result.objects])
