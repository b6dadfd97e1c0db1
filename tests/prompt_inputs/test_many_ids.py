"""Masks with more ids than anything can follow are refused before anything is made of each."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import segue
from segue.errors import PromptError
from segue.prompt_inputs.arguments import as_prompts
from segue.prompt_inputs.mask_files import read_masks
from segue.prompt_types import MaskPrompt
from segue.types import IndexMask
from tests.lite import lively_lite

MASK = np.arange(32768, dtype=np.uint16).reshape(128, 256)
"""Half of the ids that 16 bits can have: up to white, they would be an object with soft edges."""


def of_file(mask: IndexMask, folder: Path) -> Any:
    Image.fromarray(mask).save(folder / "many.png")
    return read_masks(MaskPrompt(0, str(folder / "many.png")), mask.shape)


def of_session(mask: IndexMask, folder: Path) -> Any:
    frame = np.zeros((*mask.shape, 3), np.uint8)
    return segue.TrackSession(lively_lite(), device="cpu").step(frame, mask)


WAYS: dict[str, Callable[[IndexMask, Path], Any]] = {
    "each": lambda mask, folder: MaskPrompt.each(mask),
    "array": lambda mask, folder: as_prompts(mask),
    "file": of_file,
    "session": of_session,
    "planes": lambda mask, folder: as_prompts(np.broadcast_to(mask[:64, :64] > 0, (1001, 64, 64))),
}


@pytest.mark.parametrize("way", WAYS)
def test_a_mask_of_all_ids_is_refused_in_little_memory(way: str, tmp_path: Path) -> None:
    WAYS[way](MASK % 3, tmp_path) if way != "planes" else None  # what is imported late counts not
    tracemalloc.start()
    try:
        with pytest.raises(PromptError):
            WAYS[way](MASK, tmp_path)
        assert tracemalloc.get_traced_memory()[1] < 64 << 20
    finally:
        tracemalloc.stop()
