"""Draw what `segue instances` finds in videos, at three moments of each, as in docs/gallery.md.

Example::

    python tools/instance_images.py ../shared/data/clips/*.mp4 --out docs/images
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import cv2
import numpy as np
import torch

import segue
from segue.masks import overlay
from segue.types import Image, Segmentation

MOMENTS = (0.15, 0.5, 0.85)
"""When, as shares of a video."""

WIDTH, QUALITY, GAP = 400, 82, 4


def main() -> int:
    """Write one strip for each video."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("videos", nargs="+", type=Path)
    parser.add_argument("--out", type=Path, default=Path("docs/images"))
    parser.add_argument("--model", help="as for segue instances  [default: the default there]")
    parser.add_argument("--max-size", type=int, default=640, help="longer side of the frames")
    parser.add_argument("--stride", type=int, default=1, help="take every n-th frame")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    given.out.mkdir(parents=True, exist_ok=True)
    for video in given.videos:
        source = segue.open_source(video, max_size=given.max_size, stride=given.stride)
        with source:
            images = [frame.image for frame in source]
        moments = {round(share * (len(images) - 1)) for share in MOMENTS}
        strips, ids = [], set()
        for t, result in enumerate(segue.instances(images, model=given.model, device="cpu")):
            ids |= {(item.id, item.label) for item in result.objects if item.area}
            if t in moments:
                strips.append(drawn(images[t], result))
        path = given.out / f"instances_{video.stem.split('_')[0]}.jpg"
        gap = np.full((strips[0].shape[0], GAP, 3), 255, np.uint8)
        strip = np.concatenate([part for strip_part in strips for part in (strip_part, gap)][:-1], 1)
        _, data = cv2.imencode(".jpg", strip[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
        path.write_bytes(data.tobytes())
        named = ", ".join(f"{number} {label}" for number, label in sorted(ids, key=str))
        print(f"{path}: {len(data) / 1000:.0f} kB, {len(images)} frames, objects {named}", flush=True)
    return 0


def drawn(image: Image, result: Segmentation) -> Image:
    """A frame with the outlines and names of its objects, ``WIDTH`` pixels wide."""
    captions = {item.id: item.label for item in result.objects if item.label}
    marked = overlay(image, result.mask, captions=captions)
    height = round(marked.shape[0] * WIDTH / marked.shape[1])
    return np.asarray(cv2.resize(marked, (WIDTH, height), interpolation=cv2.INTER_AREA), np.uint8)


if __name__ == "__main__":
    sys.exit(main())
