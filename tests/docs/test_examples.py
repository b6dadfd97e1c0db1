"""The files of `examples` fit segue as it is, without the tools that they are for."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path

import pytest
from packaging.requirements import Requirement

import segue
from segue.cli.main import load_command
from segue_watch.configuration import read_file
from tests.cli.forked import run_program
from tests.needs import needs
from tools.run_docs import cut_sample

EXAMPLES = Path(segue.__file__).parents[2] / "examples"
pytestmark = pytest.mark.skipif(not EXAMPLES.exists(), reason="the examples are not beside the package")


@pytest.mark.parametrize(
    ("folder", "service", "first"),
    [("label_studio", "segue", "label-studio"), ("cameras", "cameras", "cameras.toml")],
)
def test_a_composition_starts_a_command_that_there_is(folder: str, service: str, first: str) -> None:
    yaml = pytest.importorskip("yaml", reason="PyYAML is not installed")
    place = EXAMPLES / folder / "docker-compose.yml"
    started = yaml.safe_load(place.read_text(encoding="utf-8"))["services"][service]
    assert (place.parent / started["build"] / "Dockerfile").is_file()
    name, given, *options = started["command"]
    command = load_command(name)
    known = {word for item in command.params for word in item.opts}
    assert {option.partition("=")[0] for option in options} <= known
    assert given == first


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


@pytest.mark.parametrize("page", ["cameras", "cameras-frigate"])
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
