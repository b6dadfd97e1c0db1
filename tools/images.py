"""Make images of the documentation again, by the commands that stand beside them.

Example::

    python -m tools.images docs/images            # all that are made here
    python -m tools.images docs/images demo live  # some

``live``, ``batch``, ``annotate``, ``compare``, ``cameras`` and ``evaluation`` need playwright and Chromium,
``isd`` the extra ``synth``, ``training_samples`` the extra ``train``. Others make the rest: the curves of a
training ``tools/training_curves.py``, Label Studio ``tools/label_studio_image.py``, the clips of the gallery
``tools/gallery.py``, those of `segue instances` ``tools/instance_images.py``.
"""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

import segue
from segue.masks import DAVIS_PALETTE, overlay, read_index_mask
from tools.gallery import write_still_video
from tools.page_images import annotate, browser_page, cameras, compare, evaluation, training_samples

SAMPLE = Path(segue.__file__).resolve().parent / "assets" / "sample"

SHOWN = 44
"""The frame of the bundled video that stands in ``demo.png``."""

STRIP = (0, 22, 36, 50, 64, 79)
"""Those of ``demo_strip.png``."""

TRACK = "segue track video.mp4 --mask first.png --format png -o out"
DETECT = "segue detect video.mp4 --start 20 -o out"
ISD = "segue synth isd out --preset isd-like --clip 20 --frames 240 --seed 3 --preview isd.png"
BATCH = (
    "segue batch videos --do foreground --model mustan-lite --format png -o results --workers 1 --threads 1"
)
LIVE = (
    "segue foreground video.mp4 --objects --events events.csv --zone 'gate=216,20 216,220' "
    "--zone 'reeds=240,60 430,60 430,235 240,235' --live --no-browser"
)

WHITE = (255, 255, 255)

HELD = 60
"""The frame from which on the image of the page of a run is held."""

Pixels = npt.NDArray[np.uint8]


def demo(scratch: Path, target: Path) -> None:
    """A frame, its mask and the overlay; and overlays from the beginning to the end."""
    run(TRACK, scratch)
    with segue.open_source(scratch / "video.mp4") as source:
        frames = {frame.index: frame.image for frame in source if frame.index in {SHOWN, *STRIP}}
    masks = {index: read_index_mask(scratch / "out" / "masks" / f"{index:05d}.png") for index in frames}
    drawn = {index: overlay(frames[index], masks[index]) for index in frames}
    coloured = np.asarray(DAVIS_PALETTE[masks[SHOWN]], np.uint8)
    save(target / "demo.png", [[frames[SHOWN], coloured, drawn[SHOWN]]])
    save(target / "demo_strip.png", [[drawn[i] for i in STRIP[:3]], [drawn[i] for i in STRIP[3:]]])


def prompts(scratch: Path, target: Path) -> None:
    """The first frame of the bundled video with each kind of prompt, and below it the masks that follow."""
    with segue.open_source(scratch / "video.mp4") as source:
        frame = next(iter(source)).image
    given = read_index_mask(scratch / "first.png")
    box, clicks = (30, 0, 176, 108), [(115, 62), (70, 25)]
    boxed, clicked, named = frame.copy(), frame.copy(), frame.copy()
    cv2.rectangle(boxed, box[:2], box[2:], WHITE, 2)
    for place in clicks:
        cv2.circle(clicked, place, 6, (0, 0, 0), -1, cv2.LINE_AA)
        cv2.circle(clicked, place, 4, (60, 230, 90), -1, cv2.LINE_AA)
    cv2.putText(named, "red object", (12, 228), cv2.FONT_HERSHEY_SIMPLEX, 0.9, (0, 0, 0), 5, cv2.LINE_AA)
    cv2.putText(named, "red object", (12, 228), cv2.FONT_HERSHEY_SIMPLEX, 0.9, WHITE, 2, cv2.LINE_AA)
    marked = [np.asarray(DAVIS_PALETTE[given], np.uint8), boxed, clicked, named]
    calls: list[dict[str, Any]] = [
        {"prompts": given},
        {"box": box},
        {"points": clicks},
        {"prompts": segue.Auto(text="red object", frames=[0], score=0.4)},
    ]
    results = [next(segue.track([frame], **call)) for call in calls]
    save(target / "prompts.png", [marked, [overlay(frame, result.mask) for result in results]])


def detect(scratch: Path, target: Path) -> None:
    """What a detector finds on a frame."""
    run(DETECT, scratch)
    Image.open(scratch / "out" / "overlay.png").convert("RGB").save(target / "detect.jpg", quality=90)


def isd(scratch: Path, target: Path) -> None:
    """Frames of rendered clips above their labels."""
    run(ISD, scratch)
    shutil.copy(scratch / "isd.png", target / "isd.png")


def batch(scratch: Path, target: Path) -> None:
    """The report of a batch of three videos, one of which is none."""
    videos = scratch / "videos"
    videos.mkdir()
    shutil.copy(scratch / "video.mp4", videos / "pond.mp4")
    write_still_video(videos / "still.mp4")
    (videos / "broken.mp4").write_bytes(b"no video")
    run(BATCH, scratch, codes=(0, 1))
    with browser_page(1360, 680) as page:
        page.goto((scratch / "results" / "report.html").as_uri())
        page.screenshot(path=target / "batch.jpg", quality=85)


def live(scratch: Path, target: Path) -> None:
    """The page of a run, in the browser."""
    command = [sys.executable, "-m", *shlex.split(LIVE)]
    print(LIVE, flush=True)
    with (
        subprocess.Popen(command, cwd=scratch, stdout=subprocess.PIPE, text=True) as process,
        browser_page(1280, 720) as page,
    ):
        assert process.stdout is not None
        address = next(found[0] for line in process.stdout if (found := re.search(r"http://\S+", line)))
        page.goto(address)
        while done(page.locator("#frames").inner_text()) < HELD:
            page.wait_for_timeout(100)
        page.keyboard.press("Space")
        page.screenshot(path=target / "live.jpg", quality=85)


def done(text: str) -> int:
    """Frames of a text such as ``67 of 80 frames``; 0 for what else a run counts."""
    return int(text.split()[0]) if text.endswith(" frames") else 0


def run(command: str, folder: Path, codes: tuple[int, ...] = (0,)) -> None:
    """Run a command of segue in a folder; it has to end with one of the codes."""
    print(command, flush=True)
    ended = subprocess.run([sys.executable, "-m", *shlex.split(command)], cwd=folder, check=False)
    if ended.returncode not in codes:
        raise SystemExit(f"{command}: ended with {ended.returncode}")


def save(path: Path, rows: list[list[Pixels]], gap: int = 6) -> None:
    """Write images side by side with white gaps, in 256 colours to keep the file small."""
    lines: list[Pixels] = []
    for row in rows:
        white = np.full((row[0].shape[0], gap, 3), 255, np.uint8)
        lines.append(np.hstack([part for cell in row for part in (cell, white)][:-1]))
        lines.append(np.full((gap, lines[0].shape[1], 3), 255, np.uint8))
    image = Image.fromarray(np.vstack(lines[:-1])).quantize(256, method=Image.Quantize.MEDIANCUT)
    image.save(path, optimize=True)


MAKERS: dict[str, Callable[[Path, Path], None]] = {
    "demo": demo,
    "prompts": prompts,
    "detect": detect,
    "isd": isd,
    "live": live,
    "batch": batch,
    "annotate": annotate,
    "compare": compare,
    "cameras": cameras,
    "evaluation": evaluation,
    "training_samples": training_samples,
}


def main(target: Path, *names: str) -> None:
    """Make each image in a scratch folder of its own, beside the bundled video."""
    for name in names or MAKERS:
        with tempfile.TemporaryDirectory() as scratch:
            for file in ("video.mp4", "first.png"):
                shutil.copy(SAMPLE / file, scratch)
            MAKERS[name](Path(scratch), target.resolve())


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
