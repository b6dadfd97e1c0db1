"""Watch several cameras of this machine on one core: frames a second, processor time of a frame, and memory.

Example::

    python -m benchmarks.services.cameras --images CDNET/baseline/highway/input \\
        --images CDNET/baseline/office/input \\
        --cameras 8 --seconds 60 --fast

Each camera shows a folder of images again and again as MJPEG, forwards and backwards, at 5 frames a second;
they take the folders in turn. With ``--h264 25`` they send H.264 in MPEG-TS at 25 frames a second, of which 5
are taken; give so many images (``--number``) that they last. ``segue watch`` gets one core, and the cameras
another one where there is one. The first 20 seconds are not measured: all networks and backgrounds are made
there.
"""

from __future__ import annotations

import argparse
import io
import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from pathlib import Path
from urllib.request import urlopen

import av
import cv2
import numpy as np
from PIL import Image

from benchmarks.lib.machine import describe
from segue.video import open_source

WARM_UP = 20.0
"""Seconds that are not measured."""

PORT = 18473
"""Port of the page of the cameras."""


def jpegs_of(folder: Path, size: tuple[int, int], number: int) -> list[bytes]:
    """The first images of a folder at a width and height as JPEG, forwards and backwards."""
    with open_source(folder, end=number) as source:
        images = [cv2.cvtColor(cv2.resize(frame.image, size), cv2.COLOR_RGB2BGR) for frame in source]
    coded = [cv2.imencode(".jpg", image, (cv2.IMWRITE_JPEG_QUALITY, 90))[1].tobytes() for image in images]
    return [*coded, *coded[-2:0:-1]]


def packets_of(film: list[bytes], rate: int) -> list[bytes]:
    """A film as H.264 in MPEG-TS at so many frames a second, a part for each frame."""
    parts, file = list[bytes](), io.BytesIO()
    with av.open(file, "w", format="mpegts") as container:
        stream = container.add_stream("libx264", rate=rate)
        images = [np.asarray(Image.open(io.BytesIO(each)).convert("RGB")) for each in film]
        stream.height, stream.width = images[0].shape[:2]
        stream.pix_fmt, stream.gop_size = "yuv420p", 2 * rate
        stream.options = {"preset": "veryfast", "tune": "zerolatency", "crf": "23"}
        for image in images:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, "rgb24")))
            parts.append(file.getvalue())
            file.seek(0)
            file.truncate()
        container.mux(stream.encode())
    return parts


def serve(
    films: Sequence[list[bytes]],
    fps: float,
    ports: multiprocessing.SimpleQueue[int],
    core: int,
    is_h264: bool,
) -> None:
    """Show films as MJPEG, or as they are in MPEG-TS: that of /N is film N."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {core})

    class Camera(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            film = films[int(self.path[1:]) % len(films)]
            self.send_response(200)
            kind = "video/mp2t" if is_h264 else "multipart/x-mixed-replace; boundary=b"
            self.send_header("Content-Type", kind)
            self.end_headers()
            begun = time.monotonic()
            try:
                for index in count():
                    jpeg = film[index % len(film)]
                    if is_h264:
                        self.wfile.write(jpeg)
                        time.sleep(max(0.0, begun + (index + 1) / fps - time.monotonic()))
                        continue
                    head = b"--b\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n" % len(jpeg)
                    self.wfile.write(head + jpeg + b"\r\n")
                    time.sleep(max(0.0, begun + (index + 1) / fps - time.monotonic()))
            except OSError:
                pass

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Camera)
    ports.put(server.server_port)
    server.serve_forever()


def used(pid: int) -> tuple[float, float]:
    """Processor time in seconds, and memory in MB, of a process."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    ticks = int(fields[11]) + int(fields[12])
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    kilobytes = next(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:"))
    return ticks / os.sysconf("SC_CLK_TCK"), kilobytes / 1024


def frames_of(port: int) -> tuple[int, int]:
    """Frames that all cameras together have looked at, and that they have dropped."""
    with urlopen(f"http://127.0.0.1:{port}/states", timeout=10) as answer:  # also while one is not there
        states = json.load(answer).values()
    return sum(state["frames"] for state in states), sum(state["dropped"] for state in states)


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    add = parser.add_argument
    add("--images", type=Path, action="append", required=True, help="folder; may be given several times")
    add("--number", type=int, default=200, help="images of each folder")
    add("--size", default="320x240", help="of the cameras")
    add("--cameras", type=int, default=8)
    add("--fps", type=float, default=5.0)
    add("--seconds", type=float, default=60.0)
    add("--fast", action="store_true", help="8-bit integers")
    add("--h264", type=int, metavar="RATE", help="send H.264 at so many frames a second")
    add("--detector", default="nanodet", help="none is without the stage agreement")
    add("--clips", default="packets", choices=("packets", "overlay"))
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print."""
    options = parse(arguments)
    width, height = map(int, options.size.split("x"))
    films = [jpegs_of(folder, (width, height), options.number) for folder in options.images]
    cores = sorted(os.sched_getaffinity(0))
    ports: multiprocessing.SimpleQueue[int] = multiprocessing.SimpleQueue()
    if options.h264:
        films = [packets_of(film, options.h264) for film in films]
    given = films, options.h264 or options.fps, ports, cores[-1], bool(options.h264)
    server = multiprocessing.Process(target=serve, args=given, daemon=True)
    server.start()
    port = ports.get()
    with tempfile.TemporaryDirectory() as folder:
        lines = ["[defaults]", f"fast = {str(options.fast).lower()}", 'device = "cpu"']
        lines += [f"fps = {options.fps}", f'clips = "{options.clips}"', f'detector = "{options.detector}"']
        for number in range(options.cameras):
            lines += [f"[cameras.camera{number}]", f'source = "http://127.0.0.1:{port}/{number}"']
        file = Path(folder) / "cameras.toml"
        file.write_text("\n".join(lines))
        command = [sys.executable, "-m", "segue", "watch", str(file), "-o", folder, "--port", str(PORT)]
        process = subprocess.Popen(
            command,
            stdout=subprocess.DEVNULL,
            preexec_fn=lambda: os.sched_setaffinity(0, {cores[0]}),
        )
        try:
            time.sleep(WARM_UP)
            begun, (before, _), (frames, dropped) = time.monotonic(), used(process.pid), frames_of(PORT)
            time.sleep(options.seconds)
            seconds, (after, memory), now = time.monotonic() - begun, used(process.pid), frames_of(PORT)
        finally:
            process.terminate()
            process.wait()
            server.terminate()
    done = now[0] - frames
    print(f"Measured on {describe(1)}.\n")
    print("| cameras | frames a second | of | ms of processor time a frame | dropped | MB |")
    print("| --- | --- | --- | --- | --- | --- |")
    offered, cost = options.cameras * options.fps, 1000 * (after - before) / max(1, done)
    print(
        f"| {options.cameras} | {done / seconds:.1f} | {offered:.0f} | {cost:.1f} | "
        f"{now[1] - dropped} | {memory:.0f} |"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
