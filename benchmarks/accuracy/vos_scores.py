"""Score a tracking network and three baselines on annotated clips: J, F, J&F and frames per second.

Example::

    python -m benchmarks.accuracy.vos_scores --data ../shared/data/vos --sets dev240 --methods model,copy,flow

Prints Markdown tables, the last one by what makes the clips hard: a mean over clips hides that one kind of
video is lost, so weights and options are chosen by the mean and by the worst group together. Speed counts the
tracker alone, without decoding images and scoring masks.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, cast

import cv2
import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.lib.machine import describe, names_of
from benchmarks.lib.vos_clips import SETS, ClipSet, Video, open_set
from segue.errors import SegueError
from segue.jobs.values import setting_of
from segue.metrics.davis import DavisAccumulator, SemiSupervised
from segue.metrics.report import DavisReport, SequenceScore
from segue.models.base import MemoryNetwork, Schedule
from segue.models.geometry import padding, unpad
from segue.models.stcn import STCNLite
from segue.sessions import TrackSession
from segue.types import Frame, Image, IndexMask
from segue.weights import load
from segue_train.trunks import load_mobilenet

Tracker = Callable[[Frame, IndexMask | None], IndexMask]

GROUPS: dict[str, tuple[str, ...]] = {
    "slow": (
        "goat over dog_1280x720",
        "soapbox over office",
        "breakdance over people_640x480",
        "drift-chicane over juggle_1280x720",
        "bmx-trees over highway",
        "pond 7",
        "pond 11",
    ),
    "fast": ("bmx-trees", "breakdance", "drift-chicane", "drift-straight", "swing+dance-jump"),
    "look-alikes": ("breakdance", "soapbox", "elephant+drift-chicane", "pond 7", "pond 11"),
    "occlusion": ("bmx-trees", "drift-chicane", "bear+soccerball", "swing+dance-jump"),
    "thin parts": ("bmx-trees", "paragliding-launch", "bmx-trees over highway", "swing+dance-jump"),
    "several objects": (
        "bear+soccerball",
        "elephant+drift-chicane",
        "flamingo+mallard-fly",
        "swing+dance-jump",
        "pond 7",
        "pond 11",
    ),
    "small objects": ("drift-chicane", "bear+soccerball", "drift-chicane over juggle_1280x720"),
}
"""Development clips by what is hard in them, by their names; a clip may stand in several groups."""

Scores = Mapping[str, Mapping[str, float]]
"""J&F by clip name, by set."""


def group_means(scores: Scores) -> dict[str, float]:
    """Mean J&F of each group, over all its clips of all sets; groups without a clip are missing."""
    found = {
        group: [clips[name] for clips in scores.values() for name in names if name in clips]
        for group, names in GROUPS.items()
    }
    return {group: sum(values) / len(values) for group, values in found.items() if values}


def group_table(by_method: Mapping[str, Scores]) -> str:
    """Markdown: J&F of each group by method, the worst group, and the mean over all clips of all sets."""
    means = {method: group_means(scores) for method, scores in by_method.items()}
    present = [group for group in GROUPS if all(group in groups for groups in means.values())]
    lines = ["| J&F | " + " | ".join(means) + " |", "| --- |" + " --- |" * len(means)]
    for group in present:
        lines.append(_group_row(group, [groups[group] for groups in means.values()]))
    if present:
        lines.append(_group_row("**worst group**", [min(groups.values()) for groups in means.values()]))
    lines.append(_group_row("**mean of clips**", [_mean(scores) for scores in by_method.values()]))
    return "\n".join(lines)


def _mean(scores: Scores) -> float:
    values = [value for clips in scores.values() for value in clips.values()]
    return sum(values) / len(values)


def _group_row(name: str, values: list[float]) -> str:
    return f"| {name} | " + " | ".join(f"{value:.3f}" for value in values) + " |"


class CopyFirst:
    """The first mask, for ever."""

    def __init__(self) -> None:
        self._mask: IndexMask = np.zeros((0, 0), np.uint8)

    def __call__(self, frame: Frame, given: IndexMask | None) -> IndexMask:
        """The mask that was given last."""
        if given is not None:
            self._mask = given
        return self._mask


class FlowWarp:
    """The previous mask, moved along dense optical flow (DIS: Kroeger et al., ECCV 2016)."""

    def __init__(self) -> None:
        self._flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
        self._previous: npt.NDArray[np.uint8] = np.zeros((0, 0), np.uint8)
        self._mask: IndexMask = np.zeros((0, 0), np.uint8)

    def __call__(self, frame: Frame, given: IndexMask | None) -> IndexMask:
        """Every pixel takes the id of the place that it came from."""
        grey = _grey(frame.image)
        if given is not None:
            self._mask = given
        else:
            back = self._flow.calc(grey, self._previous, np.zeros((*grey.shape, 2), np.float32))
            rows, columns = np.indices(grey.shape, dtype=np.float32)
            places = columns + back[..., 0], rows + back[..., 1]
            moved = cv2.remap(self._mask, *places, cv2.INTER_NEAREST, borderMode=cv2.BORDER_REPLICATE)
            self._mask = np.asarray(moved, np.uint8)
        self._previous = grey
        return self._mask


class LabelPropagation:
    """Labels of similar cells in earlier frames, with the features of an ImageNet network (no training).

    Each cell of 8x8 pixels looks at the cells around its place in the first frame and the latest ones, and
    takes the labels of the ``TOP_K`` most similar by cosine, weighted by a softmax (as in Caron et al.,
    "Emerging Properties in Self-Supervised Vision Transformers", 2021, section 4.2.2). The features are those
    that ``stcn-lite`` starts from: strides 8 and 16 of MobileNetV2, each with unit norm.

    Args:
        backbone: safetensors file with the weights of torchvision's ``mobilenet_v2``, trained on [-1, 1].
    """

    STRIDE = 8
    TOP_K = 5
    RECENT_FRAMES = 7
    RADIUS = 12
    TEMPERATURE = 0.1

    def __init__(self, backbone: Path) -> None:
        self._network = STCNLite().eval()
        load_mobilenet(self._network.key_encoder, backbone)
        self._context: deque[tuple[Tensor, Tensor]] = deque(maxlen=self.RECENT_FRAMES)
        self._first: tuple[Tensor, Tensor] | None = None

    @torch.inference_mode()
    def __call__(self, frame: Frame, given: IndexMask | None) -> IndexMask:
        """Propagate to this frame."""
        features = self._features(frame.image)
        if given is not None or self._first is None:
            assert given is not None
            self._context.clear()
            self._first = features, self._label_cells(given)
            return given
        known = [self._first, *self._context]
        labels = self._propagate(features, known)
        self._context.append((features, labels))
        full = F.interpolate(labels.permute(2, 0, 1)[None], scale_factor=self.STRIDE, mode="bilinear")[0]
        best: IndexMask = unpad(full, frame.size).argmax(0).numpy().astype(np.uint8)
        return best

    def _features(self, image: Image) -> Tensor:
        """Unit vectors, (h, w, C)."""
        query = self._network.encode_query(self._network.prepare(torch.from_numpy(image)))
        return F.normalize(query.features[0][0].permute(1, 2, 0), dim=2).contiguous()

    def _label_cells(self, mask: IndexMask) -> Tensor:
        """Share of every id in every cell, (h, w, K+1)."""
        one_hot = F.one_hot(torch.from_numpy(mask.astype(np.int64))).permute(2, 0, 1).float()
        height, width = mask.shape
        whole = F.pad(one_hot, padding(height, width, self._network.stride), mode="replicate")
        return F.avg_pool2d(whole, self.STRIDE).permute(1, 2, 0)

    def _propagate(self, query: Tensor, known: list[tuple[Tensor, Tensor]]) -> Tensor:
        """Labels (h, w, K+1) of query features (h, w, C), one row of cells at a time."""
        features = torch.stack([item[0] for item in known])
        labels = torch.stack([item[1] for item in known])
        rows, columns = query.shape[:2]
        places = torch.arange(columns)
        far = (places[:, None] - places).abs() > self.RADIUS
        result = []
        for row in range(rows):
            near = slice(max(row - self.RADIUS, 0), row + self.RADIUS + 1)
            memory, memory_labels = features[:, near].flatten(0, 2), labels[:, near].flatten(0, 2)
            similarity = (query[row] @ memory.T).view(columns, -1, columns)
            similarity.masked_fill_(far[:, None], -torch.inf)
            best, index = similarity.flatten(1).topk(self.TOP_K, dim=1, sorted=False)
            weights = (best / self.TEMPERATURE).softmax(1)
            result.append((memory_labels[index] * weights[..., None]).sum(1))
        return torch.stack(result)


def _grey(image: Image) -> npt.NDArray[np.uint8]:
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), np.uint8)


METHODS = ("model", "copy", "flow", "propagation")

FASTEST_WORTH_TELLING = 10_000
"""Frames per second above which a tracker does nothing: copying the first mask."""


@dataclass(frozen=True, slots=True)
class ClipResult:
    """One clip, one method: scores, and seconds that the tracker took for all its frames."""

    score: SequenceScore
    frames: int
    seconds: float


class NetworkTracker:
    """A tracking session over one clip."""

    def __init__(self, network: MemoryNetwork, schedule: Schedule, *, device: str, fast: bool) -> None:
        self._session = TrackSession(network, schedule, device=device, fast=fast)

    def __call__(self, frame: Frame, given: IndexMask | None) -> IndexMask:
        """Segment the next frame."""
        return self._session.step(frame, given).mask


def follow(clip: Video, tracker: Tracker, protocol: SemiSupervised) -> ClipResult:
    """Run a tracker over a clip and score it against the ground truth."""
    accumulator = DavisAccumulator(clip.name, protocol=protocol)
    seconds = 0.0
    for frame in clip.frames():
        truth = clip.mask(frame.index)
        given = truth if frame.index == 0 else None
        start = time.perf_counter()
        mask = tracker(frame, given)
        seconds += time.perf_counter() - start
        accumulator.update(mask, truth)
    return ClipResult(accumulator.score(), len(clip), seconds)


def score_set(clips: ClipSet, make_tracker: Callable[[], Tracker]) -> list[ClipResult]:
    """Run a fresh tracker over every clip, one clip at a time."""
    results = []
    for clip in clips.clips:
        results.append(follow(clip, make_tracker(), clips.protocol))
        print(f"  {clip.name}: {results[-1].score.j_and_f:.3f}", file=sys.stderr, flush=True)
    return results


def trackers(options: argparse.Namespace) -> dict[str, Callable[[], Tracker]]:
    """A maker of fresh trackers for each method that was asked for.

    Raises:
        SegueError: the weights do not load.
    """
    makers: dict[str, Callable[[], Tracker]] = {"copy": CopyFirst, "flow": FlowWarp}
    if "propagation" in options.methods:
        makers["propagation"] = lambda: LabelPropagation(options.backbone)
    if "model" in options.methods:
        network = cast(MemoryNetwork, load(options.model, options.weights))
        schedule = _schedule(network.schedule, options)
        makers["model"] = lambda: NetworkTracker(network, schedule, device=options.device, fast=options.fast)
    return {method: makers[method] for method in options.methods}


def _schedule(published: Schedule, options: argparse.Namespace) -> Schedule:
    """The schedule of the network with the given options put in."""
    names = (
        "mem_every",
        "top_k",
        "include_last",
        "memory_frames",
        "memory_policy",
        "penalty",
        "last_penalty",
        "max_jump",
        "flip_tta",
    )
    given = {name: getattr(options, name) for name in names if getattr(options, name) is not None}
    if given.get("top_k") == 0:
        given["top_k"] = None
    for name, _, value in (text.partition("=") for text in options.setting):
        given[name] = setting_of(value)
    return replace(published, **given)


def clip_table(results: Sequence[ClipResult]) -> str:
    """Markdown: one row for each clip, then the mean over all objects and the overall speed."""
    report = DavisReport(tuple(result.score for result in results))
    lines = ["| clip | J | F | J&F | frames/s |", "| --- | --- | --- | --- | --- |"]
    for result in results:
        score = result.score
        lines.append(_row(score.name, score.region.mean, score.contour.mean, score.j_and_f, _speed([result])))
    lines.append(_row("**mean**", report.region.mean, report.contour.mean, report.j_and_f, _speed(results)))
    return "\n".join(lines)


def summary_table(scores: dict[str, dict[str, list[ClipResult]]]) -> str:
    """Markdown: J&F of each method on each set."""
    methods = next(iter(scores.values()))
    lines = ["| J&F | " + " | ".join(methods) + " |", "| --- |" + " --- |" * len(methods)]
    for name, by_method in scores.items():
        means = (DavisReport(tuple(item.score for item in results)).j_and_f for results in by_method.values())
        lines.append(f"| {name} | " + " | ".join(f"{mean:.3f}" for mean in means) + " |")
    return "\n".join(lines)


def _by_method(
    scores: dict[str, dict[str, list[ClipResult]]], methods: Sequence[str]
) -> dict[str, dict[str, dict[str, float]]]:
    """J&F of each clip, by method and set."""
    return {
        method: {
            name: {item.score.name: item.score.j_and_f for item in by_method[method]}
            for name, by_method in scores.items()
        }
        for method in methods
    }


def _row(name: str, region: float, contour: float, both: float, speed: float) -> str:
    shown = f"{speed:.1f}" if speed < FASTEST_WORTH_TELLING else "–"
    return f"| {name} | {region:.3f} | {contour:.3f} | {both:.3f} | {shown} |"


def _speed(results: Sequence[ClipResult]) -> float:
    return sum(item.frames for item in results) / sum(item.seconds for item in results)


def as_json(results: Sequence[ClipResult]) -> dict[str, Any]:
    """Mean scores, and those of every object of every clip."""
    report = DavisReport(tuple(result.score for result in results))
    return {
        "j": report.region.mean,
        "f": report.contour.mean,
        "j_and_f": report.j_and_f,
        "frames_per_second": _speed(results),
        "clips": {
            result.score.name: {
                "frames": result.frames,
                "seconds": result.seconds,
                "objects": [asdict(item) for item in result.score.objects],
            }
            for result in results
        },
    }


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    add = parser.add_argument
    add("--data", type=Path, required=True, help="folder of the DAVIS-style sets")
    add("--sets", type=names_of(tuple(SETS)), default=list(SETS), help=f"of {','.join(SETS)} (default: all)")
    add(
        "--methods",
        type=names_of(METHODS),
        default=["model"],
        help=f"of {','.join(METHODS)} (default: model)",
    )
    add("--model", default="stcn-lite", help="network by name (default: stcn-lite)")
    add("--weights", type=Path, help="weight file (default: the one that comes with segue)")
    add("--backbone", type=Path, help="ImageNet MobileNetV2 as safetensors, for propagation")
    add("--mem-every", type=int, help="distance of two memory frames")
    add("--top-k", type=int, help="memory positions that a position reads; 0 for all")
    add("--include-last", action=argparse.BooleanOptionalAction, help="read the previous frame as well")
    add("--memory-frames", type=int, help="bound on the memory")
    add("--penalty", type=float, help="taken off the affinities of frames with predicted masks")
    add("--last-penalty", type=float, help="the same for the previous frame")
    add("--memory-policy", choices=("usage", "fifo", "all"), help="which memory frame makes room")
    add("--max_jump", type=float, help="stray pieces farther than this part of the diagonal go")
    add("--flip_tta", action="store_true", default=None, help="look at the mirrored image as well")
    add("--setting", action="append", default=[], metavar="NAME=VALUE", help="another field of the schedule")
    add("--fast", action="store_true", help="bfloat16 where the processor has it")
    add("--device", default="cpu", help="of the model (default: cpu)")
    add("--threads", type=int, default=torch.get_num_threads(), help="threads of torch and OpenCV")
    add("--json", type=Path, help="write all numbers here")
    options = parser.parse_args(arguments)
    if "propagation" in options.methods and options.backbone is None:
        parser.error("propagation needs --backbone")
    return options


def main(arguments: Sequence[str] | None = None) -> int:
    """Score what the command line asks for; 0 if all went well, 2 if something did not fit."""
    options = parse(arguments)
    torch.set_num_threads(options.threads)
    cv2.setNumThreads(options.threads)
    machine = describe(options.threads, options.device)
    try:
        makers = trackers(options)
        sets = {name: open_set(name, options.data) for name in options.sets}
        print(f"Measured on {machine}.")
        scores: dict[str, dict[str, list[ClipResult]]] = {}
        for name, clips in sets.items():
            for method, maker in makers.items():
                print(f"{name}, {method}", file=sys.stderr, flush=True)
                results = score_set(clips, maker)
                scores.setdefault(name, {})[method] = results
                print(f"\n### {method}: {clips.title}\n\n{clip_table(results)}", flush=True)
    except SegueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f"\n### Summary\n\n{summary_table(scores)}")
    if set(scores) & {"dev240", "dev480", "composites", "slow"}:
        print(f"\n### By difficulty\n\n{group_table(_by_method(scores, options.methods))}")
    if options.json:
        numbers = {name: {m: as_json(r) for m, r in by.items()} for name, by in scores.items()}
        settings = {name: str(value) for name, value in vars(options).items()}
        options.json.write_text(
            json.dumps({"machine": machine, "options": settings, "sets": numbers}, indent=1), encoding="utf-8"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
