"""Tiny ONNX graphs with the inputs and shapes of the published exports are asked as their releases say.

The graphs compute what can be told by hand: the encoder passes a mean of its image on, the decoder draws a
blob around the mean of the points that lie on the object.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from segue.errors import CheckpointError
from segue.layers.colours import MEAN, STD
from segue.prompts import Prompts
from segue.prompts.sam import OnnxNetwork, SAMPrompter

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

Shapes = Mapping[str, list[Any]]
HEIGHT, WIDTH = 60, 90
SIDE, LOW, EMBED = 64, 16, 4
"""The releases have 1024, 256 and 64; the graphs are the same, smaller."""


def write(
    path: Path, inputs: Shapes, outputs: Shapes, nodes: list[Any], constants: Mapping[str, Any]
) -> None:
    def values(shapes: Shapes) -> list[Any]:
        kinds = {"orig_im_size_int": onnx.TensorProto.INT64}
        return [
            onnx.helper.make_tensor_value_info(
                name.removesuffix("_int"), kinds.get(name, onnx.TensorProto.FLOAT), shape
            )
            for name, shape in shapes.items()
        ]

    weights = [onnx.numpy_helper.from_array(np.asarray(v), name) for name, v in constants.items()]
    graph = onnx.helper.make_graph(nodes, "tiny", values(inputs), values(outputs), weights)
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)])
    model.ir_version = 8
    onnx.checker.check_model(model)
    onnx.save(model, str(path))


def node(kind: str, inputs: list[str], outputs: list[str], **attributes: Any) -> Any:
    return onnx.helper.make_node(kind, inputs, outputs, **attributes)


def sam_pair(folder: Path, *, high_resolution: bool = False) -> str:
    """Encoder: the image shrunk to the grid of embeddings. Decoder: low-resolution logits of three masks,
    which are 100 times the earlier mask, the sum of the labels, and the first x coordinate."""
    encoder, decoder = folder / "tiny.encoder.onnx", folder / "tiny.decoder.onnx"
    scale = {"scales": np.array([1, 1, EMBED / SIDE, EMBED / SIDE], np.float32)}
    shrunk = node("Resize", ["image", "", "scales"], ["image_embed"], mode="nearest")
    features: dict[str, list[Any]] = {"image_embeddings": [1, 3, EMBED, EMBED]}
    out: dict[str, list[Any]] = {"image_embed": [1, 3, EMBED, EMBED]}
    nodes = [shrunk]
    if high_resolution:
        names = ["high_res_feats_0", "high_res_feats_1"]
        nodes += [node("Identity", ["image_embed"], [name]) for name in names]
        out = {name: [1, 3, EMBED, EMBED] for name in (*names, "image_embed")}
        features = dict(out)
    write(encoder, {"image": [1, 3, SIDE, SIDE]}, out, nodes, scale)
    inputs: dict[str, list[Any]] = {
        **features,
        "point_coords": [1, "n", 2],
        "point_labels": [1, "n"],
        "mask_input": [1, 1, LOW, LOW],
        "has_mask_input": [1],
    }
    if not high_resolution:
        inputs["orig_im_size"] = [2]
    masks = "masks" if high_resolution else "low_res_masks"
    steps = [
        node("Mul", ["mask_input", "has_mask_input"], ["given"]),
        node("ReduceSum", ["point_labels"], ["label_sum"], keepdims=0),
        node("ReduceMax", ["point_coords"], ["most"], keepdims=0),
        node("Mul", ["given", "zero"], ["nothing"]),
        node("Add", ["nothing", "label_sum"], ["second"]),
        node("Add", ["nothing", "most"], ["third"]),
        node("Concat", ["given", "second", "third"], [masks], axis=1),
        node("Identity", ["quality"], ["iou_predictions"]),
    ]
    constants = {"zero": np.float32(0), "quality": np.array([[0.9, 0.5, 0.7]], np.float32)}
    shapes: dict[str, list[Any]] = {masks: [1, 3, LOW, LOW], "iou_predictions": [1, 3]}
    write(decoder, inputs, shapes, steps, constants)
    return f"{encoder},{decoder}"


def logits(plane: np.ndarray) -> np.ndarray:
    return np.asarray(np.log(plane / (1 - plane)))


def image() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 255, (HEIGHT, WIDTH, 3), np.uint8)


def test_sam_sees_the_image_normalised_in_the_upper_left_corner_of_a_square(tmp_path: Path) -> None:
    network = OnnxNetwork(sam_pair(tmp_path))
    grey = np.full((HEIGHT, WIDTH, 3), 100, np.uint8)
    embedded = network.encode(grey)["image_embeddings"][0]
    rows = round(HEIGHT / WIDTH * EMBED)
    np.testing.assert_allclose(embedded[:, 0, 0], (100 / 255 - np.array(MEAN)) / STD, atol=1e-5)
    np.testing.assert_allclose(embedded[:, rows - 1, -1], (100 / 255 - np.array(MEAN)) / STD, atol=1e-5)
    assert not embedded[:, -1].any()


def test_points_are_scaled_as_the_image_and_followed_by_one_that_is_none(tmp_path: Path) -> None:
    answer = SAMPrompter(image(), OnnxNetwork(sam_pair(tmp_path))).answer(Prompts(points=[(9, 6)]))
    # The largest coordinate is the third mask, which comes second; the labels 1 and -1 add up to 0.
    np.testing.assert_allclose(logits(answer.planes[1]), 9 * SIDE / WIDTH, rtol=1e-2)
    np.testing.assert_allclose(logits(answer.planes[2]), 0, atol=1e-5)


def test_the_corners_of_a_box_have_the_labels_2_and_3(tmp_path: Path) -> None:
    network = OnnxNetwork(sam_pair(tmp_path))
    answer = SAMPrompter(image(), network).answer(Prompts(box=(2, 3, 8, 6), negative=[(3, 4)]))
    np.testing.assert_allclose(logits(answer.planes[2]), 2 + 3 + 0, rtol=1e-3)


@pytest.mark.parametrize("high_resolution", [False, True])
def test_an_earlier_mask_goes_in_where_it_comes_out(tmp_path: Path, high_resolution: bool) -> None:
    mask = np.zeros((HEIGHT, WIDTH), np.bool_)
    mask[12:36, 18:54] = True
    network = OnnxNetwork(sam_pair(tmp_path, high_resolution=high_resolution))
    answer = SAMPrompter(image(), network).answer(Prompts(points=[(30, 30)], mask=mask))
    overlap = (answer.mask & mask).sum() / (answer.mask | mask).sum()
    assert overlap > 0.75  # the graph hands it back at a sixteenth of the side
    assert network.keeps_ratio is not high_resolution


def test_a_partner_that_is_missing_is_named(tmp_path: Path) -> None:
    encoder, decoder = tmp_path / "sam.encoder.onnx", tmp_path / "sam.decoder.onnx"
    encoder.touch()
    with pytest.raises(CheckpointError, match=r"sam\.decoder\.onnx: there is no such file"):
        OnnxNetwork(f"{encoder},{decoder}")


def test_a_file_that_is_no_graph_is_refused_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "all.onnx"
    path.write_bytes(b"no graph")
    with pytest.raises(CheckpointError, match=r"all\.onnx"):
        OnnxNetwork(f"{path},{path}")


def test_a_graph_of_another_kind_is_refused_with_its_inputs(tmp_path: Path) -> None:
    for name in ("encoder", "decoder"):
        write(tmp_path / f"{name}.onnx", {"x": [1]}, {"y": [1]}, [node("Identity", ["x"], ["y"])], {})
    with pytest.raises(CheckpointError, match="takes x"):
        OnnxNetwork(f"{tmp_path / 'encoder.onnx'},{tmp_path / 'decoder.onnx'}")
