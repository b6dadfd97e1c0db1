"""How much of the bundled sample a tracker claims where no object is near: what it leaves behind.

Example::

    python benchmarks/trail.py runs/more/stcn-lite.safetensors

Prints for the weights that ship, and for each given file, the pixels of 80 frames that lie more than 5 pixels
outside the painted mask of their object, and the mean IoU over frames and objects.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import cv2
import numpy as np
import torch

import segue
from segue.errors import SegueError
from segue.masks import read_index_mask

sys.path.append(str(Path(__file__).resolve().parents[1]))
from tools.sample.clip import BUNDLED, OBJECTS, SampleClip

NEAR = 5
"""Pixels around an object that do not count."""


def main() -> int:
    """Follow the sample with each network; 0 if all went well, 2 if weights do not load."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("weights", nargs="*", type=Path, help="files of stcn-lite beside the one that ships")
    files = [None, *parser.parse_args().weights]
    torch.set_num_threads(1)
    given = {0: read_index_mask(BUNDLED / "first.png")}
    truth = [item.mask for item in SampleClip()]
    kernel = np.ones((2 * NEAR + 1,) * 2, np.uint8)
    print("| weights | pixels far outside | mean IoU |\n| --- | --- | --- |")
    for path in files:
        try:
            network = segue.load("stcn-lite", path)
        except SegueError as error:
            print(f"error: {error}", file=sys.stderr)
            return 2
        far, overlaps = 0, []
        for result, mask in zip(segue.track(BUNDLED / "video.mp4", given, model=network), truth, strict=True):
            for i in range(1, OBJECTS + 1):
                found, real = result.mask == i, mask == i
                far += int((found & (cv2.dilate(real.astype(np.uint8), kernel) == 0)).sum())
                overlaps.append((found & real).sum() / max(1, (found | real).sum()))
        print(f"| {path or 'as shipped'} | {far:,} | {np.mean(overlaps):.3f} |", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
