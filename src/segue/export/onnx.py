"""``segue export``: networks as ONNX graphs with their memory as plain inputs and outputs.

STCN and stcn-lite become encode, read, decode, merge and remember, stcn-lite read_coarse as well, which reads
large images; :mod:`segue.export.follow`, which is written beside them, decides which frames are kept. A
network that finds foreground becomes decode and encode, one for each role of a frame. Sizes of images, frames
of the memory and objects may differ from call to call.
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

from segue.errors import SegueError
from segue.export import EXPORTED
from segue.extras import install_command
from segue.layers.colours import MEAN, normalise
from segue.layers.folding import fold_batch_norms
from segue.models.base import (
    ForegroundCapabilities,
    ForegroundNetwork,
    QueryFeatures,
    Schedule,
    track_capabilities,
)
from segue.models.geometry import EPSILON
from segue.models.memory.table import COARSE_CELLS
from segue.models.memory.tracker import COARSE_ABOVE
from segue.models.stcn import STCN, STCNLite
from segue.sessions.empty_scene import PLANES
from segue.video.partial import PartialFile, writing

OPSET = 17
SAMPLE = 96, 128  # height and width of the images that the graphs are traced with


def encode(network: STCN | STCNLite, image: Tensor) -> tuple[Tensor, ...]:
    """Key, features thin and joint, and two finer ones of an image (H, W, 3), see :func:`prepared`."""
    seen = network.encode_query(prepared(network, image))
    joint, thin, *finer = seen.features
    return (seen.key[0], thin, joint, *finer)


def decode(network: STCN | STCNLite, readout: Tensor, thin: Tensor, *finer: Tensor) -> Tensor:
    """Log-odds (K, H/n, W/n) of readouts (K, V, h, w) and features of the frame."""
    query = QueryFeatures(thin, thin, (thin, thin, *finer))  # of which decoders see features alone
    return network.decode(query, readout)


def remember(network: STCN | STCNLite, image: Tensor, joint: Tensor, masks: Tensor) -> Tensor:
    """Values (K, P, V) of an image (H, W, 3) with masks (K, H, W)."""
    seen = QueryFeatures(prepared(network, image), joint, (joint,))
    return network.encode_memory(seen, masks)[1].flatten(2).transpose(1, 2)


def read(
    schedule: Schedule, key: Tensor, keys: Tensor, values: Tensor, near: Tensor, origin: Tensor
) -> tuple[Tensor, Tensor]:
    """What objects remember (K, V, h, w) where a key (C, h, w) asks, and the attention to each row (N,).

    Rows of the memory have keys (N, C+1), see :func:`all_rows`, and values (K, N, V). The last ones, at the
    places ``near`` (n, 2), are read from within ``last_window`` alone; the first query is at ``origin``.
    """
    height, width = key.shape[1:]
    affinity = _affinities(key.flatten(1).T, keys, near, origin, (height, width), schedule.last_window)
    count = schedule.top_k or 1
    # A memory of fewer rows is filled with rows that nothing reads.
    filled = torch.cat([*affinity, torch.full_like(affinity[0][:, :1], -math.inf).repeat(1, count)], 1)
    chosen, index = filled.topk(count, sorted=False)
    readout, usage = _attend(chosen, torch.where(chosen > -math.inf, index, 0), keys, values)
    return readout.transpose(1, 2).reshape(values.shape[0], -1, height, width), usage


def read_coarse(
    schedule: Schedule, key: Tensor, keys: Tensor, values: Tensor, near: Tensor, origin: Tensor
) -> tuple[Tensor, Tensor]:
    """The same from coarse to fine: of cells of 2x2 positions, by their means, those that match best.

    The rows of the memory are in the order of such cells.
    """
    channels, height, width = key.shape[0], key.shape[1] // 2, key.shape[2] // 2
    queries = key.reshape(channels, height, 2, width, 2).permute(1, 3, 2, 4, 0).reshape(-1, 4, channels)
    firsts = keys[::4]
    penalties = (firsts[:, -1] - firsts[:, :-1].square().sum(1)) / math.sqrt(channels)  # one for a frame
    means = _key_rows(keys[:, :-1].reshape(-1, 4, channels).mean(1), penalties)
    reach = None if schedule.last_window is None else schedule.last_window // 2
    pieces = _affinities(queries.mean(1), means, near[::4] // 2, origin // 2, (height, width), reach)
    cells = torch.cat(pieces, 1).topk(COARSE_CELLS, sorted=False).indices
    candidates = (4 * cells[:, :, None] + torch.arange(4)).flatten(1)
    fine = _query_rows(queries) @ keys[candidates].transpose(1, 2)
    chosen, within = fine.topk(schedule.top_k or 1, sorted=False)
    index = candidates[:, None].repeat(1, 4, 1).gather(2, within)
    readout, usage = _attend(chosen.flatten(0, 1), index.flatten(0, 1), keys, values)
    readout = readout.reshape(values.shape[0], height, width, 2, 2, -1).permute(0, 5, 1, 3, 2, 4)
    return readout.reshape(values.shape[0], -1, 2 * height, 2 * width), usage


def _query_rows(query: Tensor) -> Tensor:
    """Rows (..., C+1) of queries (..., C), whose products with those of keys are affinities."""
    return torch.cat([2 * query, -torch.ones_like(query[..., :1])], -1) / math.sqrt(query.shape[-1])


def _key_rows(keys: Tensor, penalties: Tensor) -> Tensor:
    """Rows (N, C+1) of keys (N, C): key, and squared length with what is taken off its affinities."""
    lengths = keys.square().sum(1, keepdim=True) + penalties[:, None] * math.sqrt(keys.shape[1])
    return torch.cat([keys, lengths], 1)


def _affinities(
    query: Tensor, keys: Tensor, near: Tensor, origin: Tensor, size: tuple[int, int], reach: int | None
) -> list[Tensor]:
    """Affinities (h*w, N) in pieces; those to the last rows that are too far away are out."""
    queries = _query_rows(query)
    if reach is None:
        return [queries @ keys.T]
    down = (origin[0] + torch.arange(size[0]))[:, None] - near[:, 0]
    across = (origin[1] + torch.arange(size[1]))[:, None] - near[:, 1]
    far = ((down.abs() > reach)[:, None] | (across.abs() > reach)).flatten(0, 1)
    others = keys.shape[0] - near.shape[0]
    last = queries @ keys[others:].T
    return [queries @ keys[:others].T, last.masked_fill(far, -math.inf)]


def _attend(affinity: Tensor, index: Tensor, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
    """Values (K, P, V) of rows (P, k) by the softmax of their affinities, and the attention to each (N,)."""
    weights = affinity.softmax(1)
    readout = (weights[:, None] @ values[:, index])[:, :, 0]
    return readout, torch.zeros_like(keys[:, 0]).scatter_add(0, index.flatten(), weights.flatten())


Rows = tuple[Tensor, Tensor, Tensor]
"""Keys (n, C+1), places (n, 2) and values (K, n, V) of positions of a frame."""


def all_rows(cell: int, key: Tensor, grid: Tensor, penalty: Tensor) -> Rows:
    """Rows of a frame with a key (C, h, w) and values ``grid`` (K, h, w, V), in square cells of positions.

    A row holds its key, and the squared length of it with the penalty, which is taken off its affinities.
    """
    height, width = key.shape[1:]
    order = torch.arange(height * width).reshape(height // cell, cell, width // cell, cell)
    order = order.transpose(1, 2).flatten()
    return _rows_at(
        torch.stack([order // width, order % width], 1), penalty.repeat(height * width), key, grid
    )


def thin_rows(stride: int, radius: int, key: Tensor, grid: Tensor, penalty: Tensor, masks: Tensor) -> Rows:
    """Rows within a radius of masks (K, H, W), and one in four of the others, which count for two."""
    height, width = key.shape[1:]
    hit = F.max_pool2d(masks.amax(0)[None, None], stride) > 0.5
    near = F.max_pool2d(hit.float(), 2 * radius + 1, 1, radius)[0, 0] > 0
    dense = near | ~hit.any()
    even = (torch.arange(height) % 2 == 0)[:, None] & (torch.arange(width) % 2 == 0)
    places = (dense | even).nonzero()
    penalties = penalty - torch.where(dense[places[:, 0], places[:, 1]], 0.0, math.log(2))
    return _rows_at(places, penalties, key, grid)


def _rows_at(places: Tensor, penalties: Tensor, key: Tensor, grid: Tensor) -> Rows:
    rows, columns = places[:, 0], places[:, 1]
    return _key_rows(key[:, rows, columns].T, penalties), places, grid[:, rows, columns]


def merge(stride: int, logits: Tensor) -> Tensor:
    """Probabilities (K+1, H, W) of background and objects of log-odds (K, H/n, W/n)."""
    enlarged = F.interpolate(logits[None], scale_factor=float(stride), mode="bilinear")[0]
    shares = enlarged.sigmoid()
    every = torch.cat([(1 - shares).prod(0, keepdim=True), shares]).clamp(EPSILON, 1 - EPSILON)
    odds = every / (1 - every)  # as segue.models.geometry.aggregate, whose steps in place cannot be traced
    return odds / odds.sum(0)


def decode_scene(network: ForegroundNetwork, counts: Sequence[int], stride: int, *maps: Tensor) -> Tensor:
    """Decode maps of the current frame, of those around it and of the empty scene: (1, channels, H, W)."""
    rest = iter(maps)
    current, *others = (tuple(itertools.islice(rest, count)) for count in counts)
    context = others[: len(network.context)]
    background = others[-1] if network.background else None
    size = stride * current[0].shape[-2], stride * current[0].shape[-1]
    return network.decode(current, context, background, size).sigmoid()


def prepared(network: STCN | STCNLite, image: Tensor) -> Tensor:
    """Normalise an image (H, W, 3), padded to multiples of 16, to (1, 3, H, W), float32."""
    if isinstance(network, STCNLite):
        return image.permute(2, 0, 1)[None].float() / 127.5 - 1
    return normalise(image)


def export_onnx(network: nn.Module, folder: Path) -> list[Path]:
    """Write a network as ONNX graphs into a folder, whose files are replaced; gives what was written."""
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
    stride = network.read_stride
    height, width = SAMPLE
    # What STCN is padded with, black after normalisation, is no image of whole numbers.
    lite = isinstance(network, STCNLite)
    image = torch.randint(0, 256, (height, width, 3), dtype=torch.uint8 if lite else torch.float32)
    masks = torch.rand(2, height, width) / 2
    fine = ("f4", "f2") if lite else ("f8", "f4")
    readout = torch.zeros(2, network.value_channels, height // stride, width // stride)
    with torch.inference_mode():
        key, thin, joint, *finer = encode(network, image)
        logits = decode(network, readout, thin, *finer)
    places = torch.cartesian_prod(torch.arange(height // stride), torch.arange(width // stride))
    memory = {
        "key": key,
        "keys": torch.rand(2 * len(places), len(key) + 1),
        "values": torch.rand(2, 2 * len(places), network.value_channels),
        "near": places,
        "origin": torch.tensor([1, 2]),
    }
    row_names = "keys", "places", "values"
    grids = {
        "key": key,
        "grid": torch.rand(2, *key.shape[1:], network.value_channels),
        "penalty": torch.tensor(1.0),
    }
    encoded = {"image": image}
    decoded = {"readout": readout, "thin": thin} | dict(zip(fine, finer, strict=True))
    remembered = {"image": image, "joint": joint, "masks": masks}
    graphs = {
        "encode": _Graph(network, partial(encode, network), encoded, "key", "thin", "joint", *fine),
        "decode": _Graph(network, partial(decode, network), decoded, "logits"),
        "remember": _Graph(network, partial(remember, network), remembered, "values"),
        "read": _Graph(network, partial(read, network.schedule), memory, "readout", "usage"),
        "rows": _Graph(network, partial(all_rows, 2 if lite else 1), grids, *row_names),
        "merge": _Graph(
            network, partial(merge, height // logits.shape[1]), {"logits": logits}, "probabilities"
        ),
    }
    if lite:
        reading = partial(read_coarse, network.schedule)
        graphs["read_coarse"] = _Graph(network, reading, memory, "readout", "usage")
        thinning = partial(thin_rows, stride, network.schedule.dense_radius or 0)
        graphs["thin"] = _Graph(network, thinning, grids | {"masks": masks}, *row_names)
    about = {
        "network": "stcn-lite" if lite else "stcn",
        "schedule": asdict(network.schedule),
        "features": fine,
        "coarse_above": COARSE_ABOVE if stride < 16 else None,
        "stride": stride,
        "padding": "edge" if lite else [255 * mean for mean in MEAN],
    }
    return _write(graphs, folder, about, (resources.files("segue") / "export" / "follow.py").read_bytes())


def _export_scene(network: ForegroundNetwork, folder: Path) -> list[Path]:
    frames = {"current": network.current} | {f"at_{offset}": role for offset, role in network.context}
    if network.background is not None:
        frames["background"] = network.background
    roles = list(dict.fromkeys(frames.values()))
    graphs, maps = {}, {}
    for role in roles:
        planes = PLANES if network.capabilities.temporal_quantiles and role == network.background else 3
        frame = torch.rand(1, planes, *SAMPLE)
        with torch.inference_mode():
            maps[role] = network.encode(frame, role)
        name = "encode" if len(roles) == 1 else f"encode_{role}"
        outputs = (f"map_{i}" for i in range(len(maps[role])))
        graphs[name] = _Graph(network, partial(network.encode, role=role), {"frame": frame}, *outputs)
    inputs = {f"{name}_map_{i}": found for name, role in frames.items() for i, found in enumerate(maps[role])}
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
    """A function of a network, as the tracer wants it, with example inputs and names of the outputs."""

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
    """Trace and write graphs and what runs them; ``graphs.json`` last, so that exports never mix."""
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
        others = []
        if program is not None:
            others.append(begin(folder / "follow.py"))
            others[0].path.write_bytes(program)
        complete = begin(index)
        text = json.dumps({**about, "graphs": listing}, indent=1)
        complete.path.write_text(text, encoding="utf-8")
        index.unlink(missing_ok=True)
        for file in (*traced, *others, complete):
            file.commit()
    return [file.final for file in (*traced, complete, *others)]


def _traced(graph: _Graph, path: Path) -> dict[str, Any]:
    """Trace and write a graph; gives the types of its inputs, and its outputs."""
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
                given: {axis: f"{given}_{axis}" for axis in range(value.dim())}
                for given, value in graph.inputs.items()
                if value.dim()
            },
            opset_version=OPSET,
            dynamo=False,
        )
    kept = {item.name for item in onnx.load(path).graph.input}  # what nothing depends on is left out
    types = {
        given: str(value.dtype).removeprefix("torch.")
        for given, value in graph.inputs.items()
        if given in kept
    }
    return {"inputs": types, "outputs": list(graph.outputs)}
