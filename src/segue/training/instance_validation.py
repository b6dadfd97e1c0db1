"""Scores of video instance networks during training: AP on videos that are not trained on."""

from __future__ import annotations

from typing import cast

import torch
from torch import nn

from segue.datasets.instances import DetectedInstance
from segue.datasets.ytvis import Video, YTVISDataset
from segue.errors import DatasetError
from segue.masks.tracks import RleTrack
from segue.metrics.ytvis import YTVISAccumulator
from segue.models.seqformer import SeqFormer
from segue.sessions.clips import SHORT_SIDE
from segue.sessions.official import video_records


class ClipAP:
    """AP of YouTube-VIS by the published inference: every video is one clip.

    Args:
        dataset: annotated videos with their pictures; category numbers are the class channels.
        short_side: pictures are resized to this short side for the network.

    Raises:
        DatasetError: it has no annotations, or no object.
    """

    def __init__(self, dataset: YTVISDataset, short_side: int = SHORT_SIDE) -> None:
        if not any(dataset.annotations(video) for video in dataset):
            raise DatasetError(f"{dataset.path} has no annotated object; AP cannot be measured on it")
        self.dataset, self.short_side = dataset, short_side

    def __call__(self, network: nn.Module) -> float:
        """Score a network in evaluation mode, where it is and as precise as it is."""
        accumulator = YTVISAccumulator(self.dataset.categories)
        for video in self.dataset:
            found = self._found(cast(SeqFormer, network), video)
            accumulator.update(video.id, self.dataset.annotations(video), found)
        return accumulator.score().stats["AP"]

    def _found(self, network: SeqFormer, video: Video) -> list[DetectedInstance]:
        like = next(network.parameters())
        device, dtype = like.device, torch.float32
        records = video_records(network, self.dataset, video, device, dtype, self.short_side)
        return [
            DetectedInstance(
                record["category_id"],
                record["score"],
                RleTrack.parse(record["segmentations"], video.size, forms="compressed"),
            )
            for record in records
        ]
