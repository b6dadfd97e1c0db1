"""Networks as folders of Hugging Face, and from a repository that a server on this machine plays."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote

import pytest
import torch
from torch import nn

import segue
from segue.errors import CheckpointError, DownloadError, SinkError
from segue.jobs.record import model_digest
from segue.jobs.values import Model
from segue.registry import MODELS
from segue.weights import load, read_checkpoint, recognise
from segue.weights.available import check_available
from segue.weights.cards import model_card
from segue.weights.pretrained import download_repository, read_config
from tests.needs import needs

BUNDLED = [entry.name for entry in MODELS if entry.bundled is not None]
FIRST, SECOND = "1" * 40, "2" * 40


def equal(one: nn.Module, other: nn.Module) -> bool:
    ours, theirs = one.state_dict(), other.state_dict()
    return ours.keys() == theirs.keys() and all(torch.equal(ours[name], theirs[name]) for name in ours)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A saved network; the tests leave it as it is."""
    return segue.save_pretrained("stcn-lite-free", tmp_path_factory.mktemp("saved") / "lite")


def copied(folder: Path, target: Path, **config: object) -> Path:
    """A copy of a saved network with other values in its configuration."""
    target.mkdir()
    for path in folder.iterdir():
        (target / path.name).write_bytes(path.read_bytes())
    values = json.loads((folder / "config.json").read_text()) | config
    (target / "config.json").write_text(json.dumps(values))
    return target


# One with a twin of the same names and shapes, one with options, one with its licence beside it.
@pytest.mark.parametrize("name", ["stcn-lite-free", "msstsvis-lite", "nanodet"])
def test_a_network_of_the_package_comes_back_as_it_was(name: str, tmp_path: Path) -> None:
    saved = segue.save_pretrained(name, tmp_path / "it")
    network = segue.from_pretrained(saved)
    assert equal(network, load(name))
    assert not network.training
    # What half precision holds is written in it: the file is no larger than the one of the package.
    assert (saved / "model.safetensors").stat().st_size <= Path(asset(name)).stat().st_size + 200
    config = json.loads((saved / "config.json").read_text())
    assert (config["model_type"], config["network"], config["architectures"]) == (
        "segue",
        name,  # told from its twin by its weights
        [type(network).__name__],
    )
    for beside in ("LICENSE-Apache-2.0.txt", "free_images.csv"):
        assert (saved / beside).exists() == (beside in (saved / "README.md").read_text())
    again = segue.save_pretrained(network, tmp_path / "again")
    assert (again / "README.md").read_text() == (saved / "README.md").read_text()


def asset(name: str) -> Path:
    return Path(segue.__file__).parent / "assets" / str(MODELS.find(name).bundled)


@pytest.mark.parametrize("name", BUNDLED)
def test_the_model_card_is_that_of_the_package_and_hugging_face_can_read_it(name: str) -> None:
    hub = needs("huggingface_hub")
    card = hub.ModelCard(model_card(MODELS.find(name), shipped=True))
    assert card.data.library_name == "segue"
    assert card.data.pipeline_tag in ("mask-generation", "image-segmentation", "object-detection")
    own = asset(name).with_suffix(".md").read_text(encoding="utf-8")
    assert own.splitlines()[2] in card.text  # which file, and how many values
    assert "!!!" not in card.text
    assert "](" not in card.text.replace("](http", "")  # nothing leads to pages that are not there
    licence = "apache-2.0" if name == "nanodet" else "other"
    assert card.data.license == licence
    assert MODELS.find(name).licence in card.text


def test_a_folder_serves_wherever_a_weight_file_does(folder: Path) -> None:
    entry = recognise(read_checkpoint(folder).tensors)
    assert entry is not None
    assert entry.name == "stcn-lite"
    assert equal(load("stcn-lite-free", folder), load("stcn-lite-free"))
    check_available("track", "stcn-lite", folder)
    digest = model_digest(Model(name="own", weights=folder))
    assert digest is not None
    with pytest.raises(CheckpointError):
        load("stcn", folder)


def test_an_earlier_network_is_not_replaced_unasked(folder: Path, tmp_path: Path) -> None:
    target = copied(folder, tmp_path / "it")
    with pytest.raises(CheckpointError):
        segue.save_pretrained("nanodet", target)
    segue.save_pretrained("nanodet", target, overwrite=True)
    assert read_config(target)[0] == "nanodet"
    (tmp_path / "file").write_text("")
    with pytest.raises(SinkError):
        segue.save_pretrained("nanodet", tmp_path / "file" / "below")


@pytest.mark.parametrize(
    ("config", "complaint"),
    [
        ({"model_type": "bert"}, "model_type is 'bert'"),
        ({"network": "nobody"}, "nobody"),
        ({"network": 3}, "network must"),
        ({"options": {"a": [1]}}, "options must"),
        ({"options": {"width": 3}}, "different options"),
        ({"network": "nanodet"}, "stcn-lite, not of nanodet"),
    ],
)
def test_a_configuration_that_does_not_fit_is_refused(
    folder: Path, tmp_path: Path, config: dict[str, object], complaint: str
) -> None:
    with pytest.raises(CheckpointError, match=complaint):
        segue.from_pretrained(copied(folder, tmp_path / "it", **config))


def test_a_folder_without_safetensors_is_refused_and_nothing_is_unpickled(
    folder: Path, tmp_path: Path
) -> None:
    target = copied(folder, tmp_path / "it")
    torch.save(load("stcn-lite-free").state_dict(), target / "pytorch_model.bin")
    assert equal(segue.from_pretrained(target), load("stcn-lite-free"))
    (target / "model.safetensors").unlink()
    with pytest.raises(CheckpointError):
        segue.from_pretrained(target)
    (target / "config.json").write_text("[" * 100_000)
    with pytest.raises(CheckpointError, match=r"config\.json"):
        segue.from_pretrained(target)


def test_unknown_folders_and_unfit_names_are_refused(tmp_path: Path) -> None:
    assert equal(segue.from_pretrained("nanodet"), load("nanodet"))
    with pytest.raises(CheckpointError):
        segue.from_pretrained("no such folder")
    for network, name in ((nn.Linear(1, 1), None), (load("nanodet"), "stcn")):
        with pytest.raises(CheckpointError):
            segue.save_pretrained(network, tmp_path / "it", name=name)
        assert not (tmp_path / "it").exists()
    assert segue.save_pretrained(load("nanodet"), tmp_path / "it", name="nanodet").exists()


@dataclass
class Hub:
    """A repository ``someone/lite`` with two commits: what the server has, and the files it was asked for."""

    commits: dict[str, dict[str, bytes]]
    branches: dict[str, str]
    asked: list[str] = field(default_factory=list)
    moves_to: str | None = None
    digest: str | None = None  # that the list of files has of the weights


class HubHandler(BaseHTTPRequestHandler):
    """``/someone/lite/resolve/REVISION/FILE``, as https://huggingface.co answers it."""

    hub: Hub

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def _answer(self, *, body: bool) -> None:
        hub = self.hub
        parts = unquote(self.path).partition("?")[0].strip("/").split("/")
        if parts[:4] == ["api", "models", "someone", "lite"]:
            return self._list(hub.commits[parts[5]], parts[5])
        if parts[:3] != ["someone", "lite", "resolve"]:  # huggingface_hub also reads lists of its own
            return self._fail("RepoNotFound")
        hub.asked.append(f"{self.command} {self.path}")
        commit = hub.branches.get(parts[3], parts[3])
        if commit not in hub.commits:
            return self._fail("RevisionNotFound")
        content = hub.commits[commit].get(parts[4])
        if content is None:
            return self._fail("EntryNotFound", commit)
        self.send_response(200)
        self.send_header("X-Repo-Commit", commit)
        self.send_header("ETag", f'"{hashlib.sha256(content).hexdigest()}"')
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if body:
            self.wfile.write(content)
            if hub.moves_to is not None:  # somebody pushes while we download
                hub.branches["main"] = hub.moves_to
        return None

    def _list(self, files: dict[str, bytes], commit: str) -> None:
        """The files of a commit, as the interface of the Hub lists them."""
        siblings: list[dict[str, object]] = [
            {"rfilename": name, "size": len(content)} for name, content in files.items()
        ]
        for item in siblings:
            if item["rfilename"] == "model.safetensors":
                own = hashlib.sha256(files["model.safetensors"]).hexdigest()
                item["lfs"] = {"sha256": self.hub.digest or own, "size": item["size"], "pointerSize": 1}
        listed = {"id": "someone/lite", "sha": commit, "siblings": siblings, "cardData": {"license": "mit"}}
        body = json.dumps(listed).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _fail(self, code: str, commit: str | None = None) -> None:
        self.send_response(404)
        self.send_header("X-Error-Code", code)
        if commit is not None:
            self.send_header("X-Repo-Commit", commit)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        return


@pytest.fixture
def hub(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[Hub, ThreadingHTTPServer]]:
    needs("huggingface_hub")
    other = segue.save_pretrained("stcn-lite", tmp_path / "other")
    commits = {
        commit: {path.name: path.read_bytes() for path in saved.iterdir()}
        for commit, saved in ((FIRST, folder), (SECOND, other))
    }
    found = Hub(commits, {"main": SECOND, "v1": FIRST})
    handler = type("Handler", (HubHandler,), {"hub": found})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.server_address[1]}")
    for name in ("HF_HUB_OFFLINE", "SEGUE_OFFLINE", "http_proxy", "HTTP_PROXY"):
        monkeypatch.delenv(name, raising=False)
    yield found, server
    server.shutdown()
    server.server_close()


def test_a_repository_is_downloaded_once_at_the_revision_asked_for(
    hub: tuple[Hub, ThreadingHTTPServer], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    served, server = hub
    cache = tmp_path / "cache"
    assert equal(segue.from_pretrained("someone/lite", cache_dir=cache), load("stcn-lite"))
    assert {line.rpartition("/")[2] for line in served.asked} == {"config.json", "model.safetensors"}
    for revision in ("v1", FIRST):
        found = segue.from_pretrained("someone/lite", revision=revision, cache_dir=cache)
        assert equal(found, load("stcn-lite-free"))
    served.asked.clear()
    segue.from_pretrained("someone/lite", revision=FIRST, cache_dir=cache)
    assert not [line for line in served.asked if line.startswith("GET")]
    # What is in the cache needs no connection, and what is not is not asked for.
    server.shutdown()
    server.server_close()
    served.asked.clear()
    monkeypatch.setenv("SEGUE_OFFLINE", "1")
    assert equal(segue.from_pretrained("someone/lite", cache_dir=cache), load("stcn-lite"))
    with pytest.raises(DownloadError):
        segue.from_pretrained("someone/other", cache_dir=cache)


def test_without_huggingface_hub_the_message_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("segue.weights.pretrained.find_spec", lambda name: None)
    with pytest.raises(DownloadError, match=r"pip install .*\[hf\]"):
        segue.from_pretrained("someone/lite")


def test_a_model_of_another_library_is_downloaded_with_its_licence_and_checked(
    hub: tuple[Hub, ThreadingHTTPServer], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    served, _ = hub
    told: list[tuple[str, int]] = []

    def get(cache: str) -> Path:
        return download_repository("someone/lite", lambda *what: told.append(what), tmp_path / cache)

    folder = get("good")
    assert sorted(path.name for path in folder.iterdir()) == ["config.json", "model.safetensors"]
    sizes = [len(served.commits[SECOND][name]) for name in ("config.json", "model.safetensors")]
    assert told == [("mit", sum(sizes))]
    served.digest = "0" * 64
    with pytest.raises(DownloadError):
        get("bad")
    assert not [path for path in (tmp_path / "bad").rglob("model.safetensors") if path.exists()]
    monkeypatch.setenv("SEGUE_OFFLINE", "1")
    served.asked.clear()
    with pytest.raises(DownloadError):
        get("good")
    assert not served.asked
