"""SAM 2.1 through videos against the predictor of the release."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from segue.models.sam2 import SAM2
from tests.fill import fill
from tests.golden_arrays import Golden, load_golden
from tests.models.sam2_videos import Tolerance, compare, info_of, run

SIDE = 256

CASES = {
    "sam2_video_prompts": "click click_f32 two refine_first box box_points mask mask_empty",
    "sam2_video_edit": "enter reverse correct correct_cond correct_clear absent absent_long holes vos plain "
    "remove",
    "sam2_video_long": "long late_start near_cond stride",
}

# Features disturbed by 1e-6 change the logits of `correct_cond` by 0.25 here: a pixel of the binary mask of
# the corrected frame flips, and its memory is seen by all frames. The release must be as sensitive.
SENSITIVE = Tolerance(low=0.6, mask=0.003, score=0.06, pointer=0.1)
TOLERANCES = {
    "click_f32": Tolerance(low=0.035, mask=2e-4),
    "correct_cond": SENSITIVE,
    "correct_clear": SENSITIVE,
}


@pytest.mark.slow
@pytest.mark.shared
@pytest.mark.parametrize(
    ("file", "case"), [(file, case) for file, cases in CASES.items() for case in cases.split()]
)
def test_a_video_gives_what_the_release_gives(sam2_network: SAM2, shared: Path, file: str, case: str) -> None:
    golden = load_golden(file, shared / "golden")
    rows = run(sam2_network, info_of(golden, case), SIDE)
    compare(golden, case, rows, TOLERANCES.get(case, Tolerance()))


def small_video(golden: Golden, name: str) -> dict[str, object]:
    steps = [
        {"do": "points", "frame": 0, "obj": 1, "points": [[56, 40]], "labels": [1]},
        {"do": "go"},
    ]
    return {**info_of(golden, name), "steps": steps}


def test_a_small_video_gives_what_the_release_gives(
    golden: Callable[[str], Golden], sam2_network: SAM2
) -> None:
    sizes = golden("sam2_sizes")
    compare(sizes, "tiny", run(sam2_network, small_video(sizes, "tiny"), 128), Tolerance())


@pytest.mark.slow
@pytest.mark.shared
@pytest.mark.parametrize(("size", "name"), [("small", "small"), ("base+", "base_plus"), ("large", "large")])
def test_the_other_sizes_give_what_the_release_gives(shared: Path, size: str, name: str) -> None:
    sizes = load_golden("sam2_sizes", shared / "golden")
    network = SAM2(size)  # type: ignore[arg-type]
    fill(network, "sam2")
    compare(sizes, name, run(network, small_video(sizes, name), 128), Tolerance())


@pytest.mark.slow
@pytest.mark.shared
def test_the_size_of_the_release_gives_what_the_release_gives(sam2_network: SAM2, shared: Path) -> None:
    golden = load_golden("sam2_1024", shared / "golden")
    info = info_of(golden, "big")
    steps = [{"do": "points", "frame": 0, "obj": 1, "points": [[120, 90]], "labels": [1]}, {"do": "go"}]
    rows = run(sam2_network, {**info, "steps": steps}, 1024)
    compare(golden, "big", rows, Tolerance())
    record = rows[2].records[0]
    assert record is not None
    assert record.features is not None
    memory = record.features.float().T.view(64, 64, 64)[::4, ::8, ::8]
    assert float((memory - golden["maskmem1"]).abs().max()) <= 0.02 * float(abs(golden["maskmem1"]).max())
