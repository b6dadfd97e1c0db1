"""SAM 2.1 on one frame with a full memory: segue beside the published way, in one process, in turn.

``python -m benchmarks.speed.sam2 --side 1024 --rounds 3``

The published way takes a whole map through each block of the trunk, applies activations and the 1x1
convolutions of neck and decoder one after the other, computes the position of the trunk for each frame, and
attends to memory with keys and values of 256 channels, all with PyTorch's own attention, as the release does.
Times are processor time. Weights are random; with ``--difference`` the working size is compared with that of
the release on the golden weights of ``tests/fill.py`` instead.
"""

from __future__ import annotations

import argparse
import statistics
import time
from dataclasses import replace
from typing import Any, cast

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from segue.layers.windows import from_windows, to_windows
from segue.models.sam2 import SAM2, SIZES, Settings
from segue.models.sam2.images import video_image, video_logits
from segue.models.sam2.memory import RotaryAttention, rotate
from segue.models.sam2.objects import ObjectMemory, ObjectSteps
from segue.models.sam2.trunk import Block, WindowAttention
from segue.models.sam2.values import Encoded, Record
from segue.prompt_types import PointPrompt
from segue.sessions import TrackSession
from segue.types import Frame
from segue.utils.allocation import prepare_process
from segue.weights import prepare
from tests.clips import clip
from tests.fill import fill

FRAME = 20
"""Number of the frame that is timed: six tracked frames, a prompted one and fifteen pointers precede it."""


def plain_block(self: Block, x: Tensor) -> Tensor:
    """The whole map at once."""
    normed = self.norm1(x)
    x = (plain_pooled(self.proj(normed)) if hasattr(self, "proj") else x) + self.attn(normed)
    return x + self.mlp(self.norm2(x))


def plain_pooled(x: Tensor) -> Tensor:
    """Largest of 2x2 of a map with the channels last."""
    return F.max_pool2d(x.permute(0, 3, 1, 2), 2).permute(0, 2, 3, 1)


def plain_window(self: WindowAttention, x: Tensor) -> Tensor:
    """Windows are padded, projected and put back as a whole."""
    height, width = x.shape[1:3]
    window = self._window
    rows, columns = (-height % window, -width % window) if window else (0, 0)
    if window:
        x = to_windows(F.pad(x, (0, 0, 0, columns, 0, rows)), window)
    batch, h, w = x.shape[:3]
    query, key, value = self.qkv(x).reshape(batch, h * w, 3, self._heads, -1).unbind(2)
    if self._pool:
        query = plain_pooled(query.reshape(batch, h, w, -1)).reshape(batch, h * w // 4, self._heads, -1)
        h, w, height, width, rows, columns = (n // 2 for n in (h, w, height, width, rows, columns))
    q, k, v = (part.transpose(1, 2) for part in (query, key, value))
    found = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(batch, h, w, -1)
    found = self.proj(found)
    return from_windows(found, (height + rows, width + columns))[:, :height, :width] if window else found


def plain_rotary(
    self: RotaryAttention, query: Tensor, key: Tensor, value: Tensor, code: Tensor, fixed: int = 0
) -> Tensor:
    """Values are projected before they are read."""
    q, k, v = self.q_proj(query), self.k_proj(key), self.v_proj(value)
    placed = k.shape[1] - fixed
    k = torch.cat([rotate(k[:, :placed], code), k[:, placed:]], 1)
    read = F.scaled_dot_product_attention(rotate(q, code)[:, None], k[:, None], v[:, None])
    return self.out_proj(read[:, 0])


def plain_encode(self: SAM2, image: Tensor, constants: Any) -> Encoded:
    """All levels of the neck, then the convolutions of the decoder."""
    maps = self.image_encoder.trunk(image)
    neck, decoder = self.image_encoder.neck, self.sam_mask_decoder
    fine, half = (neck.convs[3 - i](maps[i].permute(0, 3, 1, 2)) for i in (0, 1))
    return Encoded(neck.coarse(maps), (decoder.conv_s0(fine), decoder.conv_s1(half)))


def plain(network: SAM2) -> SAM2:
    """The network, run in the published way from now on."""
    methods = ((Block, plain_block), (WindowAttention, plain_window), (RotaryAttention, plain_rotary))
    for module in network.modules():
        for kind, method in methods:
            if isinstance(module, kind):
                module.forward = method.__get__(module)  # type: ignore[method-assign]
    network.encode = plain_encode.__get__(network)  # type: ignore[method-assign]
    return network


def memory(side: int) -> ObjectMemory:
    """A memory that is full."""
    cells = (side // 16) ** 2
    generator = torch.Generator().manual_seed(0)

    def record() -> Record:
        features = torch.randn(1, cells, 64, generator=generator).bfloat16()
        return Record(torch.randn(1, 256, generator=generator), torch.ones(1), torch.ones(1), features)

    return ObjectMemory({0: record()}, {t: record() for t in range(1, FRAME)})


@torch.inference_mode()
def compare(size: Any, side: int, rounds: int) -> None:
    frames, _ = clip(7, rounds, 480, 854, 2)
    kept = memory(side)
    torch.manual_seed(0)
    network = SAM2(size).eval()
    networks = {
        "published": plain(rebuilt(size, network)),
        "segue": prepare(network, device="cpu").network,
    }
    constants = {name: network.constants(side) for name, network in networks.items()}
    steps = {name: ObjectSteps(network, constants[name], Settings()) for name, network in networks.items()}
    times: dict[str, dict[str, list[float]]] = {name: {"encode": [], "rest": []} for name in networks}
    view = kept.view(FRAME, Settings(), None)
    for number, image in enumerate(frames):
        masks = {}
        for name, network in networks.items():
            start = time.process_time()
            encoded = network.encode(video_image(image, side, torch.device("cpu")), constants[name])
            middle = time.process_time()
            record = steps[name].track(encoded, {1: view})[1]
            end = time.process_time()
            masks[name] = video_logits(cast(Tensor, record.low_res_masks), (480, 854)) > 0
            if number:  # the first arranges weights
                times[name]["encode"].append(middle - start)
                times[name]["rest"].append(end - middle)
        differ = float((masks["published"] != masks["segue"]).float().mean())
        print(f"frame {number}: {differ:.5%} of the pixels differ", flush=True)
    for name, parts in times.items():
        medians = {part: statistics.median(values) for part, values in parts.items()}
        print(f"{name}: " + ", ".join(f"{part} {s:.2f} s" for part, s in medians.items()))
    ratios = [
        sum(times["segue"][part][i] for part in ("encode", "rest"))
        / sum(times["published"][part][i] for part in ("encode", "rest"))
        for i in range(rounds - 1)
    ]
    print(f"ratio {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})")


def rebuilt(size: Any, network: SAM2) -> SAM2:
    other = SAM2(size)
    other.load_state_dict(network.state_dict())
    return other.eval()


def difference(size: Any, sides: list[int], count: int) -> None:
    """Masks at working sizes against those at the first of them, on a synthetic clip."""
    network = SAM2(size)
    fill(network, "sam2")
    frames, _ = clip(7, count, 480, 854, 2)
    found = {}
    for side in sides:
        session = TrackSession(network, replace(network.schedule, short_side=side), device="cpu")
        results = []
        start = time.process_time()
        for t, image in enumerate(frames):
            given = [PointPrompt(1, ((308.0, 345.0),))] if t == 0 else None
            results.append(session.step(Frame(t, t / 25, image), given).mask > 0)
        found[side] = np.stack(results)
        print(f"side {side}: {(time.process_time() - start) / count:.2f} s a frame", flush=True)
    first = found[sides[0]]
    for side in sides[1:]:
        union = (first | found[side]).sum()
        iou = (first & found[side]).sum() / max(int(union), 1)
        changed = (first != found[side]).mean()
        print(f"side {side} against {sides[0]}: IoU {iou:.3f}, {changed:.2%} of the pixels differ")


def main() -> None:
    prepare_process()
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", choices=list(SIZES), default="tiny")
    parser.add_argument("--side", type=int, default=1024)
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--difference", action="store_true")
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    if asked.difference:
        difference(asked.size, [1024, asked.side], asked.rounds)
    else:
        compare(asked.size, asked.side, asked.rounds)


if __name__ == "__main__":
    main()
