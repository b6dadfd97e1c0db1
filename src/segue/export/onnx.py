"""Networks as ONNX graphs with their memory as plain inputs and outputs (``segue export``).

STCN and stcn-lite become start, windows, encode, read, decode, merge and remember, stcn-lite read_coarse as
well, which reads large images; :mod:`segue.export.follow`, which is written beside them, decides which frames
are kept. A network that finds foreground becomes decode and encode, one for each role of a frame. Sizes of
images, frames of the memory and objects may differ from call to call.
"""

from __future__ import annotations

import itertools
import json
import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from functools import partial
from importlib import resources
from importlib.util import find_spec
from pathlib import Path
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.onnx.operators import shape_as_tensor

from segue.errors import SegueError
from segue.export import EXPORTED
from segue.inference.folding import fold_batch_norms
from segue.layers.colours import RECURRENCE_PLANES, SCENE_PLANES, normalise
from segue.models.base import (
    Features,
    ForegroundCapabilities,
    ForegroundNetwork,
    QueryFeatures,
    Schedule,
    track_capabilities,
)
from segue.models.geometry import aggregate
from segue.models.memory.components import LIKELY_LOGIT, UNLIKELY, distant_components
from segue.models.memory.reads import attend_best, attend_within_cells
from segue.models.memory.selection import distance_bias
from segue.models.memory.similarity import key_rows, l2_query_rows
from segue.models.memory.table import COARSE_CELLS
from segue.models.memory.tracker import COARSE_ABOVE
from segue.models.memory.window import ALIGNED, BAND, MAX_WINDOW_SHARE, OUTSIDE
from segue.models.stcn import STCN, STCNLite
from segue.utils.extras import install_command
from segue.utils.files import PartialFile, writing

OPSET = 17
ANYWHERE = 1 << 30
SAMPLE = 96, 128  # height and width of the images that the graphs are traced with


def encode(network: STCN | STCNLite, image: Tensor, window: Tensor) -> tuple[Tensor, ...]:
    """Key, thin and joint features, and two finer maps of a window of a frame, see :func:`prepared`."""
    query = network.encode_query(prepared(network, image, window))
    joint, thin, *finer = query.features
    return (query.key[0], thin, joint, *finer)


def start(network: STCN | STCNLite, mask: Tensor) -> tuple[Tensor, ...]:
    """Ids (K+1,) of a mask (H, W), indices (H, W), masks (K, H', W') of the padded frame, and its size.

    The key (h, w, C) and the values (K, h, w, V) of the frame before, which does not exist, are 0.
    """
    size = _shape(mask)
    ids, index = torch.cat([mask.new_zeros(1), mask.flatten().clamp(min=0)]).unique(return_inverse=True)
    index = index[1:].reshape(mask.shape)
    objects = torch.arange(1, _shape(ids)[0])
    masks = (F.pad(index, _padding(size)) == objects[:, None, None]).float()
    height, width = ((size + -size % ALIGNED) // network.read_stride).unbind()
    key = torch.zeros(height, width, network.key_channels)
    values = torch.zeros(_shape(masks)[0], height, width, network.value_channels)
    return ids, index, masks, size, key, values


def _shape(planes: Tensor) -> Any:
    """Shape as a traceable tensor; PyTorch takes its items as numbers."""
    return shape_as_tensor(planes)


def _padding(size: Tensor) -> list[Any]:
    """Pixels on the left, right, top and bottom that pad a size (2,) to multiples of 16."""
    missing = (-size % ALIGNED).flip(0)
    return list(torch.stack([missing // 2, missing - missing // 2], 1).flatten().unbind())


def windows(margin: float | None, masks: Tensor) -> Tensor:
    """Windows (n, 4) of a frame to search for objects with masks (K, H', W'), in order.

    A part is top, bottom, left and right in the padded frame. The last one is the whole frame, and so are
    those that would save little.
    """
    size = _shape(masks)[1:]
    full = torch.stack([torch.zeros_like(size), size], 1).flatten()
    if margin is None:
        return full[None]
    down, across = masks.amax(2), masks.amax(1)
    inside = down.amax(0) > 0.5, across.amax(0) > 0.5
    visible = down.amax(1).amin() > 0.5
    first = (margin * size.min().double()).round().long()
    parts = []
    for wider in (first, 2 * first):
        part = torch.cat([_side(places, wider) for places in inside])
        area = ((part[1] - part[0]) * (part[3] - part[2])).double()
        saves = (area <= MAX_WINDOW_SHARE * size.prod().double()) & visible
        parts.append(torch.where(saves, part, full))
    return torch.stack([*parts, full])


def _side(inside: Tensor, margin: Tensor) -> Tensor:
    """Begin and end (2,) of a window on an axis, around positions (n,), bool, with objects."""
    length = _shape(inside)[0]
    places = torch.arange(length)
    first = torch.where(inside, places, length).amin() - margin
    last = torch.where(inside, places, -1).amax() + 1 + margin
    size = torch.minimum((last - first + ALIGNED - 1) // ALIGNED * ALIGNED, length)
    middle = ((first + last - size) / (2 * ALIGNED)).round().long() * ALIGNED
    begin = torch.minimum(middle.clamp(min=0), length - size)
    return torch.stack([begin, begin + size])


def _cropped(planes: Tensor, window: Tensor) -> Tensor:
    """Crop planes (K, h, w, ...) to a window."""
    top, bottom, left, right = window.unbind()
    return planes[:, top:bottom, left:right]


def _pasted(part: Tensor, window: Tensor, full: Tensor) -> Tensor:
    """Replace a window of planes (K, h, w, ...)."""
    top, bottom, left, right = window.unbind()
    rows = full[:, top:bottom]
    middle = torch.cat([rows[:, :, :left], part, rows[:, :, right:]], 2)
    return torch.cat([full[:, :top], middle, full[:, bottom:]], 1)


def decode(
    network: STCN | STCNLite,
    stride: int,
    readout: Tensor,
    window: Tensor,
    masks: Tensor,
    thin: Tensor,
    *finer: Tensor,
) -> tuple[Tensor, ...]:
    """Log-odds (K, H'/n, W'/n) of a frame from readouts (K, V, h, w) and features of a window.

    The others say where objects are likely, uint8, where they can be after masks (K, H', W') of the frame
    before, and whether one touches a side of the window inside the frame.
    """
    query = QueryFeatures(thin, thin, (thin, thin, *finer))  # of which decoders see features alone
    logits = network.decode(query, readout)
    size, band = _shape(masks)[1:], BAND // stride
    down, across = logits.amax((0, 2)), logits.amax((0, 1))
    sides = torch.stack([down[:band], down[-band:], across[:band], across[-band:]]).amax(1) > LIKELY_LOGIT
    inner = torch.stack([window[0] > 0, window[1] < size[0], window[2] > 0, window[3] < size[1]])
    previous = masks[:, stride // 2 :: stride, stride // 2 :: stride] > 0.5
    full = _pasted(logits, window // stride, torch.full_like(previous, OUTSIDE, dtype=logits.dtype))
    jump = (size // stride).double().square().sum().sqrt() * (network.schedule.max_jump or 0)
    reachable = _dilated(previous, jump.round().long()) | ~previous.flatten(1).any(1)[:, None, None]
    return full, (full > LIKELY_LOGIT).byte(), reachable, (sides & inner).any()


def _dilated(masks: Tensor, radius: Any) -> Tensor:
    """Dilate masks (K, h, w), bool, by a radius."""
    padding, end = radius + 1, -2 * radius - 1
    down = F.pad(masks.float(), [0, 0, padding, radius]).cumsum(1)
    masks = down[:, 2 * radius + 1 :] > down[:, :end]
    across = F.pad(masks.float(), [padding, radius, 0, 0]).cumsum(2)
    return across[:, :, 2 * radius + 1 :] > across[:, :, :end]


def read(
    schedule: Schedule,
    stride: int,
    coarse: bool,
    key: Tensor,
    keys: Tensor,
    values: Tensor,
    origin: Tensor,
    window: Tensor,
) -> Any:
    """Readouts (K, V, h, w) of the memory for a key (C, h, w), and the attention to each row (N,).

    Rows of the memory have keys (N, C+1), see :func:`key_rows`, and values (K, N, V). The last ones, at the
    places ``origin`` (n, 2), are read from within ``last_window`` alone; the key is that of a window.
    """
    read_strip = _read_cells if coarse else _read_rows
    window = window // stride
    rows, limited = keys, schedule.include_last and schedule.last_window is not None
    reach = (schedule.last_window if limited else None) or ANYWHERE
    if coarse:
        rows, origin, window, reach = _cells(keys), origin[::4] // 2, window // 2, reach // 2
    num_earlier = _shape(rows)[0] - _shape(origin)[0]

    def strips(
        key: Tensor,
        earlier: Tensor,
        last: Tensor,
        keys: Tensor,
        values: Tensor,
        origin: Tensor,
        window: Tensor,
        count: int,
        reach: int,
        positions: int,
    ) -> tuple[Tensor, Tensor]:
        step = max(positions // key.shape[2] // 2 * 2, 2)
        readouts: list[Tensor] = []
        usage = torch.zeros_like(keys[:, 0])
        distance = origin - window[::2]
        for row in range(0, key.shape[1], step):
            strip = key[:, row : row + step]
            readout, attention = read_strip(strip, row, earlier, last, keys, values, distance, count, reach)
            readouts.append(readout)
            usage = usage + attention
        return torch.cat(readouts, 2), usage

    # Strips bound what affinities take. A traced loop would have as many turns as that of the sample.
    limits = schedule.top_k or 1, reach, 1024 if coarse else 256
    return torch.jit.script(strips)(
        key, rows[:num_earlier].T, rows[num_earlier:].T, keys, values, origin, window, *limits
    )


def _read_rows(
    key: Tensor,
    top: int,
    earlier: Tensor,
    last: Tensor,
    keys: Tensor,
    values: Tensor,
    origin: Tensor,
    count: int,
    reach: int,
) -> tuple[Tensor, Tensor]:
    height, width = key.shape[1], key.shape[2]
    affinity = _affinities(key.flatten(1).T, earlier, last, origin, top, height, width, reach)
    # A memory of fewer rows is filled with rows that nothing reads.
    filling = torch.full_like(affinity[0][:, :1], -math.inf).repeat(1, count)
    weights, index = attend_best(torch.cat([affinity[0], affinity[1], filling], 1), count)
    readout, usage = _weighted(weights, torch.where(weights > 0, index, 0), keys, values)
    return readout.transpose(1, 2).reshape(values.shape[0], -1, height, width), usage


def _read_cells(
    key: Tensor,
    top: int,
    earlier: Tensor,
    last: Tensor,
    keys: Tensor,
    values: Tensor,
    origin: Tensor,
    count: int,
    reach: int,
    number: int = COARSE_CELLS,
) -> tuple[Tensor, Tensor]:
    """Coarse to fine: match cells of 2x2 positions by their means, then the rows of the best.

    The rows of the memory are in the order of such cells.
    """
    channels, height, width = key.shape[0], key.shape[1] // 2, key.shape[2] // 2
    queries = key.reshape(channels, height, 2, width, 2).permute(1, 3, 2, 4, 0).reshape(-1, 4, channels)
    affinity = _affinities(queries.mean(1), earlier, last, origin, top // 2, height, width, reach)
    cells = torch.cat(affinity, 1).topk(number, sorted=False)[1]
    candidates = (4 * cells[:, :, None] + torch.arange(4)).flatten(1)
    weights, index = attend_within_cells(l2_query_rows(queries), keys, candidates, count)
    readout, usage = _weighted(weights, index, keys, values)
    readout = readout.reshape(values.shape[0], height, width, 2, 2, -1).permute(0, 5, 1, 3, 2, 4)
    return readout.reshape(values.shape[0], -1, 2 * height, 2 * width), usage


def _cells(keys: Tensor) -> Tensor:
    """Means of cells of four rows (N, C+1) as (N/4, C+1), and the penalty of the first."""
    firsts = keys[::4]
    # One for a frame.
    penalties = (firsts[:, -1] - firsts[:, :-1].square().sum(1)) / math.sqrt(keys.shape[1] - 1)
    means = keys[:, :-1].reshape(-1, 4, keys.shape[1] - 1).mean(1)
    return key_rows(means, "l2", penalty=penalties[:, None])


def _affinities(
    query: Tensor,
    earlier: Tensor,
    last: Tensor,
    origin: Tensor,
    top: int,
    height: int,
    width: int,
    reach: int,
) -> tuple[Tensor, Tensor]:
    """Affinities (h*w, N) to memory rows; too distant ones of the last frame are excluded."""
    queries = l2_query_rows(query)
    rows = distance_bias(top + torch.arange(height), origin[:, 0], reach)
    columns = distance_bias(torch.arange(width), origin[:, 1], reach)
    return queries @ earlier, queries @ last + (rows[:, None] + columns).flatten(0, 1)


def _weighted(weights: Tensor, index: Tensor, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
    """Weighted values (K, P, V) of rows (P, k), and the attention to each memory row (N,)."""
    readout = (weights[:, None] @ values[:, index])[:, :, 0]
    return readout, torch.zeros_like(keys[:, 0]).scatter_add(0, index.flatten(), weights.flatten())


def merge(
    jumps: bool, stride: int, logits: Tensor, reachable: Tensor, pieces: Tensor, size: Tensor
) -> tuple[Tensor, Tensor]:
    """Probabilities (K, H', W') from log-odds (K, H'/n, W'/n), and the index (H, W) of the highest.

    Small pieces of an object are taken away, unless they are near its mask of the frame before. Pieces are
    numbers of connected components (K, H'/n, W'/n), 0 where the object is not likely.
    """
    if not jumps:
        logits = logits.masked_fill(_distant(pieces.long(), reachable), UNLIKELY)
    enlarged = F.interpolate(logits[None], scale_factor=float(stride), mode="bilinear")[0]
    shares = aggregate(enlarged.sigmoid())
    left, _, top, _ = _padding(size)
    return shares[1:], shares[:, top : top + size[0], left : left + size[1]].argmax(0)


def _distant(pieces: Tensor, reachable: Tensor) -> Tensor:
    """Mask (K, h, w) of small pieces far from the previous mask."""
    objects = _shape(pieces)[0]
    count: Any = pieces.amax() + 1
    labels = pieces + torch.arange(objects)[:, None, None] * count
    return distant_components(labels, pieces > 0, reachable > 0, objects * count)


def remember(
    network: STCN | STCNLite,
    image: Tensor,
    window: Tensor,
    joint: Tensor,
    key: Tensor,
    masks: Tensor,
    previous_key: Tensor,
    previous_grid: Tensor,
    keep: Tensor,
    prompted: Tensor,
) -> tuple[Tensor, ...]:
    """Key (h, w, C) and values (K, h, w, V) of a frame with masks (K, H', W') as memory rows.

    Outside the window they are those of the frame before. Rows are keys (n, C+1), see :func:`key_rows`,
    places (n, 2) and values (K, n, V), in square cells of positions. Of a small frame that is kept they are
    those near the masks, and one in four of the others, which count for two. Penalties are taken off the
    affinities of rows unless the masks were given.
    """
    stride, plan = network.read_stride, network.schedule
    query = QueryFeatures(prepared(network, image, window), joint, (joint,))
    values = network.encode_memory(query, _cropped(masks, window))[1].permute(0, 2, 3, 1)
    key = _pasted(key.permute(1, 2, 0)[None], window // stride, previous_key[None])[0]
    grid = _pasted(values, window // stride, previous_grid)
    height, width = (_shape(masks)[1:] // stride).unbind()
    cell = 2 if isinstance(network, STCNLite) else 1
    order = torch.arange(height * width).reshape(height // cell, cell, width // cell, cell)
    order = order.transpose(1, 2).flatten()
    penalty = torch.where(prompted, 0.0, torch.where(keep, plan.penalty, plan.last_penalty))
    penalties = penalty.repeat(height * width)
    if (radius := plan.dense_radius) is not None:
        hit = F.max_pool2d(masks[None], stride).amax(1, keepdim=True) > 0.5
        neighbourhood = F.max_pool2d(hit.float(), 2 * radius + 1, 1, radius)[0, 0] > 0
        dense = (neighbourhood | ~hit.any() | ~keep | (height * width > COARSE_ABOVE)).flatten()
        even = (torch.arange(height) % 2 == 0)[:, None] & (torch.arange(width) % 2 == 0)
        order = order[(dense | even.flatten())[order]]
        penalties = penalty - torch.where(dense[order], 0.0, math.log(2))
    places = torch.stack([order // width, order % width], 1)
    rows = key_rows(key.flatten(0, 1)[order], "l2", penalty=penalties[:, None])
    return key, grid, rows, places, grid.flatten(1, 2)[:, order]


def decode_scene(network: ForegroundNetwork, counts: Sequence[int], stride: int, *maps: Tensor) -> Tensor:
    """Decode maps of the current frame, of those around it and of the empty scene: (1, channels, H, W)."""
    rest = iter(maps)
    current, *rest_maps = (tuple(itertools.islice(rest, count)) for count in counts)
    context = rest_maps[: len(network.context)]
    background = rest_maps[-1] if network.background else None
    size = stride * current[0].shape[-2], stride * current[0].shape[-1]
    return network.decode(current, context, background, size).sigmoid()


def prepared(network: STCN | STCNLite, image: Tensor, window: Tensor) -> Tensor:
    """Window of a padded frame (H, W, 3), uint8, as network input (1, 3, h, w), float32."""
    height, width = _shape(image)[:2].unbind()
    left, _, top, _ = _padding(_shape(image)[:2])
    place = window - torch.stack([top, top, left, left])
    inside = torch.stack([place[:2].clamp(min=0).minimum(height), place[2:].clamp(min=0).minimum(width)])
    margins: list[Any] = list((inside.flatten() - place).abs()[[2, 3, 0, 1]].unbind())
    pixels = _cropped(image[None], inside.flatten())[0]
    if isinstance(network, STCNLite):
        return F.pad(pixels.permute(2, 0, 1)[None].float() / 127.5 - 1, margins, "replicate")
    return F.pad(normalise(pixels), margins)


def export_onnx(network: nn.Module, folder: Path) -> list[Path]:
    """Write a network as ONNX graphs into a folder, replacing its files; return the paths."""
    if find_spec("onnx") is None:
        raise SegueError(f"exporting needs onnx: {install_command('onnx')}")
    folded = fold_batch_norms(network).float().eval().requires_grad_(False)
    if track_capabilities(folded).graphs == "memory":
        return _export_tracker(cast(STCN | STCNLite, folded), folder)
    declared = getattr(folded, "capabilities", None)
    if isinstance(declared, ForegroundCapabilities) and declared.graphs == "scene":
        return _export_scene(cast(ForegroundNetwork, folded), folder)
    name, options = type(network).__name__, getattr(network, "options", {})
    built = f" with {', '.join(options)}" if options else ""
    raise SegueError(f"{name}{built} cannot be exported; give {EXPORTED}")


def _export_tracker(network: STCN | STCNLite, folder: Path) -> list[Path]:
    stride, schedule, lite = network.read_stride, network.schedule, isinstance(network, STCNLite)
    finer = {"f4": 4, "f2": 2} if lite else {"f8": 8, "f4": 4}
    features = "key", "thin", "joint", *finer
    scale = min(finer.values())  # of log-odds
    image = torch.randint(0, 256, (*SAMPLE, 3), dtype=torch.uint8, generator=torch.Generator())
    mask = torch.ones(SAMPLE, dtype=torch.int64)
    mask[:, SAMPLE[1] // 2 :] = 2
    # All that the graphs take and give, by name.
    sample = {"image": image, "mask": mask}
    with torch.inference_mode():
        state_names = "ids", "index", "masks", "size", "key_before", "grid_before"
        sample |= zip(state_names, start(network, mask), strict=True)
        sample["window"] = windows(None, sample["masks"])[-1]
        sample |= zip(features, encode(network, image, sample["window"]), strict=True)
        sample["readout"] = torch.zeros(2, network.value_channels, *sample["key"].shape[1:])
        decoded = "readout", "window", "masks", "thin", *finer
        decoded_outputs = decode(network, scale, *(sample[name] for name in decoded))[:3]
        sample |= zip(("logits", "likely", "around"), decoded_outputs, strict=True)
        sample["pieces"] = sample["likely"].int()
        sample |= {"keep": torch.tensor(data=True), "given": torch.tensor(data=False)}
        planes = "image", "window", "joint", "key", "masks", "key_before", "grid_before"
        remembered = *planes, "keep", "given"
        rows = remember(network, *(sample[name] for name in remembered))
        sample |= zip(("keys", "near", "values"), rows[2:], strict=True)
    merged = "logits", "around", "pieces", "size"
    memory = "key", "keys", "values", "near", "window"

    def graph(function: Callable[..., Any], inputs: Sequence[str], *outputs: str) -> _Graph:
        return _Graph(network, function, {name: sample[name] for name in inputs}, *outputs)

    graphs = {
        "start": graph(partial(start, network), ["mask"], *state_names),
        "windows": graph(partial(windows, schedule.window), ["masks"], "windows"),
        "encode": graph(partial(encode, network), ["image", "window"], *features),
        "read": graph(partial(read, schedule, stride, False), memory, "readout", "usage"),
        "decode": graph(partial(decode, network, scale), decoded, "logits", "likely", "around", "touches"),
        "merge": graph(partial(merge, schedule.max_jump is None, scale), merged, "masks", "index"),
        "remember": graph(
            partial(remember, network), remembered, "whole_key", "grid", "keys", "places", "values"
        ),
    }
    if lite:
        graphs["read_coarse"] = graph(partial(read, schedule, stride, True), memory, "readout", "usage")
    about = {
        "network": "stcn-lite" if lite else "stcn",
        "schedule": asdict(schedule),
        "features": list(finer),
        "coarse_above": COARSE_ABOVE * stride**2 if lite else None,
        "stride": stride,
    }
    return _write(graphs, folder, about, (resources.files("segue") / "export" / "follow.py").read_bytes())


def _export_scene(network: ForegroundNetwork, folder: Path) -> list[Path]:
    frames = {"current": network.current} | {f"at_{offset}": role for offset, role in network.context}
    if network.background is not None:
        frames["background"] = network.background
    roles = list(dict.fromkeys(frames.values()))
    graphs, maps = {}, {}
    for role in roles:
        planes = SCENE_PLANES if network.capabilities.temporal_quantiles and role == network.background else 3
        frame = torch.rand(1, planes, *SAMPLE, generator=torch.Generator())
        graph_inputs = {"frame": frame}
        if network.capabilities.recurrence and role == network.current:
            half = SAMPLE[0] // 2, SAMPLE[1] // 2
            graph_inputs["recurrence"] = torch.rand(1, RECURRENCE_PLANES, *half, generator=torch.Generator())

        def encode(*inputs: Tensor, role: str = role, names: tuple[str, ...] = (*graph_inputs,)) -> Features:
            frames, *more = inputs
            return network.encode(frames, role, **dict(zip(names[1:], more, strict=True)))

        with torch.inference_mode():
            maps[role] = encode(*graph_inputs.values())
        name = "encode" if len(roles) == 1 else f"encode_{role}"
        outputs = (f"map_{i}" for i in range(len(maps[role])))
        graphs[name] = _Graph(network, encode, graph_inputs, *outputs)
    inputs = {f"{name}_map_{i}": plane for name, role in frames.items() for i, plane in enumerate(maps[role])}
    stride = SAMPLE[0] // maps[network.current][0].shape[-2]
    decoding = partial(decode_scene, network, [len(maps[role]) for role in frames.values()], stride)
    graphs["decode"] = _Graph(network, decoding, inputs, "probabilities")
    about = {
        "context": [offset for offset, _ in network.context],
        "multiple": math.lcm(network.size_multiple, stride),
        "roles": frames,
    }
    return _write(graphs, folder, about)


class _Graph(nn.Module):
    """Function of a network to trace, with example inputs and output names."""

    def __init__(
        self, network: Any, function: Callable[..., Any], inputs: dict[str, Tensor], *outputs: str
    ) -> None:
        super().__init__()
        self.network, self.function, self.inputs, self.outputs = network, function, inputs, outputs

    def forward(self, *inputs: Tensor) -> Any:
        return self.function(*inputs)


def _write(
    graphs: Mapping[str, _Graph], folder: Path, about: dict[str, Any], program: bytes | None = None
) -> list[Path]:
    """Trace and write graphs and their runner; ``graphs.json`` last, so that exports never mix."""
    index = folder / "graphs.json"
    with ExitStack() as stack, writing(folder):

        def begin(path: Path) -> PartialFile:
            partial = PartialFile(path)
            stack.callback(partial.discard)
            partial.prepare()
            return partial

        traced = [begin(folder / f"{name}.onnx") for name in graphs]
        listing = {
            name: _traced(graph, file.path)
            for (name, graph), file in zip(graphs.items(), traced, strict=True)
        }
        extra = []
        if program is not None:
            extra.append(begin(folder / "follow.py"))
            extra[0].path.write_bytes(program)
        complete = begin(index)
        text = json.dumps({**about, "graphs": listing}, indent=1)
        complete.path.write_text(text, encoding="utf-8")
        index.unlink(missing_ok=True)
        for file in (*traced, *extra, complete):
            file.commit()
    return [file.final for file in (*traced, complete, *extra)]


def _traced(graph: _Graph, path: Path) -> dict[str, Any]:
    """Trace and write a graph; return input types and outputs."""
    import onnx

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the tracer, about sizes that it takes for fixed
        torch.onnx.export(
            graph.eval(),
            tuple(graph.inputs.values()),
            str(path),
            input_names=list(graph.inputs),
            output_names=list(graph.outputs),
            dynamic_axes={
                name: {axis: f"{name}_{axis}" for axis in range(value.dim())}
                for name, value in graph.inputs.items()
                if value.dim()
            },
            opset_version=OPSET,
            dynamo=False,
        )
    used = {item.name for item in onnx.load(path).graph.input}  # what nothing depends on is left out
    types = {
        name: str(value.dtype).removeprefix("torch.") for name, value in graph.inputs.items() if name in used
    }
    return {"inputs": types, "outputs": list(graph.outputs)}
