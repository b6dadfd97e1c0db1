"""Follow objects with the graphs of ``segue export stcn-lite`` or ``stcn``: onnxruntime, NumPy and OpenCV.

    tracker = Tracker("FOLDER")
    first = tracker.step(frame, mask)    # frame (H, W, 3) uint8 RGB, mask (H, W) with ids 1, 2, ...
    mask = tracker.step(next_frame)      # (H, W), the ids of the first mask

All frames have one size, at least 40 pixels each way, for STCN 80; reduce images to a short side of 384
first if the network is stcn-lite, which was made for that.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnxruntime

Array = np.ndarray[Any, Any]
Window = tuple[slice, slice]  # rows and columns of the image
LIKELY = -2.2  # log-odds (probability 0.1) above which a position may belong to an object
MAX_OBJECTS = 1000
OUTSIDE = -10.0  # log-odds outside the window, and of pieces that are taken away


@dataclass
class Kept:
    """A frame in the memory: keys (n, C+1), places (n, 2) and values (K, n, V) of its positions."""

    keys: Array
    places: Array
    values: Array
    permanent: bool
    since: int  # reads before it was written
    usage: float = 0.0  # attention that it received


class Tracker:
    """Follows the objects of a first mask; a later mask starts anew.

    The memory is kept frames, and with stcn-lite the previous one. Where it is full, the frame that was read
    least makes room, but never the first. stcn-lite sees a window around the objects between two kept frames.
    """

    def __init__(
        self, folder: str | Path, providers: Sequence[str] = ("CPUExecutionProvider",), threads: int = 0
    ) -> None:
        self.about = json.loads((Path(folder) / "graphs.json").read_text("utf-8"))
        self.plan, self.memory = self.about["schedule"], list[Kept]()
        self.seen = self.reads = self.kept_at = 0
        self.shape: tuple[int, ...] = ()  # of the frames
        self.last: tuple[Array, ...] = ()  # key (C, h, w) and values (K, h, w, V) of the frame before
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        # Threads that wait for work would take the cores that NumPy needs between two graphs.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self.graphs = {
            name: onnxruntime.InferenceSession(f"{folder}/{name}.onnx", options, providers=list(providers))
            for name in self.about["graphs"]
        }

    def step(self, frame: Array, mask: Array | None = None) -> Array:
        """Follow the objects to the next frame."""
        frame, mask = np.asarray(frame), None if mask is None else np.asarray(mask)
        check(frame, mask, self.shape if self.memory else None)
        height, width = self.shape = frame.shape[:2]
        top, left = -height % 16 // 2, -width % 16 // 2
        around = top, -height % 16 - top, left, -width % 16 - left
        self.size = height + sum(around[:2]), width + sum(around[2:])
        above = self.about["coarse_above"]
        self.coarse = above is not None and math.prod(self.size) > above * self.about["stride"] ** 2
        if (colour := self.about["padding"]) == "edge":
            image = cv2.copyMakeBorder(frame, *around, cv2.BORDER_REPLICATE)
        else:
            image = cv2.copyMakeBorder(frame.astype(np.float32), *around, cv2.BORDER_CONSTANT, value=colour)
        keep = mask is not None or self.seen - self.kept_at >= self.plan["mem_every"]
        window, features = (slice(0, self.size[0]), slice(0, self.size[1])), dict[str, Array]()
        if keep:
            features = self._run("encode", image=image)
        if mask is not None:
            self.ids = np.array([0, *np.unique(mask[mask > 0])], np.int64)
            self.memory, self.seen, self.reads, self.kept_at = [], 0, 0, 0
            shares = np.pad(mask, (around[:2], around[2:])) == self.ids[:, None, None]
        else:
            looked, cut, shares = self._predict(image, features)
            if not keep:
                window, features = looked, cut
        self.masks = shares[1:] > 0.5
        if keep or self.plan["include_last"]:
            masks = shares[1:].astype(np.float32)
            self._write(image[window], window, features, masks, keep, mask is not None)
        self.seen += 1
        shown: Array = self.ids[shares[:, top : top + height, left : left + width].argmax(0)]
        return shown

    def _windows(self) -> Iterator[Window]:
        """Parts of the image to look into for the objects, one after the other; the last one is all of it."""
        if self.plan["window"] is not None and self.masks.any((1, 2)).all():
            margin = round(self.plan["window"] * min(self.size))
            for wider in (margin, 2 * margin):
                rows, columns = (side(self.masks.any(axes), wider) for axes in ((0, 2), (0, 1)))
                if (rows.stop - rows.start) * (columns.stop - columns.start) <= 0.8 * math.prod(self.size):
                    yield rows, columns
        yield slice(0, self.size[0]), slice(0, self.size[1])

    def _predict(self, image: Array, features: dict[str, Array]) -> tuple[Window, dict[str, Array], Array]:
        """Where the objects were looked for, the features there, and probabilities (K+1, H, W)."""
        for window in self._windows():
            cut = {name: planes[self._within(planes, window)] for name, planes in features.items()}
            cut = cut or self._run("encode", image=image[window])
            readout, usage = self._read(cut["key"], window)
            logits = self._run("decode", readout=readout, **cut)["logits"]
            stride = (window[0].stop - window[0].start) // logits.shape[1]
            likely = logits.max((0, 2)) > LIKELY, logits.max((0, 1)) > LIKELY
            if not any(
                (part.start > 0 and at[: 8 // stride].any()) or (part.stop < end and at[-8 // stride :].any())
                for part, end, at in zip(window, self.size, likely, strict=True)
            ):
                break  # no object lies at a side of the window
        self.reads += 1
        for item, share in zip(self.memory, usage, strict=True):
            item.usage += float(share)
        whole = np.full((len(logits), self.size[0] // stride, self.size[1] // stride), OUTSIDE, np.float32)
        whole[self._within(whole, window)] = logits
        if self.plan["max_jump"] is not None:
            max_jump = round(self.plan["max_jump"] * math.hypot(*whole.shape[1:]))
            before = self.masks[:, stride // 2 :: stride, stride // 2 :: stride]
            for plane, mask in zip(whole, before, strict=True):
                suppress_distant_components(plane, mask, max_jump)
        return window, cut, self._run("merge", logits=whole)["probabilities"]

    def _read(self, key: Array, window: Window) -> tuple[Array, Array]:
        """What the objects remember (K, V, h, w) where a key (C, h, w) asks; how much each frame was read."""
        limited = self.plan["include_last"] and self.plan["last_window"] is not None and len(self.memory) > 1
        memory = {
            "keys": np.concatenate([item.keys for item in self.memory]),
            "values": np.concatenate([item.values for item in self.memory], 1),
            "near": self.memory[-1].places[: None if limited else 0],
        }
        top, left = (part.start // self.about["stride"] for part in window)
        step = max((1024 if self.coarse else 256) // key.shape[2] // 2 * 2, 2)  # bounds what affinities take
        parts = [
            self._run(
                "read_coarse" if self.coarse else "read",
                key=key[:, row : row + step],
                origin=np.array([top + row, left]),
                **memory,
            )
            for row in range(0, key.shape[1], step)
        ]
        begins = np.cumsum([0, *(len(item.keys) for item in self.memory[:-1])])
        usage = np.add.reduceat(sum(part["usage"] for part in parts), begins)
        return np.concatenate([part["readout"] for part in parts], 2), usage

    def _write(
        self, image: Array, window: Window, features: dict[str, Array], masks: Array, keep: bool, given: bool
    ) -> None:
        """Remember a frame with the masks of its objects; the previous one, if not kept, goes."""
        key = features["key"]
        cut = masks[self._within(masks, window)]
        values = self._run("remember", image=image, masks=cut, **features)["values"]
        values = values.reshape(len(masks), *key.shape[1:], -1)
        if image.shape[:2] != self.size:  # outside the window, the frame is what the one before was
            (whole_key, whole_values), place = map(np.copy, self.last), self._within(self.last[0], window)
            whole_key[place], whole_values[:, place[1], place[2]] = key, values
            key, values = whole_key, whole_values
        self.last = key, values
        self.memory = [item for item in self.memory if item.permanent]
        if keep and len(self.memory) >= self.plan["memory_frames"]:
            rates = [item.usage / max(self.reads - item.since, 1) for item in self.memory[1:]]
            del self.memory[1 + int(np.argmin(rates))]
        # Far from the objects, one in four positions of a kept frame is enough.
        thin = keep and not self.coarse and "thin" in self.graphs
        penalty = np.array(0 if given else self.plan["penalty" if keep else "last_penalty"], np.float32)
        rows = self._run("thin" if thin else "rows", key=key, grid=values, masks=masks, penalty=penalty)
        self.memory.append(Kept(rows["keys"], rows["places"], rows["values"], keep, self.reads))
        if keep:
            self.kept_at = self.seen

    def _within(self, planes: Array, window: Window) -> tuple[Any, ...]:
        """Where a window lies in planes (..., h, w) of the image at some stride."""
        stride = self.size[0] // planes.shape[-2]
        return ..., *(slice(part.start // stride, part.stop // stride) for part in window)

    def _run(self, graph: str, **inputs: Array) -> dict[str, Array]:
        about = self.about["graphs"][graph]
        given = {name: np.asarray(inputs[name], order="C") for name in about["inputs"]}
        return dict(zip(about["outputs"], self.graphs[graph].run(None, given), strict=True))


def check(frame: Array, mask: Array | None, shape: tuple[int, ...] | None) -> None:
    """Raise ValueError unless these can be followed after frames of a shape; None before the first."""
    if frame.dtype != np.uint8 or frame.ndim != 3 or frame.shape[2] != 3:
        raise ValueError(f"a frame is RGB (H, W, 3), uint8, not {frame.dtype} of {frame.shape}")
    if mask is None:
        if shape is None:
            raise ValueError("the first frame needs a mask (H, W) with ids 1, 2, ...")
        if frame.shape[:2] != shape:
            raise ValueError(f"the frame is {frame.shape[:2]}, those before are {shape}")
    elif mask.dtype.kind not in "bui" or mask.shape != frame.shape[:2]:
        wanted = f"{frame.shape[:2]} of whole numbers"
        raise ValueError(f"the mask of this frame is {wanted}, not {mask.dtype} of {mask.shape}")
    elif not (mask > 0).any():
        raise ValueError("the mask is empty; it needs an object")
    elif (objects := len(np.unique(mask[mask > 0]))) > MAX_OBJECTS:
        raise ValueError(f"the mask has {objects} objects; at most {MAX_OBJECTS} can be followed")


def side(inside: Array, margin: int) -> slice:
    """A window, in multiples of 16, around the places of an axis where objects are (length,)."""
    places = np.flatnonzero(inside)
    first, last = int(places[0]) - margin, int(places[-1]) + 1 + margin
    size = min(-(-(last - first) // 16) * 16, len(inside))
    start = min(max(round((first + last - size) / 32) * 16, 0), len(inside) - size)
    return slice(start, start + size)


def suppress_distant_components(logits: Array, before: Array, max_jump: int) -> None:
    """Take away small pieces of log-odds (h, w), in place, farther than ``max_jump`` from the mask before."""
    likely = logits > LIKELY
    count, piece, stats, _ = cv2.connectedComponentsWithStats(likely.astype(np.uint8))
    around = cv2.dilate(before.astype(np.uint8), np.ones((2 * max_jump + 1,) * 2, np.uint8)) > 0
    touched = np.isin(np.arange(count), piece[likely & around])
    area = stats[:, cv2.CC_STAT_AREA]
    distant = ~touched & (area < 0.3 * area[touched].sum())
    if before.any():
        logits[likely & distant[piece]] = OUTSIDE
