"""How soon the page answers: clicks, and a video of two hours at 1920x1080.

Run on an idle machine: ``python benchmarks/annotate.py``. The long video is made of ten seconds that are
encoded once and copied; its frames are as hard to decode as those of any video of its bit rate.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import torch

from machine import describe
from segue_web.video import Video
from segue_web.worker import Tools

SAMPLE = Path(__file__).resolve().parents[1] / "src" / "segue" / "assets" / "sample" / "video.mp4"
FPS = 25


def main() -> None:
    """Print all figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=int, default=120)
    parser.add_argument("--video", type=Path, default=SAMPLE, help="video to click on")
    arguments = parser.parse_args()
    print(describe(torch.get_num_threads()))
    clicks(arguments.video)
    with tempfile.TemporaryDirectory() as folder:
        for form in ("mp4", "matroska"):
            long_film(Path(folder) / f"long.{form}", form, arguments.minutes)


def clicks(path: Path) -> None:
    """First and further clicks, as the process behind the page answers them."""
    tools = Tools(path, None, ("stcn-lite", None), "segue-prompt", "cpu")
    tools.prepare(0)
    height, width = tools.video.size
    first, further, generator = [], [], np.random.default_rng(0)
    for index in range(0, min(tools.video.count, 40), 2):
        points = [(float(x), float(y)) for x, y in generator.uniform((0, 0), (width, height), (3, 2))]
        first.append(seconds(lambda: tools.prompter(index)(points=points[:1])))  # noqa: B023  called at once
        for count in (2, 3):
            further.append(seconds(lambda: tools.prompter(index)(points=points[:count])))  # noqa: B023
    print(f"{path.name} {width}x{height}: first click {ms(first)}, further clicks {ms(further)}")


def long_film(path: Path, form: str, minutes: int) -> None:
    """Opening, and frames at random places."""
    write_long_film(path, form, minutes)
    made: list[Video] = []
    opening = seconds(lambda: made.append(Video(path)))
    video = made[0]
    since = time.perf_counter()
    while not video.exact:
        time.sleep(0.05)
    scanned = time.perf_counter() - since
    places = np.random.default_rng(1).integers(0, video.count, 12).tolist()
    near = [seconds(lambda: video.jpeg(place, near=True)) for place in places]  # noqa: B023
    exact = [seconds(lambda: video.jpeg(place)) for place in places]  # noqa: B023
    size = path.stat().st_size / 2**20
    print(
        f"{form}, {video.count} frames of {video.size[1]}x{video.size[0]}, {size:.0f} MiB: "
        f"opened in {opening:.2f} s, index exact {scanned:.1f} s later, "
        f"key frame {ms(near)}, exact frame {ms(exact)}"
    )
    video.close()


def write_long_film(path: Path, form: str, minutes: int) -> None:
    """Ten seconds, over and over."""
    piece = path.with_name("piece.mp4")
    if not piece.exists():
        encode(piece)
    source, target = av.open(str(piece)), av.open(str(path), "w", format=form)
    stream = source.streams.video[0]
    copy = target.add_stream_from_template(stream)
    packets = [packet for packet in source.demux(stream) if packet.pts is not None and packet.dts is not None]
    kept = [(bytes(packet), packet.pts, packet.dts, packet.is_keyframe) for packet in packets]
    step = round(10 / stream.time_base)
    for turn in range(6 * minutes):
        for data, pts, dts, key in kept:
            packet = av.Packet(data)
            packet.stream, packet.time_base = copy, stream.time_base
            packet.pts, packet.dts, packet.is_keyframe = pts + turn * step, dts + turn * step, key
            target.mux(packet)
    target.close()


def encode(path: Path) -> None:
    """Ten seconds of moving texture with a grain, a key frame every ten seconds."""
    container = av.open(str(path), "w")
    stream = container.add_stream("libx264", rate=FPS)
    stream.width, stream.height, stream.pix_fmt = 1920, 1080, "yuv420p"
    stream.codec_context.time_base = Fraction(1, FPS)
    stream.options = {"g": "250", "preset": "veryfast", "crf": "26"}
    texture = (
        np.random.default_rng(0)
        .integers(0, 256, (1080 // 8, 4000 // 8, 3), np.uint8)
        .repeat(8, 0)
        .repeat(8, 1)
    )
    for index in range(10 * FPS):
        picture = np.ascontiguousarray(texture[:, 6 * index : 6 * index + 1920])
        container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
    container.mux(stream.encode(None))
    container.close()


def seconds(call: Callable[[], object]) -> float:
    """Time of one call."""
    since = time.perf_counter()
    call()
    return time.perf_counter() - since


def ms(times: list[float]) -> str:
    """Median and the largest."""
    return f"{1000 * statistics.median(times):.0f} ms (at most {1000 * max(times):.0f})"


if __name__ == "__main__":
    main()
