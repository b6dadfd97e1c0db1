"""Flow networks behind the face of foreground networks."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from segue.flow import FlowPictures
from segue.models.base import ForegroundNetwork
from segue.models.hofam import HOFAM
from segue.sessions.extra_inputs import FlowNetwork
from segue.types import Image


class Difference:
    """A flow that is quick and tells the order of its pictures."""

    def __call__(self, first: Image, second: Image) -> np.ndarray:
        return (first[..., :2].astype(np.float32) - second[..., 1:]) / 20


@pytest.fixture(params=["hierarchical", "single"])
def network(request: pytest.FixtureRequest) -> HOFAM:
    torch.manual_seed(0)
    return HOFAM(2, flow_mode=request.param, levels=6).eval()


def test_frames_of_the_network_s_size_pass_as_they_are(network: HOFAM) -> None:
    wrapped = FlowNetwork(network, Difference())
    face: ForegroundNetwork = wrapped
    gaps = (1,) if network.flow_mode == "single" else (1, 3, 5)
    assert face.context == tuple((-gap, "picture") for gap in gaps)
    bytes_ = torch.randint(0, 256, (1 + len(gaps), 2, 3, 64, 128), generator=torch.Generator().manual_seed(0))
    now, *earlier = bytes_.float() / 255
    with torch.inference_mode():
        context = [face.encode(frames, "picture") for frames in earlier]
        logits = face.decode(face.encode(now, "current"), context, None, (64, 128))
    for i in range(2):
        first, *others = (x[i].movedim(0, -1).numpy().astype(np.uint8) for x in bytes_)
        picture = FlowPictures(Difference(), gaps)(first, others)
        with torch.inference_mode():
            flow = torch.from_numpy(picture).movedim(-1, 0)[None].float() / 255
            expected = network(now[i : i + 1], flow)
        torch.testing.assert_close(logits[i : i + 1], expected, rtol=1e-4, atol=1e-5)


def test_other_sizes_come_back(network: HOFAM) -> None:
    face = FlowNetwork(network, Difference())
    frames = torch.rand(1, 3, 50, 99)
    with torch.inference_mode():
        current = face.encode(frames, "current")
        assert current[0].shape[-2:] == (64, 128)
        context = [face.encode(frames, "picture")] * len(face.context)
        assert face.decode(current, context, None, (50, 99)).shape == (1, 1, 50, 99)


def test_the_published_network_sees_256_by_256() -> None:
    face = FlowNetwork(HOFAM(1), Difference())
    assert face.encode(torch.rand(1, 3, 300, 700), "picture")[0].shape[-2:] == (256, 256)
