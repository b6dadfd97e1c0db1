"""Follow objects with the graphs of ``segue export stcn-lite`` or ``stcn``, with onnxruntime and numpy alone.

    tracker = Tracker("FOLDER")
    first = tracker.step(frame, mask)    # frame (H, W, 3) uint8 RGB, mask (H, W) with ids 1, 2, ...
    mask = tracker.step(next_frame)      # (H, W), the ids of the first mask

``graphs.json`` beside the graphs describes their inputs and outputs. All frames have one size, at least 40
pixels each way, for STCN 80; bring images with a short side above 384 down to it first where the network is
stcn-lite, which was made for that.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

Array = np.ndarray[Any, Any]

_NONE: Array = np.zeros(0, np.float32)


class Tracker:
    """Follows the objects of a first mask; a later mask starts anew.

    The memory is as many kept frames as the schedule of the network says, with stcn-lite the previous one
    too; where it is full, the frame that was read least makes room, but never the first.

    Args:
        folder: where the graphs are.
        providers: execution providers of ONNX Runtime.
    """

    def __init__(self, folder: str | Path, providers: Sequence[str] = ("CPUExecutionProvider",)) -> None:
        about = json.loads((Path(folder) / "graphs.json").read_text("utf-8"))
        self.plan, self.fine, self.padding = about["schedule"], about["features"], about["padding"]
        graphs = ("encode", "read", "decode", "remember")
        files = [str(Path(folder) / f"{name}.onnx") for name in graphs]
        sessions = [onnxruntime.InferenceSession(file, providers=list(providers)) for file in files]
        self.graphs = dict(zip(graphs, sessions, strict=True))
        self.memory: list[dict[str, Any]] = []
        self.shape: tuple[int, ...] = ()  # of the frames
        self.before: Array = _NONE  # masks of the frame before, at the size of the log-odds

    def step(self, frame: Array, mask: Array | None = None) -> Array:
        """Follow the objects to the next frame."""
        frame, mask = np.asarray(frame), None if mask is None else np.asarray(mask)
        self._check(frame, mask)
        (height, width), (rows, columns) = frame.shape[:2], (-frame.shape[0] % 16, -frame.shape[1] % 16)
        top, left = rows // 2, columns // 2
        around = ((top, rows - top), (left, columns - left))
        image = self._padded(frame, around)
        key, thin, joint, *finer = self._run("encode", image=image)
        if mask is not None:
            self.ids = np.array([int(i) for i in np.unique(mask) if i])
            self.memory, self.seen, self.reads, self.kept_at = [], 0, 0, 0
            classes = merge((np.pad(mask, around) == self.ids[:, None, None]).astype(np.float32))
        else:
            features = dict(zip(self.fine, finer, strict=True))
            readout = self._read(key)
            (logits,) = self._run("decode", readout=readout, thin=thin, **features)
            if self.plan["max_jump"] is not None:
                max_jump = round(self.plan["max_jump"] * math.hypot(*logits.shape[1:]))
                pairs = zip(logits, self.before, strict=True)
                logits = np.stack([suppress_distant_components(*pair, max_jump) for pair in pairs])
            times = len(image) // logits.shape[1]
            classes = merge(1 / (1 + np.exp(-enlarge(enlarge(logits, 1, times), 2, times))))
        self.before = classes[1:, 1::2, 1::2] > 0.5
        self._write(image, key, joint, classes[1:], mask is not None)
        best = classes[:, top : top + height, left : left + width].argmax(0)
        shown: Array = np.array([0, *self.ids])[best]
        return shown

    def _check(self, frame: Array, mask: Array | None) -> None:
        if frame.dtype != np.uint8 or frame.ndim != 3 or frame.shape[2] != 3:
            raise ValueError(f"a frame is RGB (H, W, 3), uint8, not {frame.dtype} of {frame.shape}")
        if mask is None:
            if not self.memory:
                raise ValueError("the first frame needs a mask (H, W) with ids 1, 2, ...")
            if frame.shape != self.shape:
                raise ValueError(f"the frame is {frame.shape}, those before are {self.shape}")
            return
        if mask.dtype.kind not in "bui" or mask.shape != frame.shape[:2]:
            wanted = f"{frame.shape[:2]} of whole numbers"
            raise ValueError(f"the mask of this frame is {wanted}, not {mask.dtype} of {mask.shape}")
        if not mask.any():
            raise ValueError("the mask is empty; it needs an object")
        self.shape = frame.shape

    def _padded(self, frame: Array, around: tuple[tuple[int, int], tuple[int, int]]) -> Array:
        """A frame (H, W, 3) padded as the network wants it: with its edge, or with a colour."""
        if self.padding == "edge":
            return np.pad(frame, (*around, (0, 0)), mode="edge")
        planes = zip(np.moveaxis(frame.astype(np.float32), 2, 0), self.padding, strict=True)
        return np.stack([np.pad(plane, around, constant_values=value) for plane, value in planes], 2)

    def _read(self, key: Array) -> Array:
        """Readout of each object's memory at the positions of a key (C, h, w): (K, V, h, w)."""
        self.reads += 1
        channels, height, width = key.shape
        query = key.reshape(channels, -1).T
        keys = np.stack([item["keys"] for item in self.memory])
        values = np.stack([item["values"] for item in self.memory], 1)
        window = self.plan["last_window"] if self.plan["include_last"] and len(self.memory) > 1 else None
        window = height + width if window is None else window
        grid = {"width": np.array(width), "window": np.array(window)}
        parts = []
        for start in range(0, len(query), 512):  # bounds what the affinities take
            block = {"query": query[start : start + 512], "start": np.array(start)}
            readout, usage = self._run("read", keys=keys, values=values, **block, **grid)
            parts.append(readout)
            for item, share in zip(self.memory, usage, strict=True):
                item["usage"] += float(share)
        whole: Array = np.concatenate(parts, 1).transpose(0, 2, 1)
        return whole.reshape(len(values), -1, height, width)

    def _write(self, image: Array, key: Array, joint: Array, masks: Array, given: bool) -> None:
        """Remember a frame with the probabilities of its objects; the previous one, if not kept, goes."""
        keep = given or self.seen - self.kept_at >= self.plan["mem_every"]
        if not keep and not self.plan["include_last"]:
            self.seen += 1
            return
        penalty = 0 if given else self.plan["penalty" if keep else "last_penalty"]
        rows = self._rows(key, penalty)
        self.memory = [item for item in self.memory if item["kept"]]
        if keep and len(self.memory) >= self.plan["memory_frames"]:
            rates = [item["usage"] / max(self.reads - item["since"], 1) for item in self.memory[1:]]
            del self.memory[1 + int(np.argmin(rates))]
        item = {"keys": rows, "kept": keep, "usage": 0.0, "since": self.reads}
        (item["values"],) = self._run("remember", image=image, joint=joint, masks=masks)
        self.memory.append(item)
        self.kept_at = self.seen if keep else self.kept_at
        self.seen += 1

    def _rows(self, key: Array, penalty: float) -> Array:
        """A key (C, h, w) as rows of the memory, in which the confidence penalty of the frame stands."""
        rows = key.reshape(len(key), -1).T
        extra = np.square(rows).sum(1, keepdims=True) + penalty * math.sqrt(len(key))
        return np.concatenate([rows, extra], 1)

    def _run(self, graph: str, **inputs: Array) -> list[Array]:
        outputs: list[Array] = self.graphs[graph].run(None, inputs)
        return outputs


def enlarge(x: Array, axis: int, times: int) -> Array:
    """So many times as long along an axis, by linear interpolation between the centres of pixels."""
    x = np.moveaxis(x, axis, -1)
    place = ((np.arange(x.shape[-1] * times) + 0.5) / times - 0.5).clip(0, x.shape[-1] - 1)
    low = place.astype(int)
    share = (place - low).astype(x.dtype)
    mixed = (1 - share) * x[..., low] + share * x[..., np.minimum(low + 1, x.shape[-1] - 1)]
    longer: Array = np.moveaxis(mixed, -1, axis)
    return longer


def merge(planes: Array) -> Array:
    """Prepend the background to probabilities of objects: (K, H, W) to (K+1, H, W)."""
    every = np.concatenate([np.prod(1 - planes, 0, keepdims=True), planes]).clip(1e-7, 1 - 1e-7)
    odds = every / (1 - every)
    shares: Array = (odds / odds.sum(0)).astype(np.float32)
    return shares


def suppress_distant_components(logits: Array, before: Array, max_jump: int) -> Array:
    """Log-odds (h, w) without small pieces that are farther than ``max_jump`` from the mask before."""
    if not before.any():
        return logits
    height, width = logits.shape
    piece = np.where(logits > -2.2, np.arange(logits.size).reshape(height, width), -1)
    while True:  # every position takes the largest number around it, then the number that stands there
        edge = np.pad(piece, 1, constant_values=-1)
        around = [edge[y : y + height, x : x + width] for y in range(3) for x in range(3)]
        largest = np.where(piece >= 0, np.max(around, 0), -1)
        largest = np.where(piece >= 0, largest.ravel()[largest], -1)
        if (largest == piece).all():
            break
        piece = largest
    size = 2 * max_jump + 1
    counts = np.pad(before, ((max_jump + 1, max_jump), (max_jump + 1, max_jump))).cumsum(0).cumsum(1)
    near = counts[size:, size:] - counts[:-size, size:] - counts[size:, :-size] + counts[:-size, :-size] > 0
    numbers, areas = np.unique(piece[piece >= 0], return_counts=True)
    touched = np.isin(numbers, piece[near])
    strays = numbers[~touched & (areas < 0.3 * areas[touched].sum())]
    return np.where(np.isin(piece, strays), np.float32(-10), logits)
