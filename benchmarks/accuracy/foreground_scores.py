"""Score foreground models on labelled videos: F, precision and recall, from a cold start, frame by frame.

Example::

    python -m benchmarks.accuracy.foreground_scores --data ../shared/data/foreground/cdnet2014 --shake \\
        --methods mustan-lite --methods median --methods "knn 800, median 9"

    python -m benchmarks.accuracy.foreground_scores --data ../shared/data --scenes \\
        --methods median --isd runs/rooms

With ``--scenes`` the videos are the groups of `foreground_scenes.py`: models are chosen by the mean of the
groups and the worst of them; with ``--isd`` rendered rooms are one more. ``--empty`` counts what is
foreground in scenes without anybody. ``--without STAGE`` leaves a stage of the session out, and says what it
gains on the groups that it was designed on and on all others. Every method sees the frames once,
in order, with nothing before the first one, and has the same settings for all videos. Counts are those of
CDnet2014, pooled over a video; F of shadow, where shadow is labelled, is that of the pixels that the method
calls shadow. Prints Markdown tables. ``--keep FILE`` notes each video as soon as it is scored; the same
command goes on after an interruption, and one with more methods or groups measures only what lacks.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import islice
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from benchmarks.lib.foreground_clips import Labels, Video, panning_videos, read_videos, shaken
from benchmarks.lib.foreground_left_out import real_swaying_scenes
from benchmarks.lib.foreground_methods import CLASSICAL, FOLLOWED, TWO_PASSES, network_of, session
from benchmarks.lib.foreground_scenes import (
    development_scenes,
    empty_scenes,
    held_out_scenes,
    rendered_scenes,
    unseen_cut_outs,
)
from benchmarks.lib.foreground_swaying import swaying_scenes
from benchmarks.lib.machine import describe
from segue.datasets.foreground.labels import OUTSIDE, SHADOW, UNKNOWN
from segue.metrics.foreground.counts import Counts, ForegroundAccumulator
from segue.registry import STAGES
from segue.sessions.foreground import masks as foreground_masks
from segue.sessions.foreground.session import SHORT_SIDE, ForegroundSession
from segue.types import Segmentation
from segue.utils.inputs import sha256

Mask = npt.NDArray[np.bool_]

Key = tuple[str, str]  # names of a method and a video

ALARM = 0.001
"""Foreground on more than this share of an empty image is a false alarm."""


@dataclass(frozen=True, slots=True)
class Score:
    """One method on one video.

    Attributes:
        counts: pixels over all labelled frames.
        seconds: for one frame, mean.
        shadow: pixels of shadow over all labelled frames.
    """

    counts: Counts
    seconds: float
    shadow: Counts


@dataclass
class Kept:
    """Scores in a file, which is written anew after each video.

    Attributes:
        path: the file; None keeps nothing.
        settings: what the scores depend on beside method and video; others in the file are an error.
        scores: by method and video.
    """

    path: Path | None
    settings: dict[str, object]
    scores: dict[Key, Score] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.path is None or not self.path.exists():
            return
        known = json.loads(self.path.read_text())
        if known["settings"] != self.settings:
            raise SystemExit(f"{self.path}: was made with {known['settings']}, not with {self.settings}")
        for item in known["scores"]:
            pixels, shadow = (Counts(**item[name]) for name in ("counts", "shadow"))
            self.scores[item["method"], item["video"]] = Score(pixels, item["seconds"], shadow)

    def add(self, method: str, video: str, found: Score) -> None:
        """Note a score."""
        self.scores[method, video] = found
        if self.path is None:
            return
        rows = [{"method": m, "video": f, **asdict(each)} for (m, f), each in self.scores.items()]
        part = self.path.with_name(f"{self.path.name}.part")
        part.write_text(json.dumps({"settings": self.settings, "scores": rows}, indent=1))
        part.replace(self.path)


def settings(options: argparse.Namespace) -> dict[str, object]:
    """What scores depend on beside method and video, as JSON has it."""
    return {
        "frames": options.frames,
        "fast": options.fast,
        "short side": options.short_side,
        "weights": {name: sha256(path) for name, path in options.weights.items()},
    }


def score(video: Video, model: ForegroundSession) -> Score:
    """Play a video through a session."""
    accumulator = ForegroundAccumulator(video.name, roi=video.roi, threshold=1)
    waiting: list[np.ndarray | None] = []
    frames, seconds, shadow = 0, 0.0, Counts()

    def take(result: Segmentation | None) -> None:
        nonlocal shadow
        if result is not None:
            labels = waiting.pop(0)
            if labels is not None:
                accumulator.update(result.mask == foreground_masks.FOREGROUND, labels)
                shadow += shadow_counts(result.mask == foreground_masks.SHADOW, labels, video.roi)

    for frame, labels in video.frames():
        waiting.append(labels)
        begun = time.perf_counter()
        result = model.step(frame)
        seconds += time.perf_counter() - begun
        frames += 1
        take(result)
    for result in model.finish():
        take(result)
    return Score(accumulator.counts, seconds / frames, shadow)


def shadow_counts(found: Mask, labels: Labels, roi: Mask) -> Counts:
    """Pixels of shadow in a mask and in the labels, where both are known."""
    known = (labels != UNKNOWN) & (labels != OUTSIDE) & roi
    found, true = found & known, (labels == SHADOW) & known
    hits = int((found & true).sum())
    wrong, missed = int(found.sum()) - hits, int(true.sum()) - hits
    return Counts(hits, wrong, missed, int(known.sum()) - hits - wrong - missed)


def shadow_table(scores: dict[str, dict[str, Score]]) -> str:
    """Markdown: F of shadow of each method on the videos where some is labelled."""
    videos = [name for name, item in next(iter(scores.values())).items() if item.shadow.tp + item.shadow.fn]
    lines = ["| F of shadow | " + " | ".join(scores) + " |", "| --- |" + " --- |" * len(scores)]
    for video in videos:
        cells = (f"{by[video].shadow.measures()['F']:.3f}" for by in scores.values())
        lines.append(f"| {video} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def score_table(scores: dict[str, dict[str, Score]]) -> str:
    """Markdown: F, precision and recall of each method on each video."""
    videos = list(next(iter(scores.values())))
    lines = ["| F, precision, recall | " + " | ".join(videos) + " |", "| --- |" + " --- |" * len(videos)]
    for method, by_video in scores.items():
        cells = []
        for video in videos:
            found = by_video[video].counts.measures()
            cells.append(f"{found['F']:.3f} {found['Pr']:.3f} {found['Re']:.3f}")
        lines.append(f"| {method} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def group_table(scores: dict[str, dict[str, Score]], groups: dict[str, list[Video]]) -> str:
    """Markdown: F of each method on each video, means of the groups, their mean and the worst of them."""
    f = {m: {name: item.counts.measures()["F"] for name, item in by.items()} for m, by in scores.items()}
    means = {
        m: {group: float(np.mean([by[video.name] for video in videos])) for group, videos in groups.items()}
        for m, by in f.items()
    }
    lines = ["| F | " + " | ".join(f) + " |", "| --- |" + " --- |" * len(f)]

    def line(name: str, values: Iterable[float]) -> None:
        lines.append(f"| {name} | " + " | ".join(f"{value:.3f}" for value in values) + " |")

    for group, videos in groups.items():
        for video in videos:
            line(video.name, (by[video.name] for by in f.values()))
        line(f"**{group}**", (by[group] for by in means.values()))
    line("**mean of the groups**", (float(np.mean([*by.values()])) for by in means.values()))
    line("**worst group**", (min(by.values()) for by in means.values()))
    return "\n".join(lines)


def shortened(video: Video, frames: int | None) -> Video:
    """The first frames of a video, or all of it where none of these is labelled."""
    if frames is None or not any(labels is not None for _, labels in islice(video.shots(), frames)):
        return video
    return replace(video, shots=lambda: islice(video.shots(), frames))


def alarm_table(videos: Sequence[Video], options: argparse.Namespace) -> str:
    """Markdown: what each method takes for foreground where nobody is."""
    columns = [(method, stage) for method in options.methods for stage in ("", *options.without)]
    names = [column_name(method, stage) for method, stage in columns]
    lines = ["| frames with alarms, most of a frame | " + " | ".join(names) + " |"]
    lines.append("| --- |" + " --- |" * len(names))
    for video in videos:
        cells = []
        for (method, stage), name in zip(columns, names, strict=True):
            weights, without = options.weights.get(network_of(method)), [stage] if stage else []
            fresh = session(method, weights=weights, without=without, video=video)
            shares = [
                float((item.mask == foreground_masks.FOREGROUND).mean()) for item in played(video, fresh)
            ]
            alarms = sum(share > ALARM for share in shares)
            cells.append(f"{alarms} of {len(shares)}, {max(shares):.2%}")
            print(f"  {name}, {video.name}: {cells[-1]}", file=sys.stderr, flush=True)
        lines.append(f"| {video.name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def played(video: Video, model: ForegroundSession) -> Iterator[Segmentation]:
    """Results of all frames of a video."""
    for frame, _ in video.frames():
        if (result := model.step(frame)) is not None:
            yield result
    yield from model.finish()


def in_memory(video: Video) -> Video:
    """A video whose images are made once, for all methods."""
    shots = list(video.shots())
    return replace(video, shots=lambda: iter(shots))


def run(videos: Sequence[Video], options: argparse.Namespace, kept: Kept) -> dict[str, dict[str, Score]]:
    """All methods on all videos, video by video; those that are kept are not measured again."""
    columns = [(method, stage) for method in options.methods for stage in ("", *options.without)]
    names = {(method, stage): column_name(method, stage) for method, stage in columns}
    found: dict[str, dict[str, Score]] = {name: {} for name in names.values()}
    for video in videos:
        missing = [column for column, name in names.items() if (name, video.name) not in kept.scores]
        shown = in_memory(video) if len(missing) > 1 and options.frames else video
        for method, stage in missing:
            fresh = session(
                method,
                weights=options.weights.get(network_of(method)),
                without=[stage] if stage else [],
                device=options.device,
                fast=options.fast,
                short_side=options.short_side,
                video=shown,
            )
            kept.add(names[method, stage], video.name, score(shown, fresh))
        for name in names.values():
            found[name][video.name] = kept.scores[name, video.name]
            print(f"  {name}, {video.name}: {found[name][video.name]}", file=sys.stderr, flush=True)
    return found


def column_name(method: str, stage: str) -> str:
    """What a method is called without a stage."""
    return f"{method}, without {stage}" if stage else method


DESIGNED = {
    "agreement": ("baseline", "objects at start"),
    "align": ("shaken", "hand-held"),
    "blur": ("hand-held",),
    "exposure": ("light",),
    "contrast": ("dim",),
    "shadows": ("shadow", "objects at start"),
    "lights": ("weather",),
    "rain": ("weather", "dynamic background"),
    "follow": ("moving",),
    "average": ("objects at start",),
}
"""Groups of videos by which each stage and its constants were chosen."""


def gain_table(
    scores: dict[str, dict[str, Score]], groups: dict[str, list[Video]], options: argparse.Namespace
) -> str:
    """Markdown: by how much each stage raises F on the groups it was designed on, and on all others."""
    lines = [
        "| stage | designed on | gain there | gain on the other groups | least and most of a video there |"
    ]
    lines.append("| --- |" + " --- |" * 4)
    for method in options.methods:
        whole = {name: item.counts.measures()["F"] for name, item in scores[method].items()}
        for stage in options.without:
            without = {
                name: item.counts.measures()["F"] for name, item in scores[column_name(method, stage)].items()
            }
            gains = {
                group: [whole[video.name] - without[video.name] for video in videos]
                for group, videos in groups.items()
            }
            means: dict[bool, list[float]] = {True: [], False: []}
            for group, values in gains.items():
                means[group in DESIGNED[stage]].append(float(np.mean(values)))
            cells = [f"{np.mean(means[own]):+.3f}" if means[own] else "" for own in (True, False)]
            others = [
                value for group, values in gains.items() if group not in DESIGNED[stage] for value in values
            ]
            span = f"{min(others):+.3f}, {max(others):+.3f}" if others else ""
            lines.append(f"| {stage} | {', '.join(DESIGNED[stage])} | {cells[0]} | {cells[1]} | {span} |")
    return "\n".join(lines)


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    add = parser.add_argument
    add("--data", type=Path, required=True, help="folder of CDnet2014, or with --scenes of all data")
    add("--scenes", action="store_true", help="the scenes that models are developed on, in groups")
    add("--swaying", action="store_true", help="scenes that sway behind movers, and some that stand still")
    add("--only", help="of the scenes these groups, with commas between")
    add("--named", action="append", help="of these groups this video; may be given several times")
    add("--frames", type=int, help="take so many frames of each video of the scenes")
    add("--empty", action="store_true", help="false alarms in scenes without anybody, which --data holds")
    add("--pans", action="store_true", help="videos of a camera that pans for 300 frames, from --data")
    add("--held-out", action="store_true", help="the scenes that are looked at once, in the end")
    add("--textures", type=Path, help="scenes in which parts of these videos sway: DAVIS train, every frame")
    add("--isd", type=Path, help="folder of rendered rooms, one more group; made there the first time")
    add("--videos", default="baseline/highway,baseline/office", help="category/video, with commas between")
    add(
        "--methods",
        action="append",
        help=f"network by name, also with '{TWO_PASSES}' or '{FOLLOWED}' after it, or one of: "
        + "; ".join(CLASSICAL)
        + "; may be given several times",
    )
    add("--weights", action="append", default=[], metavar="NAME=FILE", help="weight file of a network")
    add("--shake", action="store_true", help="shaken videos too")
    add(
        "--without",
        action="append",
        default=[],
        help="a stage to leave out: one more column for each, and a table of their gains; 'each' for all",
    )
    add("--fast", action="store_true", help="bfloat16 where the hardware has it")
    add("--short-side", type=int, default=SHORT_SIDE, help="to which larger frames are reduced")
    add("--device", default="cpu")
    add("--threads", type=int, default=torch.get_num_threads())
    add("--keep", type=Path, help="file of all numbers; what it holds is not measured again")
    options = parser.parse_args(arguments)
    options.methods = options.methods or list(CLASSICAL)
    if options.without == ["each"]:
        options.without = list(STAGES.names)
    options.weights = {
        name: Path(file) for name, _, file in (item.partition("=") for item in options.weights)
    }
    return options


def main(arguments: Sequence[str] | None = None) -> int:
    """Score and print."""
    options = parse(arguments)
    torch.set_num_threads(options.threads)
    groups: dict[str, list[Video]] = {}
    if options.scenes or options.swaying or options.textures:
        groups |= development_scenes(options.data) if options.scenes else {}
        groups |= swaying_scenes(options.data) if options.swaying else {}
        groups |= real_swaying_scenes(options.data, options.textures) if options.textures else {}
        chosen = options.only.split(",") if options.only else list(groups)
        if unknown := [name for name in chosen if name not in groups]:
            raise SystemExit(f"--only: no group {', '.join(unknown)}; there are {', '.join(groups)}")
        groups = {name: [shortened(video, options.frames) for video in groups[name]] for name in chosen}
        if options.named:
            groups = {
                n: [video for video in videos if video.name in options.named] for n, videos in groups.items()
            }
            groups = {name: videos for name, videos in groups.items() if videos}
    if options.empty:
        print(f"Measured on {describe(options.threads, options.device)}.\n")
        named = options.named
        videos = [video for video in empty_scenes(options.data) if not named or video.name in named]
        print(alarm_table(videos, options))
        return 0
    if options.pans:
        videos = panning_videos(options.data / "static_more/images", unseen_cut_outs(options.data))
        groups["pans"] = [shortened(video, options.frames) for video in videos]
    if options.held_out:
        groups |= held_out_scenes(options.data)
    if options.isd:
        groups |= rendered_scenes(options.isd)
    videos = [video for group in groups.values() for video in group]
    if not groups:
        videos = read_videos(options.data, options.videos.split(","))
        videos += map(shaken, videos) if options.shake else []
    print(f"Measured on {describe(options.threads, options.device)}.\n")
    scores = run(videos, options, Kept(options.keep, settings(options)))
    print(group_table(scores, groups) if groups else score_table(scores), flush=True)
    if groups and options.without:
        print(f"\n{gain_table(scores, groups, options)}", flush=True)
    print(f"\n{shadow_table(scores)}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
