"""Videos of the golden files of SAM 2.1, run and compared; see ``README_sam2.md`` beside the golden files."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from segue.models.sam2 import SAM2, Settings, VideoPredictor, VideoResult
from tests.clips import clip
from tests.golden_arrays import Array, Golden

SETTINGS = {
    "add_all_frames_to_correct_as_cond": "keep_corrections",
    "max_cond_frames_in_attn": "prompted_frames",
    "memory_temporal_stride_for_eval": "stride",
    "float_memory": "exact_memory",
    "holes": "hole_area",
}
"""Names of the release, and ours."""


@dataclass(frozen=True)
class Tolerance:
    """Largest differences: of logits, of the share of pixels in a mask, of scores, IoU and pointers."""

    low: float = 0.15
    mask: float = 0.002
    score: float = 0.03
    iou: float = 0.01
    pointer: float = 0.05


def settings_of(given: Mapping[str, Any]) -> Settings:
    """Settings of the release as ours."""
    changed = {SETTINGS[name]: value for name, value in given.items() if name in SETTINGS}
    if given.get("post") is False:
        changed |= {"dynamic_multimask": False, "binary_prompts": False}
    return Settings(**changed)


@contextmanager
def biased(network: SAM2, bias: float) -> Iterator[None]:
    """The score head says of every object that it is less likely to be there."""
    head = network.sam_mask_decoder.pred_obj_score_head.layers[2]
    assert isinstance(head, torch.nn.Linear)
    before = head.bias.detach().clone()
    head.bias.data += bias
    try:
        yield
    finally:
        head.bias.data.copy_(before)


def run(network: SAM2, info: Mapping[str, Any], side: int) -> list[VideoResult]:
    """All answers of a case, in order."""
    given = info["settings"]
    frames, masks = clip(*info["clip"])
    video = VideoPredictor(
        network,
        frames.__getitem__,
        len(frames),
        settings_of(given),
        side=side,
        no_overlap=given.get("non_overlap_masks", False),
    )
    rows = []
    with biased(network, given.get("obj_bias", 0.0)):
        for step in info["steps"]:
            if step["do"] == "points":
                add = not step.get("clear_old_points", True)
                marks = step.get("points", []), step.get("labels", [])
                rows.append(video.click(step["frame"], step["obj"], *marks, box=step.get("box"), add=add))
            elif step["do"] == "mask":
                rows.append(video.mask(step["frame"], step["obj"], mask_of(step["mask"], masks)))
            elif step["do"] == "remove":
                video.remove(step["obj"])
            else:
                for row in video.propagate(step.get("start"), reverse=step.get("reverse", False)):
                    rows.append(row)
                    if row.frame == step.get("stop"):
                        break
    return rows


def mask_of(text: str, masks: Array) -> Array:
    """``t:k`` is object k of frame t."""
    if text == "empty":
        return np.zeros(masks.shape[1:], np.bool_)
    frame, number = map(int, text.split(":"))
    return np.asarray(masks[frame] == number)


def info_of(golden: Golden, case: str) -> dict[str, Any]:
    """What was done in a case."""
    info = json.loads(str(golden[f"{case}/info"]))
    assert isinstance(info, dict)
    return info


def compare(golden: Golden, case: str, rows: list[VideoResult], tolerance: Tolerance) -> None:
    """Hold the answers against the golden ones."""
    expected = {
        name: golden[f"{case}/{name}"] for name in ("frame", "ids", "low", "iou", "obj", "ptr", "mask")
    }
    assert [row.frame for row in rows] == expected["frame"].tolist()
    width = rows[0].logits.shape[-1]
    masks = np.unpackbits(expected["mask"], axis=-1)[..., :width].astype(bool)
    worst = dict.fromkeys(("low", "mask", "score", "iou", "pointer"), 0.0)

    def note(name: str, found: Any, wanted: Any) -> None:
        found = found.cpu() if isinstance(found, torch.Tensor) else found
        if not np.isnan(np.asarray(wanted, float)).any():
            found, wanted = np.asarray(found, float), np.asarray(wanted, float)
            worst[name] = max(worst[name], float(np.abs(found - wanted).max(initial=0.0)))

    for n, row in enumerate(rows):
        for k, number in enumerate(expected["ids"][n].tolist()):
            if number not in row.ids:
                continue
            place = row.ids.index(number)
            wanted = expected["low"][n, k].astype(float)
            worst["mask"] = max(worst["mask"], float((row.masks[place] != masks[n, k]).mean()))
            record = row.records[place]
            if record is None:
                assert (wanted == -1024).all()
                continue
            assert record.low_res_masks is not None
            low = record.low_res_masks[0, 0].cpu().numpy()
            step = len(low) // len(wanted)
            low = low[::step, ::step]
            absent = wanted == -1024
            assert np.array_equal(absent, low == -1024), f"{case}, answer {n}: absent where it should not be"
            note("low", low[~absent], wanted[~absent])
            note("score", record.score, expected["obj"][n, k])
            note("iou", record.iou, expected["iou"][n, k])
            note("pointer", record.pointer[0, ::16], expected["ptr"][n, k])
    for name, value in worst.items():
        allowed = getattr(tolerance, name)
        assert value <= allowed, f"{case}: {name} differs by {value:.4g}, allowed {allowed:.4g}"
