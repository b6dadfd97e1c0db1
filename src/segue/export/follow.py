"""Track objects with graphs of ``segue export stcn-lite`` or ``stcn``: onnxruntime, NumPy and OpenCV.

    tracker = Tracker("FOLDER")
    first = tracker.step(frame, mask)    # frame (H, W, 3) uint8 RGB, mask (H, W) with ids 1, 2, ...
    mask = tracker.step(next_frame)      # (H, W), the ids of the first mask

All frames have one size, at least 40 pixels each way, for STCN 80; reduce images to a short side of 384
first if the network is stcn-lite, which was made for that.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnxruntime

Array = np.ndarray[Any, Any]
Arrays = dict[str, Array]
CPU = ("CPUExecutionProvider",)
MAX_OBJECTS = 1000


class Tracker:
    """Tracks the objects of a first mask; a later mask restarts it.

    The memory is kept frames, and with stcn-lite the previous one. In a full memory, the frame that was read
    least makes room, but never the first. stcn-lite sees a window around the objects between two kept frames.
    """

    def __init__(self, folder: str | Path, providers: Sequence[str] = CPU, threads: int = 0) -> None:
        self.about = json.loads((Path(folder) / "graphs.json").read_text("utf-8"))
        self.plan, self.num_frames = self.about["schedule"], 0
        self.state = Arrays()  # what graphs take of the frames before, by name
        self.memory = list[dict[str, Any]]()  # frames: rows, whether they are kept, since when, how much read
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        # Threads that wait for work would take the cores that NumPy needs between two graphs.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self.graphs = {
            name: onnxruntime.InferenceSession(f"{folder}/{name}.onnx", options, providers=list(providers))
            for name in self.about["graphs"]
        }

    def step(self, frame: Array, mask: Array | None = None) -> Array:
        """Track the objects to the next frame."""
        frame, mask = np.asarray(frame), None if mask is None else np.asarray(mask)
        check(frame, mask, self.state["index"].shape if self.memory else None)
        if mask is not None:
            self.num_frames, self.memory = 0, []
            self.state = self._run("start", mask=mask.astype(np.int64))
        keep = self.num_frames % self.plan["mem_every"] == 0
        windows = self._run("windows")["windows"]  # where to look; the last one is the whole frame
        full = self._run("encode", image=frame, window=windows[-1]) if keep else Arrays()
        window, features = (windows[-1], full) if mask is not None else self._predict(frame, windows, full)
        if keep or self.plan["include_last"]:
            self._remember(frame, window, features, keep)
        self.num_frames += 1
        return np.asarray(self.state["ids"][self.state["index"]])

    def _predict(self, frame: Array, windows: Array, full: Arrays) -> tuple[Array, Arrays]:
        """Find the masks in the first window that contains all objects; return the new memory entry."""
        memory = {key: np.concatenate([item[key] for item in self.memory], -2) for key in ("keys", "values")}
        memory["near"] = self.memory[-1]["places"][: None if len(self.memory) > 1 else 0]
        coarse = self.state["masks"][0].size > (self.about["coarse_above"] or np.inf)
        for window in windows:
            features = {name: cut(planes, window, windows[-1]) for name, planes in full.items()}
            features = features or self._run("encode", image=frame, window=window)
            read = self._run("read_coarse" if coarse else "read", window=window, **features, **memory)
            decoded = self._run("decode", window=window, **features, **read)
            if not decoded["touches"]:
                break
        ends = np.cumsum([len(item["keys"]) for item in self.memory[:-1]])
        for item, usage in zip(self.memory, np.split(read["usage"], ends), strict=True):
            item["usage"] += float(usage.sum())
        pieces = np.stack([cv2.connectedComponents(plane)[1] for plane in decoded["likely"]])
        self.state |= self._run("merge", pieces=pieces, **decoded)
        return (windows[-1], full) if full else (window, features)

    def _remember(self, frame: Array, window: Array, features: Arrays, keep: bool) -> None:
        """Add a frame to the memory; it replaces the previous one unless that is kept."""
        rows = self._run(
            "remember", image=frame, window=window, keep=keep, given=self.num_frames == 0, **features
        )
        self.state |= {"key_before": rows.pop("whole_key"), "grid_before": rows.pop("grid")}
        self.memory = [item for item in self.memory if item["kept"]]
        if keep and len(self.memory) >= self.plan["memory_frames"]:
            rates = [item["usage"] / (self.num_frames - item["since"]) for item in self.memory[1:]]
            del self.memory[1 + int(np.argmin(rates))]
        self.memory.append({**rows, "kept": keep, "since": self.num_frames, "usage": 0.0})

    def _run(self, graph: str, **inputs: Any) -> Arrays:
        about, inputs = self.about["graphs"][graph], self.state | inputs
        arrays = {name: np.asarray(inputs[name], order="C") for name in about["inputs"]}
        return dict(zip(about["outputs"], self.graphs[graph].run(None, arrays), strict=True))


def cut(planes: Array, window: Array, full: Array) -> Array:
    """Crop planes (..., h, w) of the whole frame to a window at some stride."""
    top, bottom, left, right = window // (full[1] // planes.shape[-2])
    return planes[..., top:bottom, left:right]


def check(frame: Array, mask: Array | None, shape: tuple[int, ...] | None) -> None:
    """Raise ValueError unless an image and mask fit the frames so far; None before the first."""
    if frame.dtype != np.uint8 or frame.ndim != 3 or frame.shape[2] != 3:
        raise ValueError(f"a frame is RGB (H, W, 3), uint8, not {frame.dtype} of {frame.shape}")
    if mask is None:
        if shape is None:
            raise ValueError("the first frame needs a mask (H, W) with ids 1, 2, ...")
        if frame.shape[:2] != shape:
            raise ValueError(f"the frame is {frame.shape[:2]}, those before are {shape}")
    elif mask.dtype.kind not in "bui" or mask.shape != frame.shape[:2]:
        raise ValueError(f"a mask is {frame.shape[:2]} of whole numbers, not {mask.dtype} of {mask.shape}")
    elif not (mask > 0).any():
        raise ValueError("the mask is empty; it needs an object")
    elif (objects := len(np.unique(mask[mask > 0]))) > MAX_OBJECTS:
        raise ValueError(f"the mask has {objects} objects; at most {MAX_OBJECTS} can be followed")
