"""What is wrong with a command is said before PyTorch is imported, which takes most of the time."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import segue
from segue.errors import SourceError
from segue.masks import write_index_mask
from tests.cli.running import MASKS, Command

SCRIPT = """
import io, json, sys
from contextlib import redirect_stderr
from segue.cli.main import main

for words in json.loads(sys.argv[1]):
    sys.argv = ["segue", *words]
    with redirect_stderr(io.StringIO()) as said:
        try:
            main()
        except SystemExit as end:
            code = end.code
    print(json.dumps([code, said.getvalue(), "torch" in sys.modules]))
"""


def test_cheap_checks_come_before_pytorch(inputs: Path, tmp_path: Path) -> None:
    (tmp_path / "text.txt").write_text("no video\n" * 20)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "overlay.mp4").touch()
    write_index_mask(tmp_path / "small.png", np.ones((10, 30), np.uint8))
    others = tmp_path / "others"
    (others / "masks").mkdir(parents=True)
    write_index_mask(others / "masks" / "drawn.png", np.ones((10, 30), np.uint8))
    clip, box = str(inputs / "clip.mp4"), ["--box", "5,5,20,20"]
    commands = {
        "another shape": ["track", clip, "--mask", str(tmp_path / "small.png")],
        "text.txt: not a video": ["track", str(tmp_path / "text.txt"), *box],
        "text.txt: no": ["foreground", str(tmp_path / "text.txt")],
        "overlay.mp4: exists already": ["track", clip, *box, "-o", str(tmp_path / "out")],
        "shares of the image": ["track", clip, "--box", "0.1,0.1,0.5,0.5"],
        "out: exists and is not empty": ["export", "stcn-lite", str(tmp_path / "out")],
        "text.txt: not": ["detect", str(tmp_path / "text.txt")],
        "masks: has images that segue did not write": ["track", clip, *box, "-o", str(others), "--overwrite"],
        "text.txt: not a video, or": ["annotate", str(tmp_path / "text.txt"), "--no-browser"],
        f"{Path.home() / 'no-such-masks'}: no such": ["annotate", clip, "--import=~/no-such-masks"],
    }
    ran = subprocess.run(
        [sys.executable, "-c", SCRIPT, json.dumps([*commands.values()])],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    for (words, _), line in zip(commands.items(), ran.stdout.splitlines(), strict=True):
        code, said, imported = json.loads(line)
        assert (code, words in said, imported) == (2, True, False), said


def test_the_home_folder_is_meant_by_a_tilde(
    command: Command, inputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    write_index_mask(tmp_path / "first.png", MASKS[0])
    (tmp_path / "clip.mp4").symlink_to(inputs / "clip.mp4")
    given = ("track", "~/clip.mp4", "--mask=~/first.png", "--weights", inputs / "lite.safetensors")
    done = command(*given, "--output=~/out", "--format", "png", "--device", "cpu")
    assert done.code == 0, done.err
    assert len([*(tmp_path / "out" / "masks").glob("*.png")]) == 8
    with segue.track("~/clip.mp4", "~/first.png", weights=str(inputs / "lite.safetensors")) as results:
        results.save("~/python")
    assert len([*(tmp_path / "python" / "masks").glob("*.png")]) == 8
    assert segue.load("stcn-lite", weights=_linked(tmp_path, inputs)) is not None


def _linked(home: Path, inputs: Path) -> str:
    (home / "lite.safetensors").symlink_to(inputs / "lite.safetensors")
    return "~/lite.safetensors"


def test_an_address_of_an_object_store_says_what_reads_it(command: Command) -> None:
    assert (
        "`segue batch` reads object stores"
        in command("track", "s3://bucket/a.mp4", "--box", "1,2,3,4").complaint
    )
    with pytest.raises(SourceError, match="`segue batch` reads object stores"):
        segue.open_source("gs://bucket/a.mp4")
