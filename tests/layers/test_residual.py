"""Blocks that compute the share of the frame once equal the plain blocks."""

from __future__ import annotations

import torch
from torch import nn

from segue.layers.residual import JointResBlock, ResBlock, add_conv_of_frame, add_frame, conv_channels


def normal(*shape: int, seed: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def test_a_joint_block_equals_the_plain_block_on_repeated_features() -> None:
    joint, plain = JointResBlock(6, 10, 8), ResBlock(16, 8)
    plain.load_state_dict(joint.state_dict())
    own, frame = normal(2 * 3, 6, 5, 7, seed=0), normal(2, 10, 5, 7, seed=1)
    repeated = frame.repeat_interleave(3, dim=0)
    expected = plain(torch.cat([own, repeated], dim=1))
    torch.testing.assert_close(joint(own, frame), expected, rtol=1e-5, atol=1e-5)


def test_the_parts_of_a_convolution_add_up_to_it() -> None:
    conv = nn.Conv2d(5, 4, 7, stride=2, padding=3)
    x = normal(3, 5, 20, 24, seed=0)
    parts = conv_channels(conv, x[:, :3], bias=True) + conv_channels(conv, x[:, 3:], first=3)
    torch.testing.assert_close(parts, conv(x), rtol=1e-5, atol=1e-5)


def test_each_frame_is_added_to_its_own_objects() -> None:
    own, frame = torch.zeros(6, 1, 1, 1), torch.tensor([1.0, 2.0]).view(2, 1, 1, 1)
    assert add_frame(own, frame).flatten().tolist() == [1, 1, 1, 2, 2, 2]


def test_a_convolution_of_each_frame_is_added_to_its_own_objects() -> None:
    conv, frames = nn.Conv2d(2, 3, 3, padding=1), normal(2, 2, 5, 7, seed=0)
    for objects in (1, 3):
        own = normal(2 * objects, 3, 5, 7, seed=1)
        expected = own + conv(frames).repeat_interleave(objects, 0)
        torch.testing.assert_close(add_conv_of_frame(own.clone(), conv, frames), expected)


def test_a_block_does_not_change_its_input() -> None:
    block, x = ResBlock(4, 4), normal(1, 4, 6, 6, seed=0)
    before = x.clone()
    block(x)
    assert torch.equal(x, before)
