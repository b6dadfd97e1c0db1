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
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

Array = np.ndarray[Any, Any]

_NONE: Array = np.zeros(0, np.float32)

LIKELY = -2.2
"""Log-odds (probability 0.1) above which a position may belong to an object."""

OUTSIDE = -10.0
"""Log-odds outside the window, and of pieces that are taken away."""

MAX_OBJECTS = 1000
"""Objects that can be followed."""


@dataclass(frozen=True)
class Window:
    """A part of an image, in its pixels; ``whole`` is the size of the image."""

    top: int
    left: int
    height: int
    width: int
    whole: tuple[int, int]

    def place(self, planes: Array) -> tuple[Any, slice, slice]:
        """Where it lies in planes (..., h, w) of the image at some stride."""
        stride = self.whole[0] // planes.shape[-2]
        top, left = self.top // stride, self.left // stride
        down = slice(top, top + self.height // stride)
        return ..., down, slice(left, left + self.width // stride)

    def is_left(self, logits: Array) -> bool:
        """Whether an object of log-odds (K, h, w) of the window lies at a side that is inside the image."""
        band = 8 * logits.shape[1] // self.height
        sides = (
            (self.top > 0, logits[:, :band]),
            (self.left > 0, logits[:, :, :band]),
            (self.top + self.height < self.whole[0], logits[:, -band:]),
            (self.left + self.width < self.whole[1], logits[:, :, -band:]),
        )
        return any(inner and side.max() > LIKELY for inner, side in sides)


@dataclass
class Kept:
    """A frame in the memory.

    ``keys`` are its rows (n, C+1), ``values`` what objects remember there, (K, n, V), and ``places`` where
    the rows that a query is compared with first are in the frame: those of ``keys``, or of ``coarse``, which
    are means of cells of four consecutive keys, (n/4, C+1).
    """

    keys: Array
    coarse: Array | None
    values: Array
    places: Array
    permanent: bool
    since: int  # reads before it was written
    usage: float = 0.0  # attention that it received


class Tracker:
    """Follows the objects of a first mask; a later mask starts anew.

    The memory is as many kept frames as the schedule of the network says, with stcn-lite the previous one
    too; where it is full, the frame that was read least makes room, but never the first. As in ``segue
    track``, stcn-lite sees a window around the objects between two kept frames, and reads one in four of the
    positions of a kept frame that lie far from them. It reads large images from coarse to fine: of cells of
    2x2 positions, those that match best.

    Args:
        folder: where the graphs are.
        providers: execution providers of ONNX Runtime.
        threads: that ONNX Runtime uses for an operator; 0 leaves it the choice.
    """

    def __init__(
        self, folder: str | Path, providers: Sequence[str] = ("CPUExecutionProvider",), threads: int = 0
    ) -> None:
        about = json.loads((Path(folder) / "graphs.json").read_text("utf-8"))
        self.plan, self.fine, self.padding = about["schedule"], about["features"], about["padding"]
        self.coarse_above, self.coarse_cells = about["coarse_above"], about["coarse_cells"]
        graphs = ("encode", "decode", "remember")
        files = [str(Path(folder) / f"{name}.onnx") for name in graphs]
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        # Threads that wait for work would take the cores that NumPy needs between two graphs.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        sessions = [onnxruntime.InferenceSession(file, options, providers=list(providers)) for file in files]
        self.graphs = dict(zip(graphs, sessions, strict=True))
        self.memory: list[Kept] = []
        self.seen = self.reads = self.kept_at = 0
        self.shape: tuple[int, ...] = ()  # of the frames
        self.masks: Array = _NONE  # of the frame before, (K, H, W), bool, with its padding
        self.last: tuple[Array, Array] = _NONE, _NONE  # its key (C, h, w) and values (K, V, h, w)

    def step(self, frame: Array, mask: Array | None = None) -> Array:
        """Follow the objects to the next frame."""
        frame, mask = np.asarray(frame), None if mask is None else np.asarray(mask)
        self._check(frame, mask)
        (height, width), (rows, columns) = frame.shape[:2], (-frame.shape[0] % 16, -frame.shape[1] % 16)
        top, left = rows // 2, columns // 2
        around = ((top, rows - top), (left, columns - left))
        image = self._padded(frame, around)
        padded = height + rows, width + columns
        whole = Window(0, 0, *padded, padded)
        keep = mask is not None or self.seen - self.kept_at >= self.plan["mem_every"]
        if mask is not None:
            self.ids = np.array([int(i) for i in np.unique(mask) if i])
            self.memory, self.seen, self.reads, self.kept_at = [], 0, 0, 0
            window, features = whole, self._encode(image)
            classes = merge((np.pad(mask, around) == self.ids[:, None, None]).astype(np.float32))
        else:
            window, features, classes = self._predict(image, whole, keep)
        self.masks = classes[1:] > 0.5
        self._write(image, window, features, classes[1:], keep, mask is not None)
        classes = classes[:, top : top + height, left : left + width]
        shown, largest = np.zeros((height, width), self.ids.dtype), classes[0]
        for number, plane in zip(self.ids, classes[1:], strict=True):
            shown[plane > largest] = number
            largest = np.maximum(largest, plane)
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
        if (objects := len(np.unique(mask[mask > 0]))) > MAX_OBJECTS:
            raise ValueError(f"the mask has {objects} objects; at most {MAX_OBJECTS} can be followed")
        self.shape = frame.shape

    def _padded(self, frame: Array, around: tuple[tuple[int, int], tuple[int, int]]) -> Array:
        """A frame (H, W, 3) padded as the network wants it: with its edge, or with a colour."""
        if self.padding == "edge":
            return np.pad(frame, (*around, (0, 0)), mode="edge")
        planes = zip(np.moveaxis(frame.astype(np.float32), 2, 0), self.padding, strict=True)
        return np.stack([np.pad(plane, around, constant_values=value) for plane, value in planes], 2)

    def _windows(self, whole: Window) -> Iterator[Window]:
        """Parts of the image to look into for the objects, one after the other; the last one is all of it."""
        if self.plan["window"] is not None and self.masks.any((1, 2)).all():
            margin = round(self.plan["window"] * min(whole.whole))
            for wider in (margin, 2 * margin):
                (top, height), (left, width) = (side(self.masks, axis, wider) for axis in (1, 2))
                if height * width <= 0.8 * whole.height * whole.width:
                    yield Window(top, left, height, width, whole.whole)
        yield whole

    def _predict(self, image: Array, whole: Window, keep: bool) -> tuple[Window, dict[str, Array], Array]:
        """Where the objects were looked for, the features of it, and their probabilities (K+1, H, W).

        The features of a frame that is kept are those of the whole image.
        """
        all_of_it = self._encode(image) if keep else None
        for window in self._windows(whole):
            down, across = window.place(image[..., 0])[1:]
            features = self._encode(image[down, across]) if all_of_it is None else all_of_it
            cut = {
                name: planes if all_of_it is None else planes[window.place(planes)]
                for name, planes in features.items()
            }
            readout, usage = self._read(cut["key"], window)
            used = {name: np.ascontiguousarray(cut[name]) for name in ("thin", *self.fine)}
            (logits,) = self._run("decode", readout=readout, **used)
            if not window.is_left(logits):
                break
        self.reads += 1
        for item, share in zip(self.memory, usage, strict=True):
            item.usage += float(share)
        stride = window.height // logits.shape[1]
        pasted = np.full((len(logits), whole.height // stride, whole.width // stride), OUTSIDE, np.float32)
        pasted[window.place(pasted)] = logits
        if self.plan["max_jump"] is not None:
            max_jump = round(self.plan["max_jump"] * math.hypot(*pasted.shape[1:]))
            before = self.masks[:, stride // 2 :: stride, stride // 2 :: stride]
            for plane, mask in zip(pasted, before, strict=True):
                suppress_distant_components(plane, mask, max_jump)
        classes = merge(1 / (1 + np.exp(-enlarge(enlarge(pasted, 1, stride), 2, stride))))
        return (whole if keep else window), features, classes

    def _encode(self, image: Array) -> dict[str, Array]:
        """The features of an image (H, W, 3)."""
        names = ("key", "thin", "joint", *self.fine)
        return dict(zip(names, self._run("encode", image=np.ascontiguousarray(image)), strict=True))

    def _read(self, key: Array, window: Window) -> tuple[Array, Array]:
        """What the objects remember where a key (C, h, w) of a window asks, and how much each frame was read.

        Returns (K, V, h, w) and (frames,).
        """
        channels, height, width = key.shape
        stride = window.height // height
        cell = 1 if self.memory[0].coarse is None else 2
        order = in_cells(height, width, cell)
        query = np.concatenate([2 * key.reshape(channels, -1).T, np.full((height * width, 1), -1.0)], 1)
        cells = (query / math.sqrt(channels)).astype(np.float32)[order].reshape(-1, cell * cell, channels + 1)
        asked = cells.mean(1)
        keys = np.concatenate([item.keys for item in self.memory])
        values = np.concatenate([item.values for item in self.memory], 1)
        rows = keys if cell == 1 else np.concatenate([item.coarse for item in self.memory])
        owner = np.repeat(np.arange(len(self.memory)), [len(item.keys) for item in self.memory])
        count = min(self.plan["top_k"], len(keys))
        wanted = min(max(self.coarse_cells, -(-count // 4)), len(rows))
        readout = np.empty((len(values), height * width, values.shape[2]), np.float32)
        usage = np.zeros(len(self.memory))
        far = self._far(window, stride * cell, (height // cell, width // cell))
        for start in range(0, len(asked), 256):  # bounds what the affinities take
            affinity = asked[start : start + 256] @ rows.T
            if far is not None:
                last = affinity[:, -len(self.memory[-1].places) :]
                place = np.arange(start, start + len(affinity))
                last += far[0][place // (width // cell)]
                last += far[1][place % (width // cell)]
            if cell == 1:
                index = places_of_largest(affinity, count)
                weights = np.take_along_axis(affinity, index, 1)
            else:
                candidates = 4 * places_of_largest(affinity, wanted)[:, :, None] + np.arange(4)
                candidates = candidates.reshape(len(affinity), -1)
                fine = cells[start : start + 256] @ keys[candidates].transpose(0, 2, 1)
                fine = fine.reshape(-1, candidates.shape[1])
                within = places_of_largest(fine, count)
                weights = np.take_along_axis(fine, within, 1)
                index = np.take_along_axis(candidates.repeat(4, 0), within, 1)
            weights = np.exp(weights - weights.max(1, keepdims=True))
            weights /= weights.sum(1, keepdims=True)
            block = order[start * cell * cell :][: len(index)]
            for own, out in zip(values, readout, strict=True):
                out[block] = (weights[:, None] @ own[index])[:, 0]
            usage += np.bincount(owner[index].ravel(), weights.ravel(), len(usage)) * len(values)
        return readout.transpose(0, 2, 1).reshape(len(values), -1, height, width), usage

    def _far(self, window: Window, stride: int, size: tuple[int, int]) -> tuple[Array, Array] | None:
        """-inf where a row or column of a query is too far from the previous frame's positions, else 0."""
        reach, last = self.plan["last_window"], self.memory[-1]
        if reach is None or not self.plan["include_last"] or len(self.memory) == 1:
            return None
        reach //= 1 if last.coarse is None else 2
        columns = window.whole[1] // stride
        axes = (
            (window.top // stride, size[0], last.places // columns),
            (window.left // stride, size[1], last.places % columns),
        )
        down, across = (
            np.where(abs(np.arange(first, first + count)[:, None] - place) > reach, -np.inf, 0)
            for first, count, place in axes
        )
        return down.astype(np.float32), across.astype(np.float32)

    def _write(
        self,
        image: Array,
        window: Window,
        features: dict[str, Array],
        masks: Array,
        keep: bool,
        given: bool,
    ) -> None:
        """Remember a frame with the probabilities of its objects; the previous one, if not kept, goes."""
        self.seen += 1
        if not keep and not self.plan["include_last"]:
            return
        key, joint = features["key"], features["joint"]
        down, across = window.place(masks)[1:]
        seen = {"image": image[down, across], "masks": masks[:, down, across]}
        seen = {name: np.ascontiguousarray(planes) for name, planes in seen.items()}
        (values,) = self._run("remember", joint=joint, **seen)  # (K, P, V)
        values = values.transpose(0, 2, 1).reshape(len(masks), -1, *key.shape[1:])
        if window.whole != (window.height, window.width):
            # Outside the window, the frame is what the one before was.
            key, values = pasted(window, self.last[0], key), pasted(window, self.last[1], values)
        self.last = key, values
        self.memory = [item for item in self.memory if item.permanent]
        if keep and len(self.memory) >= self.plan["memory_frames"]:
            rates = [item.usage / max(self.reads - item.since, 1) for item in self.memory[1:]]
            del self.memory[1 + int(np.argmin(rates))]
        penalty = 0 if given else self.plan["penalty" if keep else "last_penalty"]
        grid = key.shape[1:]
        coarse = None
        order = places = np.arange(grid[0] * grid[1])
        rows = memory_rows(key, penalty)
        if self.coarse_above is not None and len(rows) > self.coarse_above:
            order = in_cells(grid[0], grid[1], 2)
            places = np.arange(len(rows) // 4)
            coarse = memory_rows(key.reshape(len(key), grid[0] // 2, 2, -1, 2).mean((2, 4)), penalty)
        elif keep and self.plan["dense_radius"] is not None:
            stride = image.shape[0] // grid[0]
            dense = masks.max(0).reshape(grid[0], stride, grid[1], stride).max((1, 3)) > 0.5
            dense = near(dense, self.plan["dense_radius"]) if dense.any() else ~dense
            sparse = np.zeros_like(dense)
            sparse[::2, ::2] = ~dense[::2, ::2]
            rows[sparse.ravel(), -1] -= math.log(2) * math.sqrt(len(key))  # each counts for two
            order = places = np.flatnonzero(dense | sparse)
        values = values.reshape(*values.shape[:2], -1).transpose(0, 2, 1)[:, order]
        values = np.ascontiguousarray(values)
        self.memory.append(Kept(rows[order], coarse, values, places, keep, self.reads))
        if keep:
            self.kept_at = self.seen - 1

    def _run(self, graph: str, **inputs: Array) -> list[Array]:
        outputs: list[Array] = self.graphs[graph].run(None, inputs)
        return outputs


def side(masks: Array, axis: int, margin: int) -> tuple[int, int]:
    """Start and length of a window around masks (K, H, W) on an axis."""
    length = masks.shape[axis]
    places = np.flatnonzero(masks.any((0, 3 - axis)))
    first, last = int(places[0]) - margin, int(places[-1]) + 1 + margin
    size = min(-(-(last - first) // 16) * 16, length)
    start = round((first + last - size) / 32) * 16
    return min(max(start, 0), length - size), size


def pasted(window: Window, whole: Array, part: Array) -> Array:
    """A copy of planes (..., h, w) of the image with those of a window in it."""
    copy: Array = whole.copy()
    copy[window.place(copy)] = part
    return copy


def in_cells(height: int, width: int, cell: int) -> Array:
    """Positions (h*w,) of a grid, the four of a cell of 2x2 one after the other if ``cell`` is 2."""
    grid = np.arange(height * width).reshape(height // cell, cell, width // cell, cell)
    order: Array = grid.transpose(0, 2, 1, 3).ravel()
    return order


def memory_rows(key: Array, penalty: float) -> Array:
    """Rows (h*w, C+1) of a key (C, h, w), whose products with those of a query are affinities."""
    rows = key.reshape(len(key), -1).T
    return np.concatenate([rows, np.square(rows).sum(1, keepdims=True) + penalty * math.sqrt(len(key))], 1)


def places_of_largest(scores: Array, count: int) -> Array:
    """Places (rows, count) of the largest entries of each row (rows, columns), in no particular order."""
    rows, columns = scores.shape
    groups = columns // 8
    if groups > 2 * count:
        # The largest entries lie in at most `count` groups, which are among those with the largest maxima.
        chosen = places_of_largest(scores[:, : 8 * groups].reshape(rows, 8, groups).max(1), count)
        candidates = (chosen[:, :, None] + np.arange(0, 8 * groups, groups)).reshape(rows, -1)
        rest = np.broadcast_to(np.arange(8 * groups, columns), (rows, columns - 8 * groups))
        candidates = np.concatenate([candidates, rest], 1)
        within = places_of_largest(np.take_along_axis(scores, candidates, 1), count)
        return np.take_along_axis(candidates, within, 1)
    least = np.partition(scores, columns - count)[:, columns - count, None]
    places: Array = np.flatnonzero(scores >= least) % columns
    if len(places) != rows * count:  # equal values
        places = np.argpartition(scores, columns - count)[:, columns - count :]
    return places.reshape(rows, count)


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


def near(mask: Array, radius: int) -> Array:
    """Where a mask (h, w) has a pixel within a radius, by rows and by columns."""
    size = 2 * radius + 1
    counts = np.pad(mask, ((radius + 1, radius), (radius + 1, radius))).cumsum(0).cumsum(1)
    found: Array = (
        counts[size:, size:] - counts[:-size, size:] - counts[size:, :-size] + counts[:-size, :-size] > 0
    )
    return found


def suppress_distant_components(logits: Array, before: Array, max_jump: int) -> None:
    """Take away small pieces of log-odds (h, w), in place, farther than ``max_jump`` from the mask before."""
    likely = logits > LIKELY
    if not before.any() or not (stray := likely & ~near(before, max_jump)).any():
        return
    piece = pieces(likely)
    numbers, areas = np.unique(piece[likely], return_counts=True)
    touched = np.isin(numbers, piece[likely & ~stray])
    distant = numbers[~touched & (areas < 0.3 * areas[touched].sum())]
    logits[np.isin(piece, distant)] = OUTSIDE


def pieces(mask: Array) -> Array:
    """Number the pieces of a mask (h, w) that hang together by sides or corners; -1 outside."""
    begins = mask & ~np.pad(mask, ((0, 0), (1, 0)))[:, :-1]
    run = begins.cumsum().reshape(mask.shape) - 1  # of consecutive pixels of a row
    count = int(begins.sum())
    links = []
    for upper, lower in (
        (slice(None), slice(None)),
        (slice(1, None), slice(-1)),
        (slice(-1), slice(1, None)),
    ):
        both = mask[:-1, upper] & mask[1:, lower]
        links.append(run[:-1, upper][both] * count + run[1:, lower][both])
    above, below = np.divmod(np.unique(np.concatenate(links)), max(count, 1))
    number = np.arange(count)
    while True:  # linked runs take the lowest number of the two, then the number that stands there
        lowest = number.copy()
        np.minimum.at(lowest, above, number[below])
        np.minimum.at(lowest, below, number[above])
        lowest = lowest[lowest]
        if (lowest == number).all():
            named = np.full(mask.shape, -1)
            named[mask] = number[run[mask]]
            return named
        number = lowest
