"""``segue train``: tracking networks, and the network for boxes and clicks."""

from __future__ import annotations

import re
from collections.abc import Callable, Sized
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from segue.cli.options import Options, Values
from segue.datasets.davis import DAVIS_VAL, DavisFolder
from segue.errors import DatasetError, TrainingError
from segue.options import FilePath, option
from segue.utils.notices import notice
from segue.weights.available import check_available
from segue_train.commands.making import (
    LITE,
    MOBILENET,
    PAPER,
    RESNET,
    TWO_TRUNKS,
    Data,
    RecipeSetup,
    names_in,
    refuse_trained,
    training,
)
from segue_train.data.footage import Footage, Material, gather, read_subset
from segue_train.data.prompt_samples import is_held_out
from segue_train.recipes import cutie as cutie_recipe
from segue_train.recipes import prompt as prompt_recipe
from segue_train.recipes import stcn as stcn_recipe
from segue_train.recipes import stcn_lite as stcn_lite_recipe
from segue_train.recipes import stm as stm_recipe
from segue_train.recipes import xmem as xmem_recipe


class Labelled(Data):
    """Videos and still images with masks."""

    subset: list[str] | None = option(None)
    """FOLDER=FILE uses only the sequences of a folder that are listed in a file, one per line. Repeatable."""

    def material(self) -> Material:
        """Footage in the folders, without held-out names."""
        subsets = {}
        for text in self.subset or ():
            folder, equals, file = text.rpartition("=")
            if not (folder and equals and file):
                raise TrainingError(f"--subset {text!r}: give FOLDER=FILE, FOLDER as in --data")
            subsets[folder] = read_subset(Path(file))
        return gather(self.data, subsets=subsets, **self.choice)


class Clips(Labelled):
    """Videos and still images with masks."""

    data: list[str] = option()
    """Folder with JPEGImages/ and Annotations/ (videos) or images/ and masks/ (still images), COCO, PASCAL
    VOC, DUTS, ECSSD, HRSOD, BIG, FSS-1000 or MSRA10K as published, outlines of Roboflow (COCO), YOLO or
    labelme, or IMAGES:MASKS. 5@FOLDER counts five times. Repeatable."""

    validation_data: FilePath | None = option(None, flags="validate")
    """DAVIS-style folder to measure J&F on during training."""

    validate_on: str = option("")
    """Sequences of --validate, separated by commas.  [default: those of DAVIS val, otherwise all]"""

    def gather(self) -> Material:
        material = self.material()
        notice(f"{len(material.videos)} videos and {len(material.stills)} still images")
        return material

    def validation(self, material: Material) -> Callable[..., float] | None:
        """Create the J&F measure on held-out sequences."""
        if self.validation_data is None:
            return None
        from segue_train.validation import j_and_f

        davis = DavisFolder(self.validation_data)
        published = [name for name in davis.names if name in DAVIS_VAL]
        selected = names_in(self.validate_on) or published or davis.names
        refuse_trained((video.name for video in material.videos), selected)
        return partial(j_and_f, sequences=[davis[name] for name in selected])


CLIPS = Options(Clips)


def of_one_kind(material: Material, stage: int) -> list[Footage]:
    """Select still images for stage 0 or videos for others; raises an error for mixed footage."""
    footage, other = (material.stills, material.videos) if stage == 0 else (material.videos, material.stills)
    if other or not footage:
        kinds = ("still images", "videos") if stage == 0 else ("videos", "still images")
        reason = f"there are {kinds[1]} among the data" if other else "the data hold none"
        raise DatasetError(f"stage {stage} trains on {kinds[0]} only, but {reason}; see --data")
    return footage


def _staged(kind: Any, clips: Clips, options: Values, run: Values, *, fast: bool) -> RecipeSetup:
    """Recipe and settings of a published stage; ``fast`` means half precision on a GPU by default."""
    import torch

    material = clips.gather()
    recipe = kind(footage=of_one_kind(material, options["stage"]), **options)
    half = fast and run["accelerator"] != "cpu" and torch.cuda.is_available()
    return recipe, {
        "steps": run.get("steps") or recipe.steps,
        "precision": run.get("precision") or ("16-mixed" if half else "32-true"),
        "validate": clips.validation(material),
    }


STAGES: Values = {
    **PAPER,
    "seed": stcn_recipe.SEED,
    "steps": None,
    "precision": None,
    "validate_every": 10_000,
    "save_every": 5000,
}
"""Defaults of the published stages of STCN and of the networks that follow its training."""

STAGES_HELP = {
    "steps": "Steps in all.  [default: as published]",
    "precision": "Number format.  [default: 16-mixed on a GPU, else 32-true]",
}


@training(
    "stcn",
    CLIPS,
    Options(stcn_recipe.STCNRecipe),
    begins=TWO_TRUNKS,
    help=STAGES_HELP,
    **STAGES,
)
def stcn(clips: Clips, options: Values, run: Values) -> RecipeSetup:
    """Train STCN in its published stages.

    Stage 0 uses clips generated from still images, stages 1 to 3 use videos. A full training runs stages 0, 3
    or 0, 1, 2. The first stage starts from ImageNet weights, later stages from the previous stage.

    Examples:

        segue train stcn --stage 0 --data DUTS --data ECSSD --init resnet50.pth --init-value resnet18.pth
        --out runs/s0

        segue train stcn --stage 3 --data 5@DAVIS --data YouTube/train --start runs/s0/stcn.safetensors
        --out runs/s03

        segue train stcn --stage 3 --data 5@DAVIS --data YouTube/train --start runs/s0/stcn.safetensors
        --out runs/s03 --resume
    """
    return _staged(stcn_recipe.STCNRecipe, clips, options, run, fast=True)


@training(
    "xmem",
    CLIPS,
    Options(xmem_recipe.XMemRecipe),
    begins=TWO_TRUNKS,
    help=STAGES_HELP,
    **STAGES,
)
def xmem(clips: Clips, options: Values, run: Values) -> RecipeSetup:
    """Train XMem in its published stages.

    Stage 0 uses clips generated from still images, stages 1 to 3 use videos. A full training runs stages 0, 3
    or 0, 1, 2, and ends with a run with `--finetune`.

    Examples:

        segue train xmem --stage 0 --data DUTS --data ECSSD --init resnet50.pth --init-value resnet18.pth
        --out runs/x0

        segue train xmem --stage 3 --data 5@DAVIS --data YouTube/train --start runs/x0/xmem.safetensors
        --out runs/x03
    """
    return _staged(xmem_recipe.XMemRecipe, clips, options, run, fast=True)


@training(
    "cutie",
    CLIPS,
    Options(cutie_recipe.CutieRecipe),
    begins=TWO_TRUNKS,
    help={
        "steps": "Steps in all.  [default: as published]",
        "precision": "Number format.  [default: 16-mixed on a GPU for videos, else 32-true]",
    },
    **STAGES,
)
def cutie(clips: Clips, options: Values, run: Values) -> RecipeSetup:
    """Train Cutie in its published stages: 0 and 1, or 0 and 2.

    Stage 0 uses clips generated from still images, stages 1 and 2 use videos.

    Examples:

        segue train cutie --stage 0 --data DUTS --data ECSSD --init resnet50.pth --init-value resnet18.pth
        --out runs/c0

        segue train cutie --stage 1 --data 2@DAVIS --data YouTube/train --start runs/c0/cutie.safetensors
        --out runs/c1
    """
    return _staged(cutie_recipe.CutieRecipe, clips, options, run, fast=options["stage"] > 0)


@training(
    "stm",
    CLIPS,
    Options(stm_recipe.STMRecipe, without=["init_value"]),
    begins=RESNET,
    help={"steps": "Steps in all.  [default: 300000 on images, 150000 on videos]"},
    **PAPER,
    steps=None,
    validate_every=10_000,
    save_every=5000,
)
def stm(clips: Clips, options: Values, run: Values) -> RecipeSetup:
    """Train STM as described in its paper: on clips generated from still images, then on videos.

    Examples:

        segue train stm --stage 0 --data COCO --data ECSSD --init resnet50.pth --out runs/stm0

        segue train stm --stage 1 --data DAVIS --data YouTube/train --start runs/stm0/stm.safetensors
        --out runs/stm1
    """
    return _staged(stm_recipe.STMRecipe, clips, options, run, fast=False)


@training(
    "stcn-lite",
    CLIPS,
    Options(stcn_lite_recipe.STCNLiteRecipe),
    begins=MOBILENET,
    **LITE,
    steps=stcn_lite_recipe.STEPS,
)
def stcn_lite(clips: Clips, options: Values, run: Values) -> RecipeSetup:
    """Train stcn-lite on videos and still images together.

    torchvision's MobileNetV2 needs `--init-scaling imagenet`.

    Examples:

        segue train stcn-lite --data DAVIS --data STILLS --init mobilenet_v2.safetensors --out runs/lite

        segue train stcn-lite --data DAVIS --data STILLS --init mobilenet_v2.safetensors --out runs/lite
        --resume

        segue train stcn-lite --data DAVIS --data STILLS --start runs/lite/stcn-lite.safetensors --steps 4000
        --reading session --out runs/more

        segue train stcn-lite --data DAVIS --start shipped --teacher cutie --steps 2000 --out runs/taught
    """
    if "teacher" in options:  # before data are read
        check_available("track", options["teacher"], options.get("teacher_weights"))
    elif "teacher_weights" in options:
        raise TrainingError("--teacher-weights are those of a --teacher; name it")
    material = clips.gather()
    recipe = stcn_lite_recipe.STCNLiteRecipe(material.videos, material.stills, **options)
    return recipe, {"validate": clips.validation(material)}


_SHARE = re.compile(r"(\w+)=(\d+(?:\.\d+)?)")

Items = TypeVar("Items", bound=Sized)


class LabelledImages(Labelled):
    """Labelled images by kind."""

    data: list[str] = option()
    """Folder with JPEGImages/ and Annotations/ (videos) or images/ and masks/ (still images), COCO, PASCAL
    VOC, DUTS, ECSSD, HRSOD, BIG, FSS-1000 or MSRA10K as published, outlines of Roboflow (COCO), YOLO or
    labelme, or IMAGES:MASKS. 2@FOLDER counts twice. Repeatable."""

    share: str = option("")
    """Sampling weights of kinds, such as videos=2,coco=1.5; the default weight is 1."""

    def kinds(self) -> dict[str, list[Footage]]:
        """Footage of each kind, without held-out images."""
        material = self.material()
        kinds: dict[str, list[Footage]] = {"videos": material.videos} if material.videos else {}
        for still in material.stills:
            if not is_held_out(still.name):
                kinds.setdefault(still.name.split("_")[0], []).append(still)
        return kinds

    def weighed(self, kinds: dict[str, list[Items]]) -> list[tuple[float, list[Items]]]:
        """Kinds with their shares, which are printed."""
        shares = dict.fromkeys(kinds, 1.0)
        for item in names_in(self.share):
            match = _SHARE.fullmatch(item)
            if match is None or match[1] not in kinds:
                raise TrainingError(f"--share {item!r}: give KIND=NUMBER; kinds are {', '.join(kinds)}")
            shares[match[1]] = float(match[2])
        for kind, items in kinds.items():
            notice(f"{kind}: {sum(map(len, items))} images, share {shares[kind] / sum(shares.values()):.2f}")
        return [(shares[kind], items) for kind, items in kinds.items()]


@training(
    "prompt",
    Options(LabelledImages),
    Options(prompt_recipe.PromptRecipe),
    begins=MOBILENET,
    **LITE,
    steps=prompt_recipe.STEPS,
)
def prompt(images: LabelledImages, options: Values, run: Values) -> RecipeSetup:
    """Train segue-prompt on still images and videos; every labelled image is used as a still image.

    One still image in ten, selected by the hash of its name, is held out for scores. Still images with the
    same name up to an underscore (coco_1, coco_7) form a kind, and all videos form another; `--share` weights
    the kinds.

    Examples:

        segue train prompt --data DAVIS --data STILLS --init mobilenet_v2.safetensors --out runs/prompt

        segue train prompt --data DAVIS --data STILLS --share videos=5,coco=4 --init mobilenet_v2.safetensors
        --out runs/prompt --resume
    """
    return prompt_recipe.PromptRecipe(images.weighed(images.kinds()), **options), {}
