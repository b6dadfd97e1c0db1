"""Run a released checkpoint on a small public video, and compare with values that others published for it.

Example::

    make verify-release NAME=sam2-tiny
    python tools/verify_release.py --list

Needs a network. The checkpoint and the video are downloaded as by ``segue weights get``: resumed, checked by
SHA-256 where the publisher gives one, and kept in the cache folder (SEGUE_HOME). Prints each value beside the
published one; the exit code is 1 where one differs by more than the tolerance. Networks that are not listed
have published scores of whole data sets alone: the command that repeats these is printed.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np

import segue
from segue.entries.networks import Remote
from segue.errors import SegueError
from segue.prompt_types import PointPrompt, Prompt
from segue.registry import MODELS
from segue.utils.cache import cache_folder
from segue.video import open_source
from segue.weights import load
from segue.weights.download import fetch
from segue.weights.loading import get
from segue_papers import TABLES


@dataclass(frozen=True, slots=True)
class Release:
    """What somebody published of a released checkpoint on a video.

    Attributes:
        video: where it is.
        prompts: what is given on its first frame; the object is 1.
        logits: log-odds of the object at (x, y) of each of the first frames.
        tolerance: largest difference; decoders and the reduction of images differ a little.
        source: who published the values, and where.
    """

    video: Remote
    prompts: Sequence[Prompt]
    logits: Sequence[Mapping[tuple[int, int], float]]
    tolerance: float
    source: str


RELEASES: Mapping[str, Release] = {
    "sam2-tiny": Release(
        Remote(
            "https://huggingface.co/datasets/hf-internal-testing/sam2-fixtures/resolve/main/bedroom.mp4",
            "bedroom.mp4",
        ),
        (PointPrompt(1, ((210, 350),)),),
        (
            {(0, 0): -21.4113, (1, 0): -21.4113, (0, 1): -23.3090, (1, 1): -23.3090},
            {(0, 0): -20.1003, (1, 0): -20.1003, (0, 1): -21.2294, (1, 1): -21.2294},
            {(0, 0): -19.9619, (1, 0): -19.9619, (0, 1): -21.3060, (1, 1): -21.3060},
        ),
        1.0,
        "tests/models/sam2_video/test_modeling_sam2_video.py of github.com/huggingface/transformers, "
        "facebook/sam2.1-hiera-tiny with one click",
    ),
}
"""By the name of the network. Nobody has run these here: the machines of segue's authors had no network."""


@dataclass(frozen=True, slots=True)
class Compared:
    """A value of a frame: where it is, what was published, and what was found."""

    frame: int
    place: tuple[int, int]
    published: float
    found: float


def compare(name: str, release: Release, device: str | None = None) -> Iterator[Compared]:
    """Run a network on the first frames of the video of a release."""

    def trust(digest: str) -> bool:
        print(f"no checksum is published; SHA-256 of the file: {digest}", file=sys.stderr)
        return True

    get(MODELS.find(name), trust=trust)
    video = fetch(release.video, cache_folder() / "releases", trust=trust)
    session = segue.TrackSession(load(name), device=device)
    with open_source(video) as source:
        for frame, logits in zip(islice(source, len(release.logits)), release.logits, strict=True):
            result = session.step(frame, release.prompts if frame.index == 0 else None)
            rest, own = np.log(result.probabilities[:2].astype(np.float64).clip(1e-30))
            for (x, y), published in logits.items():
                yield Compared(frame.index, (x, y), published, float(own[y, x] - rest[y, x]))


def scores_of(name: str) -> list[str]:
    """Commands that repeat the published scores of a network, of whole data sets."""
    return [
        f'segue reproduce {table.paper} {table.name} --data {table.dataset}=FOLDER --row "{row.name}"'
        for table in TABLES
        for row in table.runnable
        if row.published and row.training is None and (row.model or table.model) == name
    ]


def main(arguments: Sequence[str] | None = None, releases: Mapping[str, Release] = RELEASES) -> int:
    """Compare and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("name", nargs="?", help="network, as `segue weights list` shows it")
    parser.add_argument("--device", help="where it runs; a GPU if there is one")
    parser.add_argument("--list", action="store_true", help="list the networks with published values")
    options = parser.parse_args(arguments)
    if options.list or options.name is None:
        for name, release in releases.items():
            print(f"{name}: {release.source}")
        return 0
    wanted: str = options.name
    try:
        MODELS.find(wanted)
        if wanted not in releases:
            known = "; ".join(scores_of(wanted)) or "no score of it is published either"
            raise SegueError(f"{wanted} has no published values of a small video; its scores: {known}")
        release = releases[wanted]
        rows = list(compare(wanted, release, options.device))
    except SegueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f"{wanted} on {Path(release.video.name)}; published: {release.source}")
    print("| frame | x, y | published | found | difference |\n| --- | --- | ---: | ---: | ---: |")
    for row in rows:
        x, y = row.place
        difference = row.found - row.published
        print(f"| {row.frame} | {x}, {y} | {row.published:.4f} | {row.found:.4f} | {difference:+.4f} |")
    largest = max(abs(row.found - row.published) for row in rows)
    equal = largest <= release.tolerance
    verdict = "equal" if equal else "DIFFERENT"
    print(f"largest difference {largest:.4f}, tolerance {release.tolerance}: {verdict}")
    return 0 if equal else 1


if __name__ == "__main__":
    sys.exit(main())
