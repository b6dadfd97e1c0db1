"""Instances in videos of any length: windows, matching, results, going on."""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import segue
from segue.errors import ArgumentError, CheckpointError, PromptError, SourceError
from segue.masks.values import MAX_ID
from segue.models.msstsvis import MSSTSVIS
from segue.models.seqformer import SeqFormer, Size
from segue.sessions.instance_tracks import PATIENCE, Instance, Tracks
from segue.sessions.instances import InstanceSession, WindowOptions, allowed_classes
from segue.sessions.official import (
    as_tensor,
    resized,
    whole_clip,
)
from segue.types import Frame, Segmentation
from segue.weights import Prepared, prepare
from tests.golden_arrays import load_golden

TINY = Size(width=64, hidden=48, encoder_layers=1, decoder_layers=2, heads=4, queries=8, classes=6)

OPTIONS = WindowOptions(window=5, overlap=2, score=0.0, top=4, short_side=32)


def frames(count: int, size: tuple[int, int] = (40, 56)) -> list[Frame]:
    generator = np.random.default_rng(0)
    images = generator.integers(0, 256, (count, *size, 3)).astype(np.uint8)
    return [Frame(i, i / 10, image) for i, image in enumerate(images)]


def untrained(kind: type[SeqFormer]) -> SeqFormer:
    torch.manual_seed(0)
    return kind("r18", TINY).eval()


@cache
def network(kind: type[SeqFormer] = SeqFormer) -> Prepared[Any]:
    """A small network with random weights, ready for all sessions."""
    return prepare(untrained(kind), device="cpu")


def followed(session: InstanceSession, clip: list[Frame]) -> list[Segmentation]:
    results = [session.step(frame) for frame in clip]
    return [result for result in results if result is not None] + list(session.finish())


def square(row: int, column: int, size: int = 3, frames: int = 2) -> Tensor:
    mask = torch.zeros(frames, 12, 12, dtype=torch.bool)
    mask[:, row : row + size, column : column + size] = True
    return mask


def instance(look: Tensor, scores: list[float], masks: Tensor) -> Instance:
    return Instance(look.numpy(), np.array(scores, np.float32), masks)


def ids(tracks: Tracks, *found: Instance, shared: int = 2, keep: int = 2) -> list[int]:
    """Ids of the instances of the next window."""
    return [track.id for track in tracks.update(found, shared, keep)]


@pytest.mark.parametrize("kind", [SeqFormer, MSSTSVIS])
@pytest.mark.parametrize("count", [1, 4, 5, 13])
def test_every_frame_has_one_result_in_order(kind: type[SeqFormer], count: int) -> None:
    results = followed(InstanceSession(network(kind), OPTIONS, device="cpu"), frames(count))
    assert [result.index for result in results] == list(range(count))
    for result in results:
        assert result.mask.shape == (40, 56)
        assert set(np.unique(result.mask)) <= {0, *result.ids}
        assert result.probabilities.shape == (len(result.ids) + 1, 40, 56)
        assert np.allclose(result.probabilities.sum(0), 1, atol=1e-3)


@pytest.mark.parametrize("kind", [SeqFormer, MSSTSVIS])
def test_a_restored_session_goes_on_identically(kind: type[SeqFormer]) -> None:
    built, clip = network(kind), frames(13)
    whole = followed(InstanceSession(built, OPTIONS, device="cpu"), clip)
    first = InstanceSession(built, OPTIONS, device="cpu")
    begun = [first.step(frame) for frame in clip[:9]]
    second = InstanceSession(built, OPTIONS, device="cpu")
    second.restore(first.state())
    results = [result for result in begun if result is not None] + followed(second, clip[9:])
    assert len(results) == len(whole)
    for one, other in zip(results, whole, strict=True):
        assert np.array_equal(one.mask, other.mask)
        assert one.objects == other.objects


def test_a_state_of_other_settings_is_refused() -> None:
    built = network()
    session = InstanceSession(built, OPTIONS, names={1: "dog"}, device="cpu")
    session.step(frames(1)[0])
    state = session.state()
    changed = untrained(SeqFormer)
    next(changed.parameters()).data.add_(1e-3)
    others = [
        (
            InstanceSession(network(MSSTSVIS), OPTIONS, names={1: "dog"}, device="cpu"),
            "network SeqFormer",
        ),
        (InstanceSession(built, replace(OPTIONS, window=6), names={1: "dog"}, device="cpu"), "options "),
        (InstanceSession(built, OPTIONS, names={1: "cat"}, device="cpu"), "names {'1': 'dog'}, not"),
        (InstanceSession(changed, OPTIONS, names={1: "dog"}, device="cpu"), "weights "),
    ]
    for other, words in others:
        with pytest.raises(CheckpointError, match=f"the session was saved with {words}"):
            other.restore(state)


def test_an_object_is_called_by_the_best_of_the_wanted_classes() -> None:
    names = {channel: str(channel) for channel in range(TINY.classes)}
    found = [
        {
            item.label
            for result in followed(InstanceSession(network(), options, names=names, device="cpu"), frames(5))
            for item in result.objects
        }
        for options in (OPTIONS, *(replace(OPTIONS, classes=frozenset({i})) for i in range(TINY.classes)))
    ]
    assert found[0]
    assert found[1:] == [{str(i)} for i in range(TINY.classes)]


def test_memory_does_not_grow_with_the_video() -> None:
    session = InstanceSession(network(), OPTIONS, device="cpu")
    sizes = []
    for frame in frames(24):
        session.step(frame)
        state = session.state()
        sizes.append(sum(tensor.numel() for name, tensor in state.tensors.items() if "track" not in name))
    assert max(sizes[12:]) <= max(sizes[:12])


def test_a_whole_clip_gives_the_published_results(shared: Path, seqformer_network: SeqFormer) -> None:
    golden = load_golden("seqformer_r50_forward", shared / "golden")
    expected = json.loads((shared / "golden" / "seqformer_r50_forward_results.json").read_text())["results"]
    images = list(golden["image_u8"])
    side = min(images[0].shape[:2])  # they are not resized
    records = whole_clip(seqformer_network, images, (150, 200), device="cpu", short_side=side)
    assert [record["category_id"] for record in records] == [record["category_id"] for record in expected]
    assert [record["score"] for record in records] == pytest.approx(
        [record["score"] for record in expected], abs=1e-5
    )
    pairs = [
        (one["counts"], other["counts"])
        for record, wanted in zip(records, expected, strict=True)
        for one, other in zip(record["segmentations"], wanted["segmentations"], strict=True)
    ]
    # A pixel whose logit is zero up to rounding may fall on either side.
    assert sum(one == other for one, other in pairs) >= 0.9 * len(pairs)


def test_images_are_reduced_as_published() -> None:
    from segue.layers.colours import normalise_planes

    golden = load_golden("seqformer_preprocess")
    small = resized(golden["image_u8"], int(golden["short_side"]))
    tensor = normalise_planes(as_tensor([small], torch.device("cpu"), torch.float32)[0])
    assert np.allclose(tensor[0].numpy(), golden["out"], atol=1e-5)


def test_an_object_keeps_its_id_where_masks_overlap() -> None:
    a, b = torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0])
    tracks = Tracks()
    first = ids(
        tracks, instance(a, [0.9, 0.1], square(0, 0)), instance(b, [0.1, 0.8], square(6, 6)), shared=0
    )
    second = ids(tracks, instance(b, [0.1, 0.7], square(6, 7)), instance(a, [0.8, 0.1], square(1, 0)))
    assert first == [1, 2]
    assert second == [2, 1]


def test_an_object_that_comes_back_is_known_by_its_look_until_it_is_forgotten() -> None:
    look, other = torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0])
    for windows, expected in ((3, 1), (PATIENCE + 1, 3)):
        tracks = Tracks()
        ids(tracks, instance(look, [0.9, 0.1], square(6, 6)), shared=0)
        for _ in range(windows):
            ids(tracks, instance(other, [0.1, 0.9], square(0, 0)))
        assert ids(tracks, instance(look, [0.9, 0.1], square(8, 2))) == [expected]


def test_after_the_last_id_of_a_mask_file_free_ids_are_given_once_more() -> None:
    """Mask files have 16 bits; object 65,537 was object 1, also where object 1 was still there."""
    looks = torch.eye(3)
    tracks = Tracks()
    places = square(0, 0), square(6, 0), square(0, 6)
    found = [instance(look, [0.9], place) for look, place in zip(looks, places, strict=True)]
    ids(tracks, found[0], shared=0)
    tracks.last_id = MAX_ID - 1
    assert ids(tracks, *found) == [1, MAX_ID, 2]


def test_invalid_frames_prompts_windows_and_classes_are_refused() -> None:
    session = InstanceSession(network(), OPTIONS, device="cpu")
    session.step(frames(1)[0])
    with pytest.raises(SourceError):
        session.step(frames(1, (30, 20))[0])
    with pytest.raises(PromptError):
        session.step(frames(1)[0], np.zeros((40, 56), np.uint8))
    with pytest.raises(ArgumentError):
        WindowOptions(window=3, overlap=3)
    with pytest.raises(PromptError):
        allowed_classes(["cow"], {1: "dog"})
    assert allowed_classes(["dog", "2"], {1: "dog", 2: "cat"}) == {1, 2}


class Colours(nn.Module):
    """An instance network of somebody else, with a memory and queries of its own: one query a colour."""

    class_names: dict[int, str] = {0: "red", 1: "blue"}  # noqa: RUF012
    score = 0.5
    short_side = 40
    classes = 2
    relates_frames = False

    def encode(self, frames: Tensor) -> list[Tensor]:
        return list(frames[0])

    def join(self, parts: Sequence[list[Tensor]]) -> list[Tensor]:
        return [image for part in parts for image in part]

    def decode(self, memory: list[Tensor]) -> Tensor:
        return torch.stack([torch.stack([x[0] - x[2], x[2] - x[0]]) for x in memory], 1)

    def class_logits(self, decoded: Tensor) -> Tensor:
        return 10 * torch.eye(2)[None] - 5

    def embeddings(self, decoded: Tensor) -> Tensor:
        return torch.eye(2)[None]

    def mask_logits(self, memory: list[Tensor], decoded: Tensor, sample: int, queries: Tensor) -> Tensor:
        return 20 * decoded[queries] - 10

    def attention(self, memory: list[Tensor], decoded: Tensor, queries: Tensor) -> Tensor:
        return decoded[queries].flatten(2).softmax(2).reshape(decoded[queries].shape)


def test_a_network_with_a_memory_of_its_own_is_run() -> None:
    """Red moves to the right, blue comes later."""
    images = np.zeros((7, 40, 56, 3), np.uint8)
    for t, image in enumerate(images):
        image[5:15, 4 * t : 4 * t + 10, 0] = 255
        if t > 3:
            image[25:35, 30:40, 2] = 255
    results = list(segue.instances(list(images), model=Colours(), window=3, overlap=1, device="cpu"))
    assert [[item.label for item in result.objects if item.area] for result in results] == [
        ["red"] if t < 4 else ["red", "blue"] for t in range(7)
    ]
    for image, result in zip(images, results, strict=True):
        assert np.array_equal(result.mask, np.where(image[..., 0], 1, np.where(image[..., 2], 2, 0)))
    sure = float(torch.tensor(5.0).sigmoid())
    assert {round(item.score, 4) for result in results for item in result.objects} == {round(sure, 4)}
    assert results[0].objects[0].box == (0, 5, 10, 15)
    session = InstanceSession(Colours(), WindowOptions(window=3, overlap=1, short_side=40), device="cpu")
    session.explain()
    assert len(followed(session, [Frame(t, t / 10, image) for t, image in enumerate(images)])) == 7
    assert session.explanation is not None


@pytest.mark.parametrize("kind", [SeqFormer, MSSTSVIS])
def test_an_explanation_changes_nothing(kind: type[SeqFormer]) -> None:
    """Frames that are encoded once for two windows, as those of SeqFormer, are explained in each."""
    clip, found = frames(9), network(kind)
    plain = followed(InstanceSession(found, OPTIONS, device="cpu"), clip)
    session = InstanceSession(found, OPTIONS, device="cpu")
    session.explain()
    results = []
    for result in itertools.chain((session.step(frame) for frame in clip), session.finish()):
        if result is not None:
            results.append(result)
            assert session.explanation is not None
            width = session.explanation.shape[1]
            assert width % (len(result.objects) + 1) == 0
    assert any(result.mask.any() for result in results)
    for ours, theirs in zip(results, plain, strict=True):
        assert np.array_equal(ours.mask, theirs.mask)
        assert ours.objects == theirs.objects
