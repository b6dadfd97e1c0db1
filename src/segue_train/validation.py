"""Validation scores on held-out videos: J&F, F of foreground, AP."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import cast

import numpy as np
import torch
from torch import nn

from segue.datasets.davis import Sequence
from segue.datasets.foreground.folder import ForegroundSequence
from segue.datasets.instances import DetectedInstance
from segue.datasets.ytvis import YTVISDataset
from segue.flow import FlowFiles
from segue.jobs.frame_loop import FrameLoop
from segue.masks.tracks import RleTrack
from segue.metrics import DavisAccumulator
from segue.metrics.foreground.counts import ForegroundAccumulator
from segue.metrics.ytvis import YTVISAccumulator
from segue.models.base import ForegroundNetwork, MemoryNetwork, foreground_capabilities
from segue.models.seqformer import SeqFormer
from segue.sessions import TrackSession
from segue.sessions.foreground.session import ForegroundSession
from segue.sessions.official import SHORT_SIDE, whole_clip
from segue.types import Frame
from segue_train.data.footage import VOID
from segue_train.data.foreground.videos import read_depth


def j_and_f(network: nn.Module, sequences: Iterable[Sequence]) -> float:
    """Mean J&F of a memory network, by its published schedule and the DAVIS 2017 protocol."""
    scores = []
    for sequence in sequences:
        session = TrackSession(cast(MemoryNetwork, network), device=_device_of(network))
        accumulator, begin = DavisAccumulator(sequence.name), next(iter(sequence.annotations))
        for i in range(begin, len(sequence)):
            truth = sequence.read_mask(i) if i in sequence.annotations else None
            first_mask = (
                np.where(truth == VOID, np.uint8(0), truth) if i == begin and truth is not None else None
            )
            result = session.step(Frame(i, float(i), sequence.read_image(i)), first_mask)
            if truth is not None:
                accumulator.update(result.mask, truth)
        scores.append(accumulator.score().j_and_f)
    return float(np.mean(scores))


def f_measure(network: nn.Module, videos: Iterable[tuple[ForegroundSequence, FlowFiles | None]]) -> float:
    """Mean CDnet F measure over videos, in sessions that start cold without a detector."""
    return float(np.mean([_f_measure(network, *video) for video in videos]))


def _f_measure(network: nn.Module, video: ForegroundSequence, flow: FlowFiles | None) -> float:
    accumulator = ForegroundAccumulator(video.key, roi=video.read_roi(), threshold=1)
    session = ForegroundSession(cast(ForegroundNetwork, network), detector=None, device=_device_of(network))
    has_depth = foreground_capabilities(network).depth

    def frame(i: int) -> Frame:
        depth = read_depth(video, i) if has_depth else None
        return Frame(i, float(i), video.read_image(i), depth, None if flow is None else flow(i))

    for _, result in FrameLoop(session).over(map(frame, range(len(video)))):
        if result.index in video.labels:
            accumulator.update(result.mask, video.read_labels(result.index))
    return accumulator.counts.measures()["F"]


def clip_ap(network: nn.Module, dataset: YTVISDataset, short_side: int = SHORT_SIDE) -> float:
    """AP of YouTube-VIS by the published inference: a video is one clip, categories are class channels."""
    accumulator = YTVISAccumulator(dataset.categories)
    model, device = cast(SeqFormer, network), _device_of(network)
    for video in dataset:
        images = map(partial(dataset.read_image, video), range(len(video)))
        records = whole_clip(model, images, video.size, device=device, short_side=short_side)
        detections = []
        for record in records:
            track = RleTrack.parse(record["segmentations"], video.size, forms="compressed")
            detections.append(DetectedInstance(record["category_id"], record["score"], track))
        accumulator.update(video.id, dataset.annotations(video), detections)
    return accumulator.score().stats["AP"]


def _device_of(network: nn.Module) -> torch.device:
    """Device on which a network is trained."""
    return next(network.parameters()).device
