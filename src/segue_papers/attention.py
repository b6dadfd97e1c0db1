"""Attention maps of encoders on videos with changing appearance, as on the poster of MS-STS VIS."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import cv2
import numpy as np
import torch

from segue.datasets.ytvis import YTVISDataset, YTVISVideo
from segue.errors import DatasetError
from segue.models.seqformer.observing import observe_encoder
from segue.types import Image
from segue.utils.arrays import BoolArray, Float32Array
from segue_papers.strips import panel

FRAMES = 5
"""Frames of a video, evenly spaced."""

SHORT_SIDE, STRIDE = 320, 32
"""Short side of a network's input images, and the stride that divides their sides."""


def select_videos(data: YTVISDataset, names: Sequence[str] | None) -> dict[str, YTVISVideo]:
    """Select the videos of a figure by their deformations.

    Args:
        data: videos; without ``names`` they need annotations.
        names: names of videos; None selects the video with the strongest deformation of each kind.

    Returns:
        Videos by their title.

    Raises:
        DatasetError: there is no such video, or nothing tells which ones to take.
    """
    if names:
        by_name = {each.name: each for each in data} | {str(each.id): each for each in data}
        if unknown := [name for name in names if name not in by_name]:
            raise DatasetError(f"no video {unknown[0]} in {data.path}")
        return {name: by_name[name] for name in names}
    if not data.annotated:
        raise DatasetError(f"{data.path} has no annotations, which tell the videos; give --sequence NAME")
    scores = {video: _deformations(data, video) for video in data.videos}
    selected: dict[str, YTVISVideo] = {}
    for kind in DEFORMATIONS:
        rest = [video for video in scores if video not in selected.values()]
        if rest:
            selected[kind] = max(rest, key=lambda video: scores[video][kind])
    return selected


DEFORMATIONS = ("scale variation", "aspect ratio change", "partial visibility", "occlusion")
"""Videos of the poster: a car, a shark, a person and a panda."""


def _deformations(data: YTVISDataset, video: YTVISVideo) -> dict[str, float]:
    """Largest value of each kind of deformation in a video."""
    strongest = dict.fromkeys(DEFORMATIONS, 0.0)
    clip = data.instances(video, range(len(video)))
    for masks in np.asarray(clip.masks, bool):
        for kind, value in deformation_of(masks).items():
            strongest[kind] = max(strongest[kind], value)
    return strongest


def deformation_of(masks: BoolArray) -> dict[str, float]:
    """Value of each kind of deformation in the masks of an object (T, H, W)."""
    visible = [t for t, mask in enumerate(masks) if mask.any()]
    if len(visible) < 2:
        return {}
    boxes = np.array([cv2.boundingRect(masks[t].astype(np.uint8)) for t in visible], np.float64)
    areas = masks[visible].sum((1, 2))
    ratios = boxes[:, 2] / boxes[:, 3]
    height, width = masks.shape[1:]
    low, high = boxes[:, :2], boxes[:, :2] + boxes[:, 2:]
    cut = float(((low <= 0) | (high >= (width, height))).any(1).mean())
    hidden = visible[-1] - visible[0] + 1 - len(visible)
    return {
        "scale variation": float(areas.max() / areas.min()),
        "aspect ratio change": float(ratios.max() / ratios.min()),
        "partial visibility": cut * (1 - cut),
        "occlusion": float(hidden),
    }


def read_frames(data: YTVISDataset, video: YTVISVideo) -> list[Image]:
    """Read evenly spaced frames of a video."""
    places = np.unique(np.linspace(0, len(video) - 1, FRAMES).round().astype(int))
    return [data.read_image(video, int(place)) for place in places]


@torch.inference_mode()
def attention_maps(network: Any, images: Sequence[Image]) -> list[Float32Array]:
    """Attention of an encoder's last layer per frame, (H, W) in [0, 1], summed over scales."""
    height, width = images[0].shape[:2]
    scale = SHORT_SIDE / min(height, width)
    size = tuple(max(round(side * scale / STRIDE), 1) * STRIDE for side in (width, height))
    clip = np.stack([cv2.resize(image, size, interpolation=cv2.INTER_AREA) for image in images])
    parameter = next(network.parameters())
    frames = torch.from_numpy(clip).to(parameter.device).movedim(-1, 1)[None].to(parameter.dtype) / 255
    with observe_encoder(network) as attention:
        network.encode(frames)
    maps = [
        sum(
            cv2.resize(plane.float().cpu().numpy(), (width, height)) * plane.numel()
            for plane in attention.spatial_maps(t)
        )
        for t in range(len(images))
    ]
    highest = max(float(np.max(plane)) for plane in maps)
    return [np.asarray(plane / highest if highest else plane, np.float32) for plane in maps]


def draw_figure(images: Sequence[Image], maps: Mapping[str, Sequence[Float32Array]]) -> Image:
    """Draw the frames of a video above the attention maps of each network."""
    lines = [np.concatenate([panel(image, "") for image in images], axis=1)]
    for name, planes in maps.items():
        panels = [
            panel(_heat(image, plane), "" if t else name)
            for t, (image, plane) in enumerate(zip(images, planes, strict=True))
        ]
        lines.append(np.concatenate(panels, axis=1))
    return np.concatenate(lines)


def _heat(image: Image, plane: Float32Array) -> Image:
    """Overlay a map from blue to yellow on a grey image."""
    colours = cv2.applyColorMap(np.rint(plane * 255).astype(np.uint8), cv2.COLORMAP_VIRIDIS)[..., ::-1]
    grey = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    return np.asarray(np.rint(0.4 * grey + 0.6 * colours), np.uint8)
