"""What a step of each training of ``segue reproduce`` costs: operations and memory, counted, not computed.

    python -m benchmarks.memory.training_costs
    python -m benchmarks.memory.training_costs --measure

The networks run on PyTorch's device ``meta``: every layer is called with tensors of the published sizes
that hold no values. Counted are the multiplications and additions of convolutions and matrix products (those
of the forward pass three times: the backward pass takes two) and the bytes of all that the backward pass
needs. To these come weights, gradients and the two moments of Adam. Left out are losses, and the masks and
the discriminator of MS-STS VIS.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from functools import partial

import torch
from torch import nn

from segue.models.fgsegnet import FgSegNetV2
from segue.models.hofam import HOFAM
from segue.models.msstsvis import MSSTSVIS
from segue.models.mustan import MUSTAN1, MUSTAN2
from segue.models.seqformer import SeqFormer, Size
from segue_train.costs import cost
from segue_train.recipes.msstsvis import clip_pass


def measure() -> None:
    """Time forward and backward of small steps on this processor, one thread, beside what is counted."""
    torch.set_num_threads(1)
    print("| training | a step | 1e12 operations | s of processor time | 1e9 operations/s |")
    print("| --- | --- | --- | --- | --- |")
    still, clip = (1, 1, 3, 320, 480), (1, 2, 3, 240, 384)
    for name, make, shape in (
        ("seqformer-coco, r50", lambda: SeqFormer("r50", Size(classes=91)), still),
        ("msstsvis, r50", lambda: MSSTSVIS("r50"), clip),
    ):
        with torch.device("meta"):
            empty, frames = make().train(), torch.rand(shape)
            counted = cost(empty, partial(clip_pass, empty, frames)).operations
        network, frames, seconds = make().train(), torch.rand(shape), []
        for _ in range(2):
            begin = time.process_time()
            logits = clip_pass(network, frames)
            torch.stack([each.float().square().mean() for each in logits]).sum().backward()
            seconds.append(time.process_time() - begin)
        best = min(seconds)
        size = f"{shape[0] * shape[1]} frames of {shape[3]}x{shape[4]}"
        print(f"| {name} | {size} | {counted:.3f} | {best:.1f} | {1000 * counted / best:.0f} |")


def main() -> None:
    """Print the table."""
    if "--measure" in sys.argv[1:]:
        measure()
        return
    print("| training | a step on one device | 1e12 operations | GiB |\n| --- | --- | --- | --- |")
    with torch.device("meta"):
        windows, image = torch.rand(8, 3, 3, 240, 320), torch.rand(1, 3, 240, 320)
        for name, network in (("mustan2", MUSTAN2()), ("mustan1", MUSTAN1())):
            show(name, "8 windows of 3 frames, 240x320", network, partial(network, windows))
        scene = FgSegNetV2()
        scene.freeze_backbone()
        show("fgsegnet", "1 frame, 240x320", scene, lambda: scene(image))
        composites, flow = torch.rand(8, 3, 256, 256), torch.rand(8, 3, 256, 256)
        hofam = HOFAM()
        show("hofam", "8 composites, 256x256", hofam, lambda: hofam(composites, flow))
        clip, still = torch.rand(1, 5, 3, 480, 768), torch.rand(2, 1, 3, 640, 960)
        for backbone in ("r50", "r101", "swin-l"):
            large = MSSTSVIS(backbone)
            step = partial(clip_pass, large, clip)
            show(f"msstsvis, {backbone}", "1 clip of 5 frames, 480x768", large, step)
        plain = SeqFormer("r50")
        show("seqformer, r50", "1 clip of 5 frames, 480x768", plain, lambda: clip_pass(plain, clip))
        coco = SeqFormer("r50", Size(classes=91))
        show("seqformer-coco, r50", "2 images, 640x960", coco, lambda: clip_pass(coco, still))


def show(name: str, what: str, network: nn.Module, run: Callable[[], object]) -> None:
    """Print a row of the table."""
    found = cost(network.train(), run)
    print(f"| {name} | {what} | {found.operations:.2f} | {found.memory:.1f} |")


if __name__ == "__main__":
    main()
