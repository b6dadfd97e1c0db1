"""Open-vocabulary models of transformers with random weights, against its own post-processing."""

from __future__ import annotations

import json
import string
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import segue
from segue.errors import CheckpointError
from segue.models.detection.boxes import suppress
from segue.models.detection.open_vocabulary import MIN_CONCEPT, MIN_SCORE, ask_phrases, read_model
from tests.needs import needs

transformers = needs("transformers")

IMAGE = np.random.default_rng(0).integers(0, 255, (40, 60, 3)).astype(np.uint8)
PHRASES = ["red car", "dog"]
TINY = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}


def clip_tokenizer(length: int) -> Any:
    letters = [*string.ascii_lowercase]
    words = [*letters, *(f"{letter}</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    vocab = {word: number for number, word in enumerate(words)}
    return transformers.CLIPTokenizer(vocab=vocab, merges=[], model_max_length=length)


def bert_tokenizer() -> Any:
    """Grounding DINO knows [CLS], [SEP] and the full stop by the numbers of BERT."""
    vocab = {f"[unused{number}]": number for number in range(1040)}
    fixed = {"[PAD]": 0, "[UNK]": 100, "[CLS]": 101, "[SEP]": 102, "[MASK]": 103, ".": 1012, "?": 1029}
    placed = {**fixed, "red": 1030, "car": 1031, "dog": 1032}
    names = {number: word for word, number in vocab.items()} | {n: word for word, n in placed.items()}
    return transformers.BertTokenizer(vocab={names[n]: n for n in range(1040)})


def owlv2() -> tuple[Any, Any]:
    text = {**TINY, "vocab_size": 54, "bos_token_id": 52, "eos_token_id": 53, "pad_token_id": 53}
    config = transformers.Owlv2Config(
        text_config=text, vision_config={**TINY, "image_size": 48, "patch_size": 8}, projection_dim=16
    )
    images = transformers.Owlv2ImageProcessor(size={"height": 48, "width": 48})
    processor = transformers.Owlv2Processor(images, clip_tokenizer(16))
    model = transformers.Owlv2ForObjectDetection(config)
    with torch.no_grad():
        for weight in model.box_head.parameters():
            weight *= 0.01  # else random boxes are smaller than a pixel
    return model, processor


def grounding_dino() -> tuple[Any, Any]:
    config = transformers.GroundingDinoConfig(
        backbone_config=transformers.SwinConfig(
            image_size=64,
            embed_dim=8,
            depths=[1, 1, 1, 1],
            num_heads=[1, 2, 2, 4],
            window_size=2,
            out_indices=[2, 3, 4],
        ),
        text_config={**TINY, "model_type": "bert", "vocab_size": 1040},
        d_model=32,
        encoder_layers=1,
        decoder_layers=2,
        num_queries=12,
        encoder_ffn_dim=32,
        decoder_ffn_dim=32,
        disable_custom_kernels=True,
        encoder_attention_heads=4,
        decoder_attention_heads=4,
    )
    images = transformers.GroundingDinoImageProcessor(size={"shortest_edge": 64, "longest_edge": 96})
    processor = transformers.GroundingDinoProcessor(images, bert_tokenizer())
    return transformers.GroundingDinoForObjectDetection(config), processor


MADE = {"owlv2": owlv2, "grounding-dino": grounding_dino}


@pytest.fixture(scope="module", params=MADE)
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as transformers writes it, whose name is that of the detector."""
    torch.manual_seed(0)
    place = tmp_path_factory.mktemp("models") / str(request.param)
    for part in MADE[str(request.param)]():
        part.save_pretrained(place)
    return place


def test_boxes_are_those_of_transformers(folder: Path) -> None:
    model, processor = read_model(folder)
    found = ask_phrases(model, processor, PHRASES, torch.device("cpu"))(IMAGE)
    inputs = processor(images=IMAGE, text=[PHRASES], return_tensors="pt")
    with torch.no_grad():
        (wanted,) = processor.post_process_grounded_object_detection(
            model(**inputs), threshold=MIN_SCORE, target_sizes=[(40, 60)], text_labels=[PHRASES]
        )
    # Grounding DINO gives the words that it has matched, of both phrases too.
    labels = [
        next((p for p in PHRASES if set(p.split()) & set(t.split())), None) for t in wanted["text_labels"]
    ]
    own = [number for number, label in enumerate(labels) if label is not None]
    assert own
    numbers = torch.tensor([PHRASES.index(str(labels[number])) for number in own])
    kept = suppress(wanted["boxes"][own], wanted["scores"][own], numbers, 0.5)
    torch.testing.assert_close(torch.from_numpy(found.boxes), wanted["boxes"][own][kept].double())
    torch.testing.assert_close(torch.from_numpy(found.scores), wanted["scores"][own][kept].double())
    assert found.labels == [PHRASES[number] for number in numbers[kept]]


def test_a_detector_of_a_folder(folder: Path) -> None:
    for name in (folder.name, "zero-shot"):
        find: Any = segue.detector(
            name, weights=folder, text="red car, dog", score=0.0, refine="none", device="cpu"
        )
        assert find.names == {1: "red car", 2: "dog"}
        found = find(IMAGE)
        assert found.objects
        assert {item.label for item in found.objects} <= set(PHRASES)
        assert all(0 < item.score <= 1 for item in found.objects)
    assert find.rules.max_objects == 10


def test_a_video_is_tracked_by_its_text(folder: Path) -> None:
    auto = segue.Auto(
        segue.detector("zero-shot", weights=folder, text=PHRASES, score=0.01, refine="none", device="cpu"),
        frames=[0],
        text=PHRASES,
    )
    results = [*segue.track([IMAGE, IMAGE], auto, device="cpu")]
    assert {item.label for item in results[1].objects} <= set(PHRASES)
    assert [item.id for item in results[0].objects] == [item.id for item in results[1].objects] != []


def test_unfit_and_damaged_model_folders_are_refused(folder: Path, tmp_path: Path) -> None:
    other = next(name for name in MADE if name != folder.name)
    with pytest.raises(CheckpointError):
        segue.detector(other, weights=folder, text="dog", device="cpu")
    for name in ("config.json", "tokenizer.json"):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    torch.save({}, tmp_path / "pytorch_model.bin")
    with pytest.raises(CheckpointError):
        read_model(tmp_path)
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(CheckpointError, match=r"config\.json"):
        read_model(tmp_path)
    with pytest.raises(CheckpointError):
        segue.detector("zero-shot", text="dog", device="cpu")


def sam3(width: int = 32) -> tuple[Any, Any]:
    small = {"hidden_size": width, "intermediate_size": 64, "num_layers": 1, "num_attention_heads": 4}
    trunk = {
        **TINY,
        "model_type": "sam3_vit_model",
        "image_size": 112,
        "patch_size": 14,
        "window_size": 4,
        "global_attn_indexes": [0],
        "pretrain_image_size": 56,
    }
    config = transformers.Sam3Config(
        vision_config={
            "backbone_config": trunk,
            "fpn_hidden_size": width,
            "backbone_feature_sizes": [[32, 32], [16, 16], [8, 8]],
        },
        text_config={**TINY, "model_type": "clip_text_model", "vocab_size": 54, "projection_dim": 32}
        | {"max_position_embeddings": 32, "bos_token_id": 52, "eos_token_id": 53, "pad_token_id": 53},
        geometry_encoder_config=small,
        detr_encoder_config=small,
        detr_decoder_config={**small, "num_queries": 6},
        mask_decoder_config={"hidden_size": width, "num_attention_heads": 4},
    )
    images = transformers.Sam3ImageProcessor(size={"height": 112, "width": 112})
    return transformers.Sam3Model(config), transformers.Sam3Processor(images, clip_tokenizer(32))


def test_masks_of_sam3_are_those_of_transformers(tmp_path: Path) -> None:
    if not hasattr(transformers, "Sam3Model"):
        pytest.skip("this version of transformers has no SAM 3")
    try:
        torch.manual_seed(0)
        parts = sam3()
    except ImportError as error:  # its images need torchvision
        pytest.skip(str(error).strip().partition("\n")[0])
    for part in parts:
        part.save_pretrained(tmp_path)
    assert json.loads((tmp_path / "config.json").read_text())["model_type"] == "sam3"
    model, processor = read_model(tmp_path)
    detections = ask_phrases(model, processor, PHRASES, torch.device("cpu"))(IMAGE)
    boxes, scores, labels = detections.boxes, detections.scores, detections.labels
    planes = detections.masks
    assert planes is not None
    start = 0
    for phrase in PHRASES:
        inputs = processor(images=IMAGE, text=phrase, return_tensors="pt")
        with torch.no_grad():
            (wanted,) = processor.post_process_instance_segmentation(
                model(**inputs), threshold=MIN_CONCEPT, target_sizes=[(40, 60)]
            )
        part = slice(start, start + len(wanted["scores"]))
        torch.testing.assert_close(torch.from_numpy(boxes[part]), wanted["boxes"].double())
        torch.testing.assert_close(torch.from_numpy(scores[part]), wanted["scores"].double())
        assert planes is not None
        assert np.array_equal(planes[part] > 0, wanted["masks"].bool().numpy())
        assert labels[part] == [phrase] * len(wanted["scores"])
        start = part.stop
    assert start
    detector = segue.detector("sam3", weights=tmp_path, text=PHRASES, score=0.0, device="cpu")
    assert {item.label for item in detector(IMAGE).objects} <= set(PHRASES)


def test_the_image_model_of_a_folder_for_videos_is_read(tmp_path: Path) -> None:
    """SAM 3 is released as such a folder, whose weights have other names than those of the image model."""
    if not hasattr(transformers, "Sam3VideoModel"):
        pytest.skip("this version of transformers has no SAM 3 for videos")
    torch.manual_seed(2)
    try:
        image_model, processor = sam3(width=128)
    except ImportError as error:  # its images need torchvision
        pytest.skip(str(error).strip().partition("\n")[0])
    detector = image_model.config.to_dict()
    tracker = {
        "vision_config": detector["vision_config"],
        "image_size": 112,
        "prompt_encoder_config": {"hidden_size": 128, "image_size": 112, "patch_size": 14},
        "mask_decoder_config": {"hidden_size": 128, "mlp_dim": 32, "num_attention_heads": 4}
        | {"iou_head_hidden_dim": 32},
        "memory_attention_hidden_size": 128,
        "memory_attention_num_layers": 1,
        "memory_attention_feed_forward_hidden_size": 32,
        "memory_attention_rope_feat_sizes": [8, 8],
        "memory_encoder_hidden_size": 128,
        "mask_downsampler_embed_dim": 128,
        "memory_fuser_embed_dim": 128,
        "memory_fuser_intermediate_dim": 32,
    }
    config = transformers.Sam3VideoConfig(
        detector_config=detector, tracker_config=tracker, low_res_mask_size=32
    )
    model = transformers.Sam3VideoModel(config)
    model.save_pretrained(tmp_path)
    videos = transformers.Sam2VideoVideoProcessor(size={"height": 112, "width": 112})
    parts = processor.image_processor, videos, clip_tokenizer(32)
    transformers.Sam3VideoProcessor(*parts).save_pretrained(tmp_path)
    assert json.loads((tmp_path / "config.json").read_text())["model_type"] == "sam3_video"
    read, _ = read_model(tmp_path)
    wanted = model.detector_model.state_dict()
    assert all(torch.equal(value, wanted[name]) for name, value in read.state_dict().items())
    found = segue.detector("sam3", weights=tmp_path, text=PHRASES, score=0.0, device="cpu")(IMAGE)
    assert found.objects
    assert {item.label for item in found.objects} <= set(PHRASES)
