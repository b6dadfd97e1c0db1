"""Masks that somebody removes while a run writes them are missed at its end."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

import segue
from segue.errors import SinkError
from segue.formats.png import PngSink
from segue.types import Frame, Segmentation
from tests.cli.running import FRAMES, MASKS
from tests.lite import lively_lite


def one(folder: Path) -> None:
    min(folder.glob("*.png")).unlink()


def output(folder: Path) -> None:
    shutil.rmtree(folder.parent)


@pytest.mark.parametrize(("remove", "count"), [(one, "1 of 8"), (output, "8 of 8")])
def test_masks_that_were_removed_during_a_run_are_counted_at_its_end(
    remove: Callable[[Path], None], count: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = PngSink.write

    def last(sink: PngSink, frame: Frame, result: Segmentation) -> None:
        write(sink, frame, result)
        if result.index == len(FRAMES) - 1:
            remove(tmp_path / "out/masks")

    monkeypatch.setattr(PngSink, "write", last)
    results = segue.track(list(FRAMES), MASKS[0], model=lively_lite(), device="cpu")
    with pytest.raises(SinkError, match=f"{count} masks were removed"):
        results.save(tmp_path / "out")
