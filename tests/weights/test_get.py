"""Weights are downloaded from a server on this machine, converted into the cache, and found by their name."""

from __future__ import annotations

import hashlib
import io
import json
import pickle
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from segue.errors import CheckpointError, DownloadError
from segue.models.detection.pointrend import PointRend
from segue.models.dino import DINO
from segue.models.stcn import STCNLite
from segue.registry import MODELS, Entry
from segue.weights import convert, load, read_checkpoint
from segue.weights.catalogue import recognise
from segue.weights.download import Remote, Trust, cached
from segue.weights.loading import get, install
from tests.cli.running import command_in
from tests.weights.test_download import Behaviour, server

__all__ = ["server"]

CONTRACTS = Path(__file__).parent.parent / "contracts"


@pytest.fixture(autouse=True)
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    for name in ("SEGUE_MIRROR", "SEGUE_OFFLINE", "http_proxy", "HTTP_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("SEGUE_HOME", str(tmp_path / "home"))
    yield tmp_path / "home"
    for path in tmp_path.rglob("*.*"):
        if path.is_file():
            path.unlink()


def served(entry: Entry, address: str, behaviour: Behaviour, state: dict[str, Tensor], folder: Path) -> Entry:
    """The entry with its official file on the server."""
    torch.save(state, folder / "official.pth")
    behaviour.content = (folder / "official.pth").read_bytes()
    digest = hashlib.sha256(behaviour.content).hexdigest()
    return replace(entry, remote=Remote(f"{address}/file.pth", "file.pth", digest[:8]))


def dino_entry() -> Entry:
    """A catalogue entry for a very small DINO."""
    return replace(
        MODELS.find("dino-s16"), name="dino-tiny", build=lambda: DINO(64, depth=1), shape=(1, 197, 64)
    )


Only = Callable[[Entry], None]


@pytest.fixture
def only(monkeypatch: pytest.MonkeyPatch) -> Only:
    """Makes an entry the only network that is known."""
    return lambda entry: monkeypatch.setitem(vars(MODELS), "_entries", {entry.name: entry})


@pytest.fixture
def unchecked(server: tuple[str, Behaviour], tmp_path: Path, only: Only) -> Entry:
    """The only network of the catalogue: its file is on the server, and its publisher gives no checksum."""
    entry = served(dino_entry(), *server, DINO(64, depth=1).state_dict(), tmp_path)
    assert entry.remote is not None
    unknown = replace(entry, remote=replace(entry.remote, sha256=None))
    only(unknown)
    return unknown


def test_a_network_is_downloaded_converted_and_then_found_by_name(
    server: tuple[str, Behaviour], home: Path, tmp_path: Path, only: Only
) -> None:
    address, behaviour = server
    state = DINO(64, depth=1).state_dict()
    entry = served(dino_entry(), address, behaviour, state, tmp_path)
    only(entry)
    with pytest.raises(CheckpointError, match=r"segue weights get dino-tiny.*file\.pth"):
        load("dino-tiny")
    seen: list[int] = []
    path = get(entry, report=lambda done, _: seen.append(done))
    assert path == cached(entry) == home / "weights" / "dino-tiny.safetensors"
    assert seen[-1] == len(behaviour.content)
    assert [item.name for item in path.parent.iterdir()] == ["dino-tiny.safetensors"]
    found = load("dino-tiny").state_dict()
    assert all(torch.equal(found[name], value) for name, value in state.items())
    assert get(entry) == path
    assert len(behaviour.asked) == 1
    origin = read_checkpoint(path).metadata["source_sha256"]
    assert get(entry, checksum=origin.upper()) == path
    with pytest.raises(DownloadError):
        get(entry, checksum="0" * 64)


def test_a_file_without_a_checksum_is_installed_only_if_it_is_trusted(
    server: tuple[str, Behaviour], unchecked: Entry
) -> None:
    asked = []

    def answers(trusted: bool) -> Trust:
        def answer(digest: str) -> bool:
            asked.append(digest)
            return trusted

        return answer

    digest = hashlib.sha256(server[1].content).hexdigest()
    with pytest.raises(DownloadError):
        get(unchecked, trust=answers(False))
    assert not cached(unchecked).exists()
    get(unchecked, trust=answers(True))
    assert cached(unchecked).exists()
    assert asked == [digest, digest]


class Terminal(io.StringIO):
    """Where somebody types."""

    def isatty(self) -> bool:
        return True


def test_the_command_shows_the_checksum_and_asks(
    server: tuple[str, Behaviour],
    unchecked: Entry,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    behaviour = server[1]
    command = command_in(capsys)
    digest = hashlib.sha256(behaviour.content).hexdigest()
    order = ("weights", "get", "dino-tiny")
    assert "gives no checksum" in command(*order).complaint  # nobody is there to be asked
    monkeypatch.setattr(sys, "stdin", Terminal("n\n"))
    ended = command(*order)
    assert f"SHA-256 of the file: {digest}\nTrust it?" in ended.err
    assert f"error: file.pth: its SHA-256 {digest} is not trusted" in ended.err
    assert not cached(unchecked).exists()
    monkeypatch.setattr(sys, "stdin", Terminal("y\n"))
    assert command(*order).code == 0
    cached(unchecked).unlink()
    ended = command(*order, "--trust")
    assert (ended.code, "Trust it?" in ended.err, digest in ended.err) == (0, False, True)
    assert cached(unchecked).exists()


def test_weights_of_another_network_do_not_stay(
    server: tuple[str, Behaviour], tmp_path: Path, only: Only
) -> None:
    address, behaviour = server
    entry = served(dino_entry(), address, behaviour, DINO(64, depth=1).state_dict(), tmp_path)
    only(entry)
    other = replace(MODELS.find("dino-tiny"), name="dino-other")
    with pytest.raises(CheckpointError):
        get(other)
    assert not cached(other).exists()
    assert get(entry).exists()


def test_networks_without_an_address_say_what_to_do() -> None:
    for name, words in (("stcn-lite", "come with segue"), ("deeplab", "google-coral"), ("mustan2", "train")):
        with pytest.raises(DownloadError, match=words):
            get(MODELS.find(name))


PAGE = """<html><body><form id="download-form" action="{action}" method="get">
<input type="submit" value="Download anyway"/><input type="hidden" name="id" value="abc">
<input type="hidden" name="confirm" value="t"><input type="hidden" name="uuid" value="1-2">
</form></body></html>"""


@pytest.mark.parametrize("kind", ["release", "checksum", "redirect", "drive"])
def test_addresses_of_every_kind_are_downloaded_from(
    kind: str, server: tuple[str, Behaviour], tmp_path: Path, only: Only
) -> None:
    """As those of GitHub and Meta, torchvision, Dropbox (which redirects), and Google Drive (which asks)."""
    address, behaviour = server
    state = DINO(64, depth=1).state_dict()
    entry = served(dino_entry(), address, behaviour, state, tmp_path)
    assert entry.remote is not None
    digest = hashlib.sha256(behaviour.content).hexdigest()
    known = {"sha256": digest, "size": len(behaviour.content)} if kind == "checksum" else {"sha256": None}
    place = {"redirect": f"{address}/moved", "drive": f"{address}/ask?id=abc"}.get(
        kind, f"{address}/file.pth"
    )
    behaviour.redirect = f"{address}/there?dl=1"
    behaviour.pages = {"/ask?id=abc": PAGE.format(action="/download")}
    asked: list[str] = []

    def trust(digest: str) -> bool:
        asked.append(digest)
        return True

    entry = replace(entry, remote=replace(entry.remote, address=place, **known))  # type: ignore[arg-type]
    only(entry)
    path = get(entry, trust=trust)
    found = read_checkpoint(path)
    assert found.metadata["source_sha256"] == digest
    assert asked == ([] if kind == "checksum" else [digest])
    if kind == "drive":
        assert behaviour.asked[-1][0] == "/download?id=abc&confirm=t&uuid=1-2"


def test_a_page_without_a_confirmation_is_no_weight_file(
    server: tuple[str, Behaviour], tmp_path: Path, only: Only
) -> None:
    address, behaviour = server
    entry = served(dino_entry(), address, behaviour, DINO(64, depth=1).state_dict(), tmp_path)
    only(entry)
    behaviour.pages = {"/file.pth": "<html>Quota exceeded</html>"}
    with pytest.raises(DownloadError):
        get(entry, trust=lambda _: True)
    assert not cached(entry).exists()


def test_the_files_of_the_catalogue_with_a_known_checksum_need_no_trust() -> None:
    pinned = {entry.name for entry in MODELS if entry.remote and entry.remote.sha256}
    sizes = ("tiny", "small", "base+", "large")
    others = {"xmem", "cutie", "maskrcnn", "maskrcnn-v1", "dino-b16"}
    assert pinned == others | {f"sam2-{size}" for size in sizes}
    for name in pinned:
        remote = MODELS.find(name).remote
        assert remote is not None
        assert len(str(remote.sha256)) == 64
        assert remote.size


def test_a_run_without_weights_says_command_size_and_licence(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "a.mp4").touch()
    command = command_in(capsys)
    said = command("track", tmp_path / "a.mp4", "--box", "1,2,30,40", "--model", "cutie").complaint
    assert "`segue weights get cutie`" in said
    assert "(140 MB), licence code MIT" in said


def test_the_official_pickle_of_pointrend_is_converted_by_name(tmp_path: Path) -> None:
    contract: dict[str, list[int]] = json.loads((CONTRACTS / "pointrend_r50.json").read_text())
    arrays = {name: np.broadcast_to(np.float16(i), shape) for i, (name, shape) in enumerate(contract.items())}
    small = {name: np.ascontiguousarray(value) for name, value in arrays.items()}
    (tmp_path / "model_final.pkl").write_bytes(pickle.dumps({"model": small, "__author__": "x"}, 4))
    entry = convert(tmp_path / "model_final.pkl", tmp_path / "pointrend.safetensors")
    assert entry.name == "pointrend"
    converted = read_checkpoint(tmp_path / "pointrend.safetensors").tensors
    with torch.device("meta"):
        assert converted.keys() == PointRend().state_dict().keys()
    rank = list(contract).index("backbone.bottom_up.res2.0.conv1.weight")
    assert converted["backbone.body.layer1.0.conv1.weight"].unique().tolist() == [rank]
    assert recognise(converted) is entry


def test_a_file_of_the_user_is_installed_under_the_name_of_its_network(tmp_path: Path) -> None:
    torch.manual_seed(0)
    state = STCNLite().state_dict()
    torch.save(state, tmp_path / "mine.pth")
    target, entry = install(tmp_path / "mine.pth")
    assert (entry.name, target) == ("stcn-lite", cached(MODELS.find("stcn-lite")))
    assert torch.equal(read_checkpoint(target).tensors["key_proj.weight"], state["key_proj.weight"])
    with pytest.raises(CheckpointError):
        install(tmp_path / "mine.pth")
    install(tmp_path / "mine.pth", overwrite=True)
    assert [path.name for path in target.parent.iterdir()] == ["stcn-lite.safetensors"]
    (tmp_path / "other.pth").write_bytes(b"nothing")
    with pytest.raises(CheckpointError):
        install(tmp_path / "other.pth")
