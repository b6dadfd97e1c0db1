"""Model cards: the README.md of folders from :func:`segue.save_pretrained`."""

from __future__ import annotations

from pathlib import Path

from segue.entries.networks import Entry, NetworkTask
from segue.weights.download import own_file

_PIPELINES: dict[NetworkTask, str] = {
    "track": "mask-generation",
    "foreground": "image-segmentation",
    "instances": "image-segmentation",
    "prompt": "mask-generation",
    "detect": "object-detection",
    "features": "image-feature-extraction",
}
"""Closest tasks of Hugging Face, which has none for masks in videos."""

_TAGS: dict[NetworkTask, tuple[str, ...]] = {
    "track": ("video-object-segmentation", "object-tracking"),
    "foreground": ("foreground-segmentation", "background-subtraction", "change-detection"),
    "instances": ("video-instance-segmentation", "object-tracking"),
    "prompt": ("interactive-segmentation",),
    "detect": ("object-detection",),
    "features": ("feature-extraction",),
}

_USES: dict[NetworkTask, str] = {
    "track": """prompts = {0: [segue.BoxPrompt(1, (120, 80, 310, 260))]}  # id 1 is in this box on frame 0
for result in segue.track("video.mp4", prompts, model=network):
    print(result.index, result.mask.shape)""",
    "foreground": """for result in segue.foreground("video.mp4", model=network):
    print(result.index, result.mask.any())""",
    "instances": """for result in segue.instances("video.mp4", model=network):
    print(result.index, [item.label for item in result.objects])""",
    "prompt": """answer = segue.Prompter(image, network)(points=[(300, 200)])
print(answer.mask.shape, answer.iou)""",
}
"""Usage snippets by task."""

_LICENCES = {
    "MIT": "mit",
    "Apache-2.0": "apache-2.0",
    "BSD-3-Clause": "bsd-3-clause",
    "CC BY-NC-SA 4.0": "cc-by-nc-sa-4.0",
}
"""Licences of the catalogue by their names on Hugging Face."""

_ACCOMPANYING = ("LICENSE-Apache-2.0.txt", "free_images.csv")
"""Files that the licences of some weights and images ask for."""


def model_card(entry: Entry, *, shipped: bool) -> str:
    """Create the model card of a network, with the front matter of Hugging Face."""
    import yaml  # imported late to keep start-up short

    shipped_card = own_card(entry) if shipped else None
    licence = _licence(entry.licence) if shipped_card is not None else "unknown"
    matter: dict[str, object] = {
        "library_name": "segue",
        "pipeline_tag": _PIPELINES[entry.task],
        "license": licence,
    }
    if licence == "other":
        matter |= {"license_name": "see-this-card", "license_link": "README.md"}
    matter["tags"] = ["segue", "video-segmentation", *_TAGS[entry.task]]
    parts = [f"---\n{yaml.safe_dump(matter, sort_keys=False)}---", f"# {entry.name}"]
    if entry.paper:
        parts.append(f"The network: {entry.paper}.")
    if shipped_card is not None:
        parts.append(f"Terms of the weights: {entry.licence}.")
    if entry.task in _USES:
        load = 'network = segue.from_pretrained("FOLDER")  # this folder, or the id of its repository'
        parts += ["## Use", f"```python\nimport segue\n\n{load}\n{_USES[entry.task]}\n```"]
    parts.append(
        shipped_card
        or "## Weights\n\nOf these weights nothing is stated. Say here what they were trained on."
    )
    return "\n\n".join(parts) + "\n"


def own_card(entry: Entry) -> str | None:
    """Card beside the bundled weights, or None."""
    path = _card_file(entry)
    return None if path is None else path.read_text(encoding="utf-8").strip()


def accompanying_files(entry: Entry) -> list[Path]:
    """Bundled files that the card of a network names: a licence, or authors of images."""
    card = own_card(entry) or ""
    return [own_file(entry).with_name(name) for name in _ACCOMPANYING if f"`{name}`" in card]


def _card_file(entry: Entry) -> Path | None:
    path = None if entry.bundled is None else own_file(entry).with_suffix(".md")
    return path if path is not None and path.is_file() else None


def _licence(terms: str) -> str:
    """Hugging Face's name for terms; ``other`` unless they are a single licence."""
    licences = [name for name in _LICENCES if name in terms]
    return _LICENCES[licences[0]] if len(licences) == 1 and terms.startswith(licences[0]) else "other"
