"""Weights as they come with segue: the mean of files, matrices in float16, and the SHA-256 of the result.

Example::

    python tools/ship.py segue-prompt before.safetensors runs/prompt/segue-prompt.safetensors

The mean of the weights before and after a further training is often better than either. The result replaces
the file in ``src/segue/assets``; its checksum belongs into ``src/segue/weights/catalogue/``.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from segue.utils.inputs import sha256
from segue.weights.checkpoint import OPTIONS, read_checkpoint

ASSETS = Path(__file__).resolve().parents[1] / "src" / "segue" / "assets"
KEPT = ("format", "segue_format", "recipe", "seed", "step", "steps", OPTIONS)
"""What of the last file's description continues with it."""

FRESH = ("recurrence.",)
"""Names with which weights begin that older files may lack."""


def main() -> None:
    """Write the file and print its checksum."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("name", help="of the network")
    parser.add_argument("files", nargs="+", type=Path, help="what the mean is taken of, all alike")
    arguments = parser.parse_args()
    read = [read_checkpoint(path) for path in arguments.files]
    described = {key: value for key, value in read[-1].metadata.items() if key in KEPT}
    described |= {"network": arguments.name, "licence": f"see {arguments.name}.md", "mean_of": str(len(read))}
    path = ASSETS / f"{arguments.name}.safetensors"
    save_file(mean([checkpoint.tensors for checkpoint in read]), path, described)
    print(f"{path}: {sha256(path)}")


def mean(files: list[dict[str, Tensor]]) -> dict[str, Tensor]:
    """Mean of each tensor; those of two and more dimensions in float16, whole numbers from the last file.

    Weights of an input that only the last file knows are zeros in the others, to which it added nothing.

    Raises:
        ValueError: the files hold different tensors.
    """
    fresh = [name for name in files[-1] if name.startswith(FRESH)]
    files = [{**{name: torch.zeros_like(files[-1][name]) for name in fresh}, **each} for each in files]
    shapes = [{name: value.shape for name, value in weights.items()} for weights in files]
    if any(other != shapes[-1] for other in shapes):
        raise ValueError("the files hold tensors of different names or shapes")
    found = {}
    for name, last in files[-1].items():
        if not last.is_floating_point():
            found[name] = last
            continue
        value = torch.stack([weights[name].float() for weights in files]).mean(0)
        found[name] = value.half() if value.dim() > 1 else value
    return found


if __name__ == "__main__":
    main()
