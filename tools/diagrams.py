"""Draw the diagrams of the docs, one SVG for each page: networks, and how parts work together.

Example::

    python tools/diagrams.py docs/images/diagrams

``tests/docs/test_diagrams.py`` compares the committed files with what this makes.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import NamedTuple

COLOURS = {
    "input": "#e8eaf0",
    "encoder": "#bfd7f5",
    "memory": "#f9e0ae",
    "attention": "#e0c6f2",
    "decoder": "#bfe5c6",
    "output": "#f5c3c0",
}
"""Fill of a box by what it is; boxes of training alone have a dashed border."""

BOX = (136, 46)  # width and height of a box
PITCH = (182, 74)  # from one column and one row to the next
MARGIN = 16
LINE_HEIGHT = 15


class Node(NamedTuple):
    """A box.

    Attributes:
        name: what edges call it.
        text: its lines, separated by ``|``.
        column: its place from the left; may be a fraction.
        row: its place from the top; may be a fraction.
        kind: a key of :data:`COLOURS`.
        training: whether it is there in training alone.
    """

    name: str
    text: str
    column: float
    row: float
    kind: str
    training: bool = False

    @property
    def centre(self) -> tuple[float, float]:
        """Its middle, in pixels."""
        return (
            MARGIN + self.column * PITCH[0] + BOX[0] / 2,
            MARGIN + self.row * PITCH[1] + BOX[1] / 2,
        )


class Edge(NamedTuple):
    """An arrow between two boxes.

    Attributes:
        start: name of the first box.
        end: name of the last box.
        text: what is written on it.
        below: rows below the lower box on which it runs back to the left; 0 for an arrow that does not.
    """

    start: str
    end: str
    text: str = ""
    below: float = 0.0


class Diagram(NamedTuple):
    """A network."""

    nodes: Sequence[Node]
    edges: Sequence[Edge]


def svg(diagram: Diagram) -> str:
    """The text of an SVG file, readable on light and on dark pages."""
    nodes = {node.name: node for node in diagram.nodes}
    below = max((edge.below for edge in diagram.edges), default=0.0)
    width = MARGIN * 2 + max(node.column for node in diagram.nodes) * PITCH[0] + BOX[0]
    height = MARGIN * 2 + max(node.row for node in diagram.nodes) * PITCH[1] + BOX[1] + below * PITCH[1]
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" width="{width:g}" '
        'font-family="Helvetica, Arial, sans-serif" font-size="12.5">',
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8" '
        'orient="auto"><path d="M0 0 L8 4 L0 8 z" fill="#7a7f87"/></marker></defs>',
    ]
    for edge in diagram.edges:
        lines += _arrow(edge, nodes[edge.start], nodes[edge.end])
    for node in diagram.nodes:
        lines += _box(node)
    return "\n".join([*lines, "</svg>", ""])


def _box(node: Node) -> list[str]:
    (x, y), rows = node.centre, node.text.split("|")
    dashes = ' stroke-dasharray="5 3"' if node.training else ""
    lines = [
        f'<rect x="{x - BOX[0] / 2:g}" y="{y - BOX[1] / 2:g}" width="{BOX[0]}" height="{BOX[1]}" rx="6" '
        f'fill="{COLOURS[node.kind]}" stroke="#5b6068"{dashes}/>'
    ]
    first = y - (len(rows) - 1) * LINE_HEIGHT / 2 + 4
    for number, row in enumerate(rows):
        place = f'x="{x:g}" y="{first + number * LINE_HEIGHT:g}"'
        lines.append(f'<text {place} text-anchor="middle" fill="#1d2126">{escape(row)}</text>')
    return lines


def _arrow(edge: Edge, start: Node, end: Node) -> list[str]:
    (x, y), (x2, y2) = start.centre, end.centre
    half_width, half_height = BOX[0] / 2, BOX[1] / 2
    if edge.below:
        low = max(y, y2) + half_height + edge.below * PITCH[1] - 8
        points = [(x, y + half_height), (x, low), (x2, low), (x2, y2 + half_height)]
        label = ((x + x2) / 2, low - 5)
    elif x == x2:
        side = half_height if y2 > y else -half_height
        points = [(x, y + side), (x, y2 - side)]
        label = (x + 4, (y + y2) / 2 + 4)
    else:
        gap = (PITCH[0] - BOX[0]) / 2
        if x2 < x:
            half_width, gap = -half_width, -gap
        middle = x2 - half_width - gap
        points = [(x + half_width, y), (middle, y), (middle, y2), (x2 - half_width, y2)]
        label = ((x + half_width + middle) / 2, y - 5)
        if y == y2:
            points, label = [points[0], points[-1]], ((x + x2) / 2, y - 5)
    path = " L".join(f"{px:g} {py:g}" for px, py in points)
    lines = [f'<path d="M{path}" fill="none" stroke="#7a7f87" stroke-width="1.4" marker-end="url(#tip)"/>']
    if edge.text:
        anchor = "start" if x == x2 and not edge.below else "middle"
        place = f'x="{label[0]:g}" y="{label[1]:g}" text-anchor="{anchor}"'
        lines.append(f'<text {place} fill="#7a7f87" font-size="11">{escape(edge.text)}</text>')
    return lines


def _matching(keys: str, values: str, *, masks_in_keys: bool = False, stride: int = 16) -> Diagram:
    """A network that reads a memory of keys and values."""
    nodes = [
        Node("frame", "new frame", 0, 0, "input"),
        Node("past", "earlier frames", 0, 1, "input"),
        Node("masks", "their masks", 0, 2, "input"),
        Node("key", f"key encoder|{keys}", 1, 0, "encoder"),
        Node("value", f"value encoder|{values}", 1, 2, "encoder"),
        Node("memory", "memory|keys and values", 2, 1.5, "memory"),
        Node("read", f"read: affinity|stride {stride}", 3, 1, "attention"),
        Node("decoder", "decoder|with skips", 4, 0.5, "decoder"),
        Node("mask", "mask of|each object", 5, 0.5, "output"),
    ]
    edges = [
        Edge("past", "value"),
        Edge("masks", "value"),
        Edge("value", "memory"),
        Edge("frame", "key"),
        Edge("memory", "read"),
        Edge("key", "read", "query key"),
        Edge("read", "decoder"),
        Edge("key", "decoder"),
        Edge("decoder", "mask"),
        Edge("mask", "masks", "every fifth frame becomes memory", 0.6),
    ]
    if masks_in_keys:
        return Diagram(nodes, edges)
    shared = Node("past key", f"key encoder|{keys}", 1, 1, "encoder")
    return Diagram([*nodes, shared], [*edges, Edge("past", "past key"), Edge("past key", "memory")])


def _instances(*, split: bool, backbone: str, queries: str) -> Diagram:
    """SeqFormer, and MS-STS VIS with what it adds."""
    nodes = [
        Node("clip", "frames of a clip", 0, 1, "input"),
        Node("backbone", f"backbone|{backbone}", 1, 1, "encoder"),
        Node("encoder", "deformable attention|frame by frame", 2, 1, "attention"),
        Node("queries", f"queries|{queries}", 2, 2, "input"),
        Node("decoder", "decoder: a box|for each frame", 3.2 if split else 3, 1, "decoder"),
        Node("merge", "weights over frames|merge features", 4.2 if split else 4, 1, "decoder"),
        Node("class", "class", 5.2 if split else 5, 0, "output"),
        Node("head", "mask head|of each query", 5.2 if split else 5, 1, "output"),
    ]
    edges = [
        Edge("clip", "backbone"),
        Edge("backbone", "encoder"),
        Edge("queries", "decoder"),
        Edge("encoder", "decoder"),
        Edge("decoder", "merge"),
        Edge("merge", "class"),
        Edge("merge", "head"),
    ]
    if not split:
        return Diagram(nodes, edges)
    nodes += [
        Node("intra", "split attention:|within a level", 2, 0, "attention"),
        Node("inter", "between a level|and the next", 3.2, 0, "attention"),
        Node("temporal", "attention of box|queries over frames", 3.2, 2, "attention"),
        Node("judge", "discriminator:|masks and features", 5.2, 2, "decoder", training=True),
    ]
    edges += [
        Edge("encoder", "intra"),
        Edge("intra", "inter"),
        Edge("inter", "decoder"),
        Edge("temporal", "decoder"),
        Edge("head", "judge"),
    ]
    return Diagram(nodes, edges)


DIAGRAMS = {
    "stcn": _matching("ResNet-50", "ResNet-18, CBAM"),
    "stm": _matching("ResNet-50", "ResNet-50: also keys", masks_in_keys=True),
    "stcn-lite": _matching("MobileNetV2", "three convolutions", stride=8),
    "xmem": Diagram(
        [
            Node("frame", "frame", 0, 2, "input"),
            Node("key", "key encoder|ResNet-50", 1, 2, "encoder"),
            Node("value", "value encoder|ResNet-18, CBAM", 1, 3, "encoder"),
            Node("working", "working memory|a few frames", 2, 1, "memory"),
            Node("long", "long-term memory|prototypes", 2, 0, "memory"),
            Node("read", "read: affinity|with shrinkage", 3, 2, "attention"),
            Node("sensory", "sensory memory|recurrent state", 3, 3, "memory"),
            Node("decoder", "decoder|with skips", 4, 2, "decoder"),
            Node("mask", "mask of|each object", 5, 2, "output"),
        ],
        [
            Edge("frame", "key"),
            Edge("frame", "value"),
            Edge("key", "working"),
            Edge("key", "read", "query key"),
            Edge("value", "working"),
            Edge("working", "long"),
            Edge("working", "read"),
            Edge("long", "read"),
            Edge("read", "decoder"),
            Edge("sensory", "decoder"),
            Edge("decoder", "mask"),
            Edge("mask", "value", "every fifth frame becomes memory", 0.6),
        ],
    ),
    "cutie": Diagram(
        [
            Node("frame", "frame", 0, 1, "input"),
            Node("pixel", "pixel encoder|ResNet", 1, 1, "encoder"),
            Node("mask encoder", "mask encoder", 1, 2, "encoder"),
            Node("pixels", "pixel memory|keys and values", 2, 0, "memory"),
            Node("objects", "object memory|16 summaries each", 2, 2, "memory"),
            Node("read", "read: affinity", 3, 1, "attention"),
            Node("transformer", "object transformer|queries and pixels", 4, 1, "attention"),
            Node("decoder", "decoder|with skips", 5, 1, "decoder"),
            Node("mask", "mask of|each object", 6, 1, "output"),
        ],
        [
            Edge("frame", "pixel"),
            Edge("frame", "mask encoder"),
            Edge("pixel", "read", "query key"),
            Edge("mask encoder", "pixels"),
            Edge("mask encoder", "objects"),
            Edge("pixels", "read"),
            Edge("read", "transformer"),
            Edge("objects", "transformer"),
            Edge("transformer", "decoder"),
            Edge("decoder", "mask"),
            Edge("mask", "mask encoder", "every fifth frame becomes memory", 0.6),
        ],
    ),
    "sam2": Diagram(
        [
            Node("frame", "frame", 0, 1, "input"),
            Node("trunk", "trunk|Hiera", 1, 1, "encoder"),
            Node("bank", "memory bank: maps,|object pointers", 2, 0, "memory"),
            Node("attention", "memory attention", 3, 1, "attention"),
            Node("prompts", "mask, box, clicks", 2, 2, "input"),
            Node("prompt encoder", "prompt encoder", 3, 2, "encoder"),
            Node("decoder", "mask decoder|two-way transformer", 4, 1, "decoder"),
            Node("mask", "three masks, IoU,|presence", 5, 1, "output"),
            Node("memory encoder", "memory encoder", 4, 0, "encoder"),
        ],
        [
            Edge("frame", "trunk"),
            Edge("trunk", "attention"),
            Edge("bank", "attention"),
            Edge("prompts", "prompt encoder"),
            Edge("prompt encoder", "decoder"),
            Edge("attention", "decoder"),
            Edge("decoder", "mask"),
            Edge("decoder", "memory encoder"),
            Edge("memory encoder", "bank", "becomes memory"),
        ],
    ),
    "edgetam": Diagram(
        [
            Node("frame", "frame", 0, 1, "input"),
            Node("trunk", "trunk|RepViT-M1", 1, 1, "encoder"),
            Node("bank", "memory bank: 512 rows|a frame, pointers", 2, 0, "memory"),
            Node("attention", "memory attention|two layers", 3, 1, "attention"),
            Node("prompts", "mask, box, clicks", 2, 2, "input"),
            Node("prompt encoder", "prompt encoder", 3, 2, "encoder"),
            Node("decoder", "mask decoder|two-way transformer", 4, 1, "decoder"),
            Node("mask", "three masks, IoU,|presence", 5, 1, "output"),
            Node("memory encoder", "memory encoder", 4, 0, "encoder"),
            Node("perceiver", "spatial perceiver", 3, 0, "attention"),
        ],
        [
            Edge("frame", "trunk"),
            Edge("trunk", "attention"),
            Edge("bank", "attention"),
            Edge("prompts", "prompt encoder"),
            Edge("prompt encoder", "decoder"),
            Edge("attention", "decoder"),
            Edge("decoder", "mask"),
            Edge("decoder", "memory encoder"),
            Edge("memory encoder", "perceiver"),
            Edge("perceiver", "bank"),
        ],
    ),
    "segue-prompt": Diagram(
        [
            Node("image", "crop of the image", 0, 0, "input"),
            Node("prompts", "box, clicks, strokes,|earlier mask", 0, 1, "input"),
            Node("encoder", "encoder|MobileNetV2", 1, 0.5, "encoder"),
            Node("decoder", "decoder|with skips", 2, 0.5, "decoder"),
            Node("masks", "mask", 3, 0, "output"),
            Node("iou", "predicted IoU", 3, 1, "output"),
        ],
        [
            Edge("image", "encoder"),
            Edge("prompts", "encoder"),
            Edge("encoder", "decoder"),
            Edge("decoder", "masks"),
            Edge("decoder", "iou"),
        ],
    ),
    "mustan": Diagram(
        [
            Node("context", "frames around it", 0, 0, "input"),
            Node("frame", "current frame", 0, 1, "input"),
            Node("cnet", "context network|ResNet-18", 1, 0, "encoder"),
            Node("fnet", "frame network|ResNet-18", 1, 1, "encoder"),
            Node("frm", "feature refinement|at five scales", 2, 0.5, "attention"),
            Node("rlim", "localisation|refinement", 3, 0.5, "attention"),
            Node("decoder", "decoder|with skips", 4, 0.5, "decoder"),
            Node("mask", "foreground", 5, 0.5, "output"),
        ],
        [
            Edge("context", "cnet"),
            Edge("frame", "fnet"),
            Edge("cnet", "frm"),
            Edge("fnet", "frm"),
            Edge("frm", "rlim"),
            Edge("rlim", "decoder"),
            Edge("decoder", "mask"),
        ],
    ),
    "mustan-lite": Diagram(
        [
            Node("frame", "frame and two|before it", 0, 0, "input"),
            Node("scene", "empty scene:|median, quantiles", 0, 1, "memory"),
            Node("encoder", "encoder|MobileNetV2", 1, 0, "encoder"),
            Node("cues", "cues: differences|at full resolution", 1, 1, "encoder"),
            Node("attention", "context as attention|at each scale", 2, 0.5, "attention"),
            Node("decoder", "decoder|with skips", 3, 0.5, "decoder"),
            Node("foreground", "foreground", 4, 0, "output"),
            Node("shadow", "shadow", 4, 1, "output"),
        ],
        [
            Edge("frame", "encoder"),
            Edge("scene", "cues"),
            Edge("frame", "cues"),
            Edge("scene", "encoder"),
            Edge("encoder", "attention"),
            Edge("cues", "attention"),
            Edge("attention", "decoder"),
            Edge("decoder", "foreground"),
            Edge("decoder", "shadow"),
            Edge("foreground", "scene", "what is foreground is not learnt", 0.6),
        ],
    ),
    "hofam": Diagram(
        [
            Node("frame", "frame", 0, 0, "input"),
            Node("flow", "optical flow:|HOFAM 3, STAM 1", 0, 1, "input"),
            Node("frames", "encoder of frames|8 levels", 1, 0, "encoder"),
            Node("flows", "encoder of flow|8 levels", 1, 1, "encoder"),
            Node("attention", "attention at each|level of the decoder", 2, 0.5, "attention"),
            Node("decoder", "decoder", 3, 0.5, "decoder"),
            Node("mask", "foreground", 4, 0.5, "output"),
        ],
        [
            Edge("frame", "frames"),
            Edge("flow", "flows"),
            Edge("frames", "attention"),
            Edge("flows", "attention"),
            Edge("attention", "decoder"),
            Edge("decoder", "mask"),
        ],
    ),
    "fgsegnet": Diagram(
        [
            Node("frame", "frame", 0, 0, "input"),
            Node("vgg", "encoder: VGG-16|to its fourth block", 1, 0, "encoder"),
            Node("pooling", "dilated convolutions|and a pooled map", 2, 0, "encoder"),
            Node("decoder", "decoder", 3, 0, "decoder"),
            Node("means", "global means of|the first two blocks", 2, 1, "attention"),
            Node("mask", "foreground", 4, 0, "output"),
        ],
        [
            Edge("frame", "vgg"),
            Edge("vgg", "pooling"),
            Edge("vgg", "means"),
            Edge("pooling", "decoder"),
            Edge("means", "decoder"),
            Edge("decoder", "mask"),
        ],
    ),
    "nanodet": Diagram(
        [
            Node("image", "image", 0, 0, "input"),
            Node("backbone", "backbone|ShuffleNetV2", 1, 0, "encoder"),
            Node("neck", "path aggregation|strides 8 to 64", 2, 0, "attention"),
            Node("head", "head of each level", 3, 0, "decoder"),
            Node("boxes", "classes and boxes", 4, 0, "output"),
            Node("prompt", "segue-prompt:|masks", 5, 0, "output"),
        ],
        [
            Edge("image", "backbone"),
            Edge("backbone", "neck"),
            Edge("neck", "head"),
            Edge("head", "boxes"),
            Edge("boxes", "prompt"),
        ],
    ),
    "seqformer": _instances(split=False, backbone="ResNet or Swin-L", queries="300, learned"),
    "msstsvis": _instances(split=True, backbone="ResNet or Swin-L", queries="300, learned"),
    "msstsvis-lite": _instances(split=True, backbone="NanoDet-Plus", queries="20, from detections"),
    "architecture": Diagram(
        [
            Node("video", "video: sources,|decoding", 0, 0.5, "input"),
            Node("prompts", "prompts", 1, 0, "encoder"),
            Node("models", "models, weights,|inference", 1, 1, "encoder"),
            Node("sessions", "sessions:|state over time", 2, 0.5, "memory"),
            Node("jobs", "jobs: a run|as a value", 3, 0.5, "attention"),
            Node("sinks", "sinks, events", 4, 0, "output"),
            Node("metrics", "metrics, reports", 4, 1, "output"),
            Node("api", "api, cli, batch", 3, 1.5, "decoder"),
            Node("around", "segue_web, watch,|train, papers, isd", 2, 1.5, "decoder"),
        ],
        [
            Edge("video", "sessions"),
            Edge("prompts", "sessions"),
            Edge("models", "sessions"),
            Edge("sessions", "jobs"),
            Edge("jobs", "sinks"),
            Edge("jobs", "metrics"),
            Edge("api", "jobs"),
            Edge("around", "api"),
        ],
    ),
    "plugins": Diagram(
        [
            Node("package", "your package:|entry points", 0, 1, "input"),
            Node("registry", "segue.registry", 1, 1, "memory"),
            Node("network", "networks, stages", 2, 0, "encoder"),
            Node("prompter", "prompters, detectors", 2, 1, "encoder"),
            Node("data", "formats, data sets,|metrics", 2, 2, "encoder"),
            Node("commands", "segue track, eval,|train, ...", 3, 1, "output"),
        ],
        [
            Edge("package", "registry"),
            Edge("registry", "network"),
            Edge("registry", "prompter"),
            Edge("registry", "data"),
            Edge("network", "commands"),
            Edge("prompter", "commands"),
            Edge("data", "commands"),
        ],
    ),
    "servers": Diagram(
        [
            Node("client", "client", 0, 1, "input"),
            Node("server", "your server", 1, 1, "encoder"),
            Node("thread", "a thread for|each job", 2, 1, "decoder"),
            Node("weights", "weights, held once", 1, 0, "memory"),
            Node("files", "results, job.json", 3, 1, "output"),
        ],
        [
            Edge("client", "server"),
            Edge("server", "thread"),
            Edge("weights", "thread"),
            Edge("thread", "files"),
            Edge("thread", "server", "progress", 0.75),
        ],
    ),
    "weights": Diagram(
        [
            Node("package", "in the package", 0, 0, "input"),
            Node("download", "download:|SHA-256 is checked", 0, 1, "input"),
            Node("file", "convert: a file is|never unpickled", 0, 2, "input"),
            Node("cache", "cache folder:|safetensors", 1, 1.5, "memory"),
            Node("load", "strict loading:|names and shapes", 2, 1, "decoder"),
            Node("network", "network", 3, 1, "output"),
        ],
        [
            Edge("package", "load"),
            Edge("download", "cache"),
            Edge("file", "cache"),
            Edge("cache", "load"),
            Edge("load", "network"),
        ],
    ),
    "reproduce": Diagram(
        [
            Node("data", "data set", 0, 0, "input"),
            Node("weights", "weights", 0, 1, "input"),
            Node("rows", "each row: segue run", 1, 0.5, "encoder"),
            Node("masks", "masks of each video", 2, 0.5, "memory"),
            Node("scores", "official metrics", 3, 0.5, "decoder"),
            Node("table", "measured beside|published", 4, 0.5, "output"),
        ],
        [
            Edge("data", "rows"),
            Edge("weights", "rows"),
            Edge("rows", "masks"),
            Edge("masks", "scores"),
            Edge("scores", "table"),
        ],
    ),
}
"""Diagrams by the names of their pages."""


def main() -> None:
    """Write all files."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("target", type=Path, help="folder of the files")
    target = parser.parse_args().target
    target.mkdir(parents=True, exist_ok=True)
    for name, diagram in DIAGRAMS.items():
        (target / f"{name}.svg").write_text(svg(diagram), "utf-8")


if __name__ == "__main__":
    main()
