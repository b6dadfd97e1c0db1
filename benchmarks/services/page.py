"""Processor time and memory of people who look at the wall of the page of cameras.

Run it as ``python -m benchmarks.services.page``. The cameras give frames, and watch nothing.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import threading
import time
from collections.abc import Sequence
from multiprocessing.sharedctypes import Synchronized
from pathlib import Path
from typing import Any

import numpy as np
import torch
from websockets.sync.client import connect
from websockets.typing import Origin

from benchmarks.lib.machine import describe
from segue.jobs.values import ForegroundJob, Model, VideoSource
from segue.types import Frame, Segmentation
from segue_watch.camera import Camera
from segue_watch.threads import sharing_cores
from segue_watch.web.page import CameraPage


def result(height: int = 240, width: int = 320) -> tuple[Frame, Segmentation]:
    """An image with an object."""
    rows, columns = np.indices((height, width))
    image = np.stack([rows, columns, rows + columns], axis=2).astype(np.uint8)
    mask = np.zeros((height, width), np.uint8)
    mask[50:90, 60:100] = 1
    return Frame(0, 0.0, image), Segmentation(0, 0.0, mask, ())


def camera(name: str) -> Camera:
    """A camera that watches nothing."""
    job = ForegroundJob(source=VideoSource(place="0"), model=Model(name="median"))
    return Camera(name, job, lambda *_: None, lambda _: None)


def give_frames(cameras: Sequence[Camera], fps: float, stop: threading.Event) -> None:
    """Give all cameras new frames until stopped."""
    frame, segmentation = result()
    while not stop.wait(1 / fps):
        for each in cameras:
            each.frame(frame, segmentation, "")


def look(address: str, people: int, seconds: float, received: Synchronized[int]) -> None:
    """Have people look at the wall, each in a thread."""

    def person() -> None:
        seen, count = dict[str, int](), 0
        with connect(f"{address}ws", origin=Origin(origin), proxy=None) as page:
            while time.monotonic() < end:
                page.send(json.dumps({"id": 1, "op": "images", "seen": seen, "width": 320}))
                answer: dict[str, Any] = {}
                while answer.get("id") != 1:
                    answer = json.loads(page.recv(60))
                if answer.get("data"):
                    page.recv(60)
                seen |= {image["camera"]: image["frame"] for image in answer["images"]}
                count += len(answer["images"])
        with received.get_lock():
            received.value += count

    origin, end = address.replace("ws", "http", 1).rstrip("/"), time.monotonic() + seconds
    threads = [threading.Thread(target=person) for _ in range(people)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def memory() -> float:
    """Resident memory of this process, in MB."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 1e6


def main() -> None:
    """Print all figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cameras", type=int, default=8)
    parser.add_argument("--people", type=int, nargs="+", default=[0, 1, 8, 32])
    parser.add_argument("--fps", type=float, default=5.0)
    parser.add_argument("--seconds", type=float, default=10.0)
    options = parser.parse_args()
    print(describe(torch.get_num_threads()))
    cameras, stop = [camera(f"camera{number}") for number in range(options.cameras)], threading.Event()
    with sharing_cores(options.cameras), CameraPage(cameras, 0) as page:
        for each in cameras:
            each.on_frame = page.changed
        giving = threading.Thread(target=give_frames, args=(cameras, options.fps, stop))
        giving.start()
        context = multiprocessing.get_context("spawn")
        for people in options.people:
            received = context.Value("q", 0)
            arguments = page.address.replace("http", "ws", 1), people, options.seconds, received
            viewers = context.Process(target=look, args=arguments)
            before, begun = time.process_time(), time.monotonic()
            viewers.start()
            viewers.join()
            passed = time.monotonic() - begun
            used = 100 * (time.process_time() - before) / passed
            print(
                f"{people} people: {used:.1f} % of a core, {received.value / passed:.0f} images/s, "
                f"memory {memory():.0f} MB"
            )
        stop.set()
        giving.join()


if __name__ == "__main__":
    main()
