"""TensorFlow's SAME padding."""

from __future__ import annotations


def same_padding(size: int, kernel: int, stride: int) -> tuple[int, int]:
    """Zeros before and after a side of ``size`` with which the output has ``ceil(size / stride)``.

    ``kernel`` is the reach of the kernel, dilation included.
    """
    total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
    return total // 2, total - total // 2
