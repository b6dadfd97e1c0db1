"""``segue train``: video instance networks."""

from __future__ import annotations

import json
import math
from functools import partial
from typing import Any, Literal

from segue.cli.options import Options, Values
from segue.datasets.ytvis import YTVISDataset
from segue.errors import DatasetError
from segue.models.instance_networks import instance_network
from segue.models.msstsvis import Parts
from segue.models.seqformer import SeqFormer, Size
from segue.options import FilePath, OptionModel, option
from segue.sessions.official import SHORT_SIDE
from segue.utils.notices import notice
from segue_train.commands.making import CLASSIFIER, LITE, PAPER, RecipeSetup, training
from segue_train.commands.objects import LabelledImages
from segue_train.data.instance_augment import PUBLISHED, STILLS
from segue_train.data.instance_clips import Classed as ClassedItem
from segue_train.data.instance_clips import Groups, NamedFootage, annotated_footage, read_class_names
from segue_train.data.ytvis_clips import COCO_CHANNELS, ClipSource, VideoClips, clip_sources, still_sources
from segue_train.recipe import devices_of
from segue_train.recipes import msstsvis as lite_recipe
from segue_train.recipes.msstsvis import STILL_DROPS, STILL_EPOCHS, PublishedRecipe

R18_SHORT_SIDE = 180  # at which ``msstsvis-r18`` is validated; it learns at half the published sizes


class Tubes(OptionModel):
    """Annotated videos and images."""

    data: list[str] = option()
    """ytvis=ROOT, ovis=ROOT or isd=ROOT (videos), coco=ROOT (images as clips). ROOT may also be the
    annotation file. Repeatable."""

    validation_data: FilePath | None = option(None, flags="validate")
    """Annotated videos to measure AP on during training: an annotation file or a folder with a part valid."""

    def validation(self, sources: list[ClipSource], names: dict[int, str], short_side: int) -> Any:
        """Create the AP measure on held-out videos."""
        if self.validation_data is None:
            return None
        from segue_train.validation import clip_ap

        dataset = YTVISDataset.open(self.validation_data, "valid")
        if not any(dataset.annotations(video) for video in dataset):
            raise DatasetError(f"{dataset.path} has no annotated object; AP cannot be measured on it")
        trained = {source.dataset.path.resolve() for source in sources if isinstance(source, VideoClips)}
        if dataset.path.resolve() in trained:
            raise DatasetError(f"{dataset.path}: both trained on and validated on; give other videos")
        if dataset.categories != names:
            raise DatasetError(f"{dataset.path} has other categories than the data that are trained on")
        return partial(clip_ap, dataset=dataset, short_side=short_side)


class Trunk(OptionModel):
    """Backbone of a published network."""

    backbone: Literal["r50", "r101", "swin-l"] = option("r50")
    """Trunk of the network."""


class SeqFormerTrunk(OptionModel):
    """The trunk of a published SeqFormer."""

    backbone: Literal["r50", "r101", "x101", "swin-l"] = option("r50")
    """Trunk of the network."""


TUBES = Options(Tubes)
TRUNK, SEQFORMER_TRUNK = Options(Trunk), Options(SeqFormerTrunk)
EPOCHS = {
    "steps": "Steps in all.  [default: those of the published epochs]",
    "accumulate": "Batches, per device, for one step.  [default: what makes up --clips]",
}
CLIPS = {"clips": "Clips of a step on all devices together; the default is the published number."}


def _sized(recipe: PublishedRecipe, run: Values) -> Values:
    """Steps and batches of a run; prints the cost of a step."""
    devices = math.prod(devices_of(run["devices"]))
    accumulate = run.get("accumulate") or recipe.accumulated(devices)
    notice(
        f"{recipe.batch * devices * accumulate} clips a step at a rate of {recipe.rate:g}: "
        f"--batch {recipe.batch} on {devices} device{'s' * (devices > 1)} with --accumulate {accumulate}"
    )
    return {"accumulate": accumulate, "steps": run.get("steps") or recipe.steps(devices * accumulate)}


def _published(kind: str, tubes: Tubes, network: Values, recipe: Values, run: Values) -> RecipeSetup:
    small = network["backbone"] == "r18"
    sources, names = clip_sources(tubes.data, PUBLISHED.halved() if small else PUBLISHED)
    options = network | {"classes": json.dumps(dict(names))}
    if run["resume"]:
        recipe = recipe | {"trunk": None, "start": None}
    published = PublishedRecipe(
        name=f"{kind}-{network['backbone']}",
        build=partial(instance_network, kind, **options),
        sources=sources,
        **recipe,
    )
    notice(f"{sum(map(len, sources))} clips an epoch, {len(names)} classes")
    return published, {
        **_sized(published, run),
        "validate": tubes.validation(sources, names, R18_SHORT_SIDE if small else SHORT_SIDE),
    }


@training(
    "seqformer",
    TUBES,
    SEQFORMER_TRUNK,
    Options(
        PublishedRecipe, without=["separability", "epochs"], defaults={"batch": 2, "clips": 16}, help=CLIPS
    ),
    begins=CLASSIFIER,
    help=EPOCHS,
    **PAPER,
    steps=None,
    accumulate=None,
    validate_every=5000,
    save_every=2000,
)
def seqformer(tubes: Tubes, network: Values, recipe: Values, run: Values) -> RecipeSetup:
    """Train SeqFormer on YouTube-VIS and COCO with the published recipe.

    As published, a step has 16 clips, 2 on each of 8 devices. With fewer devices, batches are accumulated.

    Examples:

        segue train seqformer --data ytvis=youtube_vis_2019 --data coco=coco --start coco.safetensors
        --devices 8 --out runs/seqformer

        segue train seqformer --data ovis=ovis --init resnet50.pth --batch 1 --out runs/ovis
    """
    return _published("seqformer", tubes, network, recipe | {"separability": False}, run)


@training(
    "seqformer-coco",
    Options(
        Tubes,
        only=["data"],
        help={"data": "coco=ROOT; several may be given. ROOT may also be the annotation file."},
    ),
    SEQFORMER_TRUNK,
    Options(
        PublishedRecipe,
        without=["separability"],
        defaults={"batch": 2, "clips": 16, "epochs": STILL_EPOCHS},
        help=CLIPS,
    ),
    begins=CLASSIFIER,
    help=EPOCHS,
    **PAPER,
    steps=None,
    accumulate=None,
    save_every=2000,
)
def seqformer_coco(tubes: Tubes, network: Values, recipe: Values, run: Values) -> RecipeSetup:
    """Train SeqFormer on the still images of COCO, as a start for the training on videos.

    The recipe is that of the authors: one frame, all 80 categories by their numbers, 50 epochs of 16 images
    per step, and a tenth of the rate after 40. Use the result with `--start`; its class heads are those of
    COCO.

    Examples:

        segue train seqformer-coco --data coco=coco --init resnet50.pth --devices 8 --out runs/coco

        segue train seqformer --data ytvis=youtube_vis_2019 --data coco=coco
        --start runs/coco/seqformer-r50-coco.safetensors --devices 8 --out runs/seqformer
    """
    if run["resume"]:
        recipe = recipe | {"trunk": None, "start": None}
    published = PublishedRecipe(
        name=f"seqformer-{network['backbone']}-coco",
        build=partial(SeqFormer, network["backbone"], Size(classes=COCO_CHANNELS)),
        sources=still_sources(tubes.data, STILLS),
        separability=False,
        falls=STILL_DROPS,
        **recipe,
    )
    notice(f"{sum(map(len, published.sources))} images an epoch")
    return published, _sized(published, run)


@training(
    "msstsvis",
    TUBES,
    TRUNK,
    Options(Parts),
    Options(
        PublishedRecipe,
        without=["epochs"],
        defaults={"batch": 1, "clips": 10, "separability": True},
        help=CLIPS,
    ),
    begins=CLASSIFIER,
    help=EPOCHS,
    **PAPER,
    steps=None,
    accumulate=None,
    validate_every=5000,
    save_every=2000,
)
def msstsvis(tubes: Tubes, network: Values, parts: Values, recipe: Values, run: Values) -> RecipeSetup:
    """Train MS-STS VIS with its discriminator; it may start from weights of SeqFormer.

    As published, a step has 10 clips. With fewer devices, batches are accumulated.

    Examples:

        segue train msstsvis --data ytvis=youtube_vis_2019 --data coco=coco --start coco-pretrained.pth
        --devices 10 --out runs/msstsvis

        segue train msstsvis --data ytvis=youtube_vis_2019 --data coco=coco --start coco-pretrained.pth
        --intra joint --inter channel --out runs/joint
    """
    return _published("msstsvis", tubes, network | {"parts": Parts(**parts).text()}, recipe, run)


@training(
    "msstsvis-r18",
    TUBES,
    Options(PublishedRecipe, only=["trunk", "start", "batch", "rate"], defaults={"batch": 4}),
    begins=CLASSIFIER,
    help=EPOCHS,
    **{**PAPER, "workers": 1, "log_every": 20},
    steps=None,
)
def msstsvis_r18(tubes: Tubes, recipe: Values, run: Values) -> RecipeSetup:
    """Train a small MS-STS VIS on ResNet-18, with half the layers and image sizes, even on a CPU.

    Everything else is as in the recipe of `segue train msstsvis`.

    Examples:

        segue train msstsvis-r18 --data isd=isd --init resnet18.pth --validate isd/val/instances.json
        --out runs/r18
    """
    network = {"backbone": "r18", "parts": Parts().text()}
    return _published("msstsvis", tubes, network, recipe | {"separability": True}, run)


class Classed(LabelledImages):
    """Labelled images by kind, and the classes of their objects."""

    data: list[str] = option()
    """Folder with JPEGImages/ and Annotations/ (videos) or images/ and masks/ (still images), or
    IMAGES:MASKS; or annotation files, coco=ROOT (still images), ytvis=ROOT, ovis=ROOT or isd=ROOT (videos),
    each a kind of that name. Repeatable."""

    names: FilePath | None = option(None)
    """JSON file with COCO's name for the objects of each video, still image or kind of the folders; a list
    names object 1, 2, ... Objects without a name get the class of the detector."""

    def classed(self) -> Groups:
        """Footage of each kind with classes and share, without held-out images."""
        names = read_class_names(self.names) if self.names else {}
        files = [text for text in self.data if "=" in text]
        folders = self.model_copy(update={"data": [text for text in self.data if text not in files]})
        kinds: dict[str, list[ClassedItem]] = {
            kind: [NamedFootage.of(item, names) for item in items] for kind, items in folders.kinds().items()
        }
        for text in files:
            kinds.setdefault(text.partition("=")[0], []).extend(annotated_footage(text))
        return self.weighed(kinds)


@training(
    "msstsvis-lite",
    Options(Classed, without=["subset"]),
    Options(lite_recipe.LiteRecipe),
    **LITE,
    steps=lite_recipe.LITE_STEPS,
)
def msstsvis_lite(classed: Classed, options: Values, run: Values) -> RecipeSetup:
    """Train msstsvis-lite on videos and still images together.

    Its classes are COCO's 80, from its detector, which is not trained. One still image of the folders in ten,
    selected by the hash of its name, is held out for scores.

    Examples:

        segue train msstsvis-lite --data DAVIS --data STILLS --names classes.json --share coco=3,videos=2
        --out runs/lite

        segue train msstsvis-lite --data coco=coco --data ytvis=youtube_vis_2021 --no-split-attention
        --out runs/plain
    """
    if run["resume"]:
        options = options | {"start": None}
    return lite_recipe.LiteRecipe(classed.classed(), **options), {}
