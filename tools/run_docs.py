"""Run the blocks of README and documentation as printed, each in a clean folder.

    python tools/run_docs.py                     # all pages
    python tools/run_docs.py docs/tracking.md

Every video that a block names is the beginning of the bundled sample, every png its first mask and every
jpg its first image. A Python block is a whole script. A block below ``<!-- not run: WHY -->`` needs a
download, a data set, a camera or a file of the reader. It is left out, and the reason is printed. The exit
code is 1 where a block fails.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import av
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
SAMPLE = ROOT / "src" / "segue" / "assets" / "sample"
PAGES = ("README.md", *sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").rglob("*.md")))
FRAMES = 10
SECONDS = 600

_BLOCK = re.compile(
    r"(?:^<!-- not run: (?P<why>[^\n]*?) -->\n+)?^```(?P<kind>python|bash)\n(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
_FILE = re.compile(r"(?<![\w/.~-])((?:pond/)?[\w-]+\.(?:mp4|png|jpg))\b")


@dataclass(frozen=True)
class Block:
    """A block of a page: ``python`` or ``bash``, its line, its text, and why it is not run, if it is not."""

    kind: str
    line: int
    text: str
    why: str | None


def blocks_of(text: str) -> Iterator[Block]:
    """The Python and shell blocks of a page in their order."""
    for found in _BLOCK.finditer(text):
        line = text.count("\n", 0, found.start("kind")) + 1
        yield Block(found["kind"], line, found["text"], found["why"])


def cut_sample(target: Path, frames: int) -> None:
    """Write the first frames of the bundled sample."""
    with av.open(str(SAMPLE / "video.mp4")) as source, av.open(str(target), "w") as made:
        origin = source.streams.video[0]
        stream = made.add_stream("libx264", rate=origin.average_rate)
        stream.width, stream.height, stream.pix_fmt = origin.width, origin.height, "yuv420p"
        for number, frame in enumerate(source.decode(origin)):
            if number == frames:
                break
            made.mux(stream.encode(frame.reformat(format="yuv420p")))
        made.mux(stream.encode(None))


def prepare(folder: Path, block: Block, frames: int) -> None:
    """Put the videos and images that a block names into a folder, but for what it makes itself."""
    if "segue demo" in block.text:
        return
    for name in {*_FILE.findall(block.text)}:
        (folder / name).parent.mkdir(exist_ok=True)
        if name.endswith(".png"):
            shutil.copyfile(SAMPLE / "first.png", folder / name)
        elif name.endswith(".jpg"):
            with av.open(str(SAMPLE / "video.mp4")) as video:
                image = next(video.decode(video=0)).to_ndarray(format="rgb24")
            Image.fromarray(image).save(folder / name)
        else:
            cut_sample(folder / name, frames)


def run_block(block: Block, frames: int) -> tuple[int, str]:
    """Run a block in a clean folder; gives its exit code and what it said on standard error."""
    path = os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", "")))
    with tempfile.TemporaryDirectory() as place:
        prepare(Path(place), block, frames)
        script = Path(place) / f".block.{'py' if block.kind == 'python' else 'sh'}"
        script.write_text(block.text, "utf-8")
        command = [sys.executable, script.name] if block.kind == "python" else ["bash", "-e", script.name]
        with subprocess.Popen(
            command,
            cwd=place,
            env={**os.environ, "PATH": path},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        ) as running:
            try:
                said = running.communicate(timeout=SECONDS)[1]
            except subprocess.TimeoutExpired:
                os.killpg(running.pid, signal.SIGKILL)  # also what the block has started
                return 1, f"takes more than {SECONDS} s"
        return running.returncode, said


def run_page(page: Path, frames: int = FRAMES) -> int:
    """Run the blocks of a page; gives the number that failed."""
    failed = 0
    for block in blocks_of(page.read_text("utf-8")):
        where = f"{page.name}:{block.line}"
        if block.why is not None:
            print(f"{where}: not run: {block.why}", flush=True)
            continue
        code, said = run_block(block, frames)
        failed += code != 0
        print(f"{where}: {'ran' if code == 0 else f'FAILED ({code}): {said.strip()[-600:]}'}", flush=True)
    return failed


def main() -> None:
    """Run the pages that are named, or all."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("pages", nargs="*", type=Path, default=[ROOT / page for page in PAGES])
    parser.add_argument("--frames", type=int, default=FRAMES, help="frames of the sample  [default: 10]")
    asked = parser.parse_args()
    if failed := sum(run_page(page, asked.frames) for page in asked.pages):
        sys.exit(f"{failed} blocks failed")


if __name__ == "__main__":
    main()
