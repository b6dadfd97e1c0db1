"""Deterministic weights that anybody can regenerate: the rule under which the golden arrays were measured."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from fnmatch import fnmatchcase
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from filelock import FileLock
from safetensors.torch import load_file, save_file
from torch import nn

from segue.weights.loading import Unfilled

CUTIE_SCALES = (
    ("mask_encoder.layer*.bn2.weight", 0.25),
    ("*.fuser.block*.conv2.weight", 0.5),
    ("*.pixel_ffn.conv.conv2.weight", 0.25),
    ("object_transformer.blocks.?.*_attn.out_proj.weight", 0.5),
    ("object_transformer.blocks.?.ffn.linear2.weight", 0.5),
    ("pixel_fuser.fuser.distributor.x_transform.weight", 0.15),
    ("*.fuser.distributor.?_transform.weight", 0.3),
    ("pix_feat_proj.weight", 0.3),
    ("key_proj.pix_feat_proj.weight", 0.3),
    ("key_proj.key_proj.weight", 0.45),
    ("key_proj.d_proj.weight", 0.15),
    ("key_proj.e_proj.weight", 0.3),
    ("object_summarizer.input_proj.weight", 0.3),
    ("object_summarizer.weights_pred.2.weight", 0.5),
    ("object_transformer.pixel_*_proj.weight", 0.3),
    ("object_transformer.mask_pred.?.1.weight", 2.0),
    ("mask_decoder.decoder_feat_proc.transforms.*.weight", 0.3),
    ("*.transform.weight", 0.2),
    ("mask_decoder.pred.weight", 0.5),
)
"""What both sizes of Cutie have in common."""

SCALES: dict[str, tuple[tuple[str, float], ...]] = {
    "stcn": (
        ("key_encoder.*.bn3.weight", 0.25),
        ("value_encoder.layer*.bn2.weight", 0.25),
        ("value_encoder.fuser.block*.conv2.weight", 0.5),
        ("value_encoder.fuser.attention.ChannelGate.mlp.*.weight", 0.35),
        ("value_encoder.fuser.attention.SpatialGate.spatial.conv.weight", 0.3),
        ("key_comp.weight", 0.2),
        ("decoder.*.skip_conv.weight", 0.3),
        ("key_proj.key_proj.weight", 0.125),
        ("decoder.pred.weight", 0.1),
    ),
    "stm": (
        ("Encoder_?.res?.*.bn3.weight", 0.25),
        ("KV_*.Key.weight", 0.1),
        ("KV_Q_r4.Value.weight", 0.2),
        ("Decoder.RF?.convFS.weight", 0.3),
        ("Decoder.pred2.weight", 0.125),
        ("Encoder_M.conv1_?.weight", 6.0),
        ("Decoder*.ResMM.conv2.weight", 0.5),
        ("Decoder*.ResFS.conv2.weight", 0.5),
    ),
    "mustan": (("decoder.head.weight", 0.1),),
    "hofam": (),
    "fgsegnet_v2": (),
    "nanodet": (("head.gfl_cls.*.weight", 0.02),),
    "xmem": (
        ("key_encoder.*.bn3.weight", 0.25),
        ("value_encoder.layer*.bn2.weight", 0.25),
        ("*.fuser.block*.conv2.weight", 0.5),
        ("*.fuser.attention.ChannelGate.mlp.*.weight", 0.35),
        ("*.fuser.attention.SpatialGate.spatial.conv.weight", 0.3),
        ("decoder.up_*.skip_conv.weight", 0.2),
        ("key_proj.key_proj.weight", 0.2),
        ("key_proj.d_proj.weight", 0.15),
        ("key_proj.e_proj.weight", 0.2),
        ("value_encoder.hidden_reinforce.transform.weight", 0.015),
        ("decoder.hidden_update.transform.weight", 0.03),
        ("decoder.pred.weight", 0.06),
    ),
    "cutie": (("pixel_encoder.*.bn3.weight", 0.25), *CUTIE_SCALES),
    "cutie-small": (("pixel_encoder.*.bn2.weight", 0.25), *CUTIE_SCALES),
    "sam2": (
        ("image_encoder.neck.convs.*.conv.weight", 0.2),
        ("sam_mask_decoder.conv_s?.weight", 0.5),
        ("sam_prompt_encoder.pe_layer.positional_encoding_gaussian_matrix", 8.0),
        ("sam_prompt_encoder.point_embeddings.?.weight", 12.0),
        ("sam_prompt_encoder.not_a_point_embed.weight", 8.0),
        ("sam_prompt_encoder.no_mask_embed.weight", 4.0),
        ("sam_mask_decoder.iou_token.weight", 8.0),
        ("sam_mask_decoder.mask_tokens.weight", 8.0),
        ("sam_mask_decoder.obj_score_token.weight", 8.0),
        ("sam_mask_decoder.output_hypernetworks_mlps.?.layers.2.weight", 2.0),
        ("sam_mask_decoder.pred_obj_score_head.layers.2.weight", 2.0),
        ("memory_encoder.pix_feat_proj.weight", 0.5),
        ("memory_encoder.mask_downsampler.encoder.12.weight", 3.0),
        ("memory_encoder.fuser.layers.?.gamma", 15.0),
        ("memory_attention.layers.?.self_attn.out_proj.weight", 0.5),
        ("memory_attention.layers.?.cross_attn_image.q_proj.weight", 0.5),
        ("memory_attention.layers.?.cross_attn_image.out_proj.weight", 0.35),
        ("memory_attention.layers.?.linear2.weight", 0.5),
        ("obj_ptr_proj.layers.2.weight", 3.0),
    ),
}
"""Factor of each tensor, by network: the first pattern that fits counts."""
SCALES["edgetam"] = (
    ("image_encoder.trunk.body.*mixer.conv*.bn.weight", 0.3),
    ("image_encoder.trunk.body.*ffn.conv2.bn.weight", 0.3),
    *SCALES["sam2"],
)

STCN_CHANNELS = (("value_encoder.conv1.weight", 3, 16.0),)
CUTIE_CHANNELS = (("mask_encoder.conv1.weight", 3, 32.0),)

CHANNELS: dict[str, tuple[tuple[str, int, float], ...]] = {
    "stcn": STCN_CHANNELS,
    "xmem": (
        ("value_encoder.conv1.weight", 3, 32.0),
        ("decoder.fuser.block1.conv1.weight", 1024, 1.5),
        ("decoder.fuser.block1.downsample.weight", 1024, 1.5),
        ("decoder.fuser.block1.conv1.weight", 1536, 12.0),
        ("decoder.fuser.block1.downsample.weight", 1536, 12.0),
        ("value_encoder.hidden_reinforce.transform.weight", 512, 40.0),
        ("decoder.hidden_update.transform.weight", 256, 20.0),
    ),
    "cutie": CUTIE_CHANNELS,
    "cutie-small": CUTIE_CHANNELS,
}
"""Factors on input channels, from the first that is named on; all that fit count."""

CUTIE_OFFSETS = (
    ("object_transformer.mask_pred.1.1.bias", 2.6),
    ("object_transformer.mask_pred.2.1.bias", -3.8),
    ("object_transformer.mask_pred.3.1.bias", 7.0),
)

OFFSETS: dict[str, tuple[tuple[str, float], ...]] = {
    "stcn": (("decoder.pred.bias", -5.0),),
    "xmem": (("decoder.pred.bias", -4.5),),
    "cutie": (("mask_decoder.pred.bias", 1.0), *CUTIE_OFFSETS),
    "cutie-small": (("mask_decoder.pred.bias", -0.5), *CUTIE_OFFSETS),
}
"""What is added to whole tensors."""


ADDENDS: dict[str, tuple[tuple[str, float | tuple[float, ...]], ...]] = {
    "sam2": (
        ("sam_mask_decoder.output_hypernetworks_mlps.?.layers.2.bias", -0.7),
        ("sam_mask_decoder.output_hypernetworks_mlps.3.layers.2.bias", 0.7),
        ("sam_mask_decoder.iou_prediction_head.layers.2.bias", (0.0, 1.3, 0.2, 0.8)),
        ("sam_mask_decoder.pred_obj_score_head.layers.2.bias", -1.5),
    ),
}
"""What is added after the factor, by network: every pattern that fits counts."""
ADDENDS["edgetam"] = ADDENDS["sam2"]

LARGE = 5_000_000
"""Numbers of a network whose weights are kept for the other processes: to make them takes up to a second."""

CONSTANTS = ("mean", "std", "inv_freq")
"""Buffers that keep their true values."""


def built(network: nn.Module | Callable[[], nn.Module]) -> nn.Module:
    """The network, or the one that is built, without the random weights that would be replaced."""
    if isinstance(network, nn.Module):
        return network
    with Unfilled():
        return network()


def fill(network: nn.Module | Callable[[], nn.Module], topic: str) -> nn.Module:
    """Fill ``network`` in place with the golden weights of ``topic`` and put it in evaluation mode.

    Args:
        network: a network whose state-dict names are the official ones, or what builds it.
        topic: one of ``SCALES``.

    Returns:
        The same network.
    """
    network = built(network)
    state = {
        name: tensor
        for name, tensor in network.state_dict().items()
        if name.rsplit(".", 1)[-1] not in CONSTANTS
    }
    values = {name: tensor for name, tensor in state.items() if tensor.is_floating_point()}
    _fill(values, lambda name, shape: scaled_value(name, shape, topic), topic)
    for name in state.keys() - values.keys():
        state[name].zero_()
    return network.eval()


def fill_plainly(network: nn.Module | Callable[[], nn.Module], prefix: str = "") -> nn.Module:
    """Fill ``network`` in place by the rule alone, as the golden files of instance segmentation were.

    Integer buffers keep their values, and tensors that are in the file twice take the value of their first
    name.

    Args:
        network: a network whose state-dict names, after ``prefix``, are the official ones, or what builds it.
        prefix: what the official names have in front.

    Returns:
        The same network, in evaluation mode.
    """
    network = built(network)
    values = {name: tensor for name, tensor in network.state_dict().items() if tensor.is_floating_point()}

    def value(name: str, shape: tuple[int, ...]) -> npt.NDArray[np.float64]:
        official = (prefix + name).replace("detr.transformer.decoder.bbox_embed", "detr.bbox_embed")
        return fill_value(official, shape)

    _fill(values, value, f"plainly {prefix}")
    return network.eval()


Value = Callable[[str, tuple[int, ...]], npt.NDArray[np.float64]]


def _fill(values: dict[str, torch.Tensor], value: Value, rule: str) -> None:
    """Fill tensors in place by names and shapes; processes of a test run share those of large networks."""
    folder = os.environ.get("SEGUE_TEST_WEIGHTS")
    if folder is None or sum(tensor.numel() for tensor in values.values()) < LARGE:
        _fill_anew(values, value)
        return
    about = [rule, *((name, tensor.dtype, *tensor.shape) for name, tensor in values.items())]
    path = Path(folder, hashlib.sha256(repr(about).encode()).hexdigest())
    with FileLock(path.with_suffix(".lock")):
        if not path.exists():
            _fill_anew(values, value)
            made = path.with_suffix(".part")
            save_file({name: tensor.clone() for name, tensor in values.items()}, made)
            made.rename(path)
            return
    for name, tensor in load_file(path).items():
        values[name].copy_(tensor)


def _fill_anew(values: dict[str, torch.Tensor], value: Value) -> None:
    for name, tensor in values.items():
        tensor.copy_(torch.from_numpy(value(name, tuple(tensor.shape))))


def scaled_value(name: str, shape: tuple[int, ...], topic: str) -> npt.NDArray[np.float64]:
    """:func:`fill_value` after the scale table of ``topic``."""
    value = fill_value(name, shape)
    if factor := next((factor for pattern, factor in SCALES[topic] if fnmatchcase(name, pattern)), None):
        value *= factor
    for pattern, first, factor in CHANNELS.get(topic, ()):
        if pattern == name:
            value[:, first:] *= factor
    for pattern, offset in OFFSETS.get(topic, ()):
        if pattern == name:
            value += offset
    if name == "Decoder.pred2.bias":
        value += np.array([0.0, 3.5])
    for pattern, addend in ADDENDS.get(topic, ()):
        if fnmatchcase(name, pattern):
            value = value + np.array(addend)
    return value


def fill_value(name: str, shape: tuple[int, ...]) -> npt.NDArray[np.float64]:
    """Value of a tensor, seeded by its name alone."""
    seed = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "little")
    generator, leaf = np.random.default_rng(seed), name.rsplit(".", 1)[-1]
    if leaf == "running_var":
        return generator.uniform(0.5, 1.5, shape)
    if leaf == "running_mean":
        return generator.normal(0.0, 0.1, shape)
    if name.endswith("bias"):
        return generator.normal(0.0, 0.02, shape)
    if name.endswith("weight") and len(shape) == 1:
        return generator.uniform(0.8, 1.2, shape)
    if len(shape) >= 2:
        value = generator.standard_normal(shape)
        value *= np.sqrt(2.0 / np.prod(shape[1:]))
        return value
    return generator.normal(0.0, 0.02, shape)
