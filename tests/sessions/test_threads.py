"""Sessions and detectors in several threads give what they give in one."""

from __future__ import annotations

import numpy as np
import torch

from segue.flow import DIS
from segue.models.mustan_lite import MustanLite
from segue.sessions import ForegroundSession, TrackSession
from segue.sessions.foreground.segmenters.extra_inputs import computing_flow
from segue.sessions.foreground.segmenters.subtractors import Subtractor
from segue.sessions.motion import MotionDetector
from segue.types import IndexMask
from segue.utils.arrays import Float32Array
from tests.clips import clip
from tests.lite import lively_lite
from tests.threads import THREADS, in_threads

CLIPS = [clip(seed, 12, 120, 160, 2)[0] for seed in range(THREADS)]


def test_detectors_that_are_shared() -> None:
    detector = MotionDetector(TrackSession(lively_lite(), device="cpu"))

    def work(number: int) -> list[IndexMask]:
        images = CLIPS[number]
        return [detector.moving(*images[i : i + 3]) for i in range(6)]

    expected = [work(number) for number in range(THREADS)]
    assert any(mask.any() for masks in expected for mask in masks)
    for _ in range(2):
        np.testing.assert_array_equal(in_threads(work), expected)


def test_flow_of_a_shared_network() -> None:
    torch.manual_seed(0)
    network = MustanLite("dis").eval()
    for values in network.flow_attention.fusion.parameters():  # type: ignore[union-attr]
        torch.nn.init.normal_(values, std=0.2)
    computing_flow(network, DIS())

    def work(number: int) -> list[Float32Array]:
        session = ForegroundSession(network, device="cpu", without=["align"])
        found = [session.step(image) for image in CLIPS[number][:7]]
        return [each.probabilities for each in (*found, *session.finish()) if each is not None]

    expected = [work(number) for number in range(THREADS)]
    np.testing.assert_array_equal(in_threads(work), expected)


def test_subtractors_do_not_depend_on_what_ran_before() -> None:
    """OpenCV's KNN draws random numbers from a generator of the thread."""

    def work(number: int) -> list[IndexMask]:
        subtractor = Subtractor("knn", threshold=16, median=1)
        return [subtractor.apply(image) for _ in range(4) for image in CLIPS[number]]

    expected = [work(number) for number in range(THREADS)]
    np.testing.assert_array_equal([work(number) for number in range(THREADS)], expected)
    np.testing.assert_array_equal(in_threads(work), expected)
