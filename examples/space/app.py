"""A Hugging Face Space: click an object on the first frame of a video, and segue tracks it."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np

import segue
from segue.masks.drawing import overlay

MODEL = "stcn-lite"
"""A network of the package, a folder of ``segue.save_pretrained``, or the id of its repository."""

NETWORK = segue.from_pretrained(MODEL)

Clicks = list[tuple[int, int, bool]]
"""Places ``(x, y)`` on the first frame, and whether they are on the object."""

Places = tuple[tuple[int, int], ...]


def first_frame(video: str | None) -> tuple[Any, Clicks]:
    """The image to click on, and no clicks yet."""
    if video is None:
        return None, []
    with segue.open_source(video) as source:
        return next(iter(source)).image, []


def add_click(video: str, clicks: Clicks, kind: str, event: gr.SelectData) -> tuple[Any, Clicks, str]:
    """The first frame with the mask of all clicks."""
    x, y = event.index
    clicks = [*clicks, (x, y, kind == "on the object")]
    image, _ = first_frame(video)
    on, beside = as_points(clicks)
    answer = segue.Prompter(image)(points=on, negative=beside)
    shown = overlay(image, answer.mask.astype(np.uint8))
    return shown, clicks, f"expected overlap with what you mean: {float(answer.iou[0]):.0%}"


def as_points(clicks: Clicks) -> tuple[Places, Places]:
    """The places on the object, and those beside it."""
    on = tuple((x, y) for x, y, positive in clicks if positive)
    if not on:
        raise gr.Error("Click on the object first.")
    return on, tuple((x, y) for x, y, positive in clicks if not positive)


def follow(video: str | None, clicks: Clicks) -> str:
    """The video with the object drawn into every frame."""
    if video is None or not clicks:
        raise gr.Error("Give a video, and click on an object of its first frame.")
    prompt = segue.PointPrompt(1, *as_points(clicks))
    target = Path(tempfile.mkdtemp()) / "overlay.mp4"
    try:
        segue.track(video, {0: [prompt]}, model=NETWORK).save(target, formats="overlay")
    except segue.SegueError as error:
        raise gr.Error(str(error)) from error
    return str(target)


with gr.Blocks(title="segue") as demo:
    gr.Markdown("# segue\nClick an object on the first frame; the network follows it through the video.")
    clicks = gr.State([])
    with gr.Row():
        video = gr.Video(label="Video")
        image = gr.Image(label="First frame: click here", interactive=False)
        followed = gr.Video(label="Followed")
    kind = gr.Radio(["on the object", "beside it"], value="on the object", label="A click is")
    score = gr.Markdown()
    video.change(first_frame, video, [image, clicks])
    image.select(add_click, [video, clicks, kind], [image, clicks, score])
    gr.Button("Follow").click(follow, [video, clicks], followed)

if __name__ == "__main__":
    demo.launch()
