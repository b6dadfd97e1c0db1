"""Prompters by name or by weight file; see :class:`segue.registry.PrompterEntry`."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch

from segue.errors import PromptError
from segue.prompts.answers import MakePrompter
from segue.prompts.prompter import Prompter
from segue.registry import PROMPTERS, PrompterEntry, PrompterOptions
from segue.utils.inputs import user_path
from segue.weights import Prepared, prepare
from segue.weights.catalogue import recognise
from segue.weights.checkpoint import read_checkpoint


def _segue_prompt(name: str, options: PrompterOptions) -> MakePrompter:
    # Without a file the weights are read with the first image.
    network: Any = name
    if options.weights is not None:
        network = prepare(name, options.weights, device=options.device, fast=options.fast)
    return partial(Prompter, network=network, device=options.device, fast=options.fast)


def _sam2(name: str, options: PrompterOptions) -> MakePrompter:
    from segue.prompts.sam import SAM2Prompter, SAM2Stills

    network: Prepared[Any] = prepare(name, options.weights, device=options.device, fast=options.fast)
    return partial(SAM2Prompter, network=SAM2Stills(network))


ENTRIES = (
    *(
        PrompterEntry(name, partial(_segue_prompt, name), network=name)
        for name in ("segue-prompt", "segue-prompt-free")
    ),
    *(
        PrompterEntry(name, partial(_sam2, name), network=name)
        for name in ("sam2-tiny", "sam2-small", "sam2-base+", "sam2-large", "edgetam")
    ),
)


def find_prompter(
    name: str, *, device: str | int | torch.device | None = None, fast: bool = False
) -> MakePrompter:
    """Find a prompter by name or weight file.

    Args:
        name: a name of ``segue.registry.PROMPTERS``, such as ``sam2-tiny``; or a weight file of the network
            of one.
        device: device; None selects a GPU if there is one.
        fast: half precision or 8-bit integers if they are faster on the device.

    Returns:
        Makes a prompter for an image, RGB (H, W, 3), uint8; those of segue-prompt load their weights with the
        first one.

    Raises:
        PromptError: there is no such name or file, or the file belongs to no prompter.
        CheckpointError: no weights are available, or the file does not fit.

    Example:
        >>> make = find_prompter("segue-prompt")
        >>> make(image).answer(ImagePrompts(box=(10, 20, 90, 80))).mask.shape  # doctest: +SKIP
    """
    if name in PROMPTERS:
        return PROMPTERS.find(name).build(PrompterOptions(device=device, fast=fast))
    names = ", ".join(PROMPTERS.names)
    if not user_path(name).is_file():
        raise PromptError(f"prompter {name!r}: neither a weight file nor one of {names}")
    checkpoint = read_checkpoint(name)
    recognised = recognise(checkpoint.tensors, checkpoint.metadata)
    for entry in PROMPTERS:
        if recognised is not None and entry.network == recognised.name:
            return entry.build(PrompterOptions(name, device, fast))
    what = "unknown weights" if recognised is None else f"weights of {recognised.name}"
    raise PromptError(f"prompter {name}: holds {what}; prompters are {names}")
