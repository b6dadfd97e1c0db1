"""The plain evaluation of the benchmark and segue's give the same numbers, so that times can be compared."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from segue.metrics.ytvis import evaluate_ytvis
from tests.metrics.tracks import Video, videos, write_results, write_truth

sys.path.append(str(Path(__file__).resolve().parents[2] / "benchmarks"))  # scripts find their siblings so

import ytvis_plain

# pycocotools 2.0 calls numpy in ways that numpy 2 deprecates.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


@pytest.mark.parametrize("overlap", [ytvis_plain.merged, ytvis_plain.decoded])
@settings(
    deadline=None,
    max_examples=40,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(content=st.lists(videos(), min_size=1, max_size=3))
def test_ties_crowds_and_area_ranges_are_decided_alike(
    overlap: ytvis_plain.Overlap, content: list[Video], tmp_path: Path
) -> None:
    if not any(detections for _, detections in content):
        return
    truth, results = tmp_path / "truth.json", tmp_path / "results.json"
    write_truth(truth, content)
    write_results(results, content)
    expected = ytvis_plain.evaluate(results, truth, overlap)
    measured = evaluate_ytvis(results, truth).overall
    assert measured == pytest.approx(expected, abs=1e-12)
