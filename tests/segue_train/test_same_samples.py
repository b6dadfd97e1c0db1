"""Samples of a seed are the same in every version, so that a training can be repeated.

``python -m tests.segue_train.test_same_samples`` writes the numbers anew, after a change that is meant.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import cv2
import numpy as np
import pytest

from segue_train.data.clips import ClipBatches, ClipSampler, ClipShape
from segue_train.data.cut_outs import cut_outs_of_stills, cut_outs_of_videos
from segue_train.data.footage import Footage, Material, gather
from segue_train.data.foreground import dynamic_background, scenery
from segue_train.data.foreground.clips import ClipMaker, scenes_of
from segue_train.data.instance_augment import Sizes, augmented, pseudo_clip
from segue_train.data.instance_clips import InstanceBatches, InstanceClipSampler
from segue_train.data.prompt_samples import PromptBatches, PromptSampler, read_sources
from segue_train.data.stcn_data import PastedVideos, SampleBatches, StillSamples, VideoSamples
from tests.clips import Bytes, clip
from tests.fingerprint import fingerprint
from tests.segue_train.making import write_all

NUMBERS = Path(__file__).with_name("same_samples.json")

WARPS = ", OpenCV 5.1" if tuple(map(int, cv2.__version__.split(".")[:2])) >= (5, 1) else ""
"""Ends the names of samples that differ since OpenCV 5.1, whose warps round otherwise."""

SHAPE = ClipShape(batch=2, frames=3, side=48, objects=2)


def tracking(material: Material) -> Any:
    sampler = ClipSampler(material.videos, material.stills)
    batches = ClipBatches(6, 3, sampler, lambda progress, rng: (SHAPE, 0.5, 2))
    return [batches[number] for number in range(6)]


def stcn(material: Material) -> Any:
    kinds = (
        StillSamples(material.stills, 48, slots=2),
        VideoSamples(material.videos, 48, clip_affine=(10, 5)),
        PastedVideos(material.videos, 48),
    )
    return [SampleBatches(4, 3, kind, 2, None)[number] for kind in kinds for number in range(3)]


def prompts(material: Material) -> Any:
    sampler = PromptSampler(read_sources([(1.0, material.stills), (0.5, material.videos)]))
    batches = PromptBatches(6, 3, sampler, lambda progress: (48, 4))
    known = ("images", "targets", "planes")
    return [{name: batches[number][name] for name in known} for number in range(6)]


def foreground(material: Material) -> Any:
    cut_outs = cut_outs_of_stills(material.stills) + cut_outs_of_videos(material.videos)
    maker = ClipMaker(cut_outs, scenes_of([*material.stills, *material.videos]), (-6, -3, 0), (48, 64))
    drawn = [sample for seed in range(8) for sample in maker.samples(np.random.default_rng(seed))]
    return [(sample.window, sample.background, sample.labels) for sample in drawn]


def backgrounds(material: Material) -> Any:
    rng, size = np.random.default_rng(3), (40, 50)
    canvas = scenery.procedural(rng, size)
    effects = (dynamic_background.waving, dynamic_background.foliage, dynamic_background.tree_shade)
    return [canvas, *(make(rng, size)(canvas, 7) for make in effects)]


def instances(material: Material) -> Any:
    frames, masks = clip(3, 3, 64, 96, 2)
    planes = np.stack([masks == number for number in (1, 2)])
    labels, sizes = np.array([4, 7]), Sizes((48, 56), 96, (60, 80), 40, 70)
    pseudo = [pseudo_clip(np.random.default_rng(i), frames[0], planes[:, 0], labels, 3) for i in range(4)]
    changed = [
        augmented(np.random.default_rng(i), pseudo[i % 4], colours=i > 3, sizes=sizes) for i in range(8)
    ]
    return [(item.frames, item.labels, item.masks, item.boxes) for item in (*pseudo, *changed) if item]


@dataclass(frozen=True)
class Numbered:
    """Footage whose objects have their number as their class."""

    footage: Footage
    complete: ClassVar[bool] = True

    def __len__(self) -> int:
        return len(self.footage)

    def label(self, number: int) -> int:
        return number

    def read(self, index: int) -> tuple[Bytes, Bytes]:
        return self.footage.read(index)


def classed(material: Material) -> Any:
    sampler = InstanceClipSampler(
        [(1.0, [*map(Numbered, material.videos)]), (1.0, [*map(Numbered, material.stills)])]
    )
    batches = InstanceBatches(6, 3, sampler, SHAPE, 0.4)
    return [batches[number] for number in range(6)]


MAKERS: Sequence[Callable[[Material], Any]] = (
    tracking,
    stcn,
    prompts,
    foreground,
    backgrounds,
    instances,
    classed,
)


def samples(make: Callable[[Material], Any], folder: Path) -> list[float]:
    return fingerprint(make(gather(map(str, write_all(folder)), report=print)))


@pytest.mark.parametrize("make", MAKERS, ids=lambda make: make.__name__)
def test_samples_of_a_seed_are_what_they_were(make: Callable[[Material], Any], tmp_path: Path) -> None:
    known = json.loads(NUMBERS.read_text("utf-8"))
    numbers = known.get(f"{make.__name__}{WARPS}", known[make.__name__])
    # Libraries that handle images round a level otherwise now and then.
    np.testing.assert_allclose(samples(make, tmp_path), numbers, rtol=1e-3, atol=50)


if __name__ == "__main__":
    found = json.loads(NUMBERS.read_text("utf-8"))
    for make in MAKERS:
        name = f"{make.__name__}{WARPS}"
        with tempfile.TemporaryDirectory() as folder:
            found[name if name in found else make.__name__] = samples(make, Path(folder))
    NUMBERS.write_text(json.dumps(found, indent=1) + "\n", "utf-8")
