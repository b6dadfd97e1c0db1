"""Calls as programs write them: ``make types`` checks that mypy and pyright take them, and refuse wrong ones.

It is never run. A line with an ``ignore`` must be refused, else the checkers say that nothing is ignored.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import assert_type

import numpy as np
import torch
from PIL import Image

import segue
from segue import jobs
from segue.metrics.evaluation import Evaluation
from segue.models.stcn import STCNLite
from segue.sessions.detected import DetectionSession


class Another(torch.nn.Module):
    """A network of a program or package of its own."""


IMAGE = np.zeros((9, 9, 3), np.uint8)
IMAGES = [IMAGE]
MASK = np.zeros((9, 9), np.uint8)
BOX = np.array([1, 2, 8, 8])
POINTS = np.array([[1, 2], [3, 4]], np.float32)


def boxes() -> Iterator[object]:
    for box in ((1, 2, 8, 8), [1.0, 2, 8, 8], BOX, torch.from_numpy(BOX), (np.float32(1), 2, 8, 8)):
        yield segue.track(IMAGES, box=box)
    yield segue.track(IMAGES, boxes={1: BOX, 2: (1, 2, 8, 8)})
    yield segue.track(IMAGES, boxes=BOX[None])
    yield segue.track(IMAGES, boxes=[[1, 2, 8, 8]])
    yield segue.track(IMAGES, {0: [segue.BoxPrompt(1, BOX, label="fish")]})
    yield segue.track(IMAGES, box="1,2,8,8")  # type: ignore[arg-type]
    yield segue.BoxPrompt(1, "1,2,8,8")  # type: ignore[arg-type]


def points() -> Iterator[object]:
    yield segue.track(IMAGES, points=(1, 2))
    yield segue.track(IMAGES, points=[(1, 2)], labels=[True], negative=np.array([3, 4]))
    yield segue.track(IMAGES, points=POINTS, labels=np.array([1, 0]))
    yield segue.track(IMAGES, points=torch.from_numpy(POINTS), labels=torch.tensor([1, 0]))
    yield segue.track(IMAGES, segue.PointPrompt(1, POINTS, [(5, 6)]))
    yield segue.track(IMAGES, scribble=[POINTS, [(5, 6), (7, 8)]])
    yield segue.track(IMAGES, segue.ScribblePrompt(1, [POINTS]))
    yield segue.track(IMAGES, scribble="1,2")  # type: ignore[arg-type]
    yield segue.track(IMAGES, points="1,2")  # type: ignore[arg-type]


def masks() -> Iterator[object]:
    for mask in (MASK, MASK > 0, torch.from_numpy(MASK), Image.fromarray(MASK), "first.png"):
        yield segue.track(IMAGES, mask)
        yield segue.track(IMAGES, {0: mask})
        yield segue.track(IMAGES, {0: [segue.MaskPrompt(1, mask)]})
        yield segue.track(IMAGES, masks={1: mask})
        yield segue.track(IMAGES, masks=[mask])
    yield segue.track(IMAGES, masks={1: [(1, 2), (8, 2), (8, 8)], 2: {"size": [9, 9], "counts": "i2"}})
    first = next(segue.track(IMAGES, MASK))
    yield segue.track(IMAGES, first)
    yield segue.track(IMAGES, {0: first.prompts, 3: [segue.RemovePrompt(1)]})
    yield segue.track(IMAGES, masks=3)  # type: ignore[call-overload]


def sources() -> Iterator[object]:
    for source in ("my.mp4", 0, IMAGES, IMAGE[None], torch.from_numpy(IMAGE)[None], Image.fromarray(IMAGE)):
        yield segue.track(source, MASK)
        yield segue.foreground(source)
        yield segue.open_source(source)
    with open("my.mp4", "rb") as file:  # noqa: PTH123
        yield segue.track(file, MASK)
    yield segue.track(2.5, MASK)  # type: ignore[call-overload]


def sessions() -> Iterator[object]:
    session = segue.TrackSession("stcn-lite")
    for image in (IMAGE, torch.from_numpy(IMAGE), Image.fromarray(IMAGE), segue.Frame(0, 0.0, IMAGE)):
        yield session.step(image, box=BOX)
    session.add(points=POINTS, labels=np.array([1, 0]), id=2)
    video = segue.Video(IMAGES)
    yield video.add(0, points=POINTS, labels=np.array([1, 0], np.int32), id=3)
    yield video.add(0, masks={3: MASK})
    prompter = segue.Prompter(Image.fromarray(IMAGE))
    yield prompter(box=BOX, points=POINTS, scribble=[POINTS], mask=torch.from_numpy(MASK))


def types_of_results() -> None:
    assert_type(segue.track(IMAGES, box=BOX).session, segue.TrackSession)
    assert_type(segue.track(IMAGES, text="person").session, DetectionSession)
    assert_type(segue.track(IMAGES, segue.Auto()).session, DetectionSession)
    assert_type(segue.load("stcn-lite"), STCNLite)
    assert_type(segue.load(STCNLite), STCNLite)
    assert_type(segue.load(Another, device="cpu"), Another)
    assert_type(segue.load("stcn-lite", device="cpu", fast=False), STCNLite)
    assert_type(segue.run("davis", "DAVIS", output="out").evaluation, Evaluation)
    assert_type(segue.run("ytvos", "YouTubeVOS", output="out").evaluation, Evaluation | None)
    segue.track(IMAGES, segue.Auto(), box=BOX)  # type: ignore[call-overload]
    segue.track(IMAGES, text="person", box=BOX)  # type: ignore[call-overload]


def networks() -> Iterator[object]:
    for name in ("stcn-lite", "stcn-lite-free"):
        yield segue.TrackSession(segue.load(name))
    yield segue.TrackSession(segue.load("stcn-lite", device="cpu"))
    yield segue.TrackSession(segue.load("stcn"))
    yield segue.TrackSession(segue.load("stm"))
    yield segue.TrackSession(segue.load("xmem"))
    yield segue.TrackSession(segue.load("cutie"))
    yield segue.Video(IMAGES, model=segue.load("sam2-tiny"))
    yield segue.ForegroundSession(segue.load("mustan-lite"))
    yield segue.foreground(IMAGES, model=segue.load("mustan1"))
    yield segue.foreground(IMAGES, model=segue.load("mustan2"))
    yield segue.foreground(IMAGES, model=segue.load("hofam"))
    yield segue.foreground(IMAGES, model=segue.load("fgsegnet"))
    yield segue.instances(IMAGES, model=segue.load("msstsvis-lite"))
    yield segue.Prompter(IMAGE, segue.load("segue-prompt"))


def outputs() -> Iterator[object]:
    yield jobs.Outputs(folder="out")
    yield jobs.Outputs(folder=Path("out"), formats=["png"], sound=False)
    yield jobs.Outputs(formats="png,overlay")
    yield jobs.Outputs(folder=3)  # type: ignore[arg-type]
    yield segue.detector("nanodet", classes=["person", 3])
