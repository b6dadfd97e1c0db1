"""The files of `examples` fit segue as it is, without the tools that they are for."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement

import segue
from segue.cli import main
from segue.cli.main import load_command
from segue_watch.configuration import read_file
from tests.cli.forked import Forked, run_program
from tests.needs import needs
from tests.ports import free_port
from tests.waiting import wait_for
from tools.run_docs import cut_sample

EXAMPLES = Path(segue.__file__).parents[2] / "examples"
pytestmark = pytest.mark.skipif(not EXAMPLES.exists(), reason="the examples are not beside the package")


COMPOSITIONS = {"label_studio": "segue", "cameras": "cameras", "cameras/frigate": "segue"}
"""Service of segue in each."""


class Service:
    """The service of segue in a composition."""

    def __init__(self, name: str) -> None:
        yaml = pytest.importorskip("yaml", reason="PyYAML is not installed")
        self.folder = EXAMPLES / name
        self.all: dict[str, Any] = yaml.safe_load((self.folder / "docker-compose.yml").read_text("utf-8"))
        self.values: dict[str, Any] = self.all["services"][COMPOSITIONS[name]]
        self.words: list[str] = self.values["command"]


@pytest.mark.parametrize("name", COMPOSITIONS)
def test_a_composition_starts_a_command_that_there_is(name: str) -> None:
    service = Service(name)
    image = (service.folder / service.values["build"] / "Dockerfile").read_text("utf-8")
    context = load_command(service.words[0]).make_context("segue", service.words[1:])
    port = context.params.get("port")
    assert all(published.endswith(f":{port}") for published in service.values.get("ports", ()) if port)
    for volume in service.values.get("volumes", ()):
        source, target, *_ = volume.split(":")
        assert source.startswith("./") or source in service.all["volumes"]
        assert target not in ("/work", "/cache") or f"WORKDIR {target}" in image or f"={target}" in image
    assert {*service.values.get("depends_on", ())} <= {*service.all["services"]}


def test_the_files_of_the_composition_beside_a_recorder_are_where_it_looks_for_them() -> None:
    service = Service("cameras/frigate")
    places = {"segue": "cameras.toml", "mosquitto": "mosquitto.conf", "frigate": "config.yml"}
    for name, file in places.items():
        sources = [volume.partition(":")[0] for volume in service.all["services"][name]["volumes"]]
        assert (service.folder / sources[0] / file).is_file()
    cameras, _ = read_file(service.folder / "segue/cameras.toml", service.folder)
    yaml = pytest.importorskip("yaml", reason="PyYAML is not installed")
    frigate = yaml.safe_load((service.folder / "frigate/config.yml").read_text("utf-8"))
    assert {*cameras} == {*frigate["cameras"]} == {*frigate["go2rtc"]["streams"]}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="starts a child process")
@pytest.mark.parametrize("name", ["cameras", "cameras/frigate"])
def test_the_service_of_cameras_answers_its_health_check_and_ends_in_time(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in the container, but at another port."""
    pytest.importorskip("fastapi", reason="fastapi is not installed (pip install 'segue[web]')")
    service, port = Service(name), free_port()
    (tmp_path / "cameras.toml").write_text('[cameras.lost]\nsource = "http://127.0.0.1:9/none"\n')
    for variable in service.values["environment"]:
        monkeypatch.setenv(variable, "a-token-of-a-test-0123456789")
    words = [word.replace("8080", str(port)) for word in service.words]

    def act() -> None:
        os.chdir(tmp_path)
        main(words)

    with (tmp_path / "log").open("wb") as log:
        process = Forked(act, log, log)
    check = Service("cameras").values["healthcheck"]["test"]
    assert check[:2] == ["CMD", "python"]
    command = [sys.executable, *(word.replace("8080", str(port)) for word in check[2:])]

    def is_healthy() -> bool:
        assert process.poll() is None, (tmp_path / "log").read_text()
        return subprocess.run(command, capture_output=True, check=False).returncode == 0

    wait_for(is_healthy)
    begin = time.monotonic()
    process.send_signal(signal.SIGTERM)
    assert process.wait() == 0
    assert time.monotonic() - begin < float(service.values["stop_grace_period"].removesuffix("s"))


def test_the_space_is_described_as_hugging_face_wants_it() -> None:
    hub = needs("huggingface_hub")
    card = hub.SpaceCard.load(EXAMPLES / "space" / "README.md")
    assert (card.data.sdk, card.data.license) == ("gradio", "mit")
    assert (EXAMPLES / "space" / str(card.data.app_file)).is_file()
    lines = (EXAMPLES / "space" / "requirements.txt").read_text(encoding="utf-8").splitlines()
    (line,) = (line for line in lines if not line.startswith(("#", "-")))
    requirement = Requirement(line)
    # Never by its name alone: a registry may have another package of that name.
    assert requirement.name == "segue"
    assert str(requirement.url).endswith(f"segue-{segue.__version__}-py3-none-any.whl")


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The first frames of the bundled sample."""
    path = tmp_path_factory.mktemp("sample") / "my.mp4"
    cut_sample(path, 4)
    return path


@pytest.mark.parametrize("script", sorted(EXAMPLES.glob("python/*.py")), ids=lambda path: path.stem)
def test_a_program_runs_as_its_first_lines_say(script: Path, sample: Path, tmp_path: Path) -> None:
    program = script.read_text(encoding="utf-8")
    found = re.search(r"^ *python (\S+) (.+)$", program, re.MULTILINE)
    assert found is not None
    assert found[1] == script.name
    shutil.copyfile(sample, tmp_path / "my.mp4")
    done = run_program(script, *shlex.split(found[2]), folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "Warning" not in done.stderr


@pytest.mark.parametrize("page", ["cameras-file", "cameras-messages", "cameras-frigate"])
def test_files_of_cameras_on_the_pages_are_accepted(
    page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("apprise", reason="apprise is not installed (pip install 'segue[apprise]')")
    pytest.importorskip("paho.mqtt.client", reason="paho-mqtt is not installed (pip install 'segue[mqtt]')")
    for name in ("MAIL_USER", "MAIL_PASSWORD", "PAGE_TOKEN", "LOOK_TOKEN"):
        monkeypatch.setenv(name, "0123456789abcdef")
    monkeypatch.setenv("BOT_TOKEN", f"123456789:{'a' * 35}")
    monkeypatch.setenv("CHAT", "12345")
    text = (EXAMPLES.parent / "docs" / f"{page}.md").read_text(encoding="utf-8")
    files = [block for block in re.findall(r"```toml\n(.*?)```", text, re.DOTALL) if "[cameras." in block]
    assert files
    for block in files:
        path = tmp_path / "cameras.toml"
        path.write_text(block, encoding="utf-8")
        jobs, _ = read_file(path, tmp_path)
        assert jobs
